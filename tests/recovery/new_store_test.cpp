// T1, T2, G11, G14: a store that is built out of another one, by a restore or a repair, while the
// machine crashes at each operation of it or each one fails. What it is made of stays as it was, to
// the byte; what was told to be made is whole and durable; asked again, it is made.
//
// The command line builds it aside and gives it its name behind all of that (src/cli/aside.hpp):
// the work that says it is done stands for the name.

#include <boost/test/unit_test.hpp>

#include "engine/format/names.hpp"
#include "recovery/archive_files.hpp"
#include "recovery/archiver.hpp"
#include "recovery/backup.hpp"
#include "recovery/repair.hpp"
#include "recovery/restore.hpp"
#include "tests/recovery/lived.hpp"
#include "tests/sim/ordeal.hpp"

namespace firnlog::recovery {
namespace {

using sim::Kind;
using sim::World;

constexpr std::uint32_t kDatabases = 4;

// Of the directory that a store is made of: the lock file of who reads it is none of it.
std::map<std::string, std::string> bytes_of(const sim::Disk& disk) {
    std::map<std::string, std::string> files;
    for (const auto& name : disk.names())
        if (name != engine::names::kLock) files[name] = disk.content(name);
    return files;
}

// How one store is made out of another, and what it must be then.
struct Recipe {
    std::string name;
    sim::Disk source;
    std::int64_t wall_us = 0;  // when it is made
    std::function<bool(io::Files& from, World& to)> build;
    std::function<void(World& built)> judge;
};

// One try; `world` is the one whose operations are at stake.
struct Building {
    Building(const Recipe& recipe, bool reads)
        : from{{.seed = 98, .phase = "read"}, recipe.source.copy()},
          to{{.seed = 99, .phase = "build"}},
          world(reads ? from : to) {
        to.clock().jump_wall(recipe.wall_us - to.clock().wall().us);
    }

