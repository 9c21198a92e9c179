#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "engine/engine.hpp"
#include "src/commands/replies.hpp"
#include "src/commands/server.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"

// The allocator, where it is linked: a sanitizer brings its own.
extern "C" [[gnu::weak]] void mi_collect(bool force);

// MEMORY: values lie in the log's files, so that memory is index, buffers and what is mapped.
namespace firnlog::server {
namespace {

// What the elements of an object take in the log, told from some of them (0: all).
std::size_t element_bytes(const engine::BigString& body, std::size_t) { return body.size(); }
std::size_t element_bytes(const engine::HashBody& body, std::size_t samples) {
    std::vector<engine::Entry*> some;
    (void)body.fields().scan(0, samples == 0 ? body.size() : samples, some);
    if (some.empty()) return 0;
    std::size_t bytes = 0;
    for (const auto* entry : some) bytes += engine::HashBody::record_bytes(*entry);
    return bytes * body.size() / some.size();
}

// What a key takes: of memory its entry, of the log its records.
Flow usage(Call& call) {
    constexpr std::int64_t kSamples = 5;
    auto samples = kSamples;
    for (std::size_t i = 3; i < call.argc(); i += 2) {
        if (!text::equal_folded(call.arg(i), "samples") || i + 1 == call.argc())
            return call.syntax_error();
        const auto asked = text::parse_i64(call.arg(i + 1));
        if (!asked) return call.error("ERR value is not an integer or out of range");
        if (*asked < 0) return call.syntax_error();
        samples = *asked;
    }
    const auto item = call.session.look(call.arg(2));
    if (!item) return call.stop(item.error());
    if (!*item) {
        call.out.null();
        return Flow::done;
    }
    auto bytes = sizeof(engine::Entry);
    if ((*item)->expires()) bytes += sizeof(engine::Expiry);
    if ((*item)->object == nullptr) {
        bytes += (*item)->size_hint;
    } else {
        const auto& object = *(*item)->object;
        call.session.saw(object.last_change);
        bytes += sizeof(engine::Object) + object.binding_bytes;
        bytes += std::visit(
            [samples](const auto& body) {
                return body.memory_bytes() + element_bytes(body, static_cast<std::size_t>(samples));
            },
            object.body);
    }
    return call.integer(static_cast<std::int64_t>(bytes));
}

struct ClientMemory {
    std::uint64_t normal = 0;
};

// Of this reactor's connections; the others may not be looked at from here.
ClientMemory client_memory(Reactor& reactor) {
    ClientMemory memory;
    reactor.for_each_connection([&](const Connection& client) {
        memory.normal += sizeof(Connection) + client.in.capacity() + client.out.memory_bytes();
    });
    return memory;
}

Flow stats(Call& call) {
    const auto memory = process_memory();
    auto& engine = call.server.engine();
    const auto& keyspace = engine.keyspace();
    auto& out = call.out;
    const auto later = out.map_later();
    std::size_t pairs = 0;
    const auto number = [&](std::string_view name, std::uint64_t value) {
        out.bulk(name);
        out.integer(static_cast<std::int64_t>(value));
        ++pairs;
    };
    const auto ratio = [&](std::string_view name, double value) {
        out.bulk(name);
        out.number(value);
        ++pairs;
    };
    const auto peak =
        std::max(memory.own, call.server.used_memory_peak.load(std::memory_order_relaxed));
    number("peak.allocated", peak);
    number("total.allocated", memory.own);
    number("startup.allocated", 0);
    number("replication.backlog", 0);
    number("clients.slaves", 0);
    number("clients.normal", client_memory(call.reactor).normal);
    number("cluster.links", 0);
    number("aof.buffer", 0);
    number("lua.caches", 0);
    number("functions.caches", 0);
    std::int64_t keys = 0;
    std::uint64_t tables = 0;
    for (std::uint32_t database = 0; database < engine.options.databases; ++database) {
        const auto counts = keyspace.counts_of(database);
        if (counts.keys == 0) continue;
        keys += counts.keys;
        const auto main = static_cast<std::uint64_t>(counts.keys) * sizeof(engine::Entry);
        const auto expires = static_cast<std::uint64_t>(counts.expires) * sizeof(engine::Expiry);
        tables += main + expires;
        out.bulk("db." + std::to_string(database));
        out.map(3);
        out.bulk("overhead.hashtable.main");
        out.integer(static_cast<std::int64_t>(main));
        out.bulk("overhead.hashtable.expires");
        out.integer(static_cast<std::int64_t>(expires));
        out.bulk("overhead.hashtable.slot-to-keys");
        out.integer(0);
        ++pairs;
    }
    const auto tables_known = std::min(tables, memory.own);
    number("overhead.total", memory.own - tables_known);
    number("keys.count", static_cast<std::uint64_t>(keys));
    number("keys.bytes-per-key", keys == 0 ? 0 : memory.own / static_cast<std::uint64_t>(keys));
    number("dataset.bytes", tables_known);
    const auto own = static_cast<double>(std::max<std::uint64_t>(memory.own, 1));
    ratio("dataset.percentage", 100.0 * static_cast<double>(tables_known) / own);
    ratio("peak.percentage", 100.0 * own / static_cast<double>(std::max<std::uint64_t>(peak, 1)));
    number("allocator.allocated", memory.own);
    number("allocator.active", memory.own);
    number("allocator.resident", memory.own);
    ratio("allocator-fragmentation.ratio", 1);
    number("allocator-fragmentation.bytes", 0);
    ratio("allocator-rss.ratio", 1);
    number("allocator-rss.bytes", 0);
    ratio("rss-overhead.ratio", static_cast<double>(memory.resident()) / own);
    number("rss-overhead.bytes", memory.mapped);
    ratio("fragmentation", 1);
    number("fragmentation.bytes", 0);
    number("mapped.bytes", memory.mapped);
    out.close(later, pairs);
    return Flow::done;
}

Flow doctor(Call& call) {
    const auto memory = process_memory();
    call.out.verbatim("Index and buffers take " + human_bytes(memory.own) + "; " +
                      human_bytes(memory.mapped) +
                      " of the log's files are mapped and resident, which the kernel takes back "
                      "when it needs them.\n");
    return Flow::done;
}

Flow purge(Call& call) {
    if (mi_collect != nullptr) mi_collect(true);
    return call.ok();
}

Flow malloc_stats(Call& call) {
    const auto memory = process_memory();
    call.out.verbatim("own " + std::to_string(memory.own) + "\nmapped " +
                      std::to_string(memory.mapped) + "\n");
    return Flow::done;
}

constexpr KeySpec kOneKey[] = {{.flags = kKeyRO, .first = 2, .last = 2}};

}  // namespace

std::string human_bytes(std::uint64_t bytes) {
    if (bytes < 1024) return std::to_string(bytes) + "B";
    constexpr std::string_view kUnits = "KMGTP";
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (value /= 1024; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.2f%c", value, kUnits[unit]);
    return text.data();
}

Command memory_command() {
    static const Command subcommands[] = {
        {.name = "memory|doctor",
         .summary = "What takes memory, in a sentence",
         .since = "4.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 2,
         .handler = doctor},
        {.name = "memory|help",
         .summary = "These lines",
         .since = "4.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kLoading | kStale,
         .handler = subcommand_help},
        {.name = "memory|malloc-stats",
         .summary = "What the process has of memory",
         .since = "4.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 2,
         .handler = malloc_stats},
        {.name = "memory|purge",
         .summary = "Has the allocator give back what it keeps",
         .since = "4.0.0",
         .group = "server",
         .complexity = "Depends on how much it keeps",
         .arity = 2,
         .handler = purge},
        {.name = "memory|stats",
         .summary = "What takes memory, in numbers",
         .since = "4.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 2,
         .handler = stats},
        {.name = "memory|usage",
         .syntax = "key [SAMPLES count]",
         .summary = "What a key takes: its entry in memory, its records in the log",
         .since = "4.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = -3,
         .flags = kReadonly,
         .keys = kOneKey,
         .handler = usage},
    };
    return {.name = "memory",
            .summary = "What takes memory",
            .since = "4.0.0",
            .group = "server",
            .complexity = "Depends on subcommand.",
            .arity = -2,
            .subcommands = subcommands};
}

}  // namespace firnlog::server
