#pragma once
// Config: everything an operator can set, under Redis's names, as plain typed members.
//
// A directive is one row of the table in config_table.hpp: how it is written, its default, whether
// Firnlog honours it, takes it without effect or refuses it, and when it may change. The functions
// below turn a file, a command line or CONFIG SET into a Config and back; none has any state.
//
// Threads: a Config is a value. The server publishes it as an immutable snapshot (a pointer to a
// const Config, stored with release, loaded with acquire): CONFIG SET, one at a time, copies,
// changes the copy and publishes that. A reactor loads the pointer and reads without a lock; what
// belongs together within one command is read from one snapshot.

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "io/base/result.hpp"
#include "src/backup_policy.hpp"

namespace firnlog::server {

struct Row;  // config_table.hpp

// The order of each is the order in which Redis lists the choices.
enum class Fsync : std::uint8_t { everysec, always, no };
enum class LogLevel : std::uint8_t { debug, verbose, notice, warning };
enum class Supervised : std::uint8_t { upstart, systemd, autodetect, no };
enum class Allow : std::uint8_t { no, yes, local };  // local: connections from this machine

struct SaveRule {
    std::int64_t seconds = 0;
    std::int64_t changes = 0;
    bool operator==(const SaveRule&) const = default;
};

// A client is closed past `hard_bytes` of unsent replies at once, past `soft_bytes` when that has
// lasted `soft_seconds`; 0: unlimited.
struct BufferLimit {
    std::uint64_t hard_bytes = 0;
    std::uint64_t soft_bytes = 0;
    std::int64_t soft_seconds = 0;
    bool operator==(const BufferLimit&) const = default;
};

struct BufferLimits {
    BufferLimit normal;
    BufferLimit replica{256ULL << 20, 64ULL << 20, 60};
    BufferLimit pubsub{32ULL << 20, 8ULL << 20, 60};
    bool operator==(const BufferLimits&) const = default;
};

// Bits of `notify_keyspace_events`, in the order of their letters "g$lshzxetdnKEm".
enum Notify : std::uint32_t {
    kNotifyGeneric = 1U << 0,
    kNotifyString = 1U << 1,
    kNotifyList = 1U << 2,
    kNotifySet = 1U << 3,
    kNotifyHash = 1U << 4,
    kNotifyZset = 1U << 5,
    kNotifyExpired = 1U << 6,
    kNotifyEvicted = 1U << 7,
    kNotifyStream = 1U << 8,
    kNotifyModule = 1U << 9,
    kNotifyNew = 1U << 10,
    kNotifyKeyspace = 1U << 11,
    kNotifyKeyevent = 1U << 12,
    kNotifyMiss = 1U << 13,
    kNotifyAll = (1U << 10) - 1,  // "A": neither new keys nor misses
};

// `to` empty: the command is taken away. The command table checks that `from` exists and that `to`
// does not; `where` is for that complaint ("redis.conf:12").
struct Rename {
    std::string from;
    std::string to;
    std::string where;
    bool operator==(const Rename&) const = default;
};

// One line for the log at start: what was accepted and has no effect.
struct Notice {
    std::string where;
    std::string text;
    bool asked_for_more = true;  // than is done: a warning
};

// One reactor on one or two cores, else one for every two cores, at most eight: the client, the
// kernel's network stack and the workers want the other half.
[[nodiscard]] std::int64_t threads_for(unsigned cores) noexcept;
[[nodiscard]] std::int64_t default_threads() noexcept;

struct Config {
    // Where it listens. A name in `bind` with '-' before it may be missing on this machine.
    std::vector<std::string> bind{"127.0.0.1", "-::1"};
    std::int64_t port = 6379;  // 0: no TCP
    std::int64_t tcp_backlog = 511;
    std::string unixsocket;           // empty: none
    std::int64_t unixsocketperm = 0;  // 0: as the umask leaves it

    // What a connection may use.
    std::int64_t timeout = 0;  // seconds of silence until it is closed; 0: never
    std::int64_t tcp_keepalive = 300;
    std::int64_t maxclients = 10000;
    BufferLimits client_output_buffer_limit;
    std::uint64_t client_query_buffer_limit = 1ULL << 30;
    std::uint64_t proto_max_bulk_len = 512ULL << 20;

    // Who may do what.
    bool protected_mode = true;
    std::string requirepass;  // empty: none
    Allow enable_debug_command = Allow::no;
    Allow enable_protected_configs = Allow::no;
    std::vector<Rename> renames;

    // The store.
    std::string dir;  // absolute once parse_command_line has returned it
    std::int64_t databases = 16;
    Fsync appendfsync = Fsync::always;
    std::uint64_t segment_bytes_max = 64ULL << 20;
    std::uint64_t checkpoint_log_bytes = std::uint64_t{256}
                                         << 20;  // of log since the last; 0: never
    std::int64_t retain_s = 24 * 60 * 60;        // any moment so far back can be opened; 0: none
    std::int64_t flush_undo_s = 5 * 60;  // what a flush took is parked so long; 0: not at all
    std::string keep;                    // moments that outlive that, as "hourly:24"
    std::uint64_t maxmemory = 0;         // bytes; 0: no bound
    std::uint64_t retain_bytes = 0;      // what only history takes; 0: by what is live
    std::uint64_t disk_low_water = 0;    // free bytes below which history is cut; 0: by the store
    std::uint64_t disk_high_water = 0;   // until so many are free; 0: twice the other
    std::uint64_t sidecar_rate = 32ULL << 20;      // bytes a second; 0: none are made
    std::uint64_t scrub_rate = 4ULL << 20;         // bytes a second; 0: nothing is scrubbed
    std::int64_t scrub_interval_s = 24 * 60 * 60;  // from the beginning of a pass to the next
    BackupPolicy backup_policy = BackupPolicy::none;
    // What a policy sets and somebody has given by itself, by the row's name: no policy changes it.
    std::vector<std::string_view> given;
    std::uint64_t tail_memory = 256ULL << 20;  // bound on bytes not yet flushed
    std::vector<SaveRule> save{{3600, 1}, {300, 100}, {60, 10000}};

