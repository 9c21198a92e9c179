// What a store tells of itself is what happened to it: bytes, time, changes.

#include "recovery/rates.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/recovery/lived.hpp"

namespace firnlog::recovery {
namespace {

using sim::World;

constexpr std::int64_t kHourUs = std::int64_t{3600} * 1'000'000;

// A key of 1,000 bytes every six minutes, for so many hours.
void live_for(World& world, Subject& subject, int hours) {
    for (int i = 0; i < 10 * hours; ++i) {
        world.clock().advance(kHourUs / 10);
        subject.engine().now.update();
        BOOST_REQUIRE(subject.set("key" + std::to_string(i % 50), std::string(1000, 'x')));
        BOOST_REQUIRE(subject.sync());
    }
}

StoreRates must_tell(World& world) {
    const auto rates = rates_of(world.files(), world.clock());
    BOOST_REQUIRE_MESSAGE(rates.has_value(), (rates ? "" : rates.error().text));
    return *rates;
}

// Frames and records have their heads, and idle ones come in between.
void is_about(double told, double expected) {
    BOOST_TEST(told >= expected);
    BOOST_TEST(told <= expected * 1.25);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(rates)

BOOST_AUTO_TEST_CASE(a_store_tells_what_was_written_to_it_and_in_what_time) {
    World world{{.seed = 1}};
    Subject subject(world, *open(world.files(), world.clock(), small_options()));
    const auto began = subject.engine().log.tail.batch_end();
    live_for(world, subject, 48);
    const auto rates = must_tell(world);
    is_about(static_cast<double>(rates.sample_us), 48.0 * kHourUs);
    BOOST_TEST(rates.log_bytes == subject.engine().log.tail.batch_end() - began);
    is_about(static_cast<double>(rates.log_bytes), 480'000);
    is_about(rates.log_bytes_a_day(), 240'000 * 0.999);
    BOOST_TEST(rates.read.records == 480U);
    BOOST_TEST(rates.read.bytes == rates.log_bytes);
    is_about(rates.log_bytes_a_day() * rates.records_a_byte(), 240 * 0.999);
    BOOST_TEST(!rates.has_checkpoint);
    BOOST_TEST(rates.live_bytes == rates.files_bytes);
    // Less than a MiB was read: nobody knows how fast that is.
    BOOST_TEST(rates.replay_rate() == 0);
}

BOOST_AUTO_TEST_CASE(an_hour_without_a_write_counts_while_it_is_served_and_not_when_it_is_stopped) {
    World world{{.seed = 2}};
    std::uint64_t bytes = 0;
    {
        Subject subject(world, *open(world.files(), world.clock(), small_options()));
        live_for(world, subject, 12);
        const auto busy = must_tell(world);
        world.clock().advance(12 * kHourUs);
        const auto idle = must_tell(world);
        BOOST_TEST(idle.log_bytes == busy.log_bytes);
        is_about(busy.log_bytes_a_day(), 2 * idle.log_bytes_a_day() * 0.98);
        BOOST_REQUIRE(subject.stop_cleanly());
        bytes = busy.log_bytes;
    }
    world.clock().advance(1000 * kHourUs);
    const auto stopped = must_tell(world);
    BOOST_TEST(stopped.log_bytes == bytes);
    is_about(static_cast<double>(stopped.sample_us), 12.0 * kHourUs * 0.99);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_tells_what_is_live_and_what_a_start_replays) {
    World world{{.seed = 3}};
    Subject subject(world, *open(world.files(), world.clock(), small_options()));
    live_for(world, subject, 48);
    BOOST_REQUIRE(subject.checkpoint([] { return true; }));
    const auto then = subject.engine().log.tail.batch_end();
    live_for(world, subject, 2);
    const auto rates = must_tell(world);
    BOOST_TEST(rates.has_checkpoint);
    is_about(static_cast<double>(rates.live_bytes), 50'000);
    BOOST_TEST(rates.garbage_share() > 0.8);
    BOOST_TEST(rates.garbage_share() < 0.95);
    BOOST_TEST(rates.checkpoint_bytes > 0U);
    BOOST_TEST(rates.checkpoint_behind == subject.engine().log.tail.batch_end() - then);
    is_about(static_cast<double>(rates.checkpoint_age_us), 2.0 * kHourUs);
}

// A crash makes the next timeline begin at a larger lsn: nobody has written what lies between.
BOOST_AUTO_TEST_CASE(what_timelines_jump_over_was_not_written) {
    for (std::uint64_t seed = 1; seed <= volume({.usual = 6, .sanitized = 2, .full = 60}); ++seed)
        BOOST_TEST_CONTEXT("seed " << seed) {
            Lived lived(seed, 2, seed % 2 == 0);
            const auto rates = must_tell(lived.world);
            const auto& timelines = lived.subject->store().manifest().timelines;
            std::uint64_t jumped = 0;
            for (std::size_t i = 0; i + 1 < timelines.size(); ++i)
                if (timelines[i].end >= rates.oldest.lsn)
                    jumped += timelines[i + 1].begin - timelines[i].end;
            BOOST_TEST(rates.log_bytes ==
                       (rates.newest.lsn - rates.oldest.lsn) -
                           std::min(jumped, rates.newest.lsn - rates.oldest.lsn));
        }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
