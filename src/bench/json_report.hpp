#pragma once
// JSON and CSV: everything that was measured, for programs and for the page. Times are nanoseconds
// (`_ns`), a figure that is not measured is in `not_measured` beside its value.
//
// The layout is described in docs/bench.md; names are only ever added.

#include <span>
#include <string>

#include "src/bench/comparison.hpp"
#include "src/bench/run.hpp"

namespace firnlog::bench {

[[nodiscard]] std::string json_report(std::span<const Run> runs,
                                      std::span<const Comparison> comparisons);

// A line a second and command, then one for each command of the whole run:
// server,workload,second,command,requests,errors,mean_ns,p50_ns,…,max_ns
[[nodiscard]] std::string csv_report(std::span<const Run> runs);

}  // namespace firnlog::bench
