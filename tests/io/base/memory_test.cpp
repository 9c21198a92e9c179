// What was set aside is given up to the allocation that fails, once, and set aside again. That a
// server lives through it: tests/e2e/test_memory.py.

#include "io/base/memory.hpp"

#include <sys/mman.h>

#include <boost/test/unit_test.hpp>
#include <new>

namespace firnlog {
namespace {

constexpr std::size_t kAside = std::size_t{1} << 20;
constexpr std::size_t kMoreThanThereIs = std::size_t{1} << 60;

struct Aside {
    Aside() { set_memory_aside(kAside); }
    ~Aside() { std::set_new_handler(nullptr); }
    Aside(const Aside&) = delete;
    Aside& operator=(const Aside&) = delete;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(memory)

BOOST_FIXTURE_TEST_CASE(nothing_is_short_while_allocations_succeed, Aside) {
    auto* const at = map_memory(kAside);
    BOOST_REQUIRE(at != nullptr);
    BOOST_TEST(static_cast<char*>(at)[kAside - 1] == 0);
    ::munmap(at, kAside);
    BOOST_TEST(!short_of_memory());
}

BOOST_FIXTURE_TEST_CASE(what_fails_for_good_is_told_and_takes_what_lay_aside, Aside) {
    BOOST_TEST(map_memory(kMoreThanThereIs) == nullptr);
    BOOST_TEST(short_of_memory());
    BOOST_TEST(map_memory(kMoreThanThereIs) == nullptr);
    BOOST_TEST(set_aside_again());
    BOOST_TEST(!short_of_memory());
    BOOST_TEST(set_aside_again());
}

BOOST_FIXTURE_TEST_CASE(operator_new_is_tried_again_once, Aside) {
    const auto handler = std::get_new_handler();
    BOOST_REQUIRE(handler != nullptr);
    BOOST_CHECK_NO_THROW(handler());
    BOOST_TEST(short_of_memory());
    BOOST_CHECK_THROW(handler(), std::bad_alloc);
    BOOST_TEST(set_aside_again());
    BOOST_CHECK_NO_THROW(handler());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog
