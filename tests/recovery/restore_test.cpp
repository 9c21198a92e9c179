// G14, G18: a restored store is the moment it was made of, can be written to and stopped as any
// other, and takes the history before the moment along; the source is as it was.

#include "recovery/restore.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/recovery/lived.hpp"

namespace firnlog::recovery {
namespace {

using sim::World;

RestoreOptions options_for(Moment moment, Ttl ttl) {
    RestoreOptions options;
    options.moment = std::move(moment);
    options.ttl = ttl;
    options.engine = small_options().engine;
    return options;
}

Moment lsn_of(engine::Lsn lsn) { return {.what = Moment::What::lsn, .us = 0, .lsn = lsn}; }

// An empty world whose clock stands where the other one's does.
struct Target {
    explicit Target(World& source) : world{{.seed = 99}} {
        world.clock().jump_wall(source.clock().wall().us - world.clock().wall().us);
    }
    World world;
};

void restores_what_it_was(Lived& lived, std::size_t i) {
    const auto& version = lived.versions[i];
    Target to(lived.world);
    const auto restored = restore(lived.world.files(), to.world.files(), to.world.clock(),
                                  to.world.io(), options_for(lsn_of(version.end), Ttl::keep));
    BOOST_REQUIRE_MESSAGE(restored.has_value(), (restored ? "" : restored.error().text));
    BOOST_REQUIRE(digest_at(to.world.files(), version.end) == version.digest);
    // What was before came along.
    const auto before = lived.rng.below(i + 1);
    BOOST_REQUIRE(digest_at(to.world.files(), lived.versions[before].end) ==
                  lived.versions[before].digest);
    // It is a store: it opens cleanly in a timeline of its own, takes writes, and survives a crash.
    auto store = open(to.world.files(), to.world.clock(), small_options());
    BOOST_REQUIRE_MESSAGE(store.has_value(), (store ? "" : store.error().text));
    BOOST_REQUIRE((*store)->report().clean);
    BOOST_REQUIRE((*store)->manifest().timelines.back().timeline >
                  lived.subject->store().manifest().timelines.back().timeline);
    BOOST_REQUIRE(digest(read_all((*store)->engine(), 4)) == version.digest);
    auto subject = std::make_unique<Subject>(to.world, std::move(*store));
    BOOST_REQUIRE(subject->set("after the restore", "1") && subject->sync());
    const auto after = digest(subject->model());
    subject.reset();
    to.world.crash_now();
    to.world.restart(sim::Cut::random, lived.rng);
    store = open(to.world.files(), to.world.clock(), small_options());
    BOOST_REQUIRE_MESSAGE(store.has_value(), (store ? "" : store.error().text));
    BOOST_REQUIRE(digest(read_all((*store)->engine(), 4)) == after);
    BOOST_REQUIRE(digest_at(to.world.files(), version.end) == version.digest);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(restore_)

BOOST_AUTO_TEST_CASE(a_restored_store_is_the_moment_it_was_made_of) {
    for (const auto seed : Seeds(volume({.usual = 3, .sanitized = 1, .full = 20}))) {
        Lived lived(seed, 2);
        for (int n = 0; n < (in_full() ? 40 : 6); ++n) {
            const auto i = lived.rng.below(lived.versions.size());
            BOOST_TEST_CONTEXT("version " << i) { restores_what_it_was(lived, i); }
        }
    }
}

BOOST_AUTO_TEST_CASE(a_store_that_gave_log_back_is_restored_from_a_checkpoint_on) {
    for (const auto seed : Seeds(3)) {
        Lived lived(seed, 1, false);
        const auto history = History::read(lived.world.files());
        BOOST_REQUIRE(history.has_value() && !(*history)->is_whole());
        const auto oldest = (*history)->oldest();
        std::erase_if(lived.versions, [&](const Version& version) { return version.end < oldest; });
        BOOST_REQUIRE(!lived.versions.empty());
        for (int n = 0; n < 4; ++n)
            restores_what_it_was(lived, lived.rng.below(lived.versions.size()));
    }
}

BOOST_AUTO_TEST_CASE(the_source_is_as_it_was_and_is_written_on) {
    Lived lived(5, 1);
    Target to(lived.world);
    const auto files_of = [&] {
        std::string text;
        const auto listed = lived.world.files().list();
        BOOST_REQUIRE(listed.has_value());
        for (const auto& info : *listed)
            text +=
                info.name + " " + std::to_string(info.bytes) + " " +
                std::to_string(std::hash<std::string>()(lived.world.disk().content(info.name))) +
                "\n";
        return text;
    };
    const auto before = files_of();
    const auto restored = restore(lived.world.files(), to.world.files(), to.world.clock(),
                                  to.world.io(), options_for({}, Ttl::shift));
    BOOST_REQUIRE_MESSAGE(restored.has_value(), (restored ? "" : restored.error().text));
    BOOST_TEST(files_of() == before);
}

BOOST_AUTO_TEST_CASE(a_key_lives_as_long_as_it_had_left_or_as_is_wished) {
    World world({.seed = 8});
    Subject subject(world, *open(world.files(), world.clock(), small_options()));
    const auto now_ms = world.clock().wall().ms();
    BOOST_REQUIRE(subject.set("due", "v", now_ms + 500) &&
                  subject.set("brief", "v", now_ms + 60'000) &&
                  subject.hash_set("hash", "f", "v") && subject.expire("hash", now_ms + 90'000) &&
                  subject.set("for ever", "v"));
    world.clock().advance(1'000'000);
    BOOST_REQUIRE(subject.set("last", "v") && subject.sync());
    const auto at_us = world.clock().wall().us;
    world.clock().advance(3'600'000'000);
    for (const auto ttl : {Ttl::keep, Ttl::drop, Ttl::shift}) {
        Target to(world);
        const auto restored =
            restore(world.files(), to.world.files(), to.world.clock(), to.world.io(),
                    options_for({.what = Moment::What::at, .us = at_us}, ttl));
        BOOST_REQUIRE_MESSAGE(restored.has_value(), (restored ? "" : restored.error().text));
        BOOST_TEST(restored->shifted == (ttl == Ttl::keep ? 0U : 2U));
        const auto store = open(to.world.files(), to.world.clock(), small_options());
        BOOST_REQUIRE(store.has_value());
        const auto model = read_all((*store)->engine(), 4);
        const auto expires = [&](const char* key) { return model.at({0, key}).expires_ms; };
        // What was due at the moment already stays due, whatever is wished.
        BOOST_TEST(expires("due") == now_ms + 500);
        BOOST_TEST(expires("for ever") == -1);
        const auto passed = (to.world.clock().wall().us - at_us) / 1000;
        if (ttl == Ttl::keep) BOOST_TEST(expires("brief") == now_ms + 60'000);
        if (ttl == Ttl::drop) BOOST_TEST(expires("hash") == -1);
        if (ttl == Ttl::drop) BOOST_TEST(expires("brief") == -1);
        if (ttl != Ttl::shift) continue;
        // The clock went on a little while it was restored.
        BOOST_TEST(expires("brief") <= now_ms + 60'000 + passed);
        BOOST_TEST(expires("brief") > now_ms + 60'000 + passed - 10'000);
        BOOST_TEST(expires("hash") - expires("brief") == 30'000);
    }
}

// Expiries are shifted by an engine that has a worker, whose walks once let go of what their own
// window did not keep, or of all the past when the disk was full: the moment itself could not be
// opened in the store that was made of it.
BOOST_AUTO_TEST_CASE(the_past_that_comes_along_outlives_a_walk_amid_the_restore) {
    World world({.seed = 11});
    Subject subject(world, *open(world.files(), world.clock(), small_options()));
    const auto due_ms = world.clock().wall().ms() + 60'000'000;
    BOOST_REQUIRE(subject.set("first", "v") && subject.sync());
    const auto first = subject.versions().back();
    // So many that the log has to be given room while they are written anew.
    for (int round = 0; round < 4; ++round) {
        BOOST_REQUIRE(subject.checkpoint([] { return true; }));
        std::vector<std::pair<std::string, std::string>> pairs;
        for (int i = 0; i < 1'000; ++i)
            pairs.emplace_back("brief:" + std::to_string(1'000 * round + i), "v");
        BOOST_REQUIRE(subject.set_many(pairs, due_ms) && subject.sync());
    }
    const auto last = subject.versions().back();
    Target to(world);
    auto options = options_for(lsn_of(last.end), Ttl::shift);
    options.engine.walk.window.retain_s = 0;
    options.engine.walk.log_bytes = 1;
    options.engine.walk.duty_percent = 100;
    const auto restored =
        restore(world.files(), to.world.files(), to.world.clock(), to.world.io(), options);
    BOOST_REQUIRE_MESSAGE(restored.has_value(), (restored ? "" : restored.error().text));
    BOOST_TEST(restored->shifted == 4'000U);
    for (const auto& version : {first, last})
        BOOST_TEST((digest_at(to.world.files(), version.end) == version.digest));
}

BOOST_AUTO_TEST_CASE(some_keys_alone_make_a_store_of_their_own) {
    World world({.seed = 9});
    Subject subject(world, *open(world.files(), world.clock(), small_options()));
    const auto now_ms = world.clock().wall().ms();
    BOOST_REQUIRE(subject.set("a:1", "v") && subject.set("b:1", "v") &&
                  subject.hash_set("a:h", "f", "v") && subject.set("a:due", "v", now_ms + 1));
    subject.select(2);
    BOOST_REQUIRE(subject.set("a:big", std::string(70'000, 'x')) && subject.sync());
    world.clock().advance(10'000'000);
    subject.select(0);
    BOOST_REQUIRE(subject.remove("a:1") && subject.sync());
    auto options = options_for(
        {.what = Moment::What::at, .us = world.clock().wall().us - 5'000'000}, Ttl::shift);
    options.wants = [](std::string_view key) { return key.starts_with("a:"); };
    Target to(world);
    const auto restored =
        restore(world.files(), to.world.files(), to.world.clock(), to.world.io(), options);
    BOOST_REQUIRE_MESSAGE(restored.has_value(), (restored ? "" : restored.error().text));
    BOOST_TEST(restored->keys == 3U);
    const auto store = open(to.world.files(), to.world.clock(), small_options());
    BOOST_REQUIRE(store.has_value());
    BOOST_TEST((*store)->report().clean);
    const auto model = read_all((*store)->engine(), 4);
    BOOST_TEST(model.size() == 3U);
    BOOST_TEST(model.at({0, "a:1"}).text == "v");
    BOOST_TEST(model.at({0, "a:h"}).fields.at("f") == "v");
    BOOST_TEST(model.at({2, "a:big"}).text.size() == 70'000U);
}

BOOST_AUTO_TEST_CASE(what_is_damaged_is_refused_and_no_store_is_left) {
    World world({.seed = 10});
    live_cleanly(world);
    const auto fd = world.files().open("0000000001.log", io::Open::write);
    BOOST_REQUIRE(fd.has_value());
    BOOST_REQUIRE(world.files().write(*fd, 9'000, as_bytes("rot")));
    Target to(world);
    auto options = options_for({}, Ttl::shift);
    const auto restored =
        restore(world.files(), to.world.files(), to.world.clock(), to.world.io(), options);
    BOOST_REQUIRE(!restored.has_value());
    BOOST_TEST(restored.error().exit_code() == 3);
    BOOST_TEST(restored.error().text.find("0000000001.log") != std::string::npos,
               restored.error().text);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
