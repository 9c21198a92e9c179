#include "src/commands/command_command.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "src/commands/command_table.hpp"
#include "src/commands/replies.hpp"
#include "src/commands/syntax.hpp"
#include "src/text/fold.hpp"
#include "src/text/glob.hpp"

// COMMAND: the table as clients read it.
namespace firnlog::server {
namespace {

using text::equal_folded;

// Hints for clients and proxies; they say nothing that the server itself acts upon.
struct Tips {
    std::string_view name;
    std::string_view words;
};
constexpr Tips kTips[] = {
    {"client|info", "nondeterministic_output"},
    {"client|list", "nondeterministic_output"},
    {"command", "nondeterministic_output_order"},
    {"command|docs", "nondeterministic_output_order"},
    {"command|info", "nondeterministic_output_order"},
    {"command|list", "nondeterministic_output_order"},
    {"config|set", "request_policy:all_nodes response_policy:all_succeeded"},
    {"dbsize", "request_policy:all_shards response_policy:agg_sum"},
    {"del", "request_policy:multi_shard response_policy:agg_sum"},
    {"exists", "request_policy:multi_shard response_policy:agg_sum"},
    {"flushall", "request_policy:all_shards response_policy:all_succeeded"},
    {"flushdb", "request_policy:all_shards response_policy:all_succeeded"},
    {"hgetall", "nondeterministic_output_order"},
    {"hkeys", "nondeterministic_output_order"},
    {"hrandfield", "nondeterministic_output"},
    {"hscan", "nondeterministic_output"},
    {"hvals", "nondeterministic_output_order"},
    {"info", "nondeterministic_output request_policy:all_shards response_policy:special"},
    {"keys", "request_policy:all_shards nondeterministic_output_order"},
    {"lastsave", "nondeterministic_output"},
    {"latency|doctor", "nondeterministic_output request_policy:all_nodes response_policy:special"},
    {"latency|graph", "nondeterministic_output request_policy:all_nodes response_policy:special"},
    {"latency|histogram",
     "nondeterministic_output request_policy:all_nodes response_policy:special"},
    {"latency|history", "nondeterministic_output request_policy:all_nodes response_policy:special"},
    {"latency|latest", "nondeterministic_output request_policy:all_nodes response_policy:special"},
    {"latency|reset", "request_policy:all_nodes response_policy:all_succeeded"},
    {"memory|doctor", "nondeterministic_output request_policy:all_shards response_policy:special"},
    {"memory|malloc-stats",
     "nondeterministic_output request_policy:all_shards response_policy:special"},
    {"memory|purge", "request_policy:all_shards response_policy:all_succeeded"},
    {"memory|stats", "nondeterministic_output request_policy:all_shards response_policy:special"},
    {"mget", "request_policy:multi_shard"},
    {"mset", "request_policy:multi_shard response_policy:all_succeeded"},
    {"msetnx", "request_policy:multi_shard response_policy:agg_min"},
    {"object|encoding", "nondeterministic_output"},
    {"object|freq", "nondeterministic_output"},
    {"object|idletime", "nondeterministic_output"},
    {"object|refcount", "nondeterministic_output"},
    {"ping", "request_policy:all_shards response_policy:all_succeeded"},
    {"pttl", "nondeterministic_output"},
    {"randomkey", "request_policy:all_shards nondeterministic_output"},
    {"scan", "nondeterministic_output request_policy:special"},
    {"slowlog|get", "request_policy:all_nodes nondeterministic_output"},
    {"slowlog|len", "request_policy:all_nodes response_policy:agg_sum nondeterministic_output"},
    {"slowlog|reset", "request_policy:all_nodes response_policy:all_succeeded"},
    {"time", "nondeterministic_output"},
    {"touch", "request_policy:multi_shard response_policy:agg_sum"},
    {"ttl", "nondeterministic_output"},
    {"unlink", "request_policy:multi_shard response_policy:agg_sum"},
    {"wait", "request_policy:all_shards response_policy:agg_min"},
};

std::vector<std::string_view> tips_of(const Command& command) {
    std::vector<std::string_view> tips;
    for (const auto& known : kTips) {
        if (known.name != command.name) continue;
        for (auto left = known.words; !left.empty();) {
            const auto end = std::min(left.find(' '), left.size());
            tips.push_back(left.substr(0, end));
            left.remove_prefix(std::min(end + 1, left.size()));
        }
    }
    return tips;
}

// Names of the bits that are set, as simple strings.
void write_names(resp::Writer& out, std::uint32_t bits, std::span<const std::string_view> names,
                 std::string_view prefix = {}) {
    const auto later = out.set_later();
    std::size_t count = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if ((bits >> i & 1U) == 0) continue;
        out.simple(std::string(prefix).append(names[i]));
        ++count;
    }
    out.close(later, count);
}

// The three numbers that clients older than key specifications read.
struct LegacyRange {
    int first = 0;
    int last = 0;
    int step = 0;
};
LegacyRange legacy_range(const Command& command) {
    const auto specs = command.keys;
    if (specs.size() == 1 && specs[0].keynum == 0 && specs[0].word.empty())
        return {specs[0].first, specs[0].last, specs[0].step};
    // Ranges that lie side by side make one; whatever else there is cannot be said this way.
    LegacyRange range;
    int end = 0;
    for (const auto& spec : specs) {
        if (spec.keynum != 0 || !spec.word.empty() || spec.step != 1 ||
            (end != 0 && end != spec.first - 1))
            continue;
        if (range.first == 0 || spec.first < range.first) range.first = spec.first;
        range.last = spec.last < 0 || range.last < 0 ? std::min(spec.last, range.last)
                                                     : std::max(spec.last, range.last);
        range.step = 1;
        end = spec.last;
    }
    return range;
}

void write_number(resp::Writer& out, std::string_view name, std::int64_t value) {
    out.bulk(name);
    out.integer(value);
}

void write_key_spec(resp::Writer& out, const KeySpec& spec) {
    out.map(3);
    out.bulk("flags");
    write_names(out, spec.flags, key_flag_names());
    const bool counted = spec.keynum != 0;
    out.bulk("begin_search");
    out.map(2);
    out.bulk("type");
    out.bulk(spec.word.empty() ? "index" : "keyword");
    out.bulk("spec");
    if (spec.word.empty()) {
        out.map(1);
        write_number(out, "index", counted ? spec.keynum : spec.first);
    } else {
        out.map(2);
        out.bulk("keyword");
        out.bulk(spec.word);
        write_number(out, "startfrom", spec.first - 1);
    }
    out.bulk("find_keys");
    out.map(2);
    out.bulk("type");
    out.bulk(counted ? "keynum" : "range");
    out.bulk("spec");
    out.map(3);
    if (counted) {
        write_number(out, "keynumidx", 0);
        write_number(out, "firstkey", spec.first);
        write_number(out, "keystep", spec.step);
    } else {
        write_number(out, "lastkey", spec.last < 0 ? spec.last : spec.last - spec.first);
        write_number(out, "keystep", spec.step);
        write_number(out, "limit", 0);
    }
}

void write_info(resp::Writer& out, const Command& command) {
    // Redis keeps the one to itself, and what is behind the last is ours.
    constexpr std::uint32_t kShown = ((kAllowBusy << 1) - 1) & ~std::uint32_t{kMayReplicate};
    out.array(10);
    out.bulk(command.name);
    out.integer(command.arity);
    write_names(out, command.flags & kShown, command_flag_names());
    const auto range = legacy_range(command);
    out.integer(range.first);
    out.integer(range.last);
    out.integer(range.step);
    write_names(out, categories_of(command), category_names(), "@");
    const auto tips = tips_of(command);
    out.set(tips.size());
    for (const auto tip : tips) out.bulk(tip);
    out.set(command.keys.size());
    for (const auto& spec : command.keys) write_key_spec(out, spec);
    out.set(command.subcommands.size());
    for (const auto& subcommand : command.subcommands) write_info(out, subcommand);
}

void write_text(resp::Writer& out, std::string_view name, std::string_view text) {
    out.bulk(name);
    out.bulk(text);
}

void write_argument(resp::Writer& out, const syntax::Argument& argument) {
    const bool nested = !argument.parts.empty();
    const bool flagged = argument.optional || argument.multiple || argument.multiple_token;
    out.map(2U + (argument.token.empty() ? 0U : 1U) + (flagged ? 1U : 0U) + (nested ? 1U : 0U));
    write_text(out, "name", argument.name);
    write_text(out, "type", syntax::type_name(argument.type));
    if (!argument.token.empty()) write_text(out, "token", argument.token);
    if (flagged) {
        out.bulk("flags");
        const auto later = out.set_later();
        std::size_t count = 0;
        const auto flag = [&](bool set, std::string_view name) {
            if (!set) return;
            out.simple(name);
            ++count;
        };
        flag(argument.optional, "optional");
        flag(argument.multiple, "multiple");
        flag(argument.multiple_token, "multiple_token");
        out.close(later, count);
    }
    if (nested) {
        out.bulk("arguments");
        out.array(argument.parts.size());
        for (const auto& part : argument.parts) write_argument(out, part);
    }
}

void write_docs(resp::Writer& out, const Command& command) {
    const auto arguments = syntax::parse(command.syntax);
    const auto later = out.map_later();
    std::size_t pairs = 3;
    write_text(out, "summary", command.summary);
    write_text(out, "since", command.since);
    write_text(out, "group", command.group);
    if (!command.complexity.empty()) {
        write_text(out, "complexity", command.complexity);
        ++pairs;
    }
    if (arguments && !arguments->empty()) {
        out.bulk("arguments");
        out.array(arguments->size());
        for (const auto& argument : *arguments) write_argument(out, argument);
        ++pairs;
    }
    if (!command.subcommands.empty()) {
        out.bulk("subcommands");
        out.map(command.subcommands.size());
        for (const auto& subcommand : command.subcommands) {
            out.bulk(subcommand.name);
            write_docs(out, subcommand);
        }
        ++pairs;
    }
    out.close(later, pairs);
}

Flow command_all(Call& call) {
    const auto all = CommandTable::get().all();
    call.out.array(all.size());
    for (const auto* command : all) write_info(call.out, *command);
    return Flow::done;
}

Flow command_count(Call& call) {
    return call.integer(static_cast<std::int64_t>(CommandTable::get().all().size()));
}

Flow command_info(Call& call) {
    if (call.argc() == 2) return command_all(call);
    call.out.array(call.argc() - 2);
    for (const auto name : call.args.subspan(2)) {
        const auto* command = CommandTable::get().find_full(name);
        if (command == nullptr)
            call.out.null();
        else
            write_info(call.out, *command);
    }
    return Flow::done;
}

Flow command_docs(Call& call) {
    std::vector<const Command*> told;
    const auto all = CommandTable::get().all();
    if (call.argc() == 2) told.assign(all.begin(), all.end());
    for (const auto name : call.args.subspan(2))
        if (const auto* command = CommandTable::get().find_full(name)) told.push_back(command);
    call.out.map(told.size());
    for (const auto* command : told) {
        call.out.bulk(command->name);
        write_docs(call.out, *command);
    }
    return Flow::done;
}

struct Filter {
    enum class By : std::uint8_t { none, module, category, pattern } by = By::none;
    std::string_view word;

