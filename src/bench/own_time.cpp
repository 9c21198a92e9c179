#include "src/bench/own_time.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <ctime>

namespace firnlog::bench {

OwnTime::~OwnTime() {
    if (schedstat_ >= 0) ::close(schedstat_);
}

void OwnTime::begin() { schedstat_ = ::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC); }

std::uint64_t OwnTime::now_ns() const {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    auto own_ns = static_cast<std::uint64_t>(used.tv_sec) * 1'000'000'000U +
                  static_cast<std::uint64_t>(used.tv_nsec);
    // "555880 1468781 2": its time on a core, as of some tick; its time in a queue; how often.
    std::array<char, 80> text{};
    const auto bytes = schedstat_ < 0 ? -1 : ::pread(schedstat_, text.data(), text.size(), 0);
    if (bytes <= 0) return own_ns;
    const char* const end = text.data() + bytes;
    std::uint64_t number = 0;
    const auto first = std::from_chars(text.data(), end, number);
    if (first.ec != std::errc() || first.ptr == end) return own_ns;
    if (std::from_chars(first.ptr + 1, end, number).ec == std::errc()) own_ns += number;
    return own_ns;
}

}  // namespace firnlog::bench
