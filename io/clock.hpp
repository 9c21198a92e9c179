#pragma once
// Clock: what time it is, and entropy; the third way out of the process beside Io and Files.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>

namespace firnlog::io {

// Microseconds on a clock that never steps, from an arbitrary start (CLOCK_MONOTONIC).
struct MonoTime {
    std::int64_t us = 0;
    auto operator<=>(const MonoTime&) const = default;
    [[nodiscard]] constexpr MonoTime after(std::int64_t us_later) const { return {us + us_later}; }
};

// Microseconds since 1970 by the wall clock, which may step either way (CLOCK_REALTIME).
struct WallTime {
    std::int64_t us = 0;
    auto operator<=>(const WallTime&) const = default;
    [[nodiscard]] constexpr std::int64_t ms() const { return us / 1000; }
};

class Clock {
  public:
    Clock() = default;
    Clock(const Clock&) = delete;
    Clock& operator=(const Clock&) = delete;
    virtual ~Clock() = default;

    [[nodiscard]] virtual MonoTime mono() const noexcept = 0;
    [[nodiscard]] virtual WallTime wall() const noexcept = 0;
    // Time since boot, which goes on while the machine sleeps (CLOCK_BOOTTIME): against it a jump
    // of the wall clock is recognised.
    [[nodiscard]] virtual MonoTime boot() const noexcept = 0;
    // Fills with unpredictable bytes (getrandom(2)).
    virtual void entropy(std::span<std::byte> into) noexcept = 0;
};

}  // namespace firnlog::io
