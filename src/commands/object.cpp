#include "engine/ops/strings.hpp"
#include "src/commands/keys.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"
#include "src/text/numbers.hpp"

// OBJECT: what Redis would say of how a value is kept. It is derived from the value alone, so what
// Redis remembers besides is not told: a string that APPEND or SETRANGE made is "embstr" or "int"
// if its bytes look like it.

namespace firnlog::server::keys {
namespace {

constexpr std::size_t kEmbeddedMax = 44;
constexpr std::int64_t kSharedIntegers = 10000;
constexpr std::int64_t kSharedReferences = 2147483647;

// Looks the key up as OBJECT does: counted, but nobody is told of a miss. `tell` answers for what
// there is.
template <class Tell>
Flow about(Call& call, Tell&& tell) {
    const auto item = call.session.look(call.arg(2));
    if (!item) return call.stop(item.error());
    auto& statistics = call.reactor.statistics();
    if (!*item) {
        statistics.keyspace_misses.add();
        call.out.null();
        return Flow::done;
    }
    const Flow flow = tell(**item);
    if (flow != Flow::again) statistics.keyspace_hits.add();
    return flow;
}

std::string_view encoding_of(const Call& call, const engine::HashBody& body) {
    const auto& config = call.server.config();
    const auto entries_max = config.hash_max_listpack_entries;
    const bool few = entries_max >= 0 && body.size() <= static_cast<std::size_t>(entries_max);
    const bool small = body.longest() <= config.hash_max_listpack_value;
    // Once spread over pages it stays so, as in Redis.
    return few && small && body.fields().linear() ? "listpack" : "hashtable";
}

}  // namespace

Flow object_encoding(Call& call) {
    return about(call, [&](const engine::Item& item) {
        if (item.type == engine::Type::hash) {
            call.session.saw(item.object->last_change);
            call.out.bulk(encoding_of(call, std::get<engine::HashBody>(item.object->body)));
            return Flow::done;
        }
        if (item.type == engine::Type::big_string) {
            call.out.bulk("raw");
            return Flow::done;
        }
        const auto value = engine::strings::get(call.session, item);
        if (!value) return call.stop(value.error());
        if (text::parse_i64(*value))
            call.out.bulk("int");
        else
            call.out.bulk(value->size() <= kEmbeddedMax ? "embstr" : "raw");
        return Flow::done;
    });
}

Flow object_freq(Call& call) {
    return about(call, [&](const engine::Item&) {
        return call.error(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please "
            "note "
            "that when switching between policies at runtime LRU and LFU data will take some time "
            "to adjust.");
    });
}

Flow object_idletime(Call& call) {
    // Nothing is ever evicted, so nobody needs to know, and reading a key stays free of writes.
    return about(call, [&](const engine::Item&) { return call.integer(0); });
}

Flow object_refcount(Call& call) {
    return about(call, [&](const engine::Item& item) {
        if (item.type != engine::Type::string) return call.integer(1);
        const auto value = engine::strings::get(call.session, item);
        if (!value) return call.stop(value.error());
        const auto number = text::parse_i64(*value);
        const bool shared = number && *number >= 0 && *number < kSharedIntegers;
        return call.integer(shared ? kSharedReferences : 1);
    });
}

}  // namespace firnlog::server::keys
