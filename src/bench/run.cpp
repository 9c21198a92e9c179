#include "src/bench/run.hpp"

#include <algorithm>
#include <cmath>

#include "src/bench/figures.hpp"

namespace firnlog::bench {

SliceFigures slice_of(const Run& run) {
    const Histogram& all = run.outcome.all;
    const Histogram& lateness = run.outcome.lateness;
    const auto measured = [&](double percent) {
        const auto ns = all.percentile(percent);
        return !run.plan.open_loop() || is_measured(ns, lateness.percentile(percent)) ? ns : 0;
    };
    return {.rate = run.outcome.rate(),
            .p50_ns = measured(50),
            .p99_ns = measured(99),
            .p999_ns = measured(99.9),
            .cpu_us_per_request = run.figures ? run.figures->cpu_us_per_request : 0};
}

void append(Run& run, Run&& next) {
    LoadOutcome& to = run.outcome;
    LoadOutcome& from = next.outcome;
    const auto slots = static_cast<std::uint64_t>(
        std::llround(to.seconds * 1e9 / static_cast<double>(run.plan.slot_ns)));
    // What was answered behind the end of a slice belongs to its last slot: the next begins there.
    for (auto& slot : to.slots) slot.number = std::min(slot.number, slots == 0 ? 0 : slots - 1);
    for (auto& slot : from.slots) {
        slot.number += slots;
        to.slots.push_back(std::move(slot));
    }
    for (std::size_t i = 0; i < to.operations.size(); ++i) {
        auto& operation = to.operations[i];
        operation.latency.add(from.operations[i].latency);
        operation.errors += from.operations[i].errors;
        operation.nulls += from.operations[i].nulls;
        if (operation.first_error.empty()) operation.first_error = from.operations[i].first_error;
    }
    // Each slice has events of its own, at its place in the time-line.
    const auto offset_ns = static_cast<std::uint64_t>(std::llround(to.seconds * 1e9));
    for (auto& event : next.events) {
        event.begin_ns += offset_ns;
        event.end_ns += offset_ns;
        run.events.push_back(std::move(event));
    }
    for (auto& inside : from.inside) to.inside.push_back(std::move(inside));
    to.outside.add(from.outside);
    to.all.add(from.all);
    to.lateness.add(from.lateness);
    for (std::size_t i = 0; i < to.busy.size(); ++i)
        to.busy[i] = std::max(to.busy[i], from.busy[i]);
    to.answered += from.answered;
    to.unanswered += from.unanswered;
    to.connections_lost += from.connections_lost;
    if (run.figures && next.figures) {
        auto& one = *run.figures;
        const auto& other = *next.figures;
        const double before = to.seconds;
        const double all = to.seconds + from.seconds;
        const auto joined = [&](double first, double second) {
            return all > 0 ? (first * before + second * from.seconds) / all : 0;
        };
        one.cpu_cores = joined(one.cpu_cores, other.cpu_cores);
        one.cpu_us_per_request =
            to.answered == 0 ? 0 : one.cpu_cores * all * 1e6 / static_cast<double>(to.answered);
        one.written_bytes += other.written_bytes;
        one.written_bytes_per_s = joined(one.written_bytes_per_s, other.written_bytes_per_s);
        one.minor_faults += other.minor_faults;
        one.major_faults += other.major_faults;
        one.rss_bytes = other.rss_bytes;
        one.rss_bytes_max = std::max(one.rss_bytes_max, other.rss_bytes_max);
        one.anonymous_bytes_max = std::max(one.anonymous_bytes_max, other.anonymous_bytes_max);
    } else {
        run.figures.reset();
    }
    to.seconds += from.seconds;
    run.slices.insert(run.slices.end(), next.slices.begin(), next.slices.end());
}

}  // namespace firnlog::bench
