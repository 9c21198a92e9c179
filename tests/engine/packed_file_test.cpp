#include "engine/packed_file.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "engine/format/names.hpp"
#include "engine/log/reader.hpp"
#include "engine/record_scan.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::engine {

BOOST_AUTO_TEST_SUITE(packed_files)

namespace {

constexpr FileNumber kNumber = 7;

struct Made {
    sim::World world{{.seed = 1}};
    StoreId store_id{std::byte{1}, std::byte{2}};
    RecordSeed seed{store_id};
    struct Written {
        Lsn lsn;
        std::string key;
        std::string value;
        std::uint64_t offset = 0;
        std::size_t bytes = 0;
    };
    std::vector<Written> written;

    void write(std::size_t count, std::size_t bytes) {
        PackedWriter writer(world.files(), store_id);
        BOOST_REQUIRE(writer.begin(kNumber).has_value());
        for (std::size_t i = 0; i < count; ++i) {
            written.push_back({.lsn = Lsn{10'000 + i * 160},
                               .key = "key " + std::to_string(i),
                               .value = std::string(bytes + i % 50, 'v')});
            auto& item = written.back();
            const Record record{.kind = Kind::string, .key = item.key, .value = item.value};
            std::vector<std::byte> encoded(record_bytes(record));
            item.bytes = encode_record(record, encoded.data());
            (void)seal_record(encoded.data(), item.bytes, true, seed.at(item.lsn));
            const auto offset = writer.add(item.lsn, encoded);
            BOOST_REQUIRE(offset.has_value());
            item.offset = *offset;
        }
        BOOST_REQUIRE(writer.finish().has_value());
    }
    // How many records are read before a fault, or all of them.
    struct Read {
        std::size_t records = 0;
        bool fault = false;
    };
    [[nodiscard]] Read read() {
        Read found;
        auto scan = RecordScan::packed(world.files(), store_id, kNumber);
        if (!scan) return {.records = 0, .fault = true};
        for (;;) {
            const auto item = (*scan)->next();
            if (!item) found.fault = true;
            if (!item || !*item) return found;
            const auto& expected = written.at(found.records++);
            BOOST_REQUIRE((*item)->record.key == expected.key);
            BOOST_REQUIRE((*item)->record.value == expected.value);
            BOOST_REQUIRE((*item)->lsn == expected.lsn);
            BOOST_REQUIRE((*item)->offset == expected.offset);
        }
    }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(every_record_comes_back_with_its_lsn, Made) {
    write(30'000, 100);
    const auto found = read();
    BOOST_TEST(!found.fault);
    BOOST_TEST(found.records == written.size());
}

BOOST_FIXTURE_TEST_CASE(a_record_longer_than_the_window_comes_back, Made) {
    write(5, 900'000);
    const auto found = read();
    BOOST_TEST(!found.fault);
    BOOST_TEST(found.records == written.size());
}

BOOST_FIXTURE_TEST_CASE(a_record_whose_place_is_known_is_read_alone, Made) {
    write(30'000, 100);
    for (const auto from : {RecordScan::From::disk, RecordScan::From::cache}) {
        auto scan = RecordScan::packed(world.files(), store_id, kNumber, from);
        BOOST_REQUIRE(scan.has_value());
        for (std::size_t i = 7; i < written.size(); i += 1 + i % 991) {
            const auto item = (*scan)->at(written[i].offset);
            BOOST_REQUIRE(item.has_value());
            BOOST_TEST(item->record.key == written[i].key);
            BOOST_TEST(item->bytes.size() == written[i].bytes);
            BOOST_TEST((item->lsn == written[i].lsn));
        }
        for (const auto offset :
             {written[9].offset + 8, written[9].offset - 8, std::uint64_t{0}, kPackedHeaderBytes,
              (*scan)->header().end, (*scan)->header().end + 4096})
            BOOST_TEST(!(*scan)->at(offset).has_value(), "at " << offset);
        BOOST_TEST((*scan)->at(written[9].offset).has_value());
    }
}

BOOST_FIXTURE_TEST_CASE(no_flipped_bit_passes, Made) {
    write(6, 40);
    auto fd = world.files().open(names::packed_file(kNumber), io::Open::write);
    BOOST_REQUIRE(fd.has_value());
    const auto size = world.files().size(*fd).value();
    std::vector<std::byte> content(size);
    BOOST_REQUIRE(world.files().read(*fd, 0, content).value() == size);
    for (std::size_t at = 0; at < size; ++at) {
        // The header's first bytes and its padding are all under its checksum.
        if (at > 64 && at < kPackedHeaderBytes - 1) continue;
        const auto flipped = content[at] ^ std::byte{1};
        BOOST_REQUIRE(world.files().write(*fd, at, {&flipped, 1}).has_value());
        BOOST_TEST_CONTEXT("byte " << at) { BOOST_TEST(read().fault); }
        BOOST_REQUIRE(world.files().write(*fd, at, {&content[at], 1}).has_value());
    }
    BOOST_TEST(!read().fault);
    world.files().close(*fd);
}

BOOST_FIXTURE_TEST_CASE(a_record_is_read_at_its_address_and_no_other, Made) {
    write(100, 100);
    Segments segments;
    auto fd = world.files().open(names::packed_file(kNumber), io::Open::read);
    BOOST_REQUIRE(fd.has_value());
    auto map = world.files().map(*fd).value();
    auto segment =
        std::make_unique<Segment>(kNumber, Lsn{}, map->bytes().size(), *fd, Segment::Kind::packed);
    segment->read_from(map->bytes().data(), false);
    segment->map = std::move(map);
    segments.add(std::move(segment));
    RecordReader reader(segments, store_id);
    Scratch scratch;
    for (const auto& item : written) {
        const auto found =
            reader.read(Address(kNumber, item.offset), item.bytes, scratch, {}, true);
        BOOST_REQUIRE(found.outcome == RecordReader::Outcome::found);
        BOOST_TEST(found.record.key == item.key);
        // What a gate waits for: nothing, it is durable.
        BOOST_TEST((found.lsn == Lsn{}));
        const auto beside =
            reader.read(Address(kNumber, item.offset + 8), item.bytes, scratch, {}, true);
        BOOST_TEST((beside.outcome == RecordReader::Outcome::corrupt));
    }
    // Bytes that came through the ring have the lsn before them.
    const auto& item = written[3];
    std::vector<Warm> warm(1);
    warm[0].address = Address(kNumber, item.offset);
    const auto bytes = segments.find(kNumber)->place().bytes + item.offset - kPackedLeadBytes;
    warm[0].bytes.assign(bytes, bytes + kPackedLeadBytes + item.bytes);
    const auto found = reader.read(warm[0].address, item.bytes, scratch, warm, false);
    BOOST_REQUIRE(found.outcome == RecordReader::Outcome::found);
    BOOST_TEST(found.record.key == item.key);
    world.files().close(*fd);
}

BOOST_FIXTURE_TEST_CASE(one_that_was_abandoned_is_gone, Made) {
    PackedWriter writer(world.files(), store_id);
    BOOST_REQUIRE(writer.begin(kNumber).has_value());
    writer.abandon();
    BOOST_TEST(world.files().list().value().empty());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::engine
