#include <algorithm>
#include <map>
#include <string>

#include "src/commands/command_command.hpp"
#include "src/commands/command_table.hpp"

// docs/commands.md from the rows: a table a group.
namespace firnlog::server {
namespace {

// A '|' would end the cell.
std::string cell(std::string_view text) {
    std::string out;
    for (const char letter : text) {
        if (letter == '|') out += '\\';
        out += letter;
    }
    return out;
}

std::string upper(std::string_view name) {
    std::string text(name);
    for (auto& letter : text) {
        if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
        if (letter == '|') letter = ' ';
    }
    return text;
}

void add_row(std::string& table, const Command& command) {
    table += "| `" + upper(command.name);
    if (!command.syntax.empty()) table += " " + cell(command.syntax);
    table += "` | " + cell(command.summary) + " | " + std::string(command.since) + " |\n";
}

}  // namespace

std::string commands_markdown() {
    std::map<std::string_view, std::string> groups;
    for (const auto* command : CommandTable::get().all()) {
        if (command->subcommands.empty() || command->handler != nullptr)
            add_row(groups[command->group], *command);
        for (const auto& subcommand : command->subcommands)
            add_row(groups[subcommand.group], subcommand);
    }
    std::string text;
    for (const auto& [group, rows] : groups)
        text += "### " + std::string(group) +
                "\n\n| command | what it does | since |\n|---|---|---|\n" + rows + "\n";
    return text;
}

}  // namespace firnlog::server
