// Forgetting: a key's past is gone from every file, all else is as it was at every moment, and a
// crash or a failing operation anywhere amid it changes nothing of that.

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <map>
#include <set>

#include "engine/format/names.hpp"
#include "recovery/backup.hpp"
#include "recovery/holders.hpp"
#include "recovery/past.hpp"
#include "recovery/survey.hpp"
#include "tests/recovery/lived.hpp"

namespace firnlog::recovery {
namespace {

using engine::Lsn;
using sim::Cut;
using sim::Rng;
using sim::World;
using State = engine::Walk::Forgetting::State;

PastOptions at(Lsn lsn, World& world) {
    return {.moment = {.what = Moment::What::lsn, .us = 0, .lsn = lsn},
            .now_us = world.clock().wall().us,
            .databases = 4,
            .progress = {},
            .give_up = {}};
}

Model read_past(World& world, Lsn lsn) {
    const auto past = open_past(world.files(), at(lsn, world));
    BOOST_REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().text));
    return read_all((*past)->engine(), 4);
}

// Keys, and the places in the log before which nothing of them is.
using Forgotten = std::map<std::string, Lsn>;

// In whatever database: names move from one to another. What was parked of it is taken out a batch
// later, and what is left of that says nothing.
ValueDigests without(ValueDigests values, const Forgotten& forgotten, Lsn at) {
    std::erase_if(values, [&](const auto& item) {
        const auto found = forgotten.find(item.first.second);
        return found != forgotten.end() &&
               (at <= found->second || item.first.first == engine::kParkedFirst);
    });
    return values;
}

// Every version is there at its moment, but for what was forgotten.
void past_is_as_it_was(World& world, const std::vector<Version>& versions,
                       const Forgotten& forgotten, std::size_t step) {
    const auto history = History::read(world.files());
    BOOST_REQUIRE_MESSAGE(history.has_value(), (history ? "" : history.error().text));
    // A disk that was full has cost some of it.
    const auto oldest = (*history)->oldest();
    for (std::size_t i = 0; i < versions.size(); i += versions[i].end < oldest ? 1 : step)
        BOOST_TEST_CONTEXT("version " << i << " ends at lsn " << versions[i].end.value) {
            if (versions[i].end < oldest) continue;
            const auto found = value_digests(read_past(world, versions[i].end));
            BOOST_REQUIRE((without(found, forgotten, versions[i].end) ==
                           without(versions[i].values, forgotten, versions[i].end)));
        }
}

void is_sound(World& world) {
    const auto surveyed = survey(world.files(), {});
    BOOST_REQUIRE_MESSAGE(surveyed.has_value(), (surveyed ? "" : surveyed.error().text()));
    for (const auto& fault : surveyed->faults) BOOST_ERROR(fault.line());
}

// Bytes that lie anywhere in the store's directory.
bool has_bytes(World& world, std::string_view sought) {
    auto& files = world.files();
    const auto listed = files.list();
    BOOST_REQUIRE(listed.has_value());
    for (const auto& info : *listed) {
        std::string bytes(info.bytes, '\0');
        const auto fd = files.open(info.name, io::Open::read);
        BOOST_REQUIRE(fd.has_value());
        const auto got = files.read(*fd, 0, std::as_writable_bytes(std::span(bytes)));
        files.close(*fd);
        BOOST_REQUIRE(got.has_value());
        if (bytes.find(sought) != std::string::npos) return true;
    }
    return false;
}

std::string any_key(const std::vector<Version>& versions, Rng& rng) {
    for (;;) {
        const auto& values = versions[rng.below(versions.size())].values;
        if (values.empty()) continue;
        auto key = values.begin();
        std::advance(key, static_cast<std::ptrdiff_t>(rng.below(values.size())));
        return key->first.second;
    }
}

std::vector<Version> all_versions(const Lived& lived) {
    auto versions = lived.versions;
    const auto& now = lived.subject->versions();
    for (const auto& version : now)
        if (versions.empty() || version.end > versions.back().end) versions.push_back(version);
    return versions;
}

