#include <bit>
#include <cstring>
#include <vector>

#include "engine/ops/keys.hpp"
#include "engine/ops/strings.hpp"
#include "src/commands/bitfield.hpp"
#include "src/commands/command_table.hpp"
#include "src/commands/string_text.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"

// Bits: strings as rows of bits, the first of a byte being its highest.

namespace firnlog::server {
namespace {

namespace strings = engine::strings;

unsigned byte_of(char letter) { return static_cast<unsigned char>(letter); }

// ---- One bit.

Flow setbit(Call& call) {
    constexpr std::string_view kBadBit = "ERR bit is not an integer or out of range";
    const auto key = call.arg(1);
    const auto offset = parse_bit_offset(call, call.arg(2));
    if (!offset) return call.error(kBadBitOffset);
    const auto given = text::parse_i64(call.arg(3));
    if (!given || (*given != 0 && *given != 1)) return call.error(kBadBit);
    const auto item = call.session.look(key, engine::Type::string);
    if (!item) return call.stop(item.error());
    const auto value = StringText::open(call.session, key, *item);
    if (!value) return call.stop(value.error());
    const auto place = *offset / 8;
    const auto part = value->part(place, 1);
    if (!part) return call.stop(part.error());

    const auto bit = 0x80U >> (*offset % 8);
    const auto old = part->empty() ? 0U : byte_of(part->front());
    const bool was = (old & bit) != 0;
    // A bit that is as it should be is no effect, unless the string grows.
    if (part->empty() || was != (*given == 1)) {
        const auto changed = static_cast<char>(*given == 1 ? old | bit : old & ~bit);
        if (auto done = strings::patch(call.session, key, place, {&changed, 1}); !done)
            return call.stop(done.error());
        if (!*item) call.notify(kNotifyNew, "new", key);
        call.notify(kNotifyString, "setbit", key);
    }
    return call.integer(was ? 1 : 0);
}

Flow getbit(Call& call) {
    const auto key = call.arg(1);
    const auto offset = parse_bit_offset(call, call.arg(2));
    if (!offset) return call.error(kBadBitOffset);
    const auto item = call.session.look(key, engine::Type::string);
    if (!item) return stop_lookup(call, key, item.error());
    const auto value = StringText::open(call.session, key, *item);
    if (!value) return call.stop(value.error());
    const auto part = value->part(*offset / 8, 1);
    if (!part) return call.stop(part.error());
    count_lookup(call, key, item->has_value());
    const bool is_set = !part->empty() && (byte_of(part->front()) & (0x80U >> (*offset % 8))) != 0;
    return call.integer(is_set ? 1 : 0);
}

// ---- Ranges of bits.

// From the first bit to the last, both in it.
struct BitRange {
    std::int64_t first = 0;
    std::int64_t last = -1;

    [[nodiscard]] bool is_empty() const { return first > last; }
    [[nodiscard]] std::size_t first_byte() const { return static_cast<std::size_t>(first / 8); }
    [[nodiscard]] std::size_t bytes() const {
        return static_cast<std::size_t>(last / 8 - first / 8) + 1;
    }
    // Which bits of the range's first byte are in it, and which of its last.
    [[nodiscard]] unsigned first_mask() const { return 0xffU >> (first % 8); }
    [[nodiscard]] unsigned last_mask() const { return 0xffU & (0xff00U >> (last % 8 + 1)); }
};

enum class Unit : std::uint8_t { byte, bit };

std::optional<Unit> parse_unit(std::string_view text) {
    if (text::equal_folded(text, "bit")) return Unit::bit;
    if (text::equal_folded(text, "byte")) return Unit::byte;
    return std::nullopt;
}

// Places counted from the end are negative; what lies outside is cut off.
BitRange range_of(std::int64_t first, std::int64_t last, Unit unit, std::size_t size) {
    const auto units = static_cast<std::int64_t>(size) * (unit == Unit::bit ? 8 : 1);
    if (first < 0) first = std::max<std::int64_t>(units + first, 0);
    if (last < 0) last = std::max<std::int64_t>(units + last, 0);
    last = std::min(last, units - 1);
    if (first > last) return {};
    if (unit == Unit::bit) return {.first = first, .last = last};
    return {.first = first * 8, .last = last * 8 + 7};
}

BitRange whole_of(std::size_t size) {
    return {.first = 0, .last = static_cast<std::int64_t>(size) * 8 - 1};
}

std::uint64_t count_bits(std::string_view bytes) {
    std::uint64_t count = 0;
    std::size_t at = 0;
    for (; at + sizeof(std::uint64_t) <= bytes.size(); at += sizeof(std::uint64_t)) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data() + at, sizeof word);
        count += static_cast<std::uint64_t>(std::popcount(word));
    }
    for (; at < bytes.size(); ++at)
        count += static_cast<std::uint64_t>(std::popcount(byte_of(bytes[at])));
    return count;
}

