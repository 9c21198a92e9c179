#pragma once
// Identity: who a client is, by what it has proved and chosen, and the commands about that alone.
//
// They need nothing but the configuration, so that a client is answered the same while the log is
// loaded (Loading) and afterwards (on a reactor), and takes along what it has said. Each writes its
// reply to `out`, or returns the whole error reply instead, for whoever answers to count and write.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "src/config.hpp"
#include "src/resp/parser.hpp"
#include "src/resp/writer.hpp"

namespace firnlog::server {

struct Identity {
    std::string name;  // CLIENT SETNAME
    bool authenticated = false;
    resp::Protocol protocol = resp::Protocol::resp2;
    std::uint32_t database = 0;
};

// As every connection begins.
[[nodiscard]] Identity newcomer(const Config& config);

// ---- What is closed to who has not authenticated.

inline constexpr std::string_view kNotAuthenticated = "NOAUTH Authentication required.";

[[nodiscard]] inline bool must_authenticate(const Identity& who, const Config& config) {
    return !who.authenticated && !config.requirepass.empty();
}

// Of what a connection has sent, and of replies that it has not read, before it has authenticated.
inline constexpr std::size_t kUnauthenticatedBytes = std::size_t{64} << 10;

// How much it may send: in one command, and unanswered.
[[nodiscard]] resp::Parser::Limits parser_limits(const Identity& who, const Config& config);
[[nodiscard]] std::size_t input_bytes_max(const Identity& who, const Config& config);

// ---- The commands; their arity was looked at.

using Arguments = std::span<const std::string_view>;

inline constexpr std::string_view kWrongPass =
    "WRONGPASS invalid username-password pair or user is disabled.";

[[nodiscard]] std::string answer_auth(Identity& who, const Config& config, Arguments args,
                                      resp::Writer& out);
// Options count from left to right: what stands before a wrong one has had its effect.
[[nodiscard]] std::string answer_hello(Identity& who, std::uint64_t id, const Config& config,
                                       Arguments args, resp::Writer& out);
[[nodiscard]] std::string answer_select(Identity& who, const Config& config, Arguments args,
                                        resp::Writer& out);
[[nodiscard]] std::string answer_setname(Identity& who, Arguments args, resp::Writer& out);
void answer_getname(const Identity& who, resp::Writer& out);
void answer_reset(Identity& who, const Config& config, resp::Writer& out);

}  // namespace firnlog::server