// As Lived, and it lives on: its script ends with a clean stop.
struct Living : Lived {
    Living(std::uint64_t seed, int crashes) : Lived(seed, crashes) {
        subject.reset();
        if (!world.crashed()) world.crash_now();
        world.restart(Cut::none, rng);
        subject = open_again(world, small_options(), versions);
    }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(forget)

BOOST_AUTO_TEST_CASE(all_but_what_was_forgotten_is_as_it_was_at_every_moment) {
    std::uint64_t records = 0;
    std::uint64_t images = 0;
    std::uint64_t shared = 0;
    for (const auto seed : Seeds(volume({.usual = 6, .sanitized = 2, .full = 60}))) {
        Living lived(seed, static_cast<int>(seed % 3));
        auto& subject = *lived.subject;
        auto& world = lived.world;
        Forgotten forgotten;
        for (int i = 0; i < 4; ++i) {
            const auto key = any_key(lived.versions, lived.rng);
            const bool with_live = lived.rng.chance(50);
            BOOST_TEST_CONTEXT(key << (with_live ? " with what it is" : "")) {
                const auto forgot = subject.forget(key, with_live);
                BOOST_REQUIRE(forgot.has_value());
                BOOST_REQUIRE((forgot->how.state == State::done));
                BOOST_REQUIRE(forgot->how.told.damaged.empty());
                forgotten[key] = forgot->before;
                records += forgot->how.told.records;
                images += forgot->how.told.images;
                shared += forgot->how.told.shared;
                BOOST_REQUIRE(digest(read_all(subject.engine(), 4)) == digest(subject.model()));
                // A walk behind it finds its way with what was exchanged.
                if (lived.rng.chance(50)) BOOST_REQUIRE(subject.checkpoint([] { return true; }));
            }
        }
        const auto versions = all_versions(lived);
        is_sound(world);
        past_is_as_it_was(world, versions, forgotten, in_full() ? 3 : 17);
        BOOST_REQUIRE(subject.sync());
        const auto now = digest(subject.model());
        BOOST_REQUIRE(lived.rng.chance(50) ? subject.stop_cleanly() : true);
        lived.subject.reset();
        if (!world.crashed()) world.crash_now();
        world.restart(Cut::random, lived.rng);
        // Also from the checkpoint before, and the log since.
        for (int damaged = 0; damaged < 2; ++damaged) {
            World copy({.seed = seed}, world.image(Cut::none, lived.rng));
            if (damaged != 0) {
                const auto history = History::read(copy.files());
                BOOST_REQUIRE(history.has_value());
                const auto& newest = (*history)->manifest().checkpoints.back();
                const auto fd = copy.files().open(engine::names::checkpoint_file(newest.number),
                                                  io::Open::write);
                BOOST_REQUIRE(fd.has_value());
                BOOST_REQUIRE(copy.files().truncate(*fd, newest.bytes / 2).has_value());
                copy.files().close(*fd);
            }
            auto opened = open(copy.files(), copy.clock(), small_options());
            BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
            BOOST_REQUIRE(digest(read_all((*opened)->engine(), 4)) == now);
        }
    }
    std::printf("report: records erased: %llu, images without them: %llu, objects shared: %llu\n",
                static_cast<unsigned long long>(records), static_cast<unsigned long long>(images),
                static_cast<unsigned long long>(shared));
    BOOST_TEST(records > 0);
    BOOST_TEST(images > 0);
}

// The same secret in all the ways that a key can have one.
BOOST_AUTO_TEST_CASE(nothing_of_it_is_left_in_any_file) {
    for (const bool with_live : {false, true}) {
        World world({.seed = 5});
        auto subject =
            std::make_unique<Subject>(world, *open(world.files(), world.clock(), small_options()));
        auto& now = *subject;
        const auto walked = [&] { return now.checkpoint([] { return true; }); };
        std::vector<Version> versions;
        BOOST_REQUIRE(now.set("k", "SECRET one") && now.set("beside", "1") && walked());
        BOOST_REQUIRE(now.set("k", "SECRET two", world.clock().wall().ms() + 100'000'000));
        BOOST_REQUIRE(now.hash_set("h", "f", "SECRET field") &&
                      now.hash_set("h", "SECRET name", "v"));
        BOOST_REQUIRE(walked() && now.remove("k") && now.hash_set("k", "f", "SECRET three"));
        BOOST_REQUIRE(now.hash_set("k", "f", std::string(66'000, 'x') + "SECRET long") && walked());
        BOOST_REQUIRE(now.hash_set("k", "g", "SECRET four") && now.hash_remove("k", "f"));
        BOOST_REQUIRE(now.set("k", std::string(66'000, 'y') + "SECRET big"));
        BOOST_REQUIRE(now.patch("k", 40'000, "SECRET patch") && walked());
        BOOST_REQUIRE(now.set("k", "what it is") && now.hash_remove("h", "SECRET name"));
        BOOST_REQUIRE(now.hash_set("h", "f", "open") && walked() && now.sync());
        versions = now.versions();
        BOOST_REQUIRE(has_bytes(world, "SECRET"));
        for (const auto* key : {"k", "h"}) {
            const auto forgot = now.forget(key, with_live);
            BOOST_REQUIRE(forgot.has_value());
            BOOST_TEST((forgot->how.state == State::done));
            BOOST_TEST(forgot->how.told.records >= 2U);
            BOOST_TEST(forgot->how.told.images >= 1U);
            BOOST_TEST(forgot->how.told.names.empty());
        }
        BOOST_TEST(!has_bytes(world, "SECRET"));
        BOOST_TEST(has_bytes(world, "what it is") == !with_live);
        for (const auto& version : versions) {
            const auto past = read_past(world, version.end);
            BOOST_TEST(past.count({0, "k"}) == 0U);
            BOOST_TEST(past.count({0, "h"}) == 0U);
            BOOST_TEST(past.count({0, "beside"}) == version.values.count({0, "beside"}));
        }
        const auto live = read_all(now.engine(), 4);
        BOOST_TEST(live.count({0, "k"}) == (with_live ? 0U : 1U));
        BOOST_TEST(digest(live) == digest(now.model()));
        is_sound(world);
    }
}

// An image that was begun before and ends behind it has pages of either.
BOOST_AUTO_TEST_CASE(what_the_key_is_since_stays_in_an_image_that_is_taken_meanwhile) {
    std::uint64_t images = 0;
    const auto every = volume({.usual = 1, .sanitized = 6, .full = 1});
    for (std::uint64_t steps = 0; steps < 40; steps += every)
        BOOST_TEST_CONTEXT(steps << " steps of a walk") {
            World world({.seed = 11});
            auto subject = std::make_unique<Subject>(
                world, *open(world.files(), world.clock(), small_options()));
            BOOST_REQUIRE(subject->set("k", "old") && subject->set("k", "what it is"));
            BOOST_REQUIRE(subject->hash_set("h", "f", "old") && subject->hash_set("h", "f", "new"));
            BOOST_REQUIRE(subject->sync());
            auto& walk = subject->engine().walk;
            (void)walk.request(true, true);
            for (std::uint64_t i = 0; i < steps; ++i) (void)walk.step();
            for (const auto* key : {"k", "h"}) {
                const auto forgot = subject->forget(key, false);
                BOOST_REQUIRE((forgot && forgot->how.state == State::done));
                images += forgot->how.told.images;
            }
            const auto now = digest(subject->model());
            BOOST_REQUIRE(digest(read_all(subject->engine(), 4)) == now);
            subject.reset();
            world.crash_now();
            Rng rng{11};
            world.restart(Cut::kill, rng);
            const auto opened = open(world.files(), world.clock(), small_options());
            BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
            BOOST_REQUIRE(digest(read_all((*opened)->engine(), 4)) == now);
        }
    BOOST_TEST(images > 0);
}

BOOST_AUTO_TEST_CASE(what_other_keys_led_to_stays_for_them_and_is_told) {
    World world({.seed = 6});
    Subject subject(world, *open(world.files(), world.clock(), small_options()));
    BOOST_REQUIRE(subject.hash_set("old", "f", "v") && subject.rename("old", "new") &&
                  subject.hash_set("new", "g", "w") && subject.sync());
    const auto then = subject.versions().back().end;
    auto forgot = subject.forget("old", false);
    BOOST_REQUIRE((forgot && forgot->how.state == State::done));
    BOOST_TEST(forgot->how.told.shared == 1U);
    BOOST_TEST(forgot->how.told.names == std::vector<std::string>{"new"});
    BOOST_TEST((read_past(world, then).at({0, "new"}).fields.size() == 2U));
    // With its last name the object goes.
    forgot = subject.forget("new", true);
    BOOST_REQUIRE((forgot && forgot->how.state == State::done));
    BOOST_TEST(forgot->how.told.shared == 0U);
    BOOST_TEST(read_past(world, then).empty());
}

// A keyspace that was emptied, or that another database has by now.
BOOST_AUTO_TEST_CASE(keyspaces_that_the_database_had_count_and_those_of_others_do_not) {
    World world({.seed = 7});
    Subject subject(world, *open(world.files(), world.clock(), small_options()));
    BOOST_REQUIRE(subject.set("k", "SECRET before") && subject.flush());
    BOOST_REQUIRE(subject.set("k", "SECRET behind") && subject.flush());
    subject.select(1);
    BOOST_REQUIRE(subject.set("k", "of another"));
    BOOST_REQUIRE(subject.swap(1, 2));
    subject.select(0);
    BOOST_REQUIRE(subject.set("k", "SECRET now") && subject.sync());
    const auto forgot = subject.forget("k", true);
    BOOST_REQUIRE((forgot && forgot->how.state == State::done));
    BOOST_TEST(!has_bytes(world, "SECRET"));
    BOOST_TEST((subject.model().at({2, "k"}).text == "of another"));
    BOOST_TEST(digest(read_all(subject.engine(), 4)) == digest(subject.model()));
}

// Everything is as it was, forgotten or not yet, and the rest can be forgotten afterwards.
BOOST_AUTO_TEST_CASE(a_crash_amid_it_leaves_a_sound_store) {
    std::uint64_t crashes = 0;
    sim::Tally kinds;
    const auto step = volume({.usual = 5, .sanitized = 37, .full = 1});
    for (const auto seed : Seeds(in_full() ? 4 : 1)) {
        for (auto n = seed % step;; n += step)
            BOOST_TEST_CONTEXT("crash at operation " << n << " of forgetting") {
                Living lived(seed, 1);
                auto& world = lived.world;
                const auto key = any_key(lived.versions, lived.rng);
                BOOST_REQUIRE(lived.subject->sync());
                world.phase("forget");
                world.crash_at(world.operations() + n);
                const bool with_live = n % 2 == 0;
                const auto forgot = lived.subject->forget(key, with_live);
                if (!world.crashed()) {
                    BOOST_REQUIRE((forgot && forgot->how.state == State::done));
                    break;
                }
                ++crashes;
                kinds.count("forget", world.crash_point().kind);
                auto versions = all_versions(lived);
                const auto acked = lived.subject->versions()[lived.subject->acked(false)].end;
                lived.subject.reset();
                world.restart(n % 3 == 0 ? Cut::kill : Cut::random, lived.rng);
                lived.subject = open_again(world, small_options(), versions);
                BOOST_REQUIRE(!versions.empty() && versions.back().end >= acked);
                BOOST_REQUIRE(digest(lived.subject->model()) == versions.back().digest);
                is_sound(world);
                past_is_as_it_was(world, versions, {{key, versions.back().end}},
                                  versions.size() / 4 + 1);
                const auto again = lived.subject->forget(key, with_live);
                BOOST_REQUIRE((again && again->how.state == State::done));
                BOOST_REQUIRE(again->how.told.damaged.empty());
                BOOST_REQUIRE(digest(read_all(lived.subject->engine(), 4)) ==
                              digest(lived.subject->model()));
                is_sound(world);
                past_is_as_it_was(world, versions, {{key, again->before}}, versions.size() / 4 + 1);
            }
    }
    std::printf("report: crashes amid forgetting: %llu\n",
                static_cast<unsigned long long>(crashes));
    kinds.print_lines(stdout, "report:   crashes amid forgetting");
    BOOST_TEST(crashes > 5U);
    // A sample of a few meets what most of the operations are: reads.
    if (step > 5) return;
    using enum sim::Kind;
    for (const auto kind : {create, write, sync, rename, unlink})
        BOOST_TEST(kinds.of(kind) > 0, "no crash amid forgetting at " << sim::text(kind));
}

BOOST_AUTO_TEST_CASE(an_operation_that_fails_amid_it_leaves_a_sound_store) {
    using enum sim::Kind;
    sim::Tally struck[2];  // once, and for ever
    std::uint64_t failed = 0;
    const auto step = volume({.usual = 7, .sanitized = 61, .full = 1});
    // All that forgetting asks for.
    const auto kinds = {write,  write_sync, fsync, sync, create, sync_dir, rename,
                        unlink, open,       map,   read, size,   list,     free_bytes};
    for (const auto kind : kinds)
        for (const int error : {EIO, ENOSPC})
            for (const bool sticky : {false, true})
                // For ever is looked at less often: the first one decides most of it.
                for (std::uint64_t nth = 1; nth < 400;
                     nth += in_full() || !sticky ? step : 5 * step)
                    BOOST_TEST_CONTEXT(sim::text(kind) << " error " << error << " nth " << nth
                                                       << (sticky ? ", for ever" : ", once")) {
                        Living lived(3, 0);
                        auto& world = lived.world;
                        BOOST_REQUIRE(lived.subject->sync());
                        const auto versions = all_versions(lived);
                        world.phase("forget");
                        world.fail({.error = error, .kind = kind, .nth = nth, .sticky = sticky});
                        // A segment that cannot be made is tried again ten times a second, and who
                        // waits for it goes on once it can.
                        world.on_operation([&](const sim::Operation&) {
                            if (world.faults_struck() > 100) world.heal();
                        });
                        const auto forgot = lived.subject->forget("key:1", nth % 2 == 0);
                        if (world.faults_struck() == 0) break;
                        struck[sticky ? 1 : 0].count("forget", kind);
                        world.heal();
                        world.on_operation({});
                        if (!forgot) continue;  // the log's own
                        failed += forgot->how.state == State::failed ? 1 : 0;
                        BOOST_REQUIRE(digest(read_all(lived.subject->engine(), 4)) ==
                                      digest(lived.subject->model()));
                        const auto again = lived.subject->forget("key:1", false);
                        BOOST_REQUIRE((again && again->how.state == State::done));
                        BOOST_REQUIRE(lived.subject->checkpoint([] { return true; }));
                        is_sound(world);
                        past_is_as_it_was(world, versions, {{"key:1", again->before}},
                                          versions.size() / 2);
                    }
    std::printf("report: operations that failed amid forgetting: %llu, which ended it: %llu\n",
                static_cast<unsigned long long>(struck[0].total() + struck[1].total()),
                static_cast<unsigned long long>(failed));
    struck[0].print_lines(stdout, "report:   once");
    struck[1].print_lines(stdout, "report:   for ever");
    for (const auto kind : kinds)
        for (const auto& met : struck)
            BOOST_TEST(met.of(kind) > 0, "none failed at " << sim::text(kind));
    BOOST_TEST(failed > 5U);
}

BOOST_AUTO_TEST_CASE(backups_that_have_it_are_told) {
    World world({.seed = 8});
    World shelf({.seed = 9});
    Subject subject(world, *open(world.files(), world.clock(), small_options()));
    const auto back_up = [&](const char* name) {
        const auto taken = take_backup(world.files(), shelf.files(), world.clock(),
                                       {.name = name, .progress = {}, .give_up = {}});
        BOOST_REQUIRE_MESSAGE(taken.has_value(), (taken ? "" : taken.error().text));
    };
    BOOST_REQUIRE(subject.set("beside", "1") && subject.sync());
    back_up("before");
    BOOST_REQUIRE(subject.set("k", "SECRET") && subject.sync());
    back_up("with");
    BOOST_REQUIRE(subject.remove("k") && subject.sync());
    back_up("end");
    const auto forgot = subject.forget("k", false);
    BOOST_REQUIRE((forgot && forgot->how.state == State::done));
    back_up("behind");
    const NameSought sought{
        .store_id = subject.engine().store_id, .key = "k", .before = forgot->before, .give_up = {}};
    const auto held = backups_with(shelf.files(), sought);
    BOOST_REQUIRE(held.has_value());
    BOOST_TEST((std::set<std::string>(held->names.begin(), held->names.end()) ==
                std::set<std::string>{"with", "end"}));
    BOOST_TEST(held->unread.empty());
    World nothing({.seed = 10});
    BOOST_TEST(backups_with(nothing.files(), sought)->names.empty());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
