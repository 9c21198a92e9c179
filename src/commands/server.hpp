#pragma once
// The server family: its rows stand in several files, one for each part of the server they show.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "src/commands/command.hpp"

namespace firnlog::server {

struct Config;

// One container each.
[[nodiscard]] Command acl_command();
[[nodiscard]] Command config_command();
[[nodiscard]] Command debug_command();
[[nodiscard]] Command latency_command();
[[nodiscard]] Command memory_command();
[[nodiscard]] Command slowlog_command();

[[nodiscard]] Command info_command();

// CONFIG GET, which needs nothing but the configuration.
void answer_config_get(const Config& config, std::span<const std::string_view> patterns,
                       resp::Writer& out);

// "1.16M"
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);

}  // namespace firnlog::server
