#include "src/bench/histogram.hpp"

#include <algorithm>
#include <cmath>

namespace firnlog::bench {

void Histogram::add(const Histogram& other) {
    for (std::size_t bucket = other.first_; bucket < other.end_; ++bucket)
        counts_[bucket] += other.counts_[bucket];
    first_ = std::min(first_, other.first_);
    end_ = std::max(end_, other.end_);
    count_ += other.count_;
    max_ = std::max(max_, other.max_);
}

void Histogram::add(const Sparse& other) {
    for (const auto cell : other.cells) {
        const std::size_t bucket = cell >> Sparse::kCountBits;
        const auto times = cell & ((std::uint64_t{1} << Sparse::kCountBits) - 1);
        counts_[bucket] += times;
        count_ += times;
        first_ = std::min(first_, bucket);
        end_ = std::max(end_, bucket + 1);
    }
    max_ = std::max(max_, other.max);
}

double Histogram::mean() const noexcept {
    if (count_ == 0) return 0;
    double sum = 0;
    for (std::size_t bucket = first_; bucket < end_; ++bucket) {
        const auto middle =
            (static_cast<double>(low_of(bucket)) + static_cast<double>(high_of(bucket))) / 2;
        sum += middle * static_cast<double>(counts_[bucket]);
    }
    return sum / static_cast<double>(count_);
}

std::uint64_t Histogram::percentile(double percent) const noexcept {
    if (count_ == 0) return 0;
    const double wanted = std::ceil(percent / 100 * static_cast<double>(count_) - 1e-9);
    const auto rank =
        std::clamp<std::uint64_t>(static_cast<std::uint64_t>(std::max(wanted, 1.0)), 1, count_);
    std::uint64_t seen = 0;
    for (std::size_t bucket = first_; bucket < end_; ++bucket) {
        seen += counts_[bucket];
        if (seen >= rank) return bucket + 1 == end_ ? max_ : std::min(high_of(bucket), max_);
    }
    return max_;
}

std::uint64_t Histogram::count_between(std::uint64_t low, std::uint64_t high) const noexcept {
    std::uint64_t seen = 0;
    const auto end = std::min(bucket_of(high), end_);
    for (auto bucket = std::max(bucket_of(low), first_); bucket < end; ++bucket)
        seen += counts_[bucket];
    return seen;
}

Sparse Histogram::take() {
    Sparse taken{.cells = {}, .max = max_};
    for (std::size_t bucket = first_; bucket < end_; ++bucket) {
        if (counts_[bucket] == 0) continue;
        taken.cells.push_back(std::uint64_t{bucket} << Sparse::kCountBits | counts_[bucket]);
        counts_[bucket] = 0;
    }
    first_ = kBuckets;
    end_ = 0;
    count_ = 0;
    max_ = 0;
    return taken;
}

}  // namespace firnlog::bench
