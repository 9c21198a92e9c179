#pragma once
// Monitors: connections that gave MONITOR see every command that any reactor runs.
//
// A line is made once and handed to the monitors of each reactor on its own thread; like any push
// it leaves when the log has caught up with what it may tell. Server::monitors says whether there
// is anybody, so that nobody pays when there is not.

#include <span>
#include <string_view>

namespace firnlog::server {

class Connection;
class Reactor;

// `client` runs `args`. On its reactor's thread; a session may be begun.
void feed_monitors(Reactor& reactor, const Connection& client,
                   std::span<const std::string_view> args);

}  // namespace firnlog::server
