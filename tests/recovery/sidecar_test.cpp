// What one key was, by sidecars: the same as in the opened past, at any moment of any history,
// whatever became of the sidecars meanwhile.

#include <boost/test/unit_test.hpp>
#include <set>

#include "engine/format/names.hpp"
#include "recovery/listing.hpp"
#include "recovery/past_of_key.hpp"
#include "recovery/put_back.hpp"
#include "tests/recovery/lived.hpp"
#include "tests/recovery/workload.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::recovery {
namespace {

namespace names = engine::names;
using sim::Rng;
using sim::World;

constexpr std::uint32_t kDatabasesSeen = 3;

const Sidecars::Pace kAtOnce = [](std::uint64_t) { return true; };

// A store that is served, and its sidecars.
struct Beside {
    Beside(World& its_world, engine::Engine& engine)
        : world(its_world),
          end(engine.log.durable()),
          sidecars(its_world.files(), engine.store_id, engine.keyspace().hasher) {}

    [[nodiscard]] Serving serving() { return {.end = end, .sidecars = sidecars}; }
    [[nodiscard]] std::unique_ptr<History> history() {
        auto read = History::read(world.files(), serving());
        BOOST_REQUIRE_MESSAGE(read.has_value(), (read ? "" : read.error().text));
        return std::move(*read);
    }
    void pass() { BOOST_REQUIRE(sidecars.pass(history()->stretches(), kAtOnce)); }
    [[nodiscard]] PastOptions options(Moment moment) {
        PastOptions options{.moment = std::move(moment),
                            .now_us = world.clock().wall().us,
                            .databases = 4,
                            .progress = {},
                            .give_up = {}};
        options.serving.emplace(serving());
        return options;
    }
    [[nodiscard]] std::vector<std::string> files() const {
        std::vector<std::string> found;
        for (const auto& name : world.disk().names())
            if (names::sidecar_number(name)) found.push_back(name);
        return found;
    }
    // Some go, some rot, some are another's, some are cut short.
    void hurt(Rng& rng) {
        const auto all = files();
        for (const auto& name : all) {
            const auto bytes = world.disk().content(name).size();
            const auto& other = all[rng.below(all.size())];
            switch (rng.below(6)) {
                case 0:
                    BOOST_REQUIRE(world.files().unlink(name));
                    break;
                case 1:
                    if (bytes != 0) world.disk().flip(name, rng.below(bytes), std::byte{4});
                    break;
                case 2:
                    if (world.disk().has(other))
                        world.disk().put(name, world.disk().content(other));
                    break;
                case 3:
                    world.disk().put(name,
                                     world.disk().content(name).substr(0, rng.below(bytes + 1)));
                    break;
                default:
                    break;
            }
        }
    }

