// G6: what was once reported expired stays so, though the wall clock steps back and the store is
// killed, cut or stopped in between: the end of the key stands in the log, and replay asks no
// clock.

#include <boost/test/unit_test.hpp>

#include "tests/recovery/subject.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::recovery {
namespace {

using sim::Cut;
using sim::Rng;
using sim::World;

constexpr std::int64_t kHourUs = std::int64_t{3600} * 1'000'000;

std::unique_ptr<Store> reopened(World& world) {
    auto store = open(world.files(), world.clock(), small_options());
    BOOST_REQUIRE_MESSAGE(store.has_value(), (store ? "" : store.error().text));
    return std::move(*store);
}

bool has(Store& store, const std::string& key) {
    return read_all(store.engine(), 4).contains({0, key});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(expired_keys)

BOOST_AUTO_TEST_CASE(an_expired_key_does_not_come_back_when_the_clock_steps_back) {
    for (const auto cut : sim::kCuts) BOOST_TEST_CONTEXT("cut " << static_cast<int>(cut)) {
            World world({.seed = 1});
            Subject subject(world, reopened(world));
            const auto due_ms = world.clock().wall().us / 1000 + 60'000;
            BOOST_REQUIRE(subject.set("seen", "v", due_ms) && subject.set("unseen", "v", due_ms) &&
                          subject.set("kept", "v"));
            world.clock().advance(2 * 60'000'000);
            BOOST_REQUIRE(subject.touch("seen"));  // reports it expired
            BOOST_REQUIRE(subject.sync());
            world.clock().jump_wall(-kHourUs);
            BOOST_TEST(subject.engine().now.ms() > due_ms);

            Rng rng{1};
            World after({.seed = 1}, world.image(cut, rng));
            after.clock().jump_wall(world.clock().wall().us - after.clock().wall().us);
            BOOST_REQUIRE(after.clock().wall().us / 1000 < due_ms);
            const auto store = reopened(after);
            BOOST_TEST(!has(*store, "seen"));
            BOOST_TEST(has(*store, "kept"));
            // Time does not step back over a crash either: frames remember how late it was.
            store->engine().now.update();
            BOOST_TEST(store->engine().now.ms() > due_ms);
        }
}

BOOST_AUTO_TEST_CASE(a_key_set_anew_is_not_touched_by_the_end_of_the_old_one) {
    World world({.seed = 2});
    Subject subject(world, reopened(world));
    const auto due_ms = world.clock().wall().us / 1000 + 1'000;
    BOOST_REQUIRE(subject.set("key", "old", due_ms));
    world.clock().advance(5'000'000);
    BOOST_REQUIRE(subject.touch("key") && subject.set("key", "new") && subject.sync());
    Rng rng{2};
    World after({.seed = 2}, world.image(Cut::kill, rng));
    const auto store = reopened(after);
    const auto model = read_all(store->engine(), 4);
    BOOST_REQUIRE(model.contains({0, "key"}));
    BOOST_TEST(model.at({0, "key"}).text == "new");
    BOOST_TEST(model.at({0, "key"}).expires_ms == -1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
