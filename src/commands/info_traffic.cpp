#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <tuple>

#include "src/commands/command_table.hpp"
#include "src/commands/info_section.hpp"
#include "src/pubsub.hpp"
#include "src/reactor.hpp"

// INFO's sections of the traffic: who is connected, what was asked for, how it went, how long it
// took. Each reactor counts for itself; here the counts are added up.
namespace firnlog::server {
namespace {

struct CommandSum {
    std::uint64_t calls = 0;
    std::uint64_t nanoseconds = 0;
    std::uint64_t rejected = 0;
    std::uint64_t failed = 0;
    std::array<std::uint64_t, std::tuple_size_v<decltype(CommandStatistics::buckets)>> buckets{};
};

CommandSum sum_of(const InfoFacts& facts, std::size_t index) {
    CommandSum sum;
    for (auto* reactor : facts.server.reactors()) {
        const auto& counted = reactor->statistics().by_command[index];
        sum.calls += counted.calls.get();
        sum.nanoseconds += counted.nanoseconds.get();
        sum.rejected += counted.rejected.get();
        sum.failed += counted.failed.get();
        for (std::size_t i = 0; i < sum.buckets.size(); ++i)
            sum.buckets[i] += counted.buckets[i].get();
    }
    return sum;
}

// "50", "99.9"
std::string trimmed(double number) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%f", number);
    std::string name(text.data());
    name.erase(name.find_last_not_of('0') + 1);
    if (name.ends_with('.')) name.pop_back();
    return name;
}

// The end of the bucket in which that part of the calls lies.
std::uint64_t percentile_us(const CommandSum& sum, double percent) {
    std::uint64_t all = 0;
    for (const auto count : sum.buckets) all += count;
    const auto wanted =
        static_cast<std::uint64_t>(std::llround(percent / 100 * static_cast<double>(all)));
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < sum.buckets.size(); ++i) {
        below += sum.buckets[i];
        if (below != 0 && below >= wanted) return CommandStatistics::bucket_end_us(i);
    }
    return 0;
}

}  // namespace

std::uint64_t InfoFacts::sum(Counter Statistics::*member) const {
    std::uint64_t total = 0;
    for (auto* reactor : server.reactors()) total += (reactor->statistics().*member).get();
    return total;
}

void clients_section(const InfoFacts& facts, InfoLines& lines) {
    lines.section("Clients");
    lines.add("connected_clients", facts.gathered.connections);
    lines.add("cluster_connections", 0);
    lines.add("maxclients", facts.config.maxclients);
    lines.add("client_recent_max_input_buffer", facts.gathered.input_max);
    lines.add("client_recent_max_output_buffer", facts.gathered.output_max);
    lines.add("blocked_clients", facts.gathered.blocked);
    lines.add("tracking_clients", 0);
    lines.add("clients_in_timeout_table", 0);
    lines.add("pubsub_clients", facts.gathered.pubsub);
    lines.add("watching_clients", facts.gathered.watching);
    lines.add("monitor_clients", facts.server.monitors.load(std::memory_order_relaxed));
}

