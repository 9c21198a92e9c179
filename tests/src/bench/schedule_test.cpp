#include "src/bench/schedule.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <set>

namespace firnlog::bench {
BOOST_AUTO_TEST_SUITE(bench_schedule)

BOOST_AUTO_TEST_CASE(requests_are_evenly_apart_and_never_drift) {
    const Schedule schedule(3000, 1'000'000'000);
    BOOST_TEST(schedule.at(0) == 1'000'000'000U);
    BOOST_TEST(schedule.at(3) == 1'001'000'000U);
    BOOST_TEST(schedule.at(1) == 1'000'333'333U);
    // After ten days of three thousand a second still to the nanosecond.
    constexpr std::uint64_t kTenDays = 10ULL * 24 * 3600;
    BOOST_TEST(schedule.at(kTenDays * 3000) == 1'000'000'000U + kTenDays * 1'000'000'000U);
}

BOOST_AUTO_TEST_CASE(what_is_due_before_a_time_is_what_leaves_before_it) {
    for (const double rate : {1.0, 7.0, 3000.0, 999'983.0}) {
        const Schedule schedule(rate, 500);
        for (const std::uint64_t end :
             {500ULL, 501ULL, 1'000'000ULL, 1'000'000'500ULL, 12'345'678'901ULL}) {
            const auto count = schedule.count_before(end);
            if (count > 0) BOOST_TEST(schedule.at(count - 1) < end);
            BOOST_TEST(schedule.at(count) >= end);
        }
        BOOST_TEST(schedule.count_before(0) == 0U);
    }
}

BOOST_DATA_TEST_CASE(threads_share_the_schedule_each_request_once_and_in_order,
                     boost::unit_test::data::make({1, 2, 3, 7}) *
                         boost::unit_test::data::make({7, 8, 50}),
                     threads, connections) {
    const auto turns = static_cast<std::uint64_t>(threads);
    const auto all = static_cast<std::uint64_t>(connections);
    std::set<std::uint64_t> seen;
    const auto wanted = all * 5;
    for (std::uint64_t turn = 0; turn < turns; ++turn) {
        ThreadSchedule upcoming(turn, turns, all);
        std::uint64_t before = 0;
        for (bool first = true; upcoming.next().number < wanted; first = false) {
            const auto [local, number] = upcoming.next();
            // Of connection number mod connections, which is this thread's.
            BOOST_TEST(number % all == turn + turns * local);
            BOOST_TEST((first || number > before));
            BOOST_TEST(seen.insert(number).second);
            before = number;
            upcoming.advance();
        }
    }
    BOOST_TEST(seen.size() == wanted);
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace firnlog::bench
