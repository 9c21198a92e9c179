#include "src/bench/options.hpp"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "src/bench/presets.hpp"
#include "src/text/numbers.hpp"

namespace firnlog::bench {
namespace {

using Failure = tl::unexpected<std::string>;

constexpr unsigned kConnectionsMax = 50'000;
constexpr unsigned kPipelineMax = 10'000;
constexpr unsigned kThreadsMax = 64;
constexpr double kRateMin = 0.01;  // one in a hundred seconds
constexpr double kRateMax = 1e9;
constexpr double kWeightMax = 1e9;
// Requests on their way are in memory: so many, and so many bytes, are still sensible.
constexpr std::uint64_t kOnWayMax = 16'000'000;
constexpr std::uint64_t kOnWayBytesMax = std::uint64_t{8} << 30;

constexpr std::string_view kHelp =
    R"(usage: firnlog bench [options]

Loads any RESP server and tells how long its replies took. With --rate N requests leave by a
schedule and each latency counts from when its request should have left, so that a stall is seen
by every request that it would have met (open loop). With --rate max a connection waits for its
replies before it sends again (closed loop): good for throughput, blind to stalls.

the server
  --host H, -h H            127.0.0.1
  --port P, -p P            6379
  --socket PATH             a unix socket instead
  --user U, --password W, -a W    AUTH first
  --db N                    SELECT first

  --start 'CMD'             start this server first, as 'redis-server --port {port} --dir {dir}';
                            it ends, and its directory goes, when the run is over
  --vs 'CMD'                and this one, to be compared with the first under the same load, in
                            --slices N (6) that alternate, each after a warm-up; may be repeated
  --data-dir DIR            where their directories are made (.): a disk like the real one's

the load
  --rate N|max              requests a second in all; max (the default) is the closed loop
  --duration D              measured time (10s), after --warmup D (1s)
  --requests N, -n N        at most so many requests, instead of a time
  --clients C, -c C         connections (50)
  --pipeline P, -P P        at most so many requests on their way on each (1)
  --threads T               threads of ours (1)
  --keys N, -r N            1M;  --key-prefix TEXT (key:)
  --dist D                  uniform, zipf:0.99, sequential, hotspot:1% (half of the accesses on
                            that share; hotspot:1%:90% for 90 of 100), latest:0.99
  --value BYTES, -d BYTES   100, or 64-4096 for anything between
  --ratio SET:GET           1:1
  --command TEXT            instead of --ratio, and may be repeated, each with --command-ratio N:
                            'SET {key} {value}'. Also {another} key, {new} key, {random:N},
                            {random:A-B}; ' ; ' between commands that leave together
  --preset NAME             ycsb-a … ycsb-f, or redis-benchmark: all the tests of that program
  --tests TESTS, -t TESTS   some of them, as set,get,lrange
  --load                    first write every key once (presets of YCSB do, unless --no-load)
  --seed S                  the same keys and values in the same order
  --wake early|due|spin     how a thread waits for the next request: it wakes 60 µs before and
                            looks around (early, the default), sleeps until it is due, or never
                            sleeps

beside it
  --events 'BGSAVE@10s;...' commands fired at these times of the measured part (of each slice of
                            it), watched until they are over; percentiles inside and outside

the result
  --html F                  a page that shows it: percentile curve, time-line with events, tables
  --json F, --csv F         everything measured, also by second
  --quiet, -q               nothing while it runs

Numbers may end in k, M, G, times in ms, s, m, h. A figure in brackets is not measured: the
generator's own lateness at that percentile is more than half of it.

Exit codes: 0 measured, 1 could not.
)";

struct Parsing {
    Options options;
    std::vector<std::string> commands;
    std::vector<double> command_ratios;
    std::string ratio = "1:1";
    std::string preset;
    std::string tests;
    std::optional<Distribution> distribution;
    std::vector<std::string_view> given;  // flags, by their long names
    std::string why;                      // what a flag's own parser said

