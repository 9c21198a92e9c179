#include "src/commands/client.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "src/commands/client_line.hpp"
#include "src/commands/command_table.hpp"
#include "src/commands/replies.hpp"
#include "src/identity.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"

// CLIENT: LIST and KILL reach the connections of all reactors, the rest is about one or all.
namespace firnlog::server {
namespace {

using text::equal_folded;

Flow unknown_type(Call& call, std::string_view name) {
    return call.error("ERR Unknown client type '" + std::string(name.substr(0, name.find('\0'))) +
                      "'");
}

// ---- What one connection asks about itself.

Flow client_id(Call& call) { return call.integer(static_cast<std::int64_t>(call.client.id)); }

Flow client_info(Call& call) {
    call.client.last_command = &call.command;
    call.out.verbatim(line_of(call.client, call.reactor.now_us()) + "\n");
    return Flow::done;
}

Flow client_getname(Call& call) {
    answer_getname(call.client.who, call.out);
    return Flow::done;
}

Flow client_setname(Call& call) {
    const auto wrong = answer_setname(call.client.who, call.args, call.out);
    return wrong.empty() ? Flow::done : call.error(wrong);
}

// OFF and SKIP answer nothing; the dispatcher drops what is written here.
Flow client_reply(Call& call) {
    auto& replies = call.client.replies;
    if (equal_folded(call.arg(2), "on")) {
        replies = Connection::Replies::on;
        return call.ok();
    }
    if (equal_folded(call.arg(2), "off")) {
        replies = Connection::Replies::off;
        return call.ok();
    }
    if (equal_folded(call.arg(2), "skip")) {
        if (replies != Connection::Replies::off) replies = Connection::Replies::skip_next;
        return call.ok();
    }
    return call.syntax_error();
}

Flow client_no_evict(Call& call) {
    if (equal_folded(call.arg(2), "on"))
        call.client.no_evict = true;
    else if (equal_folded(call.arg(2), "off"))
        call.client.no_evict = false;
    else
        return call.syntax_error();
    return call.ok();
}

// ---- Tracking: off, and says so.

Flow client_tracking(Call& call) {
    // The options are looked at first, and for OFF too; what they would choose does not matter.
    bool redirects = false;
    for (std::size_t i = 3; i < call.argc(); ++i) {
        const auto is = [&](std::string_view word) { return equal_folded(call.arg(i), word); };
        const bool more = i + 1 < call.argc();
        if (is("redirect") && more) {
            const auto id = text::parse_i64(call.arg(++i));
            if (redirects)
                return call.error("ERR A client can only redirect to a single other client");
            if (!id) return call.error("ERR value is not an integer or out of range");
            redirects = *id != 0;
        } else if (is("prefix") && more) {
            ++i;
        } else if (!is("bcast") && !is("optin") && !is("optout") && !is("noloop")) {
            return call.syntax_error();
        }
    }
    if (equal_folded(call.arg(2), "off")) return call.ok();
    if (!equal_folded(call.arg(2), "on")) return call.syntax_error();
    return call.error(
        "ERR client tracking is off in this server: it keeps no record of who has read which key");
}

Flow client_trackinginfo(Call& call) {
    call.out.map(3);
    call.out.bulk("flags");
    call.out.set(1);
    call.out.bulk("off");
    call.out.bulk("redirect");
    call.out.integer(-1);
    call.out.bulk("prefixes");
    call.out.array(0);
    return Flow::done;
}

Flow client_getredir(Call& call) { return call.integer(-1); }

Flow client_caching(Call& call) {
    return call.error(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
        "OPTOUT mode enabled");
}

// ---- All connections.

struct Chosen {
    std::optional<ClientType> type;
    std::vector<std::int64_t> ids;
    bool by_id = false;

