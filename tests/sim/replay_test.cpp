// What a failure prints: a failure is planted in this very program, run once more.

#include "tests/sim/replay.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>

#include "tests/sim/fixture.hpp"

namespace firnlog::sim {
namespace {

constexpr const char* kPlanted = "FIRNLOG_PLANTED_FAILURE";

// The world that crashes has gone on for longer than what is kept of it, before and since.
void fail_with_the_second_seed() {
    for (const auto seed : Seeds(3)) {
        World world{{.seed = seed, .trace_lines = 24, .phase = "serve"}};
        const int fd = make_durable_file(world, "old.log", "what was");
        for (int i = 0; i < 30; ++i) write_now(world.io(), fd, 8, text_of(100, 'x'), true);
        world.crash_at(world.operations() + 2);
        BOOST_REQUIRE(world.files().sync_dir());
        BOOST_REQUIRE(!world.files().rename("old.log", "new.log"));
        Rng rng{seed};
        world.phase("again");
        world.restart(Cut::none, rng);
        for (int i = 0; i < 30; ++i) BOOST_REQUIRE(world.files().list());
        world.on_operation([&](const Operation& at) {
            if (at.kind != Kind::free_bytes) return;
            BOOST_TEST_CONTEXT("crash at operation " << at.number << ", cut random") {
                World after{{.seed = rng.next(), .phase = "recovery"},
                            world.image(Cut::random, rng)};
                BOOST_REQUIRE(after.files().list());
                BOOST_REQUIRE_NE(seed, 2U);
            }
        });
        BOOST_REQUIRE(world.files().free_bytes());
    }
}

std::string output_of(const std::string& command) {
    const auto planted = "env -u FIRNLOG_SEED -u FIRNLOG_SEEDS_BEHIND FIRNLOG_COMMIT=c0ffee " +
                         std::string{kPlanted} + "=1 FIRNLOG_SEEDS_LOG=/dev/stderr " + command +
                         " 2>&1";
    std::FILE* const pipe = ::popen(planted.c_str(), "r");
    BOOST_REQUIRE(pipe != nullptr);
    std::string output;
    char piece[4096];
    for (std::size_t got = 0; (got = std::fread(piece, 1, sizeof piece, pipe)) != 0;)
        output.append(piece, got);
    BOOST_REQUIRE(::pclose(pipe) != 0);
    return output;
}

// From the first world on: before that stands what Boost prints.
std::string told_in(const std::string& output) {
    const auto begin = output.find("world 1 of ");
    const auto end = output.find("replay: ", begin);
    BOOST_REQUIRE_MESSAGE(end != std::string::npos, output);
    return output.substr(begin, output.find('\n', end) - begin + 1);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sim_replay)

BOOST_AUTO_TEST_CASE(a_failure_prints_what_the_worlds_did_and_the_command_that_does_it_again) {
    if (std::getenv(kPlanted) != nullptr) return fail_with_the_second_seed();
    const std::string own = boost::unit_test::framework::master_test_suite().argv[0];
    const std::string test =
        "sim_replay/a_failure_prints_what_the_worlds_did_and_the_command_that_"
        "does_it_again";
    const auto output = output_of(own + " --run_test=" + test);
    BOOST_TEST(output.find("crash at operation") != std::string::npos);
    const auto told = told_in(output);
    // Each world once, outermost first.
    BOOST_TEST(told.find("world 1 of 2, seed 2, phase \"again\"") == 0U);
    BOOST_TEST(told.find("world 2 of 2, ") != std::string::npos);
    BOOST_TEST(told.find("world 2 of 2, ") == told.rfind("world 2 of 2, "));
    // What the first one did up to its crash, since, and what it was about to do.
    const auto crash = told.find(" crash    rename     serve        old.log ");
    const auto write = told.find(" written  write_sync serve        old.log ");
    const auto since = told.find("          list       again ");
    const auto next = told.find(" next     free_bytes again ");
    BOOST_TEST(write != std::string::npos);
    BOOST_TEST(crash != std::string::npos);
    BOOST_TEST(since != std::string::npos);
    BOOST_TEST(next != std::string::npos);
    BOOST_TEST((write < crash && crash < since && since < next));
    // One line each, whose columns stand one below the other.
    std::istringstream lines{told};
    std::size_t result_at = 0;
    std::size_t rows = 0;
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("world ") || line.starts_with("replay: ")) continue;
        if (line.ends_with(" result")) {
            result_at = line.rfind(' ');
            continue;
        }
        ++rows;
        BOOST_REQUIRE(line.size() > result_at);
        BOOST_TEST(line[result_at] == ' ');
        BOOST_TEST(line.find_last_of(' ') == result_at);
    }
    BOOST_TEST(rows > 40U);
    const auto replay = told.substr(told.find("replay: ") + 8);
    BOOST_TEST(replay == "FIRNLOG_SEED=2 " + own + " --run_test=" + test + "\n");
    BOOST_TEST(told_in(output_of(replay.substr(0, replay.size() - 1))) == told);
    // What a proof keeps of it.
    BOOST_TEST(output.find(" c0ffee " + test + " seeds 1-2 crashes 2 failed\n") !=
               std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::sim
