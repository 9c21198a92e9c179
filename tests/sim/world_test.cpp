// Crashing the world, restarting it, repeating it.

#include <boost/test/unit_test.hpp>
#include <map>
#include <string>

#include "tests/sim/fixture.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::sim {
namespace {

BOOST_AUTO_TEST_SUITE(sim_crash)

// Writes, renames and syncs so that every operation's crash is told apart by what survives.
void scenario(World& world) {
    io::Files& files = world.files();
    io::Io& io = world.io();
    for (char letter = 'a'; letter < 'e'; ++letter) {
        const std::string name{letter};
        const auto fd = files.open(name + ".tmp", io::Open::create);
        if (!fd) return;
        const std::string content = text_of(3000, letter);
        const Bytes piece = as_bytes(content);
        Waiter waiter;
        io.write({.fd = *fd, .offset = 0, .pieces = {&piece, 1}}, true, waiter);
        while (!waiter.done)
            if (!io.turn(true)) return;
        if (!files.rename(name + ".tmp", name)) return;
        if (!files.sync_dir()) return;
        files.close(*fd);
    }
}

BOOST_AUTO_TEST_CASE(a_crash_at_every_operation_leaves_a_prefix_of_renamed_files) {
    std::uint64_t operations = 0;
    {
        World world{{.seed = 5}};
        scenario(world);
        operations = world.operations();
    }
    BOOST_TEST(operations == 4U * 5);
    Tally crashes;
    for (std::uint64_t k = 1; k <= operations; ++k)
        for (const Cut cut : kCuts)
            for (std::uint64_t s = 0; s < 5; ++s) {
                World world{{.seed = 5}};
                world.crash_at(k);
                scenario(world);
                BOOST_REQUIRE(world.crashed());
                BOOST_REQUIRE(world.crash_point().number == k);
                BOOST_REQUIRE(is_crash(world.files().list().error()));
                BOOST_REQUIRE(is_crash(world.io().turn(true).error()));
                crashes.count(world.phase(), world.crash_point().kind);
                Rng rng{s};
                world.restart(cut, rng);
                char next = 'a';
                const auto infos = world.files().list();
                for (const io::FileInfo& info : infos.value()) {
                    if (info.name.ends_with(".tmp")) continue;
                    BOOST_REQUIRE(info.name == std::string(1, next));
                    BOOST_REQUIRE(world.disk().content(info.name) == text_of(3000, next));
                    ++next;
                }
                // The fifth operation of a round is the sync_dir that makes its name durable.
                BOOST_REQUIRE(next - 'a' >= static_cast<int>((k - 1) / 5));
            }
    BOOST_TEST(crashes.of(Kind::rename) == 4U * 5 * 5);
    BOOST_TEST(crashes.total() == operations * 5 * 5);
    crashes.print(stdout, "crashes");
}

BOOST_AUTO_TEST_CASE(a_hook_sees_the_same_images_as_crashes_do) {
    std::map<std::uint64_t, std::uint64_t> digests;
    World world{{.seed = 6}};
    world.on_operation([&](const Operation& at) {
        Rng rng{at.number};
        World image{{.seed = 1}, world.image(Cut::random, rng)};
        digests[at.number] = image.disk().digest();
    });
    scenario(world);
    for (const auto& [number, digest] : digests) {
        World other{{.seed = 6}};
        other.crash_at(number);
        scenario(other);
        Rng rng{number};
        BOOST_TEST(other.image(Cut::random, rng).digest() == digest);
    }
}

BOOST_AUTO_TEST_CASE(an_image_is_a_disk_of_its_own) {
    World world{{.seed = 7}};
    const int fd = make_durable_file(world, "a", text_of(512, 'o'));
    Rng rng{1};
    World image{{.seed = 1}, world.image(Cut::none, rng)};
    const int other = image.files().open("a", io::Open::write).value();
    BOOST_REQUIRE(image.files().write(other, 0, as_bytes("1")));
    BOOST_REQUIRE(image.files().sync(other));
    BOOST_REQUIRE(world.files().write(fd, 1, as_bytes("2")));
    BOOST_REQUIRE(world.files().sync(fd));
    BOOST_TEST(image.disk().content("a").substr(0, 2) == "1o");
    BOOST_TEST(world.disk().content("a").substr(0, 2) == "o2");
    BOOST_TEST(after(image, Cut::none, "a").substr(0, 2) == "1o");
    BOOST_TEST(after(world, Cut::none, "a").substr(0, 2) == "o2");
    Disk copy = world.image(Cut::kill, rng);
    copy.flip("a", 5);
    BOOST_TEST(world.disk().content("a")[5] == 'o');
}

BOOST_AUTO_TEST_CASE(locks_fall_with_their_process) {
    World world{{.seed = 8}};
    auto lock = world.files().lock("lock").value();
    Process& second = world.start();
    BOOST_TEST((second.files().lock("lock").error().code == Code::busy));
    world.process().kill();
    auto mine = second.files().lock("lock").value();
    lock.reset();  // the dead one's must not free it
    Process& third = world.start();
    BOOST_TEST((third.files().lock("lock").error().code == Code::busy));
    mine.reset();
    BOOST_TEST(third.files().lock("lock").has_value());
}

BOOST_AUTO_TEST_CASE(a_reboot_starts_the_steady_clock_anew_and_a_kill_does_not) {
    World world{{.seed = 9}};
    world.clock().advance(1'000'000'000);
    const io::WallTime wall = world.clock().wall();
    Rng rng{1};
    world.restart(Cut::kill, rng);
    BOOST_TEST(world.clock().mono().us > 1'000'000'000);
    world.restart(Cut::none, rng);
    BOOST_TEST(world.clock().mono().us < 100'000'000);
    BOOST_TEST(world.clock().wall().us > wall.us);
    world.clock().jump_wall(-3'600'000'000);
    BOOST_TEST(world.clock().wall().us < wall.us);
    const auto asleep = world.clock().boot().us - world.clock().mono().us;
    world.clock().sleep(5'000'000);
    BOOST_TEST(world.clock().boot().us - world.clock().mono().us == asleep + 5'000'000);
}

BOOST_AUTO_TEST_CASE(the_same_seed_gives_the_same_run_bit_for_bit) {
    const auto run = [](std::uint64_t seed) {
        World world{{.seed = seed}};
        scenario(world);
        return world.trace().digest();
    };
    BOOST_TEST(run(1) == run(1));
    BOOST_TEST(run(2) == run(2));
    BOOST_TEST(run(1) != run(2));
}

BOOST_AUTO_TEST_CASE(operations_are_counted_by_phase_and_kind) {
    World world{{.seed = 3, .phase = "first"}};
    scenario(world);
    world.phase("second");
    scenario(world);
    const Tally tally = world.tally();
    BOOST_TEST(tally.of("first", Kind::rename) == 4U);
    BOOST_TEST(tally.of("second", Kind::rename) == 4U);
    BOOST_TEST(tally.of(Kind::fsync) == 8U);
    BOOST_TEST(tally.total() == world.operations());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::sim
