#pragma once
// Windows: when each event began and ended, for the threads that measure beside it.
//
//   request     ├──────┤            inside, if any part of it lies in the window
//   window          ├───────────┤
//
// Written by the one thread that fires events, read by all workers at every reply; each time is one
// atomic that is set once, so that nobody sees half a window. `begin` is set before the event is
// sent and `end` after it was seen to be over: a window is never too short.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace firnlog::bench {

class Windows {
  public:
    static constexpr std::uint64_t kNever = static_cast<std::uint64_t>(-1);

    explicit Windows(std::size_t count) : windows_(count) {}

    [[nodiscard]] std::size_t size() const { return windows_.size(); }
    void begin(std::size_t at, std::uint64_t ns) { windows_[at].begin.store(ns); }
    void end(std::size_t at, std::uint64_t ns) { windows_[at].end.store(ns); }

    // Whether a request under way from `from` to `until` overlaps it.
    [[nodiscard]] bool touches(std::size_t at, std::uint64_t from, std::uint64_t until) const {
        return windows_[at].begin.load(std::memory_order_relaxed) <= until &&
               from <= windows_[at].end.load(std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t begin_of(std::size_t at) const { return windows_[at].begin.load(); }
    [[nodiscard]] std::uint64_t end_of(std::size_t at) const { return windows_[at].end.load(); }

  private:
    struct Window {
        std::atomic<std::uint64_t> begin{kNever};
        std::atomic<std::uint64_t> end{kNever};
    };
    std::vector<Window> windows_;
};

}  // namespace firnlog::bench
