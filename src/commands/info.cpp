#include <algorithm>
#include <string>
#include <vector>

#include "engine/engine.hpp"
#include "src/commands/info_section.hpp"
#include "src/commands/replies.hpp"
#include "src/commands/server.hpp"
#include "src/reactor.hpp"
#include "src/text/fold.hpp"

// INFO: every section and field that tools for Redis read, with what is true here; and our own.
//
// What only its own thread may look at is gathered from each reactor first; the rest are atomics.
namespace firnlog::server {
namespace {

// ---- What there is little to say of, or nothing.

void replication_section(const InfoFacts& facts, InfoLines& lines) {
    lines.section("Replication");
    lines.add("role", "master");
    lines.add("connected_slaves", 0);
    lines.add("master_failover_state", "no-failover");
    lines.add("master_replid", facts.server.run_id);
    lines.add("master_replid2", std::string(40, '0'));
    lines.add("master_repl_offset", 0);
    lines.add("second_repl_offset", -1);
    lines.add("repl_backlog_active", 0);
    lines.add("repl_backlog_size", 1048576);
    lines.add("repl_backlog_first_byte_offset", 0);
    lines.add("repl_backlog_histlen", 0);
}

void modules_section(const InfoFacts&, InfoLines& lines) { lines.section("Modules"); }

void cluster_section(const InfoFacts&, InfoLines& lines) {
    lines.section("Cluster");
    lines.add("cluster_enabled", 0);
}

void keyspace_section(const InfoFacts& facts, InfoLines& lines) {
    lines.section("Keyspace");
    for (std::uint32_t database = 0; database < facts.engine.options.databases; ++database) {
        const auto counts = facts.engine.keyspace().counts_of(database);
        if (counts.keys == 0) continue;
        lines.add("db" + std::to_string(database),
                  "keys=" + std::to_string(counts.keys) +
                      ",expires=" + std::to_string(counts.expires) + ",avg_ttl=0");
    }
}

// ---- Which of them.

enum In : unsigned { kDefault = 1, kAll = 2, kEverything = 4 };

struct Section {
    std::string_view name;
    unsigned in = 0;
    void (*tell)(const InfoFacts&, InfoLines&) = nullptr;
};

constexpr Section kSections[] = {
    {"server", kDefault | kAll | kEverything, server_section},
    {"clients", kDefault | kAll | kEverything, clients_section},
    {"memory", kDefault | kAll | kEverything, memory_section},
    {"persistence", kDefault | kAll | kEverything, persistence_section},
    {"history", kDefault | kAll | kEverything, history_section},
    {"archive", kDefault | kAll | kEverything, archive_section},
    {"stats", kDefault | kAll | kEverything, stats_section},
    {"replication", kDefault | kAll | kEverything, replication_section},
    {"cpu", kDefault | kAll | kEverything, cpu_section},
    {"modules", kDefault | kEverything, modules_section},
    {"commandstats", kAll | kEverything, commandstats_section},
    {"errorstats", kDefault | kAll | kEverything, errorstats_section},
    {"latencystats", kAll | kEverything, latencystats_section},
    {"cluster", kDefault | kAll | kEverything, cluster_section},
    {"keyspace", kDefault | kAll | kEverything, keyspace_section},
};

std::vector<const Section*> chosen_sections(std::span<const std::string_view> names) {
    std::vector<const Section*> chosen;
    const auto wants = [names](const Section& section) {
        if (names.empty()) return (section.in & kDefault) != 0;
        return std::ranges::any_of(names, [&section](std::string_view name) {
            return text::equal_folded(name, section.name) ||
                   (text::equal_folded(name, "default") && (section.in & kDefault) != 0) ||
                   (text::equal_folded(name, "all") && (section.in & kAll) != 0) ||
                   (text::equal_folded(name, "everything") && (section.in & kEverything) != 0);
        });
    };
    for (const auto& section : kSections)
        if (wants(section)) chosen.push_back(&section);
    return chosen;
}

std::string told(Server& server, const std::vector<const Section*>& sections,
                 const std::vector<std::string>& answers) {
    const auto gathered = add_up(answers);
    const InfoFacts facts{server, gathered, server.config(), server.engine()};
    InfoLines lines;
    for (const auto* section : sections) section->tell(facts, lines);
    return lines.text();
}

Flow info(Call& call) {
    const auto sections = chosen_sections(call.args.subspan(1));
    // It counts keys, so it waits as DBSIZE does. After a failure nothing more becomes durable, and
    // INFO is what says so.
    const auto& log = call.server.engine().log;
    if (log.failed() == 0) call.session.saw_everything();
    // Within EXEC nobody waits for other threads: clients and errors are this thread's alone.
    if (call.in_exec && call.server.reactors().size() > 1) {
        call.out.verbatim(told(call.server, sections, {gathered_text(call.reactor)}));
        return Flow::done;
    }
    return gather(call, gathered_text,
                  [&server = call.server, &log, sections](Connection& client, resp::Writer& out,
                                                          const std::vector<std::string>& answers) {
                      out.verbatim(told(server, sections, answers));
                      // One that comes late would wait for the end of the log, as a push does.
                      if (server.reactors().size() > 1 && log.failed() != 0)
                          client.out.end_reply(log, {}, engine::Durability::no);
                  });
}

}  // namespace

Command info_command() {
    return {.name = "info",
            .syntax = "[section [section ...]]",
            .summary = "What the server is, does and has done",
            .since = "1.0.0",
            .group = "server",
            .complexity = "O(1)",
            .arity = -1,
            .flags = kLoading | kStale,
            .categories = kDangerous,
            .handler = info};
}

}  // namespace firnlog::server