engine::Expected<std::int64_t> count_bits(const StringText& value, const BitRange& range) {
    std::uint64_t count = 0;
    std::size_t seen = 0;
    const auto all = range.bytes();
    const auto done = value.for_each_piece(range.first_byte(), all, [&](std::string_view piece) {
        count += count_bits(piece);
        const auto outside = [](char byte, unsigned mask) {
            return static_cast<std::uint64_t>(std::popcount(byte_of(byte) & ~mask & 0xffU));
        };
        if (seen == 0) count -= outside(piece.front(), range.first_mask());
        seen += piece.size();
        if (seen == all) count -= outside(piece.back(), range.last_mask());
        return true;
    });
    if (!done) return tl::unexpected(done.error());
    return static_cast<std::int64_t>(count);
}

Flow bitcount(Call& call) {
    const auto key = call.arg(1);
    const auto item = call.session.look(key, engine::Type::string);
    if (!item) return stop_lookup(call, key, item.error());
    if (!*item) {
        count_lookup(call, key, false);
        return call.integer(0);
    }
    const auto value = StringText::open(call.session, key, *item);
    if (!value) return call.stop(value.error());
    auto range = whole_of(value->size());
    const auto refuse = [&](std::string_view text) {
        count_lookup(call, key, true);
        return call.error(text);
    };
    if (call.argc() == 4 || call.argc() == 5) {
        const auto first = text::parse_i64(call.arg(2));
        const auto last = text::parse_i64(call.arg(3));
        if (!first || !last) return refuse(kNotAnInteger);
        // An empty range is answered before its unit is looked at.
        const bool is_empty = *first < 0 && *last < 0 && *first > *last;
        const auto unit =
            call.argc() == 5 && !is_empty ? parse_unit(call.arg(4)) : std::optional(Unit::byte);
        if (!unit) return refuse("ERR syntax error");
        range = is_empty ? BitRange{} : range_of(*first, *last, *unit, value->size());
    } else if (call.argc() != 2) {
        return refuse("ERR syntax error");
    }
    const auto count = range.is_empty() ? 0 : count_bits(*value, range);
    if (!count) return call.stop(count.error());
    count_lookup(call, key, true);
    return call.integer(*count);
}

// The place of the first byte that is not `skipped`; the size if there is none.
std::size_t find_other(std::string_view bytes, unsigned skipped) {
    const auto skipped_word = skipped == 0 ? std::uint64_t{0} : ~std::uint64_t{0};
    std::size_t at = 0;
    for (; at + sizeof(std::uint64_t) <= bytes.size(); at += sizeof(std::uint64_t)) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data() + at, sizeof word);
        if (word != skipped_word) break;
    }
    while (at < bytes.size() && byte_of(bytes[at]) == skipped) ++at;
    return at;
}

// The first bit in the range that is `wanted`, counted from the value's begin; -1 if there is none.
engine::Expected<std::int64_t> find_bit(const StringText& value, const BitRange& range,
                                        bool wanted) {
    const auto skipped = wanted ? 0U : 0xffU;
    std::int64_t found = -1;
    std::size_t seen = 0;
    const auto all = range.bytes();
    // Bits outside the range look as if they were not wanted.
    const auto masked = [&](std::size_t place, char letter) {
        auto mask = 0xffU;
        if (place == 0) mask &= range.first_mask();
        if (place + 1 == all) mask &= range.last_mask();
        return wanted ? byte_of(letter) & mask : byte_of(letter) | (~mask & 0xffU);
    };
    const auto done = value.for_each_piece(range.first_byte(), all, [&](std::string_view piece) {
        for (std::size_t at = 0; at < piece.size(); ++at) {
            at += find_other(piece.substr(at), skipped);
            if (at == piece.size()) break;
            const auto byte = masked(seen + at, piece[at]);
            if (byte == skipped) continue;
            const auto bits = wanted ? byte : ~byte & 0xffU;
            const auto place = static_cast<std::int64_t>(range.first_byte() + seen + at);
            found = place * 8 + std::countl_zero(static_cast<std::uint8_t>(bits));
            return false;
        }
        seen += piece.size();
        return true;
    });
    if (!done) return tl::unexpected(done.error());
    return found;
}

