#include "src/bench/own_time.hpp"

#include <sched.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <filesystem>
#include <thread>

#include "src/bench/time.hpp"

namespace firnlog::bench {
namespace {

constexpr std::uint64_t kMillisecond = 1'000'000;

void stay_on(int core) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(core), &one);
    ::sched_setaffinity(0, sizeof one, &one);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bench_own_time)

BOOST_AUTO_TEST_CASE(sleep_is_not_our_own_time) {
    OwnTime own;
    own.begin();
    const auto before_ns = own.now_ns();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    // A machine that does something else may keep it from waking, not for half the time.
    BOOST_TEST(own.now_ns() - before_ns < 50 * kMillisecond);
}

// Two threads want one core: each has it half of the time, and stands in a queue for the rest.
BOOST_AUTO_TEST_CASE(waiting_for_a_core_is_our_own_time_as_work_is,
                     *boost::unit_test::precondition([](auto) {
                         return std::filesystem::exists("/proc/thread-self/schedstat");
                     })) {
    std::atomic<bool> done{false};
    const int core = ::sched_getcpu();
    std::thread rival([&] {
        stay_on(core);
        while (!done) continue;
    });
    std::uint64_t wall_ns = 0;
    std::uint64_t own_ns = 0;
    std::thread([&] {
        stay_on(core);
        OwnTime own;
        own.begin();
        const auto from_ns = now_ns();
        const auto own_from_ns = own.now_ns();
        while (now_ns() < from_ns + 200 * kMillisecond) continue;
        own_ns = own.now_ns() - own_from_ns;
        wall_ns = now_ns() - from_ns;
    }).join();
    done = true;
    rival.join();
    BOOST_TEST(own_ns > wall_ns * 8 / 10);
    BOOST_TEST(own_ns < wall_ns * 12 / 10);
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace firnlog::bench
