// G18, G8: what a segment held before it was used again is nobody's business: no start, no check,
// no copy takes it for log, for a torn write or for damage. And what somebody else has is never
// used again.

#include <boost/test/unit_test.hpp>
#include <map>
#include <memory>
#include <string>

#include "engine/format/names.hpp"
#include "engine/manifest_file.hpp"
#include "recovery/archive_files.hpp"
#include "recovery/archiver.hpp"
#include "recovery/backup.hpp"
#include "recovery/check.hpp"
#include "recovery/log_reader.hpp"
#include "recovery/past.hpp"
#include "recovery/repair.hpp"
#include "recovery/restore.hpp"
#include "recovery/scrub.hpp"
#include "tests/recovery/lived.hpp"

namespace firnlog::recovery {
namespace {

using sim::World;

constexpr std::uint32_t kDatabases = 4;
// With a key of five bytes and both headers it is a block: a write fills its last block with zeros.
constexpr std::size_t kBlockOfText = 4096 - 64 - 16;

// A store whose log goes round, amid a segment that was one before.
struct Round {
    World world;
    sim::Rng rng;
    std::unique_ptr<Subject> subject;
    const bool even;  // all frames are alike, and so are the places where they begin in a file

    explicit Round(std::uint64_t seed, bool even_frames = false)
        : world{{.seed = seed}}, rng{seed}, even{even_frames} {
        auto opened = open(world.files(), world.clock(), small_options(false));
        BOOST_REQUIRE(opened.has_value());
        subject = std::make_unique<Subject>(world, std::move(*opened));
        for (int i = 0; i < 6; ++i) overwrite();
        while (!active_is_stale()) write(1);
        BOOST_REQUIRE(subject->sync());
        BOOST_REQUIRE_GT(subject->engine().supply.made().recycled, 0U);
    }

    void write(int count) {
        for (int i = 0; i < count; ++i) {
            const std::string text(even ? kBlockOfText : rng.between(2000, 6000),
                                   static_cast<char>('a' + rng.below(26)));
            BOOST_REQUIRE(subject->set("key:" + std::to_string(rng.below(10)), text));
            subject->engine().work();
            subject->kick();
            if (even) BOOST_REQUIRE(subject->sync());
        }
    }
    // Enough for some segments, and a walk that lets go of those before.
    void overwrite() {
        write(80);
        BOOST_REQUIRE(subject->sync());
        while (subject->engine().work()) {
        }
        BOOST_REQUIRE(subject->checkpoint([] { return true; }));
        world.pass(10'000);
    }
    [[nodiscard]] bool active_is_stale() {
        const engine::Segment* active = nullptr;
        for (const auto* segment : subject->engine().segments().all())
            if (!segment->packed && segment->base.value != 0 &&
                (active == nullptr || active->base < segment->base))
                active = segment;
        return active != nullptr && active->image != nullptr && active->stale.value != 0;
    }
    [[nodiscard]] std::uint64_t model() const { return digest(subject->model()); }
};

std::uint64_t digest_of(io::Files& files, const Moment& moment, std::int64_t now_us) {
    const auto past = open_past(files, {.moment = moment,
                                        .now_us = now_us,
                                        .databases = kDatabases,
                                        .progress = {},
                                        .give_up = {}});
    BOOST_REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().text));
    return digest(read_all((*past)->engine(), kDatabases));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(recycled)

BOOST_AUTO_TEST_CASE(a_start_takes_nothing_stale_for_log_nor_for_a_torn_write) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) BOOST_TEST_CONTEXT("seed " << seed) {
            Round round(seed);
            const auto expected = round.model();
            const bool clean = seed % 2 == 0;
            if (clean) BOOST_REQUIRE(round.subject->stop_cleanly());
            World after{{.seed = seed}, round.world.image(sim::Cut::none, round.rng)};
            auto opened = open(after.files(), after.clock(), small_options(false));
            BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
            BOOST_TEST((*opened)->report().clean == clean);
            BOOST_TEST((*opened)->report().torn_bytes == 0U);
            BOOST_TEST(
                after.files().list("quarantine").value_or(std::vector<io::FileInfo>{}).empty());
            BOOST_REQUIRE(digest(read_all((*opened)->engine(), kDatabases)) == expected);
            // Neither spares nor segments that were only made ready are left.
            for (const auto& name : after.disk().names())
                BOOST_TEST(!engine::names::spare_number(name));
        }
}