    World& world;
    const engine::Lsn end;
    Sidecars sidecars;
};

// As a client is told it; nothing if it was not there.
std::optional<OldKey> value_of(Past& past, std::uint32_t database, std::string_view key) {
    engine::Session session(past.engine());
    session.may_wait(true);
    session.begin({&key, 1}, database);
    auto old = take_old(session, key);
    (void)session.end();
    BOOST_REQUIRE_MESSAGE(old.has_value(), "it can be read");
    if (*old) (*old)->whereabouts = {};
    return std::move(*old);
}

bool same(const std::optional<OldKey>& one, const std::optional<OldKey>& other) {
    if (!one || !other) return !one && !other;
    return one->type == other->type && one->value == other->value && one->fields == other->fields &&
           one->expires_ms == other->expires_ms;
}

// All that the workload ever gave a name to, and one that never was.
std::set<std::string> all_keys(const std::vector<Version>& versions) {
    std::set<std::string> found{"never"};
    for (const auto& version : versions)
        for (const auto& [name, value] : version.values) found.insert(name.second);
    return found;
}

struct Seen {
    std::uint64_t there = 0;
    std::uint64_t gone = 0;
    std::uint64_t fields = 0;
    std::uint64_t refused = 0;  // moments
};

void one_moment_is_the_same(Beside& beside, Rng& rng, const std::set<std::string>& keys,
                            const Moment& moment, Seen& seen) {
    const auto whole = open_past(beside.world.files(), {.moment = moment,
                                                        .now_us = beside.world.clock().wall().us,
                                                        .databases = 4,
                                                        .progress = {},
                                                        .give_up = {}});
    const auto options = beside.options(moment);
    if (!whole) {
        const auto refused = open_past_of_key(beside.world.files(), options, {.key = "key:1"});
        BOOST_REQUIRE(!refused);
        BOOST_TEST(refused.error().text == whole.error().text);
        ++seen.refused;
        return;
    }
    for (const auto& key : keys) {
        if (!in_full() && !rng.chance(40)) continue;
        const auto database = static_cast<std::uint32_t>(rng.below(kDatabasesSeen));
        BOOST_TEST_CONTEXT("db " << database << " key " << key) {
            const auto alone =
                open_past_of_key(beside.world.files(), options, {.database = database, .key = key});
            BOOST_REQUIRE_MESSAGE(alone.has_value(), (alone ? "" : alone.error().text));
            const auto& place = (*alone)->facts().place;
            BOOST_REQUIRE((place.lsn == (*whole)->facts().place.lsn));
            BOOST_REQUIRE(place.us == (*whole)->facts().place.us);
            BOOST_REQUIRE(place.timeline == (*whole)->facts().place.timeline);
            const auto there = value_of(**whole, database, key);
            BOOST_REQUIRE(same(value_of(**alone, database, key), there));
            ++(there ? seen.there : seen.gone);
            if (!there || there->fields.empty()) continue;
            // One field, and one that is not there.
            const auto& [field, value] = there->fields[rng.below(there->fields.size())];
            for (const auto& wanted : {field, std::string("none")}) {
                const auto of_field =
                    open_past_of_key(beside.world.files(), options,
                                     {.database = database, .key = key, .field = wanted});
                BOOST_REQUIRE_MESSAGE(of_field.has_value(),
                                      (of_field ? "" : of_field.error().text));
                const auto found = value_of(**of_field, database, key);
                BOOST_REQUIRE(found.has_value());
                const auto told = std::ranges::find(found->fields, wanted,
                                                    &std::pair<std::string, std::string>::first);
                BOOST_REQUIRE((told == found->fields.end()) == (wanted != field));
                if (wanted == field) BOOST_REQUIRE(told->second == value);
                ++seen.fields;
            }
        }
    }
}

Moment random_moment(const Lived& lived, Rng& rng) {
    const auto& versions = lived.versions;
    // Where log was given back the newest alone are left.
    const auto last = std::min<std::size_t>(versions.size(), 40);
    const auto i =
        rng.chance(50) ? versions.size() - 1 - rng.below(last) : rng.below(versions.size());
    Moment moment{.what = Moment::What::lsn, .lsn = versions[i].end};
    if (rng.chance(50) && i + 1 < versions.size() && versions[i + 1].end > versions[i].end)
        moment.lsn.value += rng.below(versions[i + 1].end - versions[i].end);
    return moment;
}

void every_key_is_as_in_the_opened_past(std::uint64_t seed, std::uint64_t moments, Seen& seen) {
    Lived lived(seed, static_cast<int>(seed % 4), seed % 2 != 0);
    Beside beside(lived.world, lived.subject->engine());
    Rng rng{seed};
    const auto keys = all_keys(lived.versions);
    for (std::uint64_t n = 0; n < moments; ++n) {
        if (rng.chance(30)) beside.pass();
        if (rng.chance(30)) beside.hurt(rng);
        auto moment = random_moment(lived, rng);
        BOOST_TEST_CONTEXT("lsn " << moment.lsn.value) {
            one_moment_is_the_same(beside, rng, keys, std::move(moment), seen);
        }
    }
}

bool same_line(const Line& one, const Line& other) {
    return one.lsn == other.lsn && one.after == other.after && one.timeline == other.timeline &&
           one.us == other.us && one.event == other.event && one.database == other.database &&
           one.key == other.key && one.field == other.field && one.expires_ms == other.expires_ms &&
           one.bytes == other.bytes;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sidecars)

BOOST_AUTO_TEST_CASE(every_key_at_every_moment_is_what_the_opened_past_says) {
    Seen seen;
    for (const auto seed : Seeds(volume({.usual = 4, .sanitized = 2, .full = 24}))) {
        every_key_is_as_in_the_opened_past(seed, in_full() ? 200 : 20, seen);
    }
    BOOST_TEST(seen.there > 100U);
    BOOST_TEST(seen.gone > 100U);
    BOOST_TEST(seen.fields > 30U);
    BOOST_TEST(seen.refused > 2U);
}

BOOST_AUTO_TEST_CASE(the_history_of_a_key_has_the_lines_that_all_of_the_log_gives) {
    std::uint64_t lines = 0;
    for (const auto seed : Seeds(4)) {
        Lived lived(seed, static_cast<int>(seed % 3), seed % 2 != 0);
        Beside beside(lived.world, lived.subject->engine());
        Rng rng{seed};
        for (const auto& key : all_keys(lived.versions)) {
            if (rng.chance(10)) beside.pass();
            if (rng.chance(10)) beside.hurt(rng);
            ListOptions options{
                .only = KeyOf{.database = static_cast<std::uint32_t>(rng.below(kDatabasesSeen)),
                              .key = key},
                .count = rng.chance(30) ? 7U : 1000U};
            const auto all = list_log(lived.world.files(), options);
            BOOST_REQUIRE_MESSAGE(all.has_value(), (all ? "" : all.error().text));
            options.serving.emplace(beside.serving());
            const auto alone = list_key(lived.world.files(), options);
            BOOST_REQUIRE_MESSAGE(alone.has_value(), (alone ? "" : alone.error().text));
            BOOST_TEST_CONTEXT("db " << options.only->database << " key " << key) {
                BOOST_REQUIRE(alone->left_out == all->left_out);
                BOOST_REQUIRE(alone->lines.size() == all->lines.size());
                for (std::size_t i = 0; i < all->lines.size(); ++i)
                    BOOST_REQUIRE(same_line(alone->lines[i], all->lines[i]));
            }
            lines += all->lines.size();
        }
    }
    BOOST_TEST(lines > 500U);
}

// Where a moment lies is found with sidecars as without them.
BOOST_AUTO_TEST_CASE(a_moment_is_found_at_the_same_place) {
    for (const auto seed : Seeds(4)) {
        Lived lived(seed, static_cast<int>(seed % 3));
        Beside beside(lived.world, lived.subject->engine());
        Rng rng{seed};
        const auto now_us = lived.world.clock().wall().us;
        const auto plain = History::read(lived.world.files());
        BOOST_REQUIRE(plain.has_value());
        const auto began_us = (*plain)->manifest().created_us;
        for (int i = 0; i < 60; ++i) {
            if (i % 20 == 10) beside.pass();
            auto moment = random_moment(lived, rng);
            if (i % 2 != 0)
                moment = {.what = i % 4 == 1 ? Moment::What::at : Moment::What::before,
                          .us = began_us + static_cast<std::int64_t>(rng.below(
                                               static_cast<std::uint64_t>(now_us - began_us)))};
            const auto there = (*plain)->find(moment, now_us);
            const auto found = beside.history()->find(moment, now_us);
            BOOST_REQUIRE(there.has_value() == found.has_value());
            if (!there) {
                BOOST_TEST(there.error().text == found.error().text);
                continue;
            }
            BOOST_REQUIRE((there->lsn == found->lsn));
            BOOST_REQUIRE(there->timeline == found->timeline);
            BOOST_REQUIRE(there->commit_us == found->commit_us);
            BOOST_REQUIRE(there->us == found->us);
        }
    }
}

BOOST_AUTO_TEST_CASE(what_is_written_meanwhile_is_found_and_nothing_is_read_twice) {
    World world({.seed = 2});
    Subject subject(world, *open(world.files(), world.clock(), small_options()));
    Sidecars sidecars(world.files(), subject.engine().store_id, subject.engine().keyspace().hasher);
    for (int i = 0; i < 300; ++i) {
        const auto value = std::to_string(i) + std::string(1'000, 'v');
        BOOST_REQUIRE(subject.set("key" + std::to_string(i % 7), value) && subject.sync());
        PastOptions options{.now_us = world.clock().wall().us, .progress = {}, .give_up = {}};
        options.serving.emplace(
            Serving{.end = subject.engine().log.durable(), .sidecars = sidecars});
        const auto past =
            open_past_of_key(world.files(), options, {.key = "key" + std::to_string(i % 7)});
        BOOST_REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().text));
        const auto found = value_of(**past, 0, "key" + std::to_string(i % 7));
        BOOST_REQUIRE(found.has_value());
        BOOST_REQUIRE(found->value == value);
        while (subject.engine().work()) {
        }
    }
    // Full files got theirs by being looked up in.
    BOOST_TEST(sidecars.told().files > 1U);
    BOOST_TEST(sidecars.told().made == sidecars.told().files);
}

