#include "src/dispatcher.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <new>

#include "src/commands/durability.hpp"
#include "src/commands/replies.hpp"
#include "src/latency.hpp"
#include "src/monitor.hpp"
#include "src/pasts.hpp"
#include "src/pubsub.hpp"
#include "src/reactor.hpp"
#include "src/resp/ahead.hpp"
#include "src/server.hpp"
#include "src/slowlog.hpp"
#include "src/text/fold.hpp"

namespace firnlog::server {
namespace {

constexpr std::size_t kEchoMax = 128;
constexpr std::size_t kErrorCodesMax = 128;

std::int64_t nanoseconds_now() {
    timespec at{};
    ::clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1'000'000'000 + at.tv_nsec;
}

// A command that looks at keys nobody can name beforehand: within EXEC every stripe is locked.
bool needs_all_stripes(const Command& command) {
    if ((command.flags & kAllStripes) != 0) return true;
    return command.keys.empty() && (command.flags & (kReadonly | kWrite)) != 0;
}

// What is refused when memory is short: as in Redis also whatever would be queued, and EXEC if one
// of its commands is of that kind.
bool may_grow(const Transaction& transaction, const Command& command) {
    if ((command.flags & kDenyOom) != 0) return true;
    if (!transaction.open) return false;
    if (!runs_within_multi(command)) return true;
    return command.name == "exec" && std::ranges::any_of(transaction.queue, [](const auto& queued) {
               return (queued.command->flags & kDenyOom) != 0;
           });
}

// Others lock stripes of their own, or may hold these for long.
bool may_be_grouped(const Command& command) {
    if ((command.flags & (kAllStripes | kAdmin | kBlocking)) != 0) return false;
    if ((command.flags & kWrite) != 0) return true;
    return (command.flags & kReadonly) != 0 && (command.flags & kFast) != 0;
}

// What a connection may say that was put out of the past: not a word that the present would answer
// while it believes to ask the past.
bool allowed_when_gone(const Command& command) {
    return command.group == "connection" || command.name == "firn|asof" ||
           command.name == "discard";
}

}  // namespace

std::string unknown_command_text(std::span<const std::string_view> args) {
    std::string echoed;
    for (std::size_t i = 1; i < args.size() && echoed.size() < kEchoMax; ++i) {
        auto arg = args[i].substr(0, kEchoMax - echoed.size());
        arg = arg.substr(0, arg.find('\0'));
        echoed.append("'").append(arg).append("' ");
    }
    auto name = args[0].substr(0, kEchoMax);
    name = name.substr(0, name.find('\0'));
    return "ERR unknown command '" + std::string(name) + "', with args beginning with: " + echoed;
}

std::string unknown_subcommand_text(std::string_view command, std::string_view subcommand) {
    std::string upper(command);
    for (auto& letter : upper)
        if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
    subcommand = subcommand.substr(0, kEchoMax);
    subcommand = subcommand.substr(0, subcommand.find('\0'));
    return "ERR unknown subcommand '" + std::string(subcommand) + "'. Try " + upper + " HELP.";
}

std::string wrong_arity_text(const Command& command) {
    return "ERR wrong number of arguments for '" + std::string(command.name) + "' command";
}

Dispatcher::Dispatcher(Server& server, Reactor& reactor)
    : server_(server), reactor_(reactor), session_(server.engine()) {}

engine::Session& Dispatcher::session_of(Connection& client) {
    return client.asof == nullptr ? session_ : client.asof->session;
}

std::size_t Dispatcher::look_ahead(Connection& client) {
    constexpr std::size_t kGroup = 16;
    std::array<resp::KeyAhead, kGroup> found_keys;
    const auto found = resp::keys_ahead(client.in.unread(), found_keys);
    // One alone gains nothing.
    if (found < 2) return 1;
    std::array<engine::Session::Ahead, kGroup> keys;
    std::size_t writes = 0;
    for (std::size_t i = 0; i < found; ++i) {
        keys[i] = {
            .key = found_keys[i].key, .bytes = found_keys[i].bytes, .reads = found_keys[i].reads};
        if (!keys[i].reads) ++writes;
    }
    // Who listens to what commands do is told of each behind it: then it is done.
    const bool together = writes > 1 && !client.transaction.open &&
                          client.replies == Connection::Replies::on &&
                          server_.config().notify_keyspace_events == 0 &&
                          server_.monitors.load(std::memory_order_relaxed) == 0;
    session_.look_ahead(std::span(keys).first(found), client.who.database, together);
    if (session_.grouped()) grouped_ = &client;
    return found;
}

void Dispatcher::end_group() {
    if (grouped_ == nullptr) return;
    auto& client = *std::exchange(grouped_, nullptr);
    const auto gate = session_.end_group();
    if (!std::exchange(replies_wait_, false)) return;
    client.last_write_lsn = gate;
    finish(client, std::nullopt, gate);
}

void Dispatcher::note_error(std::string_view text) {
    failed_ = true;
    const auto code = text.substr(0, text.find(' '));
    for (auto& error : errors_)
        if (error.code == code) {
            ++error.count;
            return;
        }
    if (errors_.size() < kErrorCodesMax) errors_.push_back({.code = std::string(code), .count = 1});
}

Flow Dispatcher::dispatch(Connection& client, std::span<const std::string_view> args) {
    resp::Writer out(client.out.buffer(), client.who.protocol);
    std::optional<engine::Durability> policy;
    const auto refused = [&](std::string_view text) {
        out.error(text);
        note_error(text);
        if (client.transaction.open) client.transaction.refused = true;
        finish(client, policy, {});
        return Flow::done;
    };
    const auto unwrapped = unwrap_durable(args, client.transaction.open);
    if (!unwrapped) return refused(unwrapped.error());
    policy = unwrapped->policy;
    args = unwrapped->args;
    // A reply with a policy of its own does not share its gate.
    if (policy) end_group();

    const auto* command = CommandTable::get().find(args[0]);
    if (command == nullptr) return refused(unknown_command_text(args));
    if (!command->subcommands.empty() && args.size() > 1) {
        const auto* subcommand = CommandTable::get().find(args);
        if (subcommand == nullptr) return refused(unknown_subcommand_text(command->name, args[1]));
        command = subcommand;
    }
    if (!may_be_grouped(*command)) end_group();
    if (!arity_fits(*command, args.size())) {
        count(*command, -1);
        return refused(refusal(client, *command, wrong_arity_text(*command)));
    }
    if (refuse(client, out, *command, args)) {
        count(*command, -1);
        if (client.transaction.open) client.transaction.refused = true;
        finish(client, policy, {});
        return Flow::done;
    }
    const auto pause = server_.paused_until_us.load(std::memory_order_relaxed);
    if (pause > reactor_.now_us() && (command->flags & kAdmin) == 0 &&
        (!server_.paused_writes_only.load(std::memory_order_relaxed) ||
         (command->flags & (kWrite | kMayReplicate)) != 0 || command->name == "exec"))
        return Flow::again;
    if (client.transaction.open && !runs_within_multi(*command)) {
        const auto flow = queue(client, out, *command, args);
        finish(client, policy, {});
        return flow;
    }
    return run(client, out, *command, args, policy);
}

std::string Dispatcher::refusal(Connection& client, const Command& command, std::string_view why) {
    if (command.name != "exec") return std::string(why);
    return abort_exec(server_.engine().keyspace(), client, why);
}

bool Dispatcher::refuse(Connection& client, resp::Writer& out, const Command& command,
                        std::span<const std::string_view> args) {
    const auto error = [&](std::string_view why) {
        const auto text = refusal(client, command, why);
        out.error(text);
        note_error(text);
        return true;
    };
    const auto& config = server_.config();
    if (must_authenticate(client.who, config) && (command.flags & kNoAuth) == 0)
        return error(kNotAuthenticated);
    if ((command.flags & kProtected) != 0 &&
        (config.enable_debug_command == Allow::no ||
         (config.enable_debug_command == Allow::local && !client.local)))
        return error(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to "
            "\"local\", you can run it from a local connection, otherwise you need to set this "
            "option in the configuration file, and then restart the server.");
    if (server_.engine().options.past && (command.flags & kWrite) != 0)
        return error(kPastIsReadOnly);
    if (client.asof_gone && !allowed_when_gone(command)) return error(kAsofGone);
    if (client.asof != nullptr && (command.flags & kWrite) != 0) return error(kAsofIsReadOnly);
    if (client.transaction.open && (command.flags & kNoMulti) != 0)
        return error("ERR Command not allowed inside a transaction");
    if (const auto why = server_.memory_bound.refusal();
        !why.empty() && may_grow(client.transaction, command))
        return error(why);
    if (client.who.protocol == resp::Protocol::resp2 &&
        (client.subscriptions.count() != 0 || !client.subscriptions.shard_channels.empty()) &&
        !allowed_while_subscribed(command)) {
        std::string name(command.name);
        return error("ERR Can't execute '" + name +
                     "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed "
                     "in this context");
    }
    places_.clear();
    keys_.clear();
    if (!find_keys(command, args, places_))
        return false;  // the handler says what is wrong with the count of keys
    for (const auto place : places_) {
        if (args[place.index].size() > engine::kKeyBytesMax)
            return error("ERR the key is longer than 65536 bytes");
        keys_.push_back(args[place.index]);
    }
    return false;
}

Flow Dispatcher::queue(Connection& client, resp::Writer& out, const Command& command,
                       std::span<const std::string_view> args) {
    auto& transaction = client.transaction;
    KeptCommand kept(args);
    transaction.bytes += kept.bytes();
    if (transaction.bytes > server_.config().client_query_buffer_limit) {
        transaction.refused = true;
        out.error("ERR the transaction's commands are larger than client-query-buffer-limit");
        return Flow::done;
    }
    transaction.queue.push_back({.command = &command, .kept = std::move(kept)});
    out.simple("QUEUED");
    return Flow::done;
}

void Dispatcher::begin_session(engine::Session& session, Connection& client,
                               const Command& command) {
    if (command.name == "exec" && client.transaction.open) return begin_exec(session, client);
    if ((command.flags & kAllStripes) != 0) return session.begin_all(client.who.database);
    session.begin(keys_, client.who.database);
}

void Dispatcher::begin_exec(engine::Session& session, Connection& client) {
    bool all = false;
    for (const auto& queued : client.transaction.queue) {
        all = all || needs_all_stripes(*queued.command);
        places_.clear();
        if (!find_keys(*queued.command, queued.kept.args(), places_)) continue;
        for (const auto place : places_) keys_.push_back(queued.kept.args()[place.index]);
    }
    // EXEC looks whether watched keys have expired.
    for (const auto& key : client.transaction.watched_keys) keys_.push_back(key);
    if (all)
        session.begin_all(client.who.database, keys_);
    else
        session.begin(keys_, client.who.database);
}

Flow Dispatcher::run(Connection& client, resp::Writer& out, const Command& command,
                     std::span<const std::string_view> args,
                     std::optional<engine::Durability> policy) {
    const auto began = ended_ns_ != 0 ? ended_ns_ : nanoseconds_now();
    failed_ = false;
    // It lives until the command has ended, though that may be FIRN ASOF OFF.
    const auto asof = client.asof;
    auto& session = session_of(client);
    if (asof != nullptr) asof->past->used_us.store(reactor_.now_us(), std::memory_order_relaxed);
    if (grouped_ != nullptr && (keys_.empty() || !session.covers(keys_))) end_group();
    const auto replied = client.out.buffer().size();
    begin_session(session, client, command);
    if (const auto lack = session.lack()) {
        const auto gate = session.end();
        const auto text = refusal(client, command, text_of(*lack));
        out.error(text);
        note_error(text);
        count(command, -1);
        client.warm.clear();
        finish(client, policy, gate);
        session.reset();
        return Flow::done;
    }
    session.warm = std::move(client.warm);
    client.warm.clear();
    Call call{.server = server_,
              .reactor = reactor_,
              .client = client,
              .command = command,
              .args = args,
              .session = session,
              .out = out};
    const auto flow = answer(call);
    const bool changed = session.has_effects();
    auto gate = session.end();
    // Whatever else than a read is answered there tells of the present.
    if (asof != nullptr && (command.flags & kReadonly) == 0)
        gate = server_.engine().log.tail.batch_end();
    session.may_wait(false);
    if (changed) client.last_write_lsn = gate;
    if (flow == Flow::again) {
        ensure(session.only_expired(), "a command that runs again has changed nothing");
        client.out.buffer().truncate(replied);
        // What was read for it stays, or two cold places would take turns for ever.
        client.warm = std::move(session.warm);
        events.clear();
        monitor_lines_.clear();
        return flow;
    }
    // Behind the command, as in Redis: SELECT is shown with the database it chose, EXEC behind the
    // commands it ran.
    note_for_monitors(client, command, args);
    if (!monitor_lines_.empty()) {
        end_group();
        feed_monitors(reactor_, std::exchange(monitor_lines_, {}));
    }
    const auto ended = nanoseconds_now();
    if (in_burst_) ended_ns_ = ended;
    const auto took = ended - began;
    count(command, took);
    note_slow(client, command, args, took);
    const auto& config = server_.config();
    if (config.latency_monitor_threshold != 0 &&
        took / 1'000'000 >= config.latency_monitor_threshold)
        server_.latency().note((command.flags & kFast) != 0 ? "fast-command" : "command",
                               took / 1'000'000);
    client.last_command = &command;
    ++client.commands;
    reactor_.statistics().commands.add();
    if (flow != Flow::blocked) finish(client, policy, gate);
    publish_events();
    session.reset();
    return flow;
}

Flow Dispatcher::answer(Call& call) {
    auto& reply = call.client.out.buffer();
    const auto begun = reply.size();
    const auto changes = call.session.changes();
    try {
        return call.command.handler(call);
    } catch (const std::bad_alloc&) {
        // Behind the first effect little is needed, and for that memory lies aside. Were that gone
        // too, half a command would be left.
        ensure(call.session.changes() == changes, "a command that began has memory to end");
        reply.truncate(begun);
        return call.error(kNoMemory);
    }
}

void Dispatcher::run_queued(Call& exec) {
    auto& client = exec.client;
    const auto queue = std::move(client.transaction.queue);
    exec.out.array(queue.size());
    for (const auto& queued : queue) {
        const auto began = nanoseconds_now();
        if (exec.session.database() != client.who.database)
            exec.session.select(client.who.database);
        Call call{.server = server_,
                  .reactor = reactor_,
                  .client = client,
                  .command = *queued.command,
                  .args = queued.kept.args(),
                  .session = exec.session,
                  .out = exec.out,
                  .in_exec = true};
        failed_ = false;
        exec.out.speak(client.who.protocol);
        const auto flow = answer(call);
        ensure(flow == Flow::done || flow == Flow::close, "within EXEC every command answers");
        line_up_expired();
        note_for_monitors(client, *queued.command, queued.kept.args());
        const auto took = nanoseconds_now() - began;
        count(*queued.command, took);
        note_slow(client, *queued.command, queued.kept.args(), took);
    }
    failed_ = false;
}

void Dispatcher::note_for_monitors(const Connection& client, const Command& command,
                                   std::span<const std::string_view> args) {
    if (server_.monitors.load(std::memory_order_relaxed) != 0 &&
        (command.flags & (kSkipMonitor | kAdmin)) == 0)
        monitor_lines_.push_back(monitor_line(client, server_.clock().wall().us, args));
}

void Dispatcher::note_slow(Connection& client, const Command& command,
                           std::span<const std::string_view> args, std::int64_t nanoseconds) {
    const auto& config = server_.config();
    if (config.slowlog_log_slower_than >= 0 &&
        nanoseconds / 1000 >= config.slowlog_log_slower_than && (command.flags & kSkipSlowlog) == 0)
        server_.slowlog().note(config, args, nanoseconds / 1000, client);
}

void Dispatcher::finish(Connection& client, std::optional<engine::Durability> policy,
                        engine::Lsn gate) {
    using Replies = Connection::Replies;
    if (client.replies == Replies::off || client.replies == Replies::skip) {
        client.out.drop_reply();
        if (client.replies == Replies::skip) client.replies = Replies::on;
        return;
    }
    if (client.replies == Replies::skip_next) {
        client.out.drop_reply();
        client.replies = Replies::skip;
        return;
    }
    // Behind what is staged nothing has a gate of its own.
    if (grouped_ == &client && (replies_wait_ || session_.staged())) {
        replies_wait_ = true;
        return;
    }
    client.reactor.end_reply(
        client, gate, policy ? *policy : client.durability.value_or(server_.default_durability()));
}

void Dispatcher::line_up_expired() {
    for (auto& expired : session_.events)
        if ((server_.config().notify_keyspace_events & kNotifyExpired) != 0)
            events.push_back({.kind = kNotifyExpired,
                              .event = "expired",
                              .key = std::move(expired.key),
                              .database = expired.database});
    session_.events.clear();
}

void Dispatcher::publish_events() {
    line_up_expired();
    if (events.empty()) return;
    // What is told of is in the log.
    end_group();
    std::vector<KeyspaceEvent> told;
    told.swap(events);
    publish_notifications(reactor_, told);
}

void Dispatcher::count(const Command& command, std::int64_t nanoseconds) {
    auto& counts = reactor_.statistics().by_command[CommandTable::get().index_of(command)];
    if (nanoseconds < 0) {
        counts.rejected.add();
        return;
    }
    counts.calls.add();
    counts.nanoseconds.add(static_cast<std::uint64_t>(nanoseconds));
    if (failed_) counts.failed.add();
    if (server_.config().latency_tracking)
        counts.buckets[CommandStatistics::bucket_of(static_cast<std::uint64_t>(nanoseconds) / 1000)]
            .add();
}

}  // namespace firnlog::server
