#pragma once
// Forget: a key's history goes from the store, whatever the window, beside its clients.
//
//   the key is written anew, or deleted (WITH LIVE) ──> a place in the log: all before it goes
//   what a flush took of it goes too, where that is parked
//   the log goes on in another segment
//        ──> Walk::forget: files written anew without it, one by one
//        ──> backups and the archive are looked through, and told
//
// One at a time. The client that asked waits for it; it goes on when that has gone. A start forgets
// that it was asked for: files that were written anew by then stay so.
//
// run() belongs to the jobs' threads (src/recall.hpp), told() to any; `mutex_` guards what is told.

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "engine/walk.hpp"

namespace firnlog::server {

class Reactor;
class Server;

struct ForgetWish {
    std::string key;
    std::uint32_t database = 0;
    bool with_live = false;
};

struct ForgetTold {
    enum class State : std::uint8_t { none, writing, erasing, looking, done, failed };
    State state = State::none;
    std::string error;  // of a failed one
    engine::Forgotten erased;
    // Backups that have the key still, and those of which nobody can tell.
    std::vector<std::string> backups;
    std::vector<std::string> backups_unread;
    enum class Archive : std::uint8_t { none, clean, holds, unknown };
    Archive archive = Archive::none;
    std::int64_t began_us = 0;  // monotonic
    std::int64_t took_us = 0;
};
[[nodiscard]] std::string_view name_of(ForgetTold::State state);
[[nodiscard]] std::string_view name_of(ForgetTold::Archive archive);

class Forget {
  public:
    explicit Forget(Server& server) : server_(server) {}

    // What became of it; the error is a reply. `home`: the reactor that writes.
    [[nodiscard]] tl::expected<ForgetTold, std::string> run(Reactor& home, const ForgetWish& wish);
    // Of the one under way, or of the last one.
    [[nodiscard]] ForgetTold told() const;

  private:
    using Outcome = tl::expected<void, std::string>;
    [[nodiscard]] Outcome run_steps(Reactor& home, const ForgetWish& wish);
    [[nodiscard]] tl::expected<engine::ForgetOrder, std::string> write(Reactor& home,
                                                                       const ForgetWish& wish);
    [[nodiscard]] Outcome end_segment(Reactor& home);
    [[nodiscard]] Outcome erase(const engine::ForgetOrder& order);
    [[nodiscard]] Outcome look_elsewhere(const engine::ForgetOrder& order);
    void enter(ForgetTold::State state);

    Server& server_;
    mutable std::mutex mutex_;
    ForgetTold told_;
};

}  // namespace firnlog::server
