// Sidecars as bytes: what is written comes back, at its own place alone; and what their hashes lead
// to.

#include "engine/format/sidecar.hpp"

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <set>
#include <vector>

namespace firnlog::engine {

BOOST_AUTO_TEST_SUITE(sidecar_format)

namespace {

constexpr SidecarHeader kHeader{.store_id = StoreId{std::byte{1}, std::byte{2}},
                                .number = 12,
                                .base = {4096},
                                .end = {4096 + 100'000},
                                .entries = 700};
const Hasher kHasher(Hasher::Secret{std::byte{5}});
const SidecarHasher kSidecarHasher(kHasher);

std::vector<SidecarEntry> some_entries(std::size_t count) {
    std::vector<SidecarEntry> entries;
    for (std::uint32_t i = 0; i < count; ++i) entries.push_back({.hash = i / 3, .place = 512 + i});
    return entries;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_header_comes_back_and_any_flipped_bit_condemns_it) {
    std::vector<std::byte> block(kSidecarHeaderBytes);
    encode_sidecar_header(kHeader, block.data());
    BOOST_TEST((decode_sidecar_header(block) == kHeader));
    BOOST_TEST(kHeader.blocks() == 2U);
    for (std::size_t at = 0; at < block.size(); ++at) {
        block[at] ^= std::byte{1};
        BOOST_REQUIRE(!decode_sidecar_header(block));
        block[at] ^= std::byte{1};
    }
    BOOST_TEST(!decode_sidecar_header(Bytes(block).first(kSidecarHeaderBytes - 1)));
}

BOOST_AUTO_TEST_CASE(a_header_that_cannot_be_is_none) {
    std::vector<std::byte> block(kSidecarHeaderBytes);
    auto header = kHeader;
    header.end = {header.base.value - 8};
    encode_sidecar_header(header, block.data());
    BOOST_TEST(!decode_sidecar_header(block));
    header = kHeader;
    header.entries = 100'000;  // more than there is room for records
    encode_sidecar_header(header, block.data());
    BOOST_TEST(!decode_sidecar_header(block));
}

BOOST_AUTO_TEST_CASE(a_block_is_valid_at_its_place_of_its_files_sidecar_alone) {
    std::array<SidecarEntry, kSidecarBlockEntries> read{};
    std::vector<std::byte> block(kSidecarBlockBytes);
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, kSidecarBlockEntries}) {
        const auto entries = some_entries(count);
        encode_sidecar_block(entries, kHeader, 3, block.data());
        const auto found = decode_sidecar_block(block, kHeader, 3, read);
        BOOST_REQUIRE(found == count);
        BOOST_TEST(std::ranges::equal(entries, std::span(read).first(count)));
        BOOST_TEST(!decode_sidecar_block(block, kHeader, 2, read));
        auto other = kHeader;
        other.number = 13;
        BOOST_TEST(!decode_sidecar_block(block, other, 3, read));
        other = kHeader;
        other.base = {8192};
        BOOST_TEST(!decode_sidecar_block(block, other, 3, read));
        other = kHeader;
        other.store_id[0] = std::byte{9};
        BOOST_TEST(!decode_sidecar_block(block, other, 3, read));
        for (std::size_t at = 0; at < block.size(); ++at) {
            block[at] ^= std::byte{16};
            BOOST_REQUIRE(!decode_sidecar_block(block, kHeader, 3, read));
            block[at] ^= std::byte{16};
        }
    }
}

BOOST_AUTO_TEST_CASE(a_block_whose_entries_do_not_ascend_is_none) {
    std::array<SidecarEntry, kSidecarBlockEntries> read{};
    std::vector<std::byte> block(kSidecarBlockBytes);
    const std::array entries{SidecarEntry{.hash = 4, .place = 1}, SidecarEntry{.hash = 3}};
    encode_sidecar_block(entries, kHeader, 0, block.data());
    BOOST_TEST(!decode_sidecar_block(block, kHeader, 0, read));
}

BOOST_AUTO_TEST_CASE(a_record_is_found_under_what_it_is_about) {
    const auto name = kSidecarHasher.name("key");
    for (const auto kind :
         {Kind::string, Kind::tombstone, Kind::expiry, Kind::bind, Kind::unbind, Kind::mark})
        BOOST_TEST((kSidecarHasher.of({.kind = kind, .kid = 3, .key = "key"}) == name.first));
    const auto oid = Oid::make({8192}, 17);
    for (const auto kind : {Kind::element, Kind::element_gone, Kind::patch}) {
        const auto hash = kSidecarHasher.of({.kind = kind, .key = "field", .oid = oid});
        BOOST_REQUIRE(hash.has_value());
        BOOST_TEST(kSidecarHasher.object(oid).holds(*hash));
        BOOST_TEST(kSidecarHasher.element(oid, "field").holds(*hash));
    }
    BOOST_TEST((kSidecarHasher.of({.kind = Kind::catalog}) == SidecarHasher::kCatalog.first));
    BOOST_TEST(!kSidecarHasher.of({.kind = Kind::erased}));
}

// Nor is a name ever taken for what the first hashes mean.
BOOST_AUTO_TEST_CASE(objects_have_rows_of_their_own_and_elements_are_spread_in_them) {
    std::set<std::uint32_t> rows;
    std::set<std::uint32_t> elements;
    for (std::uint64_t i = 0; i < 2'000; ++i) {
        const auto oid = Oid::make({4096 + i * 8}, static_cast<Stripe>(i));
        const auto row = kSidecarHasher.object(oid);
        BOOST_REQUIRE(row.first >= 2 && row.first <= row.last);
        rows.insert(row.last);
        const auto element = kSidecarHasher.element(Oid::make({4096}, 1), std::to_string(i));
        BOOST_REQUIRE(element.first == element.last);
        BOOST_REQUIRE(kSidecarHasher.object(Oid::make({4096}, 1)).holds(element.first));
        elements.insert(element.first);
        BOOST_REQUIRE(kSidecarHasher.name(std::to_string(i)).first >= 2);
    }
    BOOST_TEST(rows.size() > 1'990U);
    BOOST_TEST(elements.size() > 1'400U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::engine
