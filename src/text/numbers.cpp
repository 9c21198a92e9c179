#include "src/text/numbers.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "io/base/ensure.hpp"

namespace firnlog::server::text {

namespace {

constexpr std::size_t kLongDoubleBytesMax = 5 * 1024;  // Redis's MAX_LONG_DOUBLE_CHARS

// True when the C library took the whole text and the value is one that can be worked with.
template <class Real>
bool taken(const char* begin, const char* end, const char* stop, Real value, int error) noexcept {
    const bool out_of_range =
        error == ERANGE && (std::isinf(value) || std::fpclassify(value) == FP_ZERO);
    return stop == end && stop != begin && !out_of_range && error != EINVAL && !std::isnan(value);
}

// What the C library would skip before a number, and we must not.
bool starts_with_blank(std::string_view text) noexcept {
    return text.front() == ' ' || (text.front() >= '\t' && text.front() <= '\r');
}

}  // namespace

std::optional<std::uint64_t> parse_u64(std::string_view text) noexcept {
    if (text.empty() || text.size() > kIntegerBytesMax) return std::nullopt;
    if (text.front() == '0') {
        return text.size() == 1 ? std::optional<std::uint64_t>{0} : std::nullopt;
    }
    std::uint64_t value = 0;
    for (const char letter : text) {
        const auto digit = static_cast<std::uint64_t>(static_cast<unsigned char>(letter)) - '0';
        if (digit > 9) return std::nullopt;
        if (__builtin_mul_overflow(value, 10U, &value)) return std::nullopt;
        if (__builtin_add_overflow(value, digit, &value)) return std::nullopt;
    }
    return value;
}

std::optional<std::int64_t> parse_i64(std::string_view text) noexcept {
    constexpr auto kPositiveMax =
        static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    const bool negative = !text.empty() && text.front() == '-';
    if (negative) text.remove_prefix(1);
    const auto magnitude = parse_u64(text);
    if (!magnitude) return std::nullopt;
    if (!negative) {
        if (*magnitude > kPositiveMax) return std::nullopt;
        return static_cast<std::int64_t>(*magnitude);
    }
    if (*magnitude == 0 || *magnitude > kPositiveMax + 1) return std::nullopt;
    return static_cast<std::int64_t>(0 - *magnitude);
}

std::optional<double> parse_double(std::string_view text) {
    if (text.empty() || starts_with_blank(text)) return std::nullopt;
    // The C library wants a terminator, which a view has not.
    const std::string terminated(text);
    const char* const begin = terminated.c_str();
    char* stop = nullptr;
    errno = 0;
    const double value = std::strtod(begin, &stop);
    if (!taken(begin, begin + text.size(), stop, value, errno)) return std::nullopt;
    return value;
}

std::optional<long double> parse_long_double(std::string_view text) {
    if (text.empty() || text.size() >= kLongDoubleBytesMax || starts_with_blank(text)) {
        return std::nullopt;
    }
    std::array<char, kLongDoubleBytesMax> terminated;
    std::memcpy(terminated.data(), text.data(), text.size());
    terminated[text.size()] = '\0';
    const char* const begin = terminated.data();
    char* stop = nullptr;
    errno = 0;
    const long double value = std::strtold(begin, &stop);
    if (!taken(begin, begin + text.size(), stop, value, errno)) return std::nullopt;
    return value;
}

char* print_i64(char* to, std::int64_t value) noexcept {
    return std::to_chars(to, to + kIntegerBytesMax, value).ptr;
}

char* print_u64(char* to, std::uint64_t value) noexcept {
    return std::to_chars(to, to + kIntegerBytesMax, value).ptr;
}

char* print_double(char* to, double value) noexcept {
    // The sign of a NaN is noise.
    if (std::isnan(value)) value = std::numeric_limits<double>::quiet_NaN();
    return std::to_chars(to, to + kDoubleBytesMax, value, std::chars_format::general, 17).ptr;
}

std::string human(long double value) {
    if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
    if (std::isnan(value)) return "nan";
    std::array<char, kLongDoubleBytesMax> text;  // the largest has 4933 digits before the point
    const int length = std::snprintf(text.data(), text.size(), "%.17Lf", value);
    ensure(length > 0 && static_cast<std::size_t>(length) < text.size());
    std::string_view shown(text.data(), static_cast<std::size_t>(length));
    shown = shown.substr(0, shown.find_last_not_of('0') + 1);
    if (shown.ends_with('.')) shown.remove_suffix(1);
    return std::string(shown == "-0" ? "0" : shown);
}

}  // namespace firnlog::server::text
