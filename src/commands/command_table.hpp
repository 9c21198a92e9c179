#pragma once
// CommandTable: every command there is, by name; built once from the families' rows.
//
// Immutable after start, hence shared without a lock. rename-command is applied when it is built.

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/commands/command.hpp"

namespace firnlog::server {

// The rows of each family; one line each.
[[nodiscard]] std::span<const Command> connection_commands();
[[nodiscard]] std::span<const Command> server_commands();
[[nodiscard]] std::span<const Command> key_commands();
[[nodiscard]] std::span<const Command> string_commands();
[[nodiscard]] std::span<const Command> counter_commands();
[[nodiscard]] std::span<const Command> bit_commands();
[[nodiscard]] std::span<const Command> hash_commands();
[[nodiscard]] std::span<const Command> transaction_commands();
[[nodiscard]] std::span<const Command> pubsub_commands();
[[nodiscard]] std::span<const Command> firn_commands();

class CommandTable {
  public:
    // The one table of the process; build() it before the first find().
    [[nodiscard]] static const CommandTable& get();
    struct Renaming {
        std::string from;
        std::string to;  // empty: gone
    };
    // The error names what is wrong with the renamings.
    [[nodiscard]] static std::optional<std::string> build(std::span<const Renaming> renamings);

    // By name in any case; null if unknown. Never a subcommand.
    [[nodiscard]] const Command* find(std::string_view name) const;
    // The subcommand row for args[1], or the command itself if it has none; null if args[1] is no
    // subcommand of it.
    [[nodiscard]] const Command* find(std::span<const std::string_view> args) const;
    // By "get" or "client|list".
    [[nodiscard]] const Command* find_full(std::string_view name) const;
    [[nodiscard]] static const Command* find_subcommand(const Command& command,
                                                        std::string_view name);

    [[nodiscard]] std::span<const Command* const> all() const { return all_; }  // by name
    // Commands and subcommands are numbered, for statistics.
    [[nodiscard]] std::size_t index_of(const Command& command) const;
    [[nodiscard]] const Command& row(std::size_t index) const { return *rows_by_index_[index]; }
    [[nodiscard]] std::size_t size() const { return rows_; }

  private:
    struct Slot {
        std::string name;
        const Command* command = nullptr;
    };
    std::vector<Slot> slots_;  // open addressing, a power of two
    std::vector<const Command*> all_;
    std::vector<std::pair<const Command*, std::size_t>> indexes_;  // by address, as slots_
    std::vector<const Command*> rows_by_index_;                    // by name
    std::size_t rows_ = 0;
};

// Whether `argc` arguments fit the row.
[[nodiscard]] inline bool arity_fits(const Command& command, std::size_t argc) {
    const auto count = static_cast<std::ptrdiff_t>(argc);
    return command.arity >= 0 ? count == command.arity : count >= -command.arity;
}

// Whatever COMMAND INFO shows: its own categories, and those that follow from flags and group.
[[nodiscard]] std::uint32_t categories_of(const Command& command);
// In the order of the bits of CommandFlag, KeyFlag and Category.
[[nodiscard]] std::span<const std::string_view> command_flag_names();
[[nodiscard]] std::span<const std::string_view> key_flag_names();
[[nodiscard]] std::span<const std::string_view> category_names();

struct KeyPlace {
    std::size_t index = 0;  // in args
    std::uint32_t flags = 0;
};
// Where the keys stand in these arguments; false if they cannot be there (numkeys out of range).
[[nodiscard]] bool find_keys(const Command& command, std::span<const std::string_view> args,
                             std::vector<KeyPlace>& places);

}  // namespace firnlog::server
