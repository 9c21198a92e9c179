#include "engine/log/supply.hpp"

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <string>
#include <vector>

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
        : supply(world.files(), world.clock(), segments, {.next_file = 1}, options,
                 [](const std::function<void()>& run) { run(); }) {}

    // Pieces it moves before it stops by itself.
    std::size_t pieces() {
        std::size_t count = 0;
        while (supply.work()) ++count;
        return count;
    }
};

}  // namespace

// Zeros are for a log of small writes, or of many syncs: of what they cost as much again as the
// log.
BOOST_FIXTURE_TEST_CASE(a_log_in_large_pieces_that_is_seldom_synced_gets_room_without_zeros, Made) {
    const auto next = [&](std::uint64_t write_bytes, std::uint64_t sync_bytes) {
        for (std::uint64_t bytes = 0; bytes < 2 * kSegment; bytes += write_bytes) {
            supply.wrote(write_bytes);
            if (bytes % sync_bytes < write_bytes) supply.syncs();
        }
        const auto before = supply.made().zeroed_bytes;
        (void)supply.take();
        for (int i = 0; i < 40 && supply.ready().count < 2; ++i) {
            (void)pieces();
            world.pass(20'000);
        }
        BOOST_REQUIRE(supply.ready().count == 2U);
        return supply.made().zeroed_bytes - before;
    };
    while (supply.ready().count < 2) {
        (void)pieces();
        world.pass(20'000);
    }
    BOOST_TEST(supply.made().zeroed_bytes == 2 * kSegment);
    BOOST_TEST(next(kPiece, kSegment) == 0U);
    BOOST_TEST(next(kPiece, kPiece) == kSegment);
    BOOST_TEST(next(4096, kSegment) == kSegment);
    BOOST_TEST(next(kPiece, kSegment) == 0U);
    // What it did before says more than nothing.
    BOOST_TEST(next(2 * kSegment, 2 * kSegment) == 0U);
}

BOOST_FIXTURE_TEST_CASE(a_segment_is_made_at_once_while_none_is_ready, Made) {
    const auto began = world.clock().mono();
    while (supply.ready().count == 0) BOOST_REQUIRE(supply.work());
    BOOST_TEST(world.clock().mono().us - began.us < 20'000);
    BOOST_TEST(supply.made().zeroed_bytes == 16 * kPiece);
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

// Each takes its memory until it is sealed: a log that bursts must not outrun that.
BOOST_FIXTURE_TEST_CASE(full_segments_that_wait_are_sealed_whatever_the_pace_is, Made) {
    std::vector<Segment*> full;
    while (full.size() < 6) {
        while (supply.ready().count == 0) BOOST_REQUIRE(supply.work());
        full.push_back(supply.take());
    }
    for (auto* segment : full) {
        segment->end = 16 * kPiece;
        supply.seal(*segment);
    }
    BOOST_TEST(supply.behind());
    const auto began = world.clock().mono();
    (void)pieces();
    BOOST_TEST(!supply.behind());
    BOOST_TEST(world.clock().mono().us - began.us < 20'000);
    std::size_t in_memory = 0;
    for (const auto* segment : full) in_memory += segment->image != nullptr ? 1 : 0;
    BOOST_TEST(in_memory <= 3U);
    // Nor does one that is made meanwhile come to a stop.
    BOOST_TEST(supply.ready().count >= 1U);
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
    BOOST_TEST(supply.numbers_left() == kFileNumberMax - 1);
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

BOOST_AUTO_TEST_CASE(segments_grow_as_far_as_what_is_live_allows) {
    Made made({.bytes_first = kSegment,
               .bytes_max = 16 * kSegment,
               .ready = 1,
               .kept_bytes = 0,
               .piece_bytes = kPiece});
    const auto next = [&] {
        while (made.supply.ready().count == 0) {
            (void)made.pieces();
            made.world.pass(20'000);
        }
        return made.supply.take()->bytes / kSegment;
    };
    made.supply.segment_bytes_max(5 * kSegment);
    for (const std::uint64_t segments : {1U, 2U, 4U, 4U}) BOOST_TEST(next() == segments);
    made.supply.segment_bytes_max(1'000 * kSegment);
    // The next one is ready already when more is allowed.
    for (const std::uint64_t segments : {4U, 8U, 16U, 16U}) BOOST_TEST(next() == segments);
    // A batch of a few long records finds no room in any number of short ones.
    made.supply.segment_bytes_max(0);
    (void)next();
    BOOST_TEST(next() == 2U);
}

namespace {

// A segment that was in use, and that nothing needs any more; nobody has it open.
struct Retired : Made {
    Retired() {
        supply.spare_bytes_max(8 * kSegment);
        while (supply.ready().count < 2) {
            (void)pieces();
            world.pass(20'000);
        }
    }

    // What its file held is log before this place.
    static constexpr Lsn kEnd{123'456};

    bool retire() {
        auto* taken = supply.take();
        auto segment = segments.remove(taken->number);
        std::memset(segment->image->data(), 'x', kSegment);
        BOOST_REQUIRE(
            world.files().write(segment->fd, 0, {segment->image->data(), kSegment}).has_value());
        BOOST_REQUIRE(world.files().sync(segment->fd).has_value());
        world.files().close(segment->fd);
        return supply.spare(*segment, kEnd);
    }
    void later() {
        for (int i = 0; i < 60; ++i) {
            (void)pieces();
            world.pass(20'000);
        }
    }
    [[nodiscard]] std::uint64_t zeroed() const { return supply.made().zeroed_bytes; }
    [[nodiscard]] std::uint64_t recycled() const { return supply.made().recycled; }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(the_next_segment_is_made_of_one_that_nothing_needs, Retired) {
    const auto zeroed_before = zeroed();
    BOOST_REQUIRE(retire());
    BOOST_TEST(supply.made().spare_bytes == kSegment);
    BOOST_TEST(world.disk().has("0000000001.spare"));
    BOOST_TEST(!world.disk().has("0000000001.log"));
    later();
    BOOST_TEST(supply.ready().count == 2U);
    BOOST_TEST(zeroed() == zeroed_before);
    BOOST_TEST(recycled() == 1U);
    BOOST_TEST(supply.made().spare_bytes == 0U);
    BOOST_TEST(!world.disk().has("0000000001.spare"));
    // It says that it is not in use, whose it is, and that what is in it is not the log's any more.
    const auto content = world.disk().content("0000000003.log");
    BOOST_TEST(content.size() == kSegment);
    const auto read = decode_segment_header(as_bytes(content), {});
    BOOST_TEST((read.fault == HeaderFault::unused));
    BOOST_TEST(read.header.number == 3U);
    BOOST_TEST(read.header.bytes == kSegment);
    BOOST_TEST((read.header.stale == kEnd));
    BOOST_TEST(content.back() == 'x');
    // And so does the segment, when it is taken.
    (void)supply.take();
    BOOST_TEST((supply.take()->stale == kEnd));
}

BOOST_FIXTURE_TEST_CASE(what_somebody_has_by_another_name_is_never_written_again, Retired) {
    BOOST_REQUIRE(world.files().link("0000000001.log", "of a backup"));
    BOOST_REQUIRE(retire());
    for (int i = 0; i < 5; ++i) later();
    BOOST_TEST(supply.ready().count == 2U);
    // Nor is it kept for long.
    (void)supply.take();
    later();
    BOOST_TEST(recycled() == 0U);
    BOOST_TEST(!world.disk().has("0000000001.spare"));
    BOOST_TEST(supply.made().spare_bytes == 0U);
    BOOST_TEST((world.disk().content("of a backup") == std::string(kSegment, 'x')));
}

BOOST_FIXTURE_TEST_CASE(what_somebody_reads_is_written_again_when_he_has_done, Retired) {
    const auto fd = world.files().open("0000000001.log", io::Open::read);
    BOOST_REQUIRE(fd.has_value());
    auto map = world.files().map(*fd);
    BOOST_REQUIRE(map.has_value());
    BOOST_REQUIRE(retire());
    later();
    BOOST_TEST(recycled() == 0U);
    world.files().close(*fd);
    (void)supply.take();
    later();
    BOOST_TEST(recycled() == 0U);
    BOOST_TEST(((*map)->bytes()[kSegment - 1] == std::byte{'x'}));
    map->reset();
    (void)supply.take();
    later();
    BOOST_TEST(recycled() == 1U);
}

BOOST_FIXTURE_TEST_CASE(no_more_is_kept_for_segments_to_come_than_there_is_use_of, Retired) {
    supply.spare_bytes_max(kSegment);
    BOOST_REQUIRE(retire());
    BOOST_TEST(!supply.takes_spare(kSegment));
    BOOST_TEST(!retire());
    BOOST_TEST(world.disk().has("0000000002.log"));
    supply.spare_bytes_max(0);
    BOOST_TEST(!world.disk().has("0000000001.spare"));
}

BOOST_FIXTURE_TEST_CASE(a_full_disk_gets_back_what_was_kept_for_segments_to_come, Retired) {
    BOOST_REQUIRE(retire());
    // Somebody reads it, so that another one has to be made.
    BOOST_REQUIRE(world.files().open("0000000001.spare", io::Open::read).has_value());
    world.disk().capacity(2 * kSegment + kPiece);
    later();
    BOOST_TEST(!world.disk().has("0000000001.spare"));
    BOOST_TEST(supply.made().spare_bytes == 0U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::engine
