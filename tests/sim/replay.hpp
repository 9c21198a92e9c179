#pragma once
// Replay: what a test of simulated worlds prints when it fails. There is nothing to declare: the
// first assertion of a test case that fails prints the events of every world that lives at that
// moment, the outermost first, as one aligned line each, and the command that runs it again.
//
//   world 1 of 2, seed 7, phase "serve", 312 operations       the one that is taken apart
//   world 2 of 2, seed 1822923, phase "recovery", 61 operations      what a crash left of it
//   replay: FIRNLOG_SEED=7 build/release/tests/recovery/recovery_tests --run_test=crash/a_crash…
//
// The seed is that of seeds() or seed_or(), never one that a test has drawn for a world. Which
// operation it was and how it ended is told by the test's BOOST_TEST_CONTEXT, which Boost prints.
// With FIRNLOG_SEEDS_LOG=file each campaign notes there which seeds it ran, and how it ended.

#include <string>

#include "tests/environment.hpp"

namespace firnlog::sim {

[[nodiscard]] std::string replay_command();

}  // namespace firnlog::sim
