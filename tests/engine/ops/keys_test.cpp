#include "engine/ops/keys.hpp"

#include <boost/test/unit_test.hpp>
#include <map>
#include <random>
#include <set>
#include <string>

#include "engine/ops/hashes.hpp"
#include "engine/ops/strings.hpp"
#include "tests/engine/ops/bare_engine.hpp"

namespace firnlog::engine {
namespace {

using Keys = std::vector<std::string_view>;

class Bench : public BareEngine {
  public:
    using BareEngine::BareEngine;

    // Runs as one command, again when the log wants to be waited for; the gate of its reply.
    template <class Run>
    Lsn run(const Keys& keys, std::uint32_t database, Run&& command) {
        for (;;) {
            session.begin(keys, database);
            const bool done = command();
            const auto gate = session.end();
            session.reset();
            if (done) return gate;
            settle();
        }
    }
    Lsn set(std::string_view key, std::uint32_t database = 0, std::int64_t expires_ms = -1) {
        return run({key}, database,
                   [&] { return strings::set(session, key, "value", expires_ms).has_value(); });
    }
    Lsn hset(std::string_view key, std::uint32_t database = 0) {
        return run({key}, database, [&] {
            const hashes::Pair pair{.field = "field", .value = "value"};
            return hashes::set(session, key, {&pair, 1}).has_value();
        });
    }
    Lsn rename(std::string_view from, std::string_view to, std::uint32_t database = 0) {
        return run({from, to}, database,
                   [&] { return keys::rename(session, from, to).has_value(); });
    }
    // Whether it is there, and what a reply that says so waits for.
    std::pair<bool, Lsn> look(std::string_view key, std::uint32_t database = 0) {
        bool there = false;
        const auto gate = run({key}, database, [&] {
            const auto item = session.look(key);
            there = item && item->has_value();
            return item.has_value();
        });
        return {there, gate};
    }
    Lsn point(std::vector<Keyspace::Pointing> pointings) {
        session.begin_all(0);
        BOOST_REQUIRE(session.point(pointings).has_value());
        return session.end();
    }
    std::map<std::string, int> scan_all(std::uint32_t database, std::size_t count) {
        std::map<std::string, int> times;
        std::uint64_t cursor = 0;
        do {
            session.begin({}, database);
            const auto scanned = keys::scan(engine, session, database, cursor, count);
            (void)session.end();
            BOOST_REQUIRE(scanned.has_value());
            for (const auto& found : scanned->keys) ++times[found.key];
            cursor = scanned->cursor;
        } while (cursor != 0);
        session.reset();
        return times;
    }
};

std::string name(std::uint64_t number) { return "key:" + std::to_string(number); }

}  // namespace

BOOST_AUTO_TEST_SUITE(keys_ops)

BOOST_AUTO_TEST_CASE(a_reply_that_rests_on_a_lost_expiry_waits_for_it) {
    Bench bench;
    bench.set("key", 0, bench.engine.now.ms() + 1'000'000);
    bench.settle();
    BOOST_TEST((bench.look("key").second <= bench.engine.log.durable()));
    const auto persisted = bench.run(
        {"key"}, 0, [&] { return keys::set_expiry(bench.session, "key", -1).has_value(); });
    BOOST_TEST((persisted > bench.engine.log.durable()));
    const auto [there, gate] = bench.look("key");
    BOOST_TEST(there);
    BOOST_TEST((gate > bench.engine.log.durable()));
    bench.settle();
    BOOST_TEST((bench.look("key").second <= bench.engine.log.durable()));
}

BOOST_AUTO_TEST_CASE(a_reply_that_rests_on_a_database_pointed_elsewhere_waits_for_it) {
    Bench bench;
    bench.set("key", 0);
    bench.set("other", 1);
    bench.settle();
    bench.point({{.database = 0, .kid = 1}, {.database = 1, .kid = 0}});
    for (const auto* key : {"key", "other", "none"}) {
        const auto [there, gate] = bench.look(key);
        BOOST_TEST(there == (std::string_view(key) == "other"));
        BOOST_TEST((gate > bench.engine.log.durable()));
    }
    bench.settle();
    BOOST_TEST((bench.look("key").second <= bench.engine.log.durable()));
    bench.point({{.database = 0, .kid = bench.engine.keyspace().fresh_kid()}});
    const auto [there, gate] = bench.look("other");
    BOOST_TEST(!there);
    BOOST_TEST((gate > bench.engine.log.durable()));
}

BOOST_AUTO_TEST_CASE(a_session_holds_the_homes_of_its_keys_objects_in_every_database) {
    Bench bench;
    const auto home = stripe_of("home");
    auto& lock = bench.engine.keyspace().stripe(home).lock;
    const auto held = [&](const Keys& keys, std::uint32_t database) {
        bench.session.begin(keys, database);
        const bool free = lock.try_lock();
        if (free) lock.unlock();
        (void)bench.session.end();
        return !free;
    };
    for (const std::uint32_t database : {0U, 5U}) {
        bench.hset("home", database);
        BOOST_TEST(!held({"away"}, 0));
        bench.rename("home", "away", database);
        // MOVE, COPY and a SELECT within an EXEC look at the key there too.
        BOOST_TEST(held({"away"}, 0));
        BOOST_TEST(held({"away"}, 5));
        BOOST_TEST(!held({"other"}, database));
        bench.rename("away", "home", database);
        BOOST_TEST(!held({"away"}, 0));
    }
}

BOOST_AUTO_TEST_CASE(keys_are_removed_all_or_none_and_each_once) {
    Bench bench(4096);
    std::vector<std::string> names;
    for (std::uint64_t i = 0; i < 100; ++i) {
        names.push_back(name(i));
        bench.set(names.back());
    }
    const Keys all(names.begin(), names.end());
    bench.session.begin(all, 0);
    const auto refused = keys::remove(bench.session, all);
    BOOST_TEST(!bench.session.has_effects());
    (void)bench.session.end();
    BOOST_REQUIRE(!refused.has_value());
    BOOST_TEST((refused.error() == Stop::too_big));
    BOOST_TEST(bench.engine.keyspace().counts_of(0).keys == 100);

    const Keys some{names[3], names[4], "none", names[3]};
    bench.session.begin(some, 0);
    const auto gone = keys::remove(bench.session, some);
    (void)bench.session.end();
    BOOST_REQUIRE(gone.has_value());
    BOOST_TEST((*gone == Keys{names[3], names[4]}));
    BOOST_TEST(bench.engine.keyspace().counts_of(0).keys == 98);
}

BOOST_AUTO_TEST_CASE(a_scan_gives_what_is_live_once_also_to_a_session_that_holds_all_stripes) {
    Bench bench;
    std::set<std::string> live;
    for (std::uint64_t i = 0; i < 2'000; ++i) {
        // Some are due, some are hashes, some stand under one tag.
        const auto key = i % 3 == 0 ? "{tag}" + name(i) : name(i);
        if (i % 7 == 0) {
            bench.hset(key);
        } else {
            bench.set(key, 0, i % 5 == 0 ? 1 : bench.engine.now.ms() + 1'000'000);
        }
        if (i % 7 == 0 || i % 5 != 0) live.insert(key);
    }
    bench.settle();
    for (const std::size_t count : {1U, 10U, 5'000U}) {
        const auto times = bench.scan_all(0, count);
        BOOST_TEST(times.size() == live.size());
        for (const auto& [key, seen] : times) {
            BOOST_TEST_REQUIRE(seen == 1);
            BOOST_TEST_REQUIRE(live.contains(key));
        }
    }
    bench.session.begin_all(0);
    const auto scanned = keys::scan(bench.engine, bench.session, 0, 0, 1U << 20);
    BOOST_REQUIRE(scanned.has_value());
    BOOST_TEST(scanned->keys.size() == live.size());
    BOOST_TEST(scanned->cursor == 0U);
    const auto some = keys::random(bench.engine, bench.session, 0, 5);
    BOOST_TEST((some.has_value() && some->has_value() && live.contains(**some)));
    (void)bench.session.end();
}

BOOST_AUTO_TEST_CASE(a_scan_of_cold_keys_tells_all_that_it_needs_at_once) {
    Bench bench;
    for (std::uint64_t i = 0; i < 200; ++i)
        bench.run({name(i)}, 0, [&] {
            return strings::set(bench.session, name(i), std::string(60'000, 'x')).has_value();
        });
    bench.settle();
    bench.world.resident_percent(0);
    bench.engine.reader.look_for_cold = true;
    bench.session.begin({}, 0);
    const auto cold = keys::scan(bench.engine, bench.session, 0, 0, 100);
    BOOST_REQUIRE(!cold.has_value());
    BOOST_TEST((cold.error() == Stop::cold));
    BOOST_TEST(bench.session.cold().size() > 50U);
    (void)bench.session.end();
    bench.session.begin({}, 0);
    bench.session.may_wait(true);
    const auto scanned = keys::scan(bench.engine, bench.session, 0, 0, 100);
    BOOST_TEST((scanned.has_value() && scanned->keys.size() == 100));
    (void)bench.session.end();
}

BOOST_AUTO_TEST_CASE(a_random_key_is_live_and_nothing_is_chosen_where_all_is_due) {
    Bench bench;
    const auto random = [&](std::uint64_t dice) {
        bench.session.begin({}, 0);
        auto key = keys::random(bench.engine, bench.session, 0, dice);
        (void)bench.session.end();
        BOOST_REQUIRE(key.has_value());
        return *key;
    };
    BOOST_TEST(!random(1).has_value());
    for (std::uint64_t i = 0; i < 50; ++i) bench.set(name(i), 0, 1);
    BOOST_TEST(!random(2).has_value());
    bench.set("live");
    for (std::uint64_t dice = 0; dice < 50; ++dice) BOOST_TEST((random(dice) == "live"));
}

BOOST_AUTO_TEST_CASE(due_keys_are_deleted_a_few_at_a_time_in_every_database) {
    Bench bench;
    for (std::uint64_t i = 0; i < 300; ++i) {
        bench.set(name(i), i % 2 == 0 ? 0 : 9, i % 3 == 0 ? bench.engine.now.ms() + 1'000'000 : 1);
        if (i % 50 == 0) bench.hset(name(1'000 + i), 9);
    }
    std::uint32_t cursor = 0;
    std::size_t gone = 0;
    for (int step = 0; step < 100 && gone < 200; ++step) {
        const auto now = keys::expire_some(bench.engine, bench.session, 30, cursor);
        BOOST_TEST(now <= 30U);
        gone += now;
        bench.settle();
    }
    BOOST_TEST(gone == 200U);
    BOOST_TEST(bench.session.events.size() == 200U);
    BOOST_TEST(bench.engine.keyspace().counts_of(0).keys == 50);
    BOOST_TEST(bench.engine.keyspace().counts_of(9).keys == 56);
    BOOST_TEST(bench.engine.keyspace().counts_of(9).expires == 50);
    BOOST_TEST(keys::expire_some(bench.engine, bench.session, 30, cursor) == 0U);
    // Databases that nobody used are not made for it.
    BOOST_TEST((bench.engine.keyspace().find_space(4) == nullptr));
}

// A string's key is compared where its record is read; an object's lies in another record than what
// it holds. Once that was not looked at, and a name with the same tag was served another key's
// hash.
BOOST_AUTO_TEST_CASE(an_object_is_not_served_by_another_name_with_its_tag) {
    // All keys of a stripe have one tag.
    Bench bench(std::uint64_t{128} << 20, Hasher(Hasher::Secret{}, 0));
    auto& session = bench.session;
    const std::string_view own = "{t}own";
    const std::string_view other = "{t}other";
    const std::string large(100'000, 'x');
    const auto refused = [](const auto& outcome) {
        return !outcome.has_value() && outcome.error() == Stop::corrupt;
    };
    bench.hset(own);
    bench.run({own, other}, 0, [&] {
        BOOST_TEST(refused(session.look(other)));
        BOOST_TEST(refused(hashes::get(session, other, "field")));
        BOOST_TEST(refused(hashes::all(session, other)));
        const hashes::Pair pair{.field = "field", .value = "of the other"};
        BOOST_TEST(refused(hashes::set(session, other, {&pair, 1})));
        BOOST_TEST(refused(keys::remove(session, other)));
        BOOST_TEST(refused(keys::rename(session, other, own)));
        BOOST_TEST((hashes::get(session, own, "field").value() == "value"));
        return true;
    });
    bench.run({own}, 0, [&] { return strings::set(session, own, large).has_value(); });
    bench.run({own, other}, 0, [&] {
        BOOST_TEST(refused(strings::get(session, other)));
        BOOST_TEST(refused(strings::length(session, other)));
        BOOST_TEST(refused(strings::patch(session, other, 5, "y")));
        BOOST_TEST((strings::get(session, own).value() == large));
        return true;
    });
    // As known from its record, where nothing else is known of it.
    bench.run({own, other}, 0, [&] {
        session.look(own).value()->object->key_check.reset();
        BOOST_TEST(refused(session.look(other)));
        BOOST_TEST(session.look(own).value().has_value());
        return true;
    });
    // The price of a collision: a new value takes the other's place, and is its own.
    bench.set(other);
    bench.run({own, other}, 0, [&] {
        BOOST_TEST(refused(strings::get(session, own)));
        BOOST_TEST((strings::get(session, other).value() == "value"));
        return true;
    });
}

BOOST_AUTO_TEST_CASE(a_batch_is_over_with_the_last_record_it_reserved_and_others_may_write) {
    Bench bench;
    auto& tail = bench.engine.log.tail;
    const auto before = tail.batch_end();
    bench.session.begin(Keys{"key"}, 0);
    BOOST_TEST(strings::set(bench.session, "key", "value").has_value());
    const auto end = tail.batch_end();
    BOOST_TEST(end.value > before.value);
    BOOST_REQUIRE(tail.lock.try_lock());
    tail.lock.unlock();
    // What others write meanwhile, in other stripes, is not what this reply waits for.
    Session other(bench.engine);
    other.begin(Keys{"another"}, 0);
    BOOST_TEST(strings::set(other, "another", "value").has_value());
    BOOST_TEST(other.end().value > end.value);
    BOOST_TEST(bench.session.end().value == end.value);
}

BOOST_AUTO_TEST_CASE(one_batch_stays_open_to_the_end_however_often_room_is_reserved) {
    Bench bench;
    auto& tail = bench.engine.log.tail;
    const auto before = tail.batch_end();
    bench.session.begin(Keys{"a", "b"}, 0);
    bench.session.one_batch();
    for (const std::string_view key : {"a", "b"}) {
        BOOST_TEST(strings::set(bench.session, key, "value").has_value());
        BOOST_TEST(!tail.lock.try_lock());
        BOOST_TEST(tail.batch_end().value == before.value);
    }
    const auto gate = bench.session.end();
    BOOST_TEST(gate.value == tail.batch_end().value);
    BOOST_TEST(gate.value > before.value);
}

BOOST_AUTO_TEST_CASE(a_key_found_expired_goes_in_a_batch_before_what_the_command_changes) {
    Bench bench;
    auto& session = bench.session;
    bench.set("key", 0, 1);
    const auto records = bench.engine.log.tail.records();
    session.begin(Keys{"key"}, 0);
    BOOST_TEST(!session.look("key").value().has_value());
    BOOST_TEST(bench.engine.log.tail.records() == records + 1);
    BOOST_TEST(session.changes() == 0);
    BOOST_TEST(strings::set(session, "key", "value").has_value());
    BOOST_TEST(session.changes() == 1);
    const auto gate = session.end();
    BOOST_TEST(gate.value == bench.engine.log.tail.batch_end().value);
    BOOST_TEST(bench.engine.log.tail.records() == records + 2);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::engine
