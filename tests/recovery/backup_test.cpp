// G11, G14, G18: a backup is one moment, equal to the model there; whoever dies while making one,
// at whatever operation, leaves the others as they were and the new one whole or absent.

#include "recovery/backup.hpp"

#include <boost/test/unit_test.hpp>
#include <functional>
#include <utility>

#include "recovery/history.hpp"
#include "recovery/read_only_files.hpp"
#include "tests/recovery/lived.hpp"
#include "tests/sim/ordeal.hpp"

namespace firnlog::recovery {
namespace {

using sim::Kind;
using sim::World;

constexpr std::uint32_t kDatabases = 4;

// A directory of backups on a disk of its own, beside the store's.
struct Shelf {
    explicit Shelf(std::uint64_t seed = 99, sim::Disk disk = {})
        : world{{.seed = seed, .phase = "backup"}, std::move(disk)} {}

    Opening<BackupTaken> take(Lived& lived, const std::string& name) {
        return take_backup(lived.world.files(), world.files(), lived.world.clock(),
                           {.name = name, .progress = {}, .give_up = {}});
    }
    // Whatever a test does with a backup, it is sound and equal to the model at its moment.
    Backup sound(const std::string& name) {
        auto backup = find_backup(world.files(), name);
        BOOST_REQUIRE_MESSAGE(backup.has_value(), (backup ? "" : backup.error().text));
        const auto verified = verify_backup(world.files(), *backup);
        BOOST_REQUIRE_MESSAGE(verified.has_value(), (verified ? "" : verified.error().text));
        BOOST_REQUIRE_MESSAGE(verified->faults.empty(),
                              (verified->faults.empty() ? "" : verified->faults.front()));
        return std::move(*backup);
    }
    std::uint64_t digest_at(const Backup& backup, engine::Lsn lsn) {
        return recovery::digest_at(*open_backup(world.files(), backup), lsn);
    }
    void is_at(const std::string& name, const Version& version) {
        const auto backup = sound(name);
        BOOST_REQUIRE(digest_at(backup, backup.manifest.lsn) == version.digest);
    }
    // Names in the directory and its folder that are no backup's.
    std::vector<std::string> leftovers() {
        std::set<std::string> ours{"lock"};
        const auto found = list_backups(world.files());
        BOOST_REQUIRE(found.has_value());
        for (const auto& backup : found->whole) {
            ours.insert(backup.name + ".backup");
            for (const auto& file : backup.manifest.files)
                ours.insert("files/" + file.stored_name());
        }
        std::vector<std::string> left;
        for (const auto& name : world.disk().names())
            if (!ours.contains(name)) left.push_back(name);
        return left;
    }

