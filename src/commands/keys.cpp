#include "src/commands/keys.hpp"

#include <limits>

#include "engine/engine.hpp"
#include "engine/ops/keys.hpp"
#include "src/commands/string_text.hpp"
#include "src/notifications.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"

// Keys as wholes: whether they are there, what they are called, where they are.

namespace firnlog::server {

std::string_view name_of(engine::Type type) {
    switch (type) {
        case engine::Type::string:
        case engine::Type::big_string:
            return "string";
        case engine::Type::hash:
            return "hash";
        case engine::Type::list:
            return "list";
        case engine::Type::set:
            return "set";
        case engine::Type::zset:
            return "zset";
        case engine::Type::stream:
            return "stream";
    }
    return "none";
}

std::optional<std::uint32_t> parse_database(Call& call, std::string_view text) {
    const auto number = text::parse_i64(text);
    if (!number) {
        call.error(kNotAnInteger);
        return std::nullopt;
    }
    if (*number < std::numeric_limits<std::int32_t>::min() ||
        *number > std::numeric_limits<std::int32_t>::max()) {
        call.error("ERR value is out of range, value must between -2147483648 and 2147483647");
        return std::nullopt;
    }
    if (*number < 0 || *number >= call.server.engine().options.databases) {
        call.error("ERR DB index is out of range");
        return std::nullopt;
    }
    return static_cast<std::uint32_t>(*number);
}

namespace keys {
namespace {

constexpr std::string_view kSameObject = "ERR source and destination objects are the same";

enum class Existing : bool { overwritten, kept };

Flow rename_to(Call& call, Existing existing) {
    const auto from = call.arg(1);
    const auto to = call.arg(2);
    const auto source = call.session.look(from);
    if (!source) return call.stop(source.error());
    if (!*source) return call.error("ERR no such key");
    const bool keeps = existing == Existing::kept;
    if (from == to) return keeps ? call.integer(0) : call.ok();
    const auto target = call.session.look(to);
    if (!target) return call.stop(target.error());
    if (keeps && *target) return call.integer(0);
    if (auto done = engine::keys::rename(call.session, from, to); !done)
        return call.stop(done.error());
    call.notify(kNotifyNew, "new", to);
    call.notify(kNotifyGeneric, "rename_from", from);
    call.notify(kNotifyGeneric, "rename_to", to);
    return keeps ? call.integer(1) : call.ok();
}

}  // namespace

Flow del(Call& call) {
    const auto gone = engine::keys::remove(call.session, call.args.subspan(1));
    if (!gone) return call.stop(gone.error());
    ExpiredInTurn expired(call.session);
    auto next = gone->begin();
    for (const auto key : call.args.subspan(1)) {
        expired.turn_of(key);
        if (next == gone->end() || next->data() != key.data()) continue;
        call.notify(kNotifyGeneric, "del", *next++);
    }
    return call.integer(static_cast<std::int64_t>(gone->size()));
}

Flow exists(Call& call) {
    const auto names = call.args.subspan(1);
    std::vector<bool> found;
    found.reserve(names.size());
    std::int64_t count = 0;
    for (const auto key : names) {
        const auto item = call.session.look(key);
        if (!item) return call.stop(item.error());
        found.push_back(item->has_value());
        if (*item) ++count;
    }
    for (std::size_t i = 0; i < names.size(); ++i) count_lookup(call, names[i], found[i]);
    return call.integer(count);
}

Flow type(Call& call) {
    const auto item = call.session.look(call.arg(1));
    if (!item) return call.stop(item.error());
    count_lookup(call, call.arg(1), item->has_value());
    call.out.simple(*item ? name_of((*item)->type) : "none");
    return Flow::done;
}

Flow rename(Call& call) { return rename_to(call, Existing::overwritten); }
Flow renamenx(Call& call) { return rename_to(call, Existing::kept); }

Flow copy(Call& call) {
    const auto from = call.arg(1);
    const auto to = call.arg(2);
    auto database = call.session.database();
    bool replaces = false;
    for (std::size_t i = 3; i < call.argc(); ++i) {
        if (text::equal_folded(call.arg(i), "replace")) {
            replaces = true;
        } else if (text::equal_folded(call.arg(i), "db") && i + 1 < call.argc()) {
            const auto given = parse_database(call, call.arg(++i));
            if (!given) return Flow::done;
            database = *given;
        } else {
            return call.syntax_error();
        }
    }
    if (database == call.session.database() && from == to) return call.error(kSameObject);
    const auto source = call.session.look(from);
    if (!source) return call.stop(source.error());
    if (!*source) {
        count_lookup(call, from, false);
        return call.integer(0);
    }
    const auto target = call.session.look(to, database);
    if (!target) return call.stop(target.error());
    if (*target && !replaces) {
        count_lookup(call, from, true);
        return call.integer(0);
    }
    if (auto done = engine::keys::copy(call.session, from, to, database); !done)
        return call.stop(done.error());
    count_lookup(call, from, true);
    call.notify(kNotifyNew, "new", to, database);
    call.notify(kNotifyGeneric, "copy_to", to, database);
    return call.integer(1);
}

Flow move(Call& call) {
    const auto key = call.arg(1);
    const auto database = parse_database(call, call.arg(2));
    if (!database) return Flow::done;
    if (*database == call.session.database()) return call.error(kSameObject);
    const auto source = call.session.look(key);
    if (!source) return call.stop(source.error());
    if (!*source) return call.integer(0);
    const auto target = call.session.look(key, *database);
    if (!target) return call.stop(target.error());
    if (*target) return call.integer(0);
    if (auto done = engine::keys::move(call.session, key, *database); !done)
        return call.stop(done.error());
    call.notify(kNotifyNew, "new", key, *database);
    call.notify(kNotifyGeneric, "move_from", key);
    call.notify(kNotifyGeneric, "move_to", key, *database);
    return call.integer(1);
}

}  // namespace keys
}  // namespace firnlog::server
