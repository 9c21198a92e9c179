// T1, T2, G7, G11, G12: the newest checkpoint is damaged, and the machine crashes at each
// operation, or each one fails, of the start that goes without it or finds out later, of the
// mending, and of the checkpoint that takes its place. No start is refused once the fault is gone,
// and the state is right.

#include <boost/test/unit_test.hpp>

#include "engine/checkpoint_file.hpp"
#include "engine/format/names.hpp"
#include "tests/recovery/lived.hpp"
#include "tests/sim/ordeal.hpp"

namespace firnlog::recovery {
namespace {

using sim::Cut;
using sim::Kind;
using sim::World;

constexpr std::uint32_t kDatabases = 4;

enum class Damage : std::uint8_t { cut_short, page };

// A store that was killed behind its second checkpoint, and that one is damaged.
struct Damaged {
    explicit Damaged(Damage damage) {
        World world{{.seed = 9}};
        {
            Subject subject(world, *open(world.files(), world.clock(), small_options()));
            BOOST_REQUIRE(subject.checkpoint([] { return true; }));
            for (int i = 0; i < 40; ++i)
                BOOST_REQUIRE(subject.set("key:" + std::to_string(i), std::string(200, 'v')));
            BOOST_REQUIRE(subject.hash_set("hash", "f", "v") && subject.rename("hash", "renamed"));
            BOOST_REQUIRE(subject.checkpoint([] { return true; }));
            BOOST_REQUIRE(subject.set("late", "v") && subject.remove("key:3") && subject.sync());
            state = subject.model();
            sim::Rng rng{9};
            disk = world.image(Cut::kill, rng);
            const auto& newest = subject.store().manifest().checkpoints.back();
            name = engine::names::checkpoint_file(newest.number);
            const auto reader = engine::CheckpointReader::open(world.files(), newest.number,
                                                               subject.store().manifest().store_id);
            BOOST_REQUIRE(reader.has_value());
            const auto blobs = (*reader)->blobs();
            // Of a stripe that the log behind it does not touch, and that waits.
            const auto& blob = blobs[blobs.size() / 2];
            switch (damage) {
                case Damage::cut_short:
                    disk.put(name, disk.content(name).substr(0, newest.bytes / 2));
                    break;
                case Damage::page:
                    disk.flip(name, blob.offset + blob.length / 2);
                    break;
            }
        }
    }

    sim::Disk disk;
    Model state;
    std::string name;  // of the checkpoint
};

struct Starting {
    explicit Starting(const Damaged& from)
        : world{{.seed = 10, .phase = "start"}, from.disk.copy()}, damaged(from) {}
    [[nodiscard]] bool work();
    void is_right(World& in) const;

    World world;
    const Damaged& damaged;
    bool late = false;  // the damage was found when the start was through
};

// What it serves, at whatever point of it, is right, or refused as not there yet.
void serves_nothing_wrong(engine::Engine& engine, const Model& state) {
    engine::Session session(engine);
    for (const auto& [name, value] : state) {
        const std::string_view key = name.second;
        session.begin({&key, 1}, name.first);
        const auto item = session.look(key);
        if (item) BOOST_REQUIRE_MESSAGE(item->has_value(), "a key that is there is found: " << key);
        (void)session.end();
        session.reset();
    }
}

bool Starting::work() {
    world.phase("start");
    auto opened = open(world.files(), world.clock(), small_options());
    if (!opened) return false;
    auto& engine = (*opened)->engine();
    world.phase("mend");
    if ((*opened)->report().checkpoint_fault.empty()) {
        late = true;
        serves_nothing_wrong(engine, damaged.state);
    }
    if (!bring_all_in(world, engine)) return false;
    world.phase("replace");
    Subject subject(world, std::move(*opened), damaged.state);
    const bool replaced = subject.checkpoint([] { return true; }) && subject.sync();
    return replaced && !world.crashed();
}

void Starting::is_right(World& in) const {
    auto opened = open(in.files(), in.clock(), small_options());
    BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
    serves_nothing_wrong((*opened)->engine(), damaged.state);
    BOOST_REQUIRE(bring_all_in(in, (*opened)->engine()));
    BOOST_REQUIRE(digest(read_all((*opened)->engine(), kDatabases)) == digest(damaged.state));
}

void stand_ordeals(Damage damage, std::uint64_t step) {
    const Damaged damaged(damage);
    std::uint64_t late = 0;
    std::uint64_t at_once = 0;
    sim::Ordeal<Starting> ordeal{.name = damage == Damage::page
                                             ? "a start with a damaged page"
                                             : "a start without a damaged checkpoint",
                                 .make = [&] { return std::make_unique<Starting>(damaged); },
                                 .work = [](Starting& now) { return now.work(); },
                                 .judge =
                                     [&](Starting& now, const sim::Tried& tried) {
                                         ++(now.late ? late : at_once);
                                         now.is_right(now.world);
                                         if (!tried.done) BOOST_REQUIRE(now.work());
                                         BOOST_REQUIRE(!now.world.disk().has(damaged.name));
                                         now.is_right(now.world);
                                     },
                                 .seed = seed_or(1),
                                 .step = step,
                                 .twice_percent = 30};
    const auto crashes = ordeal.crashes();
    crashes.print();
    crashes.met("start", {Kind::create, Kind::write, Kind::sync, Kind::rename, Kind::sync_dir,
                          Kind::unlink});
    crashes.met("replace", {Kind::create, Kind::write, Kind::sync, Kind::rename, Kind::sync_dir,
                            Kind::unlink});
    BOOST_TEST(crashes.twice > 0U);
    ordeal.judge = [&](Starting& now, const sim::Tried&) {
        for (const auto cut : sim::kCuts) {
            sim::Rng rng{static_cast<std::uint64_t>(cut)};
            World after{{.seed = 11, .phase = "judge"}, now.world.image(cut, rng)};
            now.is_right(after);
        }
        BOOST_REQUIRE(now.work());
        BOOST_REQUIRE(!now.world.disk().has(damaged.name));
    };
    const auto failures = ordeal.failures();
    failures.print();
    failures.met("start", {Kind::open, Kind::create, Kind::read, Kind::write, Kind::sync,
                           Kind::rename, Kind::sync_dir, Kind::map});
    failures.met("replace", {Kind::create, Kind::write, Kind::sync, Kind::rename, Kind::sync_dir,
                             Kind::unlink});
    if (damage == Damage::cut_short) return;
    failures.met("mend", {Kind::open, Kind::read, Kind::list});
    BOOST_TEST(late > 0U);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(fall_back)

BOOST_AUTO_TEST_CASE(a_start_that_goes_without_a_damaged_checkpoint_stands_crashes_and_failures) {
    stand_ordeals(Damage::cut_short, volume({.usual = 9, .sanitized = 61, .full = 1}));
}

BOOST_AUTO_TEST_CASE(a_page_that_is_found_damaged_late_is_mended_over_crashes_and_failures) {
    stand_ordeals(Damage::page, volume({.usual = 13, .sanitized = 61, .full = 1}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
