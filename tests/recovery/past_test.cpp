// G14: any moment of a store's history opens, and is what the model was then, over crashes and
// checkpoints, beside the server that writes on and behind it.

#include <boost/test/unit_test.hpp>

#include "engine/format/names.hpp"
#include "engine/manifest_file.hpp"
#include "engine/ops/keys.hpp"
#include "engine/ops/strings.hpp"
#include "recovery/past.hpp"
#include "tests/recovery/lived.hpp"
#include "tests/recovery/workload.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::recovery {
namespace {

using sim::Rng;
using sim::World;

Opening<std::unique_ptr<Past>> past_of(World& world, Moment moment, bool waits = false) {
    return open_past(world.files(), {.moment = std::move(moment),
                                     .now_us = world.clock().wall().us,
                                     .databases = 4,
                                     .waits = waits,
                                     .progress = {},
                                     .give_up = {}});
}

// Whatever of it waits; false if some of that is damaged.
bool bring_in(Past& past) {
    auto& keyspace = past.engine().keyspace();
    for (std::uint32_t i = 0; i < engine::kStripes; ++i) {
        const auto stripe = static_cast<engine::Stripe>(i);
        const std::lock_guard guard(keyspace.stripe(stripe).lock);
        (void)keyspace.fetch(stripe);
    }
    return keyspace.whole();
}

std::uint64_t digest_of(Past& past) { return digest(read_all(past.engine(), 4)); }

// Returns how many stripes waited.
std::uint64_t every_moment_is_as_it_was(std::uint64_t seed, std::uint64_t moments, bool waits) {
    std::uint64_t waited = 0;
    Lived lived(seed, 3);
    auto& versions = lived.versions;
    BOOST_REQUIRE(versions.size() > 100);
    for (std::uint64_t n = 0; n < moments; ++n) {
        const auto i = lived.rng.below(versions.size());
        // Its very end, or some place before the next one's, which is rounded down to it.
        Moment moment{.what = Moment::What::lsn, .lsn = versions[i].end};
        if (n % 2 != 0 && i + 1 < versions.size() && versions[i + 1].end > versions[i].end)
            moment.lsn.value += lived.rng.below(versions[i + 1].end - versions[i].end);
        BOOST_TEST_CONTEXT("lsn " << moment.lsn.value << ", version " << i << " ends at "
                                  << versions[i].end.value) {
            const auto past = past_of(lived.world, moment, waits);
            BOOST_REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().text));
            waited += (*past)->engine().keyspace().waiting();
            BOOST_REQUIRE(bring_in(**past));
            BOOST_REQUIRE((*past)->facts().place.lsn <= moment.lsn);
            BOOST_REQUIRE((*past)->facts().place.lsn >= versions[i].end);
            BOOST_REQUIRE(digest_of(**past) == versions[i].digest);
        }
    }
    return waited;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(past)

BOOST_AUTO_TEST_CASE(every_lsn_of_a_history_with_crashes_opens_as_the_model_was) {
    for (const auto seed : Seeds(volume({.usual = 4, .sanitized = 2, .full = 50}))) {
        BOOST_TEST(every_moment_is_as_it_was(seed, in_full() ? 200 : 25, false) == 0U);
    }
}

BOOST_AUTO_TEST_CASE(so_it_does_where_what_nobody_touches_is_left_in_the_checkpoint) {
    std::uint64_t waited = 0;
    for (const auto seed : Seeds(volume({.usual = 4, .sanitized = 2, .full = 50}))) {
        waited += every_moment_is_as_it_was(seed, in_full() ? 200 : 25, true);
    }
    BOOST_TEST(waited > 0);
}

// What a start mends a damaged page with.
BOOST_AUTO_TEST_CASE(stripes_of_a_moment_come_alone) {
    std::uint64_t waited = 0;
    for (const auto seed : Seeds(4)) {
        Lived lived(seed, 2);
        const Moment moment{.what = Moment::What::lsn, .lsn = lived.versions.back().end};
        const auto whole = past_of(lived.world, moment);
        BOOST_REQUIRE(whole.has_value());
        std::vector<engine::Stripe> wanted;
        for (engine::Stripe stripe = 0; stripe < engine::kStripes; ++stripe)
            if (lived.rng.chance(10)) wanted.push_back(stripe);
        const auto found =
            stripes_of_past(lived.world.files(),
                            {.moment = moment, .now_us = lived.world.clock().wall().us}, wanted);
        BOOST_REQUIRE_MESSAGE(found.has_value(), (found ? "" : found.error().text));
        waited += (*found)->waiting();
        auto& expected = (*whole)->engine().keyspace();
        for (const auto stripe : wanted) {
            BOOST_REQUIRE((*found)->stripe(stripe).presence == engine::Presence::there);
            for (const auto kid : expected.kids())
                BOOST_REQUIRE_EQUAL((*found)->find_space_of(kid)->stripes[stripe].size(),
                                    expected.find_space_of(kid)->stripes[stripe].size());
        }
    }
    BOOST_TEST(waited > 0);
}

