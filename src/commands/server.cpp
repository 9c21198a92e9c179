#include "src/commands/server.hpp"

#include <array>

#include "engine/engine.hpp"
#include "src/commands/command_command.hpp"
#include "src/commands/command_table.hpp"
#include "src/commands/replies.hpp"
#include "src/logger.hpp"
#include "src/reactor.hpp"
#include "src/saving.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"
#include "src/version.hpp"

// The server as a whole: its time, its role, saving, stopping, MONITOR.
namespace firnlog::server {
namespace {

using text::equal_folded;

Flow time(Call& call) {
    const auto now_us = call.server.clock().wall().us;
    call.out.array(2);
    call.out.bulk_integer(now_us / 1'000'000);
    call.out.bulk_integer(now_us % 1'000'000);
    return Flow::done;
}

Flow lastsave(Call& call) { return call.integer(call.server.saving().last_s()); }

Flow role(Call& call) {
    call.out.array(3);
    call.out.bulk("master");
    call.out.integer(0);
    call.out.array(0);
    return Flow::done;
}

// ---- Saving: the log is the store. To save is to write the index down, so that a start need not
// go through all of the log; and everything before it is durable then.

bool log_failed(const Call& call) { return call.server.engine().log.failed() != 0; }

constexpr std::string_view kSaveRuns = "ERR Background save already in progress";
constexpr std::string_view kRewriteRuns =
    "ERR Background append only file rewriting already in progress";
constexpr std::string_view kPaused = "ERR the walk is paused, FIRN WALK RESUME lets it go on";
constexpr std::string_view kSaveFailed = "ERR the checkpoint failed, the log says why";

std::string_view why_not(Saving::Asked why) {
    if (why == Saving::Asked::paused) return kPaused;
    return why == Saving::Asked::rewrite_runs ? kRewriteRuns : kSaveRuns;
}

Flow save(Call& call) {
    if (log_failed(call)) return call.stop(engine::Stop::io_error);
    const auto client = call.client.id;
    const auto blocked = call.reactor.block(call.client);
    const auto saved = [client, blocked](Reactor& reactor, bool good) {
        reactor.unblock(client, blocked, [good](Connection&, resp::Writer& out) {
            if (good)
                out.ok();
            else
                out.error(kSaveFailed);
        });
    };
    const auto asked = call.server.saving().ask(Saving::Name::save, false, call.reactor, saved);
    if (asked != Saving::Asked::started)
        call.reactor.unblock(client, blocked, [asked](Connection&, resp::Writer& out) {
            out.error(why_not(asked));
        });
    return Flow::blocked;
}

Flow bgsave(Call& call) {
    const bool schedule = call.argc() == 2 && equal_folded(call.arg(1), "schedule");
    if (call.argc() > 1 && !schedule) return call.syntax_error();
    if (log_failed(call)) return call.stop(engine::Stop::io_error);
    const auto asked = call.server.saving().ask(Saving::Name::save, schedule);
    if (asked == Saving::Asked::scheduled)
        call.out.simple("Background saving scheduled");
    else if (asked == Saving::Asked::started)
        call.out.simple("Background saving started");
    else
        return call.error(why_not(asked));
    return Flow::done;
}

Flow bgrewriteaof(Call& call) {
    if (log_failed(call)) return call.stop(engine::Stop::io_error);
    auto& saving = call.server.saving();
    // As in Redis: behind a save it is scheduled, a second one is refused.
    const bool rewrites = saving.name() == Saving::Name::rewrite;
    const auto asked = saving.ask(Saving::Name::rewrite, !rewrites);
    if (asked == Saving::Asked::scheduled)
        call.out.simple("Background append only file rewriting scheduled");
    else if (asked == Saving::Asked::started)
        call.out.simple("Background append only file rewriting started");
    else
        return call.error(why_not(asked));
    return Flow::done;
}

// ---- Stopping. Whatever the words, everything acknowledged is durable before the process ends.

Flow shutdown(Call& call) {
    bool save = false;
    bool nosave = false;
    bool now = false;
    bool force = false;
    bool abort = false;
    for (const auto word : call.args.subspan(1)) {
        if (equal_folded(word, "nosave"))
            nosave = true;
        else if (equal_folded(word, "save"))
            save = true;
        else if (equal_folded(word, "now"))
            now = true;
        else if (equal_folded(word, "force"))
            force = true;
        else if (equal_folded(word, "abort"))
            abort = true;
        else
            return call.syntax_error();
    }
    if ((abort && (save || nosave || now || force)) || (save && nosave)) return call.syntax_error();
    if (abort) return call.error("ERR No shutdown in progress.");
    if (log_failed(call) && !force && !nosave)
        return call.error("ERR Errors trying to SHUTDOWN. Check logs.");
    logger::notice("SHUTDOWN by " + call.client.peer_address);
    if (!save || log_failed(call)) {
        call.server.stop();
        return Flow::close;
    }
    // One that runs already may have begun before what was written last: another one follows it.
    const auto client = call.client.id;
    const auto blocked = call.reactor.block(call.client);
    const auto saved = [client, blocked, force](Reactor& reactor, bool good) {
        if (good || force) return reactor.server().stop();
        reactor.unblock(client, blocked, [](Connection&, resp::Writer& out) {
            out.error("ERR Errors trying to SHUTDOWN. Check logs.");
        });
    };
    const auto asked = call.server.saving().ask(Saving::Name::save, true, call.reactor, saved);
    if (asked != Saving::Asked::paused) return Flow::blocked;
    if (force)
        call.server.stop();
    else
        call.reactor.unblock(client, blocked,
                             [](Connection&, resp::Writer& out) { out.error(kPaused); });
    return Flow::blocked;
}

Flow replicaof(Call& call) {
    if (equal_folded(call.arg(1), "no") && equal_folded(call.arg(2), "one")) return call.ok();
    const auto port = text::parse_i64(call.arg(2));
    if (!port || *port < 0 || *port > 65535) return call.error("ERR Invalid master port");
    return call.error("ERR replication comes later: this server follows nobody");
}

Flow monitor(Call& call) {
    if (call.in_exec) return call.error("ERR MONITOR isn't allowed for DENY BLOCKING client");
    // The second MONITOR of a connection is not answered, as by Redis.
    if (call.client.monitor) return Flow::done;
    call.client.monitor = true;
    call.server.monitors.fetch_add(1, std::memory_order_relaxed);
    return call.ok();
}

// ---- LOLWUT: a pit dug into firn, a layer for every year, denser the deeper.

Flow lolwut(Call& call) {
    if (call.argc() > 2 && equal_folded(call.arg(1), "version")) {
        // Versions 5 and 6 of Redis drew pictures whose sizes follow; ours has one size.
        const auto version = text::parse_i64(call.arg(2));
        const std::size_t sizes = !version ? 0 : *version == 5 ? 3 : *version == 6 ? 2 : 0;
        bool numbers = version.has_value();
        for (std::size_t i = 3; i < call.argc() && i < 3 + sizes; ++i)
            numbers = numbers && text::parse_i64(call.arg(i)).has_value();
        if (!numbers) return call.error("ERR value is not an integer or out of range");
    }
    constexpr std::size_t kWidth = 48;
    constexpr std::string_view kLayers[] = {
        "  .   ' ", " .  : .'", ".:'. :.:", ":*.:*:'*", "*:#*:*#:", "##*#*##*"};
    std::array<std::byte, kWidth> noise{};
    std::string pit;
    for (const auto layer : kLayers) {
        for (int row = 0; row < 2; ++row) {
            call.server.clock().entropy(noise);
            for (const auto byte : noise)
                pit += layer[static_cast<std::size_t>(byte) % layer.size()];
            pit += '\n';
        }
    }
    pit += "\nThe snow of past years that stayed. Firnlog ver. " + std::string(kVersion) + "\n";
    call.out.verbatim(pit);
    return Flow::done;
}

}  // namespace

std::span<const Command> server_commands() {
    static const Command rows[] = {
        acl_command(),
        {.name = "bgrewriteaof",
         .summary = "Takes a checkpoint, as BGSAVE does; the log is never rewritten as a whole",
         .since = "1.0.0",
         .group = "server",
         .complexity = "O(1), the checkpoint O(N) in the background",
         .arity = 1,
         .flags = kAdmin | kNoScript | kNoAsyncLoading,
         .handler = bgrewriteaof},
        {.name = "bgsave",
         .syntax = "[SCHEDULE]",
         .summary = "Takes a checkpoint beside the running server; LASTSAVE tells when it was",
         .since = "1.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = -1,
         .flags = kAdmin | kNoScript | kNoAsyncLoading,
         .handler = bgsave},
        command_command(),
        config_command(),
        debug_command(),
        info_command(),
        {.name = "lastsave",
         .summary = "When the newest checkpoint was taken, as a Unix time",
         .since = "1.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 1,
         .flags = kLoading | kStale | kFast,
         .categories = kAdminCategory | kDangerous,
         .handler = lastsave},
        latency_command(),
        {.name = "lolwut",
         .syntax = "[VERSION version]",
         .summary = "Draws a snow pit, and tells the version",
         .since = "5.0.0",
         .group = "server",
         .arity = -1,
         .flags = kReadonly | kFast,
         .handler = lolwut},
        memory_command(),
        {.name = "monitor",
         .summary = "Shows every command that runs from here on",
         .since = "1.0.0",
         .group = "server",
         .arity = 1,
         .flags = kAdmin | kNoScript | kLoading | kStale,
         .handler = monitor},
        {.name = "replicaof",
         .syntax = "<host port | NO ONE>",
         .summary = "NO ONE is what it is already; to follow another server comes later",
         .since = "5.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 3,
         .flags = kAdmin | kNoScript | kStale | kNoAsyncLoading,
         .handler = replicaof},
        {.name = "role",
         .summary = "The server's place in replication: master, followed by nobody",
         .since = "2.8.12",
         .group = "server",
         .complexity = "O(1)",
         .arity = 1,
         .flags = kNoScript | kLoading | kStale | kFast,
         .categories = kAdminCategory | kDangerous,
         .handler = role},
        {.name = "save",
         .summary = "Takes a checkpoint and answers when it counts",
         .since = "1.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 1,
         .flags = kAdmin | kNoScript | kNoAsyncLoading | kNoMulti,
         .handler = save},
        {.name = "shutdown",
         .syntax = "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
         .summary = "Makes everything durable and ends the server; SAVE: with a checkpoint",
         .since = "1.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = -1,
         .flags = kAdmin | kNoScript | kLoading | kStale | kNoMulti | kAllowBusy,
         .handler = shutdown},
        {.name = "slaveof",
         .syntax = "<host port | NO ONE>",
         .summary = "The older name of REPLICAOF",
         .since = "1.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 3,
         .flags = kAdmin | kNoScript | kStale | kNoAsyncLoading,
         .handler = replicaof},
        slowlog_command(),
        {.name = "time",
         .summary = "The time: seconds since 1970, and microseconds",
         .since = "2.6.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 1,
         .flags = kLoading | kStale | kFast,
         .handler = time},
    };
    return rows;
}

}  // namespace firnlog::server
