#pragma once
// wall: the time of day in microseconds. Everything a run records is on this one clock, because
// expiry is on it too, and the server under test runs on the same machine.

#include <chrono>
#include <cstdint>

namespace firnlog::crashtest {

[[nodiscard]] inline std::int64_t wall_us() {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace firnlog::crashtest
