#include "src/commands/command_table.hpp"

#include <algorithm>
#include <bit>
#include <iterator>

#include "io/base/ensure.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"

namespace firnlog::server {
namespace {

CommandTable& the_table() {
    static CommandTable table;
    return table;
}

// FNV-1a over the folded name: names are a few bytes long, and nobody can choose them.
std::size_t hash_of(std::string_view name) {
    std::uint64_t hash = 14695981039346656037ULL;
    for (const char letter : name) {
        hash ^= static_cast<unsigned char>(text::lower(letter));
        hash *= 1099511628211ULL;
    }
    return static_cast<std::size_t>(hash ^ (hash >> 32));
}

// Rows lie side by side, so the bits that differ are the middle ones.
std::size_t hash_of(const Command* row) {
    const auto bits = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(row));
    return static_cast<std::size_t>((bits * 0x9e3779b97f4a7c15ULL) >> 32);
}

// The part of "client|list" behind the bar.
std::string_view own_name(const Command& parent, const Command& subcommand) {
    return subcommand.name.substr(parent.name.size() + 1);
}

std::vector<std::span<const Command>> families() {
    return {connection_commands(), server_commands(), key_commands(),  string_commands(),
            counter_commands(),    bit_commands(),    hash_commands(), transaction_commands(),
            pubsub_commands(),     firn_commands()};
}

// The word FIRN DURABLE <policy> stands before a command of its own, whose keys are its keys.
constexpr std::string_view kWrapper = "firn|durable";
constexpr std::size_t kWrapperArgs = 3;

constexpr std::string_view kFlagNames[] = {
    "write",         "readonly",         "denyoom",  "module",      "admin",
    "pubsub",        "noscript",         "blocking", "loading",     "stale",
    "skip_monitor",  "skip_slowlog",     "asking",   "fast",        "no_auth",
    "may_replicate", "no_async_loading", "no_multi", "movablekeys", "allow_busy"};

constexpr std::string_view kKeyFlagNames[] = {
    "RW",     "RO",     "OW",      "RM",         "access",        "update",
    "insert", "delete", "not_key", "incomplete", "variable_flags"};

constexpr std::string_view kCategoryNames[] = {
    "keyspace", "read",   "write",       "set",       "sortedset",  "list",        "hash",
    "string",   "bitmap", "hyperloglog", "geo",       "stream",     "pubsub",      "admin",
    "fast",     "slow",   "blocking",    "dangerous", "connection", "transaction", "scripting"};

// The category of a group's commands, unless the row names another family.
std::uint32_t group_category(const Command& command) {
    constexpr std::uint32_t kFamilies = kKeyspace | kSet | kSortedSet | kList | kHash | kString |
                                        kBitmap | kConnection | kTransaction | kScripting;
    if (!command.subcommands.empty() || (command.categories & kFamilies) != 0) return 0;
    const auto group = command.group;
    if (group == "generic") return kKeyspace;
    if (group == "connection") return kConnection;
    if (group == "transactions") return kTransaction;
    if (group == "hash") return kHash;
    if (group == "string") return kString;
    if (group == "bitmap") return kBitmap;
    return 0;
}

bool find_range(const KeySpec& spec, std::size_t argc, std::vector<KeyPlace>& places) {
    const auto count = static_cast<std::ptrdiff_t>(argc);
    const auto last = spec.last >= 0 ? spec.last : count + spec.last;
    if (spec.first >= count || last >= count || last < spec.first) return false;
    for (std::ptrdiff_t at = spec.first; at <= last; at += spec.step)
        places.push_back({static_cast<std::size_t>(at), spec.flags});
    return true;
}

bool find_counted(const KeySpec& spec, std::span<const std::string_view> args,
                  std::vector<KeyPlace>& places) {
    const auto counter = static_cast<std::size_t>(spec.keynum);
    if (counter >= args.size()) return false;
    const auto count = text::parse_i64(args[counter]);
    if (!count || *count < 0) return false;
    const auto first = counter + static_cast<std::size_t>(spec.first);
    const auto step = static_cast<std::size_t>(spec.step);
    // In this form the product cannot overflow.
    if (first > args.size() ||
        static_cast<std::uint64_t>(*count) > (args.size() - first + step - 1) / step)
        return false;
    for (std::size_t i = 0; i < static_cast<std::size_t>(*count); ++i)
        places.push_back({first + i * step, spec.flags});
    return true;
}

}  // namespace

const CommandTable& CommandTable::get() {
    ensure(!the_table().slots_.empty(), "the command table is built before it is asked");
    return the_table();
}

