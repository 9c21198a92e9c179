#include "src/bench/run.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <iterator>
#include <vector>

namespace firnlog::bench {
namespace {

// A second of one command, of which each request took `latency_ns`, `late_ns` of them our own.
Run second(std::uint64_t requests, std::uint64_t latency_ns, std::uint64_t late_ns) {
    Run run;
    run.plan.rate = static_cast<double>(requests);
    run.plan.slot_ns = 100'000'000;
    LoadOutcome& outcome = run.outcome;
    outcome.operations.push_back({.name = "GET"});
    outcome.operations[0].latency.record(latency_ns, requests);
    outcome.all.record(latency_ns, requests);
    outcome.lateness.record(late_ns, requests);
    outcome.seconds = 1;
    outcome.answered = requests;
    outcome.busy = {0.5};
    // The last reply came behind the end.
    for (const std::uint64_t number : {0U, 9U, 10U})
        outcome.slots.push_back(
            {.number = number, .by_operation = std::vector<Sparse>(1), .errors = {0}});
    run.figures =
        ServerFigures{.cpu_cores = 0.25, .written_bytes_per_s = 100, .written_bytes = 100};
    run.slices = {slice_of(run)};
    return run;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bench_run)

BOOST_AUTO_TEST_CASE(slices_add_up_and_stand_one_after_the_other) {
    auto run = second(1000, 50'000, 1000);
    auto next = second(3000, 150'000, 1000);
    next.outcome.operations[0].errors = 2;
    next.outcome.operations[0].first_error = "ERR no";
    next.outcome.busy = {0.75};
    append(run, std::move(next));
    const auto& outcome = run.outcome;
    BOOST_TEST(outcome.seconds == 2);
    BOOST_TEST(outcome.answered == 4000U);
    BOOST_TEST(outcome.rate() == 2000);
    BOOST_TEST(outcome.all.count() == 4000U);
    BOOST_TEST(outcome.all.percentile(20) < 60'000U);
    BOOST_TEST(outcome.all.percentile(50) >= 150'000U);
    BOOST_TEST(outcome.operations[0].latency.count() == 4000U);
    BOOST_TEST(outcome.errors() == 2U);
    BOOST_TEST(outcome.operations[0].first_error == "ERR no");
    BOOST_TEST(outcome.busy[0] == 0.75);
    BOOST_TEST(run.slices.size() == 2U);
    // The second begins where the first ended.
    std::vector<std::uint64_t> numbers;
    std::ranges::transform(outcome.slots, std::back_inserter(numbers), &Slot::number);
    BOOST_TEST(numbers == (std::vector<std::uint64_t>{0, 9, 9, 10, 19, 20}),
               boost::test_tools::per_element());
    // Half a core second for 4000 requests.
    BOOST_REQUIRE(run.figures.has_value());
    BOOST_TEST(run.figures->cpu_us_per_request == 125);
    BOOST_TEST(run.figures->written_bytes == 200U);
    BOOST_TEST(run.figures->written_bytes_per_s == 100);
}

BOOST_AUTO_TEST_CASE(events_of_a_later_slice_stand_at_its_place) {
    const auto with_event = [] {
        auto run = second(1000, 50'000, 1000);
        run.events.push_back({.text = "BGSAVE", .fired = true, .begin_ns = 300, .end_ns = 500});
        run.outcome.inside.resize(1);
        run.outcome.inside[0].record(50'000, 10);
        run.outcome.outside.record(50'000, 990);
        return run;
    };
    auto run = with_event();
    append(run, with_event());
    BOOST_REQUIRE_EQUAL(run.events.size(), 2U);
    BOOST_TEST(run.events[0].begin_ns == 300U);
    BOOST_TEST(run.events[1].begin_ns == 1'000'000'300U);
    BOOST_TEST(run.events[1].end_ns == 1'000'000'500U);
    BOOST_REQUIRE_EQUAL(run.outcome.inside.size(), 2U);
    BOOST_TEST(run.outcome.inside[1].count() == 10U);
    BOOST_TEST(run.outcome.outside.count() == 1980U);
}

BOOST_AUTO_TEST_CASE(figures_of_a_server_that_are_unknown_for_one_slice_are_so_for_all) {
    auto run = second(1000, 50'000, 1000);
    auto next = second(1000, 50'000, 1000);
    next.figures.reset();
    append(run, std::move(next));
    BOOST_TEST(!run.figures.has_value());
}

BOOST_AUTO_TEST_CASE(what_a_slice_did_not_measure_it_does_not_tell) {
    BOOST_TEST(slice_of(second(1000, 50'000, 1000)).p99_ns >= 50'000U);
    BOOST_TEST(slice_of(second(1000, 50'000, 40'000)).p99_ns == 0U);
    auto closed = second(1000, 50'000, 40'000);
    closed.plan.rate = 0;  // no schedule, no lateness
    BOOST_TEST(slice_of(closed).p50_ns >= 50'000U);
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace firnlog::bench
