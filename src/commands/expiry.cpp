#include <limits>

#include "engine/ops/keys.hpp"
#include "src/commands/keys.hpp"
#include "src/commands/string_text.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"

// Expiry: until when keys live. Only absolute times reach the log.

namespace firnlog::server::keys {
namespace {

constexpr std::int64_t kLongest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMsInSecond = 1000;

enum class Unit : bool { milliseconds, seconds };
enum class Since : bool { now, epoch };

struct Conditions {
    bool none_set = false;  // NX
    bool one_set = false;   // XX
    bool later = false;     // GT
    bool earlier = false;   // LT

    // `known_ms` < 0: the key lives for ever, which is later than anything.
    [[nodiscard]] bool hold(std::int64_t known_ms, std::int64_t at_ms) const {
        if (none_set && known_ms >= 0) return false;
        if (one_set && known_ms < 0) return false;
        if (later && (known_ms < 0 || at_ms <= known_ms)) return false;
        return !(earlier && known_ms >= 0 && at_ms >= known_ms);
    }
};

// Nothing: the error was answered.
std::optional<Conditions> parse_conditions(Call& call) {
    Conditions conditions;
    for (std::size_t i = 3; i < call.argc(); ++i) {
        const auto word = call.arg(i);
        if (text::equal_folded(word, "nx")) {
            conditions.none_set = true;
        } else if (text::equal_folded(word, "xx")) {
            conditions.one_set = true;
        } else if (text::equal_folded(word, "gt")) {
            conditions.later = true;
        } else if (text::equal_folded(word, "lt")) {
            conditions.earlier = true;
        } else {
            const auto shown = word.substr(0, word.find('\0'));
            call.error("ERR Unsupported option " + std::string(shown));
            return std::nullopt;
        }
    }
    if (conditions.none_set && (conditions.one_set || conditions.later || conditions.earlier)) {
        call.error("ERR NX and XX, GT or LT options at the same time are not compatible");
        return std::nullopt;
    }
    if (conditions.later && conditions.earlier) {
        call.error("ERR GT and LT options at the same time are not compatible");
        return std::nullopt;
    }
    return conditions;
}

// Milliseconds since 1970, negative for times before; nothing: the error was answered.
std::optional<std::int64_t> parse_time(Call& call, Unit unit, Since since) {
    const auto given = text::parse_i64(call.arg(2));
    if (!given) {
        call.error(kNotAnInteger);
        return std::nullopt;
    }
    std::int64_t at_ms = 0;
    const auto factor = unit == Unit::seconds ? kMsInSecond : 1;
    const auto base_ms = since == Since::now ? call.session.now_ms() : 0;
    if (__builtin_mul_overflow(*given, factor, &at_ms) || at_ms > kLongest - base_ms) {
        call.error("ERR invalid expire time in '" + std::string(call.command.name) + "' command");
        return std::nullopt;
    }
    return at_ms + base_ms;
}

Flow set_expiry(Call& call, Unit unit, Since since) {
    const auto conditions = parse_conditions(call);
    if (!conditions) return Flow::done;
    const auto at_ms = parse_time(call, unit, since);
    if (!at_ms) return Flow::done;
    const auto key = call.arg(1);
    const auto item = call.session.look(key);
    if (!item) return call.stop(item.error());
    if (!*item || !conditions->hold((*item)->expires_ms, *at_ms)) return call.integer(0);
    if (*at_ms <= call.session.now_ms()) {
        if (auto done = engine::keys::remove(call.session, key); !done)
            return call.stop(done.error());
        call.notify(kNotifyGeneric, "del", key);
        return call.integer(1);
    }
    if (auto done = engine::keys::set_expiry(call.session, key, *at_ms); !done)
        return call.stop(done.error());
    call.notify(kNotifyGeneric, "expire", key);
    return call.integer(1);
}

Flow tell_expiry(Call& call, Unit unit, Since since) {
    const auto item = call.session.look(call.arg(1));
    if (!item) return call.stop(item.error());
    count_lookup(call, call.arg(1), item->has_value());
    if (!*item) return call.integer(-2);
    if (!(*item)->expires()) return call.integer(-1);
    auto ms = (*item)->expires_ms;
    if (since == Since::now) ms -= call.session.now_ms();
    return call.integer(unit == Unit::seconds ? (ms + kMsInSecond / 2) / kMsInSecond : ms);
}

}  // namespace

Flow expire(Call& call) { return set_expiry(call, Unit::seconds, Since::now); }
Flow pexpire(Call& call) { return set_expiry(call, Unit::milliseconds, Since::now); }
Flow expireat(Call& call) { return set_expiry(call, Unit::seconds, Since::epoch); }
Flow pexpireat(Call& call) { return set_expiry(call, Unit::milliseconds, Since::epoch); }

Flow ttl(Call& call) { return tell_expiry(call, Unit::seconds, Since::now); }
Flow pttl(Call& call) { return tell_expiry(call, Unit::milliseconds, Since::now); }
Flow expiretime(Call& call) { return tell_expiry(call, Unit::seconds, Since::epoch); }
Flow pexpiretime(Call& call) { return tell_expiry(call, Unit::milliseconds, Since::epoch); }

Flow persist(Call& call) {
    const auto key = call.arg(1);
    const auto item = call.session.look(key);
    if (!item) return call.stop(item.error());
    if (!*item || !(*item)->expires()) return call.integer(0);
    if (auto done = engine::keys::set_expiry(call.session, key, -1); !done)
        return call.stop(done.error());
    call.notify(kNotifyGeneric, "persist", key);
    return call.integer(1);
}

}  // namespace firnlog::server::keys
