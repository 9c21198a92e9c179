// A turn is short whatever a flush releases: who reads does not wait until all who wrote together
// have their replies.

#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "tests/sim/replay.hpp"
#include "tests/src/second_server.hpp"

namespace firnlog::server::test {

BOOST_AUTO_TEST_SUITE(turn)

BOOST_AUTO_TEST_CASE(replies_that_a_flush_has_released_go_in_several) {
    sim::World world{{.seed = seed_or(11)}};
    SecondServer server(world);
    constexpr std::size_t kWriters = 400;
    std::vector<Caller> writers;
    writers.reserve(kWriters);
    for (std::size_t i = 0; i < kWriters; ++i) writers.push_back(server.connect());
    for (auto& writer : writers) BOOST_TEST(writer.ask("PING") == "+PONG\r\n");
    std::vector<bool> answered(kWriters, false);
    const auto take_answers = [&] {
        std::size_t now = 0;
        for (std::size_t i = 0; i < kWriters; ++i)
            if (!answered[i] && writers[i].taken() == "+OK\r\n") {
                answered[i] = true;
                ++now;
            }
        return now;
    };
    for (std::size_t i = 0; i < kWriters; ++i)
        writers[i].send("SET key" + std::to_string(i) + " v");
    world.pass(10'000);
    // A step is a turn, and what was sent in it arrives. Nobody sends anything for the rest to go.
    std::size_t all = 0;
    std::size_t most = 0;
    BOOST_TEST(server.until([&] {
        const auto now = take_answers();
        most = std::max(most, now);
        return (all += now) == kWriters;
    }));
    BOOST_TEST(most <= kWriters / 4);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::server::test