    World from;
    World to;
    World& world;
};

sim::Ordeal<Building> ordeal_of(const Recipe& recipe, bool reads) {
    const auto before = bytes_of(recipe.source);
    return {.name = recipe.name + (reads ? ", of its source" : ""),
            .make = [&recipe, reads] { return std::make_unique<Building>(recipe, reads); },
            .work = [&recipe](Building& now) { return recipe.build(now.from.files(), now.to); },
            .judge =
                [&recipe, before](Building& now, const sim::Tried& tried) {
                    BOOST_REQUIRE(bytes_of(now.from.disk()) == before);
                    if (tried.done) {
                        recipe.judge(now.to);
                        return;
                    }
                    // What it has left is removed, and it is begun again.
                    Building again(recipe, false);
                    again.from.disk() = now.from.disk().copy();
                    BOOST_REQUIRE(recipe.build(again.from.files(), again.to));
                    recipe.judge(again.to);
                },
            .seed = seed_or(1)};
}

// A store with a past, of which a moment that is not the last one is wanted.
struct Origin {
    explicit Origin(std::uint64_t seed) : lived(seed, 1) {
        BOOST_REQUIRE(lived.subject->stop_cleanly());
        // The newest of those where keys expire in time to come.
        for (const auto& candidate : lived.versions) {
            if (candidate.end == lived.versions.back().end) break;
            version = candidate;
        }
        options.moment = {.what = Moment::What::lsn, .us = 0, .lsn = version.end};
        options.engine = small_options().engine;
        // Later, so that there is something to shift.
        lived.world.clock().advance(3'600'000'000);
    }
    [[nodiscard]] sim::Disk disk() { return lived.world.disk().copy(); }
    [[nodiscard]] PastOptions past_options() {
        return {.moment = options.moment,
                .now_us = lived.world.clock().wall().us,
                .databases = kDatabases,
                .progress = {},
                .give_up = {}};
    }

    Lived lived;
    Version version;
    RestoreOptions options;
};

std::unique_ptr<Store> open_clean(World& world) {
    auto store = open(world.files(), world.clock(), small_options());
    BOOST_REQUIRE_MESSAGE(store.has_value(), (store ? "" : store.error().text));
    BOOST_REQUIRE((*store)->report().clean);
    return std::move(*store);
}

// The moment as it was, and what is served is that moment with each expiry shifted alike.
void is_restored(World& built, Origin& origin) {
    const auto past = open_past(built.files(), origin.past_options());
    BOOST_REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().text));
    const auto then = read_all((*past)->engine(), kDatabases);
    BOOST_REQUIRE(digest(then) == origin.version.digest);
    const auto then_ms = (*past)->facts().place.us / 1000;
    auto now = read_all(open_clean(built)->engine(), kDatabases);
    BOOST_REQUIRE_EQUAL(now.size(), then.size());
    std::optional<std::int64_t> shift;
    for (const auto& [name, value] : then) {
        auto& found = now.at(name);
        if (value.expires_ms > then_ms) {
            const auto by = found.expires_ms - value.expires_ms;
            BOOST_REQUIRE_EQUAL(by, shift.value_or(by));
            BOOST_REQUIRE(by > 0);
            shift = by;
            found.expires_ms = value.expires_ms;
        }
        BOOST_REQUIRE(found == value);
    }
    BOOST_REQUIRE(shift.has_value());
}

Recipe of_store(Origin& origin) {
    return {
        .name = "a restore",
        .source = origin.disk(),
        .wall_us = origin.lived.world.clock().wall().us,
        .build =
            [&](io::Files& from, World& to) {
                return restore(from, to.files(), to.clock(), to.io(), origin.options).has_value();
            },
        .judge = [&](World& built) { is_restored(built, origin); }};
}

Recipe of_backup(Origin& origin) {
    World shelf{{.seed = 97}};
    const auto taken = take_backup(origin.lived.world.files(), shelf.files(), shelf.clock(),
                                   {.name = "one", .progress = {}, .give_up = {}});
    BOOST_REQUIRE_MESSAGE(taken.has_value(), (taken ? "" : taken.error().text));
    auto recipe = of_store(origin);
    recipe.name = "a restore from a backup";
    recipe.source = shelf.disk().copy();
    recipe.build = [&](io::Files& from, World& to) {
        const auto backup = find_backup(from, "one");
        return backup && restore(*open_backup(from, *backup), to.files(), to.clock(), to.io(),
                                 origin.options);
    };
    return recipe;
}

Recipe of_archive(Origin& origin) {
    World shelf{{.seed = 97}};
    Archiver archiver(origin.lived.world.files(),
                      {.to = &shelf.files(), .durable = [&] { return origin.version.end; }});
    BOOST_REQUIRE(archiver.begin().has_value());
    const auto brought = archiver.round(Archiver::Bring::all);
    BOOST_REQUIRE_MESSAGE(brought.has_value(), (brought ? "" : brought.error().text));
    auto recipe = of_store(origin);
    recipe.name = "a restore from an archive";
    recipe.source = shelf.disk().copy();
    recipe.build = [&](io::Files& from, World& to) {
        const auto archive = ArchiveFiles::open(from, origin.options.moment);
        return archive &&
               restore(**archive, to.files(), to.clock(), to.io(), origin.options).has_value();
    };
    return recipe;
}

Recipe of_some_keys(Origin& origin) {
    auto recipe = of_store(origin);
    recipe.name = "a restore of some keys";
    const auto is_wanted = [](std::string_view key) { return key.starts_with("k"); };
    recipe.build = [&, is_wanted](io::Files& from, World& to) {
        auto options = origin.options;
        options.ttl = Ttl::keep;
        options.wants = is_wanted;
        return restore(from, to.files(), to.clock(), to.io(), options).has_value();
    };
    const auto past = open_past(origin.lived.world.files(), origin.past_options());
    BOOST_REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().text));
    auto wanted = read_all((*past)->engine(), kDatabases);
    const auto then_ms = (*past)->facts().place.us / 1000;
    std::erase_if(wanted, [&](const auto& item) {
        const auto& [name, value] = item;
        return !is_wanted(name.second) || name.first == engine::kParkedFirst ||
               (value.expires_ms >= 0 && value.expires_ms <= then_ms);
    });
    BOOST_REQUIRE(wanted.size() > 5);
    recipe.judge = [wanted = digest(wanted)](World& built) {
        BOOST_REQUIRE(digest(read_all(open_clean(built)->engine(), kDatabases)) == wanted);
    };
    return recipe;
}

