#include "recovery/restore.hpp"

#include <cinttypes>
#include <cstdio>

#include "io/guarded_copy.hpp"
#include "io/system_clock.hpp"
#include "io/uring.hpp"
#include "src/cli/aside.hpp"
#include "src/cli/moment_option.hpp"
#include "src/cli/percents.hpp"
#include "src/cli/source.hpp"
#include "src/cli/verbs.hpp"
#include "src/text/glob.hpp"
#include "src/trial.hpp"

namespace firnlog::server::cli {
namespace {

constexpr std::string_view kHelp =
    R"(usage: firnlog restore --from STORE --to NEWDIR
                       [--at TIME | --before TIME | --lsn LSN | --mark NAME]
                       [--keys PATTERN] [--ttl shift|keep|drop] [--dry-run] [--no-digest]

Makes a new store in NEWDIR, which must not exist or be empty, of the store in STORE as it was at a
moment; without one, as it is now. STORE is only read, and a server may run on it. Files are linked
where they can be, so little is copied. The new store is built in NEWDIR.tmp and gets its name when
it is whole; it can be opened at every moment before this one as well.

  --at TIME       what was committed up to then: 2026-11-26T04:10:00Z (a zone may stand for the Z;
                  without one it is UTC), @1795666200.5 (seconds since 1970), -5m, -1h30m
  --before TIME   what was committed before it
  --lsn LSN       what the log held up to there, as FIRN LSN and firnlog log show it: 4711 or 2:4711
  --mark NAME     what FIRN MARK has named
  --keys PATTERN  only keys that match, as in KEYS; the new store has no history then
  --ttl shift     a key has as long to live as it had at the moment (the rule if nothing is said)
        keep      it expires when it would have, which may be now
        drop      it does not expire
  --dry-run       tell what would be done, write nothing
  --no-digest     do not read every value to make the digest

The digest is that of FIRN DIGEST at the moment, before --ttl; it is made from what was restored.
With --keys it is that of a store that held nothing else, made from STORE.

Exit codes: 0 done, 1 could not, 3 damaged.
)";

struct Options {
    std::string from;
    std::string to;
    std::optional<recovery::Moment> moment;
    std::optional<std::string> keys;
    recovery::Ttl ttl = recovery::Ttl::shift;
    bool dry_run = false;
    bool digest = true;
};

int could_not(const std::string& why) {
    std::fprintf(stderr, "firnlog restore: %s\n", why.c_str());
    return 1;
}

int failed(const recovery::Refusal& refusal) {
    (void)could_not(refusal.text);
    return refusal.exit_code();
}

// The error says what is wrong; an empty one asks for the help.
tl::expected<Options, std::string> parse(Arguments arguments) {
    Options options;
    const auto wrong = [](std::string text) { return tl::unexpected(std::move(text)); };
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const auto& argument = arguments[i];
        if (argument == "--dry-run") {
            options.dry_run = true;
            continue;
        }
        if (argument == "--no-digest") {
            options.digest = false;
            continue;
        }
        if (i + 1 == arguments.size()) return wrong("");
        const auto& value = arguments[++i];
        if (moment_word(argument)) {
            if (auto taken = take_moment(options.moment, argument, value); !taken)
                return wrong(taken.error());
        } else if (argument == "--from") {
            options.from = value;
        } else if (argument == "--to") {
            options.to = value;
        } else if (argument == "--keys") {
            options.keys = value;
        } else if (argument == "--ttl" && value == "keep") {
            options.ttl = recovery::Ttl::keep;
        } else if (argument == "--ttl" && value == "drop") {
            options.ttl = recovery::Ttl::drop;
        } else if (argument == "--ttl" && value == "shift") {
            options.ttl = recovery::Ttl::shift;
        } else {
            return wrong("");
        }
    }
    if (options.from.empty() || (options.to.empty() && !options.dry_run)) return wrong("");
    return options;
}

void tell(const char* what, const std::string& text) {
    std::printf("%-10s %s\n", what, text.c_str());
}

void print(const recovery::RestorePlan& plan, const Options& options) {
    tell("store", options.from + ", made " + recovery::text_of_time(plan.source.created_us));
    tell("oldest", recovery::text_of(plan.oldest));
    tell("newest", recovery::text_of(plan.newest));
    tell("moment", recovery::text_of(plan.place));
    const auto files = std::to_string(plan.whole.size() + plan.checkpoints.size()) + " whole (" +
                       std::to_string(plan.checkpoints.size()) + " of them checkpoints), " +
                       (plan.cut ? "1 up to the moment" : "none cut") + ", " +
                       std::to_string(plan.bytes) + " bytes";
    tell("files", options.keys ? "none: keys are copied" : files);
}

using Wants = std::function<bool(std::string_view)>;