Flow bitpos(Call& call) {
    const auto key = call.arg(1);
    const auto bit = text::parse_i64(call.arg(2));
    if (!bit) return call.error(kNotAnInteger);
    if (*bit != 0 && *bit != 1) return call.error("ERR The bit argument must be 1 or 0.");
    const bool wanted = *bit == 1;
    const auto item = call.session.look(key, engine::Type::string);
    if (!item) return stop_lookup(call, key, item.error());
    if (!*item) {
        count_lookup(call, key, false);
        return call.integer(wanted ? -1 : 0);
    }
    const auto value = StringText::open(call.session, key, *item);
    if (!value) return call.stop(value.error());
    const auto refuse = [&](std::string_view text) {
        count_lookup(call, key, true);
        return call.error(text);
    };
    auto range = whole_of(value->size());
    const bool has_end = call.argc() >= 5;
    if (call.argc() > 6) return refuse("ERR syntax error");
    if (call.argc() > 3) {
        const auto first = text::parse_i64(call.arg(3));
        if (!first) return refuse(kNotAnInteger);
        const auto unit = call.argc() == 6 ? parse_unit(call.arg(5)) : std::optional(Unit::byte);
        if (!unit) return refuse("ERR syntax error");
        const auto last = has_end ? text::parse_i64(call.arg(4)) : std::optional<std::int64_t>(-1);
        if (!last) return refuse(kNotAnInteger);
        range = range_of(*first, *last, *unit, value->size());
    }
    auto found = range.is_empty() ? -1 : find_bit(*value, range, wanted);
    if (!found) return call.stop(found.error());
    // Without an end, zeros are thought to follow.
    if (*found == -1 && !wanted && !has_end && !range.is_empty()) found = range.last + 1;
    count_lookup(call, key, true);
    return call.integer(*found);
}

// ---- Whole strings.

enum class BitOperation : std::uint8_t { conjunction, disjunction, exclusion, negation };

std::optional<BitOperation> parse_operation(std::string_view text) {
    if (text::equal_folded(text, "and")) return BitOperation::conjunction;
    if (text::equal_folded(text, "or")) return BitOperation::disjunction;
    if (text::equal_folded(text, "xor")) return BitOperation::exclusion;
    if (text::equal_folded(text, "not")) return BitOperation::negation;
    return std::nullopt;
}

// Shorter strings are thought to go on with zeros, to the end of the longest.
void combine(BitOperation operation, std::span<char> result,
             std::span<const std::string_view> sources) {
    const auto& first = sources.front();
    std::ranges::copy(first, result.begin());
    std::ranges::fill(result.subspan(first.size()), '\0');
    if (operation == BitOperation::negation)
        for (auto& byte : result) byte = static_cast<char>(~byte);
    for (const auto source : sources.subspan(1)) {
        const auto join = [&](auto&& how) {
            for (std::size_t i = 0; i < source.size(); ++i)
                result[i] = static_cast<char>(how(result[i], source[i]));
        };
        if (operation == BitOperation::conjunction) {
            join([](char one, char other) { return one & other; });
            std::ranges::fill(result.subspan(source.size()), '\0');
        } else if (operation == BitOperation::disjunction) {
            join([](char one, char other) { return one | other; });
        } else {
            join([](char one, char other) { return one ^ other; });
        }
    }
}

Flow bitop(Call& call) {
    const auto operation = parse_operation(call.arg(1));
    if (!operation) return call.syntax_error();
    if (*operation == BitOperation::negation && call.argc() != 4)
        return call.error("ERR BITOP NOT must be called with a single source key.");
    const auto target = call.arg(2);
    const auto keys = call.args.subspan(3);
    std::vector<std::string_view> sources;
    std::vector<bool> found;
    const auto count = [&] {
        for (std::size_t i = 0; i < found.size(); ++i) count_lookup(call, keys[i], found[i]);
    };
    bool cold = false;
    std::size_t size = 0;
    for (const auto key : keys) {
        const auto source = strings::get(call.session, key);
        if (!source && source.error() == engine::Stop::cold) {
            cold = true;
            continue;
        }
        if (!source) {
            if (source.error() == engine::Stop::wrong_type) {
                found.push_back(true);
                count();
            }
            return call.stop(source.error());
        }
        found.push_back(source->has_value());
        sources.push_back(source->value_or(""));
        size = std::max(size, sources.back().size());
    }
    if (cold) return call.stop(engine::Stop::cold);
    const auto result = call.session.buffer(size);
    combine(*operation, result, sources);

    bool was = false;
    if (size == 0) {
        const auto gone = engine::keys::remove(call.session, target);
        if (!gone) return call.stop(gone.error());
        was = *gone;
    } else {
        const auto item = call.session.look(target);
        if (!item) return call.stop(item.error());
        was = item->has_value();
        if (auto done = strings::set(call.session, target, {result.data(), size}); !done)
            return call.stop(done.error());
    }
    count();
    if (size == 0 && was) call.notify(kNotifyGeneric, "del", target);
    if (size != 0 && !was) call.notify(kNotifyNew, "new", target);
    if (size != 0) call.notify(kNotifyString, "set", target);
    return call.integer(static_cast<std::int64_t>(size));
}

