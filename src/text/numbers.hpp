#pragma once
// numbers: numbers as clients write them and as replies show them, digit for digit as Redis 7.0.15.
//
// Integers have one spelling each ("7", never "+7", "07" or " 7"), so a value that parses can be
// stored as a number and given back as the same bytes. Floating numbers go through the C library
// for reading (it takes hexadecimal, "inf" and exponents, all of which clients may send).
// Pure functions; none looks at the locale as long as nobody calls setlocale(LC_NUMERIC).

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace firnlog::server::text {

inline constexpr std::size_t kIntegerBytesMax = 20;  // "-9223372036854775808", 2^64 - 1
inline constexpr std::size_t kDoubleBytesMax = 32;   // "-1.2345678901234567e-308" and room

[[nodiscard]] std::optional<std::int64_t> parse_i64(std::string_view text) noexcept;
[[nodiscard]] std::optional<std::uint64_t> parse_u64(std::string_view text) noexcept;

// Both accept infinity, refuse NaN, and refuse what overflows or vanishes; texts past 5 KiB are
// refused for long double, as by Redis.
[[nodiscard]] std::optional<double> parse_double(std::string_view text);
[[nodiscard]] std::optional<long double> parse_long_double(std::string_view text);

// Write at `to`, which has room for kIntegerBytesMax or kDoubleBytesMax, and return the end.
char* print_i64(char* to, std::int64_t value) noexcept;
char* print_u64(char* to, std::uint64_t value) noexcept;
char* print_double(char* to, double value) noexcept;  // "%.17g": 3, 0.10000000000000001, inf

// The form of INCRBYFLOAT: "%.17Lf" without trailing zeros, never an exponent.
[[nodiscard]] std::string human(long double value);

}  // namespace firnlog::server::text
