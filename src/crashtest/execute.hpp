#pragma once
// execute: one run from its options to its reports, with a live line on the way.

#include <atomic>
#include <optional>
#include <string>

#include "src/crashtest/options.hpp"
#include "src/crashtest/outcome.hpp"

namespace firnlog::crashtest {

struct Executed {
    std::optional<std::string> wrong;  // what kept it from running, or from going on
    std::string folder;                // where it worked
};

// Goes on from `options.json` if that is asked for; writes the reports that are asked for.
[[nodiscard]] Executed execute(const Options& options, const std::atomic<bool>& interrupted,
                               Outcome& outcome);

[[nodiscard]] std::string read_file(const std::string& path);
// What keeps `write_file` from writing there, or nothing: known before a run that takes hours.
[[nodiscard]] std::optional<std::string> not_writable(const std::string& path);
// Aside, then renamed: an interrupted run leaves the report of the cycle before.
[[nodiscard]] bool write_file(const std::string& path, const std::string& text);

}  // namespace firnlog::crashtest
