#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>

#include "engine/engine.hpp"
#include "src/commands/command_table.hpp"
#include "src/commands/replies.hpp"
#include "src/commands/server.hpp"
#include "src/pubsub.hpp"
#include "src/reactor.hpp"
#include "src/saving.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"
#include "src/version.hpp"

// INFO: every section and field that tools for Redis read, with what is true here; and our own.
//
// What only its own thread may look at is gathered from each reactor first; the rest are atomics.
namespace firnlog::server {
namespace {

// "name:value" lines under a heading.
class Lines {
  public:
    void section(std::string_view title) {
        if (!text_.empty()) text_ += "\r\n";
        text_.append("# ").append(title).append("\r\n");
    }
    void add(std::string_view name, std::string_view value) {
        text_.append(name).append(":").append(value).append("\r\n");
    }
    template <std::integral Number>
    void add(std::string_view name, Number value) {
        add(name, std::string_view(std::to_string(value)));
    }
    void add(std::string_view name, double value, int digits) {
        std::array<char, 64> text{};
        std::snprintf(text.data(), text.size(), "%.*f", digits, value);
        add(name, std::string_view(text.data()));
    }
    void bytes(std::string_view name, std::uint64_t value) {
        add(name, value);
        add(std::string(name) + "_human", human_bytes(value));
    }
    [[nodiscard]] const std::string& text() const { return text_; }

  private:
    std::string text_;
};

// ---- What each reactor tells of itself.

struct Gathered {
    std::uint64_t connections = 0;
    std::uint64_t blocked = 0;
    std::uint64_t pubsub = 0;
    std::uint64_t watching = 0;
    std::uint64_t input_max = 0;
    std::uint64_t output_max = 0;
    std::uint64_t memory = 0;
    std::map<std::string, std::uint64_t> errors;
};

std::string tell(Reactor& reactor) {
    Gathered own;
    reactor.for_each_connection([&own](const Connection& client) {
        ++own.connections;
        if (client.blocked && client.last_command != nullptr &&
            (client.last_command->flags & kAdmin) == 0)
            ++own.blocked;
        if (client.subscriptions.count() != 0) ++own.pubsub;
        if (!client.transaction.watched_keys.empty()) ++own.watching;
        const std::uint64_t input = client.in.capacity();
        const std::uint64_t output = client.out.memory_bytes();
        own.input_max = std::max(own.input_max, input);
        own.output_max = std::max(own.output_max, output);
        own.memory += sizeof(Connection) + input + output;
    });
    std::string text;
    for (const auto value : {own.connections, own.blocked, own.pubsub, own.watching, own.input_max,
                             own.output_max, own.memory})
        text += std::to_string(value) + "\n";
    for (const auto& error : reactor.dispatcher().errors())
        text += error.code + " " + std::to_string(error.count) + "\n";
    return text;
}

Gathered add_up(const std::vector<std::string>& answers) {
    Gathered all;
    for (const std::string_view answer : answers) {
        std::size_t at = 0;
        const auto line = [&answer, &at] {
            const auto end = answer.find('\n', at);
            const auto found = answer.substr(at, end - at);
            at = end + 1;
            return found;
        };
        const auto number = [](std::string_view text) { return text::parse_u64(text).value_or(0); };
        all.connections += number(line());
        all.blocked += number(line());
        all.pubsub += number(line());
        all.watching += number(line());
        all.input_max = std::max(all.input_max, number(line()));
        all.output_max = std::max(all.output_max, number(line()));
        all.memory += number(line());
        while (at < answer.size()) {
            const auto error = line();
            const auto blank = error.rfind(' ');
            all.errors[std::string(error.substr(0, blank))] += number(error.substr(blank + 1));
        }
    }
    return all;
}

struct Facts {
    Server& server;
    const Gathered& gathered;
    const Config& config;
    engine::Engine& engine;

