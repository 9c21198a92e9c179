#include "engine/keep.hpp"

#include <boost/test/unit_test.hpp>

namespace firnlog::engine {

BOOST_AUTO_TEST_SUITE(keep)

namespace {

constexpr std::int64_t kHourUs = std::int64_t{3600} * 1'000'000;

// Checkpoints of these hours since 1970, numbered from 1 on.
std::vector<CheckpointEntry> taken_at(const std::vector<std::int64_t>& hours) {
    std::vector<CheckpointEntry> entries;
    for (const auto hour : hours) {
        const auto number = static_cast<FileNumber>(entries.size() + 1);
        entries.push_back({.number = number, .taken_us = hour * kHourUs + number});
    }
    return entries;
}

using Numbers = std::vector<FileNumber>;

Numbers wanted_of(const char* rules, const std::vector<std::int64_t>& hours) {
    const auto keep = parse_keep(rules);
    BOOST_REQUIRE(keep.has_value());
    return wanted(*keep, taken_at(hours));
}

}  // namespace

BOOST_AUTO_TEST_CASE(of_each_period_the_newest_is_wanted_and_empty_ones_do_not_count) {
    BOOST_TEST((wanted_of("hourly:2", {1, 1, 2, 9, 9}) == Numbers{3, 5}));
    BOOST_TEST((wanted_of("hourly:9", {1, 1, 2, 9, 9}) == Numbers{2, 3, 5}));
    BOOST_TEST((wanted_of("daily:2", {1, 23, 24, 47, 48}) == Numbers{4, 5}));
    BOOST_TEST((wanted_of("hourly:1,daily:3", {1, 23, 24, 47, 48}) == Numbers{2, 4, 5}));
    BOOST_TEST(wanted_of("hourly:1", {}).empty());
    BOOST_TEST(wanted_of("", {1, 2}).empty());
}

BOOST_AUTO_TEST_CASE(weeks_begin_on_monday_months_and_years_are_the_calendars) {
    constexpr std::int64_t kDay = 24;
    // 1970-01-01 was a Thursday: day 3 is a Sunday, day 4 a Monday.
    BOOST_TEST((wanted_of("weekly:5", {0, 3 * kDay, 4 * kDay, 10 * kDay}) == Numbers{2, 4}));
    // Day 30 is January 31st, day 31 is February 1st; day 364 is December 31st.
    BOOST_TEST((wanted_of("monthly:5", {0, 30 * kDay, 31 * kDay, 364 * kDay}) == Numbers{2, 3, 4}));
    BOOST_TEST((wanted_of("yearly:5", {0, 364 * kDay, 365 * kDay}) == Numbers{2, 3}));
}

BOOST_AUTO_TEST_CASE(rules_are_read_whole_or_not_at_all) {
    const auto keep = parse_keep("hourly:24,daily:7,yearly:1000");
    BOOST_REQUIRE(keep.has_value());
    BOOST_REQUIRE(keep->size() == 3U);
    BOOST_TEST(((*keep)[1] == KeepRule{.period = Period::daily, .count = 7}));
    BOOST_TEST(shortest_s(*keep) == 3600);
    BOOST_TEST(shortest_s({}) == 0);
    BOOST_TEST(parse_keep("")->empty());
    for (const char* wrong :
         {"hourly", "hourly:", "hourly:0", "hourly:1001", "hourly:-1", "hourly:1x", "minutely:5",
          ":5", "hourly:1,", ",hourly:1", "hourly:1,,daily:1", "hourly:1,hourly:2", "hourly:1 ",
          "Hourly:1", "hourly:4294967297"})
        BOOST_TEST(!parse_keep(wrong).has_value(), wrong);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::engine
