#include "src/crashtest/options.hpp"

#include <boost/test/unit_test.hpp>

namespace firnlog::crashtest {
namespace {

std::string wrong_with(std::vector<std::string> more) {
    std::vector<std::string> words{"--start", "s {port} {dir}", "--mode", "always"};
    words.insert(words.end(), more.begin(), more.end());
    Options options;
    return parse_options(std::move(words), options).value_or("");
}

BOOST_AUTO_TEST_SUITE(src)
BOOST_AUTO_TEST_SUITE(crash_options)

BOOST_AUTO_TEST_CASE(a_disk_that_lies_is_for_power_cuts_alone) {
    BOOST_TEST(wrong_with({"--fault", "lying", "--kill", "power"}).empty());
    for (const auto& words :
         {std::vector<std::string>{"--fault", "lying"}, {"--fault", "lying", "--kill", "sigkill"}})
        BOOST_TEST(wrong_with(words).find("needs --kill power") != std::string::npos);
    BOOST_TEST(wrong_with({"--fault", "slow-flush"}).empty());
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::crashtest
