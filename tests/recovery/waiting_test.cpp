// G7, G11, G12: a start leaves the index in its checkpoint until somebody touches it. What is
// there then is what a start that loads all of it finds, whatever ends the loader and whichever
// page is damaged.

#include <boost/test/unit_test.hpp>
#include <cstdio>

#include "engine/checkpoint_file.hpp"
#include "engine/format/names.hpp"
#include "tests/recovery/lived.hpp"
#include "tests/recovery/workload.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::recovery {
namespace {

using sim::Cut;
using sim::Rng;
using sim::World;

constexpr std::uint32_t kDatabases = 4;

// Some keys that stay, in stripes that later commands need not touch, and a checkpoint of them.
bool settle_in(Subject& subject, Rng& rng) {
    for (int i = 0; i < 60; ++i) {
        const auto name = std::to_string(i);
        subject.select(static_cast<std::uint32_t>(rng.below(kDatabases)));
        if (!subject.set("still:" + name, std::string(rng.between(1, 300), 'v'),
                         rng.chance(30) ? 2'000'000'000'000 + i : -1))
            return false;
        if (i % 4 == 0 && !subject.hash_set("still hash:" + name, "f" + name, "v" + name))
            return false;
        if (i % 8 == 0 && !subject.rename("still hash:" + name, "renamed:" + name)) return false;
    }
    subject.select(3);
    // Two that lead to each other's home.
    if (!subject.hash_set("one", "f", "1") || !subject.hash_set("other", "f", "2") ||
        !subject.rename("one", "aside") || !subject.rename("other", "one") ||
        !subject.rename("aside", "other"))
        return false;
    const bool done = subject.patch("still big", 70'000, "end") && subject.sync() &&
                      subject.checkpoint([] { return true; });
    subject.select(0);
    return done;
}

std::unique_ptr<Store> open_store(World& world, bool waits) {
    auto options = small_options();
    options.waits = waits;
    auto opened = open(world.files(), world.clock(), options);
    BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
    return std::move(*opened);
}

std::vector<engine::Keyspace::Counts> counts_of(engine::Engine& engine) {
    std::vector<engine::Keyspace::Counts> counts;
    for (std::uint32_t database = 0; database < kDatabases; ++database)
        counts.push_back(engine.keyspace().counts_of(database));
    return counts;
}

// A store with a past, as it lies on the disk after a kill: the same each time.
struct LivedStore {
    std::unique_ptr<World> world;

    [[nodiscard]] sim::Disk disk() const {
        Rng rng{1};
        return world->image(Cut::kill, rng);
    }
};

LivedStore lived_store(std::uint64_t seed, Rng& rng) {
    LivedStore store{.world = std::make_unique<World>(sim::Options{.seed = seed})};
    Subject subject(*store.world, open_store(*store.world, false));
    BOOST_REQUIRE(settle_in(subject, rng));
    if (rng.chance(70)) {
        // Behind the checkpoint, and into it: names change places, fields go, a database too.
        BOOST_REQUIRE(subject.set("late", "v") && subject.remove("late"));
        BOOST_REQUIRE(subject.hash_set("still hash:4", "more", "x"));
        BOOST_REQUIRE(subject.rename("still hash:12", "renamed late"));
        if (rng.chance(50)) BOOST_REQUIRE(subject.swap(1, 2));
        if (rng.chance(30)) {
            subject.select(1);
            BOOST_REQUIRE(subject.flush());
        }
        BOOST_REQUIRE(subject.sync());
    }
    return store;
}

// Whatever a step of the loader, of the disk or of a client is followed by.
bool live_on(World& world, Subject& subject, Rng& rng) {
    for (int i = 0; i < 40; ++i) {
        const auto name = std::to_string(rng.below(60));
        subject.select(static_cast<std::uint32_t>(rng.below(kDatabases)));
        switch (rng.below(8)) {
            case 0:
                if (!subject.set("still:" + name, "new")) return false;
                break;
            case 1:
                if (!subject.remove("still:" + name)) return false;
                break;
            case 2:
                if (!subject.hash_set("still hash:" + name, "f", "w")) return false;
                break;
            case 3:
                if (!subject.rename("still hash:" + name, "renamed:" + name)) return false;
                break;
            case 4:
                if (!subject.rename("renamed:" + name, "renamed again:" + name)) return false;
                break;
            case 5:
                if (!subject.expire("still:" + name, 2'100'000'000'000)) return false;
                break;
            case 6:
                if (rng.chance(20) && !subject.flush()) return false;
                if (rng.chance(20) && !subject.swap(0, 3)) return false;
                break;
            default:
                if (rng.chance(50)) subject.engine().work();
                world.pass(2'000);
        }
        if (rng.chance(30)) subject.kick();
    }
    subject.select(0);
    return subject.sync() && subject.checkpoint([] { return true; }) && subject.sync();
}

// Everything that can be read is right, and what cannot be is refused as lost.
std::size_t right_or_refused(engine::Engine& engine, const Model& model) {
    std::size_t refused = 0;
    engine::Session session(engine);
    for (const auto& [name, value] : model) {
        const std::string_view key = name.second;
        session.begin({&key, 1}, name.first);
        const auto item = session.look(key);
        if (!item) {
            BOOST_REQUIRE((item.error() == engine::Stop::loading));
            BOOST_REQUIRE((session.lack() == engine::Stop::loading));
            BOOST_REQUIRE(!session.reserve(10));
            ++refused;
        } else {
            BOOST_REQUIRE_MESSAGE(item->has_value(), "a key that is there is found: " << key);
            BOOST_REQUIRE_EQUAL((*item)->expires_ms, value.expires_ms);
            BOOST_REQUIRE(((*item)->type == engine::Type::hash) == value.is_hash);
        }
        (void)session.end();
        session.reset();
    }
    return refused;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(waiting)

BOOST_AUTO_TEST_CASE(what_comes_when_it_is_touched_is_what_a_start_loads_at_once) {
    std::uint64_t waited = 0;
    for (const auto seed : Seeds(20)) {
        Rng rng{seed};
        const auto lived = lived_store(seed, rng);
        World eager{{.seed = seed}, lived.disk()};
        World lazy{{.seed = seed}, lived.disk()};
        const auto whole = open_store(eager, false);
        const auto waits = open_store(lazy, true);
        auto& index = waits->engine().keyspace();
        BOOST_REQUIRE(whole->engine().keyspace().whole());
        waited += index.waiting();
        const auto counts = counts_of(whole->engine());
        const auto told = counts_of(waits->engine());
        for (std::uint32_t database = 0; database < kDatabases; ++database) {
            BOOST_REQUIRE_EQUAL(told[database].keys, counts[database].keys);
            BOOST_REQUIRE_EQUAL(told[database].expires, counts[database].expires);
        }
        const auto model = read_all(whole->engine(), kDatabases);
        BOOST_REQUIRE_EQUAL(right_or_refused(waits->engine(), model), 0U);
        BOOST_REQUIRE(digest(read_all(waits->engine(), kDatabases)) == digest(model));
        BOOST_REQUIRE(index.whole());
        BOOST_REQUIRE_EQUAL(index.memory_bytes(), whole->engine().keyspace().memory_bytes());
        BOOST_REQUIRE_EQUAL(index.has_strays(), whole->engine().keyspace().has_strays());
    }
    BOOST_TEST(waited > 100U);
}

BOOST_AUTO_TEST_CASE(a_crash_while_parts_of_the_index_wait_loses_nothing) {
    std::uint64_t crashes = 0;
    std::uint64_t waited = 0;
    const auto runs = volume({.usual = 150, .sanitized = 40, .full = 5'000});
    for (const auto seed : Seeds(runs)) {
        Rng rng{seed};
        const auto lived = lived_store(seed % 10, rng);
        Model model;
        {
            World eager{{.seed = seed}, lived.disk()};
            model = read_all(open_store(eager, false)->engine(), kDatabases);
        }
        World world{{.seed = seed}, lived.disk()};
        // Within the start, too: then it is begun again.
        world.crash_at(rng.between(1, 250));
        auto options = small_options();
        auto opened = open(world.files(), world.clock(), options);
        std::unique_ptr<Subject> subject;
        std::vector<Version> versions{{.digest = digest(model)}};
        std::size_t acked = 0;
        const auto cut = rng.chance(30) ? Cut::kill : Cut::random;
        if (opened) {
            waited += (*opened)->engine().keyspace().waiting();
            subject = std::make_unique<Subject>(world, std::move(*opened), model);
            subject->lazy(rng.chance(50));
            (void)live_on(world, *subject, rng);
            versions = subject->versions();
            acked = subject->acked(cut == Cut::kill);
        }
        crashes += world.crashed() ? 1 : 0;
        if (!world.crashed()) world.crash_now();
        opened = tl::unexpected(Refusal{});
        subject.reset();
        world.restart(cut, rng);
        const auto again = open_store(world, rng.chance(80));
        const auto found = digest(read_all(again->engine(), kDatabases));
        bool known = false;
        for (auto i = acked; i < versions.size(); ++i) known |= versions[i].digest == found;
        BOOST_REQUIRE_MESSAGE(known, "the state is one that was acknowledged, or later");
    }
    std::printf("report: crashes while parts of the index wait: %llu\n",
                static_cast<unsigned long long>(crashes));
    BOOST_TEST(crashes > runs / 3);
    BOOST_TEST(waited > runs);
}

BOOST_AUTO_TEST_CASE(a_page_that_is_damaged_is_made_anew_and_nothing_wrong_is_served_meanwhile) {
    std::uint64_t lost = 0;
    std::uint64_t at_once = 0;  // found by the start itself
    std::uint64_t refused = 0;
    for (const bool twice : {false, true}) {
        Rng rng{7};
        const LivedStore sound{.world = std::make_unique<World>(sim::Options{.seed = 7})};
        {
            Subject subject(*sound.world, open_store(*sound.world, false));
            BOOST_REQUIRE(settle_in(subject, rng));
            BOOST_REQUIRE(subject.set("between", "v"));
            // With one before it, or with the log from its beginning on.
            if (twice) BOOST_REQUIRE(subject.checkpoint([] { return true; }));
            BOOST_REQUIRE(subject.set("late", "v") && subject.sync());
        }
        World eager{{.seed = 7}, sound.disk()};
        Model model;
        std::vector<engine::BlobEntry> blobs;
        std::string name;
        {
            const auto store = open_store(eager, false);
            model = read_all(store->engine(), kDatabases);
            const auto number = store->manifest().checkpoints.back().number;
            name = engine::names::checkpoint_file(number);
            const auto reader =
                engine::CheckpointReader::open(eager.files(), number, store->manifest().store_id);
            BOOST_REQUIRE(reader.has_value());
            blobs = (*reader)->blobs();
        }
        for (const auto& blob : blobs) {
            auto disk = sound.disk();
            disk.flip(name, blob.offset + rng.below(blob.length));
            World world{{.seed = 7}, std::move(disk)};
            auto store = open_store(world, true);
            auto& engine = store->engine();
            if (!store->report().checkpoint_fault.empty()) {
                ++at_once;
                BOOST_REQUIRE(digest(read_all(engine, kDatabases)) == digest(model));
                continue;
            }
            refused += right_or_refused(engine, model);
            lost += engine.keyspace().lost();
            BOOST_REQUIRE(bring_all_in(world, engine));
            BOOST_REQUIRE_EQUAL(right_or_refused(engine, model), 0U);
            BOOST_REQUIRE(digest(read_all(engine, kDatabases)) == digest(model));
            // A sound one takes its place.
            Subject subject(world, std::move(store), model);
            BOOST_REQUIRE(subject.set("more", "v") && subject.sync());
            BOOST_REQUIRE(subject.checkpoint([] { return true; }));
            for (const auto& entry : subject.store().manifest().checkpoints)
                BOOST_REQUIRE(engine::names::checkpoint_file(entry.number) != name);
        }
    }
    std::printf("report: damaged pages: %llu found at the start, %llu later; keys refused: %llu\n",
                static_cast<unsigned long long>(at_once), static_cast<unsigned long long>(lost),
                static_cast<unsigned long long>(refused));
    BOOST_TEST(at_once > 0U);
    BOOST_TEST(lost > 20U);
    BOOST_TEST(refused > 20U);
}

BOOST_AUTO_TEST_CASE(no_checkpoint_is_taken_before_every_part_is_there) {
    Rng rng{3};
    World world{{.seed = 3}, lived_store(3, rng).disk()};
    const auto store = open_store(world, true);
    auto& engine = store->engine();
    BOOST_REQUIRE(engine.keyspace().waiting() != 0);
    (void)engine.walk.request(false, true);
    BOOST_TEST(!engine.walk.step());
    BOOST_TEST(engine.walk.status().begun == 0U);
    for (int i = 0; i < 1'000 && !engine.keyspace().whole(); ++i) engine.work();
    BOOST_REQUIRE(engine.keyspace().whole());
    BOOST_TEST(engine.walk.step());
    BOOST_TEST(engine.walk.status().begun == 1U);
    engine.walk.abandon();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
