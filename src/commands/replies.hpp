#pragma once
// Replies that several families give: HELP of a container, and answers put together from all
// reactors.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "src/commands/command.hpp"

namespace firnlog::server {

// To whatever would write where a moment is served.
inline constexpr std::string_view kPastIsReadOnly =
    "READONLY a moment of the past is served here, nothing changes in it";

inline constexpr std::string_view kAsofIsReadOnly =
    "READONLY this connection is in the past, where nothing changes: FIRN ASOF OFF leaves it";
inline constexpr std::string_view kAsofGone =
    "ASOFGONE the moment is not open any more, for it was not used or the past has no room left: "
    "FIRN ASOF OFF, or another moment";

inline constexpr std::string_view kWrongType =
    "WRONGTYPE Operation against a key holding the wrong kind of value";
inline constexpr std::string_view kCorruptValue =
    "CORRUPT the value's bytes are damaged on disk, they are not served";

inline constexpr std::string_view kNoMemory = "OOM there is no memory for this command";

// What a client is told of a command that can neither go on nor run again.
[[nodiscard]] std::string_view text_of(engine::Stop why);

// <CONTAINER> HELP: a line for each subcommand's row, and what it does below it.
Flow subcommand_help(Call& call);

// "ERR unknown subcommand or wrong number of arguments for 'x'. Try CLIENT HELP."
Flow subcommand_syntax_error(Call& call);

// `job` runs on every reactor's thread, then `reply` on the client's own with what they returned,
// in the reactors' order. With one reactor that is now; with several the command is Flow::blocked
// meanwhile, and within EXEC, where every command has to answer at once, it is an error.
using GatherJob = std::function<std::string(Reactor&)>;
using GatherReply =
    std::function<void(Connection&, resp::Writer&, const std::vector<std::string>&)>;
Flow gather(Call& call, GatherJob job, GatherReply reply);

}  // namespace firnlog::server
