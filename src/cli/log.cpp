// firnlog log: what happened when. firnlog history: how far the past reaches, and what keeps it.

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "engine/format/names.hpp"
#include "engine/history.hpp"
#include "io/system_clock.hpp"
#include "recovery/listing.hpp"
#include "src/cli/moment_option.hpp"
#include "src/cli/source.hpp"
#include "src/cli/verbs.hpp"
#include "src/text/glob.hpp"
#include "src/text/numbers.hpp"
#include "src/text/quote.hpp"

namespace firnlog::server::cli {
namespace {

constexpr std::string_view kLogHelp =
    R"(usage: firnlog log DIR [--since MOMENT] [--until MOMENT] [--match PATTERN] [--kind KIND]
                       [--count N]

Lists what happened in the store in DIR, one line an effect, in the order of its log: when it was
committed, its lsn (timeline:number), the database, what it was, the key. Changes nothing and takes
no lock: a server may run on it.

The lsn of a line names the moment just before it: firnlog restore --lsn takes it as it stands.

  --since MOMENT   what happened behind it, all that is left where it is older than that, and up to
  --until MOMENT   this one: a time as firnlog restore takes it (2026-11-26T04:10:00Z, @1795666200,
                   -5m), "lsn 2:4711", "before -5m" or "mark NAME"
  --match PATTERN  keys that match, as in KEYS; or marks
  --kind KIND      set del expired expire persist bind unbind field fielddel part flush
                   unflush swap mark
  --count N        the newest N of what fits (1000)

Exit codes: 0 done, 1 could not, 3 damaged.
)";

constexpr std::string_view kHistoryHelp =
    R"(usage: firnlog history DIR

Tells how far the past of the store in DIR reaches: the oldest and the newest moment that firnlog
restore can make a store of, the timelines, the checkpoints, how much log there is, and what keeps
how much of it. Changes nothing and takes no lock: a server may run on it.

Exit codes: 0 done, 1 could not, 3 damaged.
)";

int help(std::string_view text, bool asked) {
    std::fwrite(text.data(), 1, text.size(), asked ? stdout : stderr);
    return asked ? 0 : 1;
}

bool asks_for_help(Arguments arguments) {
    return !arguments.empty() && (arguments.front() == "--help" || arguments.front() == "-h");
}

int could_not(const char* verb, const std::string& why) {
    std::fprintf(stderr, "firnlog %s: %s\n", verb, why.c_str());
    return 1;
}

int failed(const char* verb, const recovery::Refusal& refusal) {
    (void)could_not(verb, refusal.text);
    return refusal.exit_code();
}

// Of the files that are there: for whom. What a server's configuration asks for is not known here.
recovery::Opening<engine::Keepers> keepers_of(recovery::History& history) {
    const auto& manifest = history.manifest();
    std::vector<engine::FullFile> files;
    for (const auto& piece : history.pieces())
        files.push_back({.number = piece.file.number,
                         .begin = piece.file.base(),
                         .end = piece.end,
                         .bytes = piece.file.bytes});
    // Nobody gives back what the log goes on in.
    if (!files.empty()) files.pop_back();
    const auto listed = history.files().list("");
    if (!listed) return recovery::refuse(listed.error());
    for (const auto& info : *listed)
        if (const auto number = engine::names::packed_number(info.name);
            number && std::ranges::count(manifest.packed, *number) != 0)
            files.push_back({.number = *number, .bytes = info.bytes, .packed = true});
    return engine::keepers(manifest, files);
}

// "mark NAME", "lsn 4711", "before TIME", "at TIME" or a time alone.
tl::expected<recovery::Moment, std::string> parse_named(std::string_view text,
                                                        std::int64_t now_us) {
    const auto blank = text.find(' ');
    if (blank != std::string_view::npos)
        if (auto named =
                recovery::parse_moment(text.substr(0, blank), text.substr(blank + 1), now_us))
            return named;
    return recovery::parse_moment("AT", text, now_us);
}

struct LogOptions {
    std::string dir;
    std::optional<std::string> match;
    recovery::ListOptions list;
};

// The error says what is wrong; an empty one asks for the help.
tl::expected<LogOptions, std::string> parse(Arguments arguments, std::int64_t now_us) {
    LogOptions options;
    options.list.now_us = now_us;
    const auto wrong = [](std::string text) { return tl::unexpected(std::move(text)); };
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const auto& argument = arguments[i];
        if (!argument.starts_with("-") && options.dir.empty()) {
            options.dir = argument;
            continue;
        }
        if (i + 1 == arguments.size()) return wrong("");
        const auto& value = arguments[++i];
        if (argument == "--since" || argument == "--until") {
            auto moment = parse_named(value, now_us);
            if (!moment) return wrong(wrong_option(argument, value, moment.error()));
            (argument == "--since" ? options.list.since : options.list.until) = std::move(*moment);
        } else if (argument == "--match") {
            options.match = value;
        } else if (argument == "--kind") {
            options.list.event = recovery::event_named(value);
            if (!options.list.event)
                return wrong(wrong_option(argument, value, "there is no such kind"));
        } else if (argument == "--count") {
            const auto count = text::parse_u64(value);
            if (!count || *count == 0) return wrong(wrong_option(argument, value, "is no count"));
            options.list.count = *count;
        } else {
            return wrong("");
        }
    }
    if (options.dir.empty()) return wrong("");
    return options;
}

