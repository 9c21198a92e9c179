#include "src/statistics.hpp"

#include <algorithm>
#include <bit>

namespace firnlog::server {
namespace {

// 0, 1, 2, 3 have a bucket each; from there on every power of two has four of equal width.
constexpr std::size_t kExact = 4;
constexpr std::size_t kToEach = 4;
constexpr int kToEachBits = 2;

}  // namespace

std::size_t CommandStatistics::bucket_of(std::uint64_t us) {
    if (us < kExact) return static_cast<std::size_t>(us);
    const auto power = static_cast<std::size_t>(std::bit_width(us)) - 1;
    const auto quarter = static_cast<std::size_t>(us >> (power - kToEachBits)) - kToEach;
    const auto bucket = kExact + (power - kToEachBits) * kToEach + quarter;
    return std::min(bucket, std::tuple_size_v<decltype(buckets)> - 1);
}

std::uint64_t CommandStatistics::bucket_end_us(std::size_t bucket) {
    if (bucket < kExact) return bucket;
    const auto shift = (bucket - kExact) / kToEach;
    const auto quarter = (bucket - kExact) % kToEach;
    return ((kToEach + quarter + 1) << shift) - 1;
}

}  // namespace firnlog::server
