// Groups: what several commands of a pipeline change is appended together and yet batch by batch,
// whoever looks sees it at once, and what has answered cannot fail.

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "engine/ops/keys.hpp"
#include "engine/ops/strings.hpp"
#include "tests/engine/ops/bare_engine.hpp"

namespace firnlog::engine {
namespace {

class Pipeline : public BareEngine {
  public:
    void begin(const std::vector<std::string_view>& keys) {
        std::vector<Session::Ahead> ahead;
        ahead.reserve(keys.size());
        for (const auto key : keys) ahead.push_back({.key = key, .bytes = 300, .reads = false});
        session.look_ahead(ahead, 0, true);
    }
    Lsn end() {
        const auto gate = session.end_group();
        session.forget_ahead();
        return gate;
    }
    Expected<void> set(std::string_view key, std::string_view value, std::int64_t ms = -1) {
        session.begin({&key, 1}, 0);
        auto done = strings::set(session, key, value, ms);
        last_gate = session.end();
        session.reset();
        return done;
    }
    std::string get(std::string_view key) {
        session.begin({&key, 1}, 0);
        const auto value = strings::get(session, key);
        BOOST_REQUIRE(value.has_value());
        std::string copy(*value ? **value : "none");
        last_gate = session.end();
        session.reset();
        return copy;
    }
    [[nodiscard]] std::uint64_t records() const { return engine.log.tail.records(); }
    [[nodiscard]] bool is_free(std::string_view key) {
        auto& lock = engine.keyspace().stripe(stripe_of(key)).lock;
        if (!lock.try_lock()) return false;
        lock.unlock();
        return true;
    }

    Lsn last_gate;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(groups, Pipeline)

BOOST_AUTO_TEST_CASE(what_commands_change_is_appended_when_their_group_ends) {
    begin({"a", "b", "c"});
    BOOST_REQUIRE(session.grouped());
    BOOST_TEST(!is_free("a"));
    const auto before = engine.log.tail.end();
    for (const auto* key : {"a", "b", "c"}) BOOST_REQUIRE(set(key, "1").has_value());
    BOOST_TEST(session.staged());
    BOOST_TEST((engine.log.tail.end() == before));
    const auto gate = end();
    BOOST_TEST(records() == 3);
    BOOST_TEST((engine.log.tail.batch_end() == gate));
    BOOST_TEST(is_free("a"));
    for (const auto* key : {"a", "b", "c"}) BOOST_TEST(get(key) == "1");
}

BOOST_AUTO_TEST_CASE(what_was_given_is_copied) {
    begin({"a", "b"});
    std::string value = "right";
    BOOST_REQUIRE(set("a", value).has_value());
    value = "wrong";
    (void)end();
    BOOST_TEST(get("a") == "right");
}

BOOST_AUTO_TEST_CASE(who_looks_within_the_group_sees_what_came_before) {
    begin({"a", "b", "a", "a", "a"});
    BOOST_REQUIRE(set("a", "1").has_value());
    BOOST_REQUIRE(set("b", "2").has_value());
    BOOST_TEST(get("a") == "1");
    BOOST_TEST((last_gate == engine.log.tail.batch_end()));
    BOOST_TEST(records() == 2);
    BOOST_REQUIRE(set("a", "3").has_value());
    const std::string_view key = "a";
    session.begin({&key, 1}, 0);
    BOOST_TEST(keys::remove(session, key).value());
    (void)session.end();
    BOOST_TEST(get("a") == "none");
    (void)end();
    BOOST_TEST(get("a") == "none");
    BOOST_TEST(get("b") == "2");
}

BOOST_AUTO_TEST_CASE(a_key_found_expired_is_deleted_before_it_is_set_anew) {
    BOOST_REQUIRE(set("a", "old", engine.now.ms() + 5).has_value());
    world.pass(20'000);
    engine.now.update();
    begin({"b", "a", "c"});
    BOOST_REQUIRE(set("b", "1").has_value());
    BOOST_TEST(get("a") == "none");
    BOOST_REQUIRE(set("a", "new").has_value());
    (void)end();
    BOOST_TEST(session.events.size() == 1);
    session.events.clear();
    BOOST_TEST(get("a") == "new");
    BOOST_TEST(records() == 4);
}

BOOST_AUTO_TEST_CASE(a_command_of_several_records_is_a_batch_at_once_and_behind_the_others) {
    begin({"a", "b", "c"});
    BOOST_REQUIRE(set("a", "1").has_value());
    const std::string big(100'000, 'x');
    BOOST_REQUIRE(set("b", big).has_value());
    BOOST_TEST(!session.staged());
    BOOST_REQUIRE(set("c", "3").has_value());
    (void)end();
    BOOST_TEST(get("a") == "1");
    BOOST_TEST(get("b") == big);
    BOOST_TEST(get("c") == "3");
}

BOOST_AUTO_TEST_CASE(more_than_was_sent_finds_its_room_alone) {
    begin({"a", "b"});
    BOOST_REQUIRE(set("a", "1").has_value());
    BOOST_REQUIRE(set("b", std::string(5'000, 'x')).has_value());
    BOOST_TEST(!session.staged());
    (void)end();
    BOOST_TEST(get("b") == std::string(5'000, 'x'));
}

BOOST_AUTO_TEST_CASE(where_there_is_no_room_each_command_hears_it) {
    auto& tail = engine.log.tail;
    constexpr std::size_t kAll = std::size_t{1} << 40;
    tail.promise(kAll);
    begin({"a", "b"});
    BOOST_REQUIRE(session.grouped());
    BOOST_TEST((set("a", "1").error() == Stop::wait));
    BOOST_TEST(!session.staged());
    tail.release(kAll);
    BOOST_REQUIRE(set("b", "2").has_value());
    (void)end();
    BOOST_TEST(get("a") == "none");
    BOOST_TEST(get("b") == "2");
}

BOOST_AUTO_TEST_CASE(room_that_is_promised_is_not_given_to_others) {
    auto& tail = engine.log.tail;
    std::size_t most = 0;
    for (std::size_t bit = std::size_t{1} << 40; bit != 0; bit /= 2)
        if (tail.room(most + bit, true) == Room::enough) most += bit;
    BOOST_REQUIRE(most > 0);
    begin({"a", "b"});
    BOOST_REQUIRE(set("a", "1").has_value());
    BOOST_TEST((tail.room(most, true) == Room::later));
    (void)end();
    BOOST_TEST((tail.room(most - 4096, true) == Room::enough));
}

BOOST_AUTO_TEST_CASE(a_store_with_strays_has_no_groups) {
    const std::vector<std::string_view> names = {"from", "to"};
    session.begin(names, 0);
    BOOST_REQUIRE(session.reserve(100, 3).has_value());
    const auto oid = session.make_oid("from");
    session.bind("from", oid, Type::hash);
    session.put_element(oid, "f", "v");
    (void)session.end();
    session.begin(names, 0);
    BOOST_REQUIRE(keys::rename(session, "from", "to").has_value());
    (void)session.end();
    BOOST_REQUIRE(engine.keyspace().has_strays());
    begin({"a", "b"});
    BOOST_TEST(!session.grouped());
    BOOST_TEST(is_free("a"));
    session.forget_ahead();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::engine
