#include "src/crashtest/workload.hpp"

#include <boost/test/unit_test.hpp>

namespace firnlog::crashtest {
namespace {

BOOST_AUTO_TEST_SUITE(src)
BOOST_AUTO_TEST_SUITE(crash_workload)

BOOST_AUTO_TEST_CASE(a_command_that_is_refused_is_not_one_that_is_unknown) {
    LeftOut out;
    const auto error = [](const char* text) {
        return Reply{.kind = Reply::Kind::error, .text = text};
    };
    leave_out("HSET", error("ERR unknown command 'HSET'"), out);
    leave_out("SCAN", error("ERR Unknown command `scan`, with args"), out);
    leave_out("INCR", error("NOAUTH Authentication required."), out);
    const std::vector<std::string> unknown{"HSET", "SCAN"};
    BOOST_TEST(out.unknown == unknown, boost::test_tools::per_element());
    BOOST_REQUIRE_EQUAL(out.refused.size(), 1U);
    BOOST_TEST(out.refused.front() == "INCR: NOAUTH Authentication required.");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::crashtest
