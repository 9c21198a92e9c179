// T1: the simulated world crashes at every I/O operation of a workload that takes every path there
// is, in every way a crash can happen; what recovery makes of it is held against the model.

#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/format/layouts.hpp"
#include "engine/format/names.hpp"
#include "recovery/archive_files.hpp"
#include "recovery/archiver.hpp"
#include "recovery/backup.hpp"
#include "recovery/history.hpp"
#include "recovery/survey.hpp"
#include "tests/environment.hpp"
#include "tests/recovery/lived.hpp"
#include "tests/recovery/subject.hpp"
#include "tests/recovery/workload.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::recovery {
namespace {

using sim::Cut;
using sim::Rng;
using sim::World;

// How many crashes, and what they met.
struct Campaign {
    // Looks at every which operation, and at the first few of a kind in a phase anyway.
    std::uint64_t step = 1;
    std::uint64_t seed = 0;
    std::uint64_t crashes = 0;
    std::uint64_t nested = 0;
    std::uint64_t resumed = 0;
    std::uint64_t torn = 0;
    std::uint64_t freed = 0;             // bytes given back
    std::uint64_t relocated = 0;         // records
    std::uint64_t copied = 0;            // images
    std::uint64_t recycled = 0;          // segments made of others
    std::uint64_t stale = 0;             // crashes that left such ones in the log
    std::uint64_t archives = 0;          // compared over the crash, and
    std::uint64_t archived_records = 0;  // what they held
    std::uint64_t pasts = 0;             // moments from before a crash, opened behind it,
    std::uint64_t stored_pasts = 0;      // in backups and archives that were made there
    std::map<std::string, std::uint64_t> by_mode;
    sim::Tally tally;  // by phase and kind
    std::set<std::string> phases;

    void count(const std::string& phase, sim::Kind kind) {
        ++crashes;
        ++under_way.crashes;
        tally.count(phase, kind);
    }

    [[nodiscard]] bool wants(const std::string& phase, const sim::Operation& at) const {
        return (at.number + seed) % step == 0 ||
               tally.of(phase, at.kind) < 4 * std::size(sim::kCuts);
    }

