#include "src/crashtest/disk_image.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <set>
#include <string>
#include <vector>

#include "src/crashtest/random.hpp"

namespace firnlog::crashtest {
namespace {

namespace data = boost::unit_test::data;

constexpr std::uint64_t kBytes = 1U << 20U;
constexpr std::uint64_t kSector = DiskImage::kSectorBytes;

std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

std::string at(const DiskImage& disk, std::uint64_t offset, std::size_t bytes) {
    std::string out(bytes, '?');
    disk.read(offset, std::as_writable_bytes(std::span(out)));
    return out;
}

void put(DiskImage& disk, std::uint64_t sector, char letter, std::uint64_t sectors = 1) {
    disk.write(sector * kSector, bytes_of(std::string(sectors * kSector, letter)));
}

// One letter a sector.
std::string letters(const DiskImage& disk, std::uint64_t sectors) {
    std::string out;
    for (std::uint64_t i = 0; i < sectors; ++i) {
        const auto sector = at(disk, i * kSector, kSector);
        BOOST_TEST(sector == std::string(kSector, sector[0]), "a sector is whole");
        out += sector[0] == '\0' ? '.' : sector[0];
    }
    return out;
}

BOOST_AUTO_TEST_SUITE(src)
BOOST_AUTO_TEST_SUITE(disk_image)

BOOST_AUTO_TEST_CASE(of_any_bytes_it_is_known_whether_a_cut_can_take_them_or_has) {
    auto disk = DiskImage::make(8 * kBytes).value();
    const auto write = [&](std::uint64_t offset, const std::string& text) {
        disk.write(offset, bytes_of(text));
    };
    // Across two chunks that are kept account of.
    write(kBytes - 3, "flushed");
    disk.flush(disk.mark());
    write(5 * kBytes, "pending");
    BOOST_TEST((disk.find("flushed") == Trace::durable));
    BOOST_TEST((disk.find("pending") == Trace::unseen), "nothing is lost yet, nor is it kept");
    disk.freeze();
    write(6 * kBytes, "afterwards");
    disk.cut(Keep::none, 1);
    BOOST_TEST((disk.find("flushed") == Trace::durable));
    BOOST_TEST((disk.find("pending") == Trace::lost));
    BOOST_TEST((disk.find("afterwards") == Trace::unseen));
    BOOST_TEST((disk.find("never") == Trace::unseen));
    write(5 * kBytes, "pending");
    disk.cut(Keep::all, 1);
    BOOST_TEST((disk.find("pending") == Trace::durable));
}

BOOST_AUTO_TEST_CASE(what_was_written_is_read_and_only_what_was_flushed_survives_a_cut) {
    auto disk = DiskImage::make(kBytes).value();
    put(disk, 0, 'a');
    disk.flush(disk.mark());
    put(disk, 0, 'b');
    put(disk, 1, 'c');
    BOOST_TEST(letters(disk, 3) == "bc.");
    const auto cut = disk.cut(Keep::none, 1);
    BOOST_TEST(letters(disk, 3) == "a..");
    BOOST_TEST(cut.pending == 2);
    BOOST_TEST(cut.kept == 0);
    BOOST_TEST(cut.bytes_lost == 2 * kSector);
}

BOOST_AUTO_TEST_CASE(a_cut_that_keeps_all_takes_nothing) {
    auto disk = DiskImage::make(kBytes).value();
    put(disk, 0, 'a');
    put(disk, 0, 'b');
    BOOST_TEST(disk.cut(Keep::all, 1).kept == 2);
    BOOST_TEST(letters(disk, 1) == "b");
    disk.cut(Keep::none, 1);
    BOOST_TEST(letters(disk, 1) == "b", "what a cut kept is there for good");
}

BOOST_AUTO_TEST_CASE(a_flush_covers_what_was_written_before_it_began) {
    auto disk = DiskImage::make(kBytes).value();
    put(disk, 0, 'a');
    const auto began = disk.mark();
    put(disk, 1, 'b');
    disk.flush(began);
    BOOST_TEST(disk.pending() == 1);
    disk.cut(Keep::none, 1);
    BOOST_TEST(letters(disk, 2) == "a.");
}

BOOST_AUTO_TEST_CASE(what_is_written_after_the_power_went_is_seen_and_kept_by_no_cut) {
    auto disk = DiskImage::make(kBytes).value();
    put(disk, 0, 'a');
    disk.freeze();
    put(disk, 0, 'b');
    put(disk, 1, 'c');
    disk.flush(disk.mark());
    BOOST_TEST(letters(disk, 2) == "bc");
    disk.cut(Keep::all, 1);
    BOOST_TEST(letters(disk, 2) == "a.");
}

BOOST_DATA_TEST_CASE(a_prefix_keeps_the_first_writes_and_tears_one_at_most, data::xrange(64),
                     seed) {
    auto disk = DiskImage::make(kBytes).value();
    constexpr std::uint64_t kWrites = 10, kSectors = 4;
    for (std::uint64_t i = 0; i < kWrites; ++i)
        put(disk, i * kSectors, static_cast<char>('a' + i), kSectors);
    const auto cut = disk.cut(Keep::prefix, static_cast<std::uint64_t>(seed));
    const auto found = letters(disk, kWrites * kSectors);
    BOOST_TEST(cut.torn <= 1);
    for (std::uint64_t i = 0; i < kWrites; ++i) {
        const auto write = found.substr(i * kSectors, kSectors);
        const std::string whole(kSectors, static_cast<char>('a' + i));
        if (i < cut.kept) BOOST_TEST(write == whole);
        if (i > cut.kept) BOOST_TEST(write == std::string(kSectors, '.'));
        if (i == cut.kept) BOOST_TEST((cut.torn == 1) == (write != std::string(kSectors, '.')));
    }
}

BOOST_AUTO_TEST_CASE(over_the_seeds_a_subset_shows_holes_and_tears_and_a_seed_repeats_itself) {
    std::set<std::string> seen;
    bool hole = false, tear = false;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        std::string found[2];
        for (auto& once : found) {
            auto disk = DiskImage::make(kBytes).value();
            for (std::uint64_t i = 0; i < 4; ++i) put(disk, i * 2, static_cast<char>('a' + i), 2);
            disk.cut(Keep::subset, seed);
            once = letters(disk, 8);
        }
        BOOST_TEST(found[0] == found[1]);
        hole |= found[0].starts_with("..") && found[0].ends_with("dd");
        tear |= found[0].starts_with("a.") || found[0].starts_with(".a");
        seen.insert(found[0]);
    }
    BOOST_TEST(hole);
    BOOST_TEST(tear);
    BOOST_TEST(seen.size() > 50);
}

BOOST_AUTO_TEST_CASE(zeros_are_a_write_like_any_other) {
    auto disk = DiskImage::make(kBytes).value();
    put(disk, 0, 'a', 64);
    disk.flush(disk.mark());
    disk.zero(kSector, 32 * kSector);
    BOOST_TEST(letters(disk, 34) == "a" + std::string(32, '.') + "a");
    disk.cut(Keep::none, 3);
    BOOST_TEST(letters(disk, 34) == std::string(34, 'a'));
    disk.zero(kSector, 32 * kSector);
    disk.flush(disk.mark());
    disk.cut(Keep::none, 3);
    BOOST_TEST(letters(disk, 34) == "a" + std::string(32, '.') + "a");
}

// The image against a model that keeps two arrays, over random writes, flushes and cuts.
BOOST_DATA_TEST_CASE(view_and_platter_agree_after_every_cut, data::xrange(20), seed) {
    Random random(static_cast<std::uint64_t>(seed));
    constexpr std::uint64_t kSectors = 64;
    auto disk = DiskImage::make(kSectors * kSector).value();
    std::string durable(kSectors, '.'), view = durable;
    for (int step = 0; step < 400; ++step) {
        const auto draw = random.below(20);
        const auto first = random.below(kSectors);
        const auto count = random.between(1, kSectors - first);
        if (draw < 14) {
            const char letter = static_cast<char>('a' + random.below(26));
            put(disk, first, letter, count);
            view.replace(first, count, count, letter);
        } else if (draw < 16) {
            disk.zero(first * kSector, count * kSector);
            view.replace(first, count, count, '.');
        } else if (draw < 19) {
            disk.flush(disk.mark());
            durable = view;
        } else {
            const bool all = random.one_in(2);
            disk.cut(all ? Keep::all : Keep::none, random.next());
            (all ? durable : view) = all ? view : durable;
        }
        BOOST_TEST(letters(disk, kSectors) == view);
    }
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::crashtest
