// A record in the place of another one: as long, valid at its lsn, and nothing of what was there.

#include "engine/format/record.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

namespace firnlog::engine {
namespace {

// Every length that a record can have, the longest among them, but not one by one.
std::vector<std::size_t> lengths() {
    std::vector<std::size_t> found;
    for (std::size_t size = kRecordBytesMin; size < 70'000; size += kRecordAlignment)
        if (size < 600 || size % 4096 < 64 || (size > 16'300 && size < 16'500))
            found.push_back(size);
    const std::string key(kKeyBytesMax, 'k');
    const std::string value(kRecordValueMax, 'v');
    Record longest{.kind = Kind::string,
                   .flags = RecordFlags::has_expiry,
                   .kid = 0xffffffff,
                   .key = key,
                   .value = value};
    for (auto size = record_bytes(longest); size > kRecordValueMax - 64; size -= 4096)
        found.push_back(size);
    found.push_back(record_bytes(longest));
    return found;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(records)

BOOST_AUTO_TEST_CASE(one_stands_in_the_place_of_any_other) {
    const RecordSeed seed(Bytes{});
    const std::string type(1, '\2');
    std::size_t objects = 0;
    for (const auto size : lengths())
        for (const bool is_object : {false, true})
            for (const bool last : {false, true}) {
                Record record{.kind = Kind::erased};
                if (is_object) {
                    record = {.kind = Kind::object,
                              .flags = RecordFlags::has_oid,
                              .value = type,
                              .oid = Oid::make({4096}, 17)};
                    // One that says this much is no shorter.
                    if (size < record_bytes(record)) continue;
                    ++objects;
                }
                std::vector<std::byte> bytes(size, std::byte{0x5a});
                encode_in_place(record, size, bytes.data());
                (void)seal_record(bytes.data(), size, last, seed.at({8192}));
                const auto decoded = decode_record(bytes, seed.at({8192}));
                BOOST_REQUIRE_MESSAGE(decoded.has_value(), "of " << size << " bytes");
                BOOST_REQUIRE_EQUAL(decoded->size, size);
                BOOST_REQUIRE((decoded->record.kind == record.kind));
                BOOST_REQUIRE(decoded->record.has(RecordFlags::last_of_batch) == last);
                BOOST_REQUIRE((decoded->record.oid == record.oid));
                BOOST_REQUIRE(decoded->record.value.substr(0, record.value.size()) == record.value);
                BOOST_REQUIRE(std::ranges::count(bytes, std::byte{0x5a}) < 8);
                BOOST_REQUIRE(!decode_record(bytes, seed.at({8200})));
            }
    BOOST_TEST(objects > 100U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::engine
