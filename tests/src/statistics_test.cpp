#include "src/statistics.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <string>

#include "src/latency.hpp"
#include "src/rates.hpp"

namespace firnlog::server {
namespace {

BOOST_AUTO_TEST_SUITE(statistics)

BOOST_AUTO_TEST_CASE(every_duration_lies_in_the_bucket_that_ends_at_or_after_it) {
    const auto check = [](std::uint64_t us) {
        const auto bucket = CommandStatistics::bucket_of(us);
        BOOST_TEST(CommandStatistics::bucket_end_us(bucket) >= us);
        if (bucket > 0) BOOST_TEST(CommandStatistics::bucket_end_us(bucket - 1) < us);
    };
    for (std::uint64_t us = 0; us < 5000; ++us) check(us);
    for (std::uint64_t us = 5000; us < (std::uint64_t{1} << 39); us += us / 7) check(us);
}

BOOST_AUTO_TEST_CASE(a_bucket_is_at_most_a_quarter_wide) {
    for (std::size_t bucket = 5; bucket < 150; ++bucket) {
        const auto end = CommandStatistics::bucket_end_us(bucket);
        const auto before = CommandStatistics::bucket_end_us(bucket - 1);
        BOOST_TEST(end > before);
        BOOST_TEST(static_cast<double>(end) <= 1.25 * static_cast<double>(before + 1));
    }
}

BOOST_AUTO_TEST_CASE(what_takes_for_ever_lies_in_the_last_bucket) {
    BOOST_TEST(CommandStatistics::bucket_of(UINT64_MAX) == 159U);
}

BOOST_AUTO_TEST_CASE(a_rate_is_that_of_the_last_sixteen_samples) {
    Rates rates;
    BOOST_TEST(rates.per_second().commands == 0);
    for (std::int64_t i = 0; i < 100; ++i) {
        const auto count = static_cast<std::uint64_t>(i < 50 ? 1000 * i : 50'000 + 10 * (i - 50));
        rates.sample(i * 100'000, {.commands = count, .bytes_in = 2 * count, .bytes_out = 0});
    }
    BOOST_TEST(rates.per_second().commands == 100, boost::test_tools::tolerance(1e-9));
    BOOST_TEST(rates.per_second().bytes_in == 200, boost::test_tools::tolerance(1e-9));
    // CONFIG RESETSTAT set the totals back.
    rates.sample(100 * 100'000, {});
    BOOST_TEST(rates.per_second().commands == 0);
}

class HandClock : public io::Clock {
  public:
    std::int64_t seconds = 1000;
    [[nodiscard]] io::MonoTime mono() const noexcept override { return {seconds * 1'000'000}; }
    [[nodiscard]] io::WallTime wall() const noexcept override { return {seconds * 1'000'000}; }
    [[nodiscard]] io::MonoTime boot() const noexcept override { return mono(); }
    void entropy(std::span<std::byte>) noexcept override {}
};

BOOST_AUTO_TEST_CASE(a_latency_event_keeps_the_worst_of_each_second) {
    HandClock clock;
    LatencyMonitor latency(clock);
    latency.note("command", 30);
    latency.note("command", 50);
    latency.note("command", 40);
    ++clock.seconds;
    latency.note("command", 20);
    latency.note("fork", 1);
    const auto event = latency.event("command");
    BOOST_REQUIRE(event.samples.size() == 2);
    BOOST_TEST(event.samples[0].ms == 50);
    BOOST_TEST(event.samples[1].ms == 20);
    BOOST_TEST(event.max_ms == 50);
    BOOST_TEST(latency.events().size() == 2);
    BOOST_TEST(latency.reset("command"));
    BOOST_TEST(!latency.reset("command"));
    BOOST_TEST(latency.event("command").samples.empty());
    BOOST_TEST(latency.reset_all() == 1);
}

BOOST_AUTO_TEST_CASE(a_latency_event_keeps_its_last_160_samples) {
    HandClock clock;
    LatencyMonitor latency(clock);
    for (int i = 0; i < 500; ++i) {
        ++clock.seconds;
        latency.note("command", i);
    }
    const auto event = latency.event("command");
    BOOST_REQUIRE(event.samples.size() == 160);
    BOOST_TEST(event.samples.front().ms == 340);
    BOOST_TEST(event.samples.back().ms == 499);
    const auto graph = latency_graph(event, clock.seconds);
    BOOST_TEST(graph.starts_with("command - high 499 ms, low 420 ms (all time high 499 ms)\n"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::server