Wants wish_of(const std::optional<std::string>& keys) {
    if (!keys) return {};
    return [pattern = *keys](std::string_view key) { return text::glob(pattern, key); };
}

// Keys and digest as of the moment.
int print_state(io::Files& files, io::Clock& clock, const recovery::RestorePlan& plan,
                const Options& options) {
    const auto state = [&] {
        Percents percents("restore", "reading values", clock);
        return state_of_moment(
            files, clock, plan.place,
            {.digest = options.digest,
             .wants = wish_of(options.keys),
             .progress = [&](std::uint64_t done, std::uint64_t all) { percents.tell(done, all); }});
    }();
    // Of some keys it is read from a store that may be served, and may have let go of the moment.
    const bool is_extra = options.keys && !options.dry_run;
    if (!state && is_extra && state.error().error.code != Code::damaged) {
        tell("digest", "unknown: " + state.error().text);
        return 0;
    }
    if (!state) return failed(state.error());
    tell("keys",
         std::to_string(state->keys) + ", " + std::to_string(state->expires) + " of them expire");
    if (state->digest) tell("digest", text::hex(*state->digest));
    return 0;
}

recovery::RestoreOptions restore_options(const Options& options) {
    recovery::RestoreOptions made;
    made.moment = options.moment.value_or(recovery::Moment{});
    made.ttl = options.ttl;
    made.wants = wish_of(options.keys);
    return made;
}

// A backup is read first: one that is damaged is not restored by half.
recovery::Opening<Source> open_source(const Options& options) {
    auto source = Source::open(options.from, options.moment.value_or(recovery::Moment{}));
    if (!source || source->backup() == nullptr || !options.digest) return source;
    const auto verified = [&] {
        const io::SystemClock clock;
        Percents percents("restore", "reading the backup", clock);
        return recovery::verify_backup(source->directory(), *source->backup(),
                                       [&](std::uint64_t done, std::uint64_t all) {
                                           percents.tell(done, all);
                                           return true;
                                       });
    }();
    if (!verified) return tl::unexpected(verified.error());
    if (!verified->faults.empty())
        return recovery::refuse({.code = Code::damaged, .doing = "read a backup"},
                                "damaged: " + verified->faults.front());
    return source;
}

int dry_run(const Options& options) {
    auto from = open_source(options);
    if (!from) return failed(from.error());
    io::SystemClock clock;
    const auto plan = recovery::plan_restore(from->files(), clock, restore_options(options));
    if (!plan) return failed(plan.error());
    print(*plan, options);
    const int code = print_state(from->files(), clock, *plan, options);
    if (code == 0) tell("dry run", "nothing was written");
    return code;
}

int run(const Options& options) {
    auto from = open_source(options);
    if (!from) return failed(from.error());
    auto aside = Aside::make(options.to);
    if (!aside) return could_not(aside.error());
    auto ring = io::make_uring();
    io::SystemClock clock;
    if (!ring) {
        aside->remove();
        return could_not(ring.error().text());
    }
    const auto restored = [&] {
        Percents percents("restore", "restoring", clock);
        auto wish = restore_options(options);
        wish.progress = [&](const recovery::Progress& now) {
            percents.tell(now.bytes_done, now.bytes_all);
        };
        return recovery::restore(from->files(), aside->files(), clock, **ring, wish);
    }();
    if (!restored) {
        aside->remove();
        return failed(restored.error());
    }
    print(restored->plan, options);
    // With a choice of keys the new store has not got the moment.
    auto& files = options.keys ? from->files() : aside->files();
    if (const int code = print_state(files, clock, restored->plan, options); code != 0) {
        aside->remove();
        return code;
    }
    if (const auto placed = aside->put_in_place(); !placed) return could_not(placed.error());
    if (options.keys) {
        tell("took", std::to_string(restored->keys) + " keys copied");
    } else {
        tell("took", std::to_string(restored->linked) + " linked, " +
                         std::to_string(restored->cloned) + " cloned, " +
                         std::to_string(restored->copied) + " copied");
        if (options.ttl != recovery::Ttl::keep)
            tell("ttl", std::to_string(restored->shifted) + " keys " +
                            (options.ttl == recovery::Ttl::shift ? "have their time to live again"
                                                                 : "do not expire any more"));
    }
    tell("restored", options.to);
    return 0;
}

}  // namespace

int restore(Arguments arguments) {
    if (!arguments.empty() && (arguments.front() == "--help" || arguments.front() == "-h")) {
        std::fwrite(kHelp.data(), 1, kHelp.size(), stdout);
        return 0;
    }
    const auto options = parse(arguments);
    if (!options) {
        if (!options.error().empty()) return could_not(options.error());
        std::fwrite(kHelp.data(), 1, kHelp.size(), stderr);
        return 1;
    }
    io::install_sigbus_guard();
    return options->dry_run ? dry_run(*options) : run(*options);
}

}  // namespace firnlog::server::cli
