// What a start tells while it lasts, where it can be ended, where the log goes on behind a crash,
// and that it needs no room of others.

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <optional>
#include <set>

#include "engine/format/layouts.hpp"
#include "engine/format/names.hpp"
#include "io/base/crc32c.hpp"
#include "recovery/check.hpp"
#include "recovery/past.hpp"
#include "tests/recovery/subject.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::recovery {
namespace {

using sim::Cut;
using sim::Rng;
using sim::World;
using Phase = Progress::Phase;

constexpr std::size_t kValueBytes = 8000;
constexpr int kKeys = 60;

// Several segments, killed in the midst of it: their end is looked for, replayed and written anew.
struct Killed {
    World world{{.seed = 11}};
    std::uint64_t expected = 0;

    explicit Killed(int keys = kKeys) {
        auto opened = open(world.files(), world.clock(), small_options());
        BOOST_REQUIRE(opened.has_value());
        Subject subject(world, std::move(*opened));
        subject.lazy(true);
        for (int i = 0; i < keys; ++i) {
            BOOST_REQUIRE(subject.set("key:" + std::to_string(i), std::string(kValueBytes, 'v')));
            subject.engine().work();
            subject.kick();
            world.pass(5'000);
        }
        BOOST_REQUIRE(subject.sync());
        expected = digest(subject.model());
    }
    [[nodiscard]] sim::Disk disk() const {
        Rng rng{11};
        return world.image(Cut::kill, rng);
    }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(start)

BOOST_AUTO_TEST_CASE(each_of_its_phases_is_told_and_ends_where_the_operator_wants) {
    const Killed killed;
    for (const auto last : {Phase::looking, Phase::replaying, Phase::writing}) {
        World world{{.seed = 12}, killed.disk()};
        auto options = small_options();
        bool locked = false;
        std::optional<Phase> now;
        options.locked = [&] { locked = true; };
        options.progress = [&](const Progress& progress) {
            BOOST_TEST(locked, "the directory is its own before anything is told");
            BOOST_TEST(
                (progress.phase == Phase::looking || progress.bytes_done <= progress.bytes_all));
            now = progress.phase;
        };
        options.give_up = [&] { return now == last; };
        const auto stopped = open(world.files(), world.clock(), options);
        BOOST_REQUIRE(!stopped.has_value());
        BOOST_TEST((stopped.error().error.code == Code::busy));
        BOOST_TEST((now == last));

        std::set<Phase> told;
        options.progress = [&](const Progress& progress) { told.insert(progress.phase); };
        options.give_up = {};
        auto opened = open(world.files(), world.clock(), options);
        BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
        BOOST_TEST(told.size() == 3U);
        BOOST_TEST(digest(read_all((*opened)->engine(), 4)) == killed.expected);
    }
}

// G11, of the start behind a crash, which writes the tail anew: it names the new files, lets the
// old ones go, and is as well done by half as not at all.
BOOST_AUTO_TEST_CASE(a_start_that_dies_at_any_operation_leaves_what_it_found) {
    const Killed killed(12);
    World world{{.seed = 15}, killed.disk()};
    std::uint64_t crashes = 0;
    world.on_operation([&](const sim::Operation& at) {
        if (!sim::changes_disk(at.kind)) return;
        // Of names, too, a cut keeps any: some of those that are to come together.
        for (std::uint64_t i = 0; i < 40; ++i) {
            const auto cut = i < std::size(sim::kCuts) ? sim::kCuts[i] : Cut::random;
            Rng rng{at.number * 100 + i};
            World after{{.seed = at.number}, world.image(cut, rng)};
            auto opened = open(after.files(), after.clock(), small_options());
            BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
            BOOST_REQUIRE_MESSAGE(digest(read_all((*opened)->engine(), 4)) == killed.expected,
                                  "operation " << at.number << ", cut " << sim::text(cut));
            ++crashes;
        }
    });
    BOOST_REQUIRE(open(world.files(), world.clock(), small_options()).has_value());
    world.on_operation({});
    BOOST_TEST(crashes > 100U);
}

// G15: a log file that is sound and not this store's, or not of this format, is no log to be cut,
// nor to be read: whoever finds it says what it is.
BOOST_AUTO_TEST_CASE(what_another_store_or_another_format_wrote_is_refused) {
    const Killed killed(12);
    World other{{.seed = 16}};
    Subject subject(other, *open(other.files(), other.clock(), small_options()));
    BOOST_REQUIRE(subject.set("of another", "store") && subject.sync());
    const auto ours = engine::names::log_file(1);
    auto newer = killed.disk().content(ours);
    auto header = load<engine::layouts::Segment>(as_bytes(newer).data());
    ++header.begin.version;
    std::memcpy(newer.data(), &header, sizeof header);
    header.begin.crc = crc32c(
        as_bytes(newer).subspan(engine::layouts::kCheckedFrom,
                                engine::kSegmentHeaderBytes - engine::layouts::kCheckedFrom));
    std::memcpy(newer.data(), &header, sizeof header);
    const auto is_refused = [&](const std::string& name, const std::string& content, Code code) {
        World world{{.seed = 17}, killed.disk()};
        world.disk().put(name, content);
        const auto past = open_past(
            world.files(),
            {.moment = {}, .now_us = world.clock().wall().us, .progress = {}, .give_up = {}});
        // Who only reads passes over what is another's.
        BOOST_TEST(past.has_value() == (code == Code::usage));
        const auto checked = check(world.files());
        BOOST_TEST((!checked || !checked->sound()));
        const auto before = world.disk().digest();
        const auto opened = open(world.files(), world.clock(), small_options());
        BOOST_REQUIRE(!opened.has_value());
        BOOST_TEST((opened.error().error.code == code));
        BOOST_TEST(opened.error().text.find(name) != std::string::npos, opened.error().text);
        BOOST_TEST(world.disk().digest() == before);
    };
    is_refused(ours, newer, Code::version);
    is_refused(engine::names::log_file(90), other.disk().content(ours), Code::usage);
}

// G18: whoever read the log before the crash may hold lsns of what is lost. None of them is given
// out again, and the timeline's number tells the two apart besides.
BOOST_AUTO_TEST_CASE(behind_a_crash_the_log_goes_on_in_a_new_timeline_past_every_lsn_there_was) {
    for (const auto cut : sim::kCuts) BOOST_TEST_CONTEXT("cut " << sim::text(cut)) {
            World world{{.seed = 14}};
            engine::Lsn durable;
            engine::Lsn end;
            engine::Timeline timeline = 0;
            {
                auto opened = open(world.files(), world.clock(), small_options());
                BOOST_REQUIRE(opened.has_value());
                timeline = (*opened)->manifest().timelines.back().timeline;
                Subject subject(world, std::move(*opened));
                BOOST_REQUIRE(subject.set("key", "value") && subject.sync());
                durable = subject.engine().log.durable();
                // Written, and nobody has asked for more.
                subject.lazy(true);
                for (int i = 0; i < 5; ++i) {
                    BOOST_REQUIRE(subject.set("key", std::string(kValueBytes, 'v')));
                    subject.kick();
                }
                end = subject.engine().log.tail.end();
                world.crash_now();
            }
            Rng rng{14};
            world.restart(cut, rng);
            auto opened = open(world.files(), world.clock(), small_options());
            BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
            const auto& timelines = (*opened)->manifest().timelines;
            BOOST_REQUIRE(timelines.size() == 2U);
            if (cut == Cut::none) BOOST_TEST(timelines.front().end.value == durable.value);
            BOOST_TEST(timelines.back().timeline > timeline);
            BOOST_TEST(timelines.back().begin.value >= end.value);
        }
}

BOOST_AUTO_TEST_CASE(after_a_clean_stop_it_finds_room_though_others_have_filled_the_disk) {
    World world{{.seed = 13}};
    const std::uint64_t room = std::uint64_t{8} << 20;
    world.disk().capacity(room);
    std::uint64_t expected = 0;
    {
        auto opened = open(world.files(), world.clock(), small_options());
        BOOST_REQUIRE(opened.has_value());
        Subject subject(world, std::move(*opened));
        for (int i = 0; i < kKeys; ++i)
            BOOST_REQUIRE(subject.set("key:" + std::to_string(i), std::string(kValueBytes, 'v')));
        // Until what it keeps for a full disk is there.
        for (int i = 0; i < 500 && subject.engine().reserve.missing() != 0; ++i) {
            subject.engine().work();
            world.pass(5'000);
        }
        BOOST_REQUIRE(subject.engine().reserve.missing() == 0U);
        expected = digest(subject.model());
        BOOST_REQUIRE(subject.stop_cleanly());
    }
    world.disk().capacity(room - world.disk().free_bytes());
    BOOST_REQUIRE(world.disk().free_bytes() == 0U);
    auto opened = open(world.files(), world.clock(), small_options());
    BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
    BOOST_TEST((*opened)->report().clean);
    BOOST_TEST(digest(read_all((*opened)->engine(), 4)) == expected);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
