#include "src/crashtest/evidence.hpp"

#include <boost/test/unit_test.hpp>

namespace firnlog::crashtest {
namespace {

BOOST_AUTO_TEST_SUITE(src)
BOOST_AUTO_TEST_SUITE(crash_evidence)

BOOST_AUTO_TEST_CASE(what_the_disk_had_stands_behind_the_kill_and_before_what_came_back) {
    std::vector<Moment> timeline{{10, "write 1 (SET) sent", "write 1", "mark1"},
                                 {12, "write 1 (SET) acknowledged"},
                                 {14, "write 2 (DEL) sent"},
                                 {90, "came back"}};
    add_moments(timeline, {{11, "the disk: eio data"}, {60, "behind the cut"}});
    add_evidence(timeline, 50, [](const auto& mark) { return "where " + mark + " is"; });
    std::vector<std::string> told;
    for (const auto& moment : timeline) told.push_back(moment.what);
    const std::vector<std::string> expected{
        "write 1 (SET) sent", "the disk: eio data",      "write 1 (SET) acknowledged",
        "write 2 (DEL) sent", "write 1: where mark1 is", "behind the cut",
        "came back"};
    BOOST_TEST(told == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::crashtest
