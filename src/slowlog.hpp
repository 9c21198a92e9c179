#pragma once
// SlowLog: the commands that took longest lately, newest first; SLOWLOG shows it.
//
// Bounded three ways, as Redis bounds it: `slowlog-max-len` entries of at most 32 arguments of at
// most 128 bytes each. Passwords never get in. Shared by all reactors: one mutex, taken only for a
// command that was slow.

#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace firnlog::server {

class Connection;
struct Config;

struct SlowCommand {
    std::int64_t id = 0;
    std::int64_t at_s = 0;  // since 1970
    std::int64_t took_us = 0;
    std::vector<std::string> args;
    std::string peer;
    std::string name;  // of the client
};

class SlowLog {
  public:
    void note(const Config& config, std::span<const std::string_view> args, std::int64_t took_us,
              const Connection& client);

    // Up to `count` of them, the newest first.
    [[nodiscard]] std::vector<SlowCommand> newest(std::size_t count) const;
    [[nodiscard]] std::size_t size() const;
    void reset();

  private:
    mutable std::mutex mutex_;
    std::deque<SlowCommand> commands_;  // the newest in front
    std::int64_t next_id_ = 0;
};

}  // namespace firnlog::server
