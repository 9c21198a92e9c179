#include "engine/ops/strings.hpp"
#include "engine/ops/keys.hpp"
#include "src/commands/command_table.hpp"
#include "src/commands/lcs.hpp"
#include "src/commands/string_text.hpp"
#include "src/notifications.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"

// Strings: values set, read and changed in place.

namespace firnlog::server {
namespace {

namespace strings = engine::strings;

// ---- What SET and GETEX may be told.

struct Expiry {
    std::string_view text;
    bool seconds = false;
    bool absolute = false;
};

struct Options {
    bool only_new = false;  // NX
    bool only_old = false;  // XX
    bool get = false;
    bool keep_expiry = false;  // KEEPTTL
    bool persist = false;
    std::optional<Expiry> expiry;
};

enum class OptionsOf : std::uint8_t { set, getex };

// Nothing: a syntax error. One unit of expiry may be given again, and the last counts; two may not.
std::optional<Options> parse_options(const Call& call, std::size_t first, OptionsOf command) {
    const bool sets = command == OptionsOf::set;
    Options options;
    for (auto i = first; i < call.argc(); ++i) {
        const auto word = call.arg(i);
        const auto is = [&](std::string_view name) { return text::equal_folded(word, name); };
        const bool seconds = is("ex") || is("exat");
        const bool absolute = is("exat") || is("pxat");
        if (sets && is("nx") && !options.only_old) {
            options.only_new = true;
        } else if (sets && is("xx") && !options.only_new) {
            options.only_old = true;
        } else if (sets && is("get")) {
            options.get = true;
        } else if (sets && is("keepttl") && !options.expiry) {
            options.keep_expiry = true;
        } else if (!sets && is("persist") && !options.expiry) {
            options.persist = true;
        } else if ((seconds || absolute || is("px")) && i + 1 < call.argc() &&
                   !options.keep_expiry && !options.persist &&
                   (!options.expiry ||
                    (options.expiry->seconds == seconds && options.expiry->absolute == absolute))) {
            options.expiry =
                Expiry{.text = call.arg(++i), .seconds = seconds, .absolute = absolute};
        } else {
            return std::nullopt;
        }
    }
    return options;
}

// Milliseconds since 1970; nothing: the error was answered.
std::optional<std::int64_t> expires_ms_of(Call& call, const Expiry& expiry) {
    const auto given = text::parse_i64(expiry.text);
    if (!given) {
        call.error(kNotAnInteger);
        return std::nullopt;
    }
    std::int64_t at_ms = 0;
    if (*given <= 0 || __builtin_mul_overflow(*given, expiry.seconds ? 1000 : 1, &at_ms) ||
        (!expiry.absolute && __builtin_add_overflow(at_ms, call.session.now_ms(), &at_ms))) {
        call.error("ERR invalid expire time in '" + std::string(call.command.name) + "' command");
        return std::nullopt;
    }
    return at_ms;
}

void notify_set(const Call& call, std::string_view key, bool is_new) {
    if (is_new) call.notify(kNotifyNew, "new", key);
    call.notify(kNotifyString, "set", key);
}

// What SET, SETNX, SETEX and PSETEX have in common; `counts`: 1 and 0 are answered.
Flow store(Call& call, std::string_view key, std::string_view value, const Options& options,
           bool counts = false) {
    std::int64_t expires_ms = -1;
    if (options.expiry) {
        const auto at_ms = expires_ms_of(call, *options.expiry);
        if (!at_ms) return Flow::done;
        expires_ms = *at_ms;
    }
    engine::Expected<std::optional<std::string_view>> old;
    if (options.get) {
        old = strings::get(call.session, key);
        if (!old) return stop_lookup(call, key, old.error());
    }
    bool found = false;
    if (options.only_new || options.only_old || options.keep_expiry || anyone_listens(call)) {
        const auto item = call.session.look(key);
        if (!item) return call.stop(item.error());
        found = item->has_value();
        if (found && options.keep_expiry) expires_ms = (*item)->expires_ms;
    }
    const bool stores = !(options.only_new && found) && !(options.only_old && !found);
    if (stores)
        if (auto done = strings::set(call.session, key, value, expires_ms); !done)
            return call.stop(done.error());
    if (options.get) count_lookup(call, key, old->has_value());
    if (stores) {
        notify_set(call, key, !found);
        if (options.expiry) call.notify(kNotifyGeneric, "expire", key);
    }
    if (counts) return call.integer(stores ? 1 : 0);
    if (options.get && *old)
        call.out.bulk(**old);
    else if (options.get || !stores)
        call.out.null();
    else
        call.out.ok();
    return Flow::done;
}

Flow set(Call& call) {
    if (call.argc() == 3) return store(call, call.arg(1), call.arg(2), {});
    const auto options = parse_options(call, 3, OptionsOf::set);
    if (!options) return call.syntax_error();
    return store(call, call.arg(1), call.arg(2), *options);
}

Flow setnx(Call& call) { return store(call, call.arg(1), call.arg(2), {.only_new = true}, true); }

Flow setex(Call& call) {
    return store(call, call.arg(1), call.arg(3),
                 {.expiry = Expiry{.text = call.arg(2), .seconds = true}});
}

Flow psetex(Call& call) {
    return store(call, call.arg(1), call.arg(3), {.expiry = Expiry{.text = call.arg(2)}});
}

// ---- Reading, and reading with an effect.

Flow answer(Call& call, const std::optional<std::string_view>& value) {
    if (value)
        call.out.bulk(*value);
    else
        call.out.null();
    return Flow::done;
}

// The value of what was looked up, or null. An error has written nothing.
engine::Expected<void> answer_item(Call& call, std::string_view key,
                                   const std::optional<engine::Item>& item) {
    if (!item) {
        call.out.null();
        return {};
    }
    const auto value = StringText::open(call.session, key, item);
    if (!value) return tl::unexpected(value.error());
    return value->write(call.out, 0, value->size());
}

Flow get(Call& call) {
    const auto key = call.arg(1);
    const auto item = call.session.look(key, engine::Type::string);
    if (!item) return stop_lookup(call, key, item.error());
    if (const auto done = answer_item(call, key, *item); !done) return call.stop(done.error());
    count_lookup(call, key, item->has_value());
    return Flow::done;
}

Flow getset(Call& call) {
    const auto key = call.arg(1);
    const auto old = strings::get(call.session, key);
    if (!old) return stop_lookup(call, key, old.error());
    if (auto done = strings::set(call.session, key, call.arg(2)); !done)
        return call.stop(done.error());
    count_lookup(call, key, old->has_value());
    notify_set(call, key, !*old);
    return answer(call, *old);
}

Flow getdel(Call& call) {
    const auto key = call.arg(1);
    const auto old = strings::get(call.session, key);
    if (!old) return stop_lookup(call, key, old.error());
    const auto gone = engine::keys::remove(call.session, key);
    if (!gone) return call.stop(gone.error());
    count_lookup(call, key, old->has_value());
    if (*gone) call.notify(kNotifyGeneric, "del", key);
    return answer(call, *old);
}

Flow getex(Call& call) {
    const auto key = call.arg(1);
    const auto options = parse_options(call, 2, OptionsOf::getex);
    if (!options) return call.syntax_error();
    const auto value = strings::get(call.session, key);
    if (!value) return stop_lookup(call, key, value.error());
    std::string_view event;
    if (*value && (options->expiry || options->persist)) {
        const auto item = call.session.look(key);
        if (!item) return call.stop(item.error());
        std::int64_t expires_ms = -1;
        if (options->expiry) {
            const auto at_ms = expires_ms_of(call, *options->expiry);
            if (!at_ms) {
                count_lookup(call, key, true);
                return Flow::done;
            }
            expires_ms = *at_ms;
            event = expires_ms <= call.session.now_ms() ? "del" : "expire";
        } else if ((*item)->expires()) {
            event = "persist";
        }
        if (const auto done = engine::keys::set_expiry(call.session, key, expires_ms); !done)
            return call.stop(done.error());
    }
    count_lookup(call, key, value->has_value());
    if (!event.empty()) call.notify(kNotifyGeneric, event, key);
    return answer(call, *value);
}

Flow strlen(Call& call) {
    const auto key = call.arg(1);
    const auto item = call.session.look(key, engine::Type::string);
    if (!item) return stop_lookup(call, key, item.error());
    const auto value = StringText::open(call.session, key, *item);
    if (!value) return call.stop(value.error());
    count_lookup(call, key, item->has_value());
    return call.integer(static_cast<std::int64_t>(value->size()));
}

// GETRANGE, and SUBSTR, its older name.
Flow getrange(Call& call) {
    const auto key = call.arg(1);
    const auto first = text::parse_i64(call.arg(2));
    const auto last = text::parse_i64(call.arg(3));
    if (!first || !last) return call.error(kNotAnInteger);
    const auto item = call.session.look(key, engine::Type::string);
    if (!item) return stop_lookup(call, key, item.error());
    const auto value = StringText::open(call.session, key, *item);
    if (!value) return call.stop(value.error());
    const auto size = static_cast<std::int64_t>(value->size());
    // Negative places count from the end; what lies before the beginning is the beginning.
    const auto begin = std::max<std::int64_t>(*first < 0 ? size + *first : *first, 0);
    const auto end =
        std::min(std::max<std::int64_t>(*last < 0 ? size + *last : *last, 0), size - 1);
    const bool is_empty = (*first < 0 && *last < 0 && *first > *last) || begin > end;
    const auto done = value->write(call.out, static_cast<std::size_t>(begin),
                                   is_empty ? 0 : static_cast<std::size_t>(end - begin + 1));
    if (!done) return call.stop(done.error());
    count_lookup(call, key, item->has_value());
    return Flow::done;
}

// ---- Several keys at once.

Flow mget(Call& call) {
    const auto keys = call.args.subspan(1);
    const auto before = call.out.out().size();
    call.out.array(keys.size());
    std::optional<engine::Stop> stop;
    // What is cold is found out for all of them at once.
    for (const auto key : keys) {
        const auto item = call.session.look(key);
        if (item && *item && (*item)->type != engine::Type::string &&
            (*item)->type != engine::Type::big_string) {
            call.out.null();
            continue;
        }
        const auto done = item ? answer_item(call, key, *item) : tl::unexpected(item.error());
        if (done) continue;
        stop = done.error();
        if (*stop != engine::Stop::cold) break;
    }
    if (stop) {
        call.out.out().truncate(before);
        return call.stop(*stop);
    }
    for (const auto key : keys) {
        const auto item = call.session.look(key);
        count_lookup(call, key, item && *item);
    }
    return Flow::done;
}

// All of MSET, or of MSETNX, is one batch.
Flow set_all(Call& call, bool only_new) {
    if (call.argc() % 2 == 0)
        return call.error("ERR wrong number of arguments for '" + std::string(call.command.name) +
                          "' command");
    const bool looks = only_new || anyone_listens(call);
    strings::Cost cost;
    for (std::size_t i = 1; i < call.argc(); i += 2) {
        const auto own = strings::cost_of_set(call.arg(i), call.arg(i + 1).size());
        cost.bytes += own.bytes;
        cost.records += own.records;
        if (!looks) continue;
        const auto item = call.session.look(call.arg(i));
        if (!item) return call.stop(item.error());
        if (only_new && *item) return call.integer(0);
    }
    if (auto room = call.session.reserve(cost.bytes, cost.records); !room)
        return call.stop(room.error());
    // MSETNX has looked at all of them before it set any, in Redis too.
    std::optional<ExpiredInTurn> expired;
    if (!only_new) expired.emplace(call.session);
    for (std::size_t i = 1; i < call.argc(); i += 2) {
        const auto key = call.arg(i);
        if (expired) expired->turn_of(key);
        // A key may stand there twice, and is new once. What had expired is gone since the first
        // look.
        const bool is_new = looks && !*call.session.look(key);
        strings::set_reserved(call.session, key, call.arg(i + 1));
        notify_set(call, key, is_new);
    }
    return only_new ? call.integer(1) : call.ok();
}

Flow mset(Call& call) { return set_all(call, false); }
Flow msetnx(Call& call) { return set_all(call, true); }

// ---- Changing in place.

Flow append(Call& call) {
    const auto key = call.arg(1);
    const auto more = call.arg(2);
    const auto item = call.session.look(key, engine::Type::string);
    if (!item) return call.stop(item.error());
    std::size_t size = more.size();
    if (!*item) {
        if (auto done = strings::set(call.session, key, more); !done)
            return call.stop(done.error());
        call.notify(kNotifyNew, "new", key);
    } else {
        const auto old = strings::length(call.session, **item);
        if (!old) return call.stop(old.error());
        if (!fits_string(call, *old, more.size())) return string_too_long(call);
        size += *old;
        if (more.empty()) {
            call.session.touch_key(key);
        } else if (auto done = strings::patch(call.session, key, *old, more); !done) {
            return call.stop(done.error());
        }
    }
    call.notify(kNotifyString, "append", key);
    return call.integer(static_cast<std::int64_t>(size));
}

Flow setrange(Call& call) {
    const auto key = call.arg(1);
    const auto offset = text::parse_i64(call.arg(2));
    const auto bytes = call.arg(3);
    if (!offset) return call.error(kNotAnInteger);
    if (*offset < 0) return call.error("ERR offset is out of range");
    const auto item = call.session.look(key, engine::Type::string);
    if (!item) return call.stop(item.error());
    if (bytes.empty()) {
        if (!*item) return call.integer(0);
        const auto size = strings::length(call.session, **item);
        if (!size) return call.stop(size.error());
        return call.integer(static_cast<std::int64_t>(*size));
    }
    const auto from = static_cast<std::uint64_t>(*offset);
    if (!fits_string(call, from, bytes.size())) return string_too_long(call);
    const auto size = strings::patch(call.session, key, from, bytes);
    if (!size) return call.stop(size.error());
    if (!*item) call.notify(kNotifyNew, "new", key);
    call.notify(kNotifyString, "setrange", key);
    return call.integer(static_cast<std::int64_t>(*size));
}

// ---- The rows.

constexpr KeySpec one(std::uint32_t flags) { return {.flags = flags, .first = 1, .last = 1}; }
constexpr KeySpec kReads[] = {one(kKeyRO | kKeyAccess)};
constexpr KeySpec kMeasures[] = {one(kKeyRO)};
constexpr KeySpec kReadsBoth[] = {{.flags = kKeyRO | kKeyAccess, .first = 1, .last = 2}};
constexpr KeySpec kReadsAll[] = {{.flags = kKeyRO | kKeyAccess, .first = 1, .last = -1}};
constexpr KeySpec kMaySet[] = {one(kKeyRW | kKeyAccess | kKeyUpdate | kKeyVariable)};
constexpr KeySpec kInserts[] = {one(kKeyOW | kKeyInsert)};
constexpr KeySpec kOverwrites[] = {one(kKeyOW | kKeyUpdate)};
constexpr KeySpec kReadsAndSets[] = {one(kKeyRW | kKeyAccess | kKeyUpdate)};
constexpr KeySpec kReadsAndDeletes[] = {one(kKeyRW | kKeyAccess | kKeyDelete)};
constexpr KeySpec kExtends[] = {one(kKeyRW | kKeyInsert)};
constexpr KeySpec kUpdates[] = {one(kKeyRW | kKeyUpdate)};
constexpr KeySpec kOverwritesAll[] = {
    {.flags = kKeyOW | kKeyUpdate, .first = 1, .last = -1, .step = 2}};
constexpr KeySpec kInsertsAll[] = {
    {.flags = kKeyOW | kKeyInsert, .first = 1, .last = -1, .step = 2}};

constexpr std::uint32_t kChanges = kWrite | kDenyOom;
constexpr std::uint32_t kChangesFast = kWrite | kDenyOom | kFast;

constexpr Command kStringCommands[] = {
    {.name = "get",
     .syntax = "key",
     .summary = "The value of a key",
     .since = "1.0.0",
     .group = "string",
     .complexity = "O(1)",
     .arity = 2,
     .flags = kReadonly | kFast,
     .categories = kString,
     .keys = kReads,
     .handler = get},
    {.name = "set",
     .syntax = "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | "
               "PXAT unix-time-milliseconds | KEEPTTL]",
     .summary = "Sets a key to a value, whatever it held before",
     .since = "1.0.0",
     .group = "string",
     .complexity = "O(1)",
     .arity = -3,
     .flags = kChanges,
     .categories = kString,
     .keys = kMaySet,
     .handler = set},
    {.name = "setnx",
     .syntax = "key value",
     .summary = "Sets a key that is not there yet",
     .since = "1.0.0",
     .group = "string",
     .complexity = "O(1)",
     .arity = 3,
     .flags = kChangesFast,
     .categories = kString,
     .keys = kInserts,
     .handler = setnx},
    {.name = "setex",
     .syntax = "key seconds value",
     .summary = "Sets a key that expires after so many seconds",
     .since = "2.0.0",
     .group = "string",
     .complexity = "O(1)",
     .arity = 4,
     .flags = kChanges,
     .categories = kString,
     .keys = kOverwrites,
     .handler = setex},
    {.name = "psetex",
     .syntax = "key milliseconds value",
     .summary = "Sets a key that expires after so many milliseconds",
     .since = "2.6.0",
     .group = "string",
     .complexity = "O(1)",
     .arity = 4,
     .flags = kChanges,
     .categories = kString,
     .keys = kOverwrites,
     .handler = psetex},
    {.name = "getset",
     .syntax = "key value",
     .summary = "Sets a key and answers its old value",
     .since = "1.0.0",
     .group = "string",
     .complexity = "O(1)",
     .arity = 3,
     .flags = kChangesFast,
     .categories = kString,
     .keys = kReadsAndSets,
     .handler = getset},
    {.name = "getdel",
     .syntax = "key",
     .summary = "Answers the value of a key and deletes it",
     .since = "6.2.0",
     .group = "string",
     .complexity = "O(1)",
     .arity = 2,
     .flags = kWrite | kFast,
     .categories = kString,
     .keys = kReadsAndDeletes,
     .handler = getdel},
    {.name = "getex",
     .syntax = "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | "
               "PXAT unix-time-milliseconds | PERSIST]",
     .summary = "Answers the value of a key and changes when it expires",
     .since = "6.2.0",
     .group = "string",
     .complexity = "O(1)",
     .arity = -2,
     .flags = kWrite | kFast,
     .categories = kString,
     .keys = kReadsAndSets,
     .handler = getex},
    {.name = "mget",
     .syntax = "key [key ...]",
     .summary = "The values of several keys",
     .since = "1.0.0",
     .group = "string",
     .complexity = "O(N) where N is the number of keys",
     .arity = -2,
     .flags = kReadonly | kFast,
     .categories = kString,
     .keys = kReadsAll,
     .handler = mget},
    {.name = "mset",
     .syntax = "key value [key value ...]",
     .summary = "Sets several keys, all or none of them",
     .since = "1.0.1",
     .group = "string",
     .complexity = "O(N) where N is the number of keys",
     .arity = -3,
     .flags = kChanges,
     .categories = kString,
     .keys = kOverwritesAll,
     .handler = mset},
    {.name = "msetnx",
     .syntax = "key value [key value ...]",
     .summary = "Sets several keys if none of them is there yet",
     .since = "1.0.1",
     .group = "string",
     .complexity = "O(N) where N is the number of keys",
     .arity = -3,
     .flags = kChanges,
     .categories = kString,
     .keys = kInsertsAll,
     .handler = msetnx},
    {.name = "append",
     .syntax = "key value",
     .summary = "Puts bytes behind the end of a value",
     .since = "2.0.0",
     .group = "string",
     .complexity = "O(N) where N is the length of what is appended",
     .arity = 3,
     .flags = kChangesFast | kRewritesValue,
     .categories = kString,
     .keys = kExtends,
     .handler = append},
    {.name = "strlen",
     .syntax = "key",
     .summary = "The length of a value in bytes",
     .since = "2.2.0",
     .group = "string",
     .complexity = "O(1)",
     .arity = 2,
     .flags = kReadonly | kFast,
     .categories = kString,
     .keys = kMeasures,
     .handler = strlen},
    {.name = "getrange",
     .syntax = "key start end",
     .summary = "A part of a value, from its first byte to its last",
     .since = "2.4.0",
     .group = "string",
     .complexity = "O(N) where N is the length of the part",
     .arity = 4,
     .flags = kReadonly,
     .categories = kString,
     .keys = kReads,
     .handler = getrange},
    {.name = "substr",
     .syntax = "key start end",
     .summary = "The older name of GETRANGE",
     .since = "1.0.0",
     .group = "string",
     .complexity = "O(N) where N is the length of the part",
     .arity = 4,
     .flags = kReadonly,
     .categories = kString,
     .keys = kReads,
     .handler = getrange},
    {.name = "setrange",
     .syntax = "key offset value",
     .summary = "Writes bytes into a value, with zeros before them where there was nothing",
     .since = "2.2.0",
     .group = "string",
     .complexity = "O(N) where N is the length of what is written",
     .arity = 4,
     .flags = kChanges | kRewritesValue,
     .categories = kString,
     .keys = kUpdates,
     .handler = setrange},
    {.name = "lcs",
     .syntax = "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
     .summary = "The longest common subsequence of two values",
     .since = "7.0.0",
     .group = "string",
     .complexity = "O(N*M) where N and M are the values' lengths",
     .arity = -3,
     .flags = kReadonly,
     .categories = kString,
     .keys = kReadsBoth,
     .handler = lcs},
};

}  // namespace

std::span<const Command> string_commands() { return kStringCommands; }

}  // namespace firnlog::server
