#pragma once
// COMMAND: the command table as clients and documentation read it.

#include <string>
#include <string_view>

#include "src/commands/command.hpp"

namespace firnlog::server {

[[nodiscard]] Command command_command();

// By the category's name in any letter case, without '@'.
[[nodiscard]] bool in_category(const Command& command, std::string_view category);

// The tables of docs/commands.md: every row of the command table, by group.
[[nodiscard]] std::string commands_markdown();

}  // namespace firnlog::server