// What is damaged shows when it is touched: then nothing wrong is read, and the moment can be
// opened anew without that checkpoint.
BOOST_AUTO_TEST_CASE(a_page_of_a_moment_that_is_damaged_is_not_read_and_another_base_is_found) {
    std::uint64_t later = 0;
    std::uint64_t at_once = 0;
    Lived lived(1, 2);
    const auto& version = lived.versions.back();
    const Moment moment{.what = Moment::What::lsn, .lsn = version.end};
    const auto manifest = engine::read_manifest(lived.world.files());
    BOOST_REQUIRE(manifest && manifest->checkpoints.size() > 1);
    const auto& newest = manifest->checkpoints.back();
    for (const auto seed : Seeds(volume({.usual = 60, .sanitized = 40, .full = 1000}))) {
        Rng rng{seed};
        World world{{.seed = seed}, lived.world.image(sim::Cut::kill, rng)};
        world.disk().flip(engine::names::checkpoint_file(newest.number), rng.below(newest.bytes));
        const auto past = past_of(world, moment, true);
        BOOST_REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().text));
        if ((*past)->facts().checkpoint != newest.number) ++at_once;
        if (bring_in(**past)) {
            BOOST_REQUIRE(digest_of(**past) == version.digest);
            continue;
        }
        ++later;
        BOOST_TEST((*past)->engine().keyspace().waiting() == 0U);
        BOOST_TEST((*past)->engine().keyspace().beyond_repair());
        const auto again = past_of(world, moment);
        BOOST_REQUIRE_MESSAGE(again.has_value(), (again ? "" : again.error().text));
        BOOST_REQUIRE(digest_of(**again) == version.digest);
    }
    BOOST_TEST(later > 0);
    BOOST_TEST(at_once > 0);
}

// What the window let go of is refused with the oldest moment there is; that one and all behind it
// open.
BOOST_AUTO_TEST_CASE(where_log_was_given_back_every_moment_from_the_oldest_on_opens) {
    std::uint64_t refused = 0;
    std::uint64_t opened = 0;
    for (const auto seed : Seeds(4)) {
        Lived lived(seed, static_cast<int>(seed % 3), false);
        const auto history = History::read(lived.world.files());
        BOOST_REQUIRE_MESSAGE(history.has_value(), (history ? "" : history.error().text));
        BOOST_TEST(!(*history)->is_whole());
        const auto oldest = (*history)->oldest();
        for (std::size_t i = 0; i < lived.versions.size(); i += 1 + lived.rng.below(5)) {
            const auto& version = lived.versions[i];
            const auto past =
                past_of(lived.world, {.what = Moment::What::lsn, .us = 0, .lsn = version.end});
            if (version.end < oldest) {
                ++refused;
                BOOST_REQUIRE(!past.has_value());
                BOOST_REQUIRE_MESSAGE(
                    past.error().text.find("the oldest one is lsn") != std::string::npos,
                    past.error().text);
                continue;
            }
            ++opened;
            BOOST_REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().text));
            BOOST_REQUIRE(digest_of(**past) == version.digest);
        }
        // The very oldest too, which is a checkpoint's hi.
        const auto past = past_of(lived.world, {.what = Moment::What::lsn, .us = 0, .lsn = oldest});
        BOOST_REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().text));
        BOOST_REQUIRE((*past)->facts().place.lsn == oldest);
    }
    BOOST_TEST(refused > 0);
    BOOST_TEST(opened > 0);
}

// The log of the first timeline was empty, so the next one's beginning was taken for the end of a
// gap: until its first checkpoint no moment of such a store could be opened, nor a backup made.
BOOST_AUTO_TEST_CASE(a_store_that_was_killed_before_its_first_write_has_all_of_its_past) {
    World world({.seed = 12});
    Rng rng{12};
    for (int life = 0; life < 3; ++life) {
        BOOST_REQUIRE(open(world.files(), world.clock(), small_options()).has_value());
        world.crash_now();
        world.restart(life == 1 ? sim::Cut::none : sim::Cut::kill, rng);
    }
    Subject subject(world, *open(world.files(), world.clock(), small_options()));
    BOOST_REQUIRE(subject.store().manifest().timelines.size() == 4U);
    BOOST_REQUIRE(subject.set("a", "1") && subject.sync() && subject.set("a", "2"));
    BOOST_REQUIRE(subject.sync());
    for (const auto& version : subject.versions())
        BOOST_TEST((digest_at(world.files(), version.end) == version.digest));
    const auto history = History::read(world.files());
    BOOST_REQUIRE(history.has_value());
    BOOST_TEST((*history)->is_whole());
}

