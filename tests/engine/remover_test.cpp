#include "engine/remover.hpp"

#include <boost/test/unit_test.hpp>
#include <span>
#include <string>

#include "tests/sim/world.hpp"

namespace firnlog::engine {

BOOST_AUTO_TEST_SUITE(remover)

namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

struct Room {
    sim::World world{{.seed = 1}};
    Remover remover{world.files(), world.clock()};
    std::uint64_t empty = 0;

    Room() {
        world.disk().capacity(64 * kMiB);
        empty = free();
    }
    void put(const std::string& name, std::uint64_t bytes) {
        const auto fd = world.files().open(name, io::Open::create);
        BOOST_REQUIRE(fd.has_value());
        const std::string text(bytes, 'x');
        BOOST_REQUIRE(world.files().write(*fd, 0, as_bytes(text)).has_value());
        BOOST_REQUIRE(world.files().sync(*fd).has_value());
        world.files().close(*fd);
    }
    std::uint64_t free() { return *world.files().free_bytes(); }
    std::uint64_t taken() { return empty - free(); }
    // Until nothing is left to give back.
    void steps() {
        for (int i = 0; i < 1000 && remover.bytes() != 0; ++i) {
            world.clock().advance(10'000);
            (void)remover.step();
        }
    }
    std::string read(int fd) {
        std::string text(*world.files().size(fd), '\0');
        BOOST_REQUIRE(
            world.files().read(fd, 0, std::as_writable_bytes(std::span(text))).has_value());
        return text;
    }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(the_name_goes_at_once_and_the_blocks_a_mib_at_a_time, Room) {
    put("file", 8 * kMiB);
    BOOST_REQUIRE(remover.remove("file").has_value());
    BOOST_TEST(!world.disk().has("file"));
    for (auto left = taken(); left != 0;) {
        BOOST_REQUIRE(remover.step());
        BOOST_TEST(taken() < left);
        BOOST_TEST(taken() + kMiB >= left);
        left = taken();
        world.clock().advance(4'000);
    }
    BOOST_TEST(!remover.step());
    BOOST_TEST(remover.bytes() == 0U);
}

BOOST_FIXTURE_TEST_CASE(between_two_pieces_there_is_a_pause, Room) {
    put("file", 8 * kMiB);
    BOOST_REQUIRE(remover.remove("file").has_value());
    BOOST_TEST(remover.step());
    BOOST_TEST(!remover.step());
    BOOST_TEST(taken() == 7 * kMiB);
    // Who has no time for it for a while makes up for some of that.
    world.clock().advance(1'000'000);
    BOOST_TEST(remover.step());
    BOOST_TEST(taken() == 3 * kMiB);
}

// A backup links what the store then lets go of.
BOOST_FIXTURE_TEST_CASE(a_file_that_has_another_name_stays_whole, Room) {
    put("file", 3 * kMiB);
    BOOST_REQUIRE(world.files().link("file", "other").has_value());
    BOOST_REQUIRE(remover.remove("file").has_value());
    steps();
    BOOST_TEST(remover.bytes() == 0U);
    BOOST_TEST((world.disk().content("other") == std::string(3 * kMiB, 'x')));
}

BOOST_FIXTURE_TEST_CASE(who_has_it_open_reads_it_whole, Room) {
    put("file", 3 * kMiB);
    const auto reader = world.files().open("file", io::Open::read);
    BOOST_REQUIRE(remover.remove("file").has_value());
    steps();
    BOOST_TEST(remover.bytes() == 0U);
    BOOST_TEST((read(*reader) == std::string(3 * kMiB, 'x')));
    BOOST_TEST(taken() == 3 * kMiB);
    world.files().close(*reader);
    BOOST_TEST(taken() == 0U);
}

BOOST_FIXTURE_TEST_CASE(one_that_somebody_has_open_holds_up_no_other, Room) {
    put("held", 2 * kMiB);
    put("file", 2 * kMiB);
    const auto reader = world.files().open("held", io::Open::read);
    BOOST_REQUIRE(remover.remove("held").has_value());
    BOOST_REQUIRE(remover.remove("file").has_value());
    for (int i = 0; i < 8; ++i) {
        world.clock().advance(10'000);
        (void)remover.step();
    }
    BOOST_TEST(taken() == 2 * kMiB);
    BOOST_TEST(read(*reader).size() == 2 * kMiB);
    world.files().close(*reader);
    steps();
    BOOST_TEST(taken() == 0U);
}

BOOST_FIXTURE_TEST_CASE(in_a_hurry_all_of_it_goes, Room) {
    put("file", 8 * kMiB);
    BOOST_REQUIRE(remover.remove("file").has_value());
    remover.hurry();
    BOOST_TEST(taken() == 0U);
    BOOST_TEST(remover.bytes() == 0U);
}

BOOST_FIXTURE_TEST_CASE(a_file_that_is_not_there_is_told, Room) {
    const auto gone = remover.remove("file");
    BOOST_TEST(!gone.has_value());
    BOOST_TEST((gone.error().code == Code::missing));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::engine