    [[nodiscard]] bool has(const Connection& client) const {
        if (type && type_of(client) != *type) return false;
        return !by_id || std::ranges::count(ids, static_cast<std::int64_t>(client.id)) != 0;
    }
};

Flow client_list(Call& call) {
    auto chosen = std::make_shared<Chosen>();
    if (call.argc() == 4 && equal_folded(call.arg(2), "type")) {
        chosen->type = parse_client_type(call.arg(3));
        if (!chosen->type) return unknown_type(call, call.arg(3));
    } else if (call.argc() > 3 && equal_folded(call.arg(2), "id")) {
        chosen->by_id = true;
        for (std::size_t i = 3; i < call.argc(); ++i) {
            const auto id = text::parse_i64(call.arg(i));
            if (!id) return call.error("ERR Invalid client ID");
            chosen->ids.push_back(*id);
        }
    } else if (call.argc() != 2) {
        return call.syntax_error();
    }
    call.client.last_command = &call.command;
    return gather(
        call,
        [chosen](Reactor& reactor) {
            std::string lines;
            reactor.for_each_connection([&](const Connection& client) {
                if (chosen->has(client)) lines += line_of(client, reactor.now_us()) + "\n";
            });
            return lines;
        },
        [chosen](Connection&, resp::Writer& out, const std::vector<std::string>& answers) {
            std::map<std::int64_t, std::string_view> lines;
            for (const std::string_view answer : answers) {
                for (std::size_t at = 0; at < answer.size();) {
                    const auto end = answer.find('\n', at);
                    const auto line = answer.substr(at, end + 1 - at);
                    const auto id = line.substr(3, line.find(' ') - 3);
                    lines.emplace(text::parse_i64(id).value_or(0), line);
                    at = end + 1;
                }
            }
            // In the order in which they came, or were asked for.
            std::string all;
            if (!chosen->by_id)
                for (const auto& [id, line] : lines) all += line;
            for (const auto id : chosen->ids)
                if (const auto found = lines.find(id); found != lines.end()) all += found->second;
            out.verbatim(all);
        });
}

// What CLIENT KILL is to end.
struct Victims {
    std::int64_t id = 0;  // 0: any
    std::string address;
    std::string local_address;
    std::optional<ClientType> type;
    std::uint64_t asking = 0;
    bool spare_asking = true;

