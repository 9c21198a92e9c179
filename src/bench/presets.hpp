#pragma once
// Presets: loads that have a name elsewhere: the default list of redis-benchmark, YCSB A to F.
//
// redis-benchmark's tests say here what they say there, but with keys drawn by the distribution
// (there: one key, unless -r). YCSB's records are hashes of ten fields of 100 bytes, as in its
// Redis binding: a read is HGETALL, an update writes one field. Of E the scan reads names from the
// index of keys, and leaves out reading the records; in F the read and the write of one record
// leave together.

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "src/bench/load.hpp"

namespace firnlog::bench {

struct Preset {
    std::vector<Workload> workloads;
    // What has to be there before: written for every key, in order.
    std::optional<Workload> load;
    std::optional<Distribution> distribution;
};

// "ycsb-a" … "ycsb-f", "redis-benchmark". The error lists what there is.
[[nodiscard]] tl::expected<Preset, std::string> find_preset(std::string_view name,
                                                            const Keys& keys);

// Tests of redis-benchmark, in its order: "set,get,lrange_100". As there, `ping` and `lrange` are
// groups, and what reads a list has it filled first.
[[nodiscard]] tl::expected<std::vector<Workload>, std::string> find_tests(std::string_view list,
                                                                          const Keys& keys);

// All keys once, as SET {key} {value}.
[[nodiscard]] Workload load_of_strings(const Keys& keys);

}  // namespace firnlog::bench