    void print() const {
        std::printf(
            "report: simulated crashes: %llu, of them inside recovery: %llu, gone on and "
            "restarted: %llu, torn tails cut: %llu\n",
            static_cast<unsigned long long>(crashes), static_cast<unsigned long long>(nested),
            static_cast<unsigned long long>(resumed), static_cast<unsigned long long>(torn));
        std::printf(
            "report:   bytes given back: %llu, records moved: %llu, images copied: %llu, segments "
            "used again: %llu, crashes with such ones in the log: %llu\n",
            static_cast<unsigned long long>(freed), static_cast<unsigned long long>(relocated),
            static_cast<unsigned long long>(copied), static_cast<unsigned long long>(recycled),
            static_cast<unsigned long long>(stale));
        std::printf(
            "report:   moments from before a crash opened behind it: %llu, in a backup or an "
            "archive "
            "made behind it: %llu\n",
            static_cast<unsigned long long>(pasts), static_cast<unsigned long long>(stored_pasts));
        std::printf("report:   archives held against what follows: %llu, records in them: %llu;",
                    static_cast<unsigned long long>(archives),
                    static_cast<unsigned long long>(archived_records));
        for (const auto& [mode, count] : by_mode)
            std::printf(" %s %llu", mode.c_str(), static_cast<unsigned long long>(count));
        std::printf("\n");
        tally.print_lines(stdout, "report:   simulated crashes");
    }
};

// G18: what somebody may have copied of the log up to this moment, by lsn. Up to `durable` an
// archive has it for sure, behind that a reader may have seen it.
struct Archive {
    engine::Lsn durable;
    engine::Lsn first;                               // the log before was given back
    std::map<std::uint64_t, std::uint64_t> records;  // lsn -> digest
};

Archive archive_of(sim::Disk disk, engine::Lsn durable) {
    Archive archive{.durable = durable, .records = {}};
    World world{{.seed = 1, .phase = "archive"}, std::move(disk)};
    const auto note = [&](const engine::Record& record, const engine::Keyspace::Place& place) {
        auto& sum = archive.records[place.lsn.value];
        sum = 0xcbf29ce484222325;
        const auto mix = [&](std::string_view bytes) {
            for (const char byte : bytes)
                sum = (sum ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
            sum = (sum ^ 0x1ff) * 0x100000001b3;
        };
        mix(std::to_string(static_cast<int>(record.kind)) + "/" + std::to_string(record.kid) + "/" +
            std::to_string(record.expires_ms) + "/" + std::to_string(record.oid.value));
        mix(record.key);
        mix(record.value);
    };
    const auto surveyed = survey(world.files(), {.record = note});
    if (surveyed) archive.first = surveyed->manifest.first_lsn;
    return archive;
}

// What the store has written since never contradicts the archive, and has all that was durable.
void hold_against(const Archive& archive, const Archive& now, Campaign& campaign) {
    ++campaign.archives;
    campaign.archived_records += archive.records.size();
    for (const auto& [lsn, digest] : archive.records) {
        const auto found = now.records.find(lsn);
        if (found == now.records.end())
            BOOST_REQUIRE_MESSAGE(lsn >= archive.durable.value || lsn < now.first.value,
                                  "a durable record stays where it was: lsn " << lsn);
        else
            BOOST_REQUIRE_MESSAGE(found->second == digest, "lsn " << lsn << " names two things");
    }
}

// A segment in use has bytes behind its frames that were log before.
bool has_stale(World& world) {
    for (const auto& name : world.disk().names()) {
        if (!engine::names::log_number(name)) continue;
        const auto content = world.disk().content(name);
        if (content.size() < engine::kSegmentHeaderBytes) continue;
        const auto bytes = as_bytes(content);
        const auto header = load<engine::layouts::Segment>(bytes.data());
        if (header.base.value != 0 && header.stale.value != 0) return true;
    }
    return false;
}

// G14: what was before a crash can be opened behind it, in the store, in a backup and in an
// archive.
void hold_past(World& after, Subject& subject, std::vector<Version> versions, Rng& rng,
               Campaign& campaign) {
    drop_lost(subject.store(), versions);
    const auto& lately = subject.versions();
    versions.insert(versions.end(), lately.begin(), lately.end());
    const auto history = History::read(after.files());
    BOOST_REQUIRE_MESSAGE(history.has_value(), (history ? "" : history.error().text));
    const auto oldest = (*history)->oldest();
    std::erase_if(versions, [&](const Version& version) { return version.end < oldest; });
    BOOST_REQUIRE(!versions.empty());
    const auto hold = [&](io::Files& files, int moments, std::uint64_t& count) {
        BOOST_REQUIRE(digest_at(files, versions.back().end) == versions.back().digest);
        for (int n = 1; n < moments; ++n) {
            const auto& version = versions[rng.below(versions.size())];
            BOOST_TEST_CONTEXT("the moment of lsn " << version.end.value) {
                BOOST_REQUIRE(digest_at(files, version.end) == version.digest);
            }
        }
        count += static_cast<std::uint64_t>(moments);
    };
    hold(after.files(), 3, campaign.pasts);
    World backups{{.seed = 1, .phase = "backup"}};
    const auto taken = take_backup(after.files(), backups.files(), after.clock(),
                                   {.name = "one", .progress = {}, .give_up = {}});
    BOOST_REQUIRE_MESSAGE(taken.has_value(), (taken ? "" : taken.error().text));
    hold(*open_backup(backups.files(), *find_backup(backups.files(), "one")), 2,
         campaign.stored_pasts);
    World shelf{{.seed = 1, .phase = "archive"}};
    Archiver archiver(after.files(), {.to = &shelf.files(),
                                      .durable = [&] { return subject.engine().log.durable(); }});
    BOOST_REQUIRE(archiver.begin().has_value());
    const auto brought = archiver.round(Archiver::Bring::all);
    BOOST_REQUIRE_MESSAGE(brought.has_value(), (brought ? "" : brought.error().text));
    const auto archive = ArchiveFiles::open(shelf.files(), {});
    BOOST_REQUIRE_MESSAGE(archive.has_value(), (archive ? "" : archive.error().text));
    hold(**archive, 2, campaign.stored_pasts);
}

// Opens what a crash left and holds it against the versions [oldest, newest].
void check_image(World& after, const std::vector<Version>& versions, std::size_t oldest,
                 std::uint64_t seed, Campaign& campaign, const Archive* archive) {
    const bool had_stale = has_stale(after);
    auto opened = open(after.files(), after.clock(), small_options());
    // A crash inside recovery was looked at on the way; what follows is another story.
    after.on_operation({});
    BOOST_REQUIRE_MESSAGE(opened.has_value(), "a crash never makes a store that is refused: "
                                                  << (opened ? "" : opened.error().text));
    if ((*opened)->report().torn_bytes != 0) ++campaign.torn;
    if (had_stale) ++campaign.stale;
    // A power cut on a real disk found a tail written anew that was taken to be as long as the file
    // it came from: a read of its last records went past the end of the map, and the server died.
    for (const auto* segment : (*opened)->engine().segments().all())
        if (segment->map != nullptr) BOOST_REQUIRE_LE(segment->bytes, segment->map->bytes().size());
    const auto found = digest(read_all((*opened)->engine(), 4));
    std::size_t version = versions.size();
    for (std::size_t i = versions.size(); i-- > oldest;)
        if (versions[i].digest == found) {
            version = i;
            break;
        }
    if (version == versions.size()) {
        std::size_t older = versions.size();
        for (std::size_t i = 0; i < oldest; ++i)
            if (versions[i].digest == found) older = i;
        BOOST_FAIL(
            "the recovered state is no version in ["
            << oldest << ", " << versions.size() << ") but "
            << (older < versions.size() ? std::to_string(older) : std::string("none at all")));
    }
    if (archive == nullptr) return;
    ++campaign.resumed;
    Subject subject(after, std::move(*opened));
    BOOST_REQUIRE(subject.set("after the crash", "1"));
    BOOST_REQUIRE(subject.hash_set("after the crash, a hash", "f", "v"));
    BOOST_REQUIRE(subject.sync());
    const auto lsn = subject.engine().log.durable();
    const auto expected = digest(subject.model());
    Rng copying{seed};
    hold_against(*archive, archive_of(after.image(Cut::none, copying), lsn), campaign);
    // A sixth of them: it takes as long as dozens of crashes.
    if (copying.below(6) == 0) hold_past(after, subject, versions, copying, campaign);
    const bool clean = seed % 2 == 0;
    if (clean) BOOST_REQUIRE(subject.stop_cleanly());
    Rng rng{seed};
    World third{{.seed = seed}, after.image(clean ? Cut::none : Cut::random, rng)};
    auto reopened = open(third.files(), third.clock(), small_options());
    BOOST_REQUIRE_MESSAGE(reopened.has_value(), (reopened ? "" : reopened.error().text));
    BOOST_REQUIRE_EQUAL((*reopened)->report().clean, clean);
    BOOST_REQUIRE(digest(read_all((*reopened)->engine(), 4)) == expected);
    BOOST_REQUIRE((*reopened)->engine().log.durable() >= lsn);
}

void run_campaign(std::uint64_t seed, Campaign& campaign) {
    World world{{.seed = seed}};
    campaign.seed = seed;
    Subject* subject = nullptr;
    const bool lazy = seed % 2 == 0;
    // The first two, one a mode, give back what nobody needs; of the others every second one.
    const bool keeps = seed % 4 == 3 || seed % 4 == 0;
    std::vector<Version> none{{.end = {}, .digest = digest(Model{}), .values = {}}};
    const auto hook = [&](const sim::Operation& at) {
        if (!sim::changes_disk(at.kind) || !campaign.wants(world.phase(), at)) return;
        const std::vector<Version> versions = subject == nullptr ? none : subject->versions();
        // All is drawn from these: a campaign that begins with this seed meets the same crash.
        for (const auto cut : sim::kCuts)
            BOOST_TEST_CONTEXT("crash at operation " << at.number << ", " << sim::text(at.kind)
                                                     << " in phase " << world.phase() << ", cut "
                                                     << sim::text(cut)) {
                Rng rng{seed * 1'000'003 + at.number * 7 + static_cast<std::uint64_t>(cut)};
                const auto oldest = subject == nullptr ? 0 : subject->acked(cut == Cut::kill);
                const auto own_seed = rng.next();
                World after{{.seed = own_seed, .phase = "recovery"}, world.image(cut, rng)};
                campaign.count(world.phase(), at.kind);
                ++campaign.by_mode[lazy ? "everysec" : "always"];
                // Some of them crash again inside recovery, at one of its operations.
                const auto target = 1 + rng.below(40);
                std::uint64_t seen = 0;
                if (rng.below(5) == 0) {
                    after.on_operation([&](const sim::Operation& inner) {
                        if (!sim::changes_disk(inner.kind) || ++seen != target) return;
                        campaign.count("recovery", inner.kind);
                        ++campaign.nested;
                        const auto then = cut == Cut::kill ? Cut::kill : Cut::random;
                        World again{{.seed = own_seed + 1, .phase = "recovery"},
                                    after.image(then, rng)};
                        BOOST_TEST_CONTEXT("and in recovery at operation "
                                           << inner.number << ", " << sim::text(inner.kind)
                                           << ", cut " << sim::text(then)) {
                            check_image(again, versions, oldest, own_seed, campaign, nullptr);
                        }
                    });
                }
                std::optional<Archive> archive;
                if (subject != nullptr && rng.below(16) == 0)
                    archive = archive_of(world.disk().copy(), subject->engine().log.durable());
                check_image(after, versions, oldest, own_seed, campaign,
                            archive ? &*archive : nullptr);
            }
    };
    world.on_operation(hook);
    world.phase("create");
    auto opened = open(world.files(), world.clock(), small_options(keeps));
    BOOST_REQUIRE(opened.has_value());
    Subject under_test(world, std::move(*opened));
    under_test.lazy(lazy);
    subject = &under_test;
    Rng rng{seed};
    BOOST_REQUIRE(workload(world, under_test, rng));
    const auto freed = under_test.engine().walk.status().freed_bytes;
    BOOST_TEST((freed == 0) == keeps);
    campaign.freed += freed;
    const auto relocated = under_test.engine().walk.status().relocated.records;
    BOOST_TEST((relocated == 0) == keeps);
    campaign.relocated += relocated;
    const auto copied = under_test.engine().walk.status().copied;
    BOOST_TEST((copied == 0) == keeps);
    campaign.copied += copied;
    const auto recycled = under_test.engine().supply.made().recycled;
    BOOST_TEST((recycled == 0) == keeps);
    campaign.recycled += recycled;
    world.on_operation({});
    campaign.phases.insert(world.phases().begin(), world.phases().end());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(crash)

BOOST_AUTO_TEST_CASE(a_crash_at_any_operation_leaves_a_version_that_was_acknowledged_or_asked_for) {
    const auto wanted = number_or("FIRNLOG_CRASHES",
                                  volume({.usual = 10'000, .sanitized = 1'000, .full = 1'000'000}));
    Campaign campaign{.step = volume({.usual = 1, .sanitized = 11, .full = 1})};
    // Two seeds at least: one a mode.
    std::uint64_t runs = 0;
    for (const auto seed : Seeds(wanted)) {
        run_campaign(seed, campaign);
        if (++runs >= 2 && campaign.crashes >= wanted) break;
    }
    campaign.print();
    BOOST_TEST(campaign.nested > 0);
    BOOST_TEST(campaign.resumed > 0);
    BOOST_TEST(campaign.torn > 0);
    BOOST_TEST(campaign.archives > 0);
    BOOST_TEST(campaign.pasts > 0);
    BOOST_TEST(campaign.stored_pasts > 0);
    BOOST_TEST(campaign.archived_records > campaign.archives);
    for (const char* mode : {"always", "everysec"})
        BOOST_TEST(campaign.by_mode[mode] > 0, "no crash in mode " << mode);
    // What was asked of the disk in each phase. A phase of the workload that is not here is told.
    using enum sim::Kind;
    const std::map<std::string, std::vector<sim::Kind>> met{
        {"create", {create, write, allocate, sync, sync_dir, rename, unlink, lock}},
        {"serve", {write, write_sync, fsync}},
        {"multi", {write, write_sync, fsync}},
        {"group", {write, write_sync, fsync}},
        {"expire", {write_sync, fsync}},
        {"rename", {write_sync, fsync}},
        {"flushall", {write_sync, fsync}},
        {"big", {create, write, write_sync, fsync, allocate, sync, sync_dir}},
        {"rotate", {create, write, write_sync, fsync, allocate, sync, sync_dir}},
        {"release", {create, write, allocate, sync, sync_dir}},
        // A checkpoint: its file begun, written and synced, its name made durable, the manifest
        // switched, the one before the last let go.
        {"image", {create, write, sync, sync_dir, rename, unlink, write_sync, fsync}},
        {"overwrite", {create, write, write_sync, fsync, allocate, sync, sync_dir, rename}},
        // Of giving back: packed segments made, segments unlinked behind the switch.
        {"reclaim", {create, write, write_sync, fsync, sync, rename, unlink, sync_dir}},
        {"voucher", {write_sync, fsync}},
        {"stop", {create, write, sync, sync_dir, rename, unlink}},
        {"recovery", {create, write, sync, sync_dir, rename, unlink, lock}}};
    for (const auto& phase : campaign.phases)
        BOOST_TEST((met.contains(phase) || phase == "start"), "no crash is asked for in " << phase);
    for (const auto& [phase, kinds] : met)
        for (const auto kind : kinds)
            BOOST_TEST(campaign.tally.of(phase, kind) > 0,
                       "no crash in " << phase << " at " << sim::text(kind));
    BOOST_TEST(campaign.freed > 0);
    BOOST_TEST(campaign.relocated > 0);
    BOOST_TEST(campaign.copied > 0);
    BOOST_TEST(campaign.recycled > 0);
    BOOST_TEST(campaign.stale > 0);
}

BOOST_AUTO_TEST_CASE(the_same_seed_gives_the_same_run_bit_for_bit) {
    std::uint64_t digests[2] = {};
    for (auto& trace : digests) {
        World world{{.seed = 42}};
        auto opened = open(world.files(), world.clock(), small_options());
        BOOST_REQUIRE(opened.has_value());
        Subject subject(world, std::move(*opened));
        Rng rng{42};
        BOOST_REQUIRE(workload(world, subject, rng));
        trace = world.trace().digest();
    }
    BOOST_TEST(digests[0] == digests[1]);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
