#pragma once
// Pace: how much of the worker's time a job that nobody waits for may take, by what clients feel.
//
//   log's writes, each from its start until the reactor hears of it ──note──> the slowest of 50 ms
//   while no job runs   what is usual here
//   while one runs      twice that, and more: it gets half as much time; else a little more
//
// A write waits for the disk and for a core, as clients do, so it tells of both. Where nothing is
// written nobody is looked at.
//
// note() belongs to any thread, duty() to the worker; AIMD, as in RFC 5681.

#include <atomic>
#include <cstdint>

#include "io/clock.hpp"

namespace firnlog::engine {

class Pace {
  public:
    void note(std::int64_t us) noexcept {
        auto seen = slowest_us_.load(std::memory_order_relaxed);
        while (seen < us &&
               !slowest_us_.compare_exchange_weak(seen, us, std::memory_order_relaxed)) {
        }
    }
    // Of its time, in percent: a twentieth at least, as long as that is no more than `most`.
    // `busy`: a job runs.
    unsigned duty(io::MonoTime now, bool busy, unsigned most);
    // What the slowest take where no job runs, in microseconds; 0: not known.
    [[nodiscard]] std::int64_t usual_us() const { return usual_us_; }

  private:
    std::atomic<std::int64_t> slowest_us_{0};  // of the window
    // Worker only.
    unsigned percent_ = 100;
    std::int64_t usual_us_ = 0;
    io::MonoTime window_end_;
};

}  // namespace firnlog::engine
