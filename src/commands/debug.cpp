#include <csignal>
#include <cstdlib>

#include <array>
#include <chrono>
#include <cstdio>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "engine/ops/strings.hpp"
#include "src/commands/replies.hpp"
#include "src/commands/server.hpp"
#include "src/digest.hpp"
#include "src/logger.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"

// DEBUG: for tests. It runs with every stripe locked, for nobody can say beforehand which keys a
// subcommand is about; whoever enables it accepts that it stops everybody else meanwhile.
namespace firnlog::server {
namespace {

using text::equal_folded;

Flow help(Call& call) {
    static constexpr std::string_view kLines[] = {
        "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ASSERT",
        "    Crash as after a broken promise of our own.",
        "CHANGE-REPL-ID",
        "    Answer OK: there is no replication.",
        "DIGEST",
        "    Return Redis's digest of all keys and values.",
        "DIGEST-VALUE <key> [<key> ...]",
        "    Return Redis's digest of these keys' values.",
        "ERROR <string>",
        "    Return this error.",
        "LOADAOF",
        "    Answer OK: the index is the log's at all times.",
        "LOG <message>",
        "    Write a line to the log file.",
        "OBJECT <key>",
        "    Tell how a value is kept.",
        "PANIC",
        "    Crash as after a broken promise of our own.",
        "POPULATE <count> [<prefix>] [<size>]",
        "    Create string keys named key:<number>, or <prefix>:<number>.",
        "PROTOCOL <type>",
        "    Return a value of a type of the protocol: string, integer, double, bignum,",
        "    null, array, set, map, attrib, push, verbatim, true, false.",
        "QUICKLIST-PACKED-THRESHOLD <size>",
        "    Answer OK.",
        "RELOAD [option ...]",
        "    Answer OK: the index is the log's at all times.",
        "SEGFAULT",
        "    Crash by a signal.",
        "SET-ACTIVE-EXPIRE <0|1>",
        "    Switch off or on that keys expire which nobody looks at.",
        "SLEEP <seconds>",
        "    Stop everything for so long; decimals allowed.",
        "HELP",
        "    Prints this help.",
    };
    call.out.array(std::size(kLines));
    for (const auto line : kLines) call.out.simple(line);
    return Flow::done;
}

Flow digest(Call& call) {
    const auto value = digest_of_store(call.session.engine(), DigestOf::values);
    if (!value) return call.stop(value.error());
    call.session.saw_everything();
    call.out.simple(text::hex(*value));
    return Flow::done;
}

Flow digest_value(Call& call) {
    std::vector<text::Sha1> digests;
    for (const auto key : call.args.subspan(2)) {
        const auto value = digest_of_value(call.session, key);
        if (!value) return call.stop(value.error());
        digests.push_back(*value);
    }
    call.out.array(digests.size());
    for (const auto& value : digests) call.out.simple(text::hex(value));
    return Flow::done;
}

// What Redis would call it.
struct Shape {
    std::string_view encoding;
    std::size_t bytes = 0;
};

engine::Expected<Shape> shape_of(Call& call, const engine::Item& item) {
    constexpr std::size_t kEmbeddedMax = 44;
    if (item.type == engine::Type::hash) {
        const auto& body = std::get<engine::HashBody>(item.object->body);
        const auto& config = call.server.config();
        const bool small =
            static_cast<std::int64_t>(body.size()) <= config.hash_max_listpack_entries &&
            body.longest() <= config.hash_max_listpack_value;
        return Shape{small ? "listpack" : "hashtable", body.memory_bytes()};
    }
    const auto value = engine::strings::get(call.session, item);
    if (!value) return tl::unexpected(value.error());
    if (text::parse_i64(*value)) return Shape{"int", value->size()};
    return Shape{value->size() <= kEmbeddedMax ? "embstr" : "raw", value->size() + 1};
}

Flow object(Call& call) {
    const auto item = call.session.look(call.arg(2));
    if (!item) return call.stop(item.error());
    if (!*item) return call.error("ERR no such key");
    const auto shape = shape_of(call, **item);
    if (!shape) return call.stop(shape.error());
    const auto place = (*item)->object != nullptr
                           ? reinterpret_cast<std::uintptr_t>((*item)->object)
                           : static_cast<std::uintptr_t>((*item)->address.bits());
    std::array<char, 32> at{};
    std::snprintf(at.data(), at.size(), "0x%llx", static_cast<unsigned long long>(place));
    call.out.simple("Value at:" + std::string(at.data()) +
                    " refcount:1 encoding:" + std::string(shape->encoding) + " serializedlength:" +
                    std::to_string(shape->bytes) + " lru:0 lru_seconds_idle:0");
    return Flow::done;
}

Flow sleep(Call& call) {
    const std::string text(call.arg(2));
    const double seconds = std::strtod(text.c_str(), nullptr);
    if (seconds > 0) std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    return call.ok();
}

Flow populate(Call& call) {
    const auto count = text::parse_i64(call.arg(2));
    constexpr std::string_view kNotPositive = "ERR value is out of range, must be positive";
    if (!count || *count < 0) return call.error(kNotPositive);
    const auto prefix = call.argc() > 3 ? call.arg(3) : std::string_view("key");
    std::optional<std::int64_t> size = 0;
    if (call.argc() > 4) size = text::parse_i64(call.arg(4));
    if (!size || *size < 0) return call.error(kNotPositive);
    struct Pair {
        std::string_view key;
        std::string value;
    };
    // A session knows a key by its name's bytes: these stay where they are until it ends.
    std::deque<std::string> names;
    std::vector<Pair> pairs;
    std::size_t bytes = 0;
    std::size_t records = 0;
    for (std::int64_t i = 0; i < *count; ++i) {
        const auto& key = names.emplace_back(std::string(prefix) + ":" + std::to_string(i));
        const auto there = call.session.look(key);
        if (!there) return call.stop(there.error());
        if (*there) continue;
        Pair pair{.key = key, .value = "value:" + std::to_string(i)};
        if (*size != 0) pair.value.resize(static_cast<std::size_t>(*size), '\0');
        const auto cost = engine::strings::cost_of_set(key, pair.value.size());
        bytes += cost.bytes;
        records += cost.records;
        if (bytes > call.session.engine().options.batch_bytes_max)
            return call.stop(engine::Stop::too_big);
        pairs.push_back(std::move(pair));
    }
    if (pairs.empty()) return call.ok();
    if (auto room = call.session.reserve(bytes, records); !room) return call.stop(room.error());
    for (const auto& pair : pairs)
        engine::strings::set_reserved(call.session, pair.key, pair.value);
    return call.ok();
}

Flow set_active_expire(Call& call) {
    const std::string text(call.arg(2));
    call.server.active_expire.store(std::atoi(text.c_str()) != 0, std::memory_order_relaxed);
    return call.ok();
}

Flow error(Call& call) {
    std::string text(call.arg(2));
    for (auto& letter : text)
        if (letter == '\n' || letter == '\r') letter = ' ';
    return call.error(text);
}

Flow log(Call& call) {
    logger::warning("DEBUG LOG: " + std::string(call.arg(2)));
    return call.ok();
}

Flow protocol(Call& call) {
    auto& out = call.out;
    const auto type = call.arg(2);
    const bool resp3 = out.protocol() == resp::Protocol::resp3;
    if (equal_folded(type, "string")) {
        out.bulk("Hello World");
    } else if (equal_folded(type, "integer")) {
        out.integer(12345);
    } else if (equal_folded(type, "double")) {
        out.number(3.141);
    } else if (equal_folded(type, "null")) {
        out.null();
    } else if (equal_folded(type, "array")) {
        out.array(3);
        for (int i = 0; i < 3; ++i) out.integer(i);
    } else if (equal_folded(type, "set")) {
        out.set(3);
        for (int i = 0; i < 3; ++i) out.integer(i);
    } else if (equal_folded(type, "map")) {
        out.map(3);
        for (int i = 0; i < 3; ++i) {
            out.integer(i);
            out.boolean(i == 1);
        }
    } else if (equal_folded(type, "attrib")) {
        if (resp3) {
            out.attribute(1);
            out.bulk("key-popularity");
            out.array(2);
            out.bulk("key:123");
            out.integer(90);
        }
        out.bulk("Some real reply following the attribute");
    } else if (equal_folded(type, "push")) {
        if (!resp3) return call.error("ERR RESP2 is not supported by this command");
        out.push(2);
        out.bulk("server-cpu-usage");
        out.integer(42);
        out.bulk("Some real reply following the push reply");
    } else if (equal_folded(type, "true")) {
        out.boolean(true);
    } else if (equal_folded(type, "false")) {
        out.boolean(false);
    } else if (equal_folded(type, "verbatim")) {
        out.verbatim("This is a verbatim\nstring");
    } else if (equal_folded(type, "bignum")) {
        out.big_number("1234567999999999999999999999999999999");
    } else {
        return call.error(
            "ERR Wrong protocol type name. Please use one of the following: "
            "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false");
    }
    return Flow::done;
}

Flow nothing(Call& call) { return call.ok(); }

Flow crash(Call& call) {
    ensure(false, "DEBUG asked for it");
    return call.ok();
}

Flow segfault(Call& call) {
    std::raise(SIGSEGV);
    return call.ok();
}

struct Verb {
    std::string_view name;
    std::size_t args_min = 2;
    std::size_t args_max = 2;
    Handler handler = nullptr;
};

constexpr std::size_t kAny = 1U << 20;

constexpr Verb kVerbs[] = {
    {"help", 2, 2, help},
    {"assert", 2, 2, crash},
    {"change-repl-id", 2, 2, nothing},
    {"digest", 2, 2, digest},
    {"digest-value", 2, kAny, digest_value},
    {"error", 3, 3, error},
    {"loadaof", 2, 2, nothing},
    {"log", 3, 3, log},
    {"object", 3, 3, object},
    {"panic", 2, 2, crash},
    {"populate", 3, 5, populate},
    {"protocol", 3, 3, protocol},
    {"quicklist-packed-threshold", 3, 3, nothing},
    {"reload", 2, kAny, nothing},
    {"segfault", 2, 2, segfault},
    {"set-active-expire", 3, 3, set_active_expire},
    {"sleep", 3, 3, sleep},
};

Flow debug(Call& call) {
    for (const auto& verb : kVerbs) {
        if (!equal_folded(verb.name, call.arg(1))) continue;
        if (call.argc() < verb.args_min || call.argc() > verb.args_max) break;
        return verb.handler(call);
    }
    return subcommand_syntax_error(call);
}

}  // namespace

Command debug_command() {
    return {.name = "debug",
            .syntax = "subcommand [arg [arg ...]]",
            .summary = "For tests, where enable-debug-command lets it: see DEBUG HELP",
            .since = "1.0.0",
            .group = "server",
            .complexity = "Depends on subcommand.",
            .arity = -2,
            .flags = kAdmin | kNoScript | kLoading | kStale | kProtected | kAllStripes,
            .handler = debug};
}

}  // namespace firnlog::server