// What a crash leaves of one that was being made, or went, is never believed for more than it is.
BOOST_AUTO_TEST_CASE(a_crash_at_each_operation_of_making_and_removing_one_changes_no_answer) {
    World first({.seed = seed_or(3)});
    auto subject =
        std::make_unique<Subject>(first, *open(first.files(), first.clock(), small_options()));
    for (int i = 0; i < 60; ++i)
        BOOST_REQUIRE(subject->set("key" + std::to_string(i % 20),
                                   std::to_string(i) + std::string(8'000, 'x')) &&
                      subject->sync());
    const auto end = subject->engine().log.durable();
    const auto store_id = subject->engine().store_id;
    const auto hasher = subject->engine().keyspace().hasher;
    const auto model = subject->model();
    const auto disk = first.disk().copy();
    std::uint64_t crashes = 0;
    for (const bool removes : {false, true})
        for (std::uint64_t at = 1;; ++at) {
            World world({.seed = seed_or(3) + at}, disk.copy());
            Rng rng{seed_or(3) + at};
            const auto run = [&](Sidecars& sidecars) {
                const auto history =
                    History::read(world.files(), Serving{.end = end, .sidecars = sidecars});
                return history && sidecars.pass((*history)->stretches(), kAtOnce).has_value() &&
                       (!removes || sidecars.shed().has_value());
            };
            bool whole = false;
            {
                Sidecars sidecars(world.files(), store_id, hasher);
                (void)world.process();
                world.crash_at(world.operations() + at);
                whole = run(sidecars) && !world.crashed();
            }
            world.crash_at(0);
            if (!whole) {
                ++crashes;
                world.restart(rng.chance(30) ? sim::Cut::kill : sim::Cut::random, rng);
            }
            Sidecars sidecars(world.files(), store_id, hasher);
            PastOptions options{.now_us = world.clock().wall().us, .progress = {}, .give_up = {}};
            options.moment = {.what = Moment::What::lsn, .lsn = end};
            options.serving.emplace(Serving{.end = end, .sidecars = sidecars});
            BOOST_TEST_CONTEXT("operation " << at << (removes ? ", removing" : ", making"))
            for (int i = 0; i < 20; i += 3) {
                const auto key = "key" + std::to_string(i);
                const auto past = open_past_of_key(world.files(), options, {.key = key});
                BOOST_REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().text));
                const auto found = value_of(**past, 0, key);
                BOOST_REQUIRE(found.has_value());
                BOOST_REQUIRE(found->value == model.at({0, key}).text);
            }
            if (whole) break;
        }
    BOOST_TEST(crashes > 20U);
}