    [[nodiscard]] bool lets(const Command& command) const {
        switch (by) {
            case By::none:
                return true;
            case By::module:
                return false;
            case By::category:
                return in_category(command, word);
            case By::pattern:
                return text::glob(word, command.name, text::LetterCase::ignored);
        }
        return false;
    }
};

Flow command_list(Call& call) {
    Filter filter;
    if (call.argc() == 5 && equal_folded(call.arg(2), "filterby")) {
        filter.word = call.arg(4);
        if (equal_folded(call.arg(3), "module"))
            filter.by = Filter::By::module;
        else if (equal_folded(call.arg(3), "aclcat"))
            filter.by = Filter::By::category;
        else if (equal_folded(call.arg(3), "pattern"))
            filter.by = Filter::By::pattern;
        else
            return call.syntax_error();
    } else if (call.argc() != 2) {
        return call.syntax_error();
    }
    const auto later = call.out.array_later();
    std::size_t count = 0;
    const auto list = [&](const Command& command) {
        if (!filter.lets(command)) return;
        call.out.bulk(command.name);
        ++count;
    };
    for (const auto* command : CommandTable::get().all()) {
        list(*command);
        for (const auto& subcommand : command->subcommands) list(subcommand);
    }
    call.out.close(later, count);
    return Flow::done;
}

// Whether BITFIELD has nothing but whole GETs; what cannot be understood may write.
bool only_reads_bits(std::span<const std::string_view> args) {
    for (std::size_t i = 2; i < args.size(); ++i) {
        const auto left = args.size() - i - 1;
        if (equal_folded(args[i], "get") && left >= 2)
            i += 2;
        else if (equal_folded(args[i], "overflow") && left >= 1)
            i += 1;
        else
            return false;
    }
    return true;
}

// What a key's variable flags are for these arguments.
std::uint32_t flags_for(const Command& command, std::span<const std::string_view> args,
                        std::uint32_t flags) {
    if ((flags & kKeyVariable) == 0) return flags;
    const auto has = [args](std::size_t from, std::string_view word) {
        return std::ranges::any_of(
            args.subspan(std::min(from, args.size())),
            [word](std::string_view arg) { return equal_folded(arg, word); });
    };
    if (command.name == "set" && !has(3, "get")) return kKeyOW | kKeyUpdate;
    if (command.name == "bitfield" && only_reads_bits(args)) return kKeyRO | kKeyAccess;
    return flags & ~kKeyVariable;
}

Flow get_keys(Call& call, bool with_flags) {
    const auto args = call.args.subspan(2);
    const auto* command = CommandTable::get().find(args);
    if (command == nullptr) return call.error("ERR Invalid command specified");
    const bool has_keys = (command->flags & kMovableKeys) != 0 ||
                          std::ranges::any_of(command->keys, [](const KeySpec& spec) {
                              return (spec.flags & kKeyNotKey) == 0;
                          });
    if (!has_keys) return call.error("ERR The command has no key arguments");
    if (!arity_fits(*command, args.size()))
        return call.error("ERR Invalid number of arguments specified for command");
    std::vector<KeyPlace> places;
    if (!find_keys(*command, args, places))
        return call.error("ERR Invalid arguments specified for command");
    call.out.array(places.size());
    for (const auto& place : places) {
        if (!with_flags) {
            call.out.bulk(args[place.index]);
            continue;
        }
        call.out.array(2);
        call.out.bulk(args[place.index]);
        write_names(call.out, flags_for(*command, args, place.flags), key_flag_names());
    }
    return Flow::done;
}

Flow command_getkeys(Call& call) { return get_keys(call, false); }
Flow command_getkeysandflags(Call& call) { return get_keys(call, true); }

constexpr std::string_view kOfTable = "O(N) where N is the number of commands";
constexpr std::string_view kOfNames = "O(N) where N is the number of names";
constexpr std::string_view kOfArguments = "O(N) where N is the number of the command's arguments";

}  // namespace