void stats_section(const InfoFacts& facts, InfoLines& lines) {
    lines.section("Stats");
    const auto rates = facts.server.rates.per_second();
    auto& pubsub = facts.server.pubsub();
    std::uint64_t errors = 0;
    for (const auto& [code, count] : facts.gathered.errors) errors += count;
    lines.add("total_connections_received", facts.sum(&Statistics::connections_received));
    lines.add("total_commands_processed", facts.sum(&Statistics::commands));
    lines.add("instantaneous_ops_per_sec", static_cast<std::uint64_t>(rates.commands));
    lines.add("total_net_input_bytes", facts.sum(&Statistics::net_in));
    lines.add("total_net_output_bytes", facts.sum(&Statistics::net_out));
    lines.add("total_net_repl_input_bytes", 0);
    lines.add("total_net_repl_output_bytes", 0);
    lines.add("instantaneous_input_kbps", rates.bytes_in / 1024, 2);
    lines.add("instantaneous_output_kbps", rates.bytes_out / 1024, 2);
    lines.add("instantaneous_input_repl_kbps", "0.00");
    lines.add("instantaneous_output_repl_kbps", "0.00");
    lines.add("rejected_connections", facts.sum(&Statistics::connections_rejected));
    lines.add("sync_full", 0);
    lines.add("sync_partial_ok", 0);
    lines.add("sync_partial_err", 0);
    lines.add("expired_keys", facts.engine.counters.expired.load(std::memory_order_relaxed));
    lines.add("expired_stale_perc", "0.00");
    lines.add("expired_time_cap_reached_count", 0);
    lines.add("expire_cycle_cpu_milliseconds", 0);
    lines.add("evicted_keys", 0);
    lines.add("evicted_clients", 0);
    lines.add("total_eviction_exceeded_time", 0);
    lines.add("current_eviction_exceeded_time", 0);
    lines.add("keyspace_hits", facts.sum(&Statistics::keyspace_hits));
    lines.add("keyspace_misses", facts.sum(&Statistics::keyspace_misses));
    lines.add("pubsub_channels", pubsub.count(PubSub::Kind::channel));
    lines.add("pubsub_patterns", pubsub.count(PubSub::Kind::pattern));
    lines.add("pubsubshard_channels", pubsub.count(PubSub::Kind::shard));
    lines.add("latest_fork_usec", 0);
    lines.add("total_forks", 0);
    lines.add("migrate_cached_sockets", 0);
    lines.add("slave_expires_tracked_keys", 0);
    lines.add("active_defrag_hits", 0);
    lines.add("active_defrag_misses", 0);
    lines.add("active_defrag_key_hits", 0);
    lines.add("active_defrag_key_misses", 0);
    lines.add("total_active_defrag_time", 0);
    lines.add("current_active_defrag_time", 0);
    lines.add("tracking_total_keys", 0);
    lines.add("tracking_total_items", 0);
    lines.add("tracking_total_prefixes", 0);
    lines.add("unexpected_error_replies", facts.sum(&Statistics::unexpected_errors));
    lines.add("total_error_replies", errors);
    lines.add("dump_payload_sanitizations", 0);
    lines.add("total_reads_processed", facts.sum(&Statistics::turns));
    lines.add("total_writes_processed", facts.sum(&Statistics::turns));
    lines.add("io_threaded_reads_processed", 0);
    lines.add("io_threaded_writes_processed", 0);
    lines.add("client_query_buffer_limit_disconnections", 0);
    lines.add("client_output_buffer_limit_disconnections",
              facts.sum(&Statistics::output_limit_closes));
    lines.add("protocol_errors", facts.sum(&Statistics::protocol_errors));
    lines.add("auth_failures", facts.sum(&Statistics::auth_failures));
    lines.add("reply_buffer_shrinks", 0);
    lines.add("reply_buffer_expands", 0);
}

void commandstats_section(const InfoFacts& facts, InfoLines& lines) {
    lines.section("Commandstats");
    const auto& table = CommandTable::get();
    for (std::size_t i = 0; i < table.size(); ++i) {
        const auto sum = sum_of(facts, i);
        if (sum.calls == 0 && sum.rejected == 0 && sum.failed == 0) continue;
        const auto us = sum.nanoseconds / 1000;
        std::array<char, 192> text{};
        std::snprintf(
            text.data(), text.size(),
            "calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,"
            "failed_calls=%llu",
            static_cast<unsigned long long>(sum.calls), static_cast<unsigned long long>(us),
            sum.calls == 0
                ? 0.0
                : static_cast<double>(sum.nanoseconds) / 1000 / static_cast<double>(sum.calls),
            static_cast<unsigned long long>(sum.rejected),
            static_cast<unsigned long long>(sum.failed));
        lines.add("cmdstat_" + std::string(table.row(i).name), text.data());
    }
}

void errorstats_section(const InfoFacts& facts, InfoLines& lines) {
    lines.section("Errorstats");
    for (const auto& [code, count] : facts.gathered.errors)
        lines.add("errorstat_" + code, "count=" + std::to_string(count));
}

void latencystats_section(const InfoFacts& facts, InfoLines& lines) {
    lines.section("Latencystats");
    if (!facts.config.latency_tracking) return;
    const auto& table = CommandTable::get();
    for (std::size_t i = 0; i < table.size(); ++i) {
        const auto sum = sum_of(facts, i);
        if (sum.calls == 0) continue;
        std::string text;
        for (const auto percent : facts.config.latency_tracking_info_percentiles) {
            if (!text.empty()) text += ',';
            text +=
                "p" + trimmed(percent) + "=" + std::to_string(percentile_us(sum, percent)) + ".000";
        }
        lines.add("latency_percentiles_usec_" + std::string(table.row(i).name), text);
    }
}

}  // namespace firnlog::server
