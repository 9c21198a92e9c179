#include <string>

#include "src/commands/past.hpp"
#include "src/connection.hpp"
#include "src/pasts.hpp"
#include "src/reactor.hpp"
#include "src/recall.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/undo.hpp"

// FIRN RESTORE: a key, or all that match, are what they were; see src/undo.hpp.

namespace firnlog::server {
namespace {

using text::equal_folded;

// What stands behind the moment. False: the error was answered.
bool parse_options(Call& call, std::size_t at, UndoWish& wish) {
    while (at < call.argc()) {
        const auto option = call.arg(at++);
        if (equal_folded(option, "delete-new")) {
            wish.delete_new = true;
        } else if (equal_folded(option, "dryrun")) {
            wish.dry_run = true;
        } else if (equal_folded(option, "alldbs") && !wish.key) {
            wish.all_databases = true;
        } else if (equal_folded(option, "ttl") && at < call.argc()) {
            const auto how = call.arg(at++);
            if (equal_folded(how, "keep")) {
                wish.ttl = recovery::Ttl::keep;
            } else if (equal_folded(how, "drop")) {
                wish.ttl = recovery::Ttl::drop;
            } else if (equal_folded(how, "shift")) {
                wish.ttl = recovery::Ttl::shift;
            } else {
                call.error("ERR TTL is keep, drop or shift");
                return false;
            }
        } else {
            call.syntax_error();
            return false;
        }
    }
    return true;
}

void write_text(resp::Writer& out, std::string_view name, bool there, std::string_view value) {
    out.bulk(name);
    if (there)
        out.bulk(value);
    else
        out.null();
}

void write_number(resp::Writer& out, std::string_view name, std::uint64_t value) {
    out.bulk(name);
    out.integer(static_cast<std::int64_t>(value));
}

// The moment, and the one that undoes it all.
void write_places(resp::Writer& out, const UndoTold& told, bool open) {
    const auto& place = told.place;
    write_text(out, "lsn", open, text_of_lsn(place.timeline, place.lsn));
    write_text(out, "time", open, recovery::text_of_time(place.us));
    write_text(out, "undo", open && !told.dry_run, text_of_lsn(told.undo_timeline, told.undo));
}

void write_counts(resp::Writer& out, const UndoCounts& counts) {
    write_number(out, "restored", counts.restored);
    write_number(out, "unchanged", counts.unchanged);
    write_number(out, "deleted", counts.deleted);
    write_number(out, "due", counts.due);
    write_number(out, "damaged", counts.damaged);
    write_number(out, "too_large", counts.too_large);
}

std::string_view result_of(const UndoCounts& counts) {
    if (counts.restored != 0) return "restored";
    if (counts.unchanged != 0) return "unchanged";
    if (counts.deleted != 0) return "deleted";
    if (counts.due != 0) return "due";
    return "absent";
}

Flow status(Call& call) {
    const auto told = call.server.undo().told();
    using State = UndoTold::State;
    const bool asked = told.state != State::none;
    const bool open = asked && told.place.timeline != 0;
    call.out.map(16);
    write_text(call.out, "state", true, name_of(told.state));
    write_text(call.out, "pattern", asked, told.pattern);
    write_number(call.out, "dry_run", told.dry_run ? 1 : 0);
    write_places(call.out, told, open);
    write_number(call.out, "keys_all", told.keys_all);
    write_number(call.out, "keys_seen", told.keys_seen);
    write_counts(call.out, told.counts);
    write_number(call.out, "usec", static_cast<std::uint64_t>(told.took_us));
    write_text(call.out, "error", !told.error.empty(), told.error);
    return Flow::done;
}

// What WAITAOF waits for.
void note_write(Connection& client) {
    client.last_write_lsn = client.reactor.server().engine().log.tail.batch_end();
}

Flow restore_key(Call& call, UndoWish wish) {
    auto& undo = call.server.undo();
    return call.server.recall().ask(
        call,
        [&undo, &pasts = call.server.pasts(), home = &call.reactor, wish = std::move(wish)](
            io::Files& files, resp::Writer& out) -> tl::expected<void, std::string> {
            const auto past = pasts.open_for_key(
                files, wish.past, {.database = wish.database, .key = *wish.key, .field = {}});
            if (!past) return tl::unexpected(past.error());
            auto told = undo.run((*past)->past(), *home, wish);
            if (!told) return tl::unexpected(std::move(told.error()));
            if (told->counts.too_large != 0)
                return tl::unexpected(
                    std::string("ERR the command's effects are larger than one batch may be"));
            told->dry_run = wish.dry_run;
            out.map(4);
            write_text(out, "result", true, result_of(told->counts));
            write_places(out, *told, true);
            return {};
        },
        {.lane = Recall::Lane::brief, .at_reply = note_write});
}

Flow restore_match(Call& call, UndoWish wish) {
    auto& undo = call.server.undo();
    return call.server.recall().ask(
        call,
        [&undo, home = &call.reactor, wish = std::move(wish)](
            io::Files& files, resp::Writer& out) -> tl::expected<void, std::string> {
            auto told = undo.run_many(files, *home, wish);
            if (!told) return tl::unexpected(std::move(told.error()));
            out.map(9);
            write_places(out, *told, true);
            write_counts(out, told->counts);
            return {};
        },
        {.lane = Recall::Lane::lengthy, .at_reply = note_write});
}

}  // namespace

Flow firn_restore(Call& call) {
    const auto what = call.arg(2);
    if (call.argc() == 3) {
        if (equal_folded(what, "status")) return status(call);
        if (!equal_folded(what, "cancel")) return call.syntax_error();
        if (!call.server.undo().cancel()) return call.error("ERR no restore is under way");
        return call.ok();
    }
    const bool one = equal_folded(what, "key");
    if ((!one && !equal_folded(what, "match")) || call.argc() < 5) return call.syntax_error();
    std::size_t at = 4;
    auto moment = take_moment(call, at);
    if (!moment) return call.error(moment.error());
    UndoWish wish{
        .past = {.moment = std::move(*moment),
                 .now_us = call.server.clock().wall().us,
                 .databases = static_cast<std::uint32_t>(call.server.config().databases),
                 .progress = {},
                 .give_up = [&recall = call.server.recall()] { return recall.stopping(); }},
        .database = call.client.who.database};
    if (one)
        wish.key = std::string(call.arg(3));
    else
        wish.pattern = std::string(call.arg(3));
    if (!parse_options(call, at, wish)) return Flow::done;
    return one ? restore_key(call, std::move(wish)) : restore_match(call, std::move(wish));
}

}  // namespace firnlog::server
