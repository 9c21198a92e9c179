#include <array>
#include <cmath>
#include <cstdio>
#include <optional>

#include "io/system_clock.hpp"
#include "src/backup_plan.hpp"
#include "src/cli/source.hpp"
#include "src/cli/verbs.hpp"
#include "src/text/json.hpp"

// firnlog plan: what each backup policy would cost this store.

namespace firnlog::server::cli {
namespace {

constexpr std::string_view kHelp =
    R"(usage: firnlog plan DIR [--json] [--min-sample AGE]

Tells what each backup-policy would cost the store in DIR, and what it would save, from the store's
own rates: how much it writes, holds and gives back. DIR is only read, and a server may run on it.
Some of the newest log is read and applied, to measure how fast that is here.

  --json             the result as one JSON object; what is not known is null
  --min-sample AGE   take rates that rest on so little: 10m, 90s; without it, an hour

GB a day is what moves to where the backups are; extra IOPS what checkpoints and backups ask of the
store's disk, over the day; disk GB the store with its window; window how far back any moment can be
opened in it; RPO what is lost with the disk at the most; restart how long a start replays after a
crash; restore how long it takes to have the store back from the backup. docs/operations.md tells
how these are made.

Exit codes: 0 done, 1 could not, or too little to tell from, 3 damaged.
)";

struct Options {
    std::string dir;
    bool json = false;
    std::int64_t min_sample_us = std::int64_t{3600} * 1'000'000;
};

int could_not(const std::string& why) {
    std::fprintf(stderr, "firnlog plan: %s\n", why.c_str());
    return 1;
}

// The error says what is wrong; an empty one asks for the help.
tl::expected<Options, std::string> parse(Arguments arguments) {
    Options options;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const auto& argument = arguments[i];
        if (argument == "--json") {
            options.json = true;
        } else if (argument == "--min-sample" && i + 1 < arguments.size()) {
            const auto age = recovery::parse_age(arguments[++i]);
            if (!age)
                return tl::unexpected("--min-sample " + arguments[i] +
                                      ": an age is like 90s, 10m or 2h");
            options.min_sample_us = *age;
        } else if (options.dir.empty() && !argument.starts_with("-")) {
            options.dir = argument;
        } else {
            return tl::unexpected(std::string());
        }
    }
    if (options.dir.empty()) return tl::unexpected(std::string());
    return options;
}

std::string fixed(double value, int digits) {
    std::array<char, 48> text{};
    const int length = std::snprintf(text.data(), text.size(), "%.*f", digits, value);
    return {text.data(), static_cast<std::size_t>(length)};
}

std::string gigabytes(double bytes) {
    const auto value = bytes / 1e9;
    return fixed(value, value < 10 ? 3 : 1);
}

// "45s", "12m", "5.5h", "7d": as coarse as an estimate is.
std::string duration(double seconds) {
    if (seconds < 1) return "<1s";
    if (seconds < 120) return fixed(seconds, 0) + "s";
    if (seconds < 2.0 * 3600) return fixed(seconds / 60, 0) + "m";
    const bool days = seconds > 48.0 * 3600;
    const auto value = seconds / (days ? 24.0 * 3600 : 3600.0);
    const bool whole = std::abs(value - std::round(value)) < 0.05;
    return fixed(value, whole ? 0 : 1) + (days ? "d" : "h");
}

std::string known(double seconds) { return seconds < 0 ? "?" : duration(seconds); }

void tell(const char* what, const std::string& text) {
    std::printf("%-11s %s\n", what, text.c_str());
}

std::string sample_text(const recovery::StoreRates& rates) {
    return duration(static_cast<double>(rates.sample_us) / 1e6) + " from " +
           recovery::text_of_time(rates.oldest.commit_us) + " on";
}

void print(const Options& options, const recovery::StoreRates& rates) {
    constexpr double kDayS = 24.0 * 3600;
    const auto log = rates.log_bytes_a_day();
    tell("store", options.dir);
    tell("sample", sample_text(rates) + ": the rates below rest on it");
    tell("log", gigabytes(log) + " GB a day, " + fixed(log * rates.records_a_byte() / kDayS, 1) +
                    " changes and " + fixed(log * rates.frames_a_byte() / kDayS, 1) +
                    " flushes a second");
    tell("live", gigabytes(static_cast<double>(rates.live_bytes)) + " GB of " +
                     gigabytes(static_cast<double>(rates.files_bytes)) + ", " +
                     fixed(rates.garbage_share() * 100, 0) + " percent are past or dead" +
                     (rates.has_checkpoint ? "" : " (no checkpoint yet: all counts as live)"));
    if (rates.has_checkpoint)
        tell("checkpoint", gigabytes(static_cast<double>(rates.checkpoint_bytes)) + " GB, " +
                               duration(static_cast<double>(rates.checkpoint_age_us) / 1e6) +
                               " old, " + gigabytes(static_cast<double>(rates.checkpoint_behind)) +
                               " GB of log behind it");
    tell("replay", rates.replay_rate() > 0
                       ? fixed(rates.replay_rate() / 1e6, 0) + " MB a second, of " +
                             std::to_string(rates.read.bytes) + " bytes read here on one thread"
                       : "not known: there is less than a MiB of log to measure it with");
}

