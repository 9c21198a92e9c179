#pragma once
// config_table: one row for every directive of Redis 7.0.15, and for our own.
//
// The table is the only list: parsing, CONFIG GET, SET and REWRITE, the table of
// docs/operations.md and the tests walk it. A row with a `field` lives in that member of Config,
// any other in Config::others. Values pass through one form each way: words -> Value -> text.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <variant>
#include <vector>

#include "src/config.hpp"

namespace firnlog::server {

enum class Kind : std::uint8_t {
    boolean,     // yes | no
    number,      // 64 bits, signed
    memory,      // bytes: 1024, 1k (1000), 1kb (1024), m, mb, g, gb
    proportion,  // memory, or percent ("50%", kept negative)
    octal,       // permissions
    duration,    // seconds, or 90s, 15m, 24h, 7d
    choice,      // one of `choices`
    choices,     // any of `choices`; the first stands for none
    text,        // one word
    save,        // (seconds changes)...
    keep,        // hourly:24,daily:7
    limits,      // (class hard soft seconds)...
    events,      // letters of keyspace events
    addresses,   // up to 16 words
    percents,    // numbers from 0 to 100
    scores,      // three integers
    master,      // host port | no one
    file,        // only in files and on the command line: include, user, ...
};

enum class Standing : std::uint8_t { honoured, accepted, refused };

enum class Change : std::uint8_t {
    any_time,
    start,      // not by CONFIG SET
    permitted,  // by CONFIG SET where enable-protected-configs lets it
    never,      // as `permitted`, and even then our store cannot follow
};

using Field =
    std::variant<std::monostate, bool Config::*, std::int64_t Config::*, std::uint64_t Config::*,
                 std::uint32_t Config::*, std::string Config::*, Fsync Config::*,
                 LogLevel Config::*, Supervised Config::*, Allow Config::*, BackupPolicy Config::*,
                 std::vector<SaveRule> Config::*, BufferLimits Config::*,
                 std::vector<std::string> Config::*, std::vector<double> Config::*>;

// Booleans, numbers, sizes (as their 64 bits) and places among the choices are integers.
using Value = std::variant<std::int64_t, std::string, std::vector<SaveRule>, BufferLimits,
                           std::vector<std::string>, std::vector<double>>;

// What is wrong with a text, or nullptr.
using Check = const char* (*)(std::string_view);

struct Row {
    std::string_view name;
    std::string_view alias;  // an older name
    Kind kind = Kind::text;
    std::string_view
        initial;  // the default, as CONFIG GET tells it; "" for threads: by the machine
    std::int64_t min = 0;
    std::int64_t max = 0;
    bool is_unsigned = false;  // `min` and `max` are 64 bits without a sign
    std::string_view choices;  // "everysec, always, no"
    Check check = nullptr;
    Field field;
    Standing standing = Standing::accepted;
    std::string_view why;     // refused: the reason; accepted: what does it instead
    std::string_view always;  // what CONFIG GET tells whatever was set
    Change change = Change::any_time;
    bool sensitive = false;      // never in a log line, MONITOR or SLOWLOG
    bool hidden = false;         // CONFIG GET tells it by its whole name alone
    bool empty_is_none = false;  // an empty text is not written by CONFIG REWRITE
    bool not_while_loading = false;
};

[[nodiscard]] std::span<const Row> config_rows() noexcept;

// By name or alias, in any letter case; `name` is then the one of the two that was meant.
struct RowName {
    const Row* row = nullptr;
    std::string_view name;
};
[[nodiscard]] RowName find_row(std::string_view name) noexcept;

// The nearest name within two typing errors, or nothing.
[[nodiscard]] std::string_view nearest_name(std::string_view name);

[[nodiscard]] std::string initial_text(const Row& row);

// What `words` mean for `row`; what they leave out is taken from `old`. The error is Redis's text.
[[nodiscard]] tl::expected<Value, std::string> parse_value(const Row& row,
                                                           std::span<const std::string> words,
                                                           const Config& old);
[[nodiscard]] std::string value_text(const Row& row, const Value& value);

void put_value(Config& config, const Row& row, Value value);
[[nodiscard]] std::string get_text(const Config& config, const Row& row);

// Which words CONFIG REWRITE writes behind the name, a line each; `needed` is false for a line that
// says no more than the default.
struct RewriteLine {
    std::string words;
    bool needed = true;
};
[[nodiscard]] std::vector<RewriteLine> rewrite_lines(const Config& config, const Row& row);

}  // namespace firnlog::server
