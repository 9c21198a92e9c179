#include "src/bench/histogram.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <vector>

#include "src/bench/figures.hpp"
#include "src/bench/random.hpp"
#include "tests/environment.hpp"

namespace firnlog::bench {
BOOST_AUTO_TEST_SUITE(bench_histogram)

BOOST_AUTO_TEST_CASE(every_value_lies_in_its_bucket_which_is_a_thousandth_wide_at_most) {
    const auto check = [](std::uint64_t value) {
        const auto bucket = Histogram::bucket_of(value);
        const auto low = Histogram::low_of(bucket);
        const auto high = Histogram::high_of(bucket);
        BOOST_TEST(bucket < Histogram::kBuckets);
        BOOST_TEST(low <= value);
        BOOST_TEST(value <= high);
        BOOST_TEST(static_cast<double>(high - low) <= 0.001 * static_cast<double>(low));
    };
    for (std::uint64_t value = 1; value < 20'000; ++value) check(value);
    for (unsigned bit = 12; bit < Histogram::kValueBits; ++bit)
        for (const std::int64_t near : {-2, -1, 0, 1, 2})
            check((std::uint64_t{1} << bit) + static_cast<std::uint64_t>(near));
    Random random(fresh_seed());
    for (int i = 0; i < 100'000; ++i) check(1 + (random.next() >> (22 + random.below(40))));
}

BOOST_AUTO_TEST_CASE(buckets_follow_each_other_without_a_gap) {
    for (std::size_t bucket = 0; bucket + 1 < Histogram::kBuckets; ++bucket)
        BOOST_REQUIRE_EQUAL(Histogram::high_of(bucket) + 1, Histogram::low_of(bucket + 1));
    BOOST_TEST(Histogram::high_of(Histogram::kBuckets - 1) == Histogram::kValueMax);
}

BOOST_AUTO_TEST_CASE(percentiles_are_those_of_the_sorted_values_within_a_thousandth) {
    const auto seed = fresh_seed();
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) {
        Random random(seed);
        Histogram histogram;
        std::vector<std::uint64_t> values;
        for (int i = 0; i < 50'000; ++i) {
            // Over six decades, as latencies of a stalling server are.
            const auto value = static_cast<std::uint64_t>(1000 * std::exp(random.unit() * 14));
            values.push_back(value);
            histogram.record(value);
        }
        std::ranges::sort(values);
        for (const double percent : {0.01, 1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
            const auto rank = std::max<std::size_t>(
                1, static_cast<std::size_t>(
                       std::ceil(percent / 100 * static_cast<double>(values.size()) - 1e-9)));
            const auto exact = values[rank - 1];
            const auto told = histogram.percentile(percent);
            BOOST_TEST(told >= exact);
            BOOST_TEST(static_cast<double>(told - exact) <= 0.001 * static_cast<double>(exact));
        }
        BOOST_TEST(histogram.percentile(100) == values.back());
        BOOST_TEST(histogram.count() == values.size());
        double sum = 0;
        for (const auto value : values) sum += static_cast<double>(value);
        const double mean = sum / static_cast<double>(values.size());
        BOOST_TEST(std::abs(histogram.mean() - mean) <= 0.001 * mean);
    }
}

BOOST_AUTO_TEST_CASE(slices_that_were_taken_add_up_to_the_whole) {
    Random random(7);
    Histogram whole;
    Histogram slice;
    Histogram sum;
    for (int i = 1; i <= 10'000; ++i) {
        const auto value = random.next() >> random.below(60);
        whole.record(value);
        slice.record(value);
        if (i % 1000 == 0) sum.add(slice.take());
    }
    BOOST_TEST(slice.count() == 0U);
    BOOST_TEST(slice.take().cells.empty());
    BOOST_TEST(sum.count() == whole.count());
    BOOST_TEST(sum.max() == whole.max());
    for (const double percent : {1.0, 50.0, 99.0, 99.9, 100.0})
        BOOST_TEST(sum.percentile(percent) == whole.percentile(percent));
    Histogram twice = sum;
    twice.add(whole);
    BOOST_TEST(twice.count() == 2 * whole.count());
    BOOST_TEST(twice.percentile(99) == whole.percentile(99));
}

BOOST_AUTO_TEST_CASE(the_largest_value_is_kept_exactly_even_past_the_last_bucket) {
    Histogram histogram;
    histogram.record(5);
    histogram.record(Histogram::kValueMax * 3);
    BOOST_TEST(histogram.max() == Histogram::kValueMax * 3);
    BOOST_TEST(histogram.percentile(100) == Histogram::kValueMax * 3);
    BOOST_TEST(histogram.percentile(50) == 5U);
}

BOOST_AUTO_TEST_CASE(an_empty_histogram_has_no_figures) {
    const Histogram histogram;
    BOOST_TEST(histogram.count() == 0U);
    BOOST_TEST(histogram.percentile(99) == 0U);
    BOOST_TEST(histogram.mean() == 0);
}

BOOST_AUTO_TEST_CASE(a_figure_is_measured_unless_more_than_half_of_it_may_be_our_own_lateness) {
    BOOST_TEST(is_measured(100'000, 0));
    BOOST_TEST(is_measured(100'000, 50'000));
    BOOST_TEST(!is_measured(100'000, 50'001));
    BOOST_TEST(!is_measured(100'000, 100'000));
    BOOST_TEST(is_measured(0, 0));
    BOOST_TEST(as_ms(81'234) == "0.081");
    BOOST_TEST(as_ms(12'345'678) == "12.35");
    BOOST_TEST(as_ms(1'450'400'000) == "1450");
    BOOST_TEST(with_commas(0) == "0");
    BOOST_TEST(with_commas(123) == "123");
    BOOST_TEST(with_commas(1'234'567) == "1,234,567");
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace firnlog::bench