    World world;
};

bool write_some(Lived& lived, int count) {
    for (int i = 0; i < count; ++i)
        if (!lived.subject->set("more:" + std::to_string(lived.rng.below(50)),
                                std::string(lived.rng.between(10, 3000), 'm')))
            return false;
    return lived.subject->sync();
}

const Version& newest(const Lived& lived) { return lived.subject->versions().back(); }

void require(const Opening<BackupTaken>& taken) {
    BOOST_REQUIRE_MESSAGE(taken.has_value(), (taken ? "" : taken.error().text));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(backup_)

BOOST_AUTO_TEST_CASE(a_backup_is_the_model_at_its_moment_and_at_every_earlier_one) {
    for (const auto seed : Seeds(6)) {
        Lived lived(seed, 2, seed % 2 == 0);
        Shelf shelf;
        BOOST_REQUIRE(lived.subject->sync());
        const auto taken = shelf.take(lived, "one");
        require(taken);
        const auto then = newest(lived);
        BOOST_TEST(taken->place.lsn.value == then.end.value);
        BOOST_REQUIRE(write_some(lived, 40));
        shelf.is_at("one", then);
        const auto backup = shelf.sound("one");
        for (int n = 0; n < 5; ++n) {
            const auto& version = lived.versions[lived.rng.below(lived.versions.size())];
            if (version.end < taken->oldest.lsn) continue;
            BOOST_REQUIRE(shelf.digest_at(backup, version.end) == version.digest);
        }
        BOOST_TEST(shelf.leftovers().empty());
    }
}

// A directory that moves on between two looks at it.
class MovingFiles final : public ReadOnlyFiles {
  public:
    MovingFiles(io::Files& files, std::function<void()> moves)
        : ReadOnlyFiles(files, "change it"), moves_(std::move(moves)) {}

    Result<int> open(std::string_view name, io::Open how, bool direct) override {
        return files_.open(name, how, direct);
    }
    [[nodiscard]] bool is_direct(int fd) const override { return files_.is_direct(fd); }
    void close(int fd) override { files_.close(fd); }
    Result<std::size_t> read(int fd, std::uint64_t offset, MutableBytes into) override {
        return files_.read(fd, offset, into);
    }
    Result<std::uint64_t> size(int fd) override { return files_.size(fd); }
    Result<std::vector<io::FileInfo>> list(std::string_view dir) override {
        if (moves_) std::exchange(moves_, {})();
        return files_.list(dir);
    }

  private:
    std::function<void()> moves_;
};

// The manifest was read, then a checkpoint gave log back, then the files were listed: the gap
// between was taken for the end of a file, and what could be opened for more than there was.
BOOST_AUTO_TEST_CASE(a_history_is_that_of_one_manifest) {
    for (const auto seed : Seeds(8)) {
        Lived lived(seed, 0, false);
        BOOST_REQUIRE(write_some(lived, 100));
        bool moved = false;
        MovingFiles moving(lived.world.files(), [&] {
            moved = true;
            for (int i = 0; i < 2; ++i) {
                BOOST_REQUIRE(write_some(lived, 60));
                BOOST_REQUIRE(lived.subject->checkpoint([] { return true; }));
            }
        });
        const auto read = History::read(moving);
        BOOST_REQUIRE_MESSAGE(read.has_value(), (read ? "" : read.error().text));
        BOOST_TEST(moved);
        const auto still = History::read(lived.world.files());
        BOOST_REQUIRE(still.has_value());
        BOOST_TEST((*read)->manifest().sequence == (*still)->manifest().sequence);
        BOOST_TEST(((*read)->oldest() == (*still)->oldest()));
    }
}

BOOST_AUTO_TEST_CASE(the_second_backup_takes_only_what_is_new_and_neither_needs_the_other) {
    for (const auto* gone : {"one", "two"}) {
        Lived lived(3, 1);
        Shelf shelf;
        BOOST_REQUIRE(write_some(lived, 200));
        const auto one = shelf.take(lived, "one");
        require(one);
        const auto then = newest(lived);
        BOOST_REQUIRE(write_some(lived, 3));
        const auto now = newest(lived);
        const auto two = shelf.take(lived, "two");
        require(two);
        BOOST_TEST(two->kept + 1 == two->files);
        BOOST_TEST(two->copied == 1U);
        BOOST_TEST(two->bytes_copied < two->bytes / 4);
        BOOST_REQUIRE(delete_backups(shelf.world.files(), {gone}).has_value());
        BOOST_TEST(shelf.leftovers().empty());
        BOOST_TEST(!find_backup(shelf.world.files(), gone).has_value());
        if (std::string_view(gone) == "one")
            shelf.is_at("two", now);
        else
            shelf.is_at("one", then);
    }
}

// A second backup of a store that has gone on since the first.
struct Second {
    explicit Second(std::uint64_t seed) : lived(seed, 1) {
        require(shelf.take(lived, "one"));
        then = newest(lived);
        BOOST_REQUIRE(write_some(lived, 60));
        now = newest(lived);
    }
    sim::Ordeal<Shelf> ordeal() {
        return {.name = "a backup",
                .make = [this] { return std::make_unique<Shelf>(99, shelf.world.disk().copy()); },
                .work = [this](Shelf& to) { return to.take(lived, "two").has_value(); },
                .judge = [this](Shelf& to, const sim::Tried& tried) { judge(to, tried); },
                .seed = seed_or(1),
                .twice_percent = 20};
    }
    void judge(Shelf& to, const sim::Tried& tried) {
        to.is_at("one", then);
        const auto two = find_backup(to.world.files(), "two");
        // What was told to be taken is there.
        BOOST_REQUIRE(!tried.done || two);
        if (two) {
            ++whole;
            to.is_at("two", now);
        } else {
            ++absent;
            BOOST_REQUIRE(two.error().error.code == Code::missing);
        }
        // The next one goes on with it, and leaves nothing behind.
        require(to.take(lived, "three"));
        to.is_at("three", now);
        BOOST_REQUIRE(to.leftovers().empty());
    }

    Lived lived;
    Shelf shelf;
    Version then;
    Version now;
    std::uint64_t whole = 0;
    std::uint64_t absent = 0;
};

BOOST_AUTO_TEST_CASE(a_crash_at_any_operation_leaves_the_others_and_the_new_one_whole_or_absent) {
    for (const auto seed : Seeds(volume({.usual = 1, .sanitized = 1, .full = 20}))) {
        Second second(seed);
        auto ordeal = second.ordeal();
        ordeal.seed = seed;
        ordeal.step = volume({.usual = 1, .sanitized = 7, .full = 1});
        const auto trials = ordeal.crashes();
        trials.print();
        trials.met("backup", {Kind::create, Kind::write, Kind::sync, Kind::rename, Kind::sync_dir});
        BOOST_TEST(trials.twice > 0U);
        // Behind the rename that makes it one, some.
        BOOST_TEST(second.whole > 0U);
        BOOST_TEST(second.absent > 0U);
    }
}

BOOST_AUTO_TEST_CASE(an_operation_that_fails_leaves_the_others_and_the_next_backup_is_whole) {
    Second second(4);
    auto ordeal = second.ordeal();
    ordeal.step = volume({.usual = 1, .sanitized = 7, .full = 1});
    const auto trials = ordeal.failures();
    trials.print();
    trials.met("backup", {Kind::create, Kind::open, Kind::read, Kind::write, Kind::sync,
                          Kind::rename, Kind::sync_dir, Kind::list});
    BOOST_TEST(second.absent > 0U);
}

BOOST_AUTO_TEST_CASE(what_the_store_lets_go_of_meanwhile_is_had_or_not_needed) {
    std::uint64_t retries = 0;
    for (const auto seed : Seeds(8)) {
        // No past: each checkpoint gives log back, and files go under our hands.
        Lived lived(seed, 0, false);
        BOOST_REQUIRE(write_some(lived, 100));
        Shelf shelf;
        int left = 3;
        std::uint64_t told = 0;
        const auto taken =
            take_backup(lived.world.files(), shelf.world.files(), lived.world.clock(),
                        {.name = "one",
                         .progress =
                             [&](const Progress&) {
                                 if (++told % 2 != 0 || left == 0) return;
                                 --left;
                                 BOOST_REQUIRE(write_some(lived, 60));
                                 BOOST_REQUIRE(lived.subject->checkpoint([] { return true; }));
                                 BOOST_REQUIRE(lived.subject->checkpoint([] { return true; }));
                             },
                         .give_up = {}});
        require(taken);
        const auto& versions = lived.subject->versions();
        const auto of_it = std::ranges::find(versions, taken->place.lsn, &Version::end);
        BOOST_REQUIRE(of_it != versions.end());
        shelf.is_at("one", *of_it);
        BOOST_TEST(shelf.leftovers().empty());
        retries += taken->files != taken->linked + taken->copied ? 1 : 0;
    }
    BOOST_TEST(retries > 0U);
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_anywhere_is_found_with_its_place) {
    Lived lived(5, 1);
    Shelf shelf;
    require(shelf.take(lived, "one"));
    sim::Rng rng{5};
    const auto backup = shelf.sound("one");
    for (const auto& file : backup.manifest.files) {
        const auto name = "files/" + file.stored_name();
        for (int n = 0; n < 6; ++n) {
            Shelf rotten(99, shelf.world.disk().copy());
            const auto offset = rng.below(file.bytes);
            rotten.world.disk().flip(name, offset);
            const auto verified = verify_backup(rotten.world.files(), backup);
            BOOST_REQUIRE(verified.has_value() && verified->faults.size() == 1);
            const auto piece = offset / engine::kStoredPieceBytes * engine::kStoredPieceBytes;
            BOOST_TEST(
                verified->faults.front().starts_with(name + " offset " + std::to_string(piece)),
                verified->faults.front());
        }
    }
    const auto list_bytes = shelf.world.disk().content("one.backup").size();
    for (std::size_t offset = 0; offset < list_bytes; ++offset) {
        Shelf rotten(99, shelf.world.disk().copy());
        rotten.world.disk().flip("one.backup", offset);
        const auto found = find_backup(rotten.world.files(), "one");
        BOOST_REQUIRE(!found.has_value());
        BOOST_REQUIRE(found.error().exit_code() == 3);
    }
    // While one cannot be read nobody knows what it needs: its files stay.
    Shelf rotten(99, shelf.world.disk().copy());
    rotten.world.disk().flip("one.backup", 20);
    require(rotten.take(lived, "two"));
    BOOST_REQUIRE(delete_backups(rotten.world.files(), {"two"}).has_value());
    rotten.world.disk().flip("one.backup", 20);
    rotten.sound("one");
}

BOOST_AUTO_TEST_CASE(what_is_damaged_in_the_store_does_not_become_a_backup) {
    World world({.seed = 10});
    live_cleanly(world);
    world.disk().flip("0000000001.log", 9'000);
    Shelf shelf;
    const auto taken =
        take_backup(world.files(), shelf.world.files(), world.clock(), {.name = "one"});
    BOOST_REQUIRE(!taken.has_value());
    BOOST_TEST(taken.error().exit_code() == 3);
    BOOST_TEST(taken.error().text.find("0000000001.log offset") != std::string::npos,
               taken.error().text);
    BOOST_TEST(!find_backup(shelf.world.files(), "one").has_value());
}

// Both go on with the same file numbers, and with other bytes in them.
BOOST_AUTO_TEST_CASE(stores_that_went_different_ways_share_a_directory_and_do_not_mix) {
    Lived lived(6, 0);
    BOOST_REQUIRE(write_some(lived, 50));
    World other({.seed = 7});
    RestoreOptions options;
    options.ttl = Ttl::keep;
    options.engine = small_options().engine;
    BOOST_REQUIRE(restore(lived.world.files(), other.files(), other.clock(), other.io(), options)
                      .has_value());
    Subject fork(other, *open(other.files(), other.clock(), small_options()));
    for (auto* subject : {lived.subject.get(), &fork}) {
        const std::string value(700, subject == &fork ? 'f' : 'o');
        for (int i = 0; i < 300; ++i) BOOST_REQUIRE(subject->set("k" + std::to_string(i), value));
        BOOST_REQUIRE(subject->sync() && subject->checkpoint([] { return true; }));
    }
    Shelf shelf;
    require(shelf.take(lived, "one"));
    require(take_backup(other.files(), shelf.world.files(), other.clock(), {.name = "fork"}));
    require(shelf.take(lived, "again"));
    shelf.is_at("one", newest(lived));
    shelf.is_at("again", newest(lived));
    const auto of_fork = shelf.sound("fork");
    BOOST_TEST(shelf.digest_at(of_fork, of_fork.manifest.lsn) ==
               digest(read_all(fork.engine(), kDatabases)));
}

// A packed segment says nothing of the log but its number, and here both have made the same ones.
BOOST_AUTO_TEST_CASE(packed_segments_of_two_restores_are_not_taken_for_each_other) {
    Lived lived(6, 0);
    RestoreOptions options;
    options.ttl = Ttl::keep;
    options.engine = small_options(false).engine;
    Shelf shelf;
    std::vector<engine::FileNumber> packed_by_one;
    for (const char letter : {'a', 'b'}) {
        const std::string name(1, letter);
        // Each with dice of its own: that is what tells two restores of one moment apart.
        World world({.seed = static_cast<std::uint64_t>(letter)});
        BOOST_REQUIRE(
            restore(lived.world.files(), world.files(), world.clock(), world.io(), options)
                .has_value());
        Subject fork(world, *open(world.files(), world.clock(), small_options(false)));
        // A few live on among many that die.
        for (int round = 0; round < 4; ++round) {
            for (int i = 0; i < 200; ++i) {
                const auto key = (i % 20 == 0 ? "lives:" + std::to_string(200 * round + i)
                                              : "dies:" + std::to_string(i % 7));
                BOOST_REQUIRE(fork.set(key, std::string(1000, letter)));
                fork.engine().work();
                fork.kick();
            }
            BOOST_REQUIRE(fork.sync());
            while (fork.engine().work()) {
            }
            BOOST_REQUIRE(fork.checkpoint([] { return true; }));
        }
        const auto& packed = fork.engine().manifest().packed;
        BOOST_REQUIRE(!packed.empty());
        if (packed_by_one.empty())
            packed_by_one = packed;
        else
            BOOST_REQUIRE_MESSAGE(packed == packed_by_one, "both have made the same numbers");
        require(take_backup(world.files(), shelf.world.files(), world.clock(), {.name = name}));
        const auto backup = shelf.sound(name);
        BOOST_TEST(shelf.digest_at(backup, backup.manifest.lsn) ==
                   digest(read_all(fork.engine(), kDatabases)));
    }
}

BOOST_AUTO_TEST_CASE(two_do_not_change_a_directory_at_once_and_names_are_names) {
    Lived lived(7, 0);
    Shelf shelf;
    require(shelf.take(lived, "one"));
    BOOST_TEST(static_cast<int>(shelf.take(lived, "one").error().error.code) ==
               static_cast<int>(Code::exists));
    {
        const auto lock = shelf.world.files().lock("lock");
        BOOST_REQUIRE(lock.has_value());
        auto& second = shelf.world.start();
        const auto taken =
            take_backup(lived.world.files(), second.files(), lived.world.clock(), {.name = "two"});
        BOOST_TEST(static_cast<int>(taken.error().error.code) == static_cast<int>(Code::busy));
    }
    for (const auto* name : {"az", "AZ", "09", "a-b_c.d"}) BOOST_TEST(is_backup_name(name));
    for (const auto* name : {"", ".hidden", "a/b", "..", "a b", "\xc3\xa9", "a\n", "a{", "[", "a:"})
        BOOST_TEST(!shelf.take(lived, name).has_value());
    BOOST_TEST(!shelf.take(lived, std::string(kBackupNameBytesMax + 1, 'a')).has_value());
    // A store's own directory is no place for them.
    const auto taken =
        take_backup(lived.world.files(), lived.world.files(), lived.world.clock(), {.name = "two"});
    BOOST_TEST(static_cast<int>(taken.error().error.code) == static_cast<int>(Code::usage));
}

BOOST_AUTO_TEST_CASE(who_reads_a_backup_as_a_store_changes_nothing_of_it) {
    Lived lived(7, 0);
    Shelf shelf;
    require(shelf.take(lived, "one"));
    const auto before = shelf.world.disk().digest();
    const auto opened = open_backup(shelf.world.files(), shelf.sound("one"));
    io::Files& files = *opened;
    const auto listed = files.list();
    BOOST_REQUIRE(listed && !listed->empty());
    const auto name = listed->front().name;
    const auto is_refused = [](const auto& done) {
        BOOST_REQUIRE(!done.has_value());
        BOOST_TEST((done.error().code == Code::usage));
    };
    const auto fd = files.open(name, io::Open::read);
    BOOST_REQUIRE(fd.has_value());
    is_refused(files.write(*fd, 0, as_bytes("x")));
    is_refused(files.allocate(*fd, 1 << 20));
    is_refused(files.truncate(*fd, 0));
    files.close(*fd);
    is_refused(files.open(name, io::Open::write));
    is_refused(files.rename(name, "other"));
    is_refused(files.link(name, "other"));
    is_refused(files.unlink(name));
    is_refused(files.make_dir("folder"));
    is_refused(files.sync_dir());
    is_refused(files.lock("lock"));
    BOOST_TEST(shelf.world.disk().digest() == before);
}

BOOST_AUTO_TEST_CASE(what_either_rule_keeps_stays_and_the_newest_always_does) {
    constexpr std::int64_t kDay = 86'400'000'000;
    std::vector<Backup> all(10);
    for (std::size_t day = 0; day < all.size(); ++day)
        all[day] = {.name = "day" + std::to_string(day),
                    .manifest = {.made_us = static_cast<std::int64_t>(day) * kDay}};
    const auto now = 9 * kDay;
    const auto gone = [&](Retention retention, std::int64_t at) {
        return outlived(all, retention, at).size();
    };
    BOOST_TEST(gone({}, now) == 0U);
    BOOST_TEST(gone({.keep_us = 3 * kDay}, now) == 6U);
    BOOST_TEST(gone({.keep_last = 2}, now) == 8U);
    BOOST_TEST(gone({.keep_us = 3 * kDay, .keep_last = 2}, now) == 6U);
    BOOST_TEST(gone({.keep_us = 3 * kDay, .keep_last = 7}, now) == 3U);
    BOOST_TEST(gone({.keep_us = kDay}, now + 100 * kDay) == 9U);
    BOOST_TEST(outlived(all, {.keep_last = 9}, now).front() == "day0");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
