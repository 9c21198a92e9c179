#include <sodium.h>

#include <array>
#include <limits>

#include "src/commands/client.hpp"
#include "src/commands/command_table.hpp"
#include "src/commands/replies.hpp"
#include "src/commands/transactions.hpp"
#include "src/pubsub.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"
#include "src/version.hpp"

// Who a connection is: PING, ECHO, HELLO, AUTH, SELECT, RESET, QUIT. CLIENT is in client.cpp.
namespace firnlog::server {
namespace {

constexpr std::string_view kDefaultUser = "default";
constexpr std::string_view kWrongPass =
    "WRONGPASS invalid username-password pair or user is disabled.";
constexpr std::string_view kNoProto = "NOPROTO unsupported protocol version";

// In a time that tells nothing of where they differ, or of their lengths.
bool equal_secretly(std::string_view one, std::string_view other) {
    const auto digest = [](std::string_view text) {
        std::array<unsigned char, crypto_generichash_BYTES> bytes{};
        crypto_generichash(bytes.data(), bytes.size(),
                           reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                           nullptr, 0);
        return bytes;
    };
    const auto first = digest(one);
    const auto second = digest(other);
    return sodium_memcmp(first.data(), second.data(), first.size()) == 0;
}

// The only user there is.
bool authenticate(Call& call, std::string_view user, std::string_view password) {
    const auto& wanted = call.server.config().requirepass;
    const bool fits = wanted.empty() || equal_secretly(password, wanted);
    if (user != kDefaultUser || !fits) {
        call.reactor.statistics().auth_failures.add();
        call.error(kWrongPass);
        return false;
    }
    call.client.authenticated = true;
    limit_input(call.client, call.server.config());
    return true;
}

void leave_monitor(Call& call) {
    if (!call.client.monitor) return;
    call.client.monitor = false;
    call.server.monitors.fetch_sub(1, std::memory_order_relaxed);
}

Flow ping(Call& call) {
    if (call.argc() > 2) return call.error("ERR wrong number of arguments for 'ping' command");
    const auto& subscriptions = call.client.subscriptions;
    const bool subscribed = subscriptions.count() != 0 || !subscriptions.shard_channels.empty();
    if (subscribed && call.client.protocol == resp::Protocol::resp2) {
        call.out.array(2);
        call.out.bulk("pong");
        call.out.bulk(call.argc() == 2 ? call.arg(1) : std::string_view{});
        return Flow::done;
    }
    if (call.argc() == 1)
        call.out.simple("PONG");
    else
        call.out.bulk(call.arg(1));
    return Flow::done;
}

Flow echo(Call& call) {
    call.out.bulk(call.arg(1));
    return Flow::done;
}

Flow quit(Call& call) {
    call.out.ok();
    return Flow::close;
}

// As when the connection was new.
Flow reset(Call& call) {
    auto& client = call.client;
    leave_monitor(call);
    discard(call.server.engine().keyspace(), client);
    call.server.pubsub().forget(client);
    client.database = 0;
    client.protocol = resp::Protocol::resp2;
    call.out.speak(client.protocol);
    client.name.clear();
    client.durability.reset();
    client.asof.reset();
    client.asof_gone = false;
    client.replies = Connection::Replies::on;
    client.authenticated = call.server.config().requirepass.empty();
    limit_input(client, call.server.config());
    call.out.simple("RESET");
    return Flow::done;
}

// Options count from left to right: what stands before a wrong one has had its effect.
Flow hello(Call& call) {
    auto& client = call.client;
    std::int64_t version = 0;  // 0: as it is
    if (call.argc() > 1) {
        const auto asked = text::parse_i64(call.arg(1));
        if (!asked) return call.error("ERR Protocol version is not an integer or out of range");
        if (*asked < 2 || *asked > 3) return call.error(kNoProto);
        version = *asked;
    }
    for (std::size_t i = 2; i < call.argc(); ++i) {
        const auto more = call.argc() - 1 - i;
        const auto option = call.arg(i);
        if (text::equal_folded(option, "auth") && more >= 2) {
            if (!authenticate(call, call.arg(i + 1), call.arg(i + 2))) return Flow::done;
            i += 2;
        } else if (text::equal_folded(option, "setname") && more >= 1) {
            const auto name = call.arg(i + 1);
            if (const auto wrong = wrong_client_name(name); !wrong.empty())
                return call.error(wrong);
            client.name = name;
            ++i;
        } else {
            return call.error("ERR Syntax error in HELLO option '" +
                              std::string(option.substr(0, option.find('\0'))) + "'");
        }
    }
    if (!client.authenticated && !call.server.config().requirepass.empty())
        return call.error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the "
            "HELLO AUTH <user> <pass> option can be used to authenticate the client and "
            "select the RESP protocol version at the same time");
    if (version != 0) client.protocol = static_cast<resp::Protocol>(version);
    auto& out = call.out;
    out.speak(client.protocol);
    out.map(7);
    out.bulk("server");
    out.bulk("redis");
    out.bulk("version");
    out.bulk(kRedisVersion);
    out.bulk("proto");
    out.integer(static_cast<std::int64_t>(client.protocol));
    out.bulk("id");
    out.integer(static_cast<std::int64_t>(client.id));
    out.bulk("mode");
    out.bulk("standalone");
    out.bulk("role");
    out.bulk("master");
    out.bulk("modules");
    out.array(0);
    return Flow::done;
}

Flow auth(Call& call) {
    if (call.argc() > 3) return call.syntax_error();
    if (call.argc() == 2 && call.server.config().requirepass.empty())
        return call.error(
            "ERR AUTH <password> called without any password configured for the default user. "
            "Are you sure your configuration is correct?");
    const auto user = call.argc() == 2 ? kDefaultUser : call.arg(1);
    if (!authenticate(call, user, call.arg(call.argc() - 1))) return Flow::done;
    return call.ok();
}

Flow select(Call& call) {
    const auto index = text::parse_i64(call.arg(1));
    if (!index) return call.error("ERR value is not an integer or out of range");
    if (*index < std::numeric_limits<std::int32_t>::min() ||
        *index > std::numeric_limits<std::int32_t>::max())
        return call.error(
            "ERR value is out of range, value must between -2147483648 and 2147483647");
    if (*index < 0 || *index >= call.server.config().databases)
        return call.error("ERR DB index is out of range");
    call.client.database = static_cast<std::uint32_t>(*index);
    return call.ok();
}

constexpr std::uint32_t kHandshake = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy;

}  // namespace

