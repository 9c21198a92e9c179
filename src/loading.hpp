#pragma once
// Loading: answers clients while the log is being replayed, on a thread of its own.
//
// Who a client is it may say, and prove (AUTH, HELLO, SELECT, RESET, and of CLIENT the name and the
// id); INFO says loading:1 and how far it is, CONFIG GET is answered. The rest gets Redis's
// -LOADING, so that tools wait instead of failing. When the store is open the connections are
// handed to the reactors as who they are by then, with what they have sent and not been answered.
//
// Plain poll(2): this lives for seconds. The configuration does not change meanwhile.

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "recovery/open.hpp"
#include "src/address.hpp"
#include "src/early.hpp"

namespace firnlog::server {

class Loading {
  public:
    Loading(const std::vector<Listener>& listeners, const Config& config);
    ~Loading();
    Loading(const Loading&) = delete;
    Loading& operator=(const Loading&) = delete;

    // Any thread.
    void progress(const recovery::Progress& now);

    struct Handover {
        std::vector<Early> clients;
        std::uint64_t last_id = 0;  // given to one of them, or to one that has gone
    };
    // Ends the thread and gives up the connections.
    [[nodiscard]] Handover stop();

  private:
    void run();

    std::vector<int> listeners_;
    const Config& config_;
    std::atomic<std::uint64_t> done_{0};
    std::atomic<std::uint64_t> all_{0};
    std::atomic<bool> stopping_{false};
    Handover early_;  // the thread's, until stop() has joined it
    std::thread thread_;
};

}  // namespace firnlog::server
