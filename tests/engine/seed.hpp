#pragma once
// seed: where a random test of this folder begins; FIRNLOG_SEED repeats a run.
//
//   BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed)    every failure then prints it

#include <cstdint>
#include <cstdlib>
#include <random>

namespace firnlog::engine {

[[nodiscard]] inline std::uint64_t test_seed() {
    if (const char* given = std::getenv("FIRNLOG_SEED")) return std::strtoull(given, nullptr, 10);
    return std::random_device{}();
}

}  // namespace firnlog::engine