    [[nodiscard]] std::uint64_t sum(Counter Statistics::*member) const {
        std::uint64_t total = 0;
        for (auto* reactor : server.reactors()) total += (reactor->statistics().*member).get();
        return total;
    }
};

// ---- Sections.

void server_section(const Facts& facts, Lines& lines) {
    lines.section("Server");
    const auto& server = facts.server;
    utsname system{};
    ::uname(&system);
    std::array<char, 4096> path{};
    const auto size = ::readlink("/proc/self/exe", path.data(), path.size());
    const auto uptime_s = (facts.server.clock().mono().us - server.started_us) / 1'000'000;
    const auto wall_us = facts.server.clock().wall().us;
    constexpr std::int64_t kLruBits = 24;
    lines.add("redis_version", kRedisVersion);
    lines.add("redis_git_sha1", "00000000");
    lines.add("redis_git_dirty", 0);
    lines.add("redis_build_id", "0");
    lines.add("redis_mode", "standalone");
    lines.add("firnlog_version", kVersion);
    lines.add("os", std::string(system.sysname) + " " + system.release + " " + system.machine);
    lines.add("arch_bits", 64);
    lines.add("monotonic_clock", "POSIX clock_gettime");
    lines.add("multiplexing_api", "io_uring");
    lines.add("atomicvar_api", "c11-builtin");
    lines.add("gcc_version", __VERSION__);
    lines.add("process_id", ::getpid());
    lines.add("process_supervised", facts.config.supervised == Supervised::no ? "no" : "systemd");
    lines.add("run_id", server.run_id);
    lines.add("tcp_port", server.tcp_port);
    lines.add("server_time_usec", wall_us);
    lines.add("uptime_in_seconds", uptime_s);
    lines.add("uptime_in_days", uptime_s / 86400);
    lines.add("hz", facts.config.hz);
    lines.add("configured_hz", facts.config.hz);
    lines.add("lru_clock", wall_us / 1'000'000 & ((std::int64_t{1} << kLruBits) - 1));
    lines.add("executable",
              std::string_view(path.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))));
    lines.add("config_file", facts.config.config_file);
    lines.add("io_threads_active", 0);
    lines.add("threads", facts.server.reactors().size());
    lines.add("store_id", [&facts] {
        std::string hex;
        for (const auto byte : facts.engine.store_id) {
            hex += "0123456789abcdef"[static_cast<unsigned>(byte) >> 4];
            hex += "0123456789abcdef"[static_cast<unsigned>(byte) & 15];
        }
        return hex;
    }());
}

void clients_section(const Facts& facts, Lines& lines) {
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

void memory_section(const Facts& facts, Lines& lines) {
    lines.section("Memory");
    const auto memory = process_memory();
    auto& highest = facts.server.used_memory_peak;
    auto peak = highest.load(std::memory_order_relaxed);
    while (peak < memory.own &&
           !highest.compare_exchange_weak(peak, memory.own, std::memory_order_relaxed)) {
    }
    peak = std::max(peak, memory.own);
    std::int64_t keys = 0;
    for (std::uint32_t database = 0; database < facts.engine.options.databases; ++database)
        keys += facts.engine.keyspace().counts_of(database).keys;
    const auto dataset =
        std::min(static_cast<std::uint64_t>(keys) * sizeof(engine::Entry), memory.own);
    struct sysinfo system {};
    ::sysinfo(&system);
    const auto percent = [](std::uint64_t part, std::uint64_t whole) {
        std::array<char, 32> text{};
        std::snprintf(
            text.data(), text.size(), "%.2f%%",
            whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole));
        return std::string(text.data());
    };
    lines.bytes("used_memory", memory.own);
    lines.bytes("used_memory_rss", memory.resident());
    lines.bytes("used_memory_peak", peak);
    lines.add("used_memory_peak_perc", percent(memory.own, peak));
    lines.add("used_memory_overhead", memory.own - dataset);
    lines.add("used_memory_startup", 0);
    lines.add("used_memory_dataset", dataset);
    lines.add("used_memory_dataset_perc", percent(dataset, memory.own));
    lines.bytes("mapped_memory", memory.mapped);
    lines.add("allocator_allocated", memory.own);
    lines.add("allocator_active", memory.own);
    lines.add("allocator_resident", memory.own);
    lines.bytes("total_system_memory",
                static_cast<std::uint64_t>(system.totalram) * system.mem_unit);
    lines.bytes("used_memory_lua", 0);
    lines.bytes("used_memory_scripts", 0);
    lines.add("used_memory_vm_eval", 0);
    lines.add("used_memory_scripts_eval", 0);
    lines.add("used_memory_vm_functions", 0);
    lines.bytes("used_memory_vm_total", 0);
    lines.add("used_memory_functions", 0);
    lines.add("number_of_cached_scripts", 0);
    lines.add("number_of_functions", 0);
    lines.add("number_of_libraries", 0);
    lines.bytes("maxmemory", 0);
    lines.add("maxmemory_policy", "noeviction");
    lines.add("allocator_frag_ratio", "1.00");
    lines.add("allocator_frag_bytes", 0);
    lines.add("allocator_rss_ratio", "1.00");
    lines.add("allocator_rss_bytes", 0);
    lines.add("rss_overhead_ratio",
              static_cast<double>(memory.resident()) /
                  static_cast<double>(std::max<std::uint64_t>(memory.own, 1)),
              2);
    lines.add("rss_overhead_bytes", memory.mapped);
    // What is mapped of files is no fragment of our own memory.
    lines.add("mem_fragmentation_ratio", "1.00");
    lines.add("mem_fragmentation_bytes", 0);
    lines.add("mem_not_counted_for_evict", 0);
    lines.add("mem_replication_backlog", 0);
    lines.add("mem_total_replication_buffers", 0);
    lines.add("mem_clients_slaves", 0);
    lines.add("mem_clients_normal", facts.gathered.memory);
    lines.add("mem_cluster_links", 0);
    lines.add("mem_aof_buffer", 0);
    lines.add("mem_allocator", "mimalloc");
    lines.add("active_defrag_running", 0);
    lines.add("lazyfree_pending_objects", 0);
    lines.add("lazyfreed_objects", 0);
}

