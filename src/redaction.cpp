#include "src/redaction.hpp"

#include "src/commands/command_table.hpp"
#include "src/config_table.hpp"
#include "src/text/fold.hpp"

namespace firnlog::server {
namespace {

constexpr std::string_view kRedacted = "(redacted)";

}  // namespace

Redaction::Redaction(std::span<const std::string_view> args) : args_(args) {
    const auto* const command = CommandTable::get().find(args);
    if (command == nullptr) return;
    if (command->name == "auth") {
        which_ = Which::behind_name;
    } else if (command->name == "config|set") {
        which_ = Which::config_set;
    } else if (command->name == "hello") {
        for (std::size_t i = 2; i + 2 < args.size(); ++i)
            if (auth_ == 0 && text::equal_folded(args[i], "auth")) auth_ = i;
        if (auth_ != 0) which_ = Which::hello;
    }
}

std::string_view Redaction::operator[](std::size_t i) const {
    switch (which_) {
        case Which::none:
            break;
        case Which::behind_name:
            if (i > 0) return kRedacted;
            break;
        case Which::hello:
            if (i == auth_ + 1 || i == auth_ + 2) return kRedacted;
            break;
        case Which::config_set:
            if (i >= 3 && i % 2 == 1) {
                const auto found = find_row(args_[i - 1]);
                if (found.row != nullptr && found.row->sensitive) return kRedacted;
            }
            break;
    }
    return args_[i];
}

}  // namespace firnlog::server