std::optional<std::string> CommandTable::build(std::span<const Renaming> renamings) {
    CommandTable table;
    std::vector<Slot> named;
    std::vector<const Command*> rows;
    for (const auto family : families()) {
        for (const auto& row : family) {
            named.push_back({std::string(row.name), &row});
            table.all_.push_back(&row);
            rows.push_back(&row);
            for (const auto& subcommand : row.subcommands) rows.push_back(&subcommand);
        }
    }
    const auto place_of = [&named](std::string_view name) {
        return std::ranges::find_if(
            named, [name](const Slot& slot) { return text::equal_folded(slot.name, name); });
    };
    for (const auto& renaming : renamings) {
        const auto from = place_of(renaming.from);
        if (from == named.end())
            return "rename-command: there is no command '" + renaming.from + "'";
        const auto* const row = from->command;
        named.erase(from);
        if (renaming.to.empty()) {
            std::erase(table.all_, row);
            continue;
        }
        if (place_of(renaming.to) != named.end())
            return "rename-command: there is a command '" + renaming.to + "' already";
        std::string folded = renaming.to;
        std::ranges::transform(folded, folded.begin(), text::lower);
        named.push_back({std::move(folded), row});
    }

    // Load at most a quarter: the usual search ends where it begins.
    table.slots_.resize(std::bit_ceil(named.size() * 4 + 1));
    for (auto& slot : named) {
        auto at = hash_of(slot.name);
        while (table.slots_[at & (table.slots_.size() - 1)].command != nullptr) ++at;
        table.slots_[at & (table.slots_.size() - 1)] = std::move(slot);
    }
    std::ranges::sort(table.all_, {}, [](const Command* row) { return row->name; });

    std::ranges::sort(rows, {}, [](const Command* row) { return row->name; });
    for (std::size_t i = 1; i < rows.size(); ++i)
        ensure(rows[i - 1]->name != rows[i]->name, "a command has one row");
    table.rows_ = rows.size();
    table.indexes_.resize(std::bit_ceil(rows.size() * 4 + 1));
    for (std::size_t i = 0; i < rows.size(); ++i) {
        auto at = hash_of(rows[i]);
        while (table.indexes_[at & (table.indexes_.size() - 1)].first != nullptr) ++at;
        table.indexes_[at & (table.indexes_.size() - 1)] = {rows[i], i};
    }
    table.rows_by_index_ = std::move(rows);
    the_table() = std::move(table);
    return std::nullopt;
}

const Command* CommandTable::find(std::string_view name) const {
    for (auto at = hash_of(name);; ++at) {
        const auto& slot = slots_[at & (slots_.size() - 1)];
        if (slot.command == nullptr) return nullptr;
        if (text::equal_folded(slot.name, name)) return slot.command;
    }
}

const Command* CommandTable::find_subcommand(const Command& command, std::string_view name) {
    for (const auto& subcommand : command.subcommands)
        if (text::equal_folded(own_name(command, subcommand), name)) return &subcommand;
    return nullptr;
}

const Command* CommandTable::find(std::span<const std::string_view> args) const {
    const auto* const command = args.empty() ? nullptr : find(args[0]);
    if (command == nullptr || command->subcommands.empty() || args.size() == 1) return command;
    return find_subcommand(*command, args[1]);
}

const Command* CommandTable::find_full(std::string_view name) const {
    const auto bar = name.find('|');
    if (bar == name.npos) return find(name);
    const auto* const command = find(name.substr(0, bar));
    return command == nullptr ? nullptr : find_subcommand(*command, name.substr(bar + 1));
}

std::size_t CommandTable::index_of(const Command& command) const {
    for (auto at = hash_of(&command);; ++at) {
        const auto& [row, index] = indexes_[at & (indexes_.size() - 1)];
        if (row == &command) return index;
        ensure(row != nullptr, "a command stands in the table");
    }
}

std::uint32_t categories_of(const Command& command) {
    auto categories = command.categories | group_category(command);
    const auto flags = command.flags;
    if ((flags & kWrite) != 0) categories |= kWriteCategory;
    if ((flags & kReadonly) != 0) categories |= kRead;
    if ((flags & kAdmin) != 0) categories |= kAdminCategory | kDangerous;
    if ((flags & kPubSub) != 0) categories |= kPubSubCategory;
    if ((flags & kBlocking) != 0) categories |= kBlockingCategory;
    return categories | ((flags & kFast) != 0 ? kFastCategory : kSlow);
}

std::span<const std::string_view> command_flag_names() { return kFlagNames; }
std::span<const std::string_view> key_flag_names() { return kKeyFlagNames; }
std::span<const std::string_view> category_names() { return kCategoryNames; }

bool find_keys(const Command& command, std::span<const std::string_view> args,
               std::vector<KeyPlace>& places) {
    if (command.name == kWrapper) {
        const auto inner = args.subspan(std::min(args.size(), kWrapperArgs));
        const auto* const wrapped = CommandTable::get().find(inner);
        if (wrapped == nullptr || wrapped->name == kWrapper || !arity_fits(*wrapped, inner.size()))
            return false;
        const auto before = places.size();
        if (!find_keys(*wrapped, inner, places)) return false;
        for (auto i = before; i < places.size(); ++i) places[i].index += kWrapperArgs;
        return true;
    }
    for (const auto& spec : command.keys) {
        if (spec.first == 0 || (spec.flags & kKeyNotKey) != 0) continue;
        const auto before = static_cast<std::size_t>(spec.first) - 1;
        if (!spec.word.empty() &&
            (before >= args.size() || !text::equal_folded(args[before], spec.word)))
            continue;
        const bool found = spec.keynum == 0 ? find_range(spec, args.size(), places)
                                            : find_counted(spec, args, places);
        if (!found) return false;
    }
    return true;
}

}  // namespace firnlog::server
