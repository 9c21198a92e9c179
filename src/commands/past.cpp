#include "src/commands/past.hpp"

#include <optional>
#include <string>

#include "engine/ops/hashes.hpp"
#include "engine/ops/strings.hpp"
#include "io/clock.hpp"
#include "recovery/listing.hpp"
#include "recovery/past.hpp"
#include "src/commands/replies.hpp"
#include "src/connection.hpp"
#include "src/pasts.hpp"
#include "src/recall.hpp"
#include "src/server.hpp"
#include "src/sidecar_job.hpp"
#include "src/text/fold.hpp"
#include "src/text/glob.hpp"
#include "src/text/numbers.hpp"

// FIRN LOG and FIRN HISTORY: what happened when, in a stretch of the log or to one key.
// FIRN GET: what a key was.

namespace firnlog::server {
namespace {

using text::equal_folded;

// What a reply may hold, whatever COUNT says: a reader of it has to have it in memory too.
constexpr std::int64_t kCountDefault = 100;
constexpr std::int64_t kCountMax = 10'000;
constexpr std::size_t kListedBytesMax = std::size_t{8} << 20;

constexpr std::string_view kWrongCount = "ERR COUNT is a number from 1 to 10000";

tl::expected<std::size_t, std::string> parse_count(std::string_view word) {
    const auto count = text::parse_i64(word);
    if (!count || *count < 1 || *count > kCountMax) return tl::unexpected(std::string(kWrongCount));
    return static_cast<std::size_t>(*count);
}

void write_line(resp::Writer& out, const recovery::Line& line) {
    using recovery::Event;
    const auto text = [&](std::string_view name, bool there, std::string_view value) {
        out.bulk(name);
        if (there)
            out.bulk(value);
        else
            out.null();
    };
    const bool of_field = line.event == Event::field || line.event == Event::fielddel;
    const bool of_all = recovery::is_of_database(line.event);
    out.map(9);
    text("lsn", true, text_of_lsn(line.timeline, line.lsn));
    text("after", line.after.value != 0, text_of_lsn(line.timeline, line.after));
    text("time", true, recovery::text_of_time(line.us));
    out.bulk("db");
    if (line.database)
        out.integer(*line.database);
    else
        out.null();
    text("kind", true, recovery::name_of(line.event));
    // Of a field whose hash was bound before the log that is left, nobody can tell it.
    text("key", !of_all && (line.database || !of_field), line.key);
    text("field", of_field, line.field);
    out.bulk("bytes");
    out.integer(static_cast<std::int64_t>(line.bytes));
    text("expires", line.expires_ms >= 0, recovery::text_of_time(line.expires_ms * 1000));
}

recovery::Opening<recovery::Listed> list_now(io::Files& files, recovery::ListOptions options,
                                             SidecarJob& sidecars) {
    options.serving.emplace(sidecars.serving());
    if (options.only) {
        auto listed = recovery::list_key(files, options);
        // What cannot be read one by one is looked for in all of the log.
        if (listed || listed.error().error.code == Code::busy) return listed;
    }
    return recovery::list_log(files, options);
}

Flow list(Call& call, recovery::ListOptions options) {
    auto& recall = call.server.recall();
    options.bytes_max = kListedBytesMax;
    options.now_us = call.server.clock().wall().us;
    options.give_up = [&recall] { return recall.stopping(); };
    return recall.ask(call,
                      [options = std::move(options), &sidecars = call.server.sidecars()](
                          io::Files& files, resp::Writer& out) -> tl::expected<void, std::string> {
                          const auto listed = list_now(files, options, sidecars);
                          if (!listed) return tl::unexpected(text_of_refusal(listed.error()));
                          out.map(listed->begins ? 3 : 2);
                          out.bulk("left_out");
                          out.integer(static_cast<std::int64_t>(listed->left_out));
                          if (listed->begins) {
                              out.bulk("begins");
                              out.bulk(recovery::text_of(*listed->begins));
                          }
                          out.bulk("lines");
                          out.array(listed->lines.size());
                          for (const auto& line : listed->lines) write_line(out, line);
                          return {};
                      });
}

using Written = tl::expected<void, std::string>;

tl::unexpected<std::string> text_of_stop(engine::Stop why) {
    ensure(why == engine::Stop::wrong_type || why == engine::Stop::corrupt,
           "who only reads, and waits for the disk, is stopped by nothing else");
    return tl::unexpected(
        std::string(why == engine::Stop::wrong_type ? kWrongType : kCorruptValue));
}

// It says what the word behind it is.
bool is_moment_word(std::string_view word) {
    return equal_folded(word, "at") || equal_folded(word, "before") || equal_folded(word, "lsn") ||
           equal_folded(word, "mark");
}

Written write_field(engine::Session& session, const std::string& key, const std::string& field,
                    resp::Writer& out) {
    const auto value = engine::hashes::get(session, key, field);
    if (!value) return text_of_stop(value.error());
    if (*value)
        out.bulk(**value);
    else
        out.null();
    return {};
}

// A string, or a hash as HGETALL shows it.
Written write_value(engine::Session& session, const std::string& key, resp::Writer& out) {
    const auto item = session.look(key);
    if (!item) return text_of_stop(item.error());
    if (!*item) {
        out.null();
        return {};
    }
    if ((*item)->type == engine::Type::hash) {
        const auto pairs = engine::hashes::all(session, key);
        if (!pairs) return text_of_stop(pairs.error());
        out.map(pairs->size());
        for (const auto& [field, value] : *pairs) {
            out.bulk(field);
            out.bulk(value);
        }
        return {};
    }
    const auto value = engine::strings::get(session, **item, key);
    if (!value) return text_of_stop(value.error());
    out.bulk(*value);
    return {};
}

Written write_wanted(engine::Engine& engine, const recovery::KeyWish& wanted, resp::Writer& out) {
    engine::Session session(engine);
    session.may_wait(true);
    const std::string_view key = wanted.key;
    session.begin({&key, 1}, wanted.database);
    auto written = wanted.field ? write_field(session, wanted.key, *wanted.field, out)
                                : write_value(session, wanted.key, out);
    (void)session.end();
    return written;
}

}  // namespace

tl::expected<recovery::Moment, std::string> take_moment(const Call& call, std::size_t& at) {
    const auto now_us = call.server.clock().wall().us;
    const auto word = call.arg(at++);
    auto moment = !is_moment_word(word) ? recovery::parse_moment("AT", word, now_us)
                  : at < call.argc()    ? recovery::parse_moment(word, call.arg(at++), now_us)
                                     : tl::expected<recovery::Moment, std::string>(tl::unexpected(
                                           std::string("a moment's value is missing")));
    if (!moment) return tl::unexpected("ERR " + moment.error());
    return moment;
}

std::string text_of_refusal(const recovery::Refusal& refusal) {
    return (refusal.error.code == Code::damaged ? "CORRUPT " : "ERR ") + refusal.text;
}

std::string text_of_lsn(engine::Timeline timeline, engine::Lsn lsn) {
    return std::to_string(timeline) + ":" + std::to_string(lsn.value);
}

Flow firn_log(Call& call) {
    recovery::ListOptions options;
    options.count = kCountDefault;
    for (std::size_t at = 2; at < call.argc();) {
        const auto option = call.arg(at++);
        if (at == call.argc()) return call.syntax_error();
        if (equal_folded(option, "since") || equal_folded(option, "until")) {
            auto moment = take_moment(call, at);
            if (!moment) return call.error(moment.error());
            (equal_folded(option, "since") ? options.since : options.until) = std::move(*moment);
        } else if (equal_folded(option, "match")) {
            options.matches = [pattern = std::string(call.arg(at++))](std::string_view key) {
                return text::glob(pattern, key);
            };
        } else if (equal_folded(option, "kind")) {
            std::string name(call.arg(at++));
            for (auto& letter : name) letter = text::lower(letter);
            options.event = recovery::event_named(name);
            if (!options.event)
                return call.error(
                    "ERR KIND is one of set del expired expire persist bind unbind field fielddel "
                    "part flush unflush swap mark");
        } else if (equal_folded(option, "count")) {
            const auto count = parse_count(call.arg(at++));
            if (!count) return call.error(count.error());
            options.count = *count;
        } else {
            return call.syntax_error();
        }
    }
    return list(call, std::move(options));
}

Flow firn_history(Call& call) {
    recovery::ListOptions options;
    options.count = kCountDefault;
    options.only =
        recovery::KeyOf{.database = call.client.who.database, .key = std::string(call.arg(2))};
    if (call.argc() != 3) {
        if (call.argc() != 5 || !equal_folded(call.arg(3), "count")) return call.syntax_error();
        const auto count = parse_count(call.arg(4));
        if (!count) return call.error(count.error());
        options.count = *count;
    }
    return list(call, std::move(options));
}

Flow firn_get(Call& call) {
    recovery::KeyWish wanted{
        .database = call.client.who.database, .key = std::string(call.arg(2)), .field = {}};
    std::size_t at = 3;
    // A moment is one word, a time alone, or two of which the first one says what the second is.
    const auto words = call.argc() - at;
    if (words > 3) return call.syntax_error();
    if (words == 3 || (words == 2 && !is_moment_word(call.arg(at))))
        wanted.field = std::string(call.arg(at++));
    auto& recall = call.server.recall();
    auto moment = take_moment(call, at);
    if (!moment) return call.error(moment.error());
    if (at != call.argc()) return call.syntax_error();
    recovery::PastOptions options{
        .moment = std::move(*moment),
        .now_us = call.server.clock().wall().us,
        .databases = static_cast<std::uint32_t>(call.server.config().databases),
        .progress = {},
        .give_up = [&recall] { return recall.stopping(); }};
    return recall.ask(call,
                      [&pasts = call.server.pasts(), options = std::move(options),
                       wanted = std::move(wanted)](io::Files& files, resp::Writer& out) -> Written {
                          const auto past = pasts.open_for_key(files, options, wanted);
                          if (!past) return tl::unexpected(past.error());
                          return write_wanted((*past)->past().engine(), wanted, out);
                      });
}

}  // namespace firnlog::server
