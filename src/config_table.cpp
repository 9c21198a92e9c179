#include "src/config_table.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>
#include <numeric>

#include "engine/index/keyspace.hpp"
#include "engine/keep.hpp"
#include "src/text/fold.hpp"

namespace firnlog::server {
namespace {

constexpr std::int64_t kInt = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kIntMin = std::numeric_limits<std::int32_t>::min();
constexpr std::int64_t kLong = std::numeric_limits<std::int64_t>::max();

constexpr std::string_view kNoReplicas = "replication comes later";
constexpr std::string_view kNoCluster = "sharding comes later";
constexpr std::string_view kNoTls = "TLS comes later; until then put a TLS proxy before it";
constexpr std::string_view kNoModules = "there are no modules";
constexpr std::string_view kNoEviction = "nothing is evicted";
constexpr std::string_view kNoFork = "there is no RDB file and no forked child";
constexpr std::string_view kNoSyslog = "it does not write to syslog";
constexpr std::string_view kNoDebug = "it slows or stops Redis for its own tests";
constexpr std::string_view kOwnFiles = "the log has its own files";
constexpr std::string_view kOtherMemory = "the allocator is mimalloc";
constexpr std::string_view kTypeLater = "its type comes later";

constexpr std::size_t kSocketPathBytesMax = 107;  // sun_path without its NUL
constexpr std::size_t kHostNameBytesMax = 255;

bool is_base_name(std::string_view text) {
    return text.find('/') == text.npos && text.find('\\') == text.npos;
}

const char* socket_path(std::string_view text) {
    return text.size() > kSocketPathBytesMax ? "the path of a socket is at most 107 bytes"
                                             : nullptr;
}

const char* keep_rules(std::string_view text) {
    return engine::parse_keep(text)
               ? nullptr
               : "argument must be empty, or any of hourly:N, daily:N, weekly:N, monthly:N, "
                 "yearly:N, separated by commas, each N from 1 to 1000";
}

const char* rdb_name(std::string_view text) {
    return is_base_name(text) ? nullptr : "dbfilename can't be a path, just a filename";
}

const char* log_name(std::string_view text) {
    if (text.empty()) return "appendfilename can't be empty";
    return is_base_name(text) ? nullptr : "appendfilename can't be a path, just a filename";
}

const char* log_folder(std::string_view text) {
    if (text.empty()) return "appenddirname can't be empty";
    return is_base_name(text) ? nullptr : "appenddirname can't be a path, just a dirname";
}

const char* host_name(std::string_view text) {
    if (text.size() > kHostNameBytesMax) return "Hostnames must be less than 256 characters";
    const bool fits = std::ranges::all_of(text, [](char letter) {
        return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '-' ||
               letter == '.';
    });
    return fits ? nullptr : "Hostnames may only contain alphanumeric characters, hyphens or dots";
}

const char* title_template(std::string_view text) {
    constexpr std::array<std::string_view, 7> kNames{
        "title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"};
    constexpr auto kWrong = "template format is invalid or contains unknown variables";
    if (text.empty()) return kWrong;
    for (auto open = text.find('{'); open != text.npos; open = text.find('{')) {
        const auto close = text.find('}', open);
        if (close == text.npos) return kWrong;
        if (std::ranges::count(kNames, text.substr(open + 1, close - open - 1)) == 0) return kWrong;
        text.remove_prefix(close + 1);
    }
    return nullptr;
}

const char* archive_words(std::string_view line) {
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] != '%') continue;
        ++i;
        if (i == line.size() || (line[i] != 'p' && line[i] != 'f' && line[i] != '%'))
            return "behind a % stands p, f or %";
    }
    return nullptr;
}

const char* shutdown_words(std::string_view text) {
    return text.starts_with("save nosave")
               ? "shutdown options SAVE and NOSAVE can't be used simultaneously"
               : nullptr;
}

constexpr std::string_view kAllows = "no, yes, local";
constexpr std::string_view kShutdowns = "default, save, nosave, now, force";

