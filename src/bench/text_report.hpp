#pragma once
// Text report: what a run measured, as a table for a terminal.
//
//             requests   per second   mean   p50   p90   p99   p99.9   p99.99   max  ms
//   SET         120,034       12,003  0.210 0.190 ...
//
// A figure in brackets is not measured (figures.hpp).

#include <string>

#include "src/bench/run.hpp"

namespace firnlog::bench {

// How the load is made, in one line.
[[nodiscard]] std::string describe(const LoadPlan& plan);

[[nodiscard]] std::string text_report(const Run& run);

}  // namespace firnlog::bench
