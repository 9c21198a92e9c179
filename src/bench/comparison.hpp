#pragma once
// Comparison: two servers under the same load, slice by slice in the same minutes.
//
//   slice     1    2    3    4  …          a ratio is taken between neighbours in time:
//   servers   A B  B A  A B  B A           what the machine did meanwhile it did to both
//
// Told are the median of the ratios and the smallest and largest of them. A verdict is given only
// where the spread allows one: all slices say the same, and there are enough of them that chance
// would seldom do that (six of six: 1 in 32, both directions taken together). A slice in which a
// percentile was not measured (figures.hpp) has no say in it.

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "src/bench/run.hpp"

namespace firnlog::bench {

inline constexpr std::size_t kSlicesForVerdict = 6;

struct Ratio {
    std::string what;  // "rate", "p99", "CPU a request"
    bool more_is_better = true;
    std::vector<double> slices;  // the first server's figure by the other's
    double median = 0;
    double least = 0;
    double most = 0;
    enum class Verdict : std::uint8_t { none, better, worse } verdict = Verdict::none;
};

struct Comparison {
    std::string workload;
    std::string server;
    std::string other;
    std::vector<Ratio> ratios;
};

[[nodiscard]] Comparison compare(const Run& run, const Run& other);

// Ratios of slices as above; what cannot be divided is left out.
[[nodiscard]] Ratio ratio_of(std::string what, bool more_is_better, std::span<const double> figures,
                             std::span<const double> others);

[[nodiscard]] std::string text_of(const Comparison& comparison);

}  // namespace firnlog::bench
