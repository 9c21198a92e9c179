#include "src/commands/bitfield.hpp"

#include <algorithm>
#include <vector>

#include "engine/ops/strings.hpp"
#include "src/commands/string_text.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"

namespace firnlog::server {
namespace {

enum class Overflow : std::uint8_t { wrap, sat, fail };

struct Operation {
    enum class What : std::uint8_t { get, set, incrby } what = What::get;
    Overflow overflow = Overflow::wrap;
    bool is_signed = false;
    unsigned bits = 0;
    std::uint64_t offset = 0;  // of the first bit
    std::int64_t operand = 0;

    [[nodiscard]] bool writes() const { return what != What::get; }
    [[nodiscard]] std::uint64_t first_byte() const { return offset / 8; }
    [[nodiscard]] std::uint64_t last_byte() const { return (offset + bits - 1) / 8; }
};

// ---- Integers of some bits.

// The low bits of `raw`, as the integer they mean.
std::int64_t meaning(std::uint64_t raw, unsigned bits, bool is_signed) {
    const auto up = 64 - bits;
    if (is_signed) return static_cast<std::int64_t>(raw << up) >> up;
    return static_cast<std::int64_t>(raw << up >> up);
}

// What `value` + `amount` becomes in so many bits; nothing if it does not fit and must not. `value`
// itself need not fit (SET).
std::optional<std::uint64_t> fit(std::uint64_t value, std::int64_t amount,
                                 const Operation& operation) {
    const auto bits = operation.bits;
    const auto sum = value + static_cast<std::uint64_t>(amount);
    bool above = false;
    bool below = false;
    std::uint64_t largest = 0;
    std::uint64_t least = 0;
    if (operation.is_signed) {
        largest = (std::uint64_t{1} << (bits - 1)) - 1;
        least = ~largest;
        const auto most = static_cast<std::int64_t>(largest);
        const auto given = static_cast<std::int64_t>(value);
        std::int64_t exact = 0;
        std::int64_t distance = 0;
        if (__builtin_add_overflow(given, amount, &exact)) {
            above = amount > 0;
            below = !above;
        } else {
            // Redis takes what is farther below than 64 bits can tell for what is above, and SAT
            // with it; programs may have come to rely on it.
            above = exact > most || (bits < 64 && __builtin_sub_overflow(most, given, &distance));
            below = !above && exact < static_cast<std::int64_t>(least);
        }
    } else {
        // At most 63 bits: what fits cannot overflow when an amount is added.
        largest = (std::uint64_t{1} << bits) - 1;
        below = amount < 0 && value <= largest && 0 - static_cast<std::uint64_t>(amount) > value;
        above = !below && (value > largest || (amount > 0 && sum > largest));
    }
    if ((above || below) && operation.overflow == Overflow::fail) return std::nullopt;
    if (above && operation.overflow == Overflow::sat) return largest;
    if (below && operation.overflow == Overflow::sat) return least;
    return sum;
}

// ---- The bytes operations touch.

// A stretch of the string, zeros behind its end; disjoint from all others.
struct Window {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::span<char> bytes;
    // What changed, as places in `bytes`.
    std::size_t changed_begin = 0;
    std::size_t changed_end = 0;

