#include "io/base/bytes.hpp"

#include <array>
#include <boost/test/unit_test.hpp>
#include <random>
#include <vector>

#include "tests/environment.hpp"

namespace firnlog::io {

BOOST_AUTO_TEST_SUITE(bytes)

namespace {

std::vector<std::byte> encoded(std::uint64_t value) {
    std::array<std::byte, kVarintBytesMax> buffer{};
    const std::byte* const end = put_varint(buffer.data(), value);
    return {buffer.data(), buffer.data() + (end - buffer.data())};
}

// Random numbers of every width alike: uniform ones would nearly all take ten bytes.
std::uint64_t any_width(std::mt19937_64& random) { return random() >> (random() % 64); }

}  // namespace

BOOST_AUTO_TEST_CASE(a_varint_has_the_bytes_of_leb128) {
    const auto is = [](std::uint64_t value, std::initializer_list<int> bytes) {
        std::vector<std::byte> expected;
        for (const int byte : bytes) expected.push_back(static_cast<std::byte>(byte));
        BOOST_TEST((encoded(value) == expected), value);
    };
    is(0, {0});
    is(1, {1});
    is(127, {0x7f});
    is(128, {0x80, 0x01});
    is(300, {0xac, 0x02});
    is(624485, {0xe5, 0x8e, 0x26});
    is(~std::uint64_t{0}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01});
}

BOOST_AUTO_TEST_CASE(every_number_comes_back_from_its_varint_of_the_foretold_length) {
    const auto seed = fresh_seed();
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) {
        std::mt19937_64 random(seed);
        std::vector<std::uint64_t> values;
        for (unsigned bit = 0; bit < 64; ++bit) {
            const std::uint64_t power = std::uint64_t{1} << bit;
            values.insert(values.end(), {power - 1, power, power + 1});
        }
        for (int i = 0; i < 20'000; ++i) values.push_back(any_width(random));
        for (const auto value : values) {
            const auto bytes = encoded(value);
            BOOST_REQUIRE_EQUAL(bytes.size(), varint_bytes(value));
            std::uint64_t back = ~value;
            BOOST_REQUIRE(get_varint(bytes.data(), bytes.data() + bytes.size(), back) ==
                          bytes.data() + bytes.size());
            BOOST_REQUIRE_EQUAL(back, value);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_varint_cut_off_anywhere_is_refused) {
    for (unsigned bit = 0; bit < 64; ++bit) {
        const auto bytes = encoded(std::uint64_t{1} << bit);
        for (std::size_t length = 0; length < bytes.size(); ++length) {
            std::uint64_t value = 0;
            BOOST_TEST(get_varint(bytes.data(), bytes.data() + length, value) == nullptr);
        }
    }
}

BOOST_AUTO_TEST_CASE(whatever_bytes_parse_as_a_varint_are_the_only_bytes_of_that_number) {
    const auto seed = fresh_seed();
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) {
        std::mt19937_64 random(seed);
        int parsed = 0;
        for (int i = 0; i < 50'000; ++i) {
            std::array<std::byte, 12> bytes{};
            for (auto& byte : bytes) {
                // Ends and empty groups must be common, or hardly anything would parse.
                byte =
                    static_cast<std::byte>(random() % 4 == 0 ? random() & 0x81 : random() & 0xff);
            }
            std::uint64_t value = 0;
            const std::byte* const end =
                get_varint(bytes.data(), bytes.data() + bytes.size(), value);
            if (end == nullptr) continue;
            ++parsed;
            const std::vector<std::byte> taken(bytes.data(), bytes.data() + (end - bytes.data()));
            BOOST_REQUIRE(taken == encoded(value));
        }
        BOOST_TEST(parsed > 10'000);
    }
}

BOOST_AUTO_TEST_CASE(an_overlong_or_too_large_varint_is_refused) {
    const auto refused = [](std::initializer_list<int> list) {
        std::vector<std::byte> bytes;
        for (const int byte : list) bytes.push_back(static_cast<std::byte>(byte));
        std::uint64_t value = 0;
        BOOST_TEST(get_varint(bytes.data(), bytes.data() + bytes.size(), value) == nullptr);
    };
    refused({0x80, 0x00});
    refused({0xff, 0x80, 0x00});
    refused({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02});
    refused({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01});
}

BOOST_AUTO_TEST_CASE(integers_are_stored_with_the_low_byte_first_at_any_alignment) {
    std::array<std::byte, 16> bytes{};
    for (std::size_t at = 0; at < 8; ++at) {
        store<std::uint32_t>(bytes.data() + at, 0x04030201);
        BOOST_TEST(std::to_integer<int>(bytes[at]) == 1);
        BOOST_TEST(std::to_integer<int>(bytes[at + 3]) == 4);
        BOOST_TEST(load<std::uint32_t>(bytes.data() + at) == 0x04030201U);
    }
}

BOOST_AUTO_TEST_CASE(alignment_rounds_to_the_nearest_multiple_on_each_side) {
    for (std::uint64_t value = 0; value < 100; ++value) {
        const auto up = align_up<std::uint64_t>(value, 8);
        const auto down = align_down<std::uint64_t>(value, 8);
        BOOST_TEST(up % 8 == 0U);
        BOOST_TEST(down % 8 == 0U);
        BOOST_TEST((up >= value && up - value < 8));
        BOOST_TEST((down <= value && value - down < 8));
    }
}

BOOST_AUTO_TEST_CASE(zeros_are_left_out_behind_the_last_byte_that_is_none) {
    std::vector<std::byte> bytes(3 * 4096 + 17);
    BOOST_TEST(without_zeros_behind(bytes).empty());
    BOOST_TEST(without_zeros_behind({}).empty());
    for (const std::size_t at :
         {std::size_t{0}, std::size_t{16}, std::size_t{17}, std::size_t{4096}, std::size_t{4112},
          std::size_t{4113}, bytes.size() - 1}) {
        bytes[at] = std::byte{7};
        BOOST_TEST(without_zeros_behind(bytes).size() == at + 1);
        bytes[at] = {};
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::io
