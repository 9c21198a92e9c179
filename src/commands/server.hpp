#pragma once
// The server family: its rows stand in several files, one for each part of the server they show.

#include <cstdint>
#include <string>

#include "src/commands/command.hpp"

namespace firnlog::server {

// One container each.
[[nodiscard]] Command acl_command();
[[nodiscard]] Command config_command();
[[nodiscard]] Command debug_command();
[[nodiscard]] Command latency_command();
[[nodiscard]] Command memory_command();
[[nodiscard]] Command slowlog_command();

[[nodiscard]] Command info_command();

// "1.16M"
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);

}  // namespace firnlog::server