// What can be saved is the same each time.
Recipe of_damaged(Origin& origin) {
    auto recipe = of_store(origin);
    recipe.name = "a repair";
    const auto log = engine::names::log_file(
        History::read(origin.lived.world.files()).value()->pieces().back().file.number);
    recipe.source.flip(log, engine::kSegmentHeaderBytes + 500);
    recipe.build = [](io::Files& from, World& to) {
        return repair(from, &to.files(), to.clock(), &to.io(), {.engine = small_options().engine})
            .has_value();
    };
    Building first(recipe, false);
    BOOST_REQUIRE(recipe.build(first.from.files(), first.to));
    const auto saved = read_all(open_clean(first.to)->engine(), kDatabases);
    BOOST_REQUIRE(saved.size() > 5);
    BOOST_REQUIRE(digest(saved) != origin.lived.versions.back().digest);
    recipe.judge = [saved = digest(saved)](World& built) {
        BOOST_REQUIRE(digest(read_all(open_clean(built)->engine(), kDatabases)) == saved);
    };
    return recipe;
}

constexpr std::initializer_list<Kind> kBuilt = {Kind::create, Kind::write, Kind::sync, Kind::rename,
                                                Kind::sync_dir};

void stand_ordeals(const Recipe& recipe, std::uint64_t step) {
    auto building = ordeal_of(recipe, false);
    building.step = step;
    const auto crashes = building.crashes();
    crashes.print();
    crashes.met("build", kBuilt);
    BOOST_TEST(crashes.behind == std::size(sim::kCuts));
    const auto failures = building.failures();
    failures.print();
    failures.met("build", kBuilt);
    auto reading = ordeal_of(recipe, true);
    reading.step = step;
    const auto unread = reading.failures();
    unread.print();
    unread.met("read", {Kind::open, Kind::read, Kind::size, Kind::list});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(new_store)

BOOST_AUTO_TEST_CASE(a_restore_is_whole_or_can_be_asked_for_again) {
    Origin origin(seed_or(1));
    stand_ordeals(of_store(origin), volume({.usual = 7, .sanitized = 61, .full = 1}));
}

BOOST_AUTO_TEST_CASE(a_restore_from_a_backup_is_whole_or_can_be_asked_for_again) {
    Origin origin(seed_or(2));
    stand_ordeals(of_backup(origin), volume({.usual = 29, .sanitized = 97, .full = 1}));
}

BOOST_AUTO_TEST_CASE(a_restore_from_an_archive_is_whole_or_can_be_asked_for_again) {
    Origin origin(seed_or(3));
    stand_ordeals(of_archive(origin), volume({.usual = 29, .sanitized = 97, .full = 1}));
}

BOOST_AUTO_TEST_CASE(a_restore_of_some_keys_is_whole_or_can_be_asked_for_again) {
    Origin origin(seed_or(4));
    stand_ordeals(of_some_keys(origin), volume({.usual = 11, .sanitized = 97, .full = 1}));
}

BOOST_AUTO_TEST_CASE(a_repair_is_whole_or_can_be_asked_for_again) {
    Origin origin(seed_or(5));
    stand_ordeals(of_damaged(origin), volume({.usual = 11, .sanitized = 97, .full = 1}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
