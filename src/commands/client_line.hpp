#pragma once
// A connection as CLIENT LIST, CLIENT INFO and CLIENT KILL see it: its kind, and its line.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "src/connection.hpp"

namespace firnlog::server {

enum class ClientType : std::uint8_t { normal, replica, pubsub, master };

[[nodiscard]] std::optional<ClientType> parse_client_type(std::string_view name);
[[nodiscard]] ClientType type_of(const Connection& client);

// "id=3 addr=127.0.0.1:52555 …", without an end of line. On the connection's thread.
[[nodiscard]] std::string line_of(const Connection& client, std::int64_t now_us);

// What was asked of another connection may be waiting for all reactors, too: only commands that
// wait by their nature are meant.
[[nodiscard]] bool waits_by_nature(const Connection& client);

}  // namespace firnlog::server