BOOST_AUTO_TEST_CASE(one_without_its_log_file_goes_with_it_or_at_the_next_start) {
    World world({.seed = 4});
    const auto orphans = [&] {
        std::size_t found = 0;
        for (const auto& name : world.disk().names())
            if (const auto number = names::sidecar_number(name))
                found += world.disk().has(names::log_file(*number)) ? 0 : 1;
        return found;
    };
    {
        Subject subject(world, *open(world.files(), world.clock(), small_options(false)));
        Beside beside(world, subject.engine());
        std::uint64_t most = 0;
        for (int round = 0; round < 8; ++round) {
            for (int i = 0; i < 30; ++i)
                BOOST_REQUIRE(subject.set("key" + std::to_string(i % 3), std::string(8'000, 'x')));
            BOOST_REQUIRE(subject.sync());
            Beside now(world, subject.engine());
            now.pass();
            most = std::max<std::uint64_t>(most, now.files().size());
            BOOST_REQUIRE(subject.checkpoint([] { return true; }));
            BOOST_TEST(orphans() == 0U);
        }
        BOOST_TEST(most > 2U);
        BOOST_TEST(subject.engine().walk.status().freed_bytes > 0U);
        BOOST_REQUIRE(subject.stop_cleanly());
    }
    world.disk().put("0000000999.side", "anything");
    Rng rng{4};
    world.restart(sim::Cut::none, rng);
    const auto again = open(world.files(), world.clock(), small_options(false));
    BOOST_REQUIRE(again.has_value());
    BOOST_TEST(!world.disk().has("0000000999.side"));
    BOOST_TEST(orphans() == 0U);
}

BOOST_AUTO_TEST_CASE(without_room_none_is_written_and_all_is_found) {
    World world({.seed = 5});
    Subject subject(world, *open(world.files(), world.clock(), small_options()));
    for (int i = 0; i < 40; ++i)
        BOOST_REQUIRE(subject.set("key" + std::to_string(i), std::string(8'000, 'x')) &&
                      subject.sync());
    Beside beside(world, subject.engine());
    beside.pass();
    BOOST_TEST(beside.files().size() > 2U);
    BOOST_TEST(beside.sidecars.told().missing == 0U);
    beside.sidecars.may_write(false);
    BOOST_REQUIRE(beside.sidecars.shed());
    BOOST_TEST(beside.files().empty());
    const auto past = open_past_of_key(world.files(), beside.options({}), {.key = "key3"});
    BOOST_REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().text));
    BOOST_TEST(value_of(**past, 0, "key3").has_value());
    BOOST_TEST(beside.files().empty());
    beside.pass();
    BOOST_TEST(beside.files().empty());
    beside.sidecars.may_write(true);
    beside.pass();
    BOOST_TEST(beside.files().size() > 2U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
