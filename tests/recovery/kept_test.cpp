// Kept moments: what a rule asks for opens at its own moment long after the window has let go of
// the log around it, comes along with a backup and a restore, and survives a crash at any place.

#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "recovery/backup.hpp"
#include "recovery/survey.hpp"
#include "tests/recovery/lived.hpp"

namespace firnlog::recovery {
namespace {

using sim::World;

constexpr std::int64_t kHourUs = std::int64_t{3600} * 1'000'000;

OpenOptions keeping_options() {
    auto options = small_options();
    options.engine.walk.window = {.retain_s = 2 * 3600,
                                  .keep = {{.period = engine::Period::hourly, .count = 6},
                                           {.period = engine::Period::daily, .count = 9}}};
    return options;
}

// A store over the hours: what was in it, and when.
struct Diary {
    explicit Diary(std::uint64_t seed) : world{{.seed = seed}}, rng{seed} { wake_up(); }

    void wake_up() { subject = open_again(world, keeping_options(), versions); }
    void lose_power() {
        remember();
        subject.reset();
        if (!world.crashed()) world.crash_now();
        world.restart(rng.chance(50) ? sim::Cut::kill : sim::Cut::random, rng);
        wake_up();
    }
    void remember() {
        versions.insert(versions.end(), subject->versions().begin(), subject->versions().end());
    }
    bool write() {
        for (int i = 0; i < 10; ++i) {
            const auto key = "key" + std::to_string(rng.below(30));
            const bool done = rng.chance(15)
                                  ? subject->remove(key)
                                  : subject->set(key, std::string(rng.between(100, 6'000), 'v') +
                                                          std::to_string(rng.below(1'000)));
            if (!done) return false;
        }
        return rng.chance(95) || subject->flush();
    }
    // Pages of its image are of several moments, so that it needs log of its own.
    bool take_checkpoint() {
        auto& walk = subject->engine().walk;
        const auto before = walk.status();
        (void)walk.request(true, true);
        for (int steps = 0; steps < 100'000; ++steps) {
            if (world.crashed() || walk.status().failed != before.failed) return false;
            if (walk.status().done != before.done) return true;
            subject->engine().work();
            (void)walk.step();
            if (walk.status().phase == engine::WalkPhase::keys && rng.chance(50) &&
                !subject->set("meanwhile" + std::to_string(rng.below(5)), "x"))
                return false;
            subject->kick();
        }
        return false;
    }
    bool live_an_hour() {
        const bool lived = write() && take_checkpoint() && subject->sync();
        world.clock().advance(kHourUs);
        return lived;
    }
    [[nodiscard]] std::uint64_t digest_of(engine::Lsn lsn) const {
        const auto behind = std::ranges::upper_bound(versions, lsn, {}, &Version::end);
        BOOST_REQUIRE(behind != versions.begin());
        return (behind - 1)->digest;
    }

    World world;
    sim::Rng rng;
    std::unique_ptr<Subject> subject;
    std::vector<Version> versions;
};

std::vector<engine::CheckpointEntry> kept_in(io::Files& files) {
    const auto history = History::read(files);
    BOOST_REQUIRE_MESSAGE(history.has_value(), (history ? "" : history.error().text));
    return (*history)->manifest().kept;
}

PastOptions at(engine::Lsn lsn, World& world) {
    return {.moment = {.what = Moment::What::lsn, .us = 0, .lsn = lsn},
            .now_us = world.clock().wall().us,
            .databases = 4,
            .progress = {},
            .give_up = {}};
}

// All of them, and no moment between.
void opens_what_was_kept(Diary& diary, io::Files& files,
                         const std::vector<engine::CheckpointEntry>& kept) {
    for (const auto& entry : kept) BOOST_TEST_CONTEXT("kept moment " << entry.number) {
            auto past = open_past(files, at(entry.hi, diary.world));
            BOOST_REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().text));
            BOOST_REQUIRE(digest(read_all((*past)->engine(), 4)) == diary.digest_of(entry.hi));
            // Within the next batch it is the same moment, if the log from there on is there.
            const auto beside = open_past(files, at(entry.hi + 8, diary.world));
            if (beside) {
                BOOST_TEST(((*beside)->facts().place.lsn == entry.hi));
                continue;
            }
            BOOST_TEST((beside.error().error.code == Code::usage));
            BOOST_TEST(beside.error().text.find("the kept moment before it is lsn") !=
                       std::string::npos);
            const auto behind = open_past(files, at(entry.hi + 4'000, diary.world));
            BOOST_TEST(!behind.has_value());
        }
    const auto surveyed = survey(files, {});
    BOOST_REQUIRE(surveyed.has_value());
    for (const auto& fault : surveyed->faults) BOOST_ERROR(fault.line());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kept)

BOOST_AUTO_TEST_CASE(a_kept_moment_opens_long_after_the_log_around_it_is_gone) {
    for (const auto seed : Seeds(volume({.usual = 3, .sanitized = 1, .full = 30}))) {
        Diary diary(seed);
        for (int hour = 0; hour < 60; ++hour) {
            BOOST_REQUIRE(diary.live_an_hour());
            if (diary.rng.chance(8)) diary.lose_power();
        }
        diary.remember();
        const auto kept = kept_in(diary.world.files());
        // Two days that are over, and of the last six hours those that the window has left.
        BOOST_TEST(kept.size() >= 4U);
        BOOST_TEST(
            std::ranges::any_of(kept, [](const auto& entry) { return entry.lo < entry.hi; }));
        opens_what_was_kept(diary, diary.world.files(), kept);
        // Nothing else of the past is there.
        const auto history = History::read(diary.world.files());
        BOOST_REQUIRE(history.has_value());
        BOOST_TEST(((*history)->oldest() > kept.back().hi));
    }
}

BOOST_AUTO_TEST_CASE(kept_moments_come_along_with_a_backup_and_with_a_restore) {
    Diary diary(7);
    for (int hour = 0; hour < 60; ++hour) {
        BOOST_REQUIRE(diary.live_an_hour());
        if (hour == 20) diary.lose_power();
    }
    diary.remember();
    const auto kept = kept_in(diary.world.files());
    BOOST_REQUIRE(kept.size() >= 4U);

    World shelf({.seed = 3});
    const auto taken = take_backup(diary.world.files(), shelf.files(), diary.world.clock(),
                                   {.name = "one", .progress = {}, .give_up = {}});
    BOOST_REQUIRE_MESSAGE(taken.has_value(), (taken ? "" : taken.error().text));
    const auto backup = find_backup(shelf.files(), "one");
    BOOST_REQUIRE(backup.has_value());
    const auto files = open_backup(shelf.files(), *backup);
    BOOST_REQUIRE(kept_in(*files).size() == kept.size());
    opens_what_was_kept(diary, *files, kept);

    for (const auto& moment : kept) BOOST_TEST_CONTEXT("kept moment " << moment.number) {
            World to({.seed = 99});
            to.clock().jump_wall(diary.world.clock().wall().us - to.clock().wall().us);
            RestoreOptions options;
            options.moment = {.what = Moment::What::lsn, .us = 0, .lsn = moment.hi};
            options.ttl = Ttl::keep;
            options.engine = small_options().engine;
            const auto restored = restore(*files, to.files(), to.clock(), to.io(), options);
            BOOST_REQUIRE_MESSAGE(restored.has_value(), (restored ? "" : restored.error().text));
            // Its base is the moment itself; those before it are kept there, too.
            const auto older = kept_in(to.files());
            BOOST_REQUIRE(older.size() ==
                          static_cast<std::size_t>(std::ranges::count_if(
                              kept, [&](const auto& entry) { return entry.hi < moment.hi; })));
            opens_what_was_kept(diary, to.files(), older);
            auto store = open(to.files(), to.clock(), keeping_options());
            BOOST_REQUIRE_MESSAGE(store.has_value(), (store ? "" : store.error().text));
            BOOST_REQUIRE(digest(read_all((*store)->engine(), 4)) == diary.digest_of(moment.hi));
        }
}

// A crash at an operation of an hour that keeps one moment and lets go of another.
BOOST_AUTO_TEST_CASE(a_crash_anywhere_leaves_every_kept_moment_of_the_manifest_whole) {
    const auto live = [](Diary& diary) {
        for (int hour = 0; hour < 14; ++hour) BOOST_REQUIRE(diary.live_an_hour());
    };
    std::uint64_t operations = 0;
    {
        Diary diary(11);
        live(diary);
        const auto before = kept_in(diary.world.files());
        const auto begun = diary.world.operations();
        BOOST_REQUIRE(diary.live_an_hour());
        operations = diary.world.operations() - begun;
        const auto after = kept_in(diary.world.files());
        // Or this would not be that hour.
        const auto lacks = [](const auto& some, const auto& others) {
            return std::ranges::any_of(some, [&](const auto& entry) {
                return std::ranges::count(others, entry.number, &engine::CheckpointEntry::number) ==
                       0;
            });
        };
        BOOST_REQUIRE(lacks(before, after));
        BOOST_REQUIRE(lacks(after, before));
    }
    const std::uint64_t step = volume({.usual = 3, .sanitized = 23, .full = 1});
    for (std::uint64_t n = 1; n <= operations; n += step) BOOST_TEST_CONTEXT("operation " << n) {
            Diary diary(11);
            live(diary);
            diary.world.crash_at(diary.world.operations() + n);
            (void)diary.live_an_hour();
            diary.lose_power();
            diary.remember();
            const auto kept = kept_in(diary.world.files());
            BOOST_TEST(kept.size() >= 3U);
            opens_what_was_kept(diary, diary.world.files(), kept);
            BOOST_REQUIRE(diary.live_an_hour() && diary.live_an_hour());
            diary.remember();
            opens_what_was_kept(diary, diary.world.files(), kept_in(diary.world.files()));
        }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
