#include "io/system_clock.hpp"

#include <sys/random.h>

#include <cerrno>
#include <ctime>

#include "io/base/ensure.hpp"

namespace firnlog::io {
namespace {

std::int64_t microseconds(clockid_t clock) noexcept {
    timespec now{};
    // It fails for a clock the kernel does not know, and it knows these three.
    ensure(::clock_gettime(clock, &now) == 0, "the clock can be read");
    return now.tv_sec * 1'000'000 + now.tv_nsec / 1000;
}

}  // namespace

MonoTime SystemClock::mono() const noexcept { return {microseconds(CLOCK_MONOTONIC)}; }
WallTime SystemClock::wall() const noexcept { return {microseconds(CLOCK_REALTIME)}; }
MonoTime SystemClock::boot() const noexcept { return {microseconds(CLOCK_BOOTTIME)}; }

void SystemClock::entropy(std::span<std::byte> into) noexcept {
    while (!into.empty()) {
        const ssize_t got = ::getrandom(into.data(), into.size(), 0);
        // A signal may interrupt it; seeds and names must not be guessable, so nothing replaces it.
        ensure(got > 0 || errno == EINTR, "the kernel gives random bytes");
        if (got > 0) into = into.subspan(static_cast<std::size_t>(got));
    }
}

}  // namespace firnlog::io
