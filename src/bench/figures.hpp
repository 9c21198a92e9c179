#pragma once
// Figures: which percentiles are told, whether one was measured at all, and how they are written.
//
// latency >= lateness holds request by request, as a request that left late was answered late. So
// no percentile of the one lies below the same percentile of the other, and what is looked at is
// the rest: when the generator's own lateness at a percentile is more than half of the latency
// there, what is left for the server lies below the lateness, and the figure says more about us.

#include <array>
#include <cstdint>
#include <string>

#include "src/bench/histogram.hpp"

namespace firnlog::bench {

struct Percentile {
    double percent;
    const char* name;
};
inline constexpr std::array<Percentile, 7> kPercentiles{{{50, "p50"},
                                                         {90, "p90"},
                                                         {99, "p99"},
                                                         {99.9, "p99.9"},
                                                         {99.99, "p99.99"},
                                                         {100, "max"},
                                                         {0, "mean"}}};

// Of a percentile as above: 100 is the largest value, 0 stands for the mean.
[[nodiscard]] std::uint64_t figure_ns(const Histogram& histogram, double percent);

[[nodiscard]] constexpr bool is_measured(std::uint64_t latency_ns, std::uint64_t lateness_ns) {
    return lateness_ns <= latency_ns - latency_ns / 2;
}

// "0.081", "12.3", "1450": milliseconds with three digits that count, or so.
[[nodiscard]] std::string as_ms(std::uint64_t ns);
// "1,234,567"
[[nodiscard]] std::string with_commas(std::uint64_t number);
// With so many digits behind the point.
[[nodiscard]] std::string with_digits(double number, int digits);

}  // namespace firnlog::bench