BOOST_AUTO_TEST_CASE(a_stale_frame_that_begins_where_the_log_ends_is_no_part_of_it) {
    Round round(11, true);
    round.write(3);
    const auto expected = round.model();
    const auto durable = round.subject->engine().log.durable();
    World after{{.seed = 1}, round.world.image(sim::Cut::none, round.rng)};
    // It is there, whole: the one that was written before would be as valid at its own lsn.
    std::size_t aligned = 0;
    for (const auto& name : after.disk().names()) {
        if (!engine::names::log_number(name)) continue;
        const auto content = after.disk().content(name);
        const auto bytes = as_bytes(content);
        const auto store_id = round.subject->engine().store_id;
        const auto header = engine::decode_segment_header(bytes, store_id);
        if (header.fault != engine::HeaderFault::none || header.header.stale.value == 0) continue;
        LogFile file{.number = header.header.number, .bytes = content.size(), .header = header};
        LogReader reader(store_id, file);
        BOOST_REQUIRE(reader.load(after.files()).has_value());
        while (reader.next()) {
        }
        const auto left = bytes.subspan(reader.end_offset());
        if (left.size() < engine::kFrameHeaderBytes) continue;
        const auto lsn = load<engine::FrameHeader>(left.data()).lsn;
        const bool stale = lsn < header.header.stale &&
                           engine::decode_frame_header(left, engine::FrameSeed(store_id), lsn);
        aligned += stale ? 1 : 0;
    }
    BOOST_TEST(aligned > 0U);
    auto opened = open(after.files(), after.clock(), small_options(false));
    BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
    BOOST_TEST((*opened)->report().torn_bytes == 0U);
    BOOST_TEST(((*opened)->engine().log.durable() > durable));
    const auto& timelines = (*opened)->manifest().timelines;
    BOOST_TEST((timelines[timelines.size() - 2].end == durable));
    BOOST_REQUIRE(digest(read_all((*opened)->engine(), kDatabases)) == expected);
}

BOOST_AUTO_TEST_CASE(a_torn_write_over_stale_bytes_is_cut_and_kept) {
    std::uint64_t torn = 0;
    std::uint64_t kept = 0;
    std::unique_ptr<Round> round;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) BOOST_TEST_CONTEXT("seed " << seed) {
            if (seed % 10 == 1) round = std::make_unique<Round>(seed);
            // A frame over many blocks, of which the power cut keeps some.
            while (!round->active_is_stale()) round->write(1);
            BOOST_REQUIRE(round->subject->sync());
            const auto before = round->model();
            std::vector<std::pair<std::string, std::string>> pairs;
            pairs.reserve(6);
            for (int i = 0; i < 6; ++i)
                pairs.emplace_back("torn:" + std::to_string(i), std::string(3000, 't'));
            BOOST_REQUIRE(round->subject->set_many(pairs));
            round->subject->kick();
            sim::Rng rng{seed};
            World after{{.seed = seed}, round->world.image(sim::Cut::random, rng)};
            auto opened = open(after.files(), after.clock(), small_options(false));
            BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
            const auto found = digest(read_all((*opened)->engine(), kDatabases));
            BOOST_REQUIRE((found == before || found == round->model()));
            if ((*opened)->report().torn_bytes == 0) continue;
            BOOST_TEST(found == before);
            ++torn;
            const auto listed = after.files().list("quarantine");
            BOOST_REQUIRE(listed.has_value());
            for (const auto& info : *listed) kept += info.bytes;
            // No more than was written: what was there before is not torn.
            BOOST_TEST((*opened)->report().torn_bytes < 24'000U);
        }
    BOOST_TEST(torn > 0U);
    BOOST_TEST(kept > 0U);
}

BOOST_AUTO_TEST_CASE(stale_bytes_are_no_faults_to_who_reads_all_of_a_store) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) BOOST_TEST_CONTEXT("seed " << seed) {
            Round round(seed);
            for (const bool killed : {false, true}) {
                World other{{.seed = seed},
                            killed ? round.world.image(sim::Cut::kill, round.rng)
                                   : round.world.disk().copy()};
                const auto checked = check(other.files());
                BOOST_REQUIRE(checked.has_value());
                for (const auto& fault : checked->survey.faults) BOOST_ERROR(fault.line());
                BOOST_TEST(checked->survey.torn_bytes == 0U);
                const auto scrubbed = scrub(other.files(), {});
                BOOST_REQUIRE(scrubbed.has_value());
                for (const auto& fault : scrubbed->faults) BOOST_ERROR(fault.line());
                BOOST_TEST(scrubbed->files > 2U);
                World aside{{.seed = seed}};
                const auto repaired = repair(other.files(), &aside.files(), aside.clock(),
                                             &aside.io(), {.engine = small_options().engine});
                BOOST_REQUIRE(repaired.has_value());
                BOOST_TEST(repaired->lost_nothing());
                auto whole = open(aside.files(), aside.clock(), small_options());
                BOOST_REQUIRE(whole.has_value());
                BOOST_REQUIRE(digest(read_all((*whole)->engine(), kDatabases)) == round.model());
            }
        }
}