void log_fields(const Facts& facts, Lines& lines) {
    auto& engine = facts.engine;
    auto& log = engine.log;
    const auto counts = log.counts();
    const auto ready = engine.supply.ready();
    std::uint64_t bytes = 0;
    std::uint64_t mapped = 0;  // the others are read in our own memory
    const auto segments = engine.segments().all();
    for (const auto* segment : segments) {
        bytes += segment->bytes;
        if (!segment->place().own) ++mapped;
    }
    lines.add("log_timeline", log.tail.timeline());
    // Read in this order, each is at most the next.
    lines.add("log_durable_lsn", log.durable().value);
    lines.add("log_written_lsn", log.written().value);
    lines.add("log_tail_lsn", log.tail.batch_end().value);
    lines.add("log_failed", log.failed());
    lines.add("log_unsynced_usec", log.unsynced_us());
    lines.add("log_flushes", counts.flushes);
    lines.add("log_syncs", counts.syncs);
    lines.add("log_flushed_bytes", counts.bytes);
    lines.add("log_zeroed_bytes", engine.supply.zeroed_bytes());
    lines.add("log_segments", segments.size());
    lines.add("log_segment_bytes", bytes);
    lines.add("log_segments_mapped", mapped);
    lines.add("log_segments_ready", ready.count);
    lines.add("log_ready_bytes", ready.bytes);
    const auto failure = engine.supply.failure();
    lines.add("log_supply_status",
              !failure ? "ok" : (failure->code == Code::no_space ? "no_space" : "failing"));
    const auto walk = engine.walk.status();
    lines.add("walk_phase", name_of(walk.phase));
    lines.add("walk_paused", walk.paused ? 1 : 0);
    lines.add("walk_keys", walk.keys);
    lines.add("walk_bytes", walk.bytes);
    lines.add("walk_written_bytes", walk.bytes_all);
    lines.add("walk_failures", walk.failed);
    lines.add("walk_error", walk.error ? walk.error->text() : std::string());
    lines.add("checkpoints", walk.checkpoints);
    lines.add("checkpoint_bytes", walk.checkpoint_bytes);
    lines.add("checkpoint_lo", walk.lo.value);
    lines.add("checkpoint_hi", walk.hi.value);
    lines.add("log_bytes_since_checkpoint", walk.log_bytes);
    lines.add("live_bytes", walk.live_bytes);
    lines.add("garbage_bytes", walk.garbage_bytes);
    lines.add("history_bytes", walk.history_bytes);
    lines.add("history_bytes_max", walk.window.bytes_max(walk.live_bytes));
    lines.add("window_seconds", walk.window.retain_s);
    lines.add("oldest_lsn", walk.oldest.value);
    lines.add("oldest_time", walk.oldest_us / 1'000'000);
    lines.add("freed_bytes", walk.freed_bytes);
    lines.add("packed_segments", walk.packed_files);
    lines.add("packed_bytes", walk.packed_bytes);
    lines.add("relocated_records", walk.relocated.records);
    lines.add("relocated_bytes", walk.relocated.written_bytes);
    lines.add("relocation_read_bytes", walk.relocated.read_bytes);
    const auto& counters = engine.counters;
    lines.add("cold_reads", counters.cold_reads.load(std::memory_order_relaxed));
    lines.add("late_reads", counters.late_reads.load(std::memory_order_relaxed));
    lines.add("corrupt_reads", counters.corrupt.load(std::memory_order_relaxed));
    lines.add("clock_suspended", engine.now.suspended() ? 1 : 0);
    lines.add("clock_jump_usec", engine.now.jump_us());
    const auto& start = facts.server.recovery;
    lines.add("recovery_created", start.created ? 1 : 0);
    lines.add("recovery_clean", start.clean ? 1 : 0);
    lines.add("recovery_usec", start.took_us);
    lines.add("recovery_files", start.files);
    lines.add("recovery_bytes", start.bytes);
    lines.add("recovery_records", start.records);
    lines.add("recovery_checkpoint", start.checkpoint);
    lines.add("recovery_checkpoint_bytes", start.checkpoint_bytes);
    lines.add("recovery_checkpoint_fault", start.checkpoint_fault);
    lines.add("recovery_unbound_objects", start.unbound);
    lines.add("recovery_torn_bytes", start.torn_bytes);
    lines.add("recovery_torn_at", start.torn_at);
}