BOOST_AUTO_TEST_CASE(a_past_stays_what_it_was_while_the_server_writes_on) {
    World world({.seed = 7});
    Subject subject(world, *open(world.files(), world.clock(), small_options()));
    BOOST_REQUIRE(subject.set("a", "1") && subject.hash_set("h", "f", "v") && subject.sync());
    const auto then = digest(subject.model());
    const auto past = past_of(world, {});
    BOOST_REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().text));
    Rng rng{7};
    BOOST_REQUIRE(workload(world, subject, rng));
    BOOST_TEST(digest(subject.model()) != then);
    BOOST_TEST(digest_of(**past) == then);
}

BOOST_AUTO_TEST_CASE(a_past_takes_no_writes) {
    World world({.seed = 8});
    Subject subject(world, *open(world.files(), world.clock(), small_options()));
    BOOST_REQUIRE(subject.set("a", "1") && subject.sync());
    const auto past = past_of(world, {});
    BOOST_REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().text));
    engine::Session session((*past)->engine());
    const auto is_refused = [&](const auto& write) {
        const std::string_view key = "a";
        session.begin({&key, 1}, 0);
        const auto done = write(key);
        BOOST_REQUIRE(!done.has_value());
        BOOST_TEST((done.error() == engine::Stop::io_error));
        BOOST_TEST(!session.has_effects());
        (void)session.end();
        session.reset();
    };
    is_refused([&](auto key) { return engine::strings::set(session, key, "2"); });
    is_refused([&](auto key) { return engine::keys::remove(session, key); });
    BOOST_TEST(digest_of(**past) == digest(subject.model()));
}

