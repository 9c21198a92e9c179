#include "src/bench/text_report.hpp"

#include <fmt/format.h>

#include "src/bench/figures.hpp"
#include "src/text/quote.hpp"

namespace firnlog::bench {
namespace {

std::string row(std::string_view name, double rate, const Histogram& latency,
                const Histogram* lateness) {
    auto line = fmt::format("{:<20} {:>12} {:>11}", name, with_commas(latency.count()),
                            rate > 0 ? with_commas(static_cast<std::uint64_t>(rate)) : "");
    for (const auto& percentile : kPercentiles) {
        const auto ns = figure_ns(latency, percentile.percent);
        const auto text = latency.count() == 0 ? "-" : as_ms(ns);
        const bool measured =
            lateness == nullptr || is_measured(ns, figure_ns(*lateness, percentile.percent));
        line += fmt::format(" {:>9}", measured ? text : fmt::format("({})", text));
    }
    return line + "\n";
}

std::string duration_text(std::uint64_t ns) {
    const double seconds = static_cast<double>(ns) * 1e-9;
    return fmt::format("{:.4g} s", seconds);
}

std::string_view dist_text(const Distribution& distribution) {
    switch (distribution.kind) {
        case Distribution::Kind::uniform:
            return "uniform";
        case Distribution::Kind::zipf:
            return "zipf";
        case Distribution::Kind::sequential:
            return "sequential";
        case Distribution::Kind::hotspot:
            return "hotspot";
        case Distribution::Kind::latest:
            return "latest";
    }
    return "";
}

std::string warnings(const LoadPlan& plan, const LoadOutcome& outcome) {
    std::string text;
    for (const auto& operation : outcome.operations) {
        const auto count = operation.latency.count();
        if (operation.errors != 0)
            text += fmt::format("errors: {} of {} {}, the first: {}\n",
                                with_commas(operation.errors), with_commas(count), operation.name,
                                server::text::quoted(operation.first_error));
        if (operation.nulls != 0)
            text += fmt::format(
                "misses: {:.1f} % of {} found nothing\n",
                100.0 * static_cast<double>(operation.nulls) / static_cast<double>(count),
                operation.name);
    }
    if (outcome.unanswered != 0)
        text += fmt::format(
            "unanswered: {} requests; they count with the age they had when we gave up\n",
            with_commas(outcome.unanswered));
    if (outcome.connections_lost != 0)
        text += fmt::format("lost: {} connections were closed by the server\n",
                            outcome.connections_lost);
    double busiest = 0;
    for (const double busy : outcome.busy) busiest = std::max(busiest, busy);
    if (!plan.open_loop() && busiest > 0.95)
        text +=
            "the generator: a thread of ours was busy all the time, the server may be able to "
            "do more (--threads)\n";
    if (plan.open_loop() && outcome.rate() < plan.rate * 0.99)
        text += fmt::format("the server did not keep up: {} of {} a second\n",
                            with_commas(static_cast<std::uint64_t>(outcome.rate())),
                            with_commas(static_cast<std::uint64_t>(plan.rate)));
    return text;
}

std::string events_text(const Run& run) {
    std::string text;
    for (const auto& event : run.events) {
        text += fmt::format("event: {} ", event.text);
        if (!event.fired)
            text += "was not fired: the load ended before\n";
        else if (!event.error.empty())
            text += fmt::format("at {}: {}\n", duration_text(event.begin_ns),
                                server::text::quoted(event.error));
        else if (!event.over)
            text +=
                fmt::format("from {}, still under way at the end\n", duration_text(event.begin_ns));
        else
            text += fmt::format("from {} to {}\n", duration_text(event.begin_ns),
                                duration_text(event.end_ns));
    }
    return text;
}

std::string figures_text(const Run& run) {
    if (!run.figures) return {};
    const auto& figures = *run.figures;
    constexpr double kMiB = 1 << 20;
    return fmt::format(
        "server: {:.2f} cores, {:.2f} us of CPU a request, RSS {:.0f} MiB (at most {:.0f}), {:.1f} "
        "MiB/s written, {} minor and {} major faults\n",
        figures.cpu_cores, figures.cpu_us_per_request,
        static_cast<double>(figures.rss_bytes) / kMiB,
        static_cast<double>(figures.rss_bytes_max) / kMiB, figures.written_bytes_per_s / kMiB,
        with_commas(figures.minor_faults), with_commas(figures.major_faults));
}

// While an event was under way, or until the end.
double rate_inside(const Run& run, std::size_t at) {
    const auto& event = run.events[at];
    const double end = event.over ? static_cast<double>(event.end_ns) * 1e-9 : run.outcome.seconds;
    const double seconds = end - static_cast<double>(event.begin_ns) * 1e-9;
    return event.fired && seconds > 0.001
               ? static_cast<double>(run.outcome.inside[at].count()) / seconds
               : 0;
}

}  // namespace

std::string describe(const LoadPlan& plan) {
    std::string text =
        plan.open_loop()
            ? fmt::format("open loop, {} requests a second",
                          with_commas(static_cast<std::uint64_t>(plan.rate)))
            : std::string("closed loop (a stall hides the requests that it keeps from being sent)");
    text += fmt::format(", {} connections", plan.connections);
    if (plan.pipeline > 1) text += fmt::format(", pipeline {}", plan.pipeline);
    if (plan.threads > 1) text += fmt::format(", {} threads", plan.threads);
    text += fmt::format("; {} keys, {}", with_commas(plan.keys.count),
                        dist_text(plan.keys.distribution));
    const auto& value = plan.keys.value;
    text += value.least == value.most
                ? fmt::format(", {} bytes a value", value.least)
                : fmt::format(", {} to {} bytes a value", value.least, value.most);
    if (plan.requests != 0)
        text += fmt::format("; {} requests", with_commas(plan.requests));
    else
        text += "; " + duration_text(plan.duration_ns);
    text += fmt::format(" after {} of warm-up; seed {}", duration_text(plan.warmup_ns), plan.seed);
    return text;
}

std::string text_report(const Run& run) {
    const LoadPlan& plan = run.plan;
    const LoadOutcome& outcome = run.outcome;
    auto text = run.server + "\n" +
                fmt::format("{:<20} {:>12} {:>11}", plan.workload.name, "requests", "a second");
    for (const auto& percentile : kPercentiles) text += fmt::format(" {:>9}", percentile.name);
    text += "  ms\n";
    const Histogram* lateness = plan.open_loop() ? &outcome.lateness : nullptr;
    if (outcome.operations.size() > 1)
        for (const auto& operation : outcome.operations)
            text += row(operation.name,
                        static_cast<double>(operation.latency.count()) / outcome.seconds,
                        operation.latency, lateness);
    const auto& name = outcome.operations.size() > 1 ? "all" : outcome.operations[0].name;
    text += row(name, outcome.rate(), outcome.all, lateness);
    for (std::size_t i = 0; i < run.events.size(); ++i)
        text += row("in " + run.events[i].text, rate_inside(run, i), outcome.inside[i], lateness);
    if (!run.events.empty()) text += row("outside events", 0, outcome.outside, lateness);
    if (lateness != nullptr) text += row("own lateness", plan.rate, *lateness, nullptr);
    return text + events_text(run) + figures_text(run) + warnings(plan, outcome) + "\n";
}

}  // namespace firnlog::bench