bool in_category(const Command& command, std::string_view category) {
    const auto names = category_names();
    for (std::size_t i = 0; i < names.size(); ++i)
        if (equal_folded(names[i], category)) return (categories_of(command) >> i & 1U) != 0;
    return false;
}

Command command_command() {
    static const Command subcommands[] = {
        {.name = "command|count",
         .summary = "How many commands there are",
         .since = "2.8.13",
         .group = "server",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kLoading | kStale,
         .categories = kConnection,
         .handler = command_count},
        {.name = "command|docs",
         .syntax = "[command-name [command-name ...]]",
         .summary = "What commands do and which arguments they take",
         .since = "7.0.0",
         .group = "server",
         .complexity = kOfNames,
         .arity = -2,
         .flags = kLoading | kStale,
         .categories = kConnection,
         .handler = command_docs},
        {.name = "command|getkeys",
         .syntax = "command [arg [arg ...]]",
         .summary = "Which of a command's arguments are keys",
         .since = "2.8.13",
         .group = "server",
         .complexity = kOfArguments,
         .arity = -4,
         .flags = kLoading | kStale,
         .categories = kConnection,
         .handler = command_getkeys},
        {.name = "command|getkeysandflags",
         .syntax = "command [arg [arg ...]]",
         .summary = "Which of a command's arguments are keys, and what happens to them",
         .since = "7.0.0",
         .group = "server",
         .complexity = kOfArguments,
         .arity = -4,
         .flags = kLoading | kStale,
         .categories = kConnection,
         .handler = command_getkeysandflags},
        {.name = "command|help",
         .summary = "These lines",
         .since = "5.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kLoading | kStale,
         .categories = kConnection,
         .handler = subcommand_help},
        {.name = "command|info",
         .syntax = "[command-name [command-name ...]]",
         .summary = "Arity, flags, keys and categories of commands",
         .since = "2.8.13",
         .group = "server",
         .complexity = kOfNames,
         .arity = -2,
         .flags = kLoading | kStale,
         .categories = kConnection,
         .handler = command_info},
        {.name = "command|list",
         .syntax = "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
         .summary = "The names of all commands, or of those that fit",
         .since = "7.0.0",
         .group = "server",
         .complexity = kOfTable,
         .arity = -2,
         .flags = kLoading | kStale,
         .categories = kConnection,
         .handler = command_list},
    };
    return {.name = "command",
            .summary = "Arity, flags, keys and categories of all commands",
            .since = "2.8.13",
            .group = "server",
            .complexity = kOfTable,
            .arity = -1,
            .flags = kLoading | kStale,
            .categories = kConnection,
            .handler = command_all,
            .subcommands = subcommands};
}

}  // namespace firnlog::server
