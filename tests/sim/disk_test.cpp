// The traps of the simulated disk, each of them sprung: a simulator that is kinder than a disk
// proves nothing.

#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <set>
#include <string>

#include "tests/sim/fixture.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::sim {
namespace {

BOOST_AUTO_TEST_SUITE(sim_disk)

BOOST_FIXTURE_TEST_CASE(unsynced_data_is_lost_with_the_power_and_survives_a_kill, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(1024, 'o'));
    BOOST_REQUIRE(files.write(fd, 0, as_bytes(text_of(1024, 'n'))));
    BOOST_TEST(world.disk().content("a") == text_of(1024, 'n'));
    BOOST_TEST(after(world, Cut::none, "a") == text_of(1024, 'o'));
    BOOST_TEST(after(world, Cut::all, "a") == text_of(1024, 'n'));
    BOOST_TEST(after(world, Cut::kill, "a") == text_of(1024, 'n'));
    BOOST_REQUIRE(files.sync(fd));
    BOOST_TEST(after(world, Cut::none, "a") == text_of(1024, 'n'));
}

BOOST_FIXTURE_TEST_CASE(what_a_kill_left_in_memory_is_still_lost_with_the_power, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(512, 'o'));
    BOOST_REQUIRE(files.write(fd, 0, as_bytes(text_of(512, 'n'))));
    Rng rng{seed};
    world.restart(Cut::kill, rng);
    BOOST_TEST(world.disk().content("a") == text_of(512, 'n'));
    BOOST_TEST(after(world, Cut::none, "a") == text_of(512, 'o'));
    // The next process can sync what the one before it wrote.
    const int again = world.files().open("a", io::Open::write).value();
    BOOST_REQUIRE(world.files().sync(again));
    BOOST_TEST(after(world, Cut::none, "a") == text_of(512, 'n'));
}

BOOST_FIXTURE_TEST_CASE(the_last_write_of_a_prefix_is_torn_at_a_sector, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(8192, 'o'));
    BOOST_REQUIRE(files.write(fd, 0, as_bytes(text_of(2048, '1'))));
    BOOST_REQUIRE(files.write(fd, 2048, as_bytes(text_of(2048, '2'))));
    BOOST_REQUIRE(files.write(fd, 4096, as_bytes(text_of(2048, '3'))));
    std::set<std::size_t> lengths;
    for (std::uint64_t i = 0; i < 400; ++i) {
        const std::string content = after(world, Cut::prefix, "a", i);
        const std::size_t kept = content.find('o');
        BOOST_REQUIRE(kept % kSectorBytes == 0);
        const std::string expected =
            (text_of(2048, '1') + text_of(2048, '2') + text_of(2048, '3')).substr(0, kept) +
            text_of(8192 - kept, 'o');
        BOOST_REQUIRE(content == expected);
        lengths.insert(kept);
    }
    BOOST_TEST(lengths.size() == 13U);  // every sector border of 6144 bytes
}

BOOST_FIXTURE_TEST_CASE(a_prefix_follows_the_order_of_writes_over_all_files, Fixture) {
    const int a = make_durable_file(world, "a", text_of(512, 'o'));
    const int b = make_durable_file(world, "b", text_of(512, 'o'));
    BOOST_REQUIRE(files.write(a, 0, as_bytes(text_of(512, 'n'))));
    BOOST_REQUIRE(files.write(b, 0, as_bytes(text_of(512, 'n'))));
    std::set<std::string> seen;
    for (std::uint64_t i = 0; i < 200; ++i)
        seen.insert({after(world, Cut::prefix, "a", i)[0], after(world, Cut::prefix, "b", i)[0]});
    BOOST_TEST((seen == std::set<std::string>{"oo", "no", "nn"}));
}

BOOST_FIXTURE_TEST_CASE(a_random_cut_keeps_any_sectors_whatever_their_order, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(2048, 'o'));
    BOOST_REQUIRE(files.write(fd, 0, as_bytes(text_of(1024, '1'))));
    BOOST_REQUIRE(files.write(fd, 1024, as_bytes(text_of(1024, '2'))));
    BOOST_REQUIRE(files.write(fd, 0, as_bytes(text_of(512, '3'))));
    std::set<std::string> seen;
    for (std::uint64_t i = 0; i < 2000; ++i) {
        const std::string content = after(world, Cut::random, "a", i);
        BOOST_REQUIRE(content.size() == 2048U);
        seen.insert({content[0], content[512], content[1024], content[1536]});
    }
    BOOST_TEST(seen.size() == 3U * 2 * 2 * 2);
    BOOST_TEST(seen.contains("1o2o"));
    BOOST_TEST(seen.contains("oo22"));  // the later write without the earlier
}

