#include "src/commands/client.hpp"
#include "src/commands/command_table.hpp"
#include "src/commands/replies.hpp"
#include "src/commands/transactions.hpp"
#include "src/identity.hpp"
#include "src/pubsub.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"

// Who a connection is: PING, ECHO, HELLO, AUTH, SELECT, RESET, QUIT. CLIENT is in client.cpp.
namespace firnlog::server {
namespace {

// A wrong password is counted here; while the log is loaded nobody counts.
Flow answered(Call& call, std::string_view wrong) {
    if (wrong.empty()) return Flow::done;
    if (wrong == kWrongPass) call.reactor.statistics().auth_failures.add();
    return call.error(wrong);
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
    if (subscribed && call.client.who.protocol == resp::Protocol::resp2) {
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
    client.durability.reset();
    client.asof.reset();
    client.asof_gone = false;
    client.replies = Connection::Replies::on;
    answer_reset(client.who, call.server.config(), call.out);
    limit_input(client, call.server.config());
    return Flow::done;
}

Flow hello(Call& call) {
    auto& client = call.client;
    const auto wrong =
        answer_hello(client.who, client.id, call.server.config(), call.args, call.out);
    limit_input(client, call.server.config());
    return answered(call, wrong);
}

Flow auth(Call& call) {
    const auto wrong = answer_auth(call.client.who, call.server.config(), call.args, call.out);
    limit_input(call.client, call.server.config());
    return answered(call, wrong);
}

Flow select(Call& call) {
    return answered(call,
                    answer_select(call.client.who, call.server.config(), call.args, call.out));
}

constexpr std::uint32_t kHandshake = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy;

}  // namespace

void limit_input(Connection& client, const Config& config) {
    client.parser.limit(parser_limits(client.who, config));
    client.in.limit(input_bytes_max(client.who, config));
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
