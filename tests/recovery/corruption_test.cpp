// T6: bytes of a small store are damaged, each and every way a disk can: flipped, zeroed, cut off,
// swapped, gone, doubled. Opening it must refuse, or give exactly a state that is allowed: after a
// clean stop the final one; after a crash one that is no older than what the disk vouches for.
// A start that begins with a checkpoint does not read all of the log: there a damaged value is
// found when it is asked for, and never served. Never a value that was not written, never an abort
// or a hang. check() must call damaged what open() refuses, and what cannot be read.

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <functional>
#include <map>
#include <string>

#include "engine/format/names.hpp"
#include "recovery/check.hpp"
#include "recovery/repair.hpp"
#include "tests/environment.hpp"
#include "tests/recovery/subject.hpp"
#include "tests/recovery/workload.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::recovery {
namespace {

using sim::Cut;
using sim::Disk;
using sim::Rng;
using sim::World;

// A store that has been stopped, one way or the other, and what is allowed of it.
struct Specimen {
    std::uint64_t seed = 0;
    bool clean = false;
    Disk disk;
    std::vector<Version> versions;
    std::size_t oldest = 0;                    // undamaged, nothing older may come back
    std::map<std::string, std::string> files;  // the lock and what is made ready left out
    std::string last_log;
};

struct Damage {
    std::string kind;
    std::string place;
    std::function<void(std::map<std::string, std::string>&)> apply;
};

struct Counts {
    std::uint64_t damages = 0;
    std::uint64_t refused = 0;
    std::uint64_t unharmed = 0;   // exactly the final state
    std::uint64_t older = 0;      // after a crash: an earlier state that the vouchers allow
    std::uint64_t illegible = 0;  // opened, but for some values that are not served
    std::uint64_t without_checkpoint = 0;  // the newest one was left out
    std::uint64_t waited = 0;              // opened with parts of the index waiting
    std::uint64_t mended = 0;              // of them, with parts that were found damaged
    std::uint64_t checked_sound = 0;
    std::uint64_t checked_damaged = 0;
    std::uint64_t check_knows_more = 0;  // opened, yet not every byte is as it was written
    std::uint64_t repaired = 0;
    std::map<std::string, std::uint64_t> by_kind;
};

// Bytes that say something: everything but the zeros behind a file's last written byte.
std::size_t used(const std::string& content) {
    const auto last = content.find_last_not_of('\0');
    return last == std::string::npos ? 0 : last + 1;
}

Specimen make_specimen(std::uint64_t seed, bool clean) {
    Specimen made{.seed = seed, .clean = clean};
    World world{{.seed = seed}};
    auto opened = open(world.files(), world.clock(), small_options(seed % 3 != 0));
    BOOST_REQUIRE(opened.has_value());
    Subject subject(world, std::move(*opened));
    // Written without waiting for the disk, the stretch that nothing vouches for is longer.
    subject.lazy(seed % 4 == 0);
    Rng rng{seed};
    if (!clean) {
        // Stopped in the midst of it: where the seed says.
        world.crash_at(world.operations() + 5 + rng.below(70));
        (void)workload(world, subject, rng);
        BOOST_REQUIRE(world.crashed());
    } else {
        BOOST_REQUIRE(workload(world, subject, rng));
    }
    made.versions = subject.versions();
    made.oldest = clean ? made.versions.size() - 1 : subject.acked(true);
    // Killed: all that completed is there, so that what is lost is lost by the damage alone.
    made.disk = world.image(clean ? Cut::none : Cut::kill, rng);
    for (const auto& name : made.disk.names()) {
        auto content = made.disk.content(name);
        if (name == engine::names::kLock) continue;
        if (name.ends_with(".log") && used(content) > 0) made.last_log = name;
        made.files[name] = std::move(content);
    }
    return made;
}

// A few records of every kind, so few that each of their bytes can be damaged.
Specimen make_tiny(bool clean) {
    Specimen made{.seed = 7, .clean = clean};
    World world{{.seed = made.seed}};
    auto opened = open(world.files(), world.clock(), small_options());
    BOOST_REQUIRE(opened.has_value());
    Subject subject(world, std::move(*opened));
    BOOST_REQUIRE(subject.set("key", "value"));
    BOOST_REQUIRE(subject.sync());
    BOOST_REQUIRE(subject.hash_set("hash", "field", "value"));
    BOOST_REQUIRE(subject.set_many({{"one", "1"}, {"two", "2"}}));
    BOOST_REQUIRE(subject.expire("key", world.clock().wall().ms() + 100'000'000));
    BOOST_REQUIRE(subject.sync());
    BOOST_REQUIRE(subject.rename("hash", "stray"));
    BOOST_REQUIRE(subject.remove("one"));
    BOOST_REQUIRE(subject.swap(0, 1));
    BOOST_REQUIRE(subject.sync());
    BOOST_REQUIRE(subject.set("last", "value"));
    BOOST_REQUIRE(subject.sync());
    if (clean) BOOST_REQUIRE(subject.stop_cleanly());
    made.versions = subject.versions();
    made.oldest = made.versions.size() - 1;
    Rng rng{made.seed};
    made.disk = world.image(Cut::none, rng);
    for (const auto& name : made.disk.names()) {
        auto content = made.disk.content(name);
        if (name == engine::names::kLock || (name.ends_with(".log") && used(content) == 0))
            continue;
        if (name.ends_with(".log")) made.last_log = name;
        made.files[name] = std::move(content);
    }
    return made;
}

Disk disk_of(const std::map<std::string, std::string>& files) {
    Disk disk;
    for (const auto& [name, content] : files) disk.put(name, content);
    return disk;
}

// Versions that damage in unvouched bytes may bring back: nothing older than the last voucher that
// is still legible. After a clean stop the manifest vouches for all.
std::size_t oldest_allowed(const Specimen& specimen, io::Files& files) {
    if (specimen.clean) return specimen.oldest;
    auto looked = survey(files, {});
    const auto vouched = looked ? looked->vouched : engine::Lsn{};
    std::size_t version = 0;
    for (std::size_t i = 0; i < specimen.versions.size(); ++i)
        if (specimen.versions[i].end <= vouched) version = i;
    return std::min(version, specimen.oldest);
}

void hold_against(const Specimen& specimen, const Damage& damage, Counts& counts,
                  bool with_repair) {
    ++counts.damages;
    ++counts.by_kind[damage.kind];
    auto files = specimen.files;
    damage.apply(files);
    World world{{.seed = specimen.seed, .phase = "damaged"}, disk_of(files)};
    const auto checked = check(world.files());
    const bool sound = checked && checked->sound();
    ++(sound ? counts.checked_sound : counts.checked_damaged);
    const auto oldest = oldest_allowed(specimen, world.files());
    if (with_repair) {
        World aside{{.seed = specimen.seed + 1}};
        const auto repaired = repair(world.files(), &aside.files(), aside.clock(), &aside.io(),
                                     {.engine = small_options().engine});
        if (repaired) {
            ++counts.repaired;
            auto whole = open(aside.files(), aside.clock(), small_options());
            BOOST_REQUIRE_MESSAGE(whole.has_value(), "what was repaired can be opened");
            BOOST_REQUIRE((*whole)->report().clean);
            if (sound && repaired->lost_nothing()) {
                const auto found = read_legible((*whole)->engine(), 4).values;
                bool known = false;
                for (auto i = oldest; i < specimen.versions.size(); ++i) {
                    // What is parked is no client's: the new store begins without it.
                    auto values = specimen.versions[i].values;
                    std::erase_if(values, [](const auto& item) {
                        return item.first.first == engine::kParkedFirst;
                    });
                    known = known || values == found;
                }
                BOOST_REQUIRE_MESSAGE(known, "the repair of a sound store is that store");
            }
        }
    }
    auto opened = open(world.files(), world.clock(), small_options());
    if (!opened) {
        ++counts.refused;
        BOOST_REQUIRE_MESSAGE(!opened.error().text.empty(), "a refusal says why");
        BOOST_REQUIRE_MESSAGE(!sound,
                              "check finds nothing where open says: " << opened.error().text);
        return;
    }
    if (!sound) ++counts.check_knows_more;
    const bool began_whole = (*opened)->engine().keyspace().whole();
    BOOST_REQUIRE_MESSAGE(bring_all_in(world, (*opened)->engine()), "the index is whole again");
    if (!began_whole) ++counts.waited;
    if ((*opened)->engine().index_fault()) ++counts.mended;
    const auto found = read_legible((*opened)->engine(), 4);
    if (!(*opened)->report().checkpoint_fault.empty()) ++counts.without_checkpoint;
    BOOST_REQUIRE_MESSAGE(found.unreadable == 0 || !sound,
                          "check finds nothing where a value cannot be read");
    for (auto i = specimen.versions.size(); i-- > oldest;) {
        if (!found.is_of(specimen.versions[i].values)) continue;
        ++(found.unreadable != 0  ? counts.illegible
           : i >= specimen.oldest ? counts.unharmed
                                  : counts.older);
        return;
    }
    std::size_t older = specimen.versions.size();
    for (std::size_t i = 0; i < oldest; ++i)
        if (found.is_of(specimen.versions[i].values)) older = i;
    BOOST_ERROR("opened with a state that is not allowed: "
                << (older < specimen.versions.size() ? "version " + std::to_string(older)
                                                     : std::string("none that ever was"))
                << ", allowed [" << oldest << ", " << specimen.versions.size() << "); check says "
                << (sound ? "sound" : "damaged"));
}

void try_one(const Specimen& specimen, const Damage& damage, Counts& counts, bool with_repair) {
    BOOST_TEST_CONTEXT("seed " << specimen.seed << (specimen.clean ? " clean" : " crashed") << ": "
                               << damage.kind << " " << damage.place) {
        hold_against(specimen, damage, counts, with_repair);
    }
}

Damage flip(const std::string& name, std::size_t at, unsigned bit) {
    return {.kind = "flip",
            .place = name + " byte " + std::to_string(at) + " bit " + std::to_string(bit),
            .apply = [=](auto& files) { files[name][at] ^= static_cast<char>(1U << bit); }};
}

Damage zero(const std::string& name, std::size_t at, std::size_t bytes) {
    return {.kind = "zero",
            .place = name + " [" + std::to_string(at) + ", +" + std::to_string(bytes) + ")",
            .apply = [=](auto& files) {
                auto& content = files[name];
                for (auto i = at; i < std::min(at + bytes, content.size()); ++i) content[i] = 0;
            }};
}

Damage truncate(const std::string& name, std::size_t bytes) {
    return {.kind = "truncate",
            .place = name + " to " + std::to_string(bytes),
            .apply = [=](auto& files) { files[name].resize(bytes); }};
}

Damage swap_blocks(const std::string& name, std::size_t a, const std::string& other, std::size_t b,
                   std::size_t bytes) {
    return {.kind = "swap",
            .place = name + " " + std::to_string(a) + " with " + other + " " + std::to_string(b),
            .apply = [=](auto& files) {
                auto& x = files[name];
                auto& y = files[other];
                for (std::size_t i = 0; i < bytes; ++i)
                    if (a + i < x.size() && b + i < y.size()) std::swap(x[a + i], y[b + i]);
            }};
}

Damage remove(const std::string& name) {
    return {.kind = "delete", .place = name, .apply = [=](auto& files) { files.erase(name); }};
}

Damage duplicate(const std::string& name, const std::string& as) {
    return {.kind = "duplicate", .place = name + " as " + as, .apply = [=](auto& files) {
                files[as] = files[name];
            }};
}

Damage random_damage(const Specimen& specimen, Rng& rng) {
    std::vector<std::pair<std::string, std::size_t>> names;
    for (const auto& [name, content] : specimen.files)
        if (used(content) > 0) names.emplace_back(name, used(content));
    const auto pick = [&] { return names[rng.below(names.size())]; };
    auto [name, bytes] = pick();
    const auto kind = rng.below(100);
    // The log's end: there it depends on the vouchers what is torn and what is damaged.
    if (kind < 30 && !specimen.last_log.empty()) {
        name = specimen.last_log;
        bytes = used(specimen.files.at(name));
        const auto at = bytes - 1 - rng.below(std::min<std::size_t>(bytes, 1500));
        if (kind < 24) return flip(name, at, static_cast<unsigned>(rng.below(8)));
        return truncate(name, at);
    }
    if (kind < 60) return flip(name, rng.below(bytes), static_cast<unsigned>(rng.below(8)));
    if (kind < 75) {
        const std::size_t size = rng.chance(50) ? 512 : 4096;
        return zero(name, rng.below(bytes) / size * size, size);
    }
    if (kind < 87) return truncate(name, rng.below(bytes));
    const auto [other, other_bytes] = pick();
    const std::size_t size = rng.chance(50) ? 512 : 4096;
    return swap_blocks(name, rng.below(bytes) / size * size, other,
                       rng.below(other_bytes) / size * size, size);
}

void print(const Counts& counts) {
    const auto n = [](std::uint64_t count) { return static_cast<unsigned long long>(count); };
    std::printf(
        "report: damaged stores: %llu, refused: %llu, unharmed: %llu, older but allowed: %llu, "
        "with values that are not served: %llu; the newest checkpoint left out: %llu, its parts "
        "made anew: %llu of %llu\n",
        n(counts.damages), n(counts.refused), n(counts.unharmed), n(counts.older),
        n(counts.illegible), n(counts.without_checkpoint), n(counts.mended), n(counts.waited));
    std::printf(
        "report:   check: sound %llu, damaged %llu, of them opened all the same %llu; "
        "repaired %llu\n",
        n(counts.checked_sound), n(counts.checked_damaged), n(counts.check_knows_more),
        n(counts.repaired));
    std::printf("report:  ");
    for (const auto& [kind, count] : counts.by_kind)
        std::printf(" %s %llu", kind.c_str(), n(count));
    std::printf("\n");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(corruption)

BOOST_AUTO_TEST_CASE(a_damaged_store_is_refused_or_opens_with_a_state_that_is_allowed) {
    const auto wanted =
        number_or("FIRNLOG_DAMAGES", volume({.usual = 2'400, .sanitized = 300, .full = 20'000}));
    Counts counts;
    const auto specimens = volume({.usual = 8, .sanitized = 4, .full = 8});
    std::uint64_t n = 0;
    for (const auto seed : Seeds(specimens)) {
        Rng rng{seed};
        const auto specimen = make_specimen(seed, seed % 2 != 0);
        try_one(specimen, {.kind = "none", .place = "", .apply = [](auto&) {}}, counts, true);
        std::string last;
        for (const auto& [name, content] : specimen.files) {
            try_one(specimen, remove(name), counts, true);
            if (!last.empty()) try_one(specimen, duplicate(last, name), counts, false);
            if (name.ends_with(".log"))
                try_one(specimen, duplicate(name, engine::names::log_file(4000)), counts, false);
            last = name;
            // The first block holds the most meaning.
            if (used(content) == 0) continue;
            try_one(specimen, zero(name, 0, 4096), counts, true);
            try_one(specimen, truncate(name, 0), counts, true);
        }
        for (std::uint64_t i = 0; i < wanted / specimens; ++i)
            try_one(specimen, random_damage(specimen, rng), counts, i % 16 == 0);
        if (!in_full() || ++n > 2) continue;
        for (const auto& [name, content] : specimen.files)
            for (std::size_t at = 0; at < used(content); ++at)
                try_one(specimen, flip(name, at, static_cast<unsigned>(rng.below(8))), counts,
                        false);
    }
    print(counts);
    BOOST_TEST(counts.refused > 0);
    BOOST_TEST(counts.unharmed > 0);
    BOOST_TEST(counts.older > 0);
    BOOST_TEST(counts.illegible > 0);
    BOOST_TEST(counts.without_checkpoint > 0);
    // Rare here, and too rare for a sample; waiting_test.cpp asks for nothing else.
    if (specimens == 8) BOOST_TEST(counts.mended > 0);
    BOOST_TEST(counts.checked_sound > 0);
    BOOST_TEST(counts.checked_damaged > 0);
    BOOST_TEST(counts.repaired > 0);
    for (const char* kind : {"none", "flip", "zero", "truncate", "swap", "delete", "duplicate"})
        BOOST_TEST(counts.by_kind[kind] > 0, "no damage of kind " << kind);
}

BOOST_AUTO_TEST_CASE(whichever_byte_of_a_small_store_flips_no_wrong_value_is_served) {
    const auto step = volume({.usual = 1, .sanitized = 11, .full = 1});
    Counts counts;
    Rng rng{seed_or(1)};
    for (const bool clean : {true, false}) {
        const auto tiny = make_tiny(clean);
        for (const auto& [name, content] : tiny.files) {
            // And some of the zeros behind, where the next frame would stand.
            const auto end = std::min(used(content) + 80, content.size());
            for (std::size_t at = 0; at < end; at += step)
                try_one(tiny, flip(name, at, static_cast<unsigned>(rng.below(8))), counts,
                        at % 97 == 0);
        }
    }
    print(counts);
    BOOST_TEST(counts.damages * step > 2'000);
    BOOST_TEST(counts.refused > counts.damages / 2);
    BOOST_TEST(counts.unharmed > 0);
    BOOST_TEST(counts.older > 0);
}

// No value is wrong for it, yet it is believed: when a frame was committed decides what a moment of
// the past is, what was durable by then which damage is refused.
BOOST_AUTO_TEST_CASE(no_byte_of_a_frames_header_is_believed_that_was_not_written) {
    const auto tiny = make_tiny(true);
    const auto log = tiny.files.at(tiny.last_log);
    std::size_t frames = 0;
    for (std::size_t at = engine::kSegmentHeaderBytes; at < used(log); ++frames) {
        const auto frame = load<engine::FrameHeader>(as_bytes(log).data() + at);
        BOOST_REQUIRE(frame.magic == engine::kFrameMagic);
        for (std::size_t i = 0; i < engine::kFrameHeaderBytes; ++i) {
            auto files = tiny.files;
            flip(tiny.last_log, at + i, i % 8).apply(files);
            World world{{.seed = tiny.seed}, disk_of(files)};
            const auto checked = check(world.files());
            BOOST_REQUIRE_MESSAGE(checked && !checked->sound(),
                                  "frame " << frames << " byte " << i);
            const auto opened = open(world.files(), world.clock(), small_options());
            BOOST_REQUIRE_MESSAGE(!opened.has_value(), "frame " << frames << " byte " << i);
            BOOST_REQUIRE((opened.error().error.code == Code::damaged));
        }
        at += engine::kFrameHeaderBytes + frame.length;
    }
    BOOST_TEST(frames > 3U);
}

// What is allowed above goes by the vouchers: a log that vouches for nothing may lose anything. So
// they must be there.
BOOST_AUTO_TEST_CASE(what_is_durable_is_vouched_for_by_the_next_frame) {
    const auto tiny = make_tiny(false);
    World world{{.seed = tiny.seed}, disk_of(tiny.files)};
    const auto looked = survey(world.files(), {});
    BOOST_REQUIRE(looked.has_value());
    // All but the last batch, behind which nothing was written.
    BOOST_REQUIRE(tiny.versions.size() > 2);
    BOOST_TEST((looked->vouched >= tiny.versions[tiny.versions.size() - 2].end));
    BOOST_TEST((looked->vouched < tiny.versions.back().end));
}

// A clean stop says that all of the log is durable; the start behind it makes the manifest anew,
// and was once the end of that knowledge: damage far before the log's end was cut off as a torn
// tail.
BOOST_AUTO_TEST_CASE(what_a_clean_stop_vouched_for_is_missed_after_the_next_start_too) {
    World world{{.seed = 11}};
    auto opened = open(world.files(), world.clock(), small_options());
    BOOST_REQUIRE(opened.has_value());
    Subject subject(world, std::move(*opened));
    subject.lazy(true);
    for (int i = 0; i < 50; ++i)
        BOOST_REQUIRE(subject.set("key" + std::to_string(i), std::string(100, 'v')));
    BOOST_REQUIRE(subject.stop_cleanly());
    Rng rng{11};
    World again{{.seed = 12}, world.image(Cut::none, rng)};
    auto started = open(again.files(), again.clock(), small_options());
    BOOST_REQUIRE(started.has_value());
    const auto killed = again.image(Cut::kill, rng);
    std::map<std::string, std::string> files;
    for (const auto& name : killed.names()) files[name] = killed.content(name);
    const auto log = engine::names::log_file(1);
    const auto content = files.at(log);
    const auto first = engine::kSegmentHeaderBytes;
    BOOST_REQUIRE(used(content) > first + 5000);
    for (auto at = first; at < used(content); at += 97) {
        files[log] = content;
        files[log][at] = static_cast<char>(content[at] ^ 1);
        World after{{.seed = 13}, disk_of(files)};
        const auto refused = open(after.files(), after.clock(), small_options());
        BOOST_REQUIRE_MESSAGE(!refused.has_value(), "offset " << at);
        BOOST_TEST((refused.error().error.code == Code::damaged));
        World looked{{.seed = 13}, disk_of(files)};
        const auto checked = check(looked.files());
        BOOST_REQUIRE(checked.has_value());
        BOOST_TEST(!checked->survey.faults.empty());
    }
}

BOOST_AUTO_TEST_CASE(what_a_crash_leaves_is_sound_to_check_and_checking_changes_nothing) {
    std::uint64_t looked = 0;
    std::uint64_t torn = 0;
    const auto step = volume({.usual = 3, .sanitized = 29, .full = 1});
    for (const auto seed : Seeds(3)) {
        World world{{.seed = seed}};
        auto opened = open(world.files(), world.clock(), small_options());
        BOOST_REQUIRE(opened.has_value());
        world.on_operation([&](const sim::Operation& at) {
            if (!sim::changes_disk(at.kind) || (at.number + seed) % step != 0) return;
            for (const auto cut : sim::kCuts) {
                Rng own{seed * 1000 + at.number};
                World after{{.seed = seed}, world.image(cut, own)};
                const auto before = after.disk().digest();
                const auto checked = check(after.files());
                ++looked;
                BOOST_REQUIRE(checked.has_value());
                for (const auto& fault : checked->survey.faults)
                    BOOST_ERROR(fault.line() << " seed " << seed << " operation " << at.number
                                             << " cut " << sim::text(cut));
                BOOST_REQUIRE(after.disk().digest() == before);
                if (checked->survey.torn_bytes != 0) ++torn;
            }
        });
        Subject subject(world, std::move(*opened));
        subject.lazy(seed == 2);
        Rng rng{seed};
        BOOST_REQUIRE(workload(world, subject, rng));
        world.on_operation({});
    }
    std::printf("report: crashed stores checked: %llu, with a torn tail: %llu\n",
                static_cast<unsigned long long>(looked), static_cast<unsigned long long>(torn));
    BOOST_TEST(looked > 0);
    BOOST_TEST(torn > 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
