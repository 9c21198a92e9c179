#include "src/bench/figures.hpp"

#include <fmt/format.h>

#include <cmath>

namespace firnlog::bench {

std::uint64_t figure_ns(const Histogram& histogram, double percent) {
    if (percent <= 0) return static_cast<std::uint64_t>(std::llround(histogram.mean()));
    return histogram.percentile(percent);
}

std::string as_ms(std::uint64_t ns) {
    const double ms = static_cast<double>(ns) * 1e-6;
    return with_digits(ms, ms < 10 ? 3 : ms < 100 ? 2 : ms < 1000 ? 1 : 0);
}

std::string with_commas(std::uint64_t number) {
    auto text = std::to_string(number);
    for (auto at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
    return text;
}

std::string with_digits(double number, int digits) {
    return fmt::format("{:.{}f}", number, digits);
}

}  // namespace firnlog::bench
