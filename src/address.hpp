#pragma once
// Sockets: making listeners, and what a connected one says of itself. Blocking calls of
// microseconds, at start and at accept only.

#include <cstdint>
#include <string>
#include <vector>

#include "io/base/result.hpp"
#include "src/config.hpp"

namespace firnlog::server {

class Connection;

struct Listener {
    int fd = -1;
    std::string address;  // for the log
};

// Everything `bind`, `port` and `unixsocket` ask for. An address with '-' before it may be missing.
// The error's text says which one failed and why.
struct ListenError {
    std::string text;
};
[[nodiscard]] tl::expected<std::vector<Listener>, ListenError> open_listeners(const Config& config);

[[nodiscard]] bool is_unix_socket(int fd);
// TCP_NODELAY, and keep-alive probes every `keepalive_seconds` (0: none).
void tune_socket(int fd, std::int64_t keepalive_seconds);
// Whether the peer is on this machine.
[[nodiscard]] bool is_local(int fd);
// Fills in the connection's addresses, and whether the peer is on this machine.
void describe_socket(int fd, Connection& connection);

}  // namespace firnlog::server