// Draft: a row said as a sentence, number("port", "6379", 0, 65535).in(&Config::port).honoured().
class Draft {
    // Before those that use it: a constant expression wants it defined.
    template <class T>
    constexpr Draft with(T Row::*member, T value) const {
        Draft draft = *this;
        draft.row_.*member = value;
        return draft;
    }

    Row row_;

  public:
    constexpr explicit Draft(Row row) : row_(row) {}
    constexpr operator Row() const { return row_; }  // NOLINT: a Draft is only a way to say a Row

    constexpr Draft no_sign() const { return with(&Row::is_unsigned, true); }
    constexpr Draft alias(std::string_view name) const { return with(&Row::alias, name); }
    constexpr Draft checked(Check check) const { return with(&Row::check, check); }
    constexpr Draft in(Field field) const { return with(&Row::field, field); }
    constexpr Draft honoured() const { return with(&Row::standing, Standing::honoured); }
    constexpr Draft accepted(std::string_view why) const {
        return with(&Row::standing, Standing::accepted).with(&Row::why, why);
    }
    constexpr Draft refused(std::string_view why) const {
        return with(&Row::standing, Standing::refused).with(&Row::why, why);
    }
    constexpr Draft always(std::string_view text) const { return with(&Row::always, text); }
    constexpr Draft at_start() const { return with(&Row::change, Change::start); }
    constexpr Draft if_permitted() const { return with(&Row::change, Change::permitted); }
    constexpr Draft never_later() const { return with(&Row::change, Change::never); }
    constexpr Draft secret() const { return with(&Row::sensitive, true); }
    constexpr Draft hidden() const { return with(&Row::hidden, true); }
    constexpr Draft or_none() const { return with(&Row::empty_is_none, true); }
    constexpr Draft once_loaded() const { return with(&Row::not_while_loading, true); }
};

using Text = std::string_view;

constexpr Draft special(Text name, Kind kind, Text initial) {
    return Draft({.name = name, .kind = kind, .initial = initial});
}
constexpr Draft in_files(Text name) { return special(name, Kind::file, ""); }
constexpr Draft word(Text name, Text initial = "") { return special(name, Kind::text, initial); }
constexpr Draft boolean(Text name, Text initial) { return special(name, Kind::boolean, initial); }

constexpr Draft ranged(Text name, Kind kind, Text initial, std::int64_t min, std::int64_t max) {
    return Draft({.name = name, .kind = kind, .initial = initial, .min = min, .max = max});
}
constexpr Draft number(Text name, Text initial, std::int64_t min, std::int64_t max) {
    return ranged(name, Kind::number, initial, min, max);
}
constexpr Draft memory(Text name, Text initial, std::int64_t min, std::int64_t max) {
    return ranged(name, Kind::memory, initial, min, max);
}
constexpr Draft proportion(Text name, Text initial, std::int64_t min, std::int64_t max) {
    return ranged(name, Kind::proportion, initial, min, max);
}
constexpr Draft duration(Text name, Text initial, std::int64_t max_s) {
    return ranged(name, Kind::duration, initial, 0, max_s);
}
constexpr Draft octal(Text name, Text initial, std::int64_t min, std::int64_t max) {
    return ranged(name, Kind::octal, initial, min, max);
}

constexpr Draft choice(Text name, Text initial, Text choices) {
    return Draft({.name = name, .kind = Kind::choice, .initial = initial, .choices = choices});
}
constexpr Draft choices(Text name, Text initial, Text choices) {
    return Draft({.name = name, .kind = Kind::choices, .initial = initial, .choices = choices});
}

