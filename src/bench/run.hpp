#pragma once
// Run: everything that is told about one workload on one server: the plan, what was measured, what
// the server used meanwhile, the events. Runs in slices (a comparison) are added up to one.

#include <optional>
#include <string>
#include <vector>

#include "src/bench/events.hpp"
#include "src/bench/load.hpp"
#include "src/bench/proc.hpp"

namespace firnlog::bench {

// A stretch of a run, for comparing it with the same stretch of another. 0: not measured.
struct SliceFigures {
    double rate = 0;
    std::uint64_t p50_ns = 0;
    std::uint64_t p99_ns = 0;
    std::uint64_t p999_ns = 0;
    double cpu_us_per_request = 0;
};

struct Run {
    std::string server;  // as the reader knows it: its command line, or its address and version
    LoadPlan plan;
    LoadOutcome outcome;
    std::optional<ServerFigures> figures;
    std::vector<Event> events;
    std::vector<SliceFigures> slices;
};

[[nodiscard]] SliceFigures slice_of(const Run& run);

// Adds the next slice of the same workload on the same server.
void append(Run& run, Run&& next);

}  // namespace firnlog::bench
