#include "src/bench/comparison.hpp"

#include <boost/test/unit_test.hpp>
#include <vector>

#include "src/bench/events.hpp"
#include "src/bench/screen.hpp"
#include "src/bench/windows.hpp"

namespace firnlog::bench {
namespace {

using Verdict = Ratio::Verdict;

Ratio ratio(bool more_is_better, const std::vector<double>& one, const std::vector<double>& other) {
    return ratio_of("figure", more_is_better, one, other);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bench_comparison)

BOOST_AUTO_TEST_CASE(ratios_are_taken_slice_by_slice) {
    const auto told = ratio(true, {2, 6, 12}, {1, 2, 3});
    BOOST_TEST((told.slices == std::vector<double>{2, 3, 4}));
    BOOST_TEST(told.median == 3);
    BOOST_TEST(told.least == 2);
    BOOST_TEST(told.most == 4);
    BOOST_TEST(ratio(true, {2, 6, 12, 5}, {1, 2, 3, 1}).median == 3.5);
    // What is unknown on one side is left out.
    BOOST_TEST(ratio(true, {2, 6}, {0, 2}).slices.size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_verdict_needs_six_slices_that_all_say_the_same) {
    const std::vector<double> ones(6, 1);
    BOOST_TEST((ratio(true, {2, 2, 2, 2, 2, 1.01}, ones).verdict == Verdict::better));
    BOOST_TEST((ratio(false, {2, 2, 2, 2, 2, 1.01}, ones).verdict == Verdict::worse));
    BOOST_TEST((ratio(true, {.5, .5, .5, .5, .5, .99}, ones).verdict == Verdict::worse));
    BOOST_TEST((ratio(false, {.5, .5, .5, .5, .5, .99}, ones).verdict == Verdict::better));
    // One slice that says otherwise, or nothing, takes it back, however far the others go.
    BOOST_TEST((ratio(true, {9, 9, 9, 9, 9, .99}, ones).verdict == Verdict::none));
    BOOST_TEST((ratio(true, {9, 9, 9, 9, 9, 1}, ones).verdict == Verdict::none));
    BOOST_TEST((ratio(true, {9, 9, 9, 9, 9, 0}, ones).verdict == Verdict::none));
    BOOST_TEST((ratio(true, {9, 9, 9, 9, 9}, ones).verdict == Verdict::none));
}

BOOST_AUTO_TEST_CASE(a_request_is_inside_a_window_if_any_part_of_it_is) {
    Windows windows(1);
    BOOST_TEST(!windows.touches(0, 0, Windows::kNever - 1));
    windows.begin(0, 100);
    BOOST_TEST(!windows.touches(0, 10, 99));
    BOOST_TEST(windows.touches(0, 10, 100));
    BOOST_TEST(windows.touches(0, 500, 600));  // it is not over
    windows.end(0, 200);
    BOOST_TEST(windows.touches(0, 10, 1000));
    BOOST_TEST(windows.touches(0, 200, 300));
    BOOST_TEST(!windows.touches(0, 201, 300));
}

BOOST_AUTO_TEST_CASE(events_are_commands_with_their_times) {
    const auto events =
        parse_events("BGREWRITEAOF@20s; BGSAVE@1500ms;FIRN BACKUP START \"a b\"@30;");
    BOOST_REQUIRE(events.has_value());
    BOOST_REQUIRE_EQUAL(events->size(), 3U);
    BOOST_TEST((*events)[0].text == "BGSAVE");
    BOOST_TEST((*events)[0].at_ns == 1'500'000'000U);
    BOOST_TEST((*events)[1].at_ns == 20'000'000'000U);
    BOOST_TEST(((*events)[2].words == std::vector<std::string>{"FIRN", "BACKUP", "START", "a b"}));
    for (const auto* text : {"", ";", "BGSAVE", "BGSAVE@", "@5s", "BGSAVE@soon", "GET \"a@5s"})
        BOOST_TEST(!parse_events(text).has_value(), text);
}

BOOST_AUTO_TEST_CASE(what_is_in_progress_or_waits_for_it_is_read_from_info) {
    using Names = std::vector<std::string>;
    BOOST_TEST(
        in_progress("# Persistence\r\nrdb_bgsave_in_progress:0\r\naof_rewrite_scheduled:0\r\n"
                    "rdb_last_save_time:1764098000\r\n")
            .empty());
    BOOST_TEST((in_progress("rdb_bgsave_in_progress:1\r\naof_rewrite_in_progress:0\r\n"
                            "aof_rewrite_scheduled:1\r\n") ==
                Names{"rdb_bgsave_in_progress", "aof_rewrite_scheduled"}));
    BOOST_TEST((in_progress("backup_in_progress:12\n") == Names{"backup_in_progress"}));
    BOOST_TEST(in_progress("rdb_bgsave_in_progress:\r\nnonsense\r\n").empty());
}

BOOST_AUTO_TEST_CASE(a_sparkline_is_scaled_by_its_largest_value) {
    BOOST_TEST(sparkline(std::vector<double>{8, 1, 0, 4}) == "█▂ ▅");
    BOOST_TEST(sparkline(std::vector<double>{0, 0}) == "  ");
    BOOST_TEST(sparkline({}) == "");
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace firnlog::bench
