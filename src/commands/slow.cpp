#include <algorithm>
#include <array>
#include <string>

#include "src/commands/command_table.hpp"
#include "src/commands/replies.hpp"
#include "src/commands/server.hpp"
#include "src/latency.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"
#include "src/slowlog.hpp"
#include "src/text/numbers.hpp"

// What took long: SLOWLOG and LATENCY.
namespace firnlog::server {
namespace {

constexpr std::string_view kOfEntries = "O(N) where N is the number of entries";

// ---- SLOWLOG

Flow slowlog_get(Call& call) {
    constexpr std::int64_t kDefault = 10;
    if (call.argc() > 3) return subcommand_syntax_error(call);
    std::optional<std::int64_t> count = kDefault;
    if (call.argc() == 3) count = text::parse_i64(call.arg(2));
    if (!count || *count < -1) return call.error("ERR count should be greater than or equal to -1");
    const auto most =
        *count < 0 ? std::numeric_limits<std::size_t>::max() : static_cast<std::size_t>(*count);
    const auto commands = call.server.slowlog().newest(most);
    call.out.array(commands.size());
    for (const auto& slow : commands) {
        call.out.array(6);
        call.out.integer(slow.id);
        call.out.integer(slow.at_s);
        call.out.integer(slow.took_us);
        call.out.array(slow.args.size());
        for (const auto& arg : slow.args) call.out.bulk(arg);
        call.out.bulk(slow.peer);
        call.out.bulk(slow.name);
    }
    return Flow::done;
}

Flow slowlog_len(Call& call) {
    return call.integer(static_cast<std::int64_t>(call.server.slowlog().size()));
}

Flow slowlog_reset(Call& call) {
    call.server.slowlog().reset();
    return call.ok();
}

// ---- LATENCY

Flow latency_latest(Call& call) {
    const auto events = call.server.latency().events();
    call.out.array(events.size());
    for (const auto& event : events) {
        call.out.array(4);
        call.out.bulk(event.name);
        call.out.integer(event.samples.back().at_s);
        call.out.integer(event.samples.back().ms);
        call.out.integer(event.max_ms);
    }
    return Flow::done;
}

Flow latency_history(Call& call) {
    const auto event = call.server.latency().event(call.arg(2));
    call.out.array(event.samples.size());
    for (const auto& sample : event.samples) {
        call.out.array(2);
        call.out.integer(sample.at_s);
        call.out.integer(sample.ms);
    }
    return Flow::done;
}

Flow latency_graph(Call& call) {
    const auto event = call.server.latency().event(call.arg(2));
    if (event.samples.empty())
        return call.error("ERR No samples available for event '" + std::string(call.arg(2)) + "'");
    call.out.verbatim(latency_graph(event, call.server.clock().wall().us / 1'000'000));
    return Flow::done;
}

Flow latency_reset(Call& call) {
    std::size_t count = 0;
    if (call.argc() == 2) {
        count = call.server.latency().reset_all();
    } else {
        for (const auto name : call.args.subspan(2))
            if (call.server.latency().reset(name)) ++count;
    }
    return call.integer(static_cast<std::int64_t>(count));
}

Flow latency_doctor(Call& call) {
    const auto threshold = call.server.config().latency_monitor_threshold;
    std::string report;
    if (threshold == 0) {
        report =
            "Nothing is watched. CONFIG SET latency-monitor-threshold <milliseconds> notes "
            "whatever "
            "takes longer.\n";
    } else if (const auto events = call.server.latency().events(); events.empty()) {
        report = "Nothing took longer than " + std::to_string(threshold) + " ms.\n";
    } else {
        report = "Took longer than " + std::to_string(threshold) + " ms:\n\n";
        for (const auto& event : events) {
            std::int64_t sum = 0;
            for (const auto& sample : event.samples) sum += sample.ms;
            report += event.name + ": " + std::to_string(event.samples.size()) +
                      " times, on average " +
                      std::to_string(sum / static_cast<std::int64_t>(event.samples.size())) +
                      " ms, at the worst " + std::to_string(event.max_ms) + " ms.\n";
        }
        report +=
            "\nSLOWLOG GET names the commands; INFO latencystats tells what is usual for each.\n";
    }
    call.out.verbatim(report);
    return Flow::done;
}

struct Histogram {
    std::uint64_t calls = 0;
    std::array<std::uint64_t, std::tuple_size_v<decltype(CommandStatistics::buckets)>> buckets{};
};

Histogram histogram_of(Server& server, const Command& command) {
    Histogram sum;
    const auto index = CommandTable::get().index_of(command);
    for (auto* reactor : server.reactors()) {
        const auto& counted = reactor->statistics().by_command[index];
        for (std::size_t i = 0; i < sum.buckets.size(); ++i) {
            sum.buckets[i] += counted.buckets[i].get();
            sum.calls += counted.buckets[i].get();
        }
    }
    return sum;
}

// How many took at most so many microseconds, in powers of two of 1024 ns, as Redis labels them.
void write_histogram(resp::Writer& out, std::string_view name, const Histogram& histogram) {
    out.bulk(name);
    out.map(2);
    out.bulk("calls");
    out.integer(static_cast<std::int64_t>(histogram.calls));
    out.bulk("histogram_usec");
    const auto later = out.map_later();
    std::size_t pairs = 0;
    std::uint64_t cumulative = 0;
    std::uint64_t told = 0;
    std::size_t bucket = 0;
    for (std::uint64_t width = 1; told < histogram.calls; width *= 2) {
        const auto label = (1032 * width - 1) / 1000;
        while (bucket < histogram.buckets.size() &&
               CommandStatistics::bucket_end_us(bucket) <= label)
            cumulative += histogram.buckets[bucket++];
        if (bucket == histogram.buckets.size()) cumulative = histogram.calls;
        if (cumulative == told) continue;
        told = cumulative;
        out.integer(static_cast<std::int64_t>(label));
        out.integer(static_cast<std::int64_t>(cumulative));
        ++pairs;
    }
    out.close(later, pairs);
}

Flow latency_histogram(Call& call) {
    const auto later = call.out.map_later();
    std::size_t pairs = 0;
    const auto tell = [&](const Command& command) {
        const auto histogram = histogram_of(call.server, command);
        if (histogram.calls == 0) return;
        write_histogram(call.out, command.name, histogram);
        ++pairs;
    };
    const auto tell_all_of = [&](const Command& command) {
        tell(command);
        for (const auto& subcommand : command.subcommands) tell(subcommand);
    };
    if (call.argc() == 2)
        for (const auto* command : CommandTable::get().all()) tell_all_of(*command);
    for (const auto name : call.args.subspan(2))
        if (const auto* command = CommandTable::get().find_full(name)) tell_all_of(*command);
    call.out.close(later, pairs);
    return Flow::done;
}

constexpr std::uint32_t kOperator = kAdmin | kNoScript | kLoading | kStale;

}  // namespace

Command slowlog_command() {
    static const Command subcommands[] = {
        {.name = "slowlog|get",
         .syntax = "[count]",
         .summary = "The newest entries: which command took how long, and whose it was",
         .since = "2.2.12",
         .group = "server",
         .complexity = kOfEntries,
         .arity = -2,
         .flags = kAdmin | kLoading | kStale,
         .handler = slowlog_get},
        {.name = "slowlog|help",
         .summary = "These lines",
         .since = "6.2.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kLoading | kStale,
         .handler = subcommand_help},
        {.name = "slowlog|len",
         .summary = "How many entries there are",
         .since = "2.2.12",
         .group = "server",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kAdmin | kLoading | kStale,
         .handler = slowlog_len},
        {.name = "slowlog|reset",
         .summary = "Forgets all entries",
         .since = "2.2.12",
         .group = "server",
         .complexity = kOfEntries,
         .arity = 2,
         .flags = kAdmin | kLoading | kStale,
         .handler = slowlog_reset},
    };
    return {.name = "slowlog",
            .summary = "Commands that took long",
            .since = "2.2.12",
            .group = "server",
            .complexity = "Depends on subcommand.",
            .arity = -2,
            .subcommands = subcommands};
}

Command latency_command() {
    static const Command subcommands[] = {
        {.name = "latency|doctor",
         .summary = "What was slow, in sentences",
         .since = "2.8.13",
         .group = "server",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kOperator,
         .handler = latency_doctor},
        {.name = "latency|graph",
         .syntax = "event",
         .summary = "An event's samples as a picture",
         .since = "2.8.13",
         .group = "server",
         .complexity = "O(1)",
         .arity = 3,
         .flags = kOperator,
         .handler = latency_graph},
        {.name = "latency|help",
         .summary = "These lines",
         .since = "2.8.13",
         .group = "server",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kLoading | kStale,
         .handler = subcommand_help},
        {.name = "latency|histogram",
         .syntax = "[command [command ...]]",
         .summary = "How many calls of commands took how long",
         .since = "7.0.0",
         .group = "server",
         .complexity = "O(N) where N is the number of commands told of",
         .arity = -2,
         .flags = kOperator,
         .handler = latency_histogram},
        {.name = "latency|history",
         .syntax = "event",
         .summary = "An event's samples: when, and how many milliseconds",
         .since = "2.8.13",
         .group = "server",
         .complexity = "O(1)",
         .arity = 3,
         .flags = kOperator,
         .handler = latency_history},
        {.name = "latency|latest",
         .summary = "The last and the longest sample of each event",
         .since = "2.8.13",
         .group = "server",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kOperator,
         .handler = latency_latest},
        {.name = "latency|reset",
         .syntax = "[event [event ...]]",
         .summary = "Forgets the samples of these events, or of all",
         .since = "2.8.13",
         .group = "server",
         .complexity = "O(1)",
         .arity = -2,
         .flags = kOperator,
         .handler = latency_reset},
    };
    return {.name = "latency",
            .summary = "Events that took long, and how long commands take",
            .since = "2.8.13",
            .group = "server",
            .complexity = "Depends on subcommand.",
            .arity = -2,
            .subcommands = subcommands};
}

}  // namespace firnlog::server