// The order is the order of the table in docs/operations.md.
constexpr Row kRows[] = {
    // Where it listens.
    special("bind", Kind::addresses, "127.0.0.1 -::1").in(&Config::bind).honoured(),
    number("port", "6379", 0, 65535).in(&Config::port).honoured(),
    number("tcp-backlog", "511", 0, kInt).in(&Config::tcp_backlog).honoured().at_start(),
    word("unixsocket").checked(socket_path).in(&Config::unixsocket).honoured().at_start().or_none(),
    octal("unixsocketperm", "0", 0, 0777)
        .no_sign()
        .in(&Config::unixsocketperm)
        .honoured()
        .at_start(),
    word("bind-source-addr").accepted(kNoReplicas).or_none(),
    number("socket-mark-id", "0", 0, 0xffffffff)
        .no_sign()
        .accepted("mark its traffic by the cgroup of its unit")
        .at_start(),

    // What a connection may use.
    number("timeout", "0", 0, kInt).in(&Config::timeout).honoured(),
    number("tcp-keepalive", "300", 0, kInt).in(&Config::tcp_keepalive).honoured(),
    number("maxclients", "10000", 1, 0xffffffff).no_sign().in(&Config::maxclients).honoured(),
    special("client-output-buffer-limit", Kind::limits,
            "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60")
        .in(&Config::client_output_buffer_limit)
        .honoured(),
    memory("client-query-buffer-limit", "1073741824", 1 << 20, kLong)
        .no_sign()
        .in(&Config::client_query_buffer_limit)
        .honoured(),
    memory("proto-max-bulk-len", "536870912", 1 << 20, kLong)
        .in(&Config::proto_max_bulk_len)
        .honoured(),
    proportion("maxmemory-clients", "0", -100, kLong)
        .accepted("each connection has its own bounds"),
    number("tracking-table-max-keys", "1000000", 0, kLong)
        .no_sign()
        .accepted("CLIENT TRACKING is off"),

    // Who may do what.
    boolean("protected-mode", "yes").in(&Config::protected_mode).honoured(),
    word("requirepass").in(&Config::requirepass).honoured().secret().or_none(),
    choice("enable-debug-command", "no", kAllows)
        .in(&Config::enable_debug_command)
        .honoured()
        .at_start(),
    choice("enable-protected-configs", "no", kAllows)
        .in(&Config::enable_protected_configs)
        .honoured()
        .at_start(),
    choice("enable-module-command", "no", kAllows).accepted(kNoModules).at_start(),
    in_files("rename-command").honoured(),
    in_files("user").refused(
        "access lists come later; requirepass sets the password of the default user"),
    word("aclfile")
        .refused("access lists come later; requirepass sets the password of the default user")
        .at_start(),
    choice("acl-pubsub-default", "resetchannels", "allchannels, resetchannels")
        .accepted("access lists come later"),
    number("acllog-max-len", "128", 0, kLong).accepted("access lists come later"),

    // The store.
    word("dir").in(&Config::dir).honoured().never_later().once_loaded(),
    number("databases", "16", 1, engine::kParkedFirst).in(&Config::databases).honoured().at_start(),
    choice("appendfsync", "always", "everysec, always, no").in(&Config::appendfsync).honoured(),
    boolean("appendonly", "yes")
        .accepted("the log is always on: appendfsync alone sets what a crash can take")
        .always("yes")
        .once_loaded(),
    memory("segment-bytes-max", "67108864", 4 << 20, 256 << 20)
        .no_sign()
        .in(&Config::segment_bytes_max)
        .honoured()
        .at_start(),
    memory("tail-memory", "268435456", 16 << 20, 64LL << 30)
        .no_sign()
        .in(&Config::tail_memory)
        .honoured()
        .at_start(),
    special("save", Kind::save, "3600 1 300 100 60 10000").in(&Config::save).honoured(),
    memory("checkpoint-log-bytes", "268435456", 0, 1LL << 50)
        .no_sign()
        .in(&Config::checkpoint_log_bytes)
        .honoured()
        .at_start(),
    choice("backup-policy", "none", "continuous, hourly, daily, weekly, none")
        .in(&Config::backup_policy)
        .honoured(),
    duration("retain", "24h", kInt).in(&Config::retain_s).honoured(),
    duration("flush-undo", "5m", kInt).in(&Config::flush_undo_s).honoured(),
    special("keep", Kind::keep, "").checked(keep_rules).in(&Config::keep).honoured().or_none(),
    memory("retain-bytes", "0", 0, 1LL << 50).no_sign().in(&Config::retain_bytes).honoured(),
    memory("disk-low-water", "0", 0, 1LL << 50).no_sign().in(&Config::disk_low_water).honoured(),
    memory("disk-high-water", "0", 0, 1LL << 50).no_sign().in(&Config::disk_high_water).honoured(),
    memory("sidecar-rate", "33554432", 0, 1LL << 40).no_sign().in(&Config::sidecar_rate).honoured(),
    memory("scrub-rate", "4194304", 0, 1LL << 40).no_sign().in(&Config::scrub_rate).honoured(),
    duration("scrub-interval", "24h", kInt).in(&Config::scrub_interval_s).honoured(),
    word("backup-dir").in(&Config::backup_dir).honoured().at_start().or_none(),
    duration("backup-trial-interval", "0", kInt).in(&Config::backup_trial_interval_s).honoured(),
    word("archive-dir").in(&Config::archive_dir).honoured().at_start().or_none(),
    word("archive-command")
        .in(&Config::archive_command)
        .checked(archive_words)
        .honoured()
        .at_start()
        .or_none(),
    number("archive-timeout", "0", 0, kInt).in(&Config::archive_timeout).honoured(),
    number("archive-command-timeout", "600", 0, kInt)
        .in(&Config::archive_command_timeout)
        .honoured(),
    memory("maxmemory", "0", 0, -1).no_sign().in(&Config::maxmemory).honoured(),
    choice("maxmemory-policy", "noeviction",
           "volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, "
           "allkeys-random, noeviction")
        .refused("Firnlog is a store, not a cache: it evicts nothing"),
    number("maxmemory-samples", "5", 1, kInt).accepted(kNoEviction),
    number("maxmemory-eviction-tenacity", "10", 0, 100).accepted(kNoEviction),
    number("lfu-log-factor", "10", 0, kInt).accepted(kNoEviction),
    number("lfu-decay-time", "1", 0, kInt).accepted(kNoEviction),

    // The process.
    number("threads", "", 1, 64).in(&Config::threads).honoured().at_start(),
    number("spin-us", "200", 0, 10'000).in(&Config::spin_us).honoured(),
    number("io-threads", "1", 1, 128).accepted("see threads").at_start(),
    boolean("io-threads-do-reads", "no").accepted("see threads").at_start(),
    word("logfile").in(&Config::logfile).honoured().at_start(),
    choice("loglevel", "notice", "debug, verbose, notice, warning")
        .in(&Config::loglevel)
        .honoured(),
    boolean("syslog-enabled", "no")
        .refused("it logs to standard error or logfile; journald or rsyslog takes it from there")
        .at_start(),
    word("syslog-ident", "redis").accepted(kNoSyslog).at_start(),
    choice("syslog-facility", "local0",
           "user, local0, local1, local2, local3, local4, local5, local6, local7")
        .accepted(kNoSyslog)
        .at_start(),
    word("pidfile").in(&Config::pidfile).honoured().at_start().or_none(),
    boolean("daemonize", "no")
        .accepted("it stays in the foreground, where systemd and containers want it")
        .always("no")
        .at_start(),
    choice("supervised", "no", "upstart, systemd, auto, no")
        .in(&Config::supervised)
        .honoured()
        .at_start(),
    boolean("crash-log-enabled", "yes").in(&Config::crash_log_enabled).honoured(),
    boolean("crash-memcheck-enabled", "yes").accepted("a crash report tests no memory"),
    number("hz", "10", 0, kInt).in(&Config::hz).honoured(),
    boolean("dynamic-hz", "yes").accepted("the pace of expiry follows what expires"),
    number("active-expire-effort", "1", 1, 10).in(&Config::active_expire_effort).honoured(),
    boolean("always-show-logo", "no").accepted("there is none").at_start(),
    boolean("set-proc-title", "yes").accepted("the command line stays as it was typed").at_start(),
    word("proc-title-template", "{title} {listen-addr} {server-mode}")
        .checked(title_template)
        .accepted("the command line stays as it was typed"),
    choice("oom-score-adj", "no", "no, yes, relative, absolute")
        .accepted("OOMScoreAdjust= of its unit"),
    special("oom-score-adj-values", Kind::scores, "0 200 800")
        .accepted("OOMScoreAdjust= of its unit"),
    boolean("disable-thp", "yes").accepted("huge pages help the index").at_start(),
    word("server_cpulist").accepted("CPUAffinity= of its unit").at_start().or_none(),
    word("bio_cpulist").accepted("CPUAffinity= of its unit").at_start().or_none(),
    word("aof_rewrite_cpulist").accepted(kNoFork).at_start().or_none(),
    word("bgsave_cpulist").accepted(kNoFork).at_start().or_none(),
    number("shutdown-timeout", "10", 0, kInt).accepted(kNoReplicas),
    choices("shutdown-on-sigint", "default", kShutdowns)
        .checked(shutdown_words)
        .accepted("a stop makes every write durable; a second signal ends it at once"),
    choices("shutdown-on-sigterm", "default", kShutdowns)
        .checked(shutdown_words)
        .accepted("a stop makes every write durable; a second signal ends it at once"),
    word("ignore-warnings").accepted("it has none of that kind"),
    boolean("jemalloc-bg-thread", "yes").accepted(kOtherMemory),
    boolean("activedefrag", "no").accepted(kOtherMemory),
    memory("active-defrag-ignore-bytes", "104857600", 1, kLong).no_sign().accepted(kOtherMemory),
    number("active-defrag-threshold-lower", "10", 0, 1000).accepted(kOtherMemory),
    number("active-defrag-threshold-upper", "100", 0, 1000).accepted(kOtherMemory),
    number("active-defrag-cycle-min", "1", 1, 99).accepted(kOtherMemory),
    number("active-defrag-cycle-max", "25", 1, 99).accepted(kOtherMemory),
    number("active-defrag-max-scan-fields", "1000", 1, kLong).accepted(kOtherMemory),
    boolean("activerehashing", "yes").accepted("the index grows page by page"),
    boolean("lazyfree-lazy-eviction", "no").accepted("every deletion frees in slices"),
    boolean("lazyfree-lazy-expire", "no").accepted("every deletion frees in slices"),
    boolean("lazyfree-lazy-server-del", "no").accepted("every deletion frees in slices"),
    boolean("lazyfree-lazy-user-del", "no").accepted("every deletion frees in slices"),
    boolean("lazyfree-lazy-user-flush", "no").accepted("every deletion frees in slices"),

    // What it tells.
    special("notify-keyspace-events", Kind::events, "")
        .in(&Config::notify_keyspace_events)
        .honoured(),
    number("slowlog-log-slower-than", "10000", -1, kLong)
        .in(&Config::slowlog_log_slower_than)
        .honoured(),
    number("slowlog-max-len", "128", 0, kLong).in(&Config::slowlog_max_len).honoured(),
    number("latency-monitor-threshold", "0", 0, kLong)
        .in(&Config::latency_monitor_threshold)
        .honoured(),
    boolean("latency-tracking", "yes").in(&Config::latency_tracking).honoured(),
    special("latency-tracking-info-percentiles", Kind::percents, "50 99 99.9")
        .in(&Config::latency_tracking_info_percentiles)
        .honoured(),

    // Up to where a collection counts as small.
    number("hash-max-listpack-entries", "512", 0, kLong)
        .no_sign()
        .alias("hash-max-ziplist-entries")
        .in(&Config::hash_max_listpack_entries)
        .honoured(),
    memory("hash-max-listpack-value", "64", 0, kLong)
        .no_sign()
        .alias("hash-max-ziplist-value")
        .in(&Config::hash_max_listpack_value)
        .honoured(),
    number("set-max-intset-entries", "512", 0, kLong)
        .no_sign()
        .in(&Config::set_max_intset_entries)
        .accepted(kTypeLater),
    number("zset-max-listpack-entries", "128", 0, kLong)
        .no_sign()
        .alias("zset-max-ziplist-entries")
        .in(&Config::zset_max_listpack_entries)
        .accepted(kTypeLater),
    memory("zset-max-listpack-value", "64", 0, kLong)
        .no_sign()
        .alias("zset-max-ziplist-value")
        .in(&Config::zset_max_listpack_value)
        .accepted(kTypeLater),
    number("list-max-listpack-size", "-2", kIntMin, kInt)
        .alias("list-max-ziplist-size")
        .in(&Config::list_max_listpack_size)
        .accepted(kTypeLater),
    number("list-compress-depth", "0", 0, kInt).accepted("values are stored as they are"),
    memory("stream-node-max-bytes", "4096", 0, kLong).no_sign().accepted(kTypeLater),
    number("stream-node-max-entries", "100", 0, kLong).accepted(kTypeLater),
    memory("hll-sparse-max-bytes", "3000", 0, kLong).no_sign().accepted(kTypeLater),
    in_files("list-max-ziplist-entries").accepted("Redis ignores it too"),
    in_files("list-max-ziplist-value").accepted("Redis ignores it too"),

    // Redis's files.
    word("dbfilename", "dump.rdb").checked(rdb_name).accepted(kNoFork).if_permitted(),
    boolean("rdbcompression", "yes").accepted(kNoFork),
    boolean("rdbchecksum", "yes").accepted(kNoFork).at_start(),
    boolean("rdb-del-sync-files", "no").accepted(kNoFork),
    boolean("rdb-save-incremental-fsync", "yes").accepted(kNoFork),
    boolean("stop-writes-on-bgsave-error", "yes").accepted(kNoFork),
    choice("sanitize-dump-payload", "no", "no, yes, clients")
        .accepted("what is accepted is always checked"),
    word("appendfilename", "appendonly.aof").checked(log_name).accepted(kOwnFiles).at_start(),
    word("appenddirname", "appendonlydir").checked(log_folder).accepted(kOwnFiles).at_start(),
    boolean("no-appendfsync-on-rewrite", "no").accepted("nothing is rewritten while a sync waits"),
    number("auto-aof-rewrite-percentage", "100", 0, kInt).accepted(kOwnFiles),
    memory("auto-aof-rewrite-min-size", "67108864", 0, kLong).accepted(kOwnFiles),
    boolean("aof-load-truncated", "yes")
        .accepted("a torn tail is cut and kept, damage before it is refused"),
    boolean("aof-use-rdb-preamble", "yes").accepted(kOwnFiles),
    boolean("aof-timestamp-enabled", "no").accepted("every frame carries its time"),
    boolean("aof-rewrite-incremental-fsync", "yes").accepted(kOwnFiles),
    boolean("aof-disable-auto-gc", "no").accepted(kOwnFiles),

    // Scripts and modules.
    number("busy-reply-threshold", "5000", 0, kLong)
        .alias("lua-time-limit")
        .accepted("scripts come later"),
    in_files("lua-replicate-commands").accepted("Redis ignores it too"),
    in_files("loadmodule").refused("there are no modules"),

    // Replication.
    special("replicaof", Kind::master, "")
        .alias("slaveof")
        .refused("replication comes later")
        .at_start(),
    word("masteruser").accepted(kNoReplicas).secret().or_none(),
    word("masterauth").accepted(kNoReplicas).secret().or_none(),
    number("min-replicas-to-write", "0", 0, kInt)
        .alias("min-slaves-to-write")
        .refused("replication comes later: no write could be acknowledged"),
    number("min-replicas-max-lag", "10", 0, kInt).alias("min-slaves-max-lag").accepted(kNoReplicas),
    word("replica-announce-ip").alias("slave-announce-ip").accepted(kNoReplicas).or_none(),
    number("replica-announce-port", "0", 0, 65535)
        .alias("slave-announce-port")
        .accepted(kNoReplicas),
    boolean("replica-announced", "yes").accepted(kNoReplicas),
    boolean("replica-ignore-disk-write-errors", "no").accepted(kNoReplicas),
    boolean("replica-ignore-maxmemory", "yes")
        .alias("slave-ignore-maxmemory")
        .accepted(kNoReplicas),
    boolean("replica-lazy-flush", "no").alias("slave-lazy-flush").accepted(kNoReplicas),
    number("replica-priority", "100", 0, kInt).alias("slave-priority").accepted(kNoReplicas),
    boolean("replica-read-only", "yes").alias("slave-read-only").accepted(kNoReplicas),
    boolean("replica-serve-stale-data", "yes")
        .alias("slave-serve-stale-data")
        .accepted(kNoReplicas),
    choice("propagation-error-behavior", "ignore", "ignore, panic, panic-on-replicas")
        .accepted(kNoReplicas),
    memory("repl-backlog-size", "1048576", 1, kLong).accepted(kNoReplicas),
    number("repl-backlog-ttl", "3600", 0, kLong).accepted(kNoReplicas),
    boolean("repl-disable-tcp-nodelay", "no").accepted(kNoReplicas),
    choice("repl-diskless-load", "disabled", "disabled, on-empty-db, swapdb")
        .accepted(kNoReplicas)
        .once_loaded(),
    boolean("repl-diskless-sync", "yes").accepted(kNoReplicas),
    number("repl-diskless-sync-delay", "5", 0, kInt).accepted(kNoReplicas),
    number("repl-diskless-sync-max-replicas", "0", 0, kInt).accepted(kNoReplicas),
    number("repl-ping-replica-period", "10", 1, kInt)
        .alias("repl-ping-slave-period")
        .accepted(kNoReplicas),
    number("repl-timeout", "60", 1, kInt).accepted(kNoReplicas),
    in_files("sentinel").refused("this is no Sentinel; one can watch it once replication is there"),

    // Cluster.
    boolean("cluster-enabled", "no").refused("sharding comes later").at_start(),
    boolean("cluster-allow-pubsubshard-when-down", "yes").accepted(kNoCluster),
    boolean("cluster-allow-reads-when-down", "no").accepted(kNoCluster),
    boolean("cluster-allow-replica-migration", "yes").accepted(kNoCluster),
    number("cluster-announce-bus-port", "0", 0, 65535).accepted(kNoCluster),
    word("cluster-announce-hostname").checked(host_name).accepted(kNoCluster).or_none(),
    word("cluster-announce-ip").accepted(kNoCluster).or_none(),
    number("cluster-announce-port", "0", 0, 65535).accepted(kNoCluster),
    number("cluster-announce-tls-port", "0", 0, 65535).accepted(kNoCluster),
    word("cluster-config-file", "nodes.conf").accepted(kNoCluster).at_start(),
    memory("cluster-link-sendbuf-limit", "0", 0, -1).no_sign().accepted(kNoCluster),
    number("cluster-migration-barrier", "1", 0, kInt).accepted(kNoCluster),
    number("cluster-node-timeout", "15000", 0, kLong).accepted(kNoCluster),
    number("cluster-port", "0", 0, 65535).accepted(kNoCluster).at_start(),
    choice("cluster-preferred-endpoint-type", "ip", "ip, hostname, unknown-endpoint")
        .accepted(kNoCluster),
    boolean("cluster-replica-no-failover", "no")
        .alias("cluster-slave-no-failover")
        .accepted(kNoCluster),
    number("cluster-replica-validity-factor", "10", 0, kInt)
        .alias("cluster-slave-validity-factor")
        .accepted(kNoCluster),
    boolean("cluster-require-full-coverage", "yes").accepted(kNoCluster),

    // TLS.
    number("tls-port", "0", 0, 65535).refused(kNoTls),
    choice("tls-auth-clients", "yes", "no, yes, optional").refused(kNoTls),
    word("tls-ca-cert-dir").refused(kNoTls).or_none(),
    word("tls-ca-cert-file").refused(kNoTls).or_none(),
    word("tls-cert-file").refused(kNoTls).or_none(),
    word("tls-ciphers").refused(kNoTls).or_none(),
    word("tls-ciphersuites").refused(kNoTls).or_none(),
    word("tls-client-cert-file").refused(kNoTls).or_none(),
    word("tls-client-key-file").refused(kNoTls).or_none(),
    word("tls-client-key-file-pass").refused(kNoTls).secret().or_none(),
    boolean("tls-cluster", "no").refused(kNoTls),
    word("tls-dh-params-file").refused(kNoTls).or_none(),
    word("tls-key-file").refused(kNoTls).or_none(),
    word("tls-key-file-pass").refused(kNoTls).secret().or_none(),
    boolean("tls-prefer-server-ciphers", "no").refused(kNoTls),
    word("tls-protocols").refused(kNoTls).or_none(),
    boolean("tls-replication", "no").refused(kNoTls),
    number("tls-session-cache-size", "20480", 0, kInt).refused(kNoTls),
    number("tls-session-cache-timeout", "300", 0, kInt).refused(kNoTls),
    boolean("tls-session-caching", "yes").refused(kNoTls),

    // The file itself.
    in_files("include").honoured(),

    // For those who debug Redis.
    boolean("use-exit-on-panic", "no").accepted(kNoDebug).hidden(),
    number("rdb-key-save-delay", "0", kIntMin, kInt).accepted(kNoDebug).hidden(),
    number("key-load-delay", "0", kIntMin, kInt).accepted(kNoDebug).hidden(),
    number("watchdog-period", "0", 0, kInt).accepted(kNoDebug).hidden(),
    number("loading-process-events-interval-bytes", "2097152", 1024, kInt)
        .accepted(kNoDebug)
        .hidden(),
};

constexpr std::size_t kTypingErrorsMax = 2;

// Edits (insert, drop, change, swap two neighbours) that turn one name into the other, or more than
// kTypingErrorsMax.
std::size_t distance(std::string_view one, std::string_view other) {
    const auto gap =
        one.size() > other.size() ? one.size() - other.size() : other.size() - one.size();
    if (gap > kTypingErrorsMax) return gap;
    std::vector<std::size_t> before(other.size() + 1);
    std::vector<std::size_t> above(other.size() + 1);
    std::vector<std::size_t> here(other.size() + 1);
    std::iota(above.begin(), above.end(), std::size_t{0});
    for (std::size_t i = 1; i <= one.size(); ++i) {
        here[0] = i;
        for (std::size_t j = 1; j <= other.size(); ++j) {
            const std::size_t same = one[i - 1] == other[j - 1] ? 0 : 1;
            here[j] = std::min({above[j] + 1, here[j - 1] + 1, above[j - 1] + same});
            if (i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1])
                here[j] = std::min(here[j], before[j - 2] + 1);
        }
        std::swap(before, above);
        std::swap(above, here);
    }
    return above.back();
}

}  // namespace

std::span<const Row> config_rows() noexcept { return kRows; }

RowName find_row(std::string_view name) noexcept {
    for (const auto& row : kRows) {
        if (text::equal_folded(row.name, name)) return {&row, row.name};
        if (!row.alias.empty() && text::equal_folded(row.alias, name)) return {&row, row.alias};
    }
    return {};
}

std::string_view nearest_name(std::string_view name) {
    constexpr std::size_t kNameBytesMax = 64;
    if (name.size() > kNameBytesMax) return {};
    std::string folded;
    for (const char letter : name) folded += text::lower(letter);
    // A short name is within two errors of nearly any other.
    const std::size_t allowed = std::min(kTypingErrorsMax, folded.size() / 3);
    std::string_view nearest;
    std::size_t least = allowed + 1;
    for (const auto& row : kRows) {
        for (const auto candidate : {row.name, row.alias}) {
            if (candidate.empty() || row.hidden) continue;
            const auto errors = distance(folded, candidate);
            if (errors >= least) continue;
            least = errors;
            nearest = candidate;
        }
    }
    return nearest;
}

}  // namespace firnlog::server