BOOST_FIXTURE_TEST_CASE(a_new_name_is_lost_without_sync_dir_though_the_file_is_synced, Fixture) {
    const int fd = files.open("a", io::Open::create).value();
    BOOST_REQUIRE(files.write(fd, 0, as_bytes("content")));
    BOOST_REQUIRE(files.sync(fd));
    BOOST_TEST(after(world, Cut::none, "a") == "<missing>");
    BOOST_TEST(after(world, Cut::all, "a") == "content");
    BOOST_TEST(after(world, Cut::kill, "a") == "content");
    BOOST_REQUIRE(files.sync_dir());
    BOOST_TEST(after(world, Cut::none, "a") == "content");
}

BOOST_FIXTURE_TEST_CASE(a_durable_name_does_not_make_its_bytes_durable, Fixture) {
    const int fd = files.open("a", io::Open::create).value();
    BOOST_REQUIRE(files.sync_dir());
    BOOST_REQUIRE(files.write(fd, 0, as_bytes("content")));
    BOOST_TEST(after(world, Cut::none, "a") == "");
}

BOOST_FIXTURE_TEST_CASE(a_rename_is_undone_without_sync_dir, Fixture) {
    make_durable_file(world, "a", "new");
    make_durable_file(world, "b", "old");
    BOOST_REQUIRE(files.rename("a", "b"));
    BOOST_TEST(world.disk().content("b") == "new");
    BOOST_TEST(after(world, Cut::none, "a") == "new");
    BOOST_TEST(after(world, Cut::none, "b") == "old");
    BOOST_TEST(after(world, Cut::all, "a") == "<missing>");
    BOOST_TEST(after(world, Cut::all, "b") == "new");
    BOOST_REQUIRE(files.sync_dir());
    BOOST_TEST(after(world, Cut::none, "b") == "new");
    BOOST_TEST(after(world, Cut::none, "a") == "<missing>");
}

BOOST_FIXTURE_TEST_CASE(a_removed_name_comes_back_without_sync_dir, Fixture) {
    make_durable_file(world, "a", "content");
    BOOST_REQUIRE(files.unlink("a"));
    BOOST_TEST(!world.disk().has("a"));
    BOOST_TEST(after(world, Cut::none, "a") == "content");
    BOOST_REQUIRE(files.sync_dir());
    BOOST_TEST(after(world, Cut::none, "a") == "<missing>");
}

BOOST_FIXTURE_TEST_CASE(a_recycled_file_shows_its_new_bytes_under_its_old_name, Fixture) {
    const int fd = make_durable_file(world, "old", text_of(512, 'o'));
    BOOST_REQUIRE(files.rename("old", "new"));
    BOOST_REQUIRE(files.write(fd, 0, as_bytes(text_of(512, 'n'))));
    BOOST_REQUIRE(files.sync(fd));
    BOOST_TEST(after(world, Cut::none, "old") == text_of(512, 'n'));
    BOOST_TEST(after(world, Cut::none, "new") == "<missing>");
}

std::set<std::string> names_after(const World& world, Cut cut) {
    std::set<std::string> seen;
    for (std::uint64_t i = 0; i < 500; ++i) {
        Rng rng{i};
        std::string names;
        for (const std::string& name : world.image(cut, rng).names()) names += name;
        seen.insert(names);
    }
    return seen;
}

BOOST_FIXTURE_TEST_CASE(changes_of_a_folder_come_true_in_order_or_in_any, Fixture) {
    for (const char* name : {"a", "b", "c"}) BOOST_REQUIRE(files.open(name, io::Open::create));
    BOOST_TEST((names_after(world, Cut::prefix) == std::set<std::string>{"", "a", "ab", "abc"}));
    BOOST_TEST((names_after(world, Cut::random) ==
                std::set<std::string>{"", "a", "b", "c", "ab", "ac", "bc", "abc"}));
}

BOOST_FIXTURE_TEST_CASE(changes_of_one_name_come_true_in_order, Fixture) {
    make_durable_file(world, "a", "1");
    BOOST_REQUIRE(files.rename("a", "b"));
    BOOST_REQUIRE(files.rename("b", "c"));
    BOOST_REQUIRE(files.open("a", io::Open::create));
    BOOST_REQUIRE(files.unlink("c"));
    BOOST_TEST(
        (names_after(world, Cut::random) == std::set<std::string>{"", "a", "b", "c", "ab", "ac"}));
}

