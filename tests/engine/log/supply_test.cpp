#include "engine/log/supply.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/sim/world.hpp"

namespace firnlog::engine {

BOOST_AUTO_TEST_SUITE(supply)

namespace {

constexpr std::uint64_t kPiece = 64 * 1024;
constexpr std::uint64_t kSegment = 16 * kPiece;

struct Made {
    sim::World world{{.seed = 1}};
    Segments segments;
    Supply supply;

    explicit Made(SupplyOptions options = {.bytes_first = kSegment,
                                           .bytes_max = kSegment,
                                           .ready = 2,
                                           .kept_bytes = 0,
                                           .piece_bytes = kPiece})
        : supply(world.files(), world.clock(), segments, 1, options,
                 [](const std::function<void()>& run) { run(); }) {}

    // Pieces it moves before it stops by itself.
    std::size_t pieces() {
        std::size_t count = 0;
        while (supply.work()) ++count;
        return count;
    }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_segment_is_made_at_once_while_none_is_ready, Made) {
    const auto began = world.clock().mono();
    while (supply.ready().count == 0) BOOST_REQUIRE(supply.work());
    BOOST_TEST(world.clock().mono().us - began.us < 20'000);
    BOOST_TEST(supply.zeroed_bytes() == 16 * kPiece);
}

BOOST_FIXTURE_TEST_CASE(the_next_one_is_made_in_step_with_what_the_log_writes, Made) {
    while (supply.ready().count == 0) BOOST_REQUIRE(supply.work());
    (void)pieces();
    supply.wrote(kPiece);
    BOOST_TEST(pieces() == 3U);
    supply.wrote(kPiece / 6);
    BOOST_TEST(pieces() == 0U);
    supply.wrote(kPiece / 6 + 2);
    BOOST_TEST(pieces() == 1U);
    // A burst earns no burst.
    supply.wrote(100 * kPiece);
    BOOST_TEST(pieces() == 4U);
    BOOST_TEST(supply.ready().count == 1U);
}

BOOST_FIXTURE_TEST_CASE(a_log_that_writes_nothing_gets_its_next_segment_all_the_same, Made) {
    while (supply.ready().count == 0) BOOST_REQUIRE(supply.work());
    for (int i = 0; i < 20 && supply.ready().count < 2; ++i) {
        world.pass(20'000);
        BOOST_TEST(pieces() <= 1U);
    }
    BOOST_TEST(supply.ready().count == 2U);
}

BOOST_FIXTURE_TEST_CASE(who_waits_for_room_is_not_kept_waiting_by_the_pace, Made) {
    while (supply.ready().count == 0) BOOST_REQUIRE(supply.work());
    supply.want(20 * kPiece);
    (void)pieces();
    BOOST_TEST(supply.ready().count == 2U);
}

BOOST_FIXTURE_TEST_CASE(a_full_segment_is_read_from_its_map_when_all_of_it_is_loaded, Made) {
    while (supply.ready().count == 0) BOOST_REQUIRE(supply.work());
    auto* segment = supply.take();
    segment->end = 16 * kPiece;
    supply.seal(*segment);
    BOOST_TEST(supply.work());
    BOOST_TEST((segment->map == nullptr));
    for (int i = 0; i < 100 && segment->map == nullptr; ++i) {
        supply.wrote(kPiece);
        (void)pieces();
    }
    BOOST_TEST((segment->map != nullptr));
    BOOST_TEST((segment->image == nullptr));
}

BOOST_FIXTURE_TEST_CASE(a_segment_that_cannot_be_read_back_stays_in_memory, Made) {
    while (supply.ready().count == 0) BOOST_REQUIRE(supply.work());
    auto* segment = supply.take();
    segment->end = 16 * kPiece;
    world.disk().spoil("0000000001.log", 7 * kPiece, 1);
    supply.seal(*segment);
    for (int i = 0; i < 100; ++i) {
        supply.wrote(kPiece);
        (void)pieces();
    }
    BOOST_TEST((segment->map == nullptr));
    BOOST_TEST((segment->image != nullptr));
    BOOST_TEST(supply.ready().count == 2U);
}

BOOST_FIXTURE_TEST_CASE(a_segment_that_is_half_made_leaves_no_file_behind, Made) {
    while (supply.ready().count == 0) BOOST_REQUIRE(supply.work());
    supply.wrote(kPiece);
    (void)pieces();
    BOOST_TEST(world.files().list().value().size() == 2U);
    supply.abandon();
    BOOST_TEST(world.files().list().value().size() == 1U);
    BOOST_TEST(supply.next_file() == 2U);
}

namespace {

// Of segments of one size, two are kept for deletions, and one lies ready.
struct Filling : Made {
    Filling()
        : Made({.bytes_first = kSegment,
                .bytes_max = kSegment,
                .ready = 1,
                .kept_bytes = 2 * kSegment,
                .piece_bytes = kPiece}) {}

    void capacity(std::uint64_t count) { world.disk().capacity(count * kSegment + kPiece); }
    // As long as it takes to try again, and to make two without haste.
    void later() {
        for (int i = 0; i < 60; ++i) {
            (void)pieces();
            world.pass(20'000);
        }
    }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(what_was_made_for_deletions_does_not_end_the_refusal_of_growth, Filling) {
    capacity(1);
    later();
    BOOST_REQUIRE(supply.ready().kept == 1U);
    BOOST_TEST(supply.ready().failing);
    // Room for the second one, and for no more: nobody may think that growth has any.
    capacity(2);
    supply.on_change = [&] { BOOST_TEST(supply.ready().failing); };
    later();
    BOOST_TEST(supply.ready().kept == 2U);
    BOOST_TEST(supply.ready().count == 0U);
    BOOST_TEST(supply.ready().failing);
    // Not even when one is in use.
    BOOST_REQUIRE(supply.take()->kept);
    later();
    BOOST_TEST(supply.ready().failing);
}

BOOST_FIXTURE_TEST_CASE(space_that_came_back_for_all_goes_to_those_first_who_were_refused,
                        Filling) {
    capacity(0);
    later();
    BOOST_REQUIRE(supply.ready().failing);
    capacity(8);
    while (supply.ready().failing) {
        BOOST_TEST(supply.ready().kept == 0U);
        if (!supply.work()) world.pass(20'000);
    }
    BOOST_TEST(supply.ready().count == 1U);
    later();
    BOOST_TEST(supply.ready().kept == 2U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::engine
