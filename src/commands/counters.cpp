#include <array>
#include <cmath>
#include <limits>

#include "engine/ops/strings.hpp"
#include "src/commands/command_table.hpp"
#include "src/commands/string_text.hpp"
#include "src/config.hpp"
#include "src/text/numbers.hpp"

// Counters: strings that are numbers, added to.

namespace firnlog::server {
namespace {

namespace strings = engine::strings;

constexpr std::string_view kOverflow = "ERR increment or decrement would overflow";

// What a value to count with is, and when it expires. A key that is not there is empty.
struct Counted {
    std::optional<std::string_view> text;
    std::int64_t expires_ms = -1;
};

// Nobody reads a long string to find that it is no number: it is cut at `bytes_max`, one byte past
// what a number can have.
engine::Expected<Counted> read_counted(Call& call, std::string_view key, std::size_t bytes_max) {
    const auto item = call.session.look(key, engine::Type::string);
    if (!item) return tl::unexpected(item.error());
    if (!*item) return Counted{};
    const auto value = StringText::open(call.session, key, *item);
    if (!value) return tl::unexpected(value.error());
    const auto text = value->part(0, bytes_max);
    if (!text) return tl::unexpected(text.error());
    return Counted{.text = *text, .expires_ms = (*item)->expires_ms};
}

Flow add(Call& call, std::int64_t amount) {
    const auto key = call.arg(1);
    const auto old = read_counted(call, key, text::kIntegerBytesMax + 1);
    if (!old) return call.stop(old.error());
    const auto number = old->text ? text::parse_i64(*old->text) : 0;
    if (!number) return call.error(kNotAnInteger);
    std::int64_t sum = 0;
    if (__builtin_add_overflow(*number, amount, &sum)) return call.error(kOverflow);
    std::array<char, text::kIntegerBytesMax> digits;
    const auto* const end = text::print_i64(digits.data(), sum);
    if (auto done = strings::set(call.session, key, {digits.data(), end}, old->expires_ms); !done)
        return call.stop(done.error());
    if (!old->text) call.notify(kNotifyNew, "new", key);
    call.notify(kNotifyString, "incrby", key);
    return call.integer(sum);
}

Flow incr(Call& call) { return add(call, 1); }
Flow decr(Call& call) { return add(call, -1); }

Flow incrby(Call& call) {
    const auto amount = text::parse_i64(call.arg(2));
    return amount ? add(call, *amount) : call.error(kNotAnInteger);
}

Flow decrby(Call& call) {
    const auto amount = text::parse_i64(call.arg(2));
    if (!amount) return call.error(kNotAnInteger);
    if (*amount == std::numeric_limits<std::int64_t>::min())
        return call.error("ERR decrement would overflow");
    return add(call, -*amount);
}

Flow incrbyfloat(Call& call) {
    constexpr std::size_t kFloatBytesMax = std::size_t{5} * 1024;
    const auto key = call.arg(1);
    const auto old = read_counted(call, key, kFloatBytesMax + 1);
    if (!old) return call.stop(old.error());
    const auto number = old->text ? text::parse_long_double(*old->text) : 0.0L;
    const auto amount = text::parse_long_double(call.arg(2));
    if (!number || !amount) return call.error("ERR value is not a valid float");
    const auto sum = *number + *amount;
    if (!std::isfinite(sum)) return call.error("ERR increment would produce NaN or Infinity");
    const auto shown = text::human(sum);
    if (auto done = strings::set(call.session, key, shown, old->expires_ms); !done)
        return call.stop(done.error());
    if (!old->text) call.notify(kNotifyNew, "new", key);
    call.notify(kNotifyString, "incrbyfloat", key);
    call.out.bulk(shown);
    return Flow::done;
}

// ---- The rows.

constexpr KeySpec kCounts[] = {{.flags = kKeyRW | kKeyAccess | kKeyUpdate, .first = 1, .last = 1}};
constexpr std::uint32_t kChangesFast = kWrite | kDenyOom | kFast;

constexpr Command kCounterCommands[] = {
    {.name = "incr",
     .syntax = "key",
     .summary = "Adds one to the integer a key holds",
     .since = "1.0.0",
     .group = "string",
     .complexity = "O(1)",
     .arity = 2,
     .flags = kChangesFast,
     .categories = kString,
     .keys = kCounts,
     .handler = incr},
    {.name = "decr",
     .syntax = "key",
     .summary = "Takes one from the integer a key holds",
     .since = "1.0.0",
     .group = "string",
     .complexity = "O(1)",
     .arity = 2,
     .flags = kChangesFast,
     .categories = kString,
     .keys = kCounts,
     .handler = decr},
    {.name = "incrby",
     .syntax = "key increment",
     .summary = "Adds to the integer a key holds",
     .since = "1.0.0",
     .group = "string",
     .complexity = "O(1)",
     .arity = 3,
     .flags = kChangesFast,
     .categories = kString,
     .keys = kCounts,
     .handler = incrby},
    {.name = "decrby",
     .syntax = "key decrement",
     .summary = "Takes from the integer a key holds",
     .since = "1.0.0",
     .group = "string",
     .complexity = "O(1)",
     .arity = 3,
     .flags = kChangesFast,
     .categories = kString,
     .keys = kCounts,
     .handler = decrby},
    {.name = "incrbyfloat",
     .syntax = "key increment",
     .summary = "Adds to the decimal number a key holds",
     .since = "2.6.0",
     .group = "string",
     .complexity = "O(1)",
     .arity = 3,
     .flags = kChangesFast | kRewritesValue,
     .categories = kString,
     .keys = kCounts,
     .handler = incrbyfloat},
};

}  // namespace

std::span<const Command> counter_commands() { return kCounterCommands; }

}  // namespace firnlog::server
