#pragma once
// ArchiveShelf, ArchivedStore: an archive on a disk of its own in the simulated world, and a store
// that is archived while it lives, crashes and starts again. For tests of archives.

#include <boost/test/unit_test.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "recovery/archive_files.hpp"
#include "recovery/archiver.hpp"
#include "recovery/history.hpp"
#include "tests/recovery/lived.hpp"

namespace firnlog::recovery {

inline constexpr std::uint32_t kArchivedDatabases = 4;

inline Moment at_lsn(engine::Lsn lsn, std::optional<engine::Timeline> timeline = {}) {
    return {.what = Moment::What::lsn, .us = 0, .lsn = lsn, .timeline = timeline, .mark = {}};
}

inline void require(const Opening<void>& done) {
    BOOST_REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().text));
}

// An archive on a disk of its own.
struct ArchiveShelf {
    explicit ArchiveShelf(std::uint64_t seed = 99, sim::Disk disk = {})
        : world{{.seed = seed, .phase = "archive"}, std::move(disk)} {}

    std::unique_ptr<Archiver> archiver(sim::World& from, Subject& subject) {
        return std::make_unique<Archiver>(
            from.files(),
            ArchiverOptions{.to = &world.files(),
                            .command = {},
                            .going = {},
                            .durable = [&subject] { return subject.engine().log.durable(); },
                            .tail_due = tail_due,
                            .tail_every_bytes = 4096});
    }
    // Nothing: no archive is there yet.
    std::unique_ptr<ArchiveFiles> view(const Moment& moment = {}) {
        auto files = ArchiveFiles::open(world.files(), moment);
        if (!files && files.error().error.code == Code::missing) return nullptr;
        BOOST_REQUIRE_MESSAGE(files.has_value(), (files ? "" : files.error().text));
        return std::move(*files);
    }
    engine::Lsn end(const Moment& moment = {}) {
        const auto files = view(moment);
        if (files == nullptr) return {};
        auto history = History::read(*files);
        BOOST_REQUIRE_MESSAGE(history.has_value(), (history ? "" : history.error().text));
        return (*history)->end();
    }
    engine::Lsn oldest() {
        const auto files = view();
        auto history = History::read(*files);
        BOOST_REQUIRE_MESSAGE(history.has_value(), (history ? "" : history.error().text));
        return (*history)->oldest();
    }
    Opening<std::uint64_t> digest_at(const Moment& moment) {
        auto files = ArchiveFiles::open(world.files(), moment);
        if (!files) return tl::unexpected(files.error());
        const auto past = open_past(**files, {.moment = moment,
                                              .now_us = std::int64_t{1} << 60,
                                              .databases = kArchivedDatabases,
                                              .progress = {},
                                              .give_up = {}});
        if (!past) return tl::unexpected(past.error());
        return digest(read_all((*past)->engine(), kArchivedDatabases));
    }
    void is_at(const Version& version, std::optional<engine::Timeline> timeline = {}) {
        const auto told = digest_at(at_lsn(version.end, timeline));
        BOOST_REQUIRE_MESSAGE(told.has_value(), (told ? "" : told.error().text));
        BOOST_REQUIRE(*told == version.digest);
    }
    // The newest version that is in it, and some before.
    void is_of(const std::vector<Version>& versions, sim::Rng& rng, int samples = 3) {
        const auto end_lsn = end();
        const auto oldest_lsn = oldest();
        std::vector<const Version*> there;
        for (const auto& version : versions)
            if (version.end <= end_lsn && version.end >= oldest_lsn) there.push_back(&version);
        if (there.empty()) return;
        is_at(*there.back());
        for (int n = 0; n < samples; ++n) is_at(*there[rng.below(there.size())]);
    }
    std::size_t count(engine::ArchivedKind kind) {
        const auto names = list_archive(world.files());
        BOOST_REQUIRE(names.has_value());
        return static_cast<std::size_t>(std::ranges::count(*names, kind, &engine::Archived::kind));
    }

