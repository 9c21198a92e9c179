#include "src/bench/distribution.hpp"

#include <algorithm>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <set>
#include <vector>

#include "tests/environment.hpp"

namespace firnlog::bench {
namespace {

std::vector<std::uint64_t> counts(std::string_view text, std::uint64_t keys, int draws,
                                  std::uint64_t seed) {
    Random random(seed);
    KeyPicker picker(*parse_distribution(text), keys, 0, 1);
    std::vector<std::uint64_t> seen(keys);
    for (int i = 0; i < draws; ++i) ++seen.at(picker.next(random, keys));
    return seen;
}

// How far a count may be off before chance is no excuse: six standard deviations.
bool plausible(std::uint64_t seen, double expected) {
    return std::abs(static_cast<double>(seen) - expected) <= 6 * std::sqrt(expected) + 1;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bench_distribution)

BOOST_AUTO_TEST_CASE(uniform_keys_come_equally_often) {
    const auto seed = fresh_seed();
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) {
        for (const auto seen : counts("uniform", 100, 200'000, seed))
            BOOST_TEST(plausible(seen, 2000));
    }
}

// The k-th most popular key in proportion to k^-θ, below, at and above 1.
BOOST_DATA_TEST_CASE(zipf_keys_come_as_often_as_the_law_says,
                     boost::unit_test::data::make({"0.5", "0.99", "1", "1.5"}), theta) {
    constexpr std::uint64_t kKeys = 1000;
    constexpr int kDraws = 400'000;
    const auto seed = fresh_seed();
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) {
        auto seen = counts("zipf:" + std::string(theta), kKeys, kDraws, seed);
        double all = 0;
        for (std::uint64_t k = 1; k <= kKeys; ++k)
            all += std::pow(static_cast<double>(k), -std::stod(theta));
        // The permutation hides which key is the k-th: the most popular ones stand apart enough.
        std::ranges::sort(seen, std::greater{});
        for (std::uint64_t k = 1; k <= 5; ++k) {
            const double share = std::pow(static_cast<double>(k), -std::stod(theta)) / all;
            BOOST_TEST(plausible(seen[k - 1], share * kDraws),
                       "rank " << k << ": " << seen[k - 1] << " for " << share * kDraws);
        }
        // And the upper half of all ranks together.
        double share = 0;
        for (std::uint64_t k = 1; k <= kKeys / 2; ++k)
            share += std::pow(static_cast<double>(k), -std::stod(theta)) / all;
        std::uint64_t upper = 0;
        Zipf zipf(std::stod(theta), kKeys);
        Random random(seed);
        for (int i = 0; i < kDraws; ++i) upper += zipf.next(random) <= kKeys / 2 ? 1 : 0;
        BOOST_TEST(plausible(upper, share * kDraws));
    }
}

BOOST_AUTO_TEST_CASE(zipf_stays_within_its_keys_and_reaches_the_least_popular) {
    Random random(3);
    for (const std::uint64_t keys : {1ULL, 2ULL, 3ULL, 10ULL}) {
        Zipf zipf(0.99, keys);
        std::set<std::uint64_t> seen;
        for (int i = 0; i < 2000; ++i) seen.insert(zipf.next(random));
        BOOST_TEST(*seen.begin() == 1U);
        BOOST_TEST(*seen.rbegin() == keys);
        BOOST_TEST(seen.size() == keys);
    }
}

BOOST_AUTO_TEST_CASE(popular_keys_do_not_lie_side_by_side) {
    auto seen = counts("zipf:1.2", 10'000, 200'000, 5);
    std::vector<std::uint64_t> keys(seen.size());
    for (std::uint64_t key = 0; key < keys.size(); ++key) keys[key] = key;
    std::ranges::sort(keys, [&](auto one, auto other) { return seen[one] > seen[other]; });
    std::vector<std::uint64_t> top(keys.begin(), keys.begin() + 20);
    std::ranges::sort(top);
    for (std::size_t i = 1; i < top.size(); ++i) BOOST_TEST(top[i] - top[i - 1] > 20U);
}

BOOST_AUTO_TEST_CASE(a_hotspot_gets_its_share) {
    const auto seed = fresh_seed();
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) {
        auto seen = counts("hotspot:1%", 10'000, 400'000, seed);
        std::ranges::sort(seen, std::greater{});
        std::uint64_t hot = 0;
        for (std::size_t i = 0; i < 100; ++i) hot += seen[i];
        BOOST_TEST(plausible(hot, 200'000));
        seen = counts("hotspot:0.2:80%", 100, 400'000, seed);
        std::ranges::sort(seen, std::greater{});
        hot = 0;
        for (std::size_t i = 0; i < 20; ++i) hot += seen[i];
        BOOST_TEST(plausible(hot, 320'000));
    }
    BOOST_TEST(std::ranges::all_of(counts("hotspot:100%", 10, 1000, 1),
                                   [](auto times) { return times > 0; }));
}

BOOST_AUTO_TEST_CASE(sequential_keys_are_all_visited_once_by_all_threads_together) {
    constexpr std::uint64_t kKeys = 1003;
    Random random(1);
    std::vector<int> seen(kKeys);
    for (std::uint64_t turn = 0; turn < 4; ++turn) {
        KeyPicker picker(*parse_distribution("sequential"), kKeys, turn, 4);
        const auto share = kKeys / 4 + (turn < kKeys % 4 ? 1 : 0);
        for (std::uint64_t i = 0; i < share; ++i) ++seen.at(picker.next(random, kKeys));
    }
    BOOST_TEST(std::ranges::count(seen, 1) == static_cast<std::ptrdiff_t>(kKeys));
}

BOOST_AUTO_TEST_CASE(latest_follows_the_newest_key) {
    Random random(1);
    KeyPicker picker(*parse_distribution("latest"), 1000, 0, 1);
    std::uint64_t newest_seen = 0;
    for (int i = 0; i < 10'000; ++i) {
        const auto key = picker.next(random, 5000);
        BOOST_TEST(key < 5000U);
        BOOST_TEST(key >= 4000U);
        newest_seen += key == 4999 ? 1 : 0;
    }
    BOOST_TEST(newest_seen > 1000U);
}

BOOST_AUTO_TEST_CASE(a_seed_repeats_and_another_does_not) {
    BOOST_TEST(counts("zipf:0.99", 100, 1000, 1) == counts("zipf:0.99", 100, 1000, 1));
    BOOST_TEST(counts("zipf:0.99", 100, 1000, 1) != counts("zipf:0.99", 100, 1000, 2));
}

BOOST_AUTO_TEST_CASE(what_is_no_distribution_is_refused) {
    for (const auto* text : {"", "gauss", "zipf:", "zipf:0", "zipf:-1", "zipf:x", "uniform:1",
                             "hotspot", "hotspot:", "hotspot:0%", "hotspot:101%",
                             "hotspot:1%:", "hotspot:1%:0", "sequential:2", "nan"})
        BOOST_TEST(!parse_distribution(text).has_value(), text);
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace firnlog::bench
