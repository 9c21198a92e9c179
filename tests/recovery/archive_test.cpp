// G14, G18: an archive is the model at each of its moments, whoever dies at whatever operation,
// whatever fails, and after the store has gone on from a crash or from one of its moments. What
// counts as archived stays so; what is not durable is not there; a gap is told of.

#include <boost/test/unit_test.hpp>
#include <map>

#include "recovery/archive_files.hpp"
#include "recovery/archiver.hpp"
#include "recovery/check.hpp"
#include "recovery/history.hpp"
#include "recovery/restore.hpp"
#include "tests/recovery/archived_store.hpp"
#include "tests/sim/ordeal.hpp"

namespace firnlog::recovery {
namespace {

using engine::Lsn;
using sim::Kind;
using sim::World;
using Bring = Archiver::Bring;

}  // namespace

BOOST_AUTO_TEST_SUITE(archive_)

BOOST_AUTO_TEST_CASE(an_archive_is_the_model_at_each_of_its_moments_over_crashes_of_the_store) {
    for (const auto seed : Seeds(volume({.usual = 12, .sanitized = 3, .full = 400}))) {
        ArchiveShelf shelf;
        ArchivedStore store(seed, seed % 2 == 0);
        live(store, shelf, 4);
        BOOST_REQUIRE(store.change(20));
        const auto archiver = shelf.archiver(store.world, *store.subject);
        require(archiver->begin());
        require(archiver->round(Bring::all));
        BOOST_REQUIRE(archiver->position() == store.subject->engine().log.durable());
        BOOST_REQUIRE(shelf.end() == store.versions.back().end);
        shelf.is_of(store.versions, store.rng, 12);
        BOOST_TEST(archiver->counts().gaps == 0U);
        // Without the window's help: the archive goes back to where it began.
        BOOST_REQUIRE(shelf.oldest() == engine::kFirstLsn);

        const auto whole = shelf.view();
        const auto checked = check(*whole);
        BOOST_REQUIRE(checked.has_value());
        BOOST_REQUIRE_MESSAGE(checked->sound(),
                              (checked->sound() ? "" : checked->survey.faults.front().text));

        // And a store of its own comes out of it.
        World other({.seed = seed});
        RestoreOptions options;
        options.ttl = Ttl::keep;
        const auto& version = store.versions[store.rng.below(store.versions.size())];
        options.moment = at_lsn(version.end);
        const auto files = shelf.view(options.moment);
        const auto restored = restore(*files, other.files(), other.clock(), other.io(), options);
        BOOST_REQUIRE_MESSAGE(restored.has_value(), (restored ? "" : restored.error().text));
        auto opened = open(other.files(), other.clock(), small_options());
        BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
        BOOST_REQUIRE(bring_all_in(other, (*opened)->engine()));
        BOOST_REQUIRE(digest(read_all((*opened)->engine(), kArchivedDatabases)) == version.digest);
    }
}

// A try of the second round: what counted in it.
struct Bringing : ArchiveShelf {
    using ArchiveShelf::ArchiveShelf;
    Lsn reached;
};

// A second round that has all there is to do: pieces, full segments, a checkpoint, manifests.
struct Prepared {
    explicit Prepared(std::uint64_t seed) : store(seed, seed % 2 == 0) {
        store.open_store();
        BOOST_REQUIRE(store.change(30));
        const auto archiver = shelf.archiver(store.world, *store.subject);
        require(archiver->begin());
        require(archiver->round(Bring::all));
        BOOST_REQUIRE(store.change(5));
        require(archiver->round(Bring::all));
        position = archiver->position();
        BOOST_REQUIRE(store.change(60));
        BOOST_REQUIRE(store.checkpoint());
        BOOST_REQUIRE(store.change(25));
    }
    // As a server does: one that failed begins anew.
    Opening<void> bring(Bringing& to) {
        const auto archiver = to.archiver(store.world, *store.subject);
        if (auto begun = archiver->begin(); !begun) return begun;
        auto brought = archiver->round(Bring::all);
        to.reached = std::max(to.reached, archiver->position());
        return brought;
    }
    // What was counted is there, and it is one moment of the model; the next round ends as it
    // should.
    void judge(Bringing& to) {
        BOOST_REQUIRE(to.end() >= store.moment_before(std::max(position, to.reached)));
        to.is_of(store.versions, store.rng, 1);
        require(bring(to));
        const auto& now = store.versions.back();
        BOOST_REQUIRE(to.end() == now.end);
        to.is_at(now);
    }
    sim::Ordeal<Bringing> ordeal() {
        return {
            .name = "archiving",
            .make = [this] { return std::make_unique<Bringing>(99, shelf.world.disk().copy()); },
            .work = [this](Bringing& to) { return bring(to).has_value(); },
            .judge = [this](Bringing& to, const sim::Tried&) { judge(to); },
            .seed = seed_or(1),
            .twice_percent = 20};
    }