    sim::World world;
    // Asked while something large is brought.
    std::function<bool()> tail_due;
};

// A store that is archived while it lives, crashes and starts again.
struct ArchivedStore {
    explicit ArchivedStore(std::uint64_t seed_, bool keeps_ = true)
        : world{{.seed = seed_}}, rng{seed_}, keeps{keeps_} {}

    void open_store() {
        subject = open_again(world, small_options(keeps), versions);
        // As the server does, until the archiver has told what it has.
        subject->engine().walk.unarchived({});
        kept = versions;
    }
    bool change() {
        const auto key = "key:" + std::to_string(rng.below(40));
        // One draw after the other: compilers differ in the order of arguments.
        const auto letter = static_cast<char>('a' + rng.below(26));
        const std::string text(rng.between(1, 3000), letter);
        const auto done = [&] {
            switch (rng.below(8)) {
                case 0:
                    return subject->remove(key);
                case 1:
                    return subject->hash_set("hash:" + std::to_string(rng.below(3)), key, text);
                case 2:
                    return subject->set_many({{key, text}, {key + "b", text}, {"last", key}});
                default:
                    return subject->set(key, text);
            }
        }();
        if (rng.chance(20)) subject->kick();
        versions = kept;
        versions.insert(versions.end(), subject->versions().begin(), subject->versions().end());
        return done;
    }
    bool change(int count) {
        for (int i = 0; i < count; ++i)
            if (!change()) return false;
        return subject->sync();
    }
    // A full segment may end within a batch.
    [[nodiscard]] engine::Lsn moment_before(engine::Lsn lsn) const {
        engine::Lsn found;
        for (const auto& version : versions)
            if (version.end <= lsn) found = std::max(found, version.end);
        return found;
    }
    bool checkpoint() {
        return subject->checkpoint([] { return true; });
    }

    sim::World world;
    sim::Rng rng;
    bool keeps;
    std::unique_ptr<Subject> subject;
    std::vector<Version> kept;  // of the lives before
    std::vector<Version> versions;
};

// Some lives, each of which ends by a crash, or cleanly; what is archived stays archived.
inline void live(ArchivedStore& store, ArchiveShelf& shelf, int lives) {
    auto& rng = store.rng;
    engine::Lsn position;
    for (int life = 0; life < lives; ++life) {
        store.open_store();
        store.subject->lazy(rng.chance(50));
        auto archiver = shelf.archiver(store.world, *store.subject);
        require(archiver->begin());
        BOOST_REQUIRE(archiver->position() >= position);
        const auto turns = rng.between(4, 10);
        for (std::uint64_t turn = 0; turn < turns; ++turn) {
            for (auto n = rng.between(1, 25); n > 0; --n) BOOST_REQUIRE(store.change());
            if (rng.chance(40)) BOOST_REQUIRE(store.subject->sync());
            if (rng.chance(30)) BOOST_REQUIRE(store.checkpoint());
            require(archiver->round(rng.chance(70) ? Archiver::Bring::all : Archiver::Bring::full));
            store.subject->engine().walk.unarchived(archiver->needs());
            position = archiver->position();
            BOOST_REQUIRE(position <= store.subject->engine().log.durable());
            BOOST_REQUIRE(archiver->has_base());
            BOOST_REQUIRE(shelf.end() <= position);
            BOOST_REQUIRE(shelf.end() >= store.moment_before(position));
        }
        if (rng.chance(30)) shelf.is_of(store.versions, rng, 1);
        if (life + 1 == lives) return;
        archiver.reset();
        if (rng.chance(25)) {
            BOOST_REQUIRE(store.subject->stop_cleanly());
            store.subject.reset();
            store.world.restart(sim::Cut::none, rng);
            continue;
        }
        store.world.crash_now();
        store.subject.reset();
        store.world.restart(rng.chance(50) ? sim::Cut::none : sim::Cut::random, rng);
    }
}

}  // namespace firnlog::recovery