// A pin: what a checkpoint of then leads into stays, whatever is written and however many
// checkpoints are taken, until the last reader is gone.
BOOST_AUTO_TEST_CASE(while_somebody_reads_the_past_no_walk_takes_its_files) {
    World world({.seed = 9});
    Subject subject(world, *open(world.files(), world.clock(), small_options(false)));
    auto& walk = subject.engine().walk;
    const auto write_all_anew = [&](char with) {
        for (int i = 0; i < 40; ++i) {
            BOOST_REQUIRE(subject.set("key" + std::to_string(i), std::string(8'000, with)));
            subject.engine().work();
            subject.kick();
        }
        BOOST_REQUIRE(subject.sync());
        while (subject.engine().work()) {
        }
        BOOST_REQUIRE(subject.checkpoint([] { return true; }));
    };
    write_all_anew('a');
    const Moment then{.what = Moment::What::lsn, .us = 0, .lsn = subject.engine().log.durable()};
    const auto expected = digest(subject.model());
    walk.pin();
    const auto freed = walk.status().freed_bytes;
    for (const char with : {'b', 'c', 'd', 'e'}) write_all_anew(with);
    BOOST_TEST(walk.status().freed_bytes == freed);
    {
        const auto past = past_of(world, then);
        BOOST_REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().text));
        BOOST_TEST(digest_of(**past) == expected);
    }
    walk.unpin();
    write_all_anew('f');
    BOOST_TEST(walk.status().freed_bytes > freed);
    BOOST_TEST(!past_of(world, then).has_value());
}

BOOST_AUTO_TEST_CASE(a_time_is_rounded_down_to_what_was_committed_by_then) {
    World world({.seed = 3});
    Subject subject(world, *open(world.files(), world.clock(), small_options()));
    struct Seen {
        std::int64_t us;
        std::uint64_t digest;
    };
    std::vector<Seen> seen;
    for (int i = 0; i < 30; ++i) {
        BOOST_REQUIRE(subject.set("key" + std::to_string(i % 4),
                                  std::string(9'000, 'x') + std::to_string(i)));
        BOOST_REQUIRE(subject.sync());
        seen.push_back({world.clock().wall().us, digest(subject.model())});
        if (i == 15) BOOST_REQUIRE(subject.checkpoint([] { return true; }));
        world.clock().advance(1'000'000);
    }
    for (std::size_t i = 0; i < seen.size(); ++i) {
        const auto at = past_of(world, {.what = Moment::What::at, .us = seen[i].us});
        BOOST_REQUIRE_MESSAGE(at.has_value(), (at ? "" : at.error().text));
        BOOST_TEST(digest_of(**at) == seen[i].digest);
        BOOST_TEST((*at)->facts().place.us == seen[i].us);
        const auto commit_us = (*at)->facts().place.commit_us;
        BOOST_TEST(commit_us <= seen[i].us);
        // Strictly before that commit is the moment before it.
        const auto before = past_of(world, {.what = Moment::What::before, .us = commit_us});
        BOOST_REQUIRE(before.has_value());
        BOOST_TEST(digest_of(**before) == (i == 0 ? digest(Model{}) : seen[i - 1].digest));
        // What was found can be named again.
        const auto place = (*at)->facts().place;
        const auto same = past_of(
            world,
            {.what = Moment::What::lsn, .us = 0, .lsn = place.lsn, .timeline = place.timeline});
        BOOST_REQUIRE_MESSAGE(same.has_value(), (same ? "" : same.error().text));
        BOOST_TEST((*same)->facts().place.lsn.value == place.lsn.value);
    }
}

BOOST_AUTO_TEST_CASE(a_mark_is_the_end_of_the_batch_it_is_in_and_the_newest_of_its_name_counts) {
    World world({.seed = 6});
    Subject subject(world, *open(world.files(), world.clock(), small_options()));
    engine::Session session(subject.engine());
    const auto mark = [&](std::string_view name, std::string_view value) {
        const std::string_view key = "key";
        session.begin({&key, 1}, 0);
        BOOST_REQUIRE(session.reserve(100, 2));
        session.mark(name);
        session.put(key, value);
        (void)session.end();
        BOOST_REQUIRE(subject.sync());
    };
    mark("sale", "1");
    mark("other", "2");
    mark("sale", "3");
    mark("later", "4");
    const auto value_at = [&](const std::string& name) {
        const auto past = past_of(
            world, {.what = Moment::What::mark, .us = 0, .lsn = {}, .timeline = {}, .mark = name});
        BOOST_REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().text));
        return read_all((*past)->engine(), 4).at({0, "key"}).text;
    };
    BOOST_TEST(value_at("sale") == "3");
    BOOST_TEST(value_at("other") == "2");
    BOOST_TEST(value_at("later") == "4");
}

BOOST_AUTO_TEST_CASE(what_expires_goes_by_the_time_of_the_moment) {
    World world({.seed = 4});
    Subject subject(world, *open(world.files(), world.clock(), small_options()));
    const auto due_ms = world.clock().wall().ms() + 60'000;
    BOOST_REQUIRE(subject.set("brief", "v", due_ms) && subject.sync());
    const auto lsn = subject.engine().log.durable();
    world.clock().advance(3'600'000'000);
    const auto has = [&](Moment moment) {
        const auto past = past_of(world, std::move(moment));
        BOOST_REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().text));
        engine::Session session((*past)->engine());
        const std::string_view key = "brief";
        session.begin({&key, 1}, 0);
        const auto item = session.look(key);
        BOOST_REQUIRE(item.has_value());
        BOOST_TEST(!session.has_effects());
        (void)session.end();
        return item->has_value();
    };
    // An lsn has the time of its commit; where a time is named, that one counts.
    BOOST_TEST(has({.what = Moment::What::lsn, .us = 0, .lsn = lsn}));
    BOOST_TEST(has({.what = Moment::What::at, .us = (due_ms - 1) * 1000}));
    BOOST_TEST(!has({.what = Moment::What::at, .us = due_ms * 1000}));
}

BOOST_AUTO_TEST_CASE(a_moment_that_is_not_there_is_refused_with_what_there_is) {
    World world({.seed = 5});
    Subject subject(world, *open(world.files(), world.clock(), small_options()));
    BOOST_REQUIRE(subject.set("a", "1") && subject.sync());
    const auto why = [&](Moment moment) {
        const auto past = past_of(world, std::move(moment));
        BOOST_REQUIRE(!past.has_value());
        BOOST_TEST(past.error().exit_code() == 1);
        return past.error().text;
    };
    const auto has = [](const std::string& text, std::string_view part) {
        BOOST_TEST(text.find(part) != std::string::npos, text);
    };
    const auto now_us = world.clock().wall().us;
    has(why({.what = Moment::What::at, .us = now_us + 1}), "has not come yet");
    has(why({.what = Moment::What::at, .us = 1}), "the store was made at");
    has(why({.what = Moment::What::lsn, .us = 0, .lsn = {1U << 30}}), "the log ends at lsn");
    has(why({.what = Moment::What::lsn, .us = 0, .lsn = {4096}, .timeline = 9}), "no timeline 9");
    has(why({.what = Moment::What::mark, .us = 0, .lsn = {}, .timeline = {}, .mark = "none"}),
        "no mark");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
