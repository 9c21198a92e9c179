#include <algorithm>
#include <limits>

#include "engine/engine.hpp"
#include "src/commands/keys.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"

// Databases as wholes. A database number points at a keyspace, and only that is changed: to empty
// one takes as long as to swap two, whatever is in them.

namespace firnlog::server::keys {
namespace {

using Pointing = engine::Keyspace::Pointing;

// So many fit into the key of one record with room to spare.
constexpr std::size_t kPointingsARecord = 4096;

Flow point(Call& call, std::span<const Pointing> pointings) {
    auto& session = call.session;
    // What changed before may not be durable yet, and the reply rests on that too.
    session.saw_everything();
    if (pointings.empty()) return call.ok();
    const auto records = pointings.size() / kPointingsARecord + 1;
    if (auto room = session.reserve(pointings.size_bytes(), records, true); !room)
        return call.stop(room.error());
    for (std::size_t at = 0; at < pointings.size(); at += kPointingsARecord)
        session.point(pointings.subspan(at, std::min(kPointingsARecord, pointings.size() - at)));
    return call.ok();
}

// ASYNC and SYNC say the same here: memory is given back by the worker, in slices.
bool flush_options_fit(const Call& call) {
    if (call.argc() == 1) return true;
    return call.argc() == 2 &&
           (text::equal_folded(call.arg(1), "sync") || text::equal_folded(call.arg(1), "async"));
}

// Nothing: not a number that fits 32 bits.
std::optional<std::int64_t> parse_number(std::string_view text) {
    const auto number = text::parse_i64(text);
    if (!number || *number < std::numeric_limits<std::int32_t>::min() ||
        *number > std::numeric_limits<std::int32_t>::max())
        return std::nullopt;
    return number;
}

}  // namespace

Flow dbsize(Call& call) {
    const auto keys = call.session.engine().keyspace().counts_of(call.session.database()).keys;
    // Behind the count: what it counted was appended before.
    call.session.saw_everything();
    return call.integer(keys);
}

Flow flushdb(Call& call) {
    if (!flush_options_fit(call)) return call.syntax_error();
    auto& keyspace = call.server.engine().keyspace();
    const auto database = call.session.database();
    if (keyspace.counts_of(database).keys == 0) return point(call, {});
    const Pointing fresh{.database = database, .kid = keyspace.fresh_kid()};
    return point(call, {&fresh, 1});
}

Flow flushall(Call& call) {
    if (!flush_options_fit(call)) return call.syntax_error();
    auto& keyspace = call.server.engine().keyspace();
    std::vector<Pointing> pointings;
    for (std::uint32_t database = 0; database < keyspace.databases_end(); ++database)
        if (keyspace.counts_of(database).keys != 0)
            pointings.push_back({.database = database, .kid = keyspace.fresh_kid()});
    return point(call, pointings);
}

Flow swapdb(Call& call) {
    const auto one = parse_number(call.arg(1));
    if (!one) return call.error("ERR invalid first DB index");
    const auto other = parse_number(call.arg(2));
    if (!other) return call.error("ERR invalid second DB index");
    const auto databases = std::int64_t{call.server.engine().options.databases};
    if (*one < 0 || *one >= databases || *other < 0 || *other >= databases)
        return call.error("ERR DB index is out of range");
    if (*one == *other) return call.ok();
    auto& keyspace = call.server.engine().keyspace();
    const auto left = static_cast<std::uint32_t>(*one);
    const auto right = static_cast<std::uint32_t>(*other);
    const Pointing swapped[] = {{.database = left, .kid = keyspace.space_of(right).kid},
                                {.database = right, .kid = keyspace.space_of(left).kid}};
    return point(call, swapped);
}

}  // namespace firnlog::server::keys
