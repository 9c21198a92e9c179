#pragma once
// now_ns: nanoseconds on the clock that never steps, the one io::MonoTime counts in microseconds:
// a latency of 20 µs told in whole microseconds would already be off by 5 %.

#include <ctime>

#include <cstdint>

namespace firnlog::bench {

[[nodiscard]] inline std::uint64_t now_ns() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
           static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace firnlog::bench
