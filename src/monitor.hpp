#pragma once
// Monitors: connections that gave MONITOR see every command that any reactor runs.
//
// A line is made once, before its command runs, and handed to the monitors of each reactor on its
// own thread when the command's session has ended; like any push it leaves when the log has caught
// up with what it may tell. Handed over before, a line about a write could pass its gate on another
// reactor while the write is not even appended. Server::monitors says whether there is anybody, so
// that nobody pays when there is not.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace firnlog::server {

class Connection;
class Reactor;

// What a monitor is shown of it: `client` runs `args`.
[[nodiscard]] std::string monitor_line(const Connection& client, std::int64_t wall_us,
                                       std::span<const std::string_view> args);
// On a reactor's thread, no session begun.
void feed_monitors(Reactor& reactor, std::vector<std::string> lines);

}  // namespace firnlog::server
