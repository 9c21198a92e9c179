// G8: what looks torn is what nothing vouches for. A log that falls silent vouches for its last
// record by itself, so that in `always` rot in acknowledged bytes is told from a torn write.

#include <boost/test/unit_test.hpp>

#include "recovery/survey.hpp"
#include "tests/sim/replay.hpp"
#include "tests/src/second_server.hpp"

namespace firnlog::server::test {
namespace {

constexpr std::int64_t kQuietUs = 50'000;
// The voucher itself is written and synced.
constexpr std::int64_t kWriteUs = 5'000;

engine::Lsn vouched_on(sim::Disk disk) {
    sim::World world{{.seed = 1, .phase = "survey"}, std::move(disk)};
    const auto looked = recovery::survey(world.files(), {});
    BOOST_REQUIRE_MESSAGE(looked.has_value(), (looked ? std::string() : looked.error().text()));
    return looked->vouched;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(quiet)

BOOST_AUTO_TEST_CASE(the_last_record_is_vouched_for_50_ms_after_its_sync) {
    const auto seed = seed_or(1);
    sim::World world{{.seed = seed}};
    world.pace().slow_percent = 0;
    SecondServer server(world);
    auto caller = server.connect();
    sim::Rng rng{seed};
    for (int burst = 0; burst < 40; ++burst) {
        const auto writes = rng.between(1, 5);
        for (std::uint64_t i = 0; i < writes; ++i) {
            BOOST_REQUIRE(caller.ask("INCR counter").starts_with(":"));
            (void)server.until([] { return false; },
                               static_cast<std::int64_t>(rng.below(3)) * 20'000);
        }
        BOOST_REQUIRE(caller.ask("INCR counter").starts_with(":"));
        // In `always` it is durable now.
        const auto end = server.log().durable();
        sim::Rng cut{seed};
        BOOST_REQUIRE(vouched_on(world.image(sim::Cut::none, cut)) < end);
        (void)server.until([] { return false; }, kQuietUs + kWriteUs);
        BOOST_REQUIRE(vouched_on(world.image(sim::Cut::none, cut)) >= end);
    }
}

// A reactor hears of its own flushes: one that has none does not take the log for quiet while
// another one writes, between whose writes there are gaps.
BOOST_AUTO_TEST_CASE(while_anybody_writes_the_log_is_not_quiet) {
    sim::World world{{.seed = seed_or(3)}};
    world.pace().slow_percent = 0;
    SecondServer server(world, {.reactors = 2});
    auto once = server.connect();
    auto often = server.connect();
    BOOST_REQUIRE(once.ask("INCR counter").starts_with(":"));
    const auto before = server.log().counts().flushes;
    constexpr std::uint64_t kWrites = 200;
    for (std::uint64_t i = 0; i < kWrites; ++i) {
        BOOST_REQUIRE(often.ask("INCR counter").starts_with(":"));
        (void)server.until([] { return false; }, 10'000);
    }
    BOOST_TEST(server.log().counts().flushes - before <= kWrites + 2);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::server::test