void limit_input(Connection& client, const Config& config) {
    client.parser.limit({.bulk_bytes_max = static_cast<std::int64_t>(config.proto_max_bulk_len),
                         .authenticated = client.authenticated});
    client.in.limit(client.authenticated ? config.client_query_buffer_limit
                                         : kUnauthenticatedBytes);
}

std::span<const Command> connection_commands() {
    static const Command rows[] = {
        {.name = "ping",
         .syntax = "[message]",
         .summary = "Answers PONG, or the message",
         .since = "1.0.0",
         .group = "connection",
         .complexity = "O(1)",
         .arity = -1,
         .flags = kFast,
         .handler = ping},
        {.name = "echo",
         .syntax = "message",
         .summary = "Answers the message",
         .since = "1.0.0",
         .group = "connection",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kLoading | kStale | kFast,
         .handler = echo},
        {.name = "quit",
         .summary = "Answers OK and closes the connection",
         .since = "1.0.0",
         .group = "connection",
         .complexity = "O(1)",
         .arity = -1,
         .flags = kHandshake,
         .handler = quit},
        {.name = "reset",
         .summary = "Makes the connection as it was when it was new",
         .since = "6.2.0",
         .group = "connection",
         .complexity = "O(1)",
         .arity = 1,
         .flags = kHandshake,
         .handler = reset},
        {.name = "hello",
         .syntax = "[protover [AUTH username password] [SETNAME clientname]]",
         .summary = "Chooses the protocol, and says who the client is",
         .since = "6.0.0",
         .group = "connection",
         .complexity = "O(1)",
         .arity = -1,
         .flags = kHandshake,
         .handler = hello},
        {.name = "auth",
         .syntax = "[username] password",
         .summary = "Proves that the client knows the password",
         .since = "1.0.0",
         .group = "connection",
         .complexity = "O(1)",
         .arity = -2,
         .flags = kHandshake,
         .handler = auth},
        {.name = "select",
         .syntax = "index",
         .summary = "Chooses the database that further commands are about",
         .since = "1.0.0",
         .group = "connection",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kLoading | kStale | kFast,
         .handler = select},
        {.name = "client",
         .summary = "Commands about connections",
         .since = "2.4.0",
         .group = "connection",
         .complexity = "Depends on subcommand.",
         .arity = -2,
         .subcommands = client_subcommands()},
    };
    return rows;
}

}  // namespace firnlog::server