BOOST_FIXTURE_TEST_CASE(a_rename_between_folders_is_atomic, Fixture) {
    BOOST_REQUIRE(files.make_dir("q"));
    make_durable_file(world, "a", "content");
    BOOST_REQUIRE(files.open("q/x", io::Open::create));
    BOOST_REQUIRE(files.rename("a", "q/a"));
    BOOST_REQUIRE(files.open("b", io::Open::create));
    std::set<std::string> seen;
    for (std::uint64_t i = 0; i < 500; ++i) {
        Rng rng{i};
        const Disk disk = world.image(Cut::random, rng);
        BOOST_REQUIRE(disk.has("a") != disk.has("q/a"));
        BOOST_REQUIRE(disk.content(disk.has("a") ? "a" : "q/a") == "content");
        std::string names;
        for (const std::string& name : disk.names()) names += name + " ";
        seen.insert(names);
    }
    BOOST_TEST((seen == std::set<std::string>{"a ", "a b ", "a q/x ", "a b q/x ", "q/a ", "b q/a ",
                                              "q/a q/x ", "b q/a q/x "}));
    // Syncing one of the folders settles it for both.
    BOOST_REQUIRE(files.sync_dir());
    BOOST_TEST(after(world, Cut::none, "q/a") == "content");
    BOOST_TEST(after(world, Cut::none, "a") == "<missing>");
}

BOOST_FIXTURE_TEST_CASE(a_new_folder_is_lost_with_all_in_it_without_sync_dir_above, Fixture) {
    BOOST_REQUIRE(files.make_dir("q"));
    const int fd = files.open("q/a", io::Open::create).value();
    BOOST_REQUIRE(files.sync(fd));
    BOOST_REQUIRE(files.sync_dir("q"));
    BOOST_TEST(after(world, Cut::none, "q/a") == "<missing>");
    BOOST_REQUIRE(files.sync_dir());
    BOOST_TEST(after(world, Cut::none, "q/a") == "");
    BOOST_TEST((files.open("z/a", io::Open::create).error().code == Code::missing));
}

BOOST_FIXTURE_TEST_CASE(linked_names_are_one_file, Fixture) {
    const int fd = make_durable_file(world, "a", "1");
    BOOST_REQUIRE(files.link("a", "b"));
    BOOST_TEST(files.list().value().at(0).links == 2U);
    BOOST_REQUIRE(files.write(fd, 0, as_bytes("2")));
    BOOST_TEST(world.disk().content("b") == "2");
    BOOST_TEST(after(world, Cut::none, "b") == "<missing>");
    BOOST_REQUIRE(files.sync_dir());
    BOOST_TEST(after(world, Cut::none, "b") == "1");
    BOOST_REQUIRE(files.sync(fd));
    BOOST_REQUIRE(files.unlink("a"));
    BOOST_REQUIRE(files.sync_dir());
    BOOST_TEST(after(world, Cut::none, "b") == "2");
    BOOST_TEST(files.list().value().at(0).links == 1U);
    // rename(2) from one name of a file to another does nothing.
    BOOST_REQUIRE(files.link("b", "c"));
    BOOST_REQUIRE(files.rename("b", "c"));
    BOOST_TEST(world.disk().has("b"));
    BOOST_TEST((files.link("b", "c").error().code == Code::exists));
}

BOOST_FIXTURE_TEST_CASE(after_a_failed_fsync_the_retry_succeeds_and_the_data_is_gone, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(1024, 'o'));
    BOOST_TEST(write_now(io, fd, 0, text_of(1024, 'n')) == 0);
    world.fail({.error = EIO, .kind = Kind::fsync, .landed = Landed::none});
    BOOST_TEST(sync_now(io, fd) == -EIO);
    BOOST_TEST(sync_now(io, fd) == 0);
    BOOST_REQUIRE(files.sync(fd));
    BOOST_TEST(world.disk().content("a") == text_of(1024, 'n'));  // readable, and a lie
    BOOST_TEST(after(world, Cut::none, "a") == text_of(1024, 'o'));
    BOOST_TEST(after(world, Cut::all, "a") == text_of(1024, 'o'));
    // Only what is written anew becomes durable.
    BOOST_TEST(write_now(io, fd, 512, text_of(512, 'm'), true) == 0);
    BOOST_TEST(after(world, Cut::none, "a") == text_of(512, 'o') + text_of(512, 'm'));
    world.disk().drop_caches();
    BOOST_TEST(world.disk().content("a") == text_of(512, 'o') + text_of(512, 'm'));
}

