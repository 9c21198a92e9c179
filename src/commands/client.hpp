#pragma once
// CLIENT: what the server knows of its connections, and what an operator can do to them; and the
// little of it that HELLO and CONFIG SET need too.

#include <cstddef>
#include <span>
#include <string_view>

#include "src/commands/command.hpp"

namespace firnlog::server {

struct Config;

[[nodiscard]] std::span<const Command> client_subcommands();

// What is wrong with a name as CLIENT SETNAME takes it, as a whole error reply; or nothing.
[[nodiscard]] std::string_view wrong_client_name(std::string_view name);

// Of what a connection has sent, and of replies that it has not read, before it has authenticated.
inline constexpr std::size_t kUnauthenticatedBytes = std::size_t{64} << 10;

// How much a connection may send, by the configuration and by whether it has authenticated.
void limit_input(Connection& client, const Config& config);

}  // namespace firnlog::server
