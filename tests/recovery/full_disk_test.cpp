// G10 in the second world: the disk is full. Growth is refused, deletions and the walk go on out of
// what was kept for them, and writes come back; a crash anywhere in it takes nothing that was
// acknowledged, and the start finds room for itself.

#include <boost/test/unit_test.hpp>
#include <cstdio>

#include "tests/environment.hpp"
#include "tests/recovery/subject.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::recovery {
namespace {

using sim::Cut;
using sim::Rng;
using sim::World;

constexpr std::uint64_t kDiskBytes = std::uint64_t{2560} << 10;
constexpr std::size_t kValueBytes = 8000;

std::string key(int number) { return "key:" + std::to_string(number); }

struct Full {
    World& world;
    Subject subject;
    int keys = 0;  // written

    Full(World& of, bool keeps) : world(of), subject(of, opened(of, keeps)) {}

    static std::unique_ptr<Store> opened(World& world, bool keeps) {
        world.disk().capacity(kDiskBytes);
        auto store = open(world.files(), world.clock(), small_options(keeps));
        BOOST_REQUIRE_MESSAGE(store.has_value(), (store ? "" : store.error().text));
        return std::move(*store);
    }

    bool work(int turns = 1) {
        for (int i = 0; i < turns && !world.crashed(); ++i) {
            subject.engine().work();
            subject.kick();
            world.pass(5'000);
        }
        return !world.crashed();
    }

    // Until growth is refused.
    void fill() {
        const int begin = keys;
        while (subject.set(key(keys), std::string(kValueBytes, static_cast<char>('a' + keys % 26))))
            BOOST_REQUIRE(++keys - begin < 1000 && work());
        BOOST_REQUIRE(!world.crashed());
        BOOST_REQUIRE(subject.engine().log.failed() == 0);
        BOOST_REQUIRE(subject.engine().supply.failure().has_value());
        BOOST_TEST((subject.engine().supply.failure()->code == Code::no_space));
    }

    // Deletes so many, the oldest first, and waits until there is room again.
    bool recovers(int begin, int count) {
        for (int i = begin; i < begin + count; ++i) {
            BOOST_REQUIRE_MESSAGE(subject.remove(key(i)), "a deletion is taken, number " << i);
            work();
        }
        for (int turns = 0; turns < 2000; ++turns) {
            if (subject.set("again", std::string(kValueBytes, 'z'))) return true;
            work();
        }
        return false;
    }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(full_disk)

BOOST_AUTO_TEST_CASE(growth_is_refused_deletions_go_on_and_the_walk_makes_room_within_its_reserve) {
    World world{{.seed = 5}};
    Full full(world, false);
    full.fill();
    auto& engine = full.subject.engine();
    BOOST_TEST(full.keys > 50);
    BOOST_TEST(engine.supply.ready().kept != 0U);
    // One walk has tried, has found nothing to free, and went through.
    BOOST_TEST(engine.walk.status().emergencies > 0U);
    BOOST_TEST(engine.walk.status().done > 0U);
    for (int round = 0; round < 4; ++round) {
        BOOST_TEST_CONTEXT("round " << round) {
            const auto freed = engine.walk.status().freed_bytes;
            BOOST_TEST(full.recovers(round * 40, 40), "what was deleted makes room");
            BOOST_TEST(engine.walk.status().freed_bytes > freed);
            full.fill();
        }
    }
    // One generation of checkpoints is left, until there is space for two.
    BOOST_TEST(engine.walk.status().bases == 1U);
    world.disk().capacity(2 * kDiskBytes);
    for (int i = 0; i < 500 && (engine.walk.status().bases < 2 || engine.reserve.missing() != 0);
         ++i)
        full.work();
    BOOST_TEST(engine.walk.status().bases == 2U);
    BOOST_TEST(engine.reserve.missing() == 0U);
    BOOST_TEST(engine.supply.missing_kept() == 0U);
    BOOST_TEST(full.subject.set("back", "as before"));
    const auto expected = digest(full.subject.model());
    BOOST_TEST(digest(read_all(engine, 4)) == expected);
}

// It lies ready all the time, and growth gets nothing of it, however short: not even of a segment
// that deletions have begun.
BOOST_AUTO_TEST_CASE(growth_gets_nothing_of_the_log_that_is_kept_for_deletions) {
    World world{{.seed = 12}};
    Full full(world, false);
    // No walk makes room meanwhile.
    full.subject.engine().walk.pin();
    full.fill();
    for (int i = 0; full.subject.set("short", "value"); ++i) BOOST_REQUIRE(i < 1000);
    for (int gone = 0; gone < full.keys; ++gone) {
        BOOST_REQUIRE(!full.subject.set("short", "value"));
        BOOST_REQUIRE_MESSAGE(full.subject.remove(key(gone)), "deletion number " << gone);
        full.work();
    }
    bool begun = false;
    for (const auto* segment : full.subject.engine().segments().all())
        begun = begun || (segment->kept && segment->base.value != 0);
    BOOST_TEST(begun, "deletions did use what is kept for them");
}

BOOST_AUTO_TEST_CASE(writes_are_back_within_a_second_of_space_returning) {
    World world{{.seed = 6}};
    Full full(world, false);
    full.fill();
    // However long it lasted.
    full.work(2000);
    const std::string value(kValueBytes, 'z');
    BOOST_TEST(!full.subject.set("still", value));
    world.disk().capacity(2 * kDiskBytes);
    const auto since = world.clock().mono();
    while (!full.subject.set("back", value))
        BOOST_REQUIRE(world.clock().mono() < since.after(1'000'000) && full.work());
}

namespace {

// A few keys written over and over while the past is pinned, until growth is refused: nearly all
// that lies there could go.
void fill_with_what_is_dead(Full& full) {
    full.subject.engine().walk.pin();
    int written = 0;
    while (full.subject.set(key(written % 20),
                            std::string(kValueBytes, static_cast<char>('a' + written % 26))))
        BOOST_REQUIRE(++written < 1000 && full.work());
    BOOST_REQUIRE(full.work(400));
    BOOST_REQUIRE(full.subject.engine().walk.status().full);
    BOOST_TEST(full.subject.engine().walk.status().held_up);
}

void is_back_within_a_second(Full& full) {
    const auto since = full.world.clock().mono();
    while (!full.subject.set("back", std::string(kValueBytes, 'z')))
        BOOST_REQUIRE(full.world.clock().mono() < since.after(1'000'000) && full.work());
    BOOST_TEST(!full.subject.engine().walk.status().held_up);
    BOOST_TEST(full.subject.engine().walk.status().freed_bytes != 0U);
    const auto expected = digest(full.subject.model());
    BOOST_TEST(digest(read_all(full.subject.engine(), 4)) == expected);
}

}  // namespace

// The walks that a pin kept from freeing anything counted as a reason to begin no other: growth was
// refused long after the pin had gone, until somebody asked for a checkpoint.
BOOST_AUTO_TEST_CASE(writes_are_back_within_a_second_of_the_last_pins_end) {
    World world{{.seed = 9}};
    Full full(world, false);
    auto& walk = full.subject.engine().walk;
    fill_with_what_is_dead(full);
    // One walk waits there, and uses nothing up of what the next ones need.
    const auto before = walk.status();
    const auto reserve = full.subject.engine().reserve.bytes();
    full.work(2000);
    BOOST_TEST(walk.status().begun == before.begun);
    BOOST_TEST(walk.status().checkpoints == before.checkpoints);
    BOOST_TEST(full.subject.engine().reserve.bytes() == reserve);
    // Another one that reads changes nothing.
    walk.pin();
    walk.unpin();
    full.work(100);
    BOOST_TEST(walk.status().held_up);
    BOOST_TEST(!full.subject.set("still", std::string(kValueBytes, 'z')));
    walk.unpin();
    is_back_within_a_second(full);
}

BOOST_AUTO_TEST_CASE(who_asks_for_a_checkpoint_meanwhile_gets_it_and_it_heals_all_the_same) {
    World world{{.seed = 10}};
    Full full(world, false);
    auto& walk = full.subject.engine().walk;
    fill_with_what_is_dead(full);
    const auto asked = walk.request(true, true);
    for (int i = 0;
         i < 2000 && (walk.status().begun < asked.walk || full.subject.engine().walk.busy()); ++i)
        full.work();
    BOOST_TEST(walk.status().begun == asked.walk);
    BOOST_TEST((walk.status().phase == engine::WalkPhase::idle));
    BOOST_TEST(!walk.status().error.has_value());
    BOOST_TEST(walk.status().held_up);
    // However long it lasts, no other begins: it would free nothing either.
    full.work(2000);
    BOOST_TEST(walk.status().begun == asked.walk);
    walk.unpin();
    is_back_within_a_second(full);
}

// Not full yet, but low: the walk that was to cut history back was kept from it.
BOOST_AUTO_TEST_CASE(history_that_a_pin_kept_at_the_water_mark_goes_as_the_pin_does) {
    World world{{.seed = 11}};
    Full full(world, true);
    auto& walk = full.subject.engine().walk;
    walk.water_marks({.low = 1, .high = 1});
    for (int i = 0; i < 80; ++i) {
        BOOST_REQUIRE(full.subject.set(key(i % 20), std::string(kValueBytes, 'b')));
        full.work();
        // So that there are bases that may go.
        if (i % 10 == 9) BOOST_REQUIRE(full.subject.checkpoint([] { return true; }));
    }
    full.work(400);
    BOOST_REQUIRE(walk.status().history_bytes != 0U);
    const auto free = walk.status().free_bytes;
    walk.water_marks({.low = free / 2, .high = free * 3 / 4});
    walk.pin();
    for (int i = 0; i < 400 && !walk.status().held_up; ++i) {
        BOOST_REQUIRE(full.subject.set(key(i % 20), std::string(kValueBytes, 'a')));
        // It looks at the disk once a second.
        full.work(40);
    }
    BOOST_REQUIRE(walk.status().held_up);
    BOOST_REQUIRE(!walk.status().full);
    BOOST_TEST(walk.status().cut_bytes == 0U);
    const auto begun = walk.status().begun;
    full.work(4000);
    BOOST_TEST(walk.status().begun == begun);
    walk.unpin();
    full.work(200);
    BOOST_TEST(walk.status().cut_bytes != 0U);
    BOOST_TEST(!walk.status().held_up);
}

BOOST_AUTO_TEST_CASE(history_goes_before_anything_is_refused) {
    World world{{.seed = 7}};
    Full full(world, true);
    // Five disks full of values that follow each other.
    for (int i = 0; i < 1600; ++i) {
        BOOST_REQUIRE_MESSAGE(
            full.subject.set(key(i % 20),
                             std::string(kValueBytes, static_cast<char>('a' + i % 26))),
            "refused at write " << i);
        full.work();
    }
    const auto status = full.subject.engine().walk.status();
    BOOST_TEST(status.cut_bytes > 0U);
    BOOST_TEST(status.freed_bytes > 4 * kDiskBytes);
}

BOOST_AUTO_TEST_CASE(a_crash_on_a_full_disk_loses_nothing_and_the_start_finds_room) {
    const auto step = volume({.usual = 11, .sanitized = 37, .full = 1});
    World world{{.seed = 8}};
    Full full(world, false);
    full.fill();
    std::uint64_t crashes = 0;
    std::uint64_t seen = 0;
    world.on_operation([&](const sim::Operation& at) {
        if (!sim::changes_disk(at.kind) || ++seen % step != 0) return;
        for (const auto cut : {Cut::kill, Cut::random}) {
            ++crashes;
            Rng rng{at.number * 7 + static_cast<std::uint64_t>(cut)};
            World after{{.seed = at.number, .phase = "recovery"}, world.image(cut, rng)};
            after.disk().capacity(kDiskBytes);
            auto opened = open(after.files(), after.clock(), small_options(false));
            BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
            const auto found = digest(read_all((*opened)->engine(), 4));
            const auto& versions = full.subject.versions();
            bool known = false;
            for (auto i = full.subject.acked(cut == Cut::kill); i < versions.size(); ++i)
                known = known || versions[i].digest == found;
            BOOST_REQUIRE_MESSAGE(known, "what was acknowledged survives a crash on a full disk");
        }
    });
    for (int round = 0; round < 2; ++round) {
        BOOST_REQUIRE(full.recovers(round * 40, 40));
        full.fill();
    }
    world.on_operation({});
    std::printf("report: crashes on a full disk: %llu\n", static_cast<unsigned long long>(crashes));
    BOOST_TEST(crashes > 20U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
