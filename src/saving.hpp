#pragma once
// Saving: what SAVE, BGSAVE and BGREWRITEAOF mean here. All three ask the walk for a checkpoint;
// this remembers who waits for one, and what INFO and LASTSAVE tell of it.
//
// Redis has two jobs that Firnlog has as one. Which name a walk goes by is decided by who asked for
// it; one that began by itself is a save. Who waits, waits for one walk by its number: one that
// was just ending when it was asked for another answers nobody.
// Any thread; `mutex_` guards the waiters. It is taken before the walk's.

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace firnlog::server {

class Reactor;
class Server;

class Saving {
  public:
    explicit Saving(Server& server) : server_(server) {}

    enum class Name : std::uint8_t { save, rewrite };
    enum class Asked : std::uint8_t { started, scheduled, save_runs, rewrite_runs, paused };
    // `schedule`: behind one that runs already.
    Asked ask(Name name, bool schedule);
    // The same, in a hurry: runs `done` on that reactor when the walk that was asked for has ended,
    // unless the answer is that there will be none.
    Asked ask(Name name, bool schedule, Reactor& reactor,
              std::function<void(Reactor&, bool good)> done);

    // The walk ended. The worker's thread.
    void finished(bool good);
    // Tells an operator of log that should have a checkpoint and gets none: the walk is paused,
    // fails, or is too slow, and a start will take longer than it may. Now and then, on reactor 0.
    void watch();

    // Of the walk under way, or of the one that is about to begin.
    [[nodiscard]] Name name() const;
    // A rewrite is to begin when the walk under way has ended.
    [[nodiscard]] bool rewrite_scheduled() const;
    [[nodiscard]] std::uint64_t rewrites() const {
        return rewrites_.load(std::memory_order_relaxed);
    }
    // LASTSAVE, in seconds since 1970.
    [[nodiscard]] std::int64_t last_s() const;

  private:
    struct Waiter {
        std::uint64_t walk = 0;
        Reactor* reactor = nullptr;
        std::function<void(Reactor&, bool)> done;
    };
    Asked ask_locked(Name name, bool schedule, bool hurry, std::uint64_t& walk);

    Server& server_;
    std::uint64_t told_behind_ = 0;  // on reactor 0: checkpoints that were missing
    // The number of the newest walk that goes by that name. There is never more than one of them
    // under way or scheduled.
    std::atomic<std::uint64_t> rewrite_{0};
    std::atomic<std::uint64_t> rewrites_{0};
    std::mutex mutex_;
    std::vector<Waiter> waiters_;
};

}  // namespace firnlog::server