    [[nodiscard]] bool has(const Connection& client) const {
        if (client.closing) return false;
        if (id != 0 && static_cast<std::int64_t>(client.id) != id) return false;
        if (!address.empty() && client.peer_address != address) return false;
        if (!local_address.empty() && client.local_address != local_address) return false;
        if (type && type_of(client) != *type) return false;
        return !spare_asking || client.id != asking;
    }
};

// False: an error was answered.
bool parse_victims(Call& call, Victims& victims) {
    for (std::size_t i = 2; i < call.argc(); i += 2) {
        const auto option = call.arg(i);
        if (i + 1 == call.argc()) {
            call.syntax_error();
            return false;
        }
        const auto value = call.arg(i + 1);
        if (equal_folded(option, "id")) {
            const auto id = text::parse_i64(value);
            if (!id || *id < 1) {
                call.error("ERR client-id should be greater than 0");
                return false;
            }
            victims.id = *id;
        } else if (equal_folded(option, "type")) {
            victims.type = parse_client_type(value);
            if (!victims.type) {
                unknown_type(call, value);
                return false;
            }
        } else if (equal_folded(option, "addr")) {
            victims.address = value;
        } else if (equal_folded(option, "laddr")) {
            victims.local_address = value;
        } else if (equal_folded(option, "user")) {
            if (value != "default") {
                call.error("ERR No such user '" + std::string(value.substr(0, value.find('\0'))) +
                           "'");
                return false;
            }
        } else if (equal_folded(option, "skipme")) {
            if (!equal_folded(value, "yes") && !equal_folded(value, "no")) {
                call.syntax_error();
                return false;
            }
            victims.spare_asking = equal_folded(value, "yes");
        } else {
            call.syntax_error();
            return false;
        }
    }
    return true;
}

Flow client_kill(Call& call) {
    auto victims = std::make_shared<Victims>();
    victims->asking = call.client.id;
    const bool old_form = call.argc() == 3;
    if (old_form) {
        victims->address = call.arg(2);
        victims->spare_asking = false;
    } else if (!parse_victims(call, *victims)) {
        return Flow::done;
    }
    auto killed_itself = std::make_shared<std::atomic<bool>>(false);
    const auto flow = gather(
        call,
        [victims, killed_itself](Reactor& reactor) {
            std::vector<Connection*> chosen;
            reactor.for_each_connection([&](Connection& client) {
                if (victims->has(client)) chosen.push_back(&client);
            });
            for (auto* client : chosen) {
                // Whoever asks gets the answer first.
                if (client->id == victims->asking)
                    killed_itself->store(true, std::memory_order_relaxed);
                else
                    reactor.close_now(*client);
            }
            return std::to_string(chosen.size());
        },
        [old_form, killed_itself](Connection& client, resp::Writer& out,
                                  const std::vector<std::string>& answers) {
            std::int64_t killed = 0;
            for (const auto& answer : answers) killed += text::parse_i64(answer).value_or(0);
            if (!old_form)
                out.integer(killed);
            else if (killed == 0)
                out.error("ERR No such client");
            else
                out.ok();
            if (killed_itself->load(std::memory_order_relaxed))
                client.reactor.close_after_replies(client);
        });
    return flow;
}

// ---- Pausing and unblocking.

Flow client_pause(Call& call) {
    if (call.argc() > 4) return subcommand_syntax_error(call);
    bool writes_only = false;
    if (call.argc() == 4) {
        if (equal_folded(call.arg(3), "write"))
            writes_only = true;
        else if (!equal_folded(call.arg(3), "all"))
            return call.error("ERR CLIENT PAUSE mode must be WRITE or ALL");
    }
    const auto ms = text::parse_i64(call.arg(2));
    if (!ms) return call.error("ERR timeout is not an integer or out of range");
    if (*ms < 0) return call.error("ERR timeout is negative");
    const auto now_us = call.reactor.now_us();
    constexpr auto kFarUs = std::int64_t{1} << 60;
    const auto until = *ms > (kFarUs - now_us) / 1000 ? kFarUs : now_us + *ms * 1000;
    // A pause that lasts is made longer or wider, never shorter or narrower.
    auto& end = call.server.paused_until_us;
    const bool lasts = end.load(std::memory_order_relaxed) > now_us;
    if (!lasts || !writes_only)
        call.server.paused_writes_only.store(writes_only, std::memory_order_relaxed);
    if (!lasts || until > end.load(std::memory_order_relaxed))
        end.store(until, std::memory_order_relaxed);
    return call.ok();
}

Flow client_unpause(Call& call) {
    call.server.paused_until_us.store(0, std::memory_order_relaxed);
    return call.ok();
}

// As if its time were over.
void answer_in_vain(const Connection& client, resp::Writer& out) {
    if (client.last_command->name == "wait") {
        out.integer(0);
    } else if (client.last_command->name == "waitaof") {
        out.array(2);
        out.integer(0);
        out.integer(0);
    } else {
        out.null_array();
    }
}

Flow client_unblock(Call& call) {
    bool with_error = false;
    if (call.argc() == 4) {
        if (equal_folded(call.arg(3), "error"))
            with_error = true;
        else if (!equal_folded(call.arg(3), "timeout"))
            return call.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    } else if (call.argc() != 3) {
        return subcommand_syntax_error(call);
    }
    const auto id = text::parse_i64(call.arg(2));
    if (!id) return call.error("ERR value is not an integer or out of range");
    return gather(
        call,
        [id = static_cast<std::uint64_t>(*id), with_error](Reactor& reactor) -> std::string {
            auto* client = reactor.find(id);
            if (client == nullptr || !waits_by_nature(*client)) return "0";
            reactor.unblock(id, client->blocked_id,
                            [with_error](const Connection& waiting, resp::Writer& out) {
                                if (with_error)
                                    out.error("UNBLOCKED client unblocked via CLIENT UNBLOCK");
                                else
                                    answer_in_vain(waiting, out);
                            });
            return "1";
        },
        [](Connection&, resp::Writer& out, const std::vector<std::string>& answers) {
            const bool any = std::ranges::count(answers, "1") != 0;
            out.integer(any ? 1 : 0);
        });
}

constexpr std::uint32_t kPlain = kNoScript | kLoading | kStale;

}  // namespace

std::span<const Command> client_subcommands() {
    static const Command rows[] = {
        {.name = "client|caching",
         .syntax = "<YES | NO>",
         .summary = "Would choose what tracking remembers of the next command",
         .since = "6.0.0",
         .group = "connection",
         .complexity = "O(1)",
         .arity = 3,
         .flags = kPlain,
         .handler = client_caching},
        {.name = "client|getname",
         .summary = "The connection's name",
         .since = "2.6.9",
         .group = "connection",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kPlain,
         .handler = client_getname},
        {.name = "client|getredir",
         .summary = "Where tracking's messages go: nowhere, for there is no tracking",
         .since = "6.0.0",
         .group = "connection",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kPlain,
         .handler = client_getredir},
        {.name = "client|help",
         .summary = "These lines",
         .since = "5.0.0",
         .group = "connection",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kLoading | kStale,
         .handler = subcommand_help},
        {.name = "client|id",
         .summary = "The connection's number, which no other ever has",
         .since = "5.0.0",
         .group = "connection",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kPlain,
         .handler = client_id},
        {.name = "client|info",
         .summary = "The line of CLIENT LIST about this connection",
         .since = "6.2.0",
         .group = "connection",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kPlain,
         .handler = client_info},
        {.name = "client|kill",
         .syntax = "<ip:port | <[ID client-id] | [TYPE NORMAL | MASTER | SLAVE | REPLICA | "
                   "PUBSUB] | [USER username] | [ADDR ip:port] | [LADDR ip:port] | [SKIPME "
                   "yes/no]> [...]>",
         .summary = "Closes the connections that fit",
         .since = "2.4.0",
         .group = "connection",
         .complexity = "O(N) where N is the number of connections",
         .arity = -3,
         .flags = kAdmin | kPlain,
         .handler = client_kill},
        {.name = "client|list",
         .syntax = "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
         .summary = "A line about each connection",
         .since = "2.4.0",
         .group = "connection",
         .complexity = "O(N) where N is the number of connections",
         .arity = -2,
         .flags = kAdmin | kPlain,
         .handler = client_list},
        {.name = "client|no-evict",
         .syntax = "<ON | OFF>",
         .summary = "Notes that this connection is not to be evicted; none ever is",
         .since = "7.0.0",
         .group = "connection",
         .complexity = "O(1)",
         .arity = 3,
         .flags = kAdmin | kPlain,
         .handler = client_no_evict},
        {.name = "client|pause",
         .syntax = "timeout [WRITE | ALL]",
         .summary = "Lets clients wait for so many milliseconds, writers alone or all",
         .since = "2.9.50",
         .group = "connection",
         .complexity = "O(1)",
         .arity = -3,
         .flags = kAdmin | kPlain,
         .handler = client_pause},
        {.name = "client|reply",
         .syntax = "<ON | OFF | SKIP>",
         .summary = "Switches replies off and on, or off for one command",
         .since = "3.2.0",
         .group = "connection",
         .complexity = "O(1)",
         .arity = 3,
         .flags = kPlain,
         .handler = client_reply},
        {.name = "client|setname",
         .syntax = "connection-name",
         .summary = "Gives the connection a name, or with an empty one none",
         .since = "2.6.9",
         .group = "connection",
         .complexity = "O(1)",
         .arity = 3,
         .flags = kPlain,
         .handler = client_setname},
        {.name = "client|tracking",
         .syntax = "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] "
                   "[OPTIN] [OPTOUT] [NOLOOP]",
         .summary = "Refuses to track which keys the client caches",
         .since = "6.0.0",
         .group = "connection",
         .complexity = "O(1)",
         .arity = -3,
         .flags = kPlain,
         .handler = client_tracking},
        {.name = "client|trackinginfo",
         .summary = "Says that tracking is off",
         .since = "6.2.0",
         .group = "connection",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kPlain,
         .handler = client_trackinginfo},
        {.name = "client|unblock",
         .syntax = "client-id [TIMEOUT | ERROR]",
         .summary = "Ends another connection's wait",
         .since = "5.0.0",
         .group = "connection",
         .complexity = "O(1)",
         .arity = -3,
         .flags = kAdmin | kPlain,
         .handler = client_unblock},
        {.name = "client|unpause",
         .summary = "Ends CLIENT PAUSE",
         .since = "6.2.0",
         .group = "connection",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kAdmin | kPlain,
         .handler = client_unpause},
    };
    return rows;
}

}  // namespace firnlog::server
