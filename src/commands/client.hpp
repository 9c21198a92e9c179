#pragma once
// CLIENT: what the server knows of its connections, and what an operator can do to them; and how
// much a connection may send.

#include <span>

#include "src/commands/command.hpp"

namespace firnlog::server {

struct Config;

[[nodiscard]] std::span<const Command> client_subcommands();

// How much a connection may send, by the configuration and by whether it has authenticated.
void limit_input(Connection& client, const Config& config);

}  // namespace firnlog::server
