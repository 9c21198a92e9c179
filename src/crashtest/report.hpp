#pragma once
// report: a run as JSON, which a later run can go on from, and as one HTML file with pictures.

#include <optional>
#include <string>

#include "src/crashtest/options.hpp"
#include "src/crashtest/outcome.hpp"

namespace firnlog::crashtest {

// "held: ...", "VIOLATED: ...": one line.
[[nodiscard]] std::string verdict(const Options& options, const Outcome& outcome);

[[nodiscard]] std::string json(const Options& options, const Outcome& outcome);
// The cycles of a report that `json` wrote for the same command; what is wrong otherwise.
[[nodiscard]] std::optional<std::string> read_json(const std::string& text, const Options& options,
                                                   Outcome& outcome);

// Self-contained: no script, no font and no picture from anywhere else.
[[nodiscard]] std::string html(const Options& options, const Outcome& outcome);

}  // namespace firnlog::crashtest
