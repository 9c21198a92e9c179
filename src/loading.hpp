#pragma once
// Loading: answers clients while the log is being replayed, on a thread of its own.
//
// Each command gets Redis's -LOADING, INFO a short answer that says loading:1, so that tools wait
// instead of failing. When the store is open the connections are handed to the reactors as they
// are, with what they have sent and not been answered. Plain poll(2): this lives for seconds.

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "recovery/open.hpp"
#include "src/address.hpp"

namespace firnlog::server {

class Loading {
  public:
    explicit Loading(const std::vector<Listener>& listeners);
    ~Loading();
    Loading(const Loading&) = delete;
    Loading& operator=(const Loading&) = delete;

    // Any thread.
    void progress(const recovery::Progress& now);

    // A client that came while loading.
    struct Early {
        int fd = -1;
        std::string unread;
    };
    // Ends the thread and gives up the connections.
    [[nodiscard]] std::vector<Early> stop();

  private:
    void run();

    std::vector<int> listeners_;
    std::atomic<std::uint64_t> done_{0};
    std::atomic<std::uint64_t> all_{0};
    std::atomic<bool> stopping_{false};
    std::vector<Early> early_;  // the thread's, until stop() has joined it
    std::thread thread_;
};

}  // namespace firnlog::server