    [[nodiscard]] std::uint64_t read(std::uint64_t offset, unsigned bits) const {
        std::uint64_t raw = 0;
        for (auto at = offset - begin * 8; bits > 0; ++at, --bits) {
            const auto byte = static_cast<unsigned char>(bytes[at / 8]);
            raw = raw << 1 | ((byte >> (7 - at % 8)) & 1U);
        }
        return raw;
    }
    void write(std::uint64_t offset, unsigned bits, std::uint64_t raw) {
        const auto first = offset - begin * 8;
        for (auto at = first + bits; at > first; raw >>= 1) {
            --at;
            const auto bit = static_cast<unsigned>(1U << (7 - at % 8));
            const auto byte = static_cast<unsigned char>(bytes[at / 8]);
            bytes[at / 8] = static_cast<char>((raw & 1) != 0 ? byte | bit : byte & ~bit);
        }
        change(first / 8, (first + bits - 1) / 8 + 1);
    }
    void change(std::size_t from, std::size_t to) {
        if (changed_end == 0) changed_begin = from;
        changed_begin = std::min(changed_begin, from);
        changed_end = std::max(changed_end, to);
    }
};

engine::Expected<std::vector<Window>> open_windows(engine::Session& session,
                                                   const StringText& value,
                                                   std::span<const Operation> operations) {
    std::vector<Window> stretches;
    stretches.reserve(operations.size());
    for (const auto& operation : operations)
        stretches.push_back({.begin = operation.first_byte(), .end = operation.last_byte() + 1});
    std::ranges::sort(stretches, {}, &Window::begin);
    std::vector<Window> windows;
    for (const auto& stretch : stretches) {
        if (!windows.empty() && stretch.begin <= windows.back().end)
            windows.back().end = std::max(windows.back().end, stretch.end);
        else
            windows.push_back(stretch);
    }
    for (auto& window : windows) {
        const auto size = window.end - window.begin;
        const auto known = value.part(window.begin, size);
        if (!known) return tl::unexpected(known.error());
        window.bytes = session.buffer(size);
        std::ranges::copy(*known, window.bytes.begin());
        std::ranges::fill(window.bytes.subspan(known->size()), '\0');
    }
    return windows;
}

Window& window_at(std::vector<Window>& windows, std::uint64_t byte) {
    return *std::prev(std::ranges::upper_bound(windows, byte, {}, &Window::begin));
}

// ---- A command.

// Nothing: the error was answered.
std::optional<std::vector<Operation>> parse(Call& call) {
    const auto refuse = [&](std::string_view text) {
        call.error(text);
        return std::nullopt;
    };
    std::vector<Operation> operations;
    auto overflow = Overflow::wrap;
    for (std::size_t i = 2; i < call.argc();) {
        const auto word = call.arg(i);
        const auto is = [&](std::string_view name, std::size_t operands) {
            return text::equal_folded(word, name) && call.argc() - i > operands;
        };
        Operation operation{.overflow = overflow};
        if (is("get", 2)) {
            operation.what = Operation::What::get;
        } else if (is("set", 3)) {
            operation.what = Operation::What::set;
        } else if (is("incrby", 3)) {
            operation.what = Operation::What::incrby;
        } else if (is("overflow", 1)) {
            const auto kind = call.arg(i + 1);
            if (text::equal_folded(kind, "wrap"))
                overflow = Overflow::wrap;
            else if (text::equal_folded(kind, "sat"))
                overflow = Overflow::sat;
            else if (text::equal_folded(kind, "fail"))
                overflow = Overflow::fail;
            else
                return refuse("ERR Invalid OVERFLOW type specified");
            i += 2;
            continue;
        } else {
            return refuse("ERR syntax error");
        }
        const auto type = call.arg(i + 1);
        operation.is_signed = type.starts_with('i');
        const auto bits = type.empty() ? std::nullopt : text::parse_i64(type.substr(1));
        if (!(operation.is_signed || type.starts_with('u')) || !bits || *bits < 1 ||
            *bits > (operation.is_signed ? 64 : 63))
            return refuse(
                "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not "
                "supported but i64 is.");
        operation.bits = static_cast<unsigned>(*bits);
        const auto offset = parse_bit_offset(call, call.arg(i + 2), operation.bits);
        if (!offset) return refuse(kBadBitOffset);
        operation.offset = *offset;
        if (operation.writes()) {
            const auto operand = text::parse_i64(call.arg(i + 3));
            if (!operand) return refuse(kNotAnInteger);
            operation.operand = *operand;
        }
        i += operation.writes() ? 4 : 3;
        operations.push_back(operation);
    }
    return operations;
}

// What the operation answers; nothing if it overflows and must not.
std::optional<std::int64_t> run(const Operation& operation, Window& window, bool& changes) {
    const auto meant = [&](std::uint64_t raw) {
        return meaning(raw, operation.bits, operation.is_signed);
    };
    const auto old = meant(window.read(operation.offset, operation.bits));
    if (!operation.writes()) return old;
    const bool sets = operation.what == Operation::What::set;
    const auto raw = fit(static_cast<std::uint64_t>(sets ? operation.operand : old),
                         sets ? 0 : operation.operand, operation);
    if (!raw) return std::nullopt;
    if (meant(*raw) != old) {
        window.write(operation.offset, operation.bits, *raw);
        changes = true;
    }
    return sets ? old : meant(*raw);
}

Flow run_all(Call& call, bool only_reads) {
    const auto operations = parse(call);
    if (!operations) return Flow::done;
    const bool writes = std::ranges::any_of(*operations, &Operation::writes);
    if (writes && only_reads) return call.error("ERR BITFIELD_RO only supports the GET subcommand");
    const auto key = call.arg(1);
    const auto item = call.session.look(key, engine::Type::string);
    if (!item) return writes ? call.stop(item.error()) : stop_lookup(call, key, item.error());
    const auto value = StringText::open(call.session, key, *item);
    if (!value) return call.stop(value.error());
    auto windows = open_windows(call.session, *value, *operations);
    if (!windows) return call.stop(windows.error());

    // The string grows to the last byte named, be it written or not.
    std::uint64_t size = value->size();
    for (const auto& operation : *operations)
        if (operation.writes()) size = std::max(size, operation.last_byte() + 1);
    const bool grows = writes && (!*item || size > value->size());
    bool changes = false;
    std::vector<std::optional<std::int64_t>> answers;
    answers.reserve(operations->size());
    for (const auto& operation : *operations) {
        answers.push_back(run(operation, window_at(*windows, operation.first_byte()), changes));
        changes = changes || (grows && operation.writes() && answers.back());
    }
    if (grows) {
        auto& last = window_at(*windows, size - 1);
        last.change(size - 1 - last.begin, size - last.begin);
    }
    std::vector<engine::strings::Patch> patches;
    for (const auto& window : *windows) {
        if (window.changed_end == 0) continue;
        const auto changed =
            window.bytes.subspan(window.changed_begin, window.changed_end - window.changed_begin);
        patches.push_back({.offset = window.begin + window.changed_begin,
                           .bytes = {changed.data(), changed.size()}});
    }
    if (!patches.empty())
        if (auto done = engine::strings::patch(call.session, key, patches); !done)
            return call.stop(done.error());
    if (!writes) count_lookup(call, key, item->has_value());
    if (writes && !*item) call.notify(kNotifyNew, "new", key);
    if (changes) call.notify(kNotifyString, "setbit", key);
    call.out.array(answers.size());
    for (const auto& answer : answers) {
        if (answer)
            call.out.integer(*answer);
        else
            call.out.null();
    }
    return Flow::done;
}

}  // namespace

std::optional<std::uint64_t> parse_bit_offset(const Call& call, std::string_view text,
                                              std::uint64_t unit) {
    const bool counts_units = unit != 0 && text.starts_with('#');
    const auto given = text::parse_i64(counts_units ? text.substr(1) : text);
    std::uint64_t offset = 0;
    if (!given || *given < 0 ||
        __builtin_mul_overflow(static_cast<std::uint64_t>(*given), counts_units ? unit : 1,
                               &offset) ||
        offset / 8 >= call.server.config().proto_max_bulk_len)
        return std::nullopt;
    return offset;
}

Flow bitfield(Call& call) { return run_all(call, false); }
Flow bitfield_ro(Call& call) { return run_all(call, true); }

}  // namespace firnlog::server