void print(const recovery::Line& line) {
    std::string out = recovery::text_of_time(line.us) + " " + std::to_string(line.timeline) + ":" +
                      std::to_string(line.lsn.value);
    if (line.event != recovery::Event::mark)
        out += line.database ? " db" + std::to_string(*line.database) : " db?";
    out += " ";
    out += recovery::name_of(line.event);
    if (!recovery::is_of_database(line.event)) {
        out += " ";
        if (line.key.empty() && line.event == recovery::Event::field)
            out += "?";
        else
            text::append_quoted(out, line.key);
    }
    if (line.event == recovery::Event::field || line.event == recovery::Event::fielddel) {
        out += " ";
        text::append_quoted(out, line.field);
    }
    if (line.bytes != 0) out += " bytes=" + std::to_string(line.bytes);
    if (line.expires_ms >= 0) out += " expires=" + recovery::text_of_time(line.expires_ms * 1000);
    out += "\n";
    std::fwrite(out.data(), 1, out.size(), stdout);
}

void tell(const char* what, const std::string& text) {
    std::printf("%-10s %s\n", what, text.c_str());
}

void print(const recovery::History& history, const recovery::Place& oldest,
           const recovery::Place& newest, const engine::Keepers& keepers) {
    const auto& manifest = history.manifest();
    tell("made", recovery::text_of_time(manifest.created_us));
    tell("oldest", recovery::text_of(oldest));
    tell("newest", recovery::text_of(newest));
    std::uint64_t bytes = 0;
    for (const auto& piece : history.pieces()) bytes += piece.file.bytes;
    const auto log_bytes = history.end() - history.begin();
    tell("log", std::to_string(log_bytes) + " bytes without a gap, in all " +
                    std::to_string(history.pieces().size()) + " files of " + std::to_string(bytes) +
                    " bytes");
    constexpr std::int64_t kHourUs = std::int64_t{3600} * 1'000'000;
    const auto span_us = newest.commit_us - oldest.commit_us;
    // A rate that rests on less than an hour says nothing about a day.
    if (span_us >= kHourUs)
        tell("a day", std::to_string(static_cast<std::uint64_t>(
                          static_cast<double>(newest.lsn - oldest.lsn) * 24.0 *
                          static_cast<double>(kHourUs) / static_cast<double>(span_us))) +
                          " bytes of log");
    tell("keeps", std::to_string(engine::live_bytes(manifest)) + " bytes live, " +
                      std::to_string(keepers.fall_back) + " for a fall-back, " +
                      std::to_string(keepers.window) + " for moments since the oldest, " +
                      std::to_string(keepers.kept) + " for kept moments");
    const auto tell_checkpoint = [](const char* what, const engine::CheckpointEntry& entry) {
        tell(what, std::to_string(entry.number) + ": lsn " + std::to_string(entry.lo.value) +
                       " to " + std::to_string(entry.hi.value) + ", " +
                       std::to_string(entry.bytes) + " bytes, taken " +
                       recovery::text_of_time(entry.taken_us) + ", leads into " +
                       std::to_string(entry.files.size()) + " files");
    };
    for (const auto& entry : manifest.kept) tell_checkpoint("kept", entry);
    for (const auto& entry : manifest.checkpoints) tell_checkpoint("checkpoint", entry);
    for (const auto& entry : manifest.timelines)
        tell("timeline",
             std::to_string(entry.timeline) + ": lsn " + std::to_string(entry.begin.value) +
                 (entry.end.value != 0 ? " to " + std::to_string(entry.end.value) : " on") +
                 ", begun " + recovery::text_of_time(entry.started_us));
}

}  // namespace

int log(Arguments arguments) {
    if (asks_for_help(arguments)) return help(kLogHelp, true);
    auto options = parse(arguments, io::SystemClock().wall().us);
    if (!options && options.error().empty()) return help(kLogHelp, false);
    if (!options) return could_not("log", options.error());
    if (options->match)
        options->list.matches = [pattern = *options->match](std::string_view key) {
            return text::glob(pattern, key);
        };
    auto source = Source::open(options->dir);
    if (!source) return failed("log", source.error());
    const auto listed = recovery::list_log(source->files(), options->list);
    if (!listed) return failed("log", listed.error());
    for (const auto& line : listed->lines) print(line);
    std::fflush(stdout);
    if (listed->begins)
        std::fprintf(stderr, "firnlog log: the oldest moment is %s: listed from there on\n",
                     recovery::text_of(*listed->begins).c_str());
    if (listed->left_out != 0)
        std::fprintf(stderr, "firnlog log: %llu older lines are left out; --count shows more\n",
                     static_cast<unsigned long long>(listed->left_out));
    return 0;
}

int history(Arguments arguments) {
    if (asks_for_help(arguments)) return help(kHistoryHelp, true);
    if (arguments.size() != 1 || arguments.front().starts_with("-"))
        return help(kHistoryHelp, false);
    auto source = Source::open(arguments.front());
    if (!source) return failed("history", source.error());
    const auto told = recovery::with_history(
        source->files(),
        [](const std::unique_ptr<recovery::History>& history) -> recovery::Opening<void> {
            const auto oldest = history->oldest_place();
            if (!oldest) return tl::unexpected(oldest.error());
            const auto newest = history->find({}, io::SystemClock().wall().us);
            if (!newest) return tl::unexpected(newest.error());
            const auto keepers = keepers_of(*history);
            if (!keepers) return tl::unexpected(keepers.error());
            print(*history, *oldest, *newest, *keepers);
            return {};
        });
    if (told) return 0;
    return failed("history", told.error());
}

}  // namespace firnlog::server::cli
