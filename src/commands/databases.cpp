#include <algorithm>
#include <limits>

#include "engine/engine.hpp"
#include "src/commands/keys.hpp"
#include "src/parked.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"

// Databases as wholes. A database number points at a keyspace, and only that is changed: to empty
// one takes as long as to swap two, whatever is in them.

namespace firnlog::server::keys {
namespace {

using Pointing = engine::Keyspace::Pointing;

// What is in them is parked for a while, unless the server needs its room.
Flow empty(Call& call, std::span<const std::uint32_t> databases, bool all) {
    auto& server = call.server;
    const auto keep_s = server.memory_bound.refusal().empty() ? server.config().flush_undo_s : 0;
    auto plan = server.parked().empty(
        call.session, databases,
        {.all = all,
         .until_us = keep_s == 0 ? 0 : server.clock().mono().after(keep_s * 1'000'000).us});
    // What changed before may not be durable yet, and the reply rests on that too.
    call.session.saw_everything();
    if (auto done = server.parked().carry_out(call.session, std::move(plan)); !done)
        return call.stop(done.error());
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
    const auto database = call.session.database();
    const bool has_keys = call.server.engine().keyspace().counts_of(database).keys != 0;
    return empty(call, {&database, has_keys ? 1U : 0U}, false);
}

Flow flushall(Call& call) {
    if (!flush_options_fit(call)) return call.syntax_error();
    const auto& keyspace = call.server.engine().keyspace();
    std::vector<std::uint32_t> databases;
    for (std::uint32_t database = 0; database < keyspace.databases_end(); ++database)
        if (keyspace.counts_of(database).keys != 0) databases.push_back(database);
    return empty(call, databases, true);
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
    call.session.saw_everything();
    if (auto done = call.session.point(swapped); !done) return call.stop(done.error());
    return call.ok();
}

}  // namespace firnlog::server::keys