BOOST_FIXTURE_TEST_CASE(a_failed_fsync_may_have_landed_some_sectors, Fixture) {
    std::set<std::string> seen;
    for (int i = 0; i < 200; ++i) {
        const std::string name = std::to_string(i);
        const int fd = make_durable_file(world, name, text_of(1024, 'o'));
        BOOST_REQUIRE(files.write(fd, 0, as_bytes(text_of(1024, 'n'))));
        world.fail({.error = EIO, .kind = Kind::sync});
        BOOST_TEST(!files.sync(fd));
        world.heal();
        const std::string content = after(world, Cut::none, name);
        seen.insert({content[0], content[512]});
    }
    BOOST_TEST(seen.size() == 4U);
}

BOOST_FIXTURE_TEST_CASE(a_file_may_come_back_longer_than_what_was_written_with_zeros, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(512, 'o'));
    BOOST_REQUIRE(files.write(fd, 512, as_bytes(text_of(1024, 'n'))));
    bool tail_of_zeros = false;
    bool hole_of_zeros = false;
    bool zeros_alone = false;
    bool short_file = false;
    for (const Cut cut : {Cut::prefix, Cut::random})
        for (std::uint64_t i = 0; i < 500; ++i) {
            const std::string content = after(world, cut, "a", i);
            const std::string zeros(512, '\0');
            BOOST_REQUIRE(content.substr(0, 512) == text_of(512, 'o'));
            tail_of_zeros |= content == text_of(512, 'o') + text_of(512, 'n') + zeros;
            hole_of_zeros |= content == text_of(512, 'o') + zeros + text_of(512, 'n');
            zeros_alone |= content == text_of(512, 'o') + zeros + zeros;
            short_file |= content == text_of(512, 'o');
        }
    BOOST_TEST(tail_of_zeros);
    BOOST_TEST(hole_of_zeros);
    BOOST_TEST(zeros_alone);
    BOOST_TEST(short_file);
}

BOOST_FIXTURE_TEST_CASE(bytes_cut_off_with_a_size_do_not_come_back, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(512, 'o'));
    BOOST_REQUIRE(files.write(fd, 512, as_bytes(text_of(1024, 'n'))));
    for (std::uint64_t i = 0; i < 200; ++i) {
        Rng rng{i};
        World image{{.seed = i}, world.image(Cut::random, rng)};
        const std::uint64_t size = image.disk().content("a").size();
        const int again = image.files().open("a", io::Open::write).value();
        BOOST_REQUIRE(image.files().truncate(again, 4096));
        BOOST_REQUIRE(image.disk().content("a").substr(size) == std::string(4096 - size, '\0'));
        BOOST_REQUIRE(image.files().sync(again));
        BOOST_REQUIRE(after(image, Cut::none, "a").substr(size) == std::string(4096 - size, '\0'));
    }
}

BOOST_FIXTURE_TEST_CASE(sizes_are_durable_with_a_sync_only, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(1000, 'o'));
    BOOST_REQUIRE(files.truncate(fd, 100));
    BOOST_TEST(after(world, Cut::none, "a") == text_of(1000, 'o'));
    BOOST_TEST(after(world, Cut::all, "a") == text_of(100, 'o'));
    BOOST_REQUIRE(files.sync(fd));
    BOOST_TEST(after(world, Cut::none, "a") == text_of(100, 'o'));
    BOOST_REQUIRE(files.allocate(fd, 2000));
    BOOST_TEST(world.disk().content("a") == text_of(100, 'o') + std::string(1900, '\0'));
    BOOST_TEST(files.size(fd).value() == 2000U);
    BOOST_TEST(after(world, Cut::none, "a").size() == 100U);
    BOOST_REQUIRE(files.allocate(fd, 500));  // never shrinks
    BOOST_TEST(files.size(fd).value() == 2000U);
}

BOOST_FIXTURE_TEST_CASE(direct_operations_want_alignment, Fixture) {
    const int fd = files.open("a", io::Open::create, true).value();
    BOOST_TEST(files.is_direct(fd));
    alignas(4096) static std::byte block[8192];
    BOOST_TEST(files.write(fd, 0, block).has_value());
    BOOST_TEST(files.write(fd, 512, block).error().error == EINVAL);
    BOOST_TEST(files.write(fd, 0, Bytes{block}.first(100)).error().error == EINVAL);
    BOOST_TEST(files.write(fd, 0, Bytes{block}.subspan(1, 4096)).error().error == EINVAL);
    const Bytes pieces[] = {Bytes{block}.first(4096), Bytes{block}.subspan(4096, 512)};
    Waiter waiter;
    io.write({.fd = fd, .offset = 0, .pieces = pieces}, false, waiter);
    wait_for(io, waiter);
    BOOST_TEST(waiter.result() == -EINVAL);
    World without{{.direct = false}};
    const int plain = without.files().open("a", io::Open::create, true).value();
    BOOST_TEST(!without.files().is_direct(plain));
    BOOST_TEST(without.files().write(plain, 7, Bytes{block}.first(100)).has_value());
}

