// How a person names a moment, and what is no moment.

#include "recovery/moment.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

namespace firnlog::recovery {
namespace {

namespace data = boost::unit_test::data;

constexpr std::int64_t kSecond = 1'000'000;
// 2026-11-26T04:10:00Z
constexpr std::int64_t kNow = 1'795'666'200 * kSecond;

struct Time {
    std::string_view text;
    std::int64_t us;
    friend std::ostream& operator<<(std::ostream& out, const Time& time) {
        return out << time.text;
    }
};

constexpr Time kTimes[] = {
    {"2026-11-26T04:10:00Z", kNow},
    {"2026-11-26t04:10z", kNow},
    {"2026-11-26 04:10:00", kNow},
    {"2026-11-26T05:10:00+01:00", kNow},
    {"2026-11-26T05:10:00+0100", kNow},
    {"2026-11-25T23:10:00-05", kNow},
    {"2026-11-26T04:10:00.25Z", kNow + 250'000},
    {"2026-11-26T04:10:00,000001999Z", kNow + 1},
    {"2026-11-26", kNow - 4 * 3600 * kSecond - 600 * kSecond},
    {"1970-01-01T00:00:01Z", kSecond},
    {"2024-02-29T00:00:00Z", 1'709'164'800 * kSecond},
    {"@1795666200", kNow},
    {"@0", 0},
    {"@1795666200.5", kNow + 500'000},
    {"-5m", kNow - 300 * kSecond},
    {"-90s", kNow - 90 * kSecond},
    {"-1h30m", kNow - 5400 * kSecond},
    {"-250ms", kNow - 250'000},
    {"-1w2d", kNow - 9 * 86400 * kSecond},
    {"-0s", kNow},
};

constexpr std::string_view kNoTimes[] = {
    "",
    "now",
    "5m",
    "-5",
    "-m",
    "-5y",
    "-5m3",
    "-99999999999999999999s",
    "-9000000w",
    "@",
    "@-1",
    "@1.",
    "@1.5x",
    "@99999999999999",
    "2026-11-26T",
    "2026-11-26T04",
    "2026-11-26T24:00:00Z",
    "2026-11-26T04:60:00Z",
    "2026-11-26T04:10:61Z",
    "2026-11-26T04:10:00.Z",
    "2026-11-26T04:10:00Q",
    "2026-11-26T04:10:00Zx",
    "2026-11-26T04:10:00+25:00",
    "2026-11-26T04:10:00+1",
    "2026-11-26T04:10:00+01:60",
    "2026-11-26T04:10:",
    "2026-11-26T04:10:00.-5Z",
    "-8000000w8000000w",
    "2026-13-01",
    "2026-02-29",
    "2026-2-3",
    "26-11-26",
};

std::string wrong_of(std::string_view word, std::string_view value) {
    const auto moment = parse_moment(word, value, kNow);
    return moment ? "" : moment.error();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(moment)

BOOST_DATA_TEST_CASE(a_time_has_many_spellings, data::make(kTimes), time) {
    const auto parsed = parse_time(time.text, kNow);
    BOOST_REQUIRE_MESSAGE(parsed.has_value(), (parsed ? "" : parsed.error()));
    BOOST_TEST(*parsed == time.us);
}

BOOST_DATA_TEST_CASE(what_is_no_time_is_refused, data::make(kNoTimes), text) {
    BOOST_TEST(!parse_time(text, kNow).has_value());
}

BOOST_AUTO_TEST_CASE(a_printed_time_reads_as_itself) {
    BOOST_TEST(text_of_time(kNow) == "2026-11-26T04:10:00.000000Z");
    for (std::int64_t us = 1; us < kNow; us = us * 3 + 1)
        BOOST_TEST(parse_time(text_of_time(us), 0).value() == us);
}

BOOST_AUTO_TEST_CASE(each_word_names_its_kind_of_moment) {
    const auto at = parse_moment("at", "-5m", kNow);
    BOOST_REQUIRE(at.has_value());
    BOOST_TEST((at->what == Moment::What::at));
    BOOST_TEST(at->us == kNow - 300 * kSecond);
    BOOST_TEST((parse_moment("BEFORE", "@1", kNow)->what == Moment::What::before));
    const auto lsn = parse_moment("Lsn", "3:4711", kNow);
    BOOST_REQUIRE(lsn.has_value());
    BOOST_TEST(lsn->lsn.value == 4711U);
    BOOST_TEST(lsn->timeline.value() == 3U);
    BOOST_TEST(!parse_moment("LSN", "4711", kNow)->timeline.has_value());
    BOOST_TEST(parse_moment("mark", "before the sale", kNow)->mark == "before the sale");
}

BOOST_AUTO_TEST_CASE(what_is_no_moment_is_refused_with_what_one_is) {
    BOOST_TEST(wrong_of("SINCE", "1") ==
               "a moment is AT time, BEFORE time, LSN number or MARK name");
    BOOST_TEST(wrong_of("AT", "noon").find("a time is like") == 0U);
    for (const char* value : {"", "x", "1:", ":1", "0:1", "1:2:3", "4294967296:1", "-1", "1 "})
        BOOST_TEST(wrong_of("LSN", value) != "", value);
    BOOST_TEST(wrong_of("MARK", "") != "");
    BOOST_TEST(wrong_of("MARK", std::string(256, 'x')) != "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
