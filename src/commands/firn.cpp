// FIRN: Firnlog's own commands, all of them subcommands of one name; and WAIT and WAITAOF, which
// ask what FIRN LSN shows.

#include "engine/engine.hpp"
#include "recovery/moment.hpp"
#include "src/archive_job.hpp"
#include "src/commands/command.hpp"
#include "src/commands/command_table.hpp"
#include "src/commands/durability.hpp"
#include "src/commands/past.hpp"
#include "src/commands/replies.hpp"
#include "src/connection.hpp"
#include "src/digest.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"

namespace firnlog::server {
namespace {

Flow lsn(Call& call) {
    const auto& log = call.server.engine().log;
    // Read in this order, each is at least the one before.
    const auto archived = call.server.archive().status().archived;
    const auto durable = log.durable();
    const auto written = log.written();
    const auto tail = log.end();
    call.out.map(5);
    const auto field = [&](std::string_view name, std::uint64_t value) {
        call.out.bulk(name);
        call.out.integer(static_cast<std::int64_t>(value));
    };
    field("timeline", log.tail.timeline());
    field("tail", tail.value);
    field("written", written.value);
    field("durable", durable.value);
    field("archived", archived.value);
    return Flow::done;
}

Flow durability(Call& call) {
    auto& own = call.client.durability;
    if (call.argc() == 2) {
        const auto in_force = own.value_or(call.server.default_durability());
        call.out.map(2);
        call.out.bulk("connection");
        call.out.bulk(own ? name_of(*own) : "default");
        call.out.bulk("effective");
        call.out.bulk(name_of(in_force));
        return Flow::done;
    }
    if (call.argc() > 3) return call.syntax_error();
    if (text::equal_folded(call.arg(2), "default")) {
        own.reset();
        return call.ok();
    }
    const auto policy = parse_durability(call.arg(2));
    if (!policy)
        return call.error("ERR FIRN DURABILITY's policy is always, everysec, no or default");
    own = policy;
    return call.ok();
}

Flow mark(Call& call) {
    const auto name = call.arg(2);
    if (name.empty() || name.size() > recovery::kMarkBytesMax)
        return call.error("ERR a mark's name has 1 to 255 bytes");
    if (const auto room = call.session.reserve(name.size()); !room) return call.stop(room.error());
    call.session.mark(name);
    return call.ok();
}

Flow clock(Call& call) {
    auto& now = call.server.engine().now;
    if (text::equal_folded(call.arg(2), "confirm")) {
        now.confirm();
        return call.ok();
    }
    if (!text::equal_folded(call.arg(2), "status")) return call.syntax_error();
    call.out.map(3);
    call.out.bulk("now_ms");
    call.out.integer(now.ms());
    // The wall clock jumped: keys do not expire by themselves until somebody confirms it.
    call.out.bulk("expiry_suspended");
    call.out.integer(now.suspended() ? 1 : 0);
    call.out.bulk("jump_ms");
    call.out.integer(now.jump_us() / 1000);
    return Flow::done;
}

Flow digest(Call& call) {
    const auto found = digest_of_store(call.session.engine(), DigestOf::values_and_expiry_times);
    if (!found) return call.stop(found.error());
    call.session.saw_everything();
    call.out.simple(text::hex(*found));
    return Flow::done;
}

Flow walk(Call& call) {
    auto& walk = call.server.engine().walk;
    const auto word = call.arg(2);
    if (text::equal_folded(word, "pause") || text::equal_folded(word, "resume")) {
        walk.pause(text::equal_folded(word, "pause"));
        return call.ok();
    }
    if (!text::equal_folded(word, "status")) return call.syntax_error();
    const auto status = walk.status();
    call.out.map(20);
    const auto field = [&](std::string_view name, std::uint64_t value) {
        call.out.bulk(name);
        call.out.integer(static_cast<std::int64_t>(value));
    };
    call.out.bulk("phase");
    call.out.bulk(name_of(status.phase));
    field("paused", status.paused ? 1 : 0);
    field("keys", status.keys);
    field("bytes", status.bytes);
    field("moved_bytes", status.moved_bytes);
    field("moving_bytes", status.moving_bytes);
    field("bytes_per_sec", status.bytes_a_second);
    field("duty_percent", status.duty_percent);
    field("done", status.done);
    field("failed", status.failed);
    field("checkpoints", status.checkpoints);
    field("lo", status.lo.value);
    field("hi", status.hi.value);
    field("log_bytes", status.log_bytes);
    field("live_bytes", status.live_bytes);
    field("garbage_bytes", status.garbage_bytes);
    field("history_bytes", status.history_bytes);
    field("freed_bytes", status.freed_bytes);
    field("relocated_records", status.relocated.records);
    field("relocated_bytes", status.relocated.written_bytes);
    return Flow::done;
}

constexpr std::string_view kSince = "0.1.0";
constexpr std::string_view kGroup = "firn";

constexpr KeySpec kReadsKey[] = {
    {.flags = kKeyRO | kKeyAccess, .first = 2, .last = 2, .step = 1},
};

constexpr KeySpec kForgetsKey[] = {
    {.flags = kKeyRW | kKeyUpdate | kKeyDelete, .first = 2, .last = 2, .step = 1},
};

constexpr KeySpec kRestoresKey[] = {
    {.flags = kKeyOW | kKeyUpdate, .first = 3, .last = 3, .step = 1, .word = "KEY"},
};

constexpr Command kFirnRows[] = {
    {.name = "firn|asof",
     .syntax = "<AT time | BEFORE time | LSN lsn | MARK name | OFF>",
     .summary = "Takes the connection into the past, where every read answers as of then, or back",
     .since = kSince,
     .group = kGroup,
     .complexity = "O(N) where N is what a start at that moment reads, on a thread of its own",
     .arity = -3,
     .flags = kNoScript | kBlocking | kNoMulti,
     .categories = kConnection | kSlow,
     .handler = firn_asof},
    {.name = "firn|backup",
     .syntax = "<START name [KEEP age] [KEEP-LAST n] | STATUS | LIST | VERIFY name | TRIAL [name] "
               "| DELETE name>",
     .summary = "Takes a backup of the store into backup-dir, or looks after those that are there",
     .since = kSince,
     .group = kGroup,
     .complexity = "O(N) where N is the number of bytes that are new, on a thread of its own",
     .arity = -3,
     .flags = kAdmin | kNoScript | kBlocking | kNoMulti,
     .categories = kAdminCategory | kDangerous | kSlow,
     .handler = firn_backup},
    {.name = "firn|clock",
     .syntax = "<CONFIRM | STATUS>",
     .summary = "Confirms that the wall clock is right after it jumped, or tells what it does",
     .since = kSince,
     .group = kGroup,
     .complexity = "O(1)",
     .arity = 3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .categories = kAdminCategory | kDangerous | kSlow,
     .handler = clock},
    {.name = "firn|digest",
     .syntax = "",
     .summary = "A digest of all keys, values and expiry times",
     .since = kSince,
     .group = kGroup,
     .complexity = "O(N) where N is the number of bytes of all keys and values",
     .arity = 2,
     .flags = kAdmin | kNoScript | kAllStripes,
     .categories = kAdminCategory | kDangerous | kSlow,
     .handler = digest},
    {.name = "firn|durability",
     .syntax = "[always | everysec | no | default]",
     .summary = "Chooses what replies on this connection wait for, or tells",
     .since = kSince,
     .group = kGroup,
     .complexity = "O(1)",
     .arity = -2,
     .flags = kLoading | kStale | kFast,
     .categories = kConnection | kFastCategory,
     .handler = durability},
    {.name = "firn|durable",
     .syntax = "<always | everysec | no> command [arg [arg ...]]",
     .summary = "Runs one command whose reply waits for that durability",
     .since = kSince,
     .group = kGroup,
     .complexity = "Depends on the command",
     .arity = -4,
     .flags = kLoading | kStale | kMovableKeys,
     .categories = kConnection | kSlow,
     .handler = firn_durable},
    {.name = "firn|get",
     .syntax = "key [field] <time | AT time | BEFORE time | LSN lsn | MARK name>",
     .summary = "What a key, or a field of a hash, was at a moment",
     .since = kSince,
     .group = kGroup,
     .complexity = "O(N) where N is what a start at that moment reads, on a thread of its own",
     .arity = -4,
     .flags = kReadonly | kNoScript | kBlocking | kNoMulti,
     .categories = kRead | kSlow,
     .keys = kReadsKey,
     .handler = firn_get},
    {.name = "firn|help",
     .syntax = "",
     .summary = "What the subcommands are for",
     .since = kSince,
     .group = kGroup,
     .complexity = "O(1)",
     .arity = 2,
     .flags = kLoading | kStale,
     .categories = kSlow,
     .handler = subcommand_help},
    {.name = "firn|forget",
     .syntax = "[key [WITH LIVE]]",
     .summary = "Takes what a key was out of the store's history, or tells how far that is",
     .since = kSince,
     .group = kGroup,
     .complexity = "O(N) where N is the number of bytes of the store, on the walk's thread",
     .arity = -2,
     .flags = kWrite | kNoScript | kBlocking | kNoMulti,
     .categories = kKeyspace | kWriteCategory | kDangerous | kSlow,
     .keys = kForgetsKey,
     .handler = firn_forget},
    {.name = "firn|history",
     .syntax = "key [COUNT count]",
     .summary = "What happened to a key, as far as the log reaches",
     .since = kSince,
     .group = kGroup,
     .complexity = "O(N) where N is the number of bytes of the log, on a thread of its own",
     .arity = -3,
     .flags = kReadonly | kNoScript | kBlocking | kNoMulti,
     .categories = kRead | kSlow,
     .keys = kReadsKey,
     .handler = firn_history},
    {.name = "firn|log",
     .syntax = "[SINCE moment] [UNTIL moment] [MATCH pattern] [KIND kind] [COUNT count]",
     .summary = "What happened when: the newest lines of the log that fit",
     .since = kSince,
     .group = kGroup,
     .complexity = "O(N) where N is the number of bytes of the log, on a thread of its own",
     .arity = -2,
     .flags = kAdmin | kNoScript | kBlocking | kNoMulti,
     .categories = kAdminCategory | kDangerous | kSlow,
     .handler = firn_log},
    {.name = "firn|lsn",
     .syntax = "",
     .summary = "How far the log is appended, written, durable and archived",
     .since = kSince,
     .group = kGroup,
     .complexity = "O(1)",
     .arity = 2,
     .flags = kLoading | kStale | kFast,
     .categories = kFastCategory,
     .handler = lsn},
    {.name = "firn|mark",
     .syntax = "name",
     .summary = "Names this moment of the log",
     .since = kSince,
     .group = kGroup,
     .complexity = "O(1)",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kWriteCategory | kFastCategory,
     .handler = mark},
    {.name = "firn|restore",
     .syntax = "<<KEY key | MATCH pattern> <AT time | BEFORE time | LSN lsn | MARK name> [ALLDBS] "
               "[DELETE-NEW] [TTL <KEEP | DROP | SHIFT>] [DRYRUN] | STATUS | CANCEL>",
     .summary = "Makes a key, or all that match, again what they were at a moment",
     .since = kSince,
     .group = kGroup,
     .complexity = "O(N) where N is what a start at that moment reads and what is restored, on a "
                   "thread of its own",
     .arity = -3,
     .flags = kWrite | kNoScript | kBlocking | kNoMulti | kMovableKeys,
     .categories = kKeyspace | kWriteCategory | kDangerous | kSlow,
     .keys = kRestoresKey,
     .handler = firn_restore},
    {.name = "firn|scrub",
     .syntax = "<START | STATUS | STOP>",
     .summary = "Begins a pass over the store's files that looks for damage, ends it, or tells how "
                "far it is",
     .since = kSince,
     .group = kGroup,
     .complexity = "O(1)",
     .arity = 3,
     .flags = kAdmin | kNoScript,
     .categories = kAdminCategory | kDangerous | kSlow,
     .handler = firn_scrub},
    {.name = "firn|walk",
     .syntax = "<PAUSE | RESUME | STATUS>",
     .summary = "Holds the job that takes checkpoints, lets it go on, or tells how far it is",
     .since = kSince,
     .group = kGroup,
     .complexity = "O(1)",
     .arity = 3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .categories = kAdminCategory | kDangerous | kSlow,
     .handler = walk},
};

constexpr Command kRows[] = {
    {.name = "firn",
     .syntax = "",
     .summary = "Firnlog's own commands",
     .since = kSince,
     .group = kGroup,
     .complexity = "Depends on the subcommand",
     .arity = -2,
     .categories = kSlow,
     .subcommands = kFirnRows},
    {.name = "wait",
     .syntax = "numreplicas timeout",
     .summary = "Waits until so many replicas have this connection's writes, or for so long",
     .since = "3.0.0",
     .group = "generic",
     .complexity = "O(1)",
     .arity = 3,
     .flags = kNoScript,
     .categories = kConnection | kSlow,
     .handler = wait},
    {.name = "waitaof",
     .syntax = "numlocal numreplicas timeout",
     .summary = "Waits until this connection's writes are durable here and on so many replicas, or "
                "for so long",
     .since = "7.2.0",
     .group = "generic",
     .complexity = "O(1)",
     .arity = 4,
     .flags = kNoScript,
     .categories = kConnection | kSlow,
     .handler = waitaof},
};

}  // namespace

std::span<const Command> firn_commands() { return kRows; }

}  // namespace firnlog::server
