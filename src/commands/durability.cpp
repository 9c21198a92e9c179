#include "src/commands/durability.hpp"

#include <algorithm>
#include <array>

#include "engine/engine.hpp"
#include "src/commands/command_table.hpp"
#include "src/connection.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"

namespace firnlog::server {
namespace {

using Refusal = tl::unexpected<std::string>;

constexpr std::array<std::string_view, 3> kPolicies = {"always", "everysec", "no"};
// FIRN DURABLE <policy>, then the command.
constexpr std::size_t kWrapperArgs = 3;
constexpr std::string_view kWrapper = "durable";
// Longer than anybody waits, and far from overflowing as microseconds.
constexpr std::int64_t kWaitMsMax = std::int64_t{1} << 42;

// Commands with more than one reply, or with one that comes later.
bool is_wrappable(const Command& command) {
    static constexpr std::array<std::string_view, 9> kNot = {
        "subscribe",    "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe",
        "sunsubscribe", "monitor",     "wait",       "waitaof"};
    return (command.flags & kBlocking) == 0 && std::ranges::find(kNot, command.name) == kNot.end();
}

std::string upper(std::string_view name) {
    std::string text(name);
    for (auto& letter : text) {
        if (letter == '|') letter = ' ';
        if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
    }
    return text;
}

// Milliseconds; 0: for ever. The error is the whole reply.
tl::expected<std::int64_t, std::string> parse_timeout(std::string_view word) {
    const auto timeout = text::parse_i64(word);
    if (!timeout) return Refusal("ERR timeout is not an integer or out of range");
    if (*timeout < 0) return Refusal("ERR timeout is negative");
    return std::min(*timeout, kWaitMsMax);
}

// The reply of WAITAOF: whether this server has made the connection's writes durable, and how many
// replicas have.
void write_acknowledged(resp::Writer& out, bool is_durable) {
    out.array(2);
    out.integer(is_durable ? 1 : 0);
    out.integer(0);
}

bool is_durable(const engine::Log& log, const Connection& client) {
    return log.durable() >= client.last_write_lsn;
}

}  // namespace

std::optional<engine::Durability> parse_durability(std::string_view word) {
    for (std::size_t i = 0; i < kPolicies.size(); ++i)
        if (text::equal_folded(kPolicies[i], word)) return static_cast<engine::Durability>(i);
    return std::nullopt;
}

std::string_view name_of(engine::Durability policy) {
    return kPolicies[static_cast<std::size_t>(policy)];
}

tl::expected<Unwrapped, std::string> unwrap_durable(std::span<const std::string_view> args,
                                                    bool in_multi) {
    // One comparison of lengths for nearly every command there is.
    if (args.size() < 2 || args[1].size() != kWrapper.size() ||
        !text::equal_folded(args[1], kWrapper))
        return Unwrapped{.args = args};
    const auto& table = CommandTable::get();
    const auto* const wrapper = table.find(args);
    // Too short a one is refused for its arity, like any command.
    if (wrapper == nullptr || wrapper->handler != firn_durable ||
        !arity_fits(*wrapper, args.size()))
        return Unwrapped{.args = args};
    const auto policy = parse_durability(args[2]);
    if (!policy) return Refusal("ERR FIRN DURABLE's policy is always, everysec or no");
    const auto inner = args.subspan(kWrapperArgs);
    const auto* const command = table.find(inner);
    if (command != nullptr && command->handler == firn_durable)
        return Refusal("ERR FIRN DURABLE does not stand around itself");
    if (in_multi && (command == nullptr || command->name != "exec"))
        return Refusal(
            "ERR FIRN DURABLE is not allowed inside a transaction, except around "
            "EXEC");
    if (command != nullptr && !is_wrappable(*command))
        return Refusal("ERR FIRN DURABLE does not stand around " + upper(command->name) +
                       ", which does not answer with one reply at once");
    return Unwrapped{.policy = policy, .args = inner};
}

Flow firn_durable(Call& call) {
    return call.error("ERR FIRN DURABLE stands around a command of its own");
}

Flow wait(Call& call) {
    const auto replicas = text::parse_i64(call.arg(1));
    if (!replicas) return call.error("ERR value is not an integer or out of range");
    const auto timeout = parse_timeout(call.arg(2));
    if (!timeout) return call.error(timeout.error());
    if (*replicas <= 0 || call.in_exec) return call.integer(0);
    // There are no replicas: the answer does not get better, but it comes when it was asked for.
    call.reactor.block(call.client, *timeout, [](Connection& client) {
        client.reactor.unblock(client.id, client.blocked_id,
                               [](Connection&, resp::Writer& out) { out.integer(0); });
    });
    return Flow::blocked;
}

Flow waitaof(Call& call) {
    const auto local = text::parse_i64(call.arg(1));
    if (!local) return call.error("ERR value is not an integer or out of range");
    if (*local < 0 || *local > 1)
        return call.error("ERR value is out of range, value must between 0 and 1");
    const auto replicas = text::parse_i64(call.arg(2));
    if (!replicas) return call.error("ERR value is not an integer or out of range");
    if (*replicas < 0) return call.error("ERR value is out of range, must be positive");
    const auto timeout = parse_timeout(call.arg(3));
    if (!timeout) return call.error(timeout.error());

    auto& log = call.server.engine().log;
    const bool durable = is_durable(log, call.client);
    if (((durable || *local == 0) && *replicas == 0) || call.in_exec) {
        write_acknowledged(call.out, durable);
        return Flow::done;
    }
    const auto id = call.client.id;
    const auto blocked = call.reactor.block(call.client, *timeout, [](Connection& client) {
        const auto& engine = client.reactor.server().engine();
        client.reactor.unblock(client.id, client.blocked_id,
                               [&engine](Connection& waiting, resp::Writer& out) {
                                   write_acknowledged(out, is_durable(engine.log, waiting));
                               });
    });
    const auto lsn = call.client.last_write_lsn;
    if (*replicas == 0) {
        call.reactor.when_durable(lsn, [id, blocked](Reactor& reactor) {
            const bool failed = reactor.server().engine().log.failed() != 0;
            reactor.unblock(id, blocked, [failed](Connection&, resp::Writer& out) {
                if (failed)
                    out.error(
                        "IOERR outcome unknown: writing or syncing the log failed, it takes no "
                        "more writes until a restart");
                else
                    write_acknowledged(out, true);
            });
        });
    } else {
        log.want_durable(lsn);
    }
    return Flow::blocked;
}

}  // namespace firnlog::server
