#pragma once
// Now: the time that expiry goes by. max(wall, high water): it never steps back, so what was once
// reported expired stays so. A forward jump of the wall clock by more than an hour against the boot
// clock suspends active expiry until somebody confirms it, so that a wrong clock does not empty the
// store. Shared by all reactors; relaxed atomics are enough, each value stands alone.

#include <atomic>
#include <cstdint>

#include "io/clock.hpp"

namespace firnlog::engine {

class Now {
  public:
    Now(io::Clock& clock, std::int64_t high_us);

    // Reads the clocks; once a turn.
    void update();
    [[nodiscard]] std::int64_t ms() const {
        return high_us_.load(std::memory_order_relaxed) / 1000;
    }
    [[nodiscard]] std::int64_t us() const { return high_us_.load(std::memory_order_relaxed); }
    // The clock jumped and nobody has confirmed it.
    [[nodiscard]] bool suspended() const { return suspended_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::int64_t jump_us() const { return jump_us_.load(std::memory_order_relaxed); }
    void confirm();

  private:
    io::Clock& clock_;
    std::atomic<std::int64_t> high_us_;
    // Wall less boot time at the last look.
    std::atomic<std::int64_t> offset_us_;
    std::atomic<std::int64_t> jump_us_{0};
    std::atomic<bool> suspended_{false};
};

}  // namespace firnlog::engine