void print(const BackupPlan& plan) {
    std::printf("\n%-11s %9s %11s %9s %7s %6s %8s %8s\n", "policy", "GB a day", "extra IOPS",
                "disk GB", "window", "RPO", "restart", "restore");
    for (const auto& cost : plan) {
        const auto& policy = kBackupPolicies[static_cast<std::size_t>(cost.policy)];
        const bool any = policy.every_s != 0;
        std::printf("%-11s %9s %11s %9s %7s %6s %8s %8s\n", std::string(policy.name).c_str(),
                    gigabytes(cost.moved_bytes_a_day).c_str(), fixed(cost.extra_iops, 2).c_str(),
                    gigabytes(cost.disk_bytes).c_str(), duration(cost.window_s).c_str(),
                    any ? duration(cost.rpo_s).c_str() : "all", known(cost.restart_s).c_str(),
                    any ? known(cost.restore_s).c_str() : "never");
    }
    std::printf("\n");
    for (const auto& policy : kBackupPolicies)
        std::printf("%-11s %s\n", std::string(policy.name).c_str(),
                    std::string(policy.suits).c_str());
}

void number_or_null(text::Json& json, std::string_view key, double value) {
    json.key(key);
    if (value < 0)
        json.null();
    else
        json.number(value);
}

void print_json(const recovery::StoreRates& rates, const BackupPlan& plan) {
    text::Json json;
    json.begin_object();
    json.key("sample_s").number(static_cast<double>(rates.sample_us) / 1e6);
    json.key("sample_begin").string(recovery::text_of_time(rates.oldest.commit_us));
    json.key("sample_log_bytes").integer(rates.log_bytes);
    json.key("log_bytes_a_day").number(rates.log_bytes_a_day());
    json.key("changes_a_day").number(rates.log_bytes_a_day() * rates.records_a_byte());
    json.key("flushes_a_day").number(rates.log_bytes_a_day() * rates.frames_a_byte());
    json.key("has_checkpoint").boolean(rates.has_checkpoint);
    json.key("live_bytes").integer(rates.live_bytes);
    json.key("files_bytes").integer(rates.files_bytes);
    json.key("garbage_share").number(rates.garbage_share());
    json.key("checkpoint_bytes").integer(rates.checkpoint_bytes);
    json.key("log_bytes_since_checkpoint").integer(rates.checkpoint_behind);
    number_or_null(json, "replay_bytes_s", rates.replay_rate() > 0 ? rates.replay_rate() : -1);
    json.key("policies").begin_array();
    for (const auto& cost : plan) {
        const auto& policy = kBackupPolicies[static_cast<std::size_t>(cost.policy)];
        json.begin_object();
        json.key("policy").string(policy.name);
        json.key("bytes_a_day").number(cost.moved_bytes_a_day);
        json.key("checkpoints_a_day").number(cost.checkpoints_a_day);
        json.key("extra_iops").number(cost.extra_iops);
        json.key("disk_bytes").number(cost.disk_bytes);
        json.key("window_s").number(cost.window_s);
        number_or_null(json, "rpo_s", cost.rpo_s);
        number_or_null(json, "restart_s", cost.restart_s);
        number_or_null(json, "restore_s", cost.restore_s);
        json.key("suits").string(policy.suits);
        json.end();
    }
    json.end().end();
    std::printf("%s\n", json.text().c_str());
}

}  // namespace

int plan(Arguments arguments) {
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
    auto source = Source::open(options->dir);
    io::SystemClock clock;
    const auto rates =
        source ? recovery::rates_of(source->files(), clock)
               : recovery::Opening<recovery::StoreRates>(tl::unexpected(source.error()));
    if (!rates) {
        (void)could_not(rates.error().text);
        return rates.error().exit_code();
    }
    // A rate that rests on minutes says nothing about a day.
    if (rates->sample_us < options->min_sample_us)
        return could_not("the log tells of " + sample_text(*rates) +
                         ": too little to tell a day from; ask again later, or take it as it is "
                         "with --min-sample");
    const auto costs = plan_backups(*rates);
    if (options->json) {
        print_json(*rates, costs);
        return 0;
    }
    print(*options, *rates);
    print(costs);
    return 0;
}

}  // namespace firnlog::server::cli