// ---- The rows.

constexpr KeySpec one(std::uint32_t flags) { return {.flags = flags, .first = 1, .last = 1}; }
constexpr KeySpec kReads[] = {one(kKeyRO | kKeyAccess)};
constexpr KeySpec kReadsAndSets[] = {one(kKeyRW | kKeyAccess | kKeyUpdate)};
constexpr KeySpec kMaySet[] = {one(kKeyRW | kKeyAccess | kKeyUpdate | kKeyVariable)};
constexpr KeySpec kCombines[] = {{.flags = kKeyOW | kKeyUpdate, .first = 2, .last = 2},
                                 {.flags = kKeyRO | kKeyAccess, .first = 3, .last = -1}};

constexpr Command kBitCommands[] = {
    {.name = "setbit",
     .syntax = "key offset value",
     .summary = "Sets or clears one bit and answers what it was",
     .since = "2.2.0",
     .group = "bitmap",
     .complexity = "O(1)",
     .arity = 4,
     .flags = kWrite | kDenyOom | kRewritesValue,
     .categories = kBitmap,
     .keys = kReadsAndSets,
     .handler = setbit},
    {.name = "getbit",
     .syntax = "key offset",
     .summary = "One bit of a value",
     .since = "2.2.0",
     .group = "bitmap",
     .complexity = "O(1)",
     .arity = 3,
     .flags = kReadonly | kFast,
     .categories = kBitmap,
     .keys = kReads,
     .handler = getbit},
    {.name = "bitcount",
     .syntax = "key [start end [BYTE | BIT]]",
     .summary = "How many bits of a value, or of a part of it, are set",
     .since = "2.6.0",
     .group = "bitmap",
     .complexity = "O(N)",
     .arity = -2,
     .flags = kReadonly,
     .categories = kBitmap,
     .keys = kReads,
     .handler = bitcount},
    {.name = "bitpos",
     .syntax = "key bit [start [end [BYTE | BIT]]]",
     .summary = "Where the first set or clear bit is",
     .since = "2.8.7",
     .group = "bitmap",
     .complexity = "O(N)",
     .arity = -3,
     .flags = kReadonly,
     .categories = kBitmap,
     .keys = kReads,
     .handler = bitpos},
    {.name = "bitop",
     .syntax = "<AND | OR | XOR | NOT> destkey key [key ...]",
     .summary = "Combines values bit by bit and keeps the result",
     .since = "2.6.0",
     .group = "bitmap",
     .complexity = "O(N)",
     .arity = -4,
     .flags = kWrite | kDenyOom | kCopiesValue,
     .categories = kBitmap,
     .keys = kCombines,
     .handler = bitop},
    {.name = "bitfield",
     .syntax = "key [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset "
               "value | INCRBY encoding offset increment> [GET encoding offset | [OVERFLOW <WRAP | "
               "SAT | FAIL>] <SET encoding offset value | INCRBY encoding offset increment> ...]]",
     .summary = "Reads, sets and adds to integers of any width within a value",
     .since = "3.2.0",
     .group = "bitmap",
     .complexity = "O(1) for each operation",
     .arity = -2,
     .flags = kWrite | kDenyOom | kRewritesValue,
     .categories = kBitmap,
     .keys = kMaySet,
     .handler = bitfield},
    {.name = "bitfield_ro",
     .syntax = "key [GET encoding offset [GET encoding offset ...]]",
     .summary = "Reads integers of any width within a value",
     .since = "6.0.0",
     .group = "bitmap",
     .complexity = "O(1) for each operation",
     .arity = -2,
     .flags = kReadonly | kFast,
     .categories = kBitmap,
     .keys = kReads,
     .handler = bitfield_ro},
};

}  // namespace

std::span<const Command> bit_commands() { return kBitCommands; }

}  // namespace firnlog::server
