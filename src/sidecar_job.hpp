#pragma once
// SidecarJob: the sidecars of the store that is served, made on a thread of their own behind its
// log, at a rate that nobody notices.
//
//   log grows ──> pass: what is not in a sidecar yet is read, sidecar-rate bytes a second at most
//   disk fills ──> all of them go, before anything of history does; made anew when there is room
//
// They make FIRN GET, FIRN HISTORY and FIRN RESTORE KEY quick (recovery/past_of_key.hpp), and
// nothing else depends on them. Files of the log may go while it reads them: it holds none back.
//
// serving() and status() belong to any thread, once reads() has been called; `mutex_` guards what
// they share with its own.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "engine/walk.hpp"
#include "io/files.hpp"
#include "recovery/history.hpp"

namespace firnlog::server {

class Server;

class SidecarJob {
  public:
    explicit SidecarJob(Server& server) : server_(server) {}
    ~SidecarJob() { stop(); }
    SidecarJob(const SidecarJob&) = delete;
    SidecarJob& operator=(const SidecarJob&) = delete;

    // Starts the thread; once, before the first turn. Without it look-ups make what they need.
    Result<void> reads(io::Files& store);
    void stop();

    // For who reads the past of the store now. It was read from there.
    [[nodiscard]] recovery::Serving serving();

    struct Status {
        recovery::Sidecars::Told told;
        bool shed = false;  // there is no room for them
        std::string error;  // of the last pass
    };
    [[nodiscard]] Status status() const;

  private:
    using Guard = std::unique_lock<std::mutex>;
    void work();
    void turn();
    void pass();
    void note(std::string error);
    [[nodiscard]] bool has_room(const engine::Walk::Status& walk);
    [[nodiscard]] bool may_write(const engine::Walk::Status& walk) const;
    [[nodiscard]] bool pace(std::uint64_t bytes);
    [[nodiscard]] bool sleep(std::int64_t us);

    Server& server_;
    io::Files* files_ = nullptr;
    std::unique_ptr<recovery::Sidecars> sidecars_;
    std::thread thread_;

    // Its own thread's.
    std::int64_t nap_us_ = 0;
    std::int64_t next_us_ = 0;  // the next piece is read not before
    std::int64_t pass_began_us_ = 0;
    engine::Lsn seen_;  // by the last pass
    bool could_write_ = true;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool stopping_ = false;
    bool shed_ = false;
    std::string error_;
};

}  // namespace firnlog::server
