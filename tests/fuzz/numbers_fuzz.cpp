// Numbers: a text that reads as an integer is the one spelling of it, and what is printed reads
// back as the value it was printed from.

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "io/base/ensure.hpp"
#include "src/text/numbers.hpp"

using firnlog::ensure;
using namespace firnlog::server::text;

namespace {

void check_integers(std::string_view text) {
    std::array<char, kIntegerBytesMax> digits;
    const auto printed = [&](const char* end) {
        return std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data()));
    };
    const auto is_whole = [&](std::from_chars_result read) {
        return read.ec == std::errc{} && read.ptr == text.data() + text.size();
    };
    const auto number = parse_i64(text);
    if (number) ensure(printed(print_i64(digits.data(), *number)) == text);
    std::int64_t expected = 0;
    const bool reads = is_whole(std::from_chars(text.data(), text.data() + text.size(), expected));
    const bool is_canonical = reads && printed(print_i64(digits.data(), expected)) == text;
    ensure(number.has_value() == is_canonical);

    const auto natural = parse_u64(text);
    if (natural) ensure(printed(print_u64(digits.data(), *natural)) == text);
    std::uint64_t expected_natural = 0;
    const bool reads_natural =
        is_whole(std::from_chars(text.data(), text.data() + text.size(), expected_natural));
    ensure(natural.has_value() ==
           (reads_natural && printed(print_u64(digits.data(), expected_natural)) == text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(input), size);
    check_integers(text);
    if (const auto value = parse_double(text)) {
        ensure(!std::isnan(*value));
        std::array<char, kDoubleBytesMax> digits;
        const char* const end = print_double(digits.data(), *value);
        const std::string_view shown(digits.data(), static_cast<std::size_t>(end - digits.data()));
        ensure(parse_double(shown) == value);
    }
    if (const auto value = parse_long_double(text)) {
        ensure(!std::isnan(*value));
        const std::string shown = human(*value);
        ensure(shown.find_first_of("eE") == std::string::npos);
        const auto again = parse_long_double(shown);
        ensure(again.has_value());
        ensure(human(*again) == shown, "what is shown stays as it is");
    }
    return 0;
}
