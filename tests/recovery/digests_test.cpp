// G14, G18: what is noted of a file when it is sealed is what whoever reads it finds, whatever a
// crash has taken back since.

#include "engine/digests.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <map>

#include "engine/manifest_file.hpp"
#include "recovery/stored_file.hpp"
#include "tests/recovery/lived.hpp"

namespace firnlog::recovery {
namespace {

using engine::Digests;
using engine::StoredKind;
using sim::World;

using Counts = std::map<StoredKind, std::uint64_t>;

// Of files that are there: each is what was noted.
void hold_against_files(World& world, Counts& counts) {
    auto& files = world.files();
    const auto manifest = engine::read_manifest(files);
    BOOST_REQUIRE(manifest.has_value());
    const auto noted = Digests::read(files, manifest->store_id);
    BOOST_REQUIRE(noted.has_value());
    for (const auto& file : *noted) {
        if (!world.disk().has(file.name())) continue;
        const auto read = read_stored_file(
            files, manifest->store_id,
            {.number = file.number, .kind = file.kind, .lsn = file.lsn, .lsn_end = {}});
        BOOST_REQUIRE_MESSAGE(read.has_value(), (read ? "" : read.error().text));
        BOOST_REQUIRE_MESSAGE(*read == file, file.name() << " is not what was noted of it");
        ++counts[file.kind];
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(digests)

// Nobody waits for a sync there, so that the last segments are written, mapped and not durable.
BOOST_AUTO_TEST_CASE(what_is_noted_of_a_file_is_what_a_reader_finds_whenever_the_power_goes) {
    Counts counts;
    for (const auto seed : Seeds(volume({.usual = 8, .sanitized = 1, .full = 400}))) {
        World world{{.seed = seed}};
        sim::Rng rng{seed};
        Subject subject(world, *open(world.files(), world.clock(), small_options(seed % 2 == 0)));
        subject.lazy(true);
        std::uint64_t operations = 0;
        world.on_operation([&](const sim::Operation& at) {
            if (!sim::changes_disk(at.kind) || ++operations % 3 != 0) return;
            for (const auto cut : sim::kCuts) {
                sim::Rng drawn{seed * 1'000'003 + at.number};
                World after{{.seed = seed}, world.image(cut, drawn)};
                hold_against_files(after, counts);
            }
        });
        BOOST_REQUIRE(workload(world, subject, rng));
        world.on_operation({});
        hold_against_files(world, counts);
    }
    std::printf(
        "report: files held against their digests: log %llu, packed %llu, checkpoints %llu\n",
        static_cast<unsigned long long>(counts[StoredKind::log]),
        static_cast<unsigned long long>(counts[StoredKind::packed]),
        static_cast<unsigned long long>(counts[StoredKind::checkpoint]));
    for (const auto kind : {StoredKind::log, StoredKind::packed, StoredKind::checkpoint})
        BOOST_TEST(counts[kind] > 0);
}

// What was noted before it counts.
BOOST_AUTO_TEST_CASE(a_torn_or_damaged_end_takes_nothing_with_it) {
    const engine::StoreId store{std::byte{7}};
    const engine::StoredFile one{.number = 3,
                                 .kind = StoredKind::packed,
                                 .bytes = 5000,
                                 .lsn = {},
                                 .tag = engine::tag_of(5000, {17}),
                                 .pieces = {17}};
    auto bytes = engine::encode_digests(store);
    engine::encode_digest(store, one, bytes);
    const auto whole = bytes.size();
    engine::encode_digest(store, one, bytes);
    for (auto size = whole; size < bytes.size(); ++size) {
        const auto found = engine::decode_digests(store, Bytes(bytes).first(size));
        BOOST_REQUIRE_EQUAL(found.size(), 1U);
        BOOST_REQUIRE(found.front() == one);
    }
    BOOST_TEST(engine::decode_digests(store, bytes).size() == 2U);
    BOOST_TEST(engine::decode_digests({std::byte{8}}, bytes).empty());
    for (std::size_t at = whole; at < bytes.size(); ++at) {
        auto damaged = bytes;
        damaged[at] ^= std::byte{0x10};
        // But for the zeros that nobody looks at.
        if (at - whole >= 4 && at - whole < 8) continue;
        BOOST_REQUIRE_EQUAL(engine::decode_digests(store, damaged).size(), 1U);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
