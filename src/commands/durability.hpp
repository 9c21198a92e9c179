#pragma once
// Durability per command, and waiting for it: FIRN DURABLE <policy> <command…>, WAIT, WAITAOF.
//
//   FIRN DURABLE always SET k v        the wrapper: taken off before anything else looks, so that
//   └──── policy ─────┘ └ command ┘    statistics, the slow log and MONITOR see the inner command
//
// The policy holds for that one reply: it chooses what the reply's gate waits for, nothing more.
// The wrapper stands around one whole command, not around what changes how the connection is read.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "engine/log/log.hpp"
#include "src/commands/command.hpp"
#include "src/commands/transactions.hpp"

namespace firnlog::server {

// "always", "everysec" or "no", in any letter case.
[[nodiscard]] std::optional<engine::Durability> parse_durability(std::string_view word);
[[nodiscard]] std::string_view name_of(engine::Durability policy);

struct Unwrapped {
    std::optional<engine::Durability> policy;  // none: there was no wrapper
    std::span<const std::string_view> args;    // of the inner command
};
// What is left when the wrapper is off; other commands come back as they are. An inner command that
// does not exist is left to whoever looks it up. The error is the whole reply.
[[nodiscard]] tl::expected<Unwrapped, std::string> unwrap_durable(
    std::span<const std::string_view> args, bool in_multi);

// The row FIRN DURABLE, which unwrap_durable() keeps from being reached.
Flow firn_durable(Call& call);
Flow wait(Call& call);
Flow waitaof(Call& call);

}  // namespace firnlog::server
