#include "engine/now.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/sim/world.hpp"

namespace firnlog::engine {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kHourUs = 3600 * kSecondUs;

}  // namespace

BOOST_AUTO_TEST_SUITE(time_of_expiry)

BOOST_AUTO_TEST_CASE(it_goes_with_the_wall_and_never_back) {
    sim::World world({.seed = 1});
    auto& clock = world.clock();
    Now now(clock, 0);
    BOOST_TEST(now.us() == clock.wall().us);
    clock.advance(kSecondUs);
    now.update();
    const auto high = now.us();
    BOOST_TEST(high == clock.wall().us);
    clock.jump_wall(-24 * kHourUs);
    now.update();
    BOOST_TEST(now.us() == high);
    BOOST_TEST(!now.suspended());
    clock.jump_wall(24 * kHourUs);
    clock.advance(kSecondUs);
    now.update();
    BOOST_TEST(now.us() == high + kSecondUs);
}

BOOST_AUTO_TEST_CASE(it_begins_where_the_store_has_been) {
    sim::World world({.seed = 1});
    const auto high = world.clock().wall().us + 5 * kHourUs;
    Now now(world.clock(), high);
    now.update();
    BOOST_TEST(now.us() == high);
}

BOOST_AUTO_TEST_CASE(a_jump_of_more_than_an_hour_suspends_until_it_is_confirmed) {
    sim::World world({.seed = 1});
    auto& clock = world.clock();
    Now now(clock, 0);
    clock.jump_wall(kHourUs);
    now.update();
    BOOST_TEST(!now.suspended());
    clock.jump_wall(kHourUs + kSecondUs);
    now.update();
    BOOST_TEST(now.suspended());
    BOOST_TEST(now.jump_us() == kHourUs + kSecondUs);
    now.update();
    BOOST_TEST(now.suspended());
    now.confirm();
    now.update();
    BOOST_TEST(!now.suspended());
}

BOOST_AUTO_TEST_CASE(a_machine_that_slept_has_not_jumped) {
    sim::World world({.seed = 1});
    Now now(world.clock(), 0);
    world.clock().sleep(48 * kHourUs);
    now.update();
    BOOST_TEST(!now.suspended());
    BOOST_TEST(now.us() == world.clock().wall().us);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::engine
