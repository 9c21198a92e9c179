// The note of the last trial: what was written is what is read, and anything else is nothing.

#include "src/verified.hpp"

#include <boost/test/unit_test.hpp>
#include <vector>

#include "tests/sim/world.hpp"

namespace firnlog::server {
namespace {

const Verified kMonday{.name = "monday",
                       .timeline = 3,
                       .lsn = {88120392},
                       .commit_us = 1795666200'500000,
                       .keys = 1200044,
                       .digest = "6c2a",
                       .took_us = 5203000,
                       .us = 1795666300'000000};

std::vector<std::byte> content_of(io::Files& files) {
    const auto fd = files.open(kVerifiedFile, io::Open::read);
    BOOST_REQUIRE(fd.has_value());
    std::vector<std::byte> bytes(files.size(*fd).value());
    BOOST_REQUIRE(files.read(*fd, 0, bytes).value() == bytes.size());
    files.close(*fd);
    return bytes;
}

void replace(io::Files& files, Bytes bytes) {
    BOOST_REQUIRE(files.unlink(kVerifiedFile).has_value());
    const auto fd = files.open(kVerifiedFile, io::Open::create);
    BOOST_REQUIRE(fd.has_value());
    BOOST_REQUIRE(files.write(*fd, 0, bytes).has_value());
    files.close(*fd);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(verified)

BOOST_AUTO_TEST_CASE(a_note_is_read_as_it_was_written_and_the_next_takes_its_place) {
    sim::World world{{.seed = 1}};
    BOOST_TEST(!read_verified(world.files()).has_value());
    BOOST_REQUIRE(write_verified(world.files(), kMonday).has_value());
    BOOST_TEST((read_verified(world.files()) == kMonday));
    auto tuesday = kMonday;
    tuesday.name = "tuesday";
    tuesday.keys = 0;
    BOOST_REQUIRE(write_verified(world.files(), tuesday).has_value());
    BOOST_TEST((read_verified(world.files()) == tuesday));
}

BOOST_AUTO_TEST_CASE(one_that_is_damaged_anywhere_or_cut_short_is_none) {
    sim::World world{{.seed = 2}};
    BOOST_REQUIRE(write_verified(world.files(), kMonday).has_value());
    const auto whole = content_of(world.files());
    for (std::size_t at = 0; at < whole.size(); ++at)
        for (const auto bit : {0x01, 0x10, 0x40}) {
            auto damaged = whole;
            damaged[at] ^= static_cast<std::byte>(bit);
            replace(world.files(), damaged);
            BOOST_TEST(!read_verified(world.files()).has_value(), "byte " << at << " bit " << bit);
        }
    for (std::size_t size = 0; size < whole.size(); ++size) {
        replace(world.files(), Bytes(whole).first(size));
        BOOST_TEST(!read_verified(world.files()).has_value(), "the first " << size << " bytes");
    }
    replace(world.files(), std::vector<std::byte>(1 << 20, std::byte{'a'}));
    BOOST_TEST(!read_verified(world.files()).has_value());
    replace(world.files(), whole);
    BOOST_TEST((read_verified(world.files()) == kMonday));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::server