void persistence_section(const Facts& facts, Lines& lines) {
    lines.section("Persistence");
    const auto& log = facts.engine.log;
    const auto walk = facts.engine.walk.status();
    const auto& saving = facts.server.saving();
    const bool walking = walk.phase != engine::Walk::Phase::idle;
    // From the reply of BGSAVE on, as in Redis: who waits for the end of it must see its beginning.
    const bool busy = walking || walk.asked;
    const bool rewrites = saving.name() == Saving::Name::rewrite;
    const std::string_view walk_status = walk.failed_in_row == 0 ? "ok" : "err";
    const auto last_s = walk.last_us < 0 ? -1 : walk.last_us / 1'000'000;
    const auto current_s = walking ? (facts.server.clock().mono().us - walk.began_us) / 1'000'000
                                   : std::int64_t{busy ? 0 : -1};
    std::int64_t keys = 0;
    for (std::uint32_t i = 0; busy && i < facts.engine.keyspace().databases_end(); ++i)
        keys += facts.engine.keyspace().counts_of(i).keys;
    const std::string_view status = log.failed() == 0 ? "ok" : "err";
    std::uint64_t bytes = 0;
    for (const auto* segment : facts.engine.segments().all()) bytes += segment->bytes;
    lines.add("loading", 0);
    lines.add("async_loading", 0);
    lines.add("current_cow_peak", 0);
    lines.add("current_cow_size", 0);
    lines.add("current_cow_size_age", 0);
    lines.add("current_fork_perc", "0.00");
    lines.add("current_save_keys_processed", walking ? walk.keys : 0);
    lines.add("current_save_keys_total", keys);
    lines.add("rdb_changes_since_last_save", walk.changes);
    lines.add("rdb_bgsave_in_progress", busy && !rewrites ? 1 : 0);
    lines.add("rdb_last_save_time", saving.last_s());
    lines.add("rdb_last_bgsave_status", walk_status);
    lines.add("rdb_last_bgsave_time_sec", last_s);
    lines.add("rdb_current_bgsave_time_sec", rewrites ? -1 : current_s);
    lines.add("rdb_saves", walk.done);
    lines.add("rdb_last_cow_size", 0);
    lines.add("rdb_last_load_keys_expired", 0);
    lines.add("rdb_last_load_keys_loaded", 0);
    lines.add("aof_enabled", 1);
    lines.add("aof_rewrite_in_progress", busy && rewrites ? 1 : 0);
    lines.add("aof_rewrite_scheduled", saving.rewrite_scheduled() ? 1 : 0);
    lines.add("aof_last_rewrite_time_sec", saving.rewrites() == 0 ? -1 : last_s);
    lines.add("aof_current_rewrite_time_sec", rewrites ? current_s : -1);
    lines.add("aof_last_bgrewrite_status", walk_status);
    lines.add("aof_rewrites", saving.rewrites());
    lines.add("aof_rewrites_consecutive_failures", walk.failed_in_row);
    lines.add("aof_last_write_status", status);
    lines.add("aof_last_cow_size", 0);
    lines.add("module_fork_in_progress", 0);
    lines.add("module_fork_last_cow_size", 0);
    lines.add("aof_current_size", bytes);
    lines.add("aof_base_size", 0);
    lines.add("aof_pending_rewrite", 0);
    lines.add("aof_buffer_length", log.tail.batch_end() - log.written());
    lines.add("aof_pending_bio_fsync", 0);
    lines.add("aof_delayed_fsync", 0);
    log_fields(facts, lines);
}