    ArchiveShelf shelf;
    ArchivedStore store;
    Lsn position;
};

BOOST_AUTO_TEST_CASE(a_crash_at_any_operation_takes_back_nothing_that_counted) {
    for (const auto seed : Seeds(volume({.usual = 1, .sanitized = 1, .full = 20}))) {
        Prepared prepared(seed);
        auto ordeal = prepared.ordeal();
        ordeal.seed = seed;
        ordeal.step = volume({.usual = 2, .sanitized = 13, .full = 1});
        const auto trials = ordeal.crashes();
        trials.print();
        trials.met("archive",
                   {Kind::create, Kind::write, Kind::sync, Kind::rename, Kind::sync_dir});
        BOOST_TEST(trials.twice > 0U);
    }
}

BOOST_AUTO_TEST_CASE(an_operation_that_fails_costs_time_and_nothing_else) {
    Prepared prepared(seed_or(3));
    auto ordeal = prepared.ordeal();
    ordeal.step = volume({.usual = 1, .sanitized = 7, .full = 1});
    const auto trials = ordeal.failures();
    trials.print();
    trials.met("archive", {Kind::create, Kind::open, Kind::read, Kind::write, Kind::sync,
                           Kind::rename, Kind::sync_dir, Kind::list});
}

// As in the store itself (past_test.cpp): the archiver called a log damaged that had nothing in its
// first timeline.
BOOST_AUTO_TEST_CASE(a_store_that_was_killed_before_its_first_write_is_archived_from_its_birth_on) {
    ArchiveShelf shelf;
    ArchivedStore store(12);
    store.open_store();
    store.world.crash_now();
    store.subject.reset();
    store.world.restart(sim::Cut::kill, store.rng);
    store.open_store();
    BOOST_REQUIRE(store.change(20));
    auto archiver = shelf.archiver(store.world, *store.subject);
    require(archiver->begin());
    require(archiver->round(Bring::all));
    BOOST_REQUIRE(archiver->has_base());
    BOOST_REQUIRE(shelf.end() == store.versions.back().end);
    BOOST_REQUIRE(shelf.oldest() == engine::kFirstLsn);
    shelf.is_of(store.versions, store.rng, 8);
    // One that begins anew goes on with it.
    BOOST_REQUIRE(store.change(5));
    archiver.reset();
    archiver = shelf.archiver(store.world, *store.subject);
    require(archiver->begin());
    BOOST_REQUIRE(archiver->has_base());
    require(archiver->round(Bring::all));
    BOOST_TEST(archiver->counts().gaps == 0U);
    shelf.is_at(store.versions.back());
}

// Written, and told to nobody: a crash of the store may take it back.
BOOST_AUTO_TEST_CASE(what_is_not_durable_is_not_there) {
    for (const auto seed : Seeds(5)) {
        ArchiveShelf shelf;
        ArchivedStore store(seed);
        store.open_store();
        store.subject->lazy(true);
        BOOST_REQUIRE(store.change(10));
        for (int i = 0; i < 5; ++i) {
            BOOST_REQUIRE(store.change());
            store.subject->kick();
            store.world.pass(2000);
        }
        const auto& log = store.subject->engine().log;
        const auto archiver = shelf.archiver(store.world, *store.subject);
        require(archiver->begin());
        require(archiver->round(Bring::all));
        BOOST_REQUIRE(archiver->position() <= log.durable());
        BOOST_REQUIRE(shelf.end() <= log.durable());
    }
}

// The archive has two lines then, and each is whole.
BOOST_AUTO_TEST_CASE(a_store_that_goes_on_from_a_moment_of_another_shares_its_archive) {
    for (const auto seed : Seeds(7)) {
        ArchiveShelf shelf;
        ArchivedStore first(seed);
        live(first, shelf, 2);
        BOOST_REQUIRE(first.change(40));
        {
            const auto archiver = shelf.archiver(first.world, *first.subject);
            require(archiver->begin());
            require(archiver->round(Bring::all));
        }
        ArchivedStore second(seed + 100);
        RestoreOptions options;
        options.ttl = Ttl::keep;
        const auto middle = first.versions.size() / 2 + first.rng.below(20);
        const auto moment = first.versions[std::min(middle, first.versions.size() - 1)];
        options.moment = at_lsn(moment.end);
        {
            const auto files = shelf.view(options.moment);
            BOOST_REQUIRE(restore(*files, second.world.files(), second.world.clock(),
                                  second.world.io(), options)
                              .has_value());
        }
        second.open_store();
        const auto old = first.subject->engine().manifest().timelines.back().timeline;
        const auto now = second.subject->engine().manifest().timelines.back().timeline;
        BOOST_REQUIRE(old != now);
        BOOST_REQUIRE(second.change(50));
        BOOST_REQUIRE(second.checkpoint());
        const auto archiver = shelf.archiver(second.world, *second.subject);
        require(archiver->begin());
        require(archiver->round(Bring::all));
        BOOST_REQUIRE(shelf.end() == second.versions.back().end);
        for (int n = 0; n < 4; ++n) {
            shelf.is_at(second.versions[second.rng.below(second.versions.size())], now);
            // Of the one that was left, too, beyond the moment where they part.
            const auto& version = first.versions[first.rng.below(first.versions.size())];
            auto timeline = old;
            for (const auto& entry : first.subject->engine().manifest().timelines)
                if (entry.begin < version.end) timeline = entry.timeline;
            shelf.is_at(version, timeline);
        }
        shelf.is_at(first.versions.back(), old);
    }
}

BOOST_AUTO_TEST_CASE(what_the_store_gave_up_before_it_was_archived_is_a_gap_and_is_refused) {
    for (const auto seed : Seeds(2)) {
        ArchiveShelf shelf;
        ArchivedStore store(seed, false);
        store.open_store();
        BOOST_REQUIRE(store.change(30));
        const auto archiver = shelf.archiver(store.world, *store.subject);
        require(archiver->begin());
        require(archiver->round(Bring::all));
        const auto before = store.versions.back();
        // As if its disk had no room.
        store.subject->engine().walk.unarchived({std::uint64_t{1} << 60});
        for (int i = 0; i < 7; ++i) {
            BOOST_REQUIRE(store.change(100));
            BOOST_REQUIRE(store.checkpoint());
        }
        BOOST_REQUIRE(store.change(10));
        const auto lost = store.versions[before.end == Lsn{} ? 0 : 45];
        require(archiver->round(Bring::all));
        BOOST_TEST(archiver->counts().gaps == 1U);
        BOOST_REQUIRE(archiver->gap().has_value());
        BOOST_REQUIRE(archiver->gap()->from == before.end);
        BOOST_TEST(archiver->has_base());
        shelf.is_at(store.versions.back());
        shelf.is_at(before);
        BOOST_REQUIRE(lost.end > before.end && lost.end < archiver->gap()->to);
        const auto told = shelf.digest_at(at_lsn(lost.end));
        BOOST_REQUIRE(!told.has_value());
        BOOST_TEST(told.error().text.find("gap") != std::string::npos, told.error().text);
        BOOST_TEST(told.error().exit_code() == 1);
    }
}

BOOST_AUTO_TEST_CASE(log_that_is_not_archived_yet_stays_beyond_the_window) {
    ArchiveShelf shelf;
    ArchivedStore store(4, false);
    store.open_store();
    BOOST_REQUIRE(store.change(30));
    const auto archiver = shelf.archiver(store.world, *store.subject);
    require(archiver->begin());
    require(archiver->round(Bring::all));
    store.subject->engine().walk.unarchived(archiver->needs());
    for (int i = 0; i < 4; ++i) {
        BOOST_REQUIRE(store.change(80));
        BOOST_REQUIRE(store.checkpoint());
    }
    BOOST_REQUIRE(store.subject->engine().manifest().first_lsn <= archiver->needs());
    require(archiver->round(Bring::all));
    BOOST_TEST(archiver->counts().gaps == 0U);
    shelf.is_of(store.versions, store.rng, 6);
    // And goes then.
    store.subject->engine().walk.unarchived(archiver->needs());
    BOOST_REQUIRE(store.change(10));
    BOOST_REQUIRE(store.checkpoint());
    BOOST_REQUIRE(!store.subject->engine().manifest().has_beginning());
}

// A command that fails, that takes half of a file, or all of it and fails then.
BOOST_AUTO_TEST_CASE(a_command_may_fail_however_it_likes) {
    for (const auto seed : Seeds(7)) {
        ArchiveShelf shelf;
        ArchivedStore store(seed, seed % 2 == 0);
        std::uint64_t failed = 0;
        bool fails = true;
        const auto take = [&](const std::string& name) -> Opening<void> {
            auto& from = store.world.files();
            const auto there = std::string(kArchiveFolder) + "/" + name;
            const auto how = fails ? store.rng.below(8) : 7;
            const auto refused = [&] {
                ++failed;
                return refuse({.code = Code::io, .doing = "archive"}, "exit status 1");
            };
            if (how == 0) return refused();
            (void)shelf.world.files().unlink(name);
            BOOST_REQUIRE(from.give(there, shelf.world.files(), name).has_value());
            BOOST_REQUIRE(shelf.world.files().sync_dir().has_value());
            if (how == 1) {
                const auto fd = shelf.world.files().open(name, io::Open::write);
                const auto size = shelf.world.files().size(*fd);
                BOOST_REQUIRE(shelf.world.files().truncate(*fd, *size / 2).has_value());
                shelf.world.files().close(*fd);
            }
            if (how <= 2) return refused();
            return {};
        };
        Lsn position;
        for (int life = 0; life < 3; ++life) {
            store.open_store();
            const auto archiver = std::make_unique<Archiver>(
                store.world.files(),
                ArchiverOptions{.command = take, .durable = [&store] {
                                    return store.subject->engine().log.durable();
                                }});
            require(archiver->begin());
            BOOST_REQUIRE(archiver->position() >= position);
            fails = true;
            for (int turn = 0; turn < 8; ++turn) {
                BOOST_REQUIRE(store.change(static_cast<int>(store.rng.between(1, 25))));
                if (store.rng.chance(30)) BOOST_REQUIRE(store.checkpoint());
                (void)archiver->round(Bring::all);
                store.subject->engine().walk.unarchived(archiver->needs());
                position = archiver->position();
                // Before the first byte of a timeline its manifest may be on its way.
                const auto& now = store.subject->engine().manifest().timelines.back();
                if (position > now.begin)
                    BOOST_REQUIRE(shelf.end() >= store.moment_before(position));
            }
            fails = false;
            require(archiver->round(Bring::all));
            position = archiver->position();
            shelf.is_of(store.versions, store.rng, 4);
            store.world.crash_now();
            store.subject.reset();
            store.world.restart(sim::Cut::random, store.rng);
        }
        BOOST_TEST(failed > 0U);
    }
}

// What is written while a checkpoint is brought does not wait for the end of that.
BOOST_AUTO_TEST_CASE(the_tail_goes_between_the_pieces_of_something_large) {
    for (const auto seed : Seeds(4)) {
        ArchiveShelf shelf;
        // Of the segments that a checkpoint leads into some are older than the archive.
        ArchivedStore store(seed, false);
        store.open_store();
        for (int i = 0; i < 4; ++i) {
            BOOST_REQUIRE(store.change(60));
            BOOST_REQUIRE(store.checkpoint());
        }
        int asked = 0;
        shelf.tail_due = [&] {
            ++asked;
            BOOST_REQUIRE(store.change(3));
            return true;
        };
        const auto archiver = shelf.archiver(store.world, *store.subject);
        require(archiver->begin());
        require(archiver->round(Bring::all));
        BOOST_TEST(asked > 1);
        BOOST_REQUIRE(archiver->position() == store.subject->engine().log.durable());
        BOOST_TEST(archiver->has_base());
        shelf.is_of(store.versions, store.rng, 4);
    }
}

BOOST_AUTO_TEST_CASE(small_pieces_are_put_together_and_go_with_the_full_segment) {
    ArchiveShelf shelf;
    ArchivedStore store(2);
    store.open_store();
    const auto archiver = shelf.archiver(store.world, *store.subject);
    require(archiver->begin());
    std::size_t most = 0;
    for (int i = 0; i < 400; ++i) {
        BOOST_REQUIRE(store.change(1));
        require(archiver->round(Bring::all));
        most = std::max(most, shelf.count(engine::ArchivedKind::log));
    }
    BOOST_TEST(shelf.count(engine::ArchivedKind::segment) > 3U);
    // Of some hundred.
    BOOST_TEST(most < 12U);
    shelf.is_of(store.versions, store.rng, 6);
}

BOOST_AUTO_TEST_CASE(a_name_says_what_a_file_is_and_each_has_one) {
    using engine::Archived;
    using engine::ArchivedKind;
    const Archived segment{
        .kind = ArchivedKind::segment,
        .timeline = 2,
        .from = {0x13000},
        .to = {0x17008},
        .base = {0x13000},
        .number = 12,
        .bytes = engine::archived_bytes(ArchivedKind::segment, {0x13000}, {0x17008}),
        .tag = 0xfeed};
    const std::string name =
        "segment-00000002-0000000013000-0000000017008-0000000013000-0000000012-000000000000feed";
    BOOST_TEST(segment.name() == name);
    BOOST_TEST(segment.bytes == 0x6000U);
    BOOST_TEST((engine::archived_named(name) == segment));
    for (const Archived& file :
         {Archived{.kind = ArchivedKind::log,
         .timeline = 1,
         .from = {8192},
         .to = {8256},
         .base = {4096},
         .number = 1,
         .bytes = 4160},
          Archived{.kind = ArchivedKind::checkpoint,
          .timeline = 1,
          .from = {8192},
          .number = 7,
          .bytes = 9000},
          Archived{
              .kind = ArchivedKind::packed, .timeline = 1, .number = 8, .bytes = 5000, .tag = 1},
          Archived{.kind = ArchivedKind::manifest, .timeline = 3, .sequence = 17, .bytes = 400}})
        BOOST_TEST((engine::archived_named(file.name()) == file), file.name());
    // Not its own: another base than where it begins, a capital letter, a digit too many or too
    // few.
    for (const auto& [from, to] :
         {std::pair{"13000-0000000012", "12000-0000000012"}, std::pair{"feed", "FEED"},
          std::pair{"feed", "feed0"}, std::pair{"-00000002-", "-0000002-"},
          std::pair{"0000000017008", "0000000013000"}}) {
        auto other = name;
        other.replace(other.find(from), std::string_view(from).size(), to);
        BOOST_TEST(!engine::archived_named(other).has_value(), other);
    }
    for (const auto* other : {"", "log", "log-of-mine", "segment-", "archive.new", "manifest"})
        BOOST_TEST(!engine::archived_named(other).has_value());
}

BOOST_AUTO_TEST_CASE(an_archive_is_one_store_s_and_not_an_older_copy_s) {
    ArchiveShelf shelf;
    ArchivedStore store(5);
    store.open_store();
    BOOST_REQUIRE(store.change(30));
    sim::Rng rng{5};
    World copy({.seed = 6}, store.world.image(sim::Cut::none, rng));
    {
        const auto archiver = shelf.archiver(store.world, *store.subject);
        require(archiver->begin());
        BOOST_REQUIRE(store.change(30));
        require(archiver->round(Bring::all));
        // Nor may two add to it at once.
        auto& second = shelf.world.start();
        Archiver other(store.world.files(), {.to = &second.files()});
        const auto begun = other.begin();
        BOOST_REQUIRE(!begun.has_value());
        BOOST_TEST(static_cast<int>(begun.error().error.code) == static_cast<int>(Code::busy));
    }
    Subject old(copy, *open(copy.files(), copy.clock(), small_options()));
    const auto begun = shelf.archiver(copy, old)->begin();
    BOOST_REQUIRE_MESSAGE(begun.has_value() || begun.error().error.code == Code::usage,
                          begun.error().text);

    ArchivedStore stranger(7);
    stranger.open_store();
    BOOST_REQUIRE(stranger.change(3));
    const auto foreign = shelf.archiver(stranger.world, *stranger.subject)->begin();
    BOOST_REQUIRE(!foreign.has_value());
    BOOST_TEST(foreign.error().text.find("another store") != std::string::npos,
               foreign.error().text);
    // A store's own directory.
    Archiver own(store.world.files(), {.to = &store.world.files()});
    BOOST_TEST(!own.begin().has_value());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
