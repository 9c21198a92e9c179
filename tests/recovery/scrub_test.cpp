// G7, G12: what rots in a file that nobody reads is found while there is time to do something
// about it; and nothing is called damaged that is not, whatever the store does meanwhile.

#include "recovery/scrub.hpp"

#include <boost/test/unit_test.hpp>
#include <set>

#include "engine/checkpoint_file.hpp"
#include "engine/format/names.hpp"
#include "recovery/history.hpp"
#include "tests/recovery/lived.hpp"

namespace firnlog::recovery {
namespace {

using sim::World;

// One that is served: what has lived so far was stopped cleanly.
struct Served : Lived {
    Served(std::uint64_t seed, int crashes, bool keeps = true) : Lived(seed, crashes, keeps) {
        subject.reset();
        auto opened = open(world.files(), world.clock(), small_options(keeps));
        BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
        subject = std::make_unique<Subject>(world, std::move(*opened));
    }
};

bool write_some(Served& lived, int count) {
    for (int i = 0; i < count; ++i)
        if (!lived.subject->set("more:" + std::to_string(lived.rng.below(50)),
                                std::string(lived.rng.between(10, 3000), 'm')))
            return false;
    return lived.subject->sync();
}

Scrubbed must_scrub(World& world, const ScrubOptions& options = {}) {
    const auto scrubbed = scrub(world.files(), options);
    BOOST_REQUIRE_MESSAGE(scrubbed.has_value(), (scrubbed ? "" : scrubbed.error().text));
    return *scrubbed;
}

void no_faults(const Scrubbed& scrubbed) {
    for (const auto& fault : scrubbed.faults) BOOST_ERROR(fault.line());
}

// A place within a file where a byte counts.
struct Spot {
    std::string file;
    std::uint64_t offset = 0;
    engine::Lsn lsn;  // log: of that byte
};

// One in every full file of the store.
std::vector<Spot> spots_of(Served& lived) {
    std::vector<Spot> spots;
    const auto history = History::read(lived.world.files());
    BOOST_REQUIRE(history.has_value());
    const auto& pieces = (*history)->pieces();
    const auto open_from = (*history)->manifest().timelines.back().begin;
    for (const auto& piece : pieces) {
        if (&piece == &pieces.back() && piece.file.base() >= open_from) continue;
        if (!(*history)->goes_on(piece)) continue;
        const auto at = lived.rng.below(piece.end - piece.file.base());
        spots.push_back({.file = engine::names::log_file(piece.file.number),
                         .offset = engine::kSegmentHeaderBytes + at,
                         .lsn = piece.file.base() + at});
    }
    for (const auto& entry : (*history)->manifest().checkpoints) {
        const auto reader = engine::CheckpointReader::open(lived.world.files(), entry.number,
                                                           (*history)->manifest().store_id);
        BOOST_REQUIRE(reader.has_value());
        const auto& blobs = (*reader)->blobs();
        if (blobs.empty()) continue;
        const auto& blob = blobs[lived.rng.below(blobs.size())];
        spots.push_back({.file = engine::names::checkpoint_file(entry.number),
                         .offset = blob.offset + lived.rng.below(blob.length),
                         .lsn = entry.hi});
    }
    for (const auto number : (*history)->manifest().packed) {
        const auto name = engine::names::packed_file(number);
        const auto bytes = lived.world.disk().content(name).size();
        spots.push_back({.file = name,
                         .offset = engine::kPackedHeaderBytes +
                                   lived.rng.below(bytes - engine::kPackedHeaderBytes),
                         .lsn = {}});
    }
    return spots;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(scrub_)

BOOST_AUTO_TEST_CASE(a_sound_store_has_no_faults_and_all_of_it_is_read) {
    for (std::uint64_t seed = 1; seed <= volume({.usual = 6, .sanitized = 2, .full = 60}); ++seed)
        BOOST_TEST_CONTEXT("seed " << seed) {
            Served lived(seed, static_cast<int>(seed % 3), seed % 2 == 0);
            BOOST_REQUIRE(write_some(lived, 60));
            BOOST_REQUIRE(lived.subject->checkpoint([] { return true; }));
            std::uint64_t paced = 0;
            std::uint64_t all = 0;
            const auto scrubbed =
                must_scrub(lived.world, {.pace =
                                             [&](std::uint64_t bytes, std::uint64_t bytes_all) {
                                                 paced += bytes;
                                                 all = bytes_all;
                                                 return true;
                                             },
                                         .fault = {}});
            no_faults(scrubbed);
            BOOST_TEST(scrubbed.files >= spots_of(lived).size());
            BOOST_TEST(scrubbed.gone == 0U);
            BOOST_TEST(scrubbed.bytes == all);
            BOOST_TEST(paced > 0U);
        }
}

BOOST_AUTO_TEST_CASE(a_byte_that_rotted_in_any_full_file_is_told_with_its_place) {
    std::set<std::string> kinds;
    for (std::uint64_t seed = 1; seed <= volume({.usual = 6, .sanitized = 2, .full = 60}); ++seed)
        BOOST_TEST_CONTEXT("seed " << seed) {
            Served lived(seed, 1, seed % 2 == 0);
            BOOST_REQUIRE(write_some(lived, 60));
            BOOST_REQUIRE(lived.subject->checkpoint([] { return true; }));
            for (const auto& spot : spots_of(lived)) BOOST_TEST_CONTEXT(spot.file) {
                    lived.world.disk().flip(spot.file, spot.offset);
                    std::vector<Fault> told;
                    const auto scrubbed = must_scrub(
                        lived.world,
                        {.pace = {}, .fault = [&](const Fault& fault) { told.push_back(fault); }});
                    BOOST_REQUIRE(scrubbed.faults.size() == 1U);
                    BOOST_TEST((told == scrubbed.faults));
                    const auto& fault = told.front();
                    BOOST_TEST(fault.file == spot.file);
                    // The frame, record or page that the byte is in begins there. A packed record
                    // is led by its lsn.
                    const bool packed = spot.file.ends_with(".pack");
                    BOOST_TEST(fault.offset <=
                               spot.offset + (packed ? engine::kPackedLeadBytes : 0));
                    BOOST_TEST(fault.lsn.value <= spot.lsn.value);
                    if (spot.file.ends_with(".log"))
                        BOOST_TEST((spot.lsn - fault.lsn) == spot.offset - fault.offset);
                    BOOST_TEST(!fault.loses());
                    kinds.insert(spot.file.substr(spot.file.find('.')));
                    lived.world.disk().flip(spot.file, spot.offset);
                    no_faults(must_scrub(lived.world));
                }
        }
    BOOST_TEST(kinds.size() == 3U);
}

// Nothing else would read them until somebody needs one.
BOOST_AUTO_TEST_CASE(moments_that_outlive_the_window_are_read_as_well) {
    World world{{.seed = 11}};
    auto options = small_options(false);
    options.engine.walk.window.keep = {{.period = engine::Period::hourly, .count = 9}};
    Subject subject(world, *open(world.files(), world.clock(), options));
    for (int hour = 0; hour < 6; ++hour) {
        for (int i = 0; i < 40; ++i)
            BOOST_REQUIRE(subject.set("key" + std::to_string(i), std::string(5'000, 'v')));
        BOOST_REQUIRE(subject.sync());
        BOOST_REQUIRE(subject.checkpoint([] { return true; }));
        world.clock().advance(std::int64_t{3600} * 1'000'000);
        subject.engine().now.update();
    }
    const auto history = History::read(world.files());
    BOOST_REQUIRE(history.has_value());
    const auto& kept = (*history)->manifest().kept;
    BOOST_REQUIRE(kept.size() > 1U);
    no_faults(must_scrub(world));
    const auto name = engine::names::checkpoint_file(kept.front().number);
    world.disk().flip(name, kept.front().bytes / 2);
    const auto scrubbed = must_scrub(world);
    BOOST_REQUIRE(scrubbed.faults.size() == 1U);
    BOOST_TEST(scrubbed.faults.front().file == name);
}

BOOST_AUTO_TEST_CASE(a_sector_that_cannot_be_read_and_a_file_cut_short_are_told) {
    Served lived(3, 0);
    BOOST_REQUIRE(write_some(lived, 100));
    const auto spots = spots_of(lived);
    BOOST_REQUIRE(!spots.empty());
    const auto& name = spots.front().file;
    lived.world.disk().spoil(name, engine::kSegmentHeaderBytes + 4096, 512);
    auto scrubbed = must_scrub(lived.world);
    BOOST_REQUIRE(scrubbed.faults.size() == 1U);
    BOOST_TEST(scrubbed.faults.front().file == name);
    const auto content = lived.world.disk().content(name);
    BOOST_REQUIRE(lived.world.files().unlink(name).has_value());
    lived.world.disk().put(name, content.substr(0, 9000));
    scrubbed = must_scrub(lived.world);
    BOOST_REQUIRE(scrubbed.faults.size() == 1U);
    BOOST_TEST(scrubbed.faults.front().offset <= 9000U);
}

BOOST_AUTO_TEST_CASE(a_file_that_the_store_lets_go_of_meanwhile_is_no_fault) {
    std::uint64_t gone = 0;
    for (std::uint64_t seed = 1; seed <= volume({.usual = 12, .sanitized = 4, .full = 60}); ++seed)
        BOOST_TEST_CONTEXT("seed " << seed) {
            Served lived(seed, 0, false);
            BOOST_REQUIRE(write_some(lived, 150));
            // Every second time one of them is damaged, and gone by the second look.
            const bool damaged = seed % 2 == 0;
            const auto spots = spots_of(lived);
            if (damaged) lived.world.disk().flip(spots.front().file, spots.front().offset);
            auto reads_left = lived.rng.below(6);
            const auto scrubbed = must_scrub(
                lived.world,
                {.pace =
                     [&](std::uint64_t, std::uint64_t) {
                         if (reads_left-- != 0) return true;
                         for (int i = 0; i < 3; ++i) {
                             BOOST_REQUIRE(write_some(lived, 60));
                             BOOST_REQUIRE(lived.subject->checkpoint([] { return true; }));
                         }
                         return true;
                     },
                 .fault = {}});
            gone += scrubbed.gone;
            for (const auto& fault : scrubbed.faults)
                BOOST_TEST((damaged && lived.world.disk().has(fault.file)), fault.line());
        }
    BOOST_TEST(gone > 0U);
}

// A disk that was right the second time, and a process without descriptors: neither is damage.
BOOST_AUTO_TEST_CASE(an_operation_that_fails_once_makes_no_fault) {
    Served lived(7, 0);
    BOOST_REQUIRE(write_some(lived, 60));
    BOOST_REQUIRE(lived.subject->checkpoint([] { return true; }));
    const auto step = volume({.usual = 1, .sanitized = 29, .full = 1});
    std::uint64_t struck = 0;
    for (const auto error : {EIO, EMFILE})
        for (const bool sticky : {false, true})
            for (std::uint64_t nth = 1;; nth += step) {
                if (error == EIO && sticky) break;
                lived.world.fail({.error = error, .any = true, .nth = nth, .sticky = sticky});
                const auto before = lived.world.faults_struck();
                const auto scrubbed = scrub(lived.world.files(), {});
                const bool reached = lived.world.faults_struck() != before;
                lived.world.heal();
                if (!reached) break;
                ++struck;
                BOOST_TEST_CONTEXT("errno " << error << " at " << nth) {
                    if (scrubbed) no_faults(*scrubbed);
                    if (!scrubbed) BOOST_TEST((scrubbed.error().error.code != Code::damaged));
                    no_faults(must_scrub(lived.world));
                }
            }
    BOOST_TEST(struck * step > 100U);
}

BOOST_AUTO_TEST_CASE(who_paces_it_may_end_it) {
    Served lived(5, 0);
    BOOST_REQUIRE(write_some(lived, 60));
    std::uint64_t reads = 0;
    const auto scrubbed =
        scrub(lived.world.files(),
              {.pace = [&](std::uint64_t, std::uint64_t) { return ++reads < 3; }, .fault = {}});
    BOOST_REQUIRE(!scrubbed.has_value());
    BOOST_TEST((scrubbed.error().error.code == Code::busy));
    BOOST_TEST(reads == 3U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
