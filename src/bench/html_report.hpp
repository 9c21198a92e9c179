#pragma once
// HTML report: one file that shows itself, without the network: the JSON of the run and a script
// that draws it. Percentile curve, time-line as a heat map with the bands of events, tables.

#include <string>
#include <string_view>

namespace firnlog::bench {

[[nodiscard]] std::string html_report(std::string_view json);

}  // namespace firnlog::bench
