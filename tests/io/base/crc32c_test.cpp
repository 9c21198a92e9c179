#include "io/base/crc32c.hpp"

#include <array>
#include <boost/test/unit_test.hpp>
#include <random>
#include <vector>

#include "tests/environment.hpp"

namespace firnlog::io {

BOOST_AUTO_TEST_SUITE(crc32c_of_bytes)

namespace {

// The definition, bit by bit: the reflected polynomial of Castagnoli.
std::uint32_t slow_crc32c(Bytes bytes, std::uint32_t seed) {
    std::uint32_t crc = ~seed;
    for (const std::byte byte : bytes) {
        crc ^= std::to_integer<std::uint32_t>(byte);
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
    }
    return ~crc;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_known_vectors_of_rfc_3720_come_out) {
    BOOST_TEST(crc32c(as_bytes("123456789")) == 0xe3069283U);
    BOOST_TEST(crc32c(as_bytes("")) == 0U);
    std::array<std::byte, 32> bytes{};
    BOOST_TEST(crc32c(bytes) == 0x8a9136aaU);
    bytes.fill(std::byte{0xff});
    BOOST_TEST(crc32c(bytes) == 0x62a8ab43U);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
    BOOST_TEST(crc32c(bytes) == 0x46dd794eU);
}

BOOST_AUTO_TEST_CASE(a_crc_is_the_definitions_and_can_be_continued_at_any_byte) {
    const auto seed = fresh_seed();
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) {
        std::mt19937_64 random(seed);
        for (int i = 0; i < 500; ++i) {
            std::vector<std::byte> bytes(random() % 700);
            for (auto& byte : bytes) byte = static_cast<std::byte>(random());
            const auto start = static_cast<std::uint32_t>(random());
            const auto whole = crc32c(bytes, start);
            BOOST_REQUIRE_EQUAL(whole, slow_crc32c(bytes, start));
            const auto cut = random() % (bytes.size() + 1);
            const Bytes all(bytes);
            BOOST_REQUIRE_EQUAL(crc32c(all.subspan(cut), crc32c(all.first(cut), start)), whole);
        }
    }
}

BOOST_AUTO_TEST_CASE(any_flipped_bit_changes_the_crc) {
    std::vector<std::byte> bytes(129, std::byte{0x5a});
    const auto sound = crc32c(bytes, 7);
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
        BOOST_TEST(crc32c(bytes, 7) != sound);
        bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::io
