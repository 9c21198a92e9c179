#pragma once
// TinyLock: a mutex of four bytes, for 16384 stripes and the tail.
//
//   0 free   1 held   2 held, and somebody may sleep
//
// Held for tens of nanoseconds, or a microsecond or two, so a waiter spins before it sleeps in the
// kernel: to wake it again takes longer than all who are before it. Order of acquisition
// everywhere: stripes ascending, then the tail. Source: U. Drepper, Futexes Are Tricky, mutex 2.

#include <atomic>
#include <cstdint>

namespace firnlog::engine {

class TinyLock {
  public:
    void lock() noexcept {
        std::uint32_t seen = 0;
        if (state_.compare_exchange_strong(seen, 1, std::memory_order_acquire)) return;
        lock_slowly();
    }
    void unlock() noexcept {
        if (state_.exchange(0, std::memory_order_release) == 2) state_.notify_one();
    }
    [[nodiscard]] bool try_lock() noexcept {
        std::uint32_t seen = 0;
        return state_.compare_exchange_strong(seen, 1, std::memory_order_acquire);
    }

  private:
    void lock_slowly() noexcept {
        // Some 50 us. Looked at seldom, and before it is taken, for the holder needs the line to
        // give it back.
        for (int looks = 0; looks < 200; ++looks) {
            if (state_.load(std::memory_order_relaxed) == 0 && try_lock()) return;
            for (int pauses = 0; pauses < 8; ++pauses) __builtin_ia32_pause();
        }
        while (state_.exchange(2, std::memory_order_acquire) != 0)
            state_.wait(2, std::memory_order_relaxed);
    }

    std::atomic<std::uint32_t> state_{0};
};

}  // namespace firnlog::engine
