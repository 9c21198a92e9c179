#pragma once
// Clock: simulated time and entropy.
//
// Time stands still unless the World moves it: an operation takes its while, a sleeping Io jumps to
// what happens next. The wall is the steady clock plus an offset that a test may change at any
// moment. With real threads the steady clock is the machine's.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <span>

#include "io/clock.hpp"
#include "tests/sim/rng.hpp"

namespace firnlog::sim {

class Clock final : public io::Clock {
  public:
    Clock(Rng rng, bool threads) : threads_(threads), entropy_(rng) {}

    [[nodiscard]] io::MonoTime mono() const noexcept override { return {now()}; }
    [[nodiscard]] io::WallTime wall() const noexcept override {
        return {now() + wall_offset_.load(std::memory_order_relaxed)};
    }
    [[nodiscard]] io::MonoTime boot() const noexcept override {
        return {now() + asleep_us_.load(std::memory_order_relaxed)};
    }
    void entropy(std::span<std::byte> into) noexcept override {
        const std::lock_guard hold{lock_};
        for (std::byte& byte : into) byte = static_cast<std::byte>(entropy_.next() >> 56);
    }

    // Verbs of a test.
    void advance(std::int64_t us) { us_ += us; }
    void jump_wall(std::int64_t us) { wall_offset_ += us; }  // somebody set the clock
    void sleep(std::int64_t us) {                            // the machine was suspended
        wall_offset_ += us;
        asleep_us_ += us;
    }

    // For the World.
    void advance_to(std::int64_t us) {
        if (!threads_ && us > us_) us_ = us;
    }
    // The steady clocks begin anew, the wall goes on `down_us` later.
    void reboot(std::int64_t uptime_us, std::int64_t down_us) {
        const std::int64_t wall_us = wall().us + down_us;
        us_ = threads_ ? us_.load() : uptime_us;
        asleep_us_ = 0;
        wall_offset_ = wall_us - now();
    }

  private:
    [[nodiscard]] std::int64_t now() const noexcept {
        std::int64_t us = us_.load(std::memory_order_relaxed);
        if (threads_)
            us += std::chrono::duration_cast<std::chrono::microseconds>(
                      std::chrono::steady_clock::now() - started_)
                      .count();
        return us;
    }

    const bool threads_;
    const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    std::atomic<std::int64_t> us_{1'000'000};
    std::atomic<std::int64_t> wall_offset_{1'700'000'000'000'000};  // a day in 2023
    std::atomic<std::int64_t> asleep_us_{0};
    std::mutex lock_;
    Rng entropy_;
};

}  // namespace firnlog::sim
