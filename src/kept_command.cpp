#include "src/kept_command.hpp"

#include <cstring>

namespace firnlog::server {

KeptCommand::KeptCommand(std::span<const std::string_view> args) {
    for (const auto arg : args) bytes_ += arg.size();
    text_ = std::make_unique_for_overwrite<char[]>(bytes_);
    views_.reserve(args.size());
    auto* at = text_.get();
    for (const auto arg : args) {
        std::memcpy(at, arg.data(), arg.size());
        views_.emplace_back(at, arg.size());
        at += arg.size();
    }
}

}  // namespace firnlog::server
