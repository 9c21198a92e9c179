#include "engine/ops/hashes.hpp"

#include <limits>

#include "src/commands/command_table.hpp"
#include "src/commands/keys.hpp"
#include "src/commands/random_bits.hpp"
#include "src/commands/string_text.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"

// Hashes: fields with values, each a record of its own.

namespace firnlog::server {
namespace {

namespace hashes = engine::hashes;
using hashes::Pair;

// HRANDFIELD with a negative count repeats fields, so the hash's size is no bound for its reply.
constexpr std::int64_t kRepeatedMax = std::int64_t{1} << 24;

// A field is a record's key. True if it is too long for one: the error was answered.
bool refuses(Call& call, std::string_view field) {
    if (field.size() <= engine::kKeyBytesMax) return false;
    call.error("ERR the field is longer than 65536 bytes");
    return true;
}

// ---- Setting.

void notify_change(const Call& call, std::string_view event, bool is_new) {
    if (is_new) call.notify(kNotifyNew, "new", call.arg(1));
    call.notify(kNotifyHash, event, call.arg(1));
}

// Sets pairs and tells of it; how many fields are new, or nothing: `call` was stopped with `flow`.
std::optional<std::size_t> put(Call& call, std::span<const Pair> pairs, std::string_view event,
                               Flow& flow) {
    const auto item = call.session.look(call.arg(1), engine::Type::hash);
    if (!item) {
        flow = call.stop(item.error());
        return std::nullopt;
    }
    const bool is_new = !item->has_value();
    const auto added = hashes::set(call.session, call.arg(1), pairs);
    if (!added) {
        flow = call.stop(added.error());
        return std::nullopt;
    }
    notify_change(call, event, is_new);
    return *added;
}

Flow set_all(Call& call, bool counts) {
    if (call.argc() % 2 != 0)
        return call.error("ERR wrong number of arguments for '" + std::string(call.command.name) +
                          "' command");
    std::vector<Pair> pairs;
    pairs.reserve(call.argc() / 2 - 1);
    for (std::size_t i = 2; i < call.argc(); i += 2) {
        if (refuses(call, call.arg(i))) return Flow::done;
        pairs.push_back({.field = call.arg(i), .value = call.arg(i + 1)});
    }
    auto flow = Flow::done;
    const auto added = put(call, pairs, "hset", flow);
    if (!added) return flow;
    return counts ? call.integer(static_cast<std::int64_t>(*added)) : call.ok();
}

Flow hset(Call& call) { return set_all(call, true); }
Flow hmset(Call& call) { return set_all(call, false); }

Flow hsetnx(Call& call) {
    if (refuses(call, call.arg(2))) return Flow::done;
    const auto known = hashes::has(call.session, call.arg(1), call.arg(2));
    if (!known) return call.stop(known.error());
    if (*known) return call.integer(0);
    auto flow = Flow::done;
    const Pair pair{.field = call.arg(2), .value = call.arg(3)};
    if (!put(call, {&pair, 1}, "hset", flow)) return flow;
    return call.integer(1);
}

Flow hincrby(Call& call) {
    const auto amount = text::parse_i64(call.arg(3));
    if (!amount) return call.error(kNotAnInteger);
    if (refuses(call, call.arg(2))) return Flow::done;
    const auto old = hashes::find(call.session, call.arg(1), call.arg(2));
    if (!old) return call.stop(old.error());
    // Of a long value the first piece, which is no number either.
    const auto number = *old ? text::parse_i64((*old)->text) : 0;
    if (!number) return call.error("ERR hash value is not an integer");
    std::int64_t sum = 0;
    if (__builtin_add_overflow(*number, *amount, &sum))
        return call.error("ERR increment or decrement would overflow");
    char digits[text::kIntegerBytesMax];
    const auto* end = text::print_i64(digits, sum);
    const Pair pair{.field = call.arg(2),
                    .value = {digits, static_cast<std::size_t>(end - digits)}};
    auto flow = Flow::done;
    if (!put(call, {&pair, 1}, "hincrby", flow)) return flow;
    return call.integer(sum);
}

Flow hincrbyfloat(Call& call) {
    const auto amount = text::parse_long_double(call.arg(3));
    if (!amount) return call.error("ERR value is not a valid float");
    // Not false for what is infinite.
    if (!(*amount - *amount == 0.0L)) return call.error("ERR value is NaN or Infinity");
    if (refuses(call, call.arg(2))) return Flow::done;
    const auto old = hashes::find(call.session, call.arg(1), call.arg(2));
    if (!old) return call.stop(old.error());
    const auto number = *old ? text::parse_long_double((*old)->text) : 0.0L;
    if (!number) return call.error("ERR hash value is not a float");
    const auto sum = *number + *amount;
    if (!(sum - sum == 0.0L)) return call.error("ERR increment would produce NaN or Infinity");
    const auto shown = text::human(sum);
    const Pair pair{.field = call.arg(2), .value = shown};
    auto flow = Flow::done;
    if (!put(call, {&pair, 1}, "hincrbyfloat", flow)) return flow;
    call.out.bulk(shown);
    return Flow::done;
}

Flow hdel(Call& call) {
    const auto removed = hashes::remove(call.session, call.arg(1), call.args.subspan(2));
    if (!removed) return call.stop(removed.error());
    if (removed->fields != 0) call.notify(kNotifyHash, "hdel", call.arg(1));
    if (removed->key) call.notify(kNotifyGeneric, "del", call.arg(1));
    return call.integer(static_cast<std::int64_t>(removed->fields));
}

// ---- Reading. Every read begins with the key, which is counted as found or not when it is sure
// that the command answers.

// The key's item, or nothing: `call` was stopped with `flow`.
std::optional<std::optional<engine::Item>> find(Call& call, Flow& flow) {
    const auto item = call.session.look(call.arg(1), engine::Type::hash);
    if (item) return *item;
    flow = stop_lookup(call, call.arg(1), item.error());
    return std::nullopt;
}

// A long value is read straight into the reply. An error has written nothing.
engine::Expected<void> answer(Call& call, const hashes::Value& value) {
    if (value.pieces == nullptr) {
        call.out.bulk(value.text);
        return {};
    }
    const auto before = call.out.out().size();
    const auto room = call.out.bulk_room(value.size());
    // Lost for want of memory: the connection ends.
    if (room.size() != value.size()) return {};
    auto done = hashes::copy(call.session, *value.pieces, room);
    if (!done) call.out.out().truncate(before);
    return done;
}

Flow hget(Call& call) {
    auto flow = Flow::done;
    const auto item = find(call, flow);
    if (!item) return flow;
    const auto value = hashes::find(call.session, call.arg(1), call.arg(2));
    if (!value) return call.stop(value.error());
    if (!*value)
        call.out.null();
    else if (const auto done = answer(call, **value); !done)
        return call.stop(done.error());
    count_lookup(call, call.arg(1), item->has_value());
    return Flow::done;
}

Flow hmget(Call& call) {
    auto flow = Flow::done;
    const auto item = find(call, flow);
    if (!item) return flow;
    const auto fields = call.args.subspan(2);
    std::vector<std::optional<std::string_view>> values;
    values.reserve(fields.size());
    bool cold = false;
    for (const auto field : fields) {
        const auto value = hashes::get(call.session, call.arg(1), field);
        if (value)
            values.push_back(*value);
        else if (value.error() == engine::Stop::cold)
            cold = true;  // what else is cold is found out at once
        else
            return call.stop(value.error());
    }
    if (cold) return call.stop(engine::Stop::cold);
    count_lookup(call, call.arg(1), item->has_value());
    call.out.array(values.size());
    for (const auto& value : values) {
        if (value)
            call.out.bulk(*value);
        else
            call.out.null();
    }
    return Flow::done;
}

Flow hexists(Call& call) {
    auto flow = Flow::done;
    const auto item = find(call, flow);
    if (!item) return flow;
    const auto known = hashes::has(call.session, call.arg(1), call.arg(2));
    if (!known) return call.stop(known.error());
    count_lookup(call, call.arg(1), item->has_value());
    return call.integer(*known ? 1 : 0);
}

Flow hlen(Call& call) {
    auto flow = Flow::done;
    const auto item = find(call, flow);
    if (!item) return flow;
    const auto size = hashes::size(call.session, call.arg(1));
    if (!size) return call.stop(size.error());
    count_lookup(call, call.arg(1), item->has_value());
    return call.integer(static_cast<std::int64_t>(*size));
}

Flow hstrlen(Call& call) {
    auto flow = Flow::done;
    const auto item = find(call, flow);
    if (!item) return flow;
    const auto value = hashes::find(call.session, call.arg(1), call.arg(2));
    if (!value) return call.stop(value.error());
    count_lookup(call, call.arg(1), item->has_value());
    return call.integer(*value ? static_cast<std::int64_t>((*value)->size()) : 0);
}

// HGETALL, HKEYS and HVALS: all pairs, of which `write` shows what is asked for.
template <class Write>
Flow list(Call& call, hashes::Wanted wanted, Write&& write) {
    auto flow = Flow::done;
    const auto item = find(call, flow);
    if (!item) return flow;
    const auto pairs = hashes::all(call.session, call.arg(1), wanted);
    if (!pairs) return call.stop(pairs.error());
    count_lookup(call, call.arg(1), item->has_value());
    write(*pairs);
    return Flow::done;
}

Flow hgetall(Call& call) {
    return list(call, hashes::Wanted::values, [&call](const std::vector<Pair>& pairs) {
        call.out.map(pairs.size());
        for (const auto& pair : pairs) {
            call.out.bulk(pair.field);
            call.out.bulk(pair.value);
        }
    });
}

Flow hkeys(Call& call) {
    return list(call, hashes::Wanted::names, [&call](const std::vector<Pair>& pairs) {
        call.out.array(pairs.size());
        for (const auto& pair : pairs) call.out.bulk(pair.field);
    });
}

Flow hvals(Call& call) {
    return list(call, hashes::Wanted::values, [&call](const std::vector<Pair>& pairs) {
        call.out.array(pairs.size());
        for (const auto& pair : pairs) call.out.bulk(pair.value);
    });
}

Flow one_random_field(Call& call) {
    auto flow = Flow::done;
    const auto item = find(call, flow);
    if (!item) return flow;
    const auto field = hashes::random(call.session, call.arg(1), random_bits(call));
    if (!field) return call.stop(field.error());
    count_lookup(call, call.arg(1), item->has_value());
    if (*field)
        call.out.bulk(**field);
    else
        call.out.null();
    return Flow::done;
}

Flow hrandfield(Call& call) {
    constexpr auto kLongest = std::numeric_limits<std::int64_t>::max();
    if (call.argc() == 2) return one_random_field(call);
    const auto count = text::parse_i64(call.arg(2));
    if (!count) return call.error(kNotAnInteger);
    if (*count < -kLongest)
        return call.error(
            "ERR value is out of range, value must between -9223372036854775807 and "
            "9223372036854775807");
    const bool with_values = call.argc() == 4 && text::equal_folded(call.arg(3), "withvalues");
    if (call.argc() > 4 || (call.argc() == 4 && !with_values)) return call.syntax_error();
    if (with_values && (*count < -kLongest / 2 || *count > kLongest / 2))
        return call.error("ERR value is out of range");
    if (*count < -kRepeatedMax)
        return call.error("ERR value is out of range, no more than 16777216 fields are repeated");
    auto flow = Flow::done;
    const auto item = find(call, flow);
    if (!item) return flow;
    const auto pairs =
        hashes::choose(call.session, call.arg(1),
                       {.count = static_cast<std::size_t>(*count < 0 ? -*count : *count),
                        .distinct = *count > 0,
                        .dice = random_bits(call),
                        .wanted = with_values ? hashes::Wanted::values : hashes::Wanted::names});
    if (!pairs) return call.stop(pairs.error());
    count_lookup(call, call.arg(1), item->has_value());
    const bool nests = with_values && call.out.protocol() == resp::Protocol::resp3;
    call.out.array(with_values && !nests ? 2 * pairs->size() : pairs->size());
    for (const auto& pair : *pairs) {
        if (nests) call.out.array(2);
        call.out.bulk(pair.field);
        if (with_values) call.out.bulk(pair.value);
    }
    return Flow::done;
}

// ---- The rows.

constexpr KeySpec one(std::uint32_t flags) { return {.flags = flags, .first = 1, .last = 1}; }
constexpr KeySpec kReads[] = {one(kKeyRO | kKeyAccess)};
constexpr KeySpec kMeasures[] = {one(kKeyRO)};
constexpr KeySpec kUpdates[] = {one(kKeyRW | kKeyUpdate)};
constexpr KeySpec kInserts[] = {one(kKeyRW | kKeyInsert)};
constexpr KeySpec kDeletes[] = {one(kKeyRW | kKeyDelete)};
constexpr KeySpec kReadsAndUpdates[] = {one(kKeyRW | kKeyAccess | kKeyUpdate)};

constexpr std::uint32_t kChangesFast = kWrite | kDenyOom | kFast;
constexpr std::uint32_t kReadsFast = kReadonly | kFast;

constexpr Command kHashCommands[] = {
    {.name = "hset",
     .syntax = "key field value [field value ...]",
     .summary = "Sets fields of a hash, and makes it if there is none",
     .since = "2.0.0",
     .group = "hash",
     .complexity = "O(1) for each field",
     .arity = -4,
     .flags = kChangesFast,
     .categories = kHash,
     .keys = kUpdates,
     .handler = hset},
    {.name = "hmset",
     .syntax = "key field value [field value ...]",
     .summary = "Sets fields of a hash and answers OK; HSET does the same and counts",
     .since = "2.0.0",
     .group = "hash",
     .complexity = "O(1) for each field",
     .arity = -4,
     .flags = kChangesFast,
     .categories = kHash,
     .keys = kUpdates,
     .handler = hmset},
    {.name = "hsetnx",
     .syntax = "key field value",
     .summary = "Sets a field of a hash unless it is there",
     .since = "2.0.0",
     .group = "hash",
     .complexity = "O(1)",
     .arity = 4,
     .flags = kChangesFast,
     .categories = kHash,
     .keys = kInserts,
     .handler = hsetnx},
    {.name = "hget",
     .syntax = "key field",
     .summary = "The value of a field",
     .since = "2.0.0",
     .group = "hash",
     .complexity = "O(1)",
     .arity = 3,
     .flags = kReadsFast,
     .categories = kHash,
     .keys = kReads,
     .handler = hget},
    {.name = "hmget",
     .syntax = "key field [field ...]",
     .summary = "The values of fields, null for each that is not there",
     .since = "2.0.0",
     .group = "hash",
     .complexity = "O(1) for each field",
     .arity = -3,
     .flags = kReadsFast,
     .categories = kHash,
     .keys = kReads,
     .handler = hmget},
    {.name = "hgetall",
     .syntax = "key",
     .summary = "All fields with their values",
     .since = "2.0.0",
     .group = "hash",
     .complexity = "O(N) where N is the number of fields",
     .arity = 2,
     .flags = kReadonly,
     .categories = kHash,
     .keys = kReads,
     .handler = hgetall},
    {.name = "hdel",
     .syntax = "key field [field ...]",
     .summary = "Removes fields, and the key with the last one",
     .since = "2.0.0",
     .group = "hash",
     .complexity = "O(1) for each field",
     .arity = -3,
     .flags = kWrite | kFast,
     .categories = kHash,
     .keys = kDeletes,
     .handler = hdel},
    {.name = "hlen",
     .syntax = "key",
     .summary = "How many fields a hash has",
     .since = "2.0.0",
     .group = "hash",
     .complexity = "O(1)",
     .arity = 2,
     .flags = kReadsFast,
     .categories = kHash,
     .keys = kMeasures,
     .handler = hlen},
    {.name = "hstrlen",
     .syntax = "key field",
     .summary = "How long the value of a field is",
     .since = "3.2.0",
     .group = "hash",
     .complexity = "O(1)",
     .arity = 3,
     .flags = kReadsFast,
     .categories = kHash,
     .keys = kMeasures,
     .handler = hstrlen},
    {.name = "hexists",
     .syntax = "key field",
     .summary = "Whether a hash has a field",
     .since = "2.0.0",
     .group = "hash",
     .complexity = "O(1)",
     .arity = 3,
     .flags = kReadsFast,
     .categories = kHash,
     .keys = kMeasures,
     .handler = hexists},
    {.name = "hkeys",
     .syntax = "key",
     .summary = "All fields of a hash",
     .since = "2.0.0",
     .group = "hash",
     .complexity = "O(N) where N is the number of fields",
     .arity = 2,
     .flags = kReadonly,
     .categories = kHash,
     .keys = kReads,
     .handler = hkeys},
    {.name = "hvals",
     .syntax = "key",
     .summary = "All values of a hash",
     .since = "2.0.0",
     .group = "hash",
     .complexity = "O(N) where N is the number of fields",
     .arity = 2,
     .flags = kReadonly,
     .categories = kHash,
     .keys = kReads,
     .handler = hvals},
    {.name = "hincrby",
     .syntax = "key field increment",
     .summary = "Adds to the integer a field holds",
     .since = "2.0.0",
     .group = "hash",
     .complexity = "O(1)",
     .arity = 4,
     .flags = kChangesFast,
     .categories = kHash,
     .keys = kReadsAndUpdates,
     .handler = hincrby},
    {.name = "hincrbyfloat",
     .syntax = "key field increment",
     .summary = "Adds to the decimal number a field holds",
     .since = "2.6.0",
     .group = "hash",
     .complexity = "O(1)",
     .arity = 4,
     .flags = kChangesFast | kRewritesValue,
     .categories = kHash,
     .keys = kReadsAndUpdates,
     .handler = hincrbyfloat},
    {.name = "hrandfield",
     .syntax = "key [count [WITHVALUES]]",
     .summary = "Some fields of a hash, chosen at random",
     .since = "6.2.0",
     .group = "hash",
     .complexity = "O(N) where N is the number of fields answered",
     .arity = -2,
     .flags = kReadonly,
     .categories = kHash,
     .keys = kReads,
     .handler = hrandfield},
    {.name = "hscan",
     .syntax = "key cursor [MATCH pattern] [COUNT count]",
     .summary = "Goes through the fields of a hash, a few at a time",
     .since = "2.8.0",
     .group = "hash",
     .complexity = "O(1) for each call, O(N) for all N fields",
     .arity = -3,
     .flags = kReadonly,
     .categories = kHash,
     .keys = kReads,
     .handler = keys::hscan},
};

}  // namespace

std::span<const Command> hash_commands() { return kHashCommands; }

}  // namespace firnlog::server
