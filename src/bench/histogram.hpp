#pragma once
// Histogram: how often each latency was seen, in buckets that are at most 0.1 % of their value
// wide.
//
//   value  0 … 2047          one bucket each
//          2^k … 2^(k+1)-1   1024 buckets of equal width, for each k from 11 on
//
// The widest bucket of an octave is 1/1024 of its smallest value: 0.098 %. A percentile is told as
// the largest value of its bucket, never as a smaller one, so that no figure flatters; the largest
// value ever seen is kept exactly. Values are nanoseconds; past 73 minutes they share a bucket.
// Sparse is the same without the empty buckets: what a slice of time is kept as.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace firnlog::bench {

// A bucket's number above, how often it was hit below.
struct Sparse {
    static constexpr unsigned kCountBits = 44;
    std::vector<std::uint64_t> cells;  // ascending
    std::uint64_t max = 0;
};

class Histogram {
  public:
    static constexpr unsigned kValueBits = 42;
    static constexpr unsigned kOctaveBits = 10;
    static constexpr std::uint64_t kValueMax = (std::uint64_t{1} << kValueBits) - 1;

    [[nodiscard]] static constexpr std::size_t bucket_of(std::uint64_t value) noexcept {
        if (value > kValueMax) value = kValueMax;
        const auto width = static_cast<unsigned>(std::bit_width(value));
        const unsigned shift = width > kOctaveBits + 1 ? width - kOctaveBits - 1 : 0;
        return (std::size_t{shift} << kOctaveBits) + (value >> shift);
    }
    // The smallest and the largest value that fall into a bucket.
    [[nodiscard]] static constexpr std::uint64_t low_of(std::size_t bucket) noexcept {
        if (bucket < std::size_t{2} << kOctaveBits) return bucket;
        const std::size_t shift = (bucket >> kOctaveBits) - 1;
        return ((bucket & ((std::size_t{1} << kOctaveBits) - 1)) + (std::size_t{1} << kOctaveBits))
               << shift;
    }
    [[nodiscard]] static constexpr std::uint64_t high_of(std::size_t bucket) noexcept {
        return low_of(bucket + 1) - 1;
    }
    static constexpr std::size_t kBuckets =
        (std::size_t{kValueBits - kOctaveBits - 1} << kOctaveBits) +
        (std::size_t{2} << kOctaveBits);

    void record(std::uint64_t value, std::uint64_t times = 1) noexcept {
        const std::size_t bucket = bucket_of(value);
        counts_[bucket] += times;
        count_ += times;
        if (bucket < first_) first_ = bucket;
        if (bucket >= end_) end_ = bucket + 1;
        if (value > max_) max_ = value;
    }
    void add(const Histogram& other);
    void add(const Sparse& other);

    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    [[nodiscard]] std::uint64_t max() const noexcept { return max_; }
    [[nodiscard]] double mean() const noexcept;
    // The value that `percent` of all values do not exceed; 0 when there are none.
    [[nodiscard]] std::uint64_t percentile(double percent) const noexcept;
    // How many values lie in buckets from `low` on and below `high`'s.
    [[nodiscard]] std::uint64_t count_between(std::uint64_t low, std::uint64_t high) const noexcept;

    // What was recorded since the last take.
    [[nodiscard]] Sparse take();

  private:
    std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>(kBuckets);
    std::size_t first_ = kBuckets;  // no bucket below it was hit
    std::size_t end_ = 0;           // nor from here on
    std::uint64_t count_ = 0;
    std::uint64_t max_ = 0;
};

}  // namespace firnlog::bench
