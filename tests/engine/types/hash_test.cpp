#include "engine/types/hash.hpp"

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <map>
#include <string>

namespace firnlog::engine {
namespace {

// A body and the records that are applied to it; each field's name is its tag.
class Bench {
  public:
    void put(std::string_view field, std::size_t bytes) {
        apply({.kind = Kind::element, .key = field, .value = std::string(bytes, 'v')});
    }
    void patch(std::string_view field, std::uint64_t offset, std::size_t bytes) {
        std::array<std::byte, kVarintBytesMax> head{};
        const auto* end = put_varint(head.data(), offset);
        std::string value(reinterpret_cast<const char*>(head.data()),
                          static_cast<std::size_t>(end - head.data()));
        value.append(bytes, 'p');
        apply({.kind = Kind::patch, .key = field, .value = value});
    }
    void remove(std::string_view field) { apply({.kind = Kind::element_gone, .key = field}); }

    // The pieces' lengths; none: the value lies in one record.
    std::vector<std::size_t> pieces(std::string_view field) const {
        std::vector<std::size_t> bytes;
        if (const auto* value = HashBody::long_value(*entry(field)))
            for (const auto& piece : value->pieces) bytes.push_back(piece.bytes);
        return bytes;
    }

    const Entry* entry(std::string_view field) const { return body.fields().find(tag(field)); }
    bool move(std::string_view field, Address from, Address to) {
        return body.move(tag(field), 0, from, to);
    }

    // Where every record is, and how long.
    std::map<std::uint64_t, std::uint32_t> records() const {
        std::map<std::uint64_t, std::uint32_t> found;
        body.for_each([&](const HashBody::Piece& piece) {
            found.emplace(piece.address.bits(), piece.record_bytes);
        });
        return found;
    }

    HashBody body;