    [[nodiscard]] bool has(std::string_view name) const {
        return std::ranges::find(given, name) != given.end();
    }
};

struct Flag {
    std::string_view name;
    std::string_view short_name;
    bool takes_value;
    // False: the value is none.
    bool (*apply)(Parsing& parsing, const std::string& value);
};

bool take_number(const std::string& text, double least, double most, auto& into) {
    const auto number = parse_count(text);
    if (!number || *number < least || *number > most || *number != std::floor(*number))
        return false;
    into = static_cast<std::remove_reference_t<decltype(into)>>(*number);
    return true;
}

bool take_duration(const std::string& text, std::uint64_t& into) {
    const auto duration = parse_duration_ns(text);
    if (duration) into = *duration;
    return duration.has_value();
}

constexpr Flag kFlags[] = {
    {"--help", "", false, [](Parsing& p, const std::string&) { return p.options.help = true; }},
    {"--host", "-h", true,
     [](Parsing& p, const std::string& v) {
         p.options.plan.target.host = v;
         return !v.empty();
     }},
    {"--port", "-p", true,
     [](Parsing& p, const std::string& v) {
         return take_number(v, 1, 65535, p.options.plan.target.port);
     }},
    {"--socket", "-s", true,
     [](Parsing& p, const std::string& v) {
         p.options.plan.target.socket_path = v;
         return !v.empty();
     }},
    {"--user", "", true,
     [](Parsing& p, const std::string& v) {
         p.options.plan.target.user = v;
         return true;
     }},
    {"--password", "-a", true,
     [](Parsing& p, const std::string& v) {
         p.options.plan.target.password = v;
         return true;
     }},
    {"--db", "", true,
     [](Parsing& p, const std::string& v) {
         return take_number(v, 0, 1e9, p.options.plan.target.database);
     }},
    {"--rate", "", true,
     [](Parsing& p, const std::string& v) {
         if (v == "max") {
             p.options.plan.rate = 0;
             return true;
         }
         const auto rate = parse_count(v);
         if (!rate || *rate < kRateMin || *rate > kRateMax) return false;
         p.options.plan.rate = *rate;
         return true;
     }},
    {"--duration", "", true,
     [](Parsing& p, const std::string& v) {
         return take_duration(v, p.options.plan.duration_ns) && p.options.plan.duration_ns != 0;
     }},
    {"--warmup", "", true,
     [](Parsing& p, const std::string& v) { return take_duration(v, p.options.plan.warmup_ns); }},
    {"--requests", "-n", true,
     [](Parsing& p, const std::string& v) {
         return take_number(v, 1, 1e15, p.options.plan.requests);
     }},
    {"--clients", "-c", true,
     [](Parsing& p, const std::string& v) {
         return take_number(v, 1, kConnectionsMax, p.options.plan.connections);
     }},
    {"--pipeline", "-P", true,
     [](Parsing& p, const std::string& v) {
         return take_number(v, 1, kPipelineMax, p.options.plan.pipeline);
     }},
    {"--threads", "", true,
     [](Parsing& p, const std::string& v) {
         return take_number(v, 1, kThreadsMax, p.options.plan.threads);
     }},
    {"--keys", "-r", true,
     [](Parsing& p, const std::string& v) {
         return take_number(v, 1, static_cast<double>(kKeysMax), p.options.plan.keys.count);
     }},
    {"--key-prefix", "", true,
     [](Parsing& p, const std::string& v) {
         p.options.plan.keys.prefix = v;
         return v.size() <= 1024;
     }},
    {"--dist", "", true,
     [](Parsing& p, const std::string& v) {
         p.distribution = parse_distribution(v);
         return p.distribution.has_value();
     }},
    {"--value", "-d", true,
     [](Parsing& p, const std::string& v) {
         const auto bytes = parse_value_bytes(v);
         if (bytes) p.options.plan.keys.value = *bytes;
         return bytes.has_value();
     }},
    {"--ratio", "", true,
     [](Parsing& p, const std::string& v) {
         p.ratio = v;
         return v.find(':') != std::string::npos;
     }},
    {"--command", "", true,
     [](Parsing& p, const std::string& v) {
         p.commands.push_back(v);
         p.command_ratios.push_back(1);
         return true;
     }},
    {"--command-ratio", "", true,
     [](Parsing& p, const std::string& v) {
         const auto weight = parse_count(v);
         if (!weight || *weight <= 0 || *weight > kWeightMax || p.command_ratios.empty())
             return false;
         p.command_ratios.back() = *weight;
         return true;
     }},
    {"--preset", "", true,
     [](Parsing& p, const std::string& v) {
         p.preset = v;
         return true;
     }},
    {"--tests", "-t", true,
     [](Parsing& p, const std::string& v) {
         p.tests = v;
         return !v.empty();
     }},
    {"--load", "", false,
     [](Parsing& p, const std::string&) { return p.options.loads_first = true; }},
    {"--no-load", "", false, [](Parsing&, const std::string&) { return true; }},
    {"--seed", "", true,
     [](Parsing& p, const std::string& v) {
         const auto seed = server::text::parse_u64(v);
         p.options.plan.seed = seed.value_or(0);
         return seed.has_value();
     }},
    {"--wake", "", true,
     [](Parsing& p, const std::string& v) {
         using Wake = LoadPlan::Wake;
         p.options.plan.wake = v == "spin"  ? Wake::never_sleeps
                               : v == "due" ? Wake::when_due
                                            : Wake::early;
         return v == "spin" || v == "due" || v == "early";
     }},
    {"--start", "", true,
     [](Parsing& p, const std::string& v) {
         p.options.start = v;
         return !v.empty();
     }},
    {"--vs", "", true,
     [](Parsing& p, const std::string& v) {
         p.options.vs.push_back(v);
         return !v.empty();
     }},
    {"--data-dir", "", true,
     [](Parsing& p, const std::string& v) {
         p.options.data_dir = v;
         return !v.empty();
     }},
    {"--slices", "", true,
     [](Parsing& p, const std::string& v) { return take_number(v, 1, 1000, p.options.slices); }},
    {"--events", "", true,
     [](Parsing& p, const std::string& v) {
         auto events = parse_events(v);
         if (!events) {
             p.why = events.error();
             return false;
         }
         p.options.events = std::move(*events);
         return true;
     }},
    {"--json", "", true,
     [](Parsing& p, const std::string& v) {
         p.options.json_file = v;
         return !v.empty();
     }},
    {"--csv", "", true,
     [](Parsing& p, const std::string& v) {
         p.options.csv_file = v;
         return !v.empty();
     }},
    {"--html", "", true,
     [](Parsing& p, const std::string& v) {
         p.options.html_file = v;
         return !v.empty();
     }},
    {"--quiet", "-q", false, [](Parsing& p, const std::string&) { return p.options.quiet = true; }},
};

const Flag* find_flag(std::string_view word) {
    const auto found = std::ranges::find_if(kFlags, [&](const Flag& flag) {
        return word == flag.name || (!flag.short_name.empty() && word == flag.short_name);
    });
    return found == std::end(kFlags) ? nullptr : found;
}

// What is sent, from whichever of --preset, -t, --command, --ratio was given.
tl::expected<void, std::string> choose_workloads(Parsing& parsing) {
    auto& options = parsing.options;
    const Keys& keys = options.plan.keys;
    if (parsing.has("--preset")) {
        auto preset = find_preset(parsing.preset, keys);
        if (!preset) return Failure("--preset: " + preset.error());
        options.workloads = std::move(preset->workloads);
        if (preset->load) {
            options.load = std::move(*preset->load);
            options.loads_first = true;
        }
        if (preset->distribution && !parsing.distribution)
            options.plan.keys.distribution = *preset->distribution;
        return {};
    }
    if (parsing.has("--tests")) {
        auto tests = find_tests(parsing.tests, keys);
        if (!tests) return Failure("-t: " + tests.error());
        options.workloads = std::move(*tests);
        return {};
    }
    Workload workload;
    for (std::size_t i = 0; i < parsing.commands.size(); ++i) {
        auto parsed = Operation::parse(parsing.commands[i], keys);
        if (!parsed) return Failure("--command '" + parsing.commands[i] + "': " + parsed.error());
        workload.entries.push_back(
            {.operation = std::move(*parsed), .weight = parsing.command_ratios[i]});
    }
    if (parsing.commands.empty()) {
        const auto colon = parsing.ratio.find(':');
        const auto sets = parse_count(std::string_view(parsing.ratio).substr(0, colon));
        const auto gets = parse_count(std::string_view(parsing.ratio).substr(colon + 1));
        if (!sets || !gets || *sets < 0 || *gets < 0 || *sets + *gets <= 0 || *sets > kWeightMax ||
            *gets > kWeightMax)
            return Failure("--ratio " + parsing.ratio + ": two numbers are wanted, as 1:10");
        if (*sets > 0)
            workload.entries.push_back(
                {.operation = *Operation::parse("SET {key} {value}", keys), .weight = *sets});
        if (*gets > 0)
            workload.entries.push_back(
                {.operation = *Operation::parse("GET {key}", keys), .weight = *gets});
    }
    for (const auto& entry : workload.entries)
        workload.name += (workload.name.empty() ? "" : "/") + entry.operation.name();
    options.workloads.push_back(std::move(workload));
    return {};
}

// Flags that say two things about one, or nothing at all without another.
struct Rule {
    std::string_view flag;
    std::string_view other;
    bool together;  // it needs the other; else it does not go with it
    std::string_view why;
};

constexpr Rule kRules[] = {
    {"--start", "--host", false, "which of them is the server?"},
    {"--start", "--port", false, "which of them is the server?"},
    {"--start", "--socket", false, "which of them is the server?"},
    {"--socket", "--host", false, "which of them is the server?"},
    {"--socket", "--port", false, "which of them is the server?"},
    {"--user", "--password", true, "AUTH wants both"},
    {"--slices", "--vs", true, "there is nothing to alternate with"},
    {"--command", "--preset", false, "both say what is sent"},
    {"--command", "--tests", false, "both say what is sent"},
    {"--preset", "--tests", false, "both say what is sent"},
    {"--ratio", "--command", false, "both say what is sent"},
    {"--ratio", "--preset", false, "both say what is sent"},
    {"--ratio", "--tests", false, "both say what is sent"},
    {"--load", "--no-load", false, "which of them?"},
};

tl::expected<void, std::string> check_rules(const Parsing& parsing) {
    for (const auto& rule : kRules)
        if (parsing.has(rule.flag) && parsing.has(rule.other) != rule.together)
            return Failure(std::string(rule.flag) + (rule.together ? " without " : " and ") +
                           std::string(rule.other) + ": " + std::string(rule.why));
    if (parsing.has("--data-dir") && !parsing.has("--start") && !parsing.has("--vs"))
        return Failure("--data-dir: no server is started that would want one");
    return {};
}

tl::expected<void, std::string> check_sizes(const Options& options) {
    const auto& plan = options.plan;
    if (plan.connections < plan.threads)
        return Failure("--threads: more than there are connections to deal among them");
    const auto on_way = std::uint64_t{plan.connections} * plan.pipeline;
    if (on_way > kOnWayMax)
        return Failure("--clients times --pipeline: more than 16 million requests on their way");
    if (on_way * plan.keys.value.most > kOnWayBytesMax)
        return Failure("--clients times --pipeline times --value: more than 8 GiB on their way");
    return {};
}

// What only the whole can tell.
tl::expected<void, std::string> settle(Parsing& parsing) {
    constexpr std::uint64_t kShortNs = 120'000'000'000;
    auto& plan = parsing.options.plan;
    if (auto checked = check_rules(parsing); !checked) return checked;
    if (auto checked = check_sizes(parsing.options); !checked) return checked;
    if (plan.requests != 0 && !parsing.has("--duration")) plan.duration_ns = kForeverNs;
    const unsigned slices = parsing.options.vs.empty() ? 1 : parsing.options.slices;
    if (plan.requests != 0 && plan.requests < slices)
        return Failure("--requests: fewer than there are slices");
    for (const auto& event : parsing.options.events)
        if (event.at_ns >= plan.duration_ns / slices)
            return Failure("--events: '" + event.text + "' comes after the end" +
                           (slices > 1 ? " of a slice; each slice has its events" : ""));
    if (parsing.distribution) plan.keys.distribution = *parsing.distribution;
    // What a picture can still show: a tenth of a second, or a second in a long run.
    plan.slot_ns = plan.duration_ns <= kShortNs ? 100'000'000 : 1'000'000'000;
    parsing.options.load = load_of_strings(plan.keys);
    if (auto chosen = choose_workloads(parsing); !chosen) return chosen;
    if (parsing.has("--no-load")) parsing.options.loads_first = false;
    return {};
}

}  // namespace

