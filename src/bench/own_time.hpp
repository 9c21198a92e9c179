#pragma once
// OwnTime: how much of a thread's life was its own doing: using a core, or waiting for one. The
// rest is sleep, from which a reply would have woken it.
//
// The kernel counts both by thread: its CPU clock, and the second number of schedstat, the
// nanoseconds it stood in a queue for a core. A kernel without the latter leaves that part out.

#include <cstdint>

namespace firnlog::bench {

class OwnTime {
  public:
    OwnTime() = default;
    OwnTime(const OwnTime&) = delete;
    OwnTime& operator=(const OwnTime&) = delete;
    ~OwnTime();

    void begin();  // from the thread that it is about
    // Since some moment in the past: differences tell.
    [[nodiscard]] std::uint64_t now_ns() const;

  private:
    int schedstat_ = -1;
};

}  // namespace firnlog::bench