  private:
    static Tag tag(std::string_view field) {
        return {.high = std::hash<std::string_view>{}(field)};
    }
    void apply(const Record& record) {
        body.apply(record, Address(1, next_ += 8), record_bytes(record), tag(record.key));
    }
    std::uint64_t next_ = 4096;
};

using Lengths = std::vector<std::size_t>;

BOOST_AUTO_TEST_SUITE(hash_body)

BOOST_AUTO_TEST_CASE(pieces_that_follow_each_other_are_one_value) {
    Bench bench;
    bench.put("f", 100);
    BOOST_TEST(bench.pieces("f").empty());
    bench.patch("f", 100, 70);
    bench.patch("f", 170, 3);
    BOOST_TEST(bench.pieces("f") == (Lengths{100, 70, 3}));
    BOOST_TEST(bench.body.size() == 1);
    BOOST_TEST(bench.body.longest() == 173);
    BOOST_TEST(HashBody::record_bytes(*bench.entry("f")) >= 173);
}

BOOST_AUTO_TEST_CASE(a_patch_that_is_not_where_the_value_ends_is_none) {
    Bench bench;
    bench.put("f", 100);
    bench.patch("f", kRecordValueMax + 1, 70);
    BOOST_TEST(bench.pieces("f").empty());
    bench.patch("f", 100, 70);
    bench.patch("f", 100, 70);
    bench.patch("f", 171, 1);
    bench.patch("f", ~std::uint64_t{0}, 1);
    BOOST_TEST(bench.pieces("f") == (Lengths{100, 70}));
    bench.patch("of nobody", 0, 1);
    BOOST_TEST(bench.body.size() == 1);
}

BOOST_AUTO_TEST_CASE(a_new_value_or_none_ends_all_pieces) {
    Bench bench;
    const auto empty = bench.body.memory_bytes();
    bench.put("f", 100);
    const auto plain = bench.body.memory_bytes();
    bench.patch("f", 100, 70);
    BOOST_TEST(bench.body.memory_bytes() > plain);
    bench.put("f", 5);
    BOOST_TEST(bench.pieces("f").empty());
    BOOST_TEST(bench.body.memory_bytes() == plain);
    bench.patch("f", 5, 70);
    bench.remove("f");
    BOOST_TEST(bench.body.size() == 0);
    BOOST_TEST(bench.body.memory_bytes() <= plain);
    BOOST_TEST(empty <= plain);
    // What is left when the body goes is freed: the sanitizer looks.
    bench.put("g", 1);
    bench.patch("g", 1, 1);
}

BOOST_AUTO_TEST_CASE(a_name_takes_no_more_than_an_eighth_of_a_piece) {
    for (const std::size_t field : {0U, 10U, 2'048U, 2'049U, 65'536U})
        for (const std::size_t value : {0U, 100'000U, 5'000'000U, 512U << 20}) {
            const auto piece = HashBody::piece_bytes({.field = field, .value = value});
            BOOST_TEST(field * 8 <= piece);
            BOOST_TEST(value / piece <= 1024);
            BOOST_TEST(piece + kVarintBytesMax <= kRecordValueMax);
        }
}

BOOST_AUTO_TEST_CASE(an_image_has_every_piece_and_the_bytes_of_each) {
    Bench bench;
    bench.put("short", 5);
    bench.put("long", 100);
    bench.patch("long", 100, 70);
    bench.put("longer", 10);
    bench.patch("longer", 10, 20);
    bench.patch("longer", 30, 40);
    std::vector<std::byte> image;
    BOOST_TEST(bench.body.save(0, image) == 0);
    Bench loaded;
    BOOST_TEST_REQUIRE(loaded.body.load(image, Moves{}));
    BOOST_TEST(loaded.pieces("short").empty());
    BOOST_TEST(loaded.pieces("long") == (Lengths{100, 70}));
    BOOST_TEST(loaded.pieces("longer") == (Lengths{10, 20, 40}));
    BOOST_TEST(loaded.records() == bench.records());
    BOOST_TEST(loaded.body.longest() == bench.body.longest());
    BOOST_TEST(loaded.body.memory_bytes() == bench.body.memory_bytes());
    // The value goes on where it ended, and ends as a whole.
    loaded.patch("longer", 70, 1);
    BOOST_TEST(loaded.pieces("longer") == (Lengths{10, 20, 40, 1}));
    loaded.put("longer", 3);
    BOOST_TEST(loaded.pieces("longer").empty());
    std::vector<std::byte> again;
    BOOST_TEST(loaded.body.save(0, again) == 0);
    BOOST_TEST(again.size() < image.size());
    // A file of the log that was written anew under another number.
    Bench moved;
    BOOST_TEST_REQUIRE(moved.body.load(image, Moves({{.from = 1, .to = 7}})));
    for (const auto& [bits, bytes] : moved.records())
        BOOST_TEST(Address::from_bits(bits).file() == 7U);
}

BOOST_AUTO_TEST_CASE(an_image_that_lacks_a_byte_or_a_value_is_none) {
    Bench bench;
    bench.put("short", 5);
    bench.put("long", 100);
    bench.patch("long", 100, 70);
    std::vector<std::byte> image;
    BOOST_TEST(bench.body.save(0, image) == 0);
    for (std::size_t bytes = 0; bytes < image.size(); ++bytes) {
        HashBody body;
        BOOST_TEST(!body.load(Bytes(image).first(bytes), Moves{}));
        BOOST_TEST(body.size() == 0);
    }
    // One value is told of and none, or two.
    for (const std::uint32_t values : {0U, 2U}) {
        auto other = image;
        store(other.data() + 12, values);
        BOOST_TEST(!HashBody().load(other, Moves{}));
    }
}

BOOST_AUTO_TEST_CASE(each_record_of_a_field_is_moved_by_itself) {
    Bench bench;
    bench.put("short", 5);
    bench.put("long", 100);
    bench.patch("long", 100, 70);
    bench.patch("long", 170, 30);
    const auto before = bench.records();
    BOOST_TEST_REQUIRE(before.size() == 4U);
    std::uint64_t to = 8;
    for (const auto& [bits, bytes] : before) {
        const auto from = Address::from_bits(bits);
        const auto* field = bits == before.begin()->first ? "short" : "long";
        const auto* other = field == std::string("short") ? "long" : "short";
        BOOST_TEST(!bench.move("none", from, Address(9, to)));
        BOOST_TEST(!bench.move(other, from, Address(9, to)));
        BOOST_TEST(bench.move(field, from, Address(9, to)));
        // It is there no more, so that a second time is in vain.
        BOOST_TEST(!bench.move(field, from, Address(9, to)));
        BOOST_TEST(bench.records().at(Address(9, to).bits()) == bytes);
        to += 8;
    }
    for (const auto& [bits, bytes] : bench.records())
        BOOST_TEST(Address::from_bits(bits).file() == 9U);
    BOOST_TEST(bench.pieces("long") == (Lengths{100, 70, 30}));
    // In order, as they were written.
    const auto& pieces = HashBody::long_value(*bench.entry("long"))->pieces;
    BOOST_TEST(
        std::ranges::is_sorted(pieces, {}, [](const auto& piece) { return piece.address.bits(); }));
    // A new value leaves nothing to move.
    const auto gone = pieces.front().address;
    bench.put("long", 3);
    BOOST_TEST(!bench.move("long", gone, Address(9, to)));
}

// A page of an image has a bound, and one of long values in very many pieces would be past it.
BOOST_AUTO_TEST_CASE(a_page_with_very_many_pieces_is_cut_and_nothing_is_lost) {
    Bench bench;
    for (int field = 0; field < 600; ++field) {
        const auto name = "field " + std::to_string(field);
        bench.put(name, 1);
        for (std::uint64_t piece = 1; piece < 300; ++piece) bench.patch(name, piece, 1);
    }
    Bench loaded;
    std::uint64_t from = 0;
    std::size_t pages = 0;
    do {
        std::vector<std::byte> image;
        const auto next = bench.body.save(from, image);
        BOOST_TEST((next == 0 || next > from));
        BOOST_TEST(image.size() < (std::size_t{2} << 20));
        BOOST_TEST_REQUIRE(loaded.body.load(image, Moves{}));
        from = next;
        ++pages;
    } while (from != 0);
    BOOST_TEST(pages >= 3U);
    BOOST_TEST(loaded.body.size() == bench.body.size());
    BOOST_TEST(loaded.records() == bench.records());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::engine
