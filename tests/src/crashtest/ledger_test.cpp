#include "src/crashtest/ledger.hpp"

#include <algorithm>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <map>

#include "src/crashtest/random.hpp"
#include "src/crashtest/stamp.hpp"

namespace firnlog::crashtest {
namespace {

namespace data = boost::unit_test::data;

constexpr std::int64_t kStart = 1'000'000'000, kLooked = kStart + 60'000'000;

std::vector<Seen> nothing(std::size_t keys) {
    return std::vector<Seen>(keys, {.before_us = kLooked, .after_us = kLooked});
}

Seen value(std::string content) {
    return {.as = Seen::As::value,
            .content = std::move(content),
            .before_us = kLooked,
            .after_us = kLooked};
}

// Writes, in the order of their calls, one microsecond apart.
struct Client {
    Ledger ledger{"client", {"a", "b", "c"}};
    std::int64_t now = kStart;

    std::uint64_t write(Kind kind, const std::map<std::size_t, std::optional<std::string>>& effects,
                        bool acked = true, std::int64_t ttl_ms = 0) {
        const auto sequence = ledger.begin(kind, ++now);
        for (const auto& [key, content] : effects) ledger.effect(key, content, ttl_ms);
        if (acked) ledger.acked(sequence, ++now);
        return sequence;
    }
    // What this client's keys hold is what it was seen to write.
    std::string stamp(std::size_t key, std::uint64_t sequence) {
        return stamped(ledger.keys()[key], sequence, 20);
    }
    std::string only(const std::vector<Seen>& seen,
                     std::optional<std::int64_t> shared = std::nullopt) const {
        const auto judged = ledger.judge(seen, shared);
        BOOST_REQUIRE_EQUAL(judged.violations.size(), 1);
        return judged.violations.front().name;
    }
};

BOOST_AUTO_TEST_SUITE(src)
BOOST_AUTO_TEST_SUITE(crash_ledger)

BOOST_AUTO_TEST_CASE(a_value_tells_whether_it_is_whole_whose_it_is_and_from_when) {
    const auto text = stamped("ct:3:string1", 42, 100);
    const auto stamp = stamp_of(text);
    BOOST_REQUIRE(stamp.has_value());
    BOOST_TEST(stamp->key == "ct:3:string1");
    BOOST_TEST(stamp->sequence == 42U);
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto wrong = text;
        wrong[i] = static_cast<char>(wrong[i] ^ 1);
        BOOST_TEST(!stamp_of(wrong).has_value(), "byte " << i << " is changed");
        BOOST_TEST(!stamp_of(text.substr(0, i)).has_value(), "cut at " << i);
    }
}

BOOST_AUTO_TEST_CASE(every_prefix_that_holds_what_was_acknowledged_is_right) {
    Client client;
    client.write(Kind::set, {{0, "a1"}});
    client.write(Kind::set, {{1, "b2"}});
    client.write(Kind::set, {{0, "a3"}}, false);
    auto seen = nothing(3);
    seen[0] = value("a1");
    seen[1] = value("b2");
    BOOST_TEST(client.ledger.judge(seen, {}).violations.empty());
    BOOST_TEST(client.ledger.judge(seen, {}).acked_lost == 0U);
    seen[0] = value("a3");
    BOOST_TEST(client.ledger.judge(seen, {}).violations.empty());
}

BOOST_AUTO_TEST_CASE(a_shorter_prefix_is_a_loss_and_its_first_ack_is_named) {
    Client client;
    client.write(Kind::set, {{0, "a1"}});
    const auto before = client.now;
    client.write(Kind::set, {{1, "b2"}});
    client.write(Kind::set, {{2, "c3"}});
    auto seen = nothing(3);
    seen[0] = value("a1");
    const auto judged = client.ledger.judge(seen, {});
    BOOST_TEST(judged.violations.empty());
    BOOST_TEST(judged.acked_lost == 2U);
    BOOST_TEST(judged.lost_acked_us == before + 2);
    BOOST_TEST(!judged.lost_timeline.empty());
}

BOOST_AUTO_TEST_CASE(of_many_writes_some_are_told_and_the_others_counted_where_they_were) {
    Client client;
    client.write(Kind::set, {{0, client.stamp(0, 1)}});
    const auto first = client.write(Kind::set, {{0, client.stamp(0, 2)}});
    for (std::uint64_t i = 3; i <= 20; ++i)
        client.write(Kind::set, {{0, client.stamp(0, i)}}, i != 20);
    auto seen = nothing(3);
    seen[0] = value(client.stamp(0, first - 1));
    const auto timeline = client.ledger.judge(seen, {}).lost_timeline;
    const auto more = std::ranges::find_if(
        timeline, [](const auto& moment) { return moment.what.starts_with("from here on "); });
    BOOST_REQUIRE(more != timeline.end());
    // Shown are 1 and 2 and four more; from the seventh on they are counted, the last unanswered.
    BOOST_TEST(more->what == "from here on 14 more writes of a, 13 of them acknowledged");
    BOOST_TEST(more->at_us == kStart + 13);
    BOOST_TEST((timeline.end() - more) == 2, "only what came back is later");
    // Where a write can be looked for it is told how its bytes begin.
    BOOST_TEST(timeline.at(1).write == "write 1");
    BOOST_TEST(client.stamp(0, 1).starts_with(timeline.at(1).mark));
    BOOST_TEST(!timeline.at(1).mark.empty());
}

BOOST_AUTO_TEST_CASE(what_breaks_the_prefix_is_named) {
    Client client;
    client.write(Kind::set, {{0, client.stamp(0, 1)}});
    client.write(Kind::set, {{1, client.stamp(1, 2)}});
    client.write(Kind::set, {{2, client.stamp(2, 3)}});
    auto whole = nothing(3);
    for (std::size_t i = 0; i < 3; ++i) whole[i] = value(client.stamp(i, i + 1));
    BOOST_TEST(client.ledger.judge(whole, {}).violations.empty());

    auto seen = whole;
    seen[1] = {.before_us = kLooked, .after_us = kLooked};
    BOOST_TEST(client.only(seen) == "hole");
    seen = whole;
    seen[1].content = seen[1].content.substr(0, 15);
    BOOST_TEST(client.only(seen) == "wrong-value");
    seen[1] = whole[2];
    BOOST_TEST(client.only(seen) == "foreign-value");
    seen[1] = {.as = Seen::As::error, .content = "CORRUPT"};
    BOOST_TEST(client.only(seen) == "error-reply");
}

BOOST_AUTO_TEST_CASE(what_was_deleted_or_replaced_does_not_come_back) {
    Client client;
    client.write(Kind::set, {{0, client.stamp(0, 1)}});
    client.write(Kind::del, {{0, std::nullopt}});
    client.write(Kind::set, {{1, client.stamp(1, 3)}});
    auto seen = nothing(3);
    seen[1] = value(client.stamp(1, 3));
    BOOST_TEST(client.ledger.judge(seen, {}).violations.empty());
    seen[0] = value(client.stamp(0, 1));
    BOOST_TEST(client.only(seen) == "resurrection");

    seen = nothing(3);
    seen[1] = value(client.stamp(1, 3));
    client.ledger.rebase(seen);
    seen[0] = value(client.stamp(0, 1));
    BOOST_TEST(client.only(seen) == "resurrection", "nor in a later cycle");
}

BOOST_AUTO_TEST_CASE(half_a_batch_is_torn_and_none_of_it_is_a_loss) {
    Client client;
    client.write(Kind::multi, {{0, "a1"}, {1, "b1"}});
    auto seen = nothing(3);
    BOOST_TEST(client.ledger.judge(seen, {}).violations.empty());
    BOOST_TEST(client.ledger.judge(seen, {}).acked_lost == 1U);
    seen[0] = value("a1");
    BOOST_TEST(client.only(seen) == "torn-batch");
    seen[1] = value("b1");
    BOOST_TEST(client.ledger.judge(seen, {}).violations.empty());
}

BOOST_AUTO_TEST_CASE(a_key_lives_as_long_as_it_was_told_to) {
    constexpr std::int64_t kLong = 100'000, kShort = 1'000;
    Client client;
    client.write(Kind::expire, {{0, "long"}}, true, kLong);
    client.write(Kind::expire, {{1, "short"}}, true, kShort);
    client.write(Kind::set, {{2, "c"}});
    auto seen = nothing(3);
    seen[2] = value("c");
    seen[0] = value("long");
    seen[0].ttl_ms = kLong - (kLooked - kStart) / 1000;
    BOOST_TEST(client.ledger.judge(seen, {}).violations.empty());
    seen[0].ttl_ms = -1;
    BOOST_TEST(client.only(seen) == "expiry", "it would live for ever");
    seen[0].ttl_ms = kLong;
    BOOST_TEST(client.only(seen) == "expiry", "it began anew");
    seen[0] = {.before_us = kLooked, .after_us = kLooked};
    BOOST_TEST(client.only(seen) == "expiry", "gone before its time");
    seen[0] = value("long");
    seen[0].ttl_ms = kLong - (kLooked - kStart) / 1000;
    seen[1] = value("short");
    seen[1].ttl_ms = 5;
    BOOST_TEST(client.only(seen) == "expiry", "seen after its end");
}

BOOST_AUTO_TEST_CASE(an_error_reply_leaves_both_outcomes_open) {
    Client client;
    client.write(Kind::set, {{0, "a1"}});
    const auto refused = client.write(Kind::set, {{0, "a2"}}, false);
    client.ledger.refused(refused, ++client.now);
    BOOST_TEST(client.ledger.uncertain(0));
    client.write(Kind::set, {{1, "b3"}});
    for (const auto* content : {"a1", "a2"}) {
        auto seen = nothing(3);
        seen[0] = value(content);
        seen[1] = value("b3");
        BOOST_TEST(client.ledger.judge(seen, {}).violations.empty());
    }
    auto seen = nothing(3);
    seen[1] = value("b3");
    BOOST_TEST(client.only(seen) == "hole");
}

BOOST_AUTO_TEST_CASE(a_batch_answered_with_an_error_is_there_as_a_whole_or_not_at_all) {
    Client client;
    client.write(Kind::mset, {{0, "a1"}, {1, "b1"}});
    const auto refused = client.write(Kind::multi, {{0, "a2"}, {1, "b2"}}, false);
    client.ledger.refused(refused, ++client.now);
    client.write(Kind::set, {{2, "c3"}});
    auto seen = nothing(3);
    seen[2] = value("c3");
    for (const bool first : {false, true})
        for (const bool second : {false, true}) {
            seen[0] = value(first ? "a2" : "a1");
            seen[1] = value(second ? "b2" : "b1");
            if (first == second)
                BOOST_TEST(client.ledger.judge(seen, {}).violations.empty());
            else
                BOOST_TEST(client.only(seen) == "torn-batch");
        }
    // Where the reply itself says that only some commands were done, that is no tear.
    seen[0] = value("a1");
    client.ledger.refused(refused, ++client.now, true);
    BOOST_TEST(client.ledger.judge(seen, {}).violations.empty());
}

BOOST_AUTO_TEST_CASE(what_had_no_answer_is_there_or_not_and_what_followed_it_only_with_it) {
    Client client;
    client.write(Kind::set, {{0, "a1"}});
    client.write(Kind::set, {{0, "a2"}}, false);
    client.write(Kind::set, {{1, "b3"}}, false);
    client.ledger.ended(++client.now);
    BOOST_TEST(!client.ledger.all_answered());
    auto seen = nothing(3);
    for (const auto* content : {"a1", "a2"}) {
        seen[0] = value(content);
        BOOST_TEST(client.ledger.judge(seen, {}).violations.empty());
    }
    seen[1] = value("b3");
    BOOST_TEST(client.ledger.judge(seen, {}).violations.empty());
    seen[0] = value("a1");
    BOOST_TEST(client.only(seen) == "hole");
}

BOOST_AUTO_TEST_CASE(the_shared_counter_must_fit_the_prefix_the_keys_show) {
    Client client;
    const auto one = client.ledger.begin(Kind::shared, ++client.now);
    client.ledger.acked(one, ++client.now, 5);
    client.write(Kind::set, {{0, "a2"}});
    auto seen = nothing(3);
    seen[0] = value("a2");
    BOOST_TEST(client.ledger.judge(seen, 5).violations.empty());
    BOOST_TEST(client.ledger.judge(seen, 9).violations.empty());
    BOOST_TEST(client.only(seen, 4) == "order");
}

// A server that keeps its promises: any prefix of random writes is explained, and found again.
BOOST_DATA_TEST_CASE(whatever_prefix_a_server_keeps_is_explained, data::xrange(100), seed) {
    Random random(static_cast<std::uint64_t>(seed));
    Client client;
    std::vector<std::vector<std::optional<std::string>>> states(1);
    states[0].resize(3);
    for (int cycle = 0; cycle < 4; ++cycle) {
        const auto writes = random.between(1, 30);
        for (std::uint64_t i = 0; i < writes; ++i) {
            auto state = states.back();
            std::map<std::size_t, std::optional<std::string>> effects;
            const auto keys = random.between(1, 3);
            for (std::uint64_t k = 0; k < keys; ++k) {
                const auto key = random.below(3);
                effects[key] = random.one_in(4) ? std::nullopt
                                                : std::optional(std::to_string(random.below(1000)));
                state[key] = effects[key];
            }
            client.write(effects.size() > 1 ? Kind::multi : Kind::set, effects);
            states.push_back(std::move(state));
        }
        const auto kept = random.below(states.size());
        auto seen = nothing(3);
        for (std::size_t key = 0; key < 3; ++key)
            if (states[kept][key]) seen[key] = value(*states[kept][key]);
        const auto judged = client.ledger.judge(seen, {});
        BOOST_TEST(judged.violations.empty());
        BOOST_TEST(judged.acked_lost <= states.size() - 1 - kept);
        client.ledger.rebase(seen);
        states = {states[kept]};
    }
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::crashtest
