#include "io/system_clock.hpp"

#include <array>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <ctime>
#include <thread>

namespace firnlog::io {

BOOST_AUTO_TEST_SUITE(system_clock)

BOOST_AUTO_TEST_CASE(time_goes_on_by_the_monotonic_and_the_boot_clock) {
    SystemClock clock;
    const auto mono = clock.mono();
    const auto boot = clock.boot();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    BOOST_TEST((clock.mono() >= mono.after(2000)));
    BOOST_TEST((clock.boot() >= boot.after(2000)));
    BOOST_TEST((clock.mono() < mono.after(60'000'000)));
}

BOOST_AUTO_TEST_CASE(the_wall_clock_is_the_systems_in_microseconds) {
    SystemClock clock;
    const auto before = static_cast<std::int64_t>(::time(nullptr));
    const auto now = clock.wall();
    const auto behind = static_cast<std::int64_t>(::time(nullptr));
    // time() may lag by a tick.
    BOOST_TEST((now.us / 1'000'000 >= before && now.us / 1'000'000 <= behind + 1));
    BOOST_TEST(now.ms() == now.us / 1000);
}

BOOST_AUTO_TEST_CASE(entropy_fills_everything_and_never_twice_alike) {
    SystemClock clock;
    std::array<std::byte, 1000> one{};
    std::array<std::byte, 1000> other{};
    clock.entropy(one);
    clock.entropy(other);
    BOOST_TEST((one != other));
    // 24 zero bytes in a row at the end: once in 2^192.
    BOOST_TEST((std::array<std::byte, 24>{} !=
                std::to_array<std::byte, 24>(
                    *reinterpret_cast<std::byte(*)[24]>(one.data() + one.size() - 24))));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::io