BOOST_FIXTURE_TEST_CASE(a_full_disk_takes_what_fits_and_recovers, Fixture) {
    world.disk().capacity(64 * kBlockBytes);
    const int fd = files.open("a", io::Open::create).value();
    BOOST_REQUIRE(files.allocate(fd, 60 * kBlockBytes));
    BOOST_TEST(files.free_bytes().value() == 4 * kBlockBytes);
    const int other = files.open("b", io::Open::create).value();
    BOOST_TEST((files.allocate(other, 5 * kBlockBytes).error().code == Code::no_space));
    BOOST_TEST((files.write(other, 0, as_bytes(text_of(5 * kBlockBytes, 'x'))).error().code ==
                Code::no_space));
    BOOST_TEST(files.size(other).value() == 4 * kBlockBytes);
    BOOST_TEST(write_now(io, other, 4 * kBlockBytes, "x") == -ENOSPC);
    // What was made room for can be written.
    BOOST_TEST(files.write(fd, 0, as_bytes(text_of(60 * kBlockBytes, 'y'))).has_value());
    BOOST_REQUIRE(files.unlink("b"));
    BOOST_TEST(files.free_bytes().value() == 0U);  // still open
    files.close(other);
    BOOST_TEST(files.free_bytes().value() == 4 * kBlockBytes);
    // A file whose name is taken over frees its room, too.
    const int third = files.open("c", io::Open::create).value();
    BOOST_REQUIRE(files.allocate(third, 3 * kBlockBytes));
    files.close(fd);
    BOOST_REQUIRE(files.rename("c", "a"));
    BOOST_TEST(files.free_bytes().value() == 61 * kBlockBytes);
    BOOST_REQUIRE(files.truncate(third, kBlockBytes + 1));
    BOOST_TEST(files.free_bytes().value() == 62 * kBlockBytes);
}

BOOST_FIXTURE_TEST_CASE(rot_shows_in_reads_maps_and_after_a_crash, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(1024, 'o'));
    const auto map = files.map(fd).value();
    world.disk().flip("a", 700, std::byte{2});
    std::string content(1024, ' ');
    BOOST_TEST(files.read(fd, 0, std::as_writable_bytes(std::span{content})).value() == 1024U);
    BOOST_TEST(content[700] == 'm');
    BOOST_TEST(as_text(map->bytes())[700] == 'm');
    BOOST_TEST(after(world, Cut::none, "a")[700] == 'm');
}

BOOST_FIXTURE_TEST_CASE(a_bad_sector_fails_reads_until_it_is_written, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(8192, 'o'));
    world.disk().spoil("a", 5000, 1);
    std::string content(512, ' ');
    const auto into = std::as_writable_bytes(std::span{content});
    BOOST_TEST(files.read(fd, 0, into).has_value());
    BOOST_TEST(files.read(fd, 4700, into).error().error == EIO);
    Waiter waiter;
    io.read(fd, 4608, into, waiter);
    wait_for(io, waiter);
    BOOST_TEST(waiter.result() == -EIO);
    BOOST_REQUIRE(files.write(fd, 4608, as_bytes(text_of(512, 'n'))));
    BOOST_TEST(files.read(fd, 4700, into).has_value());
}

BOOST_FIXTURE_TEST_CASE(a_map_is_stable_while_the_file_is_written_and_grows, Fixture) {
    const int fd = files.open("a", io::Open::create).value();
    BOOST_REQUIRE(files.allocate(fd, 65536));
    const auto map = files.map(fd).value();
    BOOST_TEST(map->bytes().size() == 65536U);
    BOOST_TEST(write_now(io, fd, 60000, "here") == 0);
    BOOST_TEST(as_text(map->bytes().subspan(60000, 4)) == "here");
    BOOST_REQUIRE(files.allocate(fd, 16 << 20));
    const auto again = files.map(fd).value();
    BOOST_TEST(again->bytes().data() == map->bytes().data());
    BOOST_TEST(again->bytes().size() == 16U << 20);
    files.close(fd);
    BOOST_REQUIRE(files.unlink("a"));
    BOOST_TEST(as_text(map->bytes().subspan(60000, 4)) == "here");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::sim
