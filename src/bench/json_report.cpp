#include "src/bench/json_report.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "src/bench/figures.hpp"
#include "src/text/json.hpp"
#include "src/version.hpp"

namespace firnlog::bench {
namespace {

using server::text::Json;

// The picture's rows: so many to a decade, from a microsecond on.
constexpr int kRowsADecade = 8;
constexpr int kRows = 8 * kRowsADecade;  // up to 100 s

std::string member_of(const Percentile& percentile) { return percentile.name + std::string("_ns"); }

void put_latency(Json& json, const Histogram& latency, const Histogram* lateness) {
    json.begin_object();
    for (const auto& percentile : kPercentiles)
        json.key(member_of(percentile)).integer(figure_ns(latency, percentile.percent));
    if (lateness != nullptr) {
        json.key("not_measured").begin_array();
        for (const auto& percentile : kPercentiles)
            if (!is_measured(figure_ns(latency, percentile.percent),
                             figure_ns(*lateness, percentile.percent)))
                json.string(percentile.name);
        json.end();
    }
    json.end();
}

// Percentiles that grow towards 100 as the count allows: 0 … 90 in tens, then by 1 - 10^-k.
void put_curve(Json& json, const Histogram& latency, const Histogram* lateness) {
    json.begin_array();
    const auto put = [&](double percent) {
        const auto ns = latency.percentile(percent);
        json.begin_array().number(percent).integer(ns);
        json.boolean(lateness == nullptr || is_measured(ns, lateness->percentile(percent)));
        json.end();
    };
    if (latency.count() != 0) {
        // Ten steps a decade of what is missing to 100.
        const double decades = std::log10(static_cast<double>(latency.count()));
        for (int step = 0; step <= static_cast<int>(decades * 10); ++step)
            put(100 - 100 * std::pow(10, -step / 10.0));
        put(100);
    }
    json.end();
}

void put_plan(Json& json, const LoadPlan& plan) {
    json.key("loop").string(plan.open_loop() ? "open" : "closed");
    json.key("rate_asked");
    plan.open_loop() ? json.number(plan.rate) : json.null();
    json.key("clients").integer(plan.connections);
    json.key("pipeline").integer(plan.pipeline);
    json.key("threads").integer(plan.threads);
    json.key("keys").integer(plan.keys.count);
    json.key("value_bytes_min").integer(plan.keys.value.least);
    json.key("value_bytes_max").integer(plan.keys.value.most);
    json.key("warmup_ns").integer(plan.warmup_ns);
    json.key("seed").integer(plan.seed);
}

// Slots of a second each, whatever they were measured in.
std::map<std::uint64_t, Slot> by_second(const Run& run) {
    const auto in_a_second = std::max<std::uint64_t>(1'000'000'000 / run.plan.slot_ns, 1);
    std::map<std::uint64_t, Slot> seconds;
    for (const auto& slot : run.outcome.slots) {
        auto [at, is_new] = seconds.try_emplace(slot.number / in_a_second, slot);
        if (!is_new) add(at->second, slot);
    }
    return seconds;
}

Histogram histogram_of(const Slot& slot) {
    Histogram all;
    for (const auto& sparse : slot.by_operation) all.add(sparse);
    return all;
}

void put_seconds(Json& json, const Run& run) {
    json.key("seconds").begin_array();
    for (const auto& [second, slot] : by_second(run)) {
        json.begin_object().key("second").integer(second);
        json.key("answered").integer(slot.answered);
        json.key("latency");
        put_latency(json, histogram_of(slot), nullptr);
        json.key("commands").begin_object();
        for (std::size_t i = 0; i < slot.by_operation.size(); ++i) {
            Histogram one;
            one.add(slot.by_operation[i]);
            json.key(run.outcome.operations[i].name).begin_object();
            json.key("requests").integer(one.count()).key("errors").integer(slot.errors[i]);
            json.key("latency");
            put_latency(json, one, nullptr);
            json.end();
        }
        json.end().end();
    }
    json.end();
}

// The time-line as a picture: slot by slot how many latencies fell into each row.
void put_heat(Json& json, const Run& run) {
    json.key("heat").begin_object();
    json.key("slot_ns").integer(run.plan.slot_ns);
    json.key("rows_a_decade").integer(kRowsADecade).key("first_row_ns").integer(1000);
    json.key("slots").begin_array();
    for (const auto& slot : run.outcome.slots) {
        const auto all = histogram_of(slot);
        if (all.count() == 0) continue;
        json.begin_object().key("slot").integer(slot.number);
        json.key("answered").integer(slot.answered);
        for (const double percent : {50.0, 99.0, 99.9, 100.0})
            json.key(percent == 50   ? "p50_ns"
                     : percent == 99 ? "p99_ns"
                     : percent < 100 ? "p99.9_ns"
                                     : "max_ns")
                .integer(all.percentile(percent));
        json.key("rows").begin_array();
        std::uint64_t low = 0;
        for (int row = 0; row < kRows; ++row) {
            const auto high = static_cast<std::uint64_t>(
                1000 * std::pow(10, (row + 1) / static_cast<double>(kRowsADecade)));
            json.integer(all.count_between(low, high));
            low = high;
        }
        json.end().end();
    }
    json.end().end();
}

void put_events(Json& json, const Run& run, const Histogram* lateness) {
    json.key("events").begin_array();
    for (std::size_t i = 0; i < run.events.size(); ++i) {
        const auto& event = run.events[i];
        json.begin_object().key("event").string(event.text).key("asked_ns").integer(event.at_ns);
        json.key("fired").boolean(event.fired).key("over").boolean(event.over);
        json.key("begin_ns").integer(event.begin_ns).key("end_ns").integer(event.end_ns);
        if (!event.error.empty()) json.key("error").string(event.error);
        json.key("requests").integer(run.outcome.inside[i].count()).key("latency");
        put_latency(json, run.outcome.inside[i], lateness);
        json.end();
    }
    json.end();
    if (run.events.empty()) return;
    json.key("outside_events").begin_object();
    json.key("requests").integer(run.outcome.outside.count()).key("latency");
    put_latency(json, run.outcome.outside, lateness);
    json.end();
}

void put_figures(Json& json, const Run& run) {
    json.key("server_process");
    if (!run.figures) {
        json.null();
        return;
    }
    const auto& figures = *run.figures;
    json.begin_object().key("pid").integer(static_cast<std::uint64_t>(figures.pid));
    json.key("cpu_cores").number(figures.cpu_cores);
    json.key("cpu_us_a_request").number(figures.cpu_us_per_request);
    json.key("written_bytes").integer(figures.written_bytes);
    json.key("written_bytes_a_second").number(figures.written_bytes_per_s);
    json.key("minor_faults").integer(figures.minor_faults);
    json.key("major_faults").integer(figures.major_faults);
    json.key("rss_bytes").integer(figures.rss_bytes);
    json.key("rss_bytes_max").integer(figures.rss_bytes_max);
    json.key("anonymous_bytes_max").integer(figures.anonymous_bytes_max);
    json.end();
}

void put_run(Json& json, const Run& run) {
    const auto& outcome = run.outcome;
    const Histogram* lateness = run.plan.open_loop() ? &outcome.lateness : nullptr;
    json.begin_object().key("server").string(run.server);
    json.key("workload").string(run.plan.workload.name);
    put_plan(json, run.plan);
    json.key("measured_s").number(outcome.seconds);
    json.key("answered").integer(outcome.answered).key("rate").number(outcome.rate());
    json.key("errors").integer(outcome.errors());
    json.key("unanswered").integer(outcome.unanswered);
    json.key("connections_lost").integer(outcome.connections_lost);
    json.key("generator_busy").begin_array();
    for (const double busy : outcome.busy) json.number(busy);
    json.end();
    json.key("requests").integer(outcome.all.count()).key("latency");
    put_latency(json, outcome.all, lateness);
    if (lateness != nullptr) {
        json.key("lateness");
        put_latency(json, *lateness, nullptr);
    }
    json.key("commands").begin_array();
    for (const auto& operation : outcome.operations) {
        json.begin_object().key("command").string(operation.name);
        json.key("requests").integer(operation.latency.count());
        json.key("errors").integer(operation.errors).key("misses").integer(operation.nulls);
        if (operation.errors != 0) json.key("first_error").string(operation.first_error);
        json.key("latency");
        put_latency(json, operation.latency, lateness);
        json.end();
    }
    json.end();
    json.key("curve");
    put_curve(json, outcome.all, lateness);
    put_events(json, run, lateness);
    put_figures(json, run);
    json.key("slices").begin_array();
    for (const auto& slice : run.slices) {
        json.begin_object().key("rate").number(slice.rate);
        json.key("p50_ns").integer(slice.p50_ns).key("p99_ns").integer(slice.p99_ns);
        json.key("p99.9_ns").integer(slice.p999_ns);
        json.key("cpu_us_a_request").number(slice.cpu_us_per_request).end();
    }
    json.end();
    put_seconds(json, run);
    put_heat(json, run);
    json.end();
}

void put_comparison(Json& json, const Comparison& comparison) {
    json.begin_object().key("workload").string(comparison.workload);
    json.key("server").string(comparison.server).key("other").string(comparison.other);
    json.key("ratios").begin_array();
    for (const auto& ratio : comparison.ratios) {
        json.begin_object().key("figure").string(ratio.what);
        json.key("more_is_better").boolean(ratio.more_is_better);
        json.key("median").number(ratio.median);
        json.key("min").number(ratio.least).key("max").number(ratio.most);
        json.key("verdict").string(ratio.verdict == Ratio::Verdict::better  ? "better"
                                   : ratio.verdict == Ratio::Verdict::worse ? "worse"
                                                                            : "none");
        json.key("slices").begin_array();
        for (const double slice : ratio.slices) json.number(slice);
        json.end().end();
    }
    json.end().end();
}

std::string csv_text(std::string_view text) {
    std::string quoted = "\"";
    for (const char letter : text) {
        if (letter == '"') quoted += '"';
        quoted += letter;
    }
    return quoted + "\"";
}

std::string csv_line(const Run& run, const std::string& second, const std::string& command,
                     const Histogram& latency, std::uint64_t errors) {
    auto line = csv_text(run.server) + "," + csv_text(run.plan.workload.name) + "," + second + "," +
                csv_text(command) + "," + std::to_string(latency.count()) + "," +
                std::to_string(errors);
    for (const auto& percentile : kPercentiles)
        line += "," + std::to_string(figure_ns(latency, percentile.percent));
    return line + "\n";
}

}  // namespace

std::string json_report(std::span<const Run> runs, std::span<const Comparison> comparisons) {
    Json json;
    json.begin_object().key("firnlog_bench").string(server::kVersion);
    json.key("runs").begin_array();
    for (const auto& run : runs) put_run(json, run);
    json.end();
    json.key("comparisons").begin_array();
    for (const auto& comparison : comparisons) put_comparison(json, comparison);
    json.end().end();
    return json.text() + "\n";
}

std::string csv_report(std::span<const Run> runs) {
    std::string text = "server,workload,second,command,requests,errors";
    for (const auto& percentile : kPercentiles) text += "," + member_of(percentile);
    text += "\n";
    for (const auto& run : runs) {
        for (const auto& [second, slot] : by_second(run))
            for (std::size_t i = 0; i < slot.by_operation.size(); ++i) {
                Histogram one;
                one.add(slot.by_operation[i]);
                text += csv_line(run, std::to_string(second), run.outcome.operations[i].name, one,
                                 slot.errors[i]);
            }
        for (const auto& operation : run.outcome.operations)
            text += csv_line(run, "all", operation.name, operation.latency, operation.errors);
    }
    return text;
}

}  // namespace firnlog::bench
