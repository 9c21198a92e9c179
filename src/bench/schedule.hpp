#pragma once
// Schedule: when each request of an open loop should leave, whatever the server does meanwhile.
//
//   request  0        1        2        3        4   …     one every 1/rate seconds
//   leaves   start    +1/rate  +2/rate  …                  of connection  number mod connections
//
// Connection c of C sends requests c, c + C, c + 2C, …: when one of them should have left follows
// from its number alone, so that nothing has to be remembered while a server stalls, and a request
// that could not leave in time still counts from then.

#include <cmath>
#include <cstdint>

namespace firnlog::bench {

class Schedule {
  public:
    Schedule() = default;
    Schedule(double rate, std::uint64_t start_ns) : apart_ns_(1e9 / rate), start_ns_(start_ns) {}

    // A double holds a nanosecond exactly for 100 days.
    [[nodiscard]] std::uint64_t at(std::uint64_t number) const noexcept {
        return start_ns_ + static_cast<std::uint64_t>(static_cast<double>(number) * apart_ns_);
    }

    // How many requests should leave before `end_ns`.
    [[nodiscard]] std::uint64_t count_before(std::uint64_t end_ns) const noexcept {
        if (end_ns <= start_ns_) return 0;
        auto count =
            static_cast<std::uint64_t>(static_cast<double>(end_ns - start_ns_) / apart_ns_);
        while (at(count) < end_ns) ++count;
        while (count > 0 && at(count - 1) >= end_ns) --count;
        return count;
    }

  private:
    double apart_ns_ = 0;
    std::uint64_t start_ns_ = 0;
};

// The requests of one thread, in the order in which they are due: those of connections turn,
// turn + turns, … below `connections`.
class ThreadSchedule {
  public:
    struct Due {
        std::uint64_t local;  // the connection, counted within the thread
        std::uint64_t number;
    };
    ThreadSchedule(std::uint64_t turn, std::uint64_t turns, std::uint64_t connections)
        : turn_(turn), turns_(turns), connections_(connections) {}

    [[nodiscard]] Due next() const noexcept {
        return {local_, round_ * connections_ + turn_ + turns_ * local_};
    }
    void advance() noexcept {
        ++local_;
        if (turn_ + turns_ * local_ < connections_) return;
        local_ = 0;
        ++round_;
    }

  private:
    std::uint64_t turn_;
    std::uint64_t turns_;
    std::uint64_t connections_;
    std::uint64_t local_ = 0;
    std::uint64_t round_ = 0;
};

}  // namespace firnlog::bench
