#pragma once
// Options: what `firnlog bench` was asked to do, from its command line.
//
// Flags are named as in memtier_benchmark and redis-benchmark where they mean the same; the short
// ones are redis-benchmark's. Numbers may end in k, M or G, times in ms, s, m or h.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "src/bench/events.hpp"
#include "src/bench/load.hpp"

namespace firnlog::bench {

struct Options {
    bool help = false;
    LoadPlan plan;  // all but the workload
    // One after another, each with its own figures.
    std::vector<Workload> workloads;
    bool loads_first = false;  // `load` writes every key before anything is measured
    Workload load;
    std::string start;            // the command line of a server to be started, or empty
    std::vector<std::string> vs;  // and of those it is compared with
    std::string data_dir = ".";   // where directories of started servers are made
    unsigned slices = 6;          // of each server, when some are compared
    std::vector<Event> events;
    std::string json_file;
    std::string csv_file;
    std::string html_file;
    bool quiet = false;  // nothing but the result
};

// The error is one line that says which word is wrong, and why.
[[nodiscard]] tl::expected<Options, std::string> parse_options(std::span<const std::string> words);

[[nodiscard]] std::string_view help_text();

// "90", "1.5s", "2m", "500ms", "1h"; seconds without a unit.
[[nodiscard]] std::optional<std::uint64_t> parse_duration_ns(std::string_view text);
// "20000", "20k", "1.5M".
[[nodiscard]] std::optional<double> parse_count(std::string_view text);

}  // namespace firnlog::bench