std::string_view help_text() { return kHelp; }

std::optional<std::uint64_t> parse_duration_ns(std::string_view text) {
    constexpr std::pair<std::string_view, double> kUnits[] = {
        {"ms", 1e6}, {"us", 1e3}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
    double unit = 1e9;
    for (const auto& [name, ns] : kUnits) {
        if (!text.ends_with(name)) continue;
        unit = ns;
        text.remove_suffix(name.size());
        break;
    }
    const auto number = server::text::parse_double(text);
    if (!number || *number < 0 || *number * unit > 1e16) return std::nullopt;
    return static_cast<std::uint64_t>(std::llround(*number * unit));
}

std::optional<double> parse_count(std::string_view text) {
    double unit = 1;
    if (!text.empty()) {
        switch (text.back()) {
            case 'k':
            case 'K':
                unit = 1e3;
                break;
            case 'm':
            case 'M':
                unit = 1e6;
                break;
            case 'g':
            case 'G':
                unit = 1e9;
                break;
            default:
                break;
        }
        if (unit > 1) text.remove_suffix(1);
    }
    const auto number = server::text::parse_double(text);
    if (!number || !std::isfinite(*number)) return std::nullopt;
    return *number * unit;
}

tl::expected<Options, std::string> parse_options(std::span<const std::string> words) {
    Parsing parsing;
    if (::getrandom(&parsing.options.plan.seed, sizeof parsing.options.plan.seed, 0) < 0)
        return Failure("no random seed; give --seed");
    parsing.options.plan.seed %= 1'000'000'000;
    // The other verbs take -h for help; here it is redis-benchmark's host when one follows.
    if (words.size() == 1 && words[0] == "-h") {
        parsing.options.help = true;
        return parsing.options;
    }
    for (std::size_t i = 0; i < words.size(); ++i) {
        const Flag* const flag = find_flag(words[i]);
        if (flag == nullptr) return Failure("no option '" + words[i] + "'");
        std::string value;
        if (flag->takes_value) {
            if (i + 1 == words.size()) return Failure(words[i] + ": its value is missing");
            value = words[++i];
        }
        if (!flag->apply(parsing, value))
            return Failure(
                std::string(flag->name) + ": " +
                (parsing.why.empty() ? "'" + value + "' is not what it takes" : parsing.why));
        if (parsing.options.help) return parsing.options;
        parsing.given.push_back(flag->name);
    }
    if (auto settled = settle(parsing); !settled) return Failure(settled.error());
    return std::move(parsing.options);
}

}  // namespace firnlog::bench
