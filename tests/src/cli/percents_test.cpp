// What is said of something that takes long, on a terminal and where there is none.

#include "src/cli/percents.hpp"

#include <boost/test/unit_test.hpp>
#include <optional>
#include <string>

#include "tests/sim/world.hpp"

namespace firnlog::server::cli {
namespace {

struct Told {
    sim::World world{{.seed = 1}};
    std::string text;
    std::optional<Percents> percents;

    explicit Told(bool terminal) {
        percents.emplace(
            "restore", "reading values", world.clock(),
            Percents::Screen{.terminal = terminal,
                             .write = [this](std::string_view said) { text += said; }});
    }
    std::string next() { return std::exchange(text, {}); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(percents)

BOOST_AUTO_TEST_CASE(without_a_terminal_there_is_a_line_now_and_then_and_none_of_what_is_quick) {
    Told told(false);
    told.percents->tell(0, 1000);
    told.world.pass(Percents::kEveryUs - 1);
    told.percents->tell(400, 1000);
    BOOST_TEST(told.next() == "");
    told.world.pass(1);
    told.percents->tell(409, 1000);
    BOOST_TEST(told.next() == "firnlog restore: reading values: 40 percent\n");
    told.percents->tell(500, 1000);
    BOOST_TEST(told.next() == "");
    told.world.pass(Percents::kEveryUs);
    // What is not known in advance may be more than that.
    told.percents->tell(1200, 1000);
    BOOST_TEST(told.next() == "firnlog restore: reading values: 100 percent\n");
    told.world.pass(Percents::kEveryUs);
    told.percents->tell(0, 0);
    told.percents.reset();
    BOOST_TEST(told.next() == "");
}

BOOST_AUTO_TEST_CASE(on_a_terminal_one_line_is_written_over_and_gone_in_the_end) {
    Told told(true);
    told.percents->tell(0, 1000);
    BOOST_TEST(told.next() == "\rreading values: 0 percent ");
    told.percents->tell(9, 1000);
    BOOST_TEST(told.next() == "");
    told.percents->tell(10, 1000);
    BOOST_TEST(told.next() == "\rreading values: 1 percent ");
    told.percents.reset();
    BOOST_TEST(told.next() == "\r" + std::string(40, ' ') + "\r");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::server::cli