BOOST_AUTO_TEST_CASE(backups_archives_and_stores_made_of_them_are_as_the_store_was) {
    Round round(5);
    World shelf{{.seed = 6}};
    const auto taken = take_backup(round.world.files(), shelf.files(), round.world.clock(),
                                   {.name = "one", .progress = {}, .give_up = {}});
    BOOST_REQUIRE_MESSAGE(taken.has_value(), (taken ? "" : taken.error().text));
    const auto expected = round.model();
    const Moment moment{
        .what = Moment::What::lsn, .us = 0, .lsn = taken->place.lsn, .timeline = {}, .mark = {}};
    World far{{.seed = 7}};
    Archiver archiver(round.world.files(),
                      {.to = &far.files(),
                       .command = {},
                       .going = {},
                       .durable = [&] { return round.subject->engine().log.durable(); },
                       .tail_due = {},
                       .tail_every_bytes = 4096});
    const auto begun = archiver.begin();
    BOOST_REQUIRE_MESSAGE(begun.has_value(), (begun ? "" : begun.error().text));
    const auto brought = archiver.round(Archiver::Bring::all);
    BOOST_REQUIRE_MESSAGE(brought.has_value(), (brought ? "" : brought.error().text));
    for (int i = 0; i < 3; ++i) round.overwrite();

    const auto backup = find_backup(shelf.files(), "one");
    BOOST_REQUIRE(backup.has_value());
    const auto verified = verify_backup(shelf.files(), *backup);
    BOOST_REQUIRE(verified.has_value());
    BOOST_TEST(verified->faults.empty());
    const auto files = open_backup(shelf.files(), *backup);
    BOOST_REQUIRE(digest_of(*files, moment, backup->manifest.made_us) == expected);
    auto archived = ArchiveFiles::open(far.files(), {});
    BOOST_REQUIRE_MESSAGE(archived.has_value(), (archived ? "" : archived.error().text));
    BOOST_REQUIRE(digest_of(**archived, moment, std::int64_t{1} << 60) == expected);

    World to{{.seed = 8}};
    RestoreOptions options;
    options.moment = moment;
    options.engine = small_options().engine;
    const auto restored = restore(*files, to.files(), to.clock(), to.io(), options);
    BOOST_REQUIRE_MESSAGE(restored.has_value(), (restored ? "" : restored.error().text));
    auto store = open(to.files(), to.clock(), small_options());
    BOOST_REQUIRE_MESSAGE(store.has_value(), (store ? "" : store.error().text));
    BOOST_TEST((*store)->report().torn_bytes == 0U);
    BOOST_REQUIRE(digest(read_all((*store)->engine(), kDatabases)) == expected);
}

BOOST_AUTO_TEST_CASE(what_somebody_has_by_a_second_name_never_changes) {
    Round round(9);
    // A walk gives back all that is full and dead: some more that is not.
    round.write(100);
    std::map<std::string, std::string> linked;
    const auto listed = round.world.files().list();
    BOOST_REQUIRE(listed.has_value());
    for (const auto& info : *listed) {
        if (!engine::names::log_number(info.name)) continue;
        const auto* segment =
            round.subject->engine().segments().find(*engine::names::log_number(info.name));
        // The log is still written into the others.
        if (segment == nullptr || segment->map == nullptr) continue;
        const auto name = "of a backup." + info.name;
        BOOST_REQUIRE(round.world.files().link(info.name, name));
        linked[name] = round.world.disk().content(name);
    }
    BOOST_REQUIRE_GT(linked.size(), 1U);
    for (int i = 0; i < 6; ++i) round.overwrite();
    for (const auto& [name, content] : linked) {
        BOOST_TEST(!round.world.disk().has(name.substr(name.find('.') + 1)));
        BOOST_REQUIRE((round.world.disk().content(name) == content));
    }
}

BOOST_AUTO_TEST_CASE(a_build_that_does_not_know_of_it_is_told_to_keep_off) {
    constexpr std::uint64_t kRecycles = 16;
    const auto bits = [](World& world) {
        return load<std::uint64_t>(as_bytes(world.disk().content("manifest")).data() + 16);
    };
    World fresh{{.seed = 1}};
    BOOST_REQUIRE(open(fresh.files(), fresh.clock(), small_options(false)).has_value());
    BOOST_TEST((bits(fresh) & kRecycles) == 0U);
    Round round(2);
    BOOST_TEST((bits(round.world) & kRecycles) != 0U);
    BOOST_REQUIRE(round.subject->stop_cleanly());
    BOOST_TEST((bits(round.world) & kRecycles) != 0U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
