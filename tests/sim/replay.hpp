#pragma once
// Replay: the seed of a Boost test case, and the trace of its world when it fails.
//
//   World world{{.seed = seed_or(7)}};
//   const PrintOnFailure print{world};       // declared behind the world
//
// FIRNLOG_SEED in the environment overrides the seed; the line printed on failure sets it.

#include <boost/test/results_collector.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstdio>
#include <string>

#include "tests/environment.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::sim {

inline std::string replay_command(std::uint64_t seed) {
    namespace utf = boost::unit_test;
    return "FIRNLOG_SEED=" + std::to_string(seed) + " " +
           std::string{utf::framework::master_test_suite().argv[0]} +
           " --run_test=" + utf::framework::current_test_case().full_name();
}

class PrintOnFailure {
  public:
    explicit PrintOnFailure(const World& world) : world_(world) {}
    PrintOnFailure(const PrintOnFailure&) = delete;
    PrintOnFailure& operator=(const PrintOnFailure&) = delete;
    ~PrintOnFailure() {
        namespace utf = boost::unit_test;
        const auto id = utf::framework::current_test_case().p_id;
        if (utf::results_collector.results(id).p_assertions_failed == 0) return;
        world_.print(stderr);
        std::fprintf(stderr, "replay: %s\n", replay_command(world_.options().seed).c_str());
    }

  private:
    const World& world_;
};

}  // namespace firnlog::sim
