#include "src/bench/distribution.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "src/text/numbers.hpp"

namespace firnlog::bench {
namespace {

// "1%" and "0.01" are the same share.
std::optional<double> parse_share(std::string_view text) {
    const bool percent = text.ends_with('%');
    if (percent) text.remove_suffix(1);
    auto number = server::text::parse_double(text);
    if (!number) return std::nullopt;
    const double share = percent ? *number / 100 : *number;
    return share > 0 && share <= 1 ? std::optional(share) : std::nullopt;
}

// log1p(x) / x and expm1(x) / x, both 1 at 0.
double log1p_over(double x) { return std::abs(x) > 1e-8 ? std::log1p(x) / x : 1 - x / 2; }
double expm1_over(double x) { return std::abs(x) > 1e-8 ? std::expm1(x) / x : 1 + x / 2; }

// A multiplier without a common factor with `keys`, near the golden section of it: multiplying by
// it modulo `keys` is a permutation that brings neighbours far apart.
std::uint64_t scatter_of(std::uint64_t keys) {
    auto step = std::max<std::uint64_t>(
        1, static_cast<std::uint64_t>(static_cast<double>(keys) * 0.6180339887498949));
    while (std::gcd(step, keys) != 1) ++step;
    return step;
}

}  // namespace

std::optional<Distribution> parse_distribution(std::string_view text) {
    Distribution parsed;
    const auto colon = text.find(':');
    const auto name = text.substr(0, colon);
    const auto rest = colon == text.npos ? std::string_view{} : text.substr(colon + 1);
    if (colon != text.npos && rest.empty()) return std::nullopt;
    if (name == "uniform" || name == "sequential") {
        parsed.kind =
            name == "uniform" ? Distribution::Kind::uniform : Distribution::Kind::sequential;
        return rest.empty() ? std::optional(parsed) : std::nullopt;
    }
    if (name == "zipf" || name == "latest") {
        parsed.kind = name == "zipf" ? Distribution::Kind::zipf : Distribution::Kind::latest;
        if (rest.empty()) return parsed;
        const auto theta = server::text::parse_double(rest);
        if (!theta || *theta <= 0 || *theta > 20) return std::nullopt;
        parsed.theta = *theta;
        return parsed;
    }
    if (name != "hotspot" || rest.empty()) return std::nullopt;
    parsed.kind = Distribution::Kind::hotspot;
    const auto second = rest.find(':');
    const auto share = parse_share(rest.substr(0, second));
    const auto accesses = second == rest.npos ? 0.5 : parse_share(rest.substr(second + 1));
    if (!share || !accesses) return std::nullopt;
    parsed.hot_share = *share;
    parsed.hot_accesses = *accesses;
    return parsed;
}

// With h(x) = x^-θ and H its integral: a uniform point under H from 1 to n is carried back through
// H's inverse, rounded, and kept unless it fell above the step of its number.

Zipf::Zipf(double theta, std::uint64_t numbers) : theta_(theta), numbers_(numbers) {
    integral_first_ = integral(1.5) - 1;
    integral_end_ = integral(static_cast<double>(numbers) + 0.5);
    accepted_ = 2 - integral_inverse(integral(2.5) - density(2));
}

double Zipf::integral(double x) const {
    const double log = std::log(x);
    return expm1_over((1 - theta_) * log) * log;
}

double Zipf::integral_inverse(double x) const {
    const double inner = std::max(x * (1 - theta_), -1.0);
    return std::exp(log1p_over(inner) * x);
}

double Zipf::density(double x) const { return std::exp(-theta_ * std::log(x)); }

std::uint64_t Zipf::next(Random& random) const {
    while (true) {
        const double u = integral_end_ + random.unit() * (integral_first_ - integral_end_);
        const double x = integral_inverse(u);
        const auto number =
            static_cast<std::uint64_t>(std::clamp(x + 0.5, 1.0, static_cast<double>(numbers_)));
        const auto whole = static_cast<double>(number);
        if (whole - x <= accepted_ || u >= integral(whole + 0.5) - density(whole)) return number;
    }
}

KeyPicker::KeyPicker(const Distribution& distribution, std::uint64_t keys, std::uint64_t turn,
                     std::uint64_t turns)
    : distribution_(distribution),
      keys_(keys),
      position_(turn % keys),
      step_(turns % keys),
      scatter_(scatter_of(keys)),
      hot_keys_(std::clamp<std::uint64_t>(static_cast<std::uint64_t>(std::llround(
                                              static_cast<double>(keys) * distribution.hot_share)),
                                          1, keys)),
      zipf_(distribution.theta, keys) {}

std::uint64_t KeyPicker::scattered(std::uint64_t rank) const { return rank * scatter_ % keys_; }

std::uint64_t KeyPicker::next(Random& random, std::uint64_t newest) {
    switch (distribution_.kind) {
        case Distribution::Kind::uniform:
            return random.below(keys_);
        case Distribution::Kind::zipf:
            return scattered(zipf_.next(random) - 1);
        case Distribution::Kind::latest:
            return newest - std::min(zipf_.next(random), newest);
        case Distribution::Kind::hotspot: {
            const bool hot = hot_keys_ == keys_ || random.unit() < distribution_.hot_accesses;
            return scattered(hot ? random.below(hot_keys_)
                                 : hot_keys_ + random.below(keys_ - hot_keys_));
        }
        case Distribution::Kind::sequential:
            break;
    }
    const auto key = position_;
    position_ += step_;
    if (position_ >= keys_) position_ -= keys_;
    return key;
}

}  // namespace firnlog::bench