    // The process.
    std::int64_t threads = default_threads();
    std::int64_t spin_us = 200;  // before sleeping while one client alone waits; 0: never
    std::string logfile;         // empty: standard error
    LogLevel loglevel = LogLevel::notice;
    std::string backup_dir;                    // where FIRN BACKUP writes; empty: nowhere
    std::int64_t backup_trial_interval_s = 0;  // the newest backup is tried so often; 0: never
    std::string archive_dir;           // where the log goes as it is written; empty: nowhere
    std::string archive_command;       // or what takes it there
    std::int64_t archive_timeout = 0;  // seconds; 0: 1 with archive_dir, 60 without
    std::int64_t archive_command_timeout = 600;  // seconds that it may take; 0: any
    std::string pidfile;                         // empty: none
    Supervised supervised = Supervised::no;
    bool crash_log_enabled = true;
    std::int64_t hz = 10;
    std::int64_t active_expire_effort = 1;

    // What it tells.
    std::uint32_t notify_keyspace_events = 0;
    std::int64_t slowlog_log_slower_than = 10000;  // µs; negative: off
    std::int64_t slowlog_max_len = 128;
    std::int64_t latency_monitor_threshold = 0;  // ms; 0: off
    bool latency_tracking = true;
    std::vector<double> latency_tracking_info_percentiles{50, 99, 99.9};

    // Up to where OBJECT ENCODING calls a collection small.
    std::int64_t hash_max_listpack_entries = 512;
    std::uint64_t hash_max_listpack_value = 64;
    std::int64_t set_max_intset_entries = 512;
    std::int64_t zset_max_listpack_entries = 128;
    std::uint64_t zset_max_listpack_value = 64;
    std::int64_t list_max_listpack_size = -2;

    // Values of rows without a member, by the row's name; a row that is not in it has its default.
    std::map<std::string_view, std::string> others;

    // Where it came from: the absolute path of the file, for CONFIG REWRITE; empty: none.
    std::string config_file;
    std::vector<Notice> notices;

    // `name` as the operator meant it: relative paths lie in `dir`.
    [[nodiscard]] std::string path(std::string_view name) const;
};

// What is wrong and where. `line` 0: the command line, or the file as a whole.
struct ConfigError {
    std::string text;
    std::string file;
    std::uint64_t line = 0;

    // "redis.conf:12: port: argument must be between 0 and 65535 inclusive"
    [[nodiscard]] std::string message() const;
};

inline constexpr std::size_t kConfigFileBytesMax = 1U << 20;
inline constexpr std::size_t kConfigLineBytesMax = 64U << 10;
inline constexpr int kConfigIncludeDepthMax = 16;
inline constexpr int kConfigFilesMax =
    1024;  // in all, so that files including twice cannot explode

// What stands behind `firnlog serve`: a configuration file ("-" for standard input) if the first is
// not an option, then --name value... as Redis takes them. All of it is one text, options last.
[[nodiscard]] tl::expected<Config, ConfigError> parse_command_line(
    std::span<const std::string> arguments);

// One text, without touching the file system: `include` is refused.
[[nodiscard]] tl::expected<Config, ConfigError> parse_config_text(std::string_view text,
                                                                  std::string_view name = "config");

// CONFIG GET: names (as asked, or as they stand in the table) with their values.
using NamedValue = std::pair<std::string, std::string>;
[[nodiscard]] std::vector<NamedValue> config_get(const Config& config,
                                                 std::span<const std::string_view> patterns);

// CONFIG SET: all pairs or none. The error is the whole reply ("ERR ..."). `changed` holds each row
// whose value is another than before, so that the server can apply it before it publishes `config`;
// where that fails it answers config_set_failed and keeps the old Config.
struct ConfigSetBy {
    bool local = false;    // the client is on this machine (enable-protected-configs local)
    bool loading = false;  // the log is being replayed
};
struct ConfigSet {
    Config config;
    std::vector<const Row*> changed;
    std::vector<std::string> notices;  // for the log
};
[[nodiscard]] tl::expected<ConfigSet, std::string> config_set(
    const Config& now, std::span<const std::string_view> pairs, ConfigSetBy by = {});
[[nodiscard]] std::string config_set_failed(std::string_view name, std::string_view why);

// CONFIG REWRITE: the old file's text with today's values: comments, order and whatever stands in
// other files stay, lines of directives are replaced, new ones follow at the end.
[[nodiscard]] std::string rewrite_text(std::string_view old_text, const Config& config);
// Reads, rewrites and replaces `config.config_file`. The error is the whole reply ("ERR ...").
[[nodiscard]] tl::expected<void, std::string> config_rewrite(const Config& config);
// Replaces `path`, atomically and durably; the owner and mode of an old file are kept.
[[nodiscard]] Result<void> replace_file(const std::string& path, std::string_view text);

}  // namespace firnlog::server