void stats_section(const Facts& facts, Lines& lines) {
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

void replication_section(const Facts& facts, Lines& lines) {
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

void cpu_section(const Facts&, Lines& lines) {
    lines.section("CPU");
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    const auto usage = [](int who) {
        rusage used{};
        ::getrusage(who, &used);
        return used;
    };
    const auto self = usage(RUSAGE_SELF);
    const auto thread = usage(RUSAGE_THREAD);
    lines.add("used_cpu_sys", seconds(self.ru_stime), 6);
    lines.add("used_cpu_user", seconds(self.ru_utime), 6);
    lines.add("used_cpu_sys_children", "0.000000");
    lines.add("used_cpu_user_children", "0.000000");
    lines.add("used_cpu_sys_main_thread", seconds(thread.ru_stime), 6);
    lines.add("used_cpu_user_main_thread", seconds(thread.ru_utime), 6);
}

void modules_section(const Facts&, Lines& lines) { lines.section("Modules"); }

struct CommandSum {
    std::uint64_t calls = 0;
    std::uint64_t nanoseconds = 0;
    std::uint64_t rejected = 0;
    std::uint64_t failed = 0;
    std::array<std::uint64_t, std::tuple_size_v<decltype(CommandStatistics::buckets)>> buckets{};
};

CommandSum sum_of(const Facts& facts, std::size_t index) {
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

void commandstats_section(const Facts& facts, Lines& lines) {
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

void errorstats_section(const Facts& facts, Lines& lines) {
    lines.section("Errorstats");
    for (const auto& [code, count] : facts.gathered.errors)
        lines.add("errorstat_" + code, "count=" + std::to_string(count));
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

void latencystats_section(const Facts& facts, Lines& lines) {
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

void cluster_section(const Facts&, Lines& lines) {
    lines.section("Cluster");
    lines.add("cluster_enabled", 0);
}

void keyspace_section(const Facts& facts, Lines& lines) {
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
    void (*tell)(const Facts&, Lines&) = nullptr;
};

constexpr Section kSections[] = {
    {"server", kDefault | kAll | kEverything, server_section},
    {"clients", kDefault | kAll | kEverything, clients_section},
    {"memory", kDefault | kAll | kEverything, memory_section},
    {"persistence", kDefault | kAll | kEverything, persistence_section},
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
    const Facts facts{server, gathered, server.config(), server.engine()};
    Lines lines;
    for (const auto* section : sections) section->tell(facts, lines);
    return lines.text();
}

Flow info(Call& call) {
    const auto sections = chosen_sections(call.args.subspan(1));
    // It counts keys, so it waits as DBSIZE does. After a failure nothing more becomes durable, and
    // INFO is what says so.
    const auto& log = call.session.engine().log;
    if (log.failed() == 0) call.session.saw_everything();
    // Within EXEC nobody waits for other threads: clients and errors are this thread's alone.
    if (call.in_exec && call.server.reactors().size() > 1) {
        call.out.verbatim(told(call.server, sections, {tell(call.reactor)}));
        return Flow::done;
    }
    return gather(call, tell,
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
