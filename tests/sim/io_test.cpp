// The simulated ring: what completes when, what a sync covers, what a fault leaves behind.

#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <set>
#include <string>

#include "tests/sim/fixture.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::sim {
namespace {

BOOST_AUTO_TEST_SUITE(sim_io)

BOOST_FIXTURE_TEST_CASE(an_fsync_covers_only_writes_completed_before_it, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(1024, 'o'));
    BOOST_TEST(write_now(io, fd, 0, text_of(512, '1')) == 0);
    Waiter sync;
    Waiter inside;
    Waiter behind;
    const std::string two = text_of(512, '2');
    const std::string three = text_of(512, '3');
    const Bytes piece_inside = as_bytes(two);
    const Bytes piece_behind = as_bytes(three);
    world.pace().sync = {50'000, 50'000};
    world.pace().slow_percent = 0;
    io.fsync(fd, sync);
    io.write({.fd = fd, .offset = 512, .pieces = {&piece_inside, 1}}, false, inside);
    io.write({.fd = fd, .offset = 1024, .pieces = {&piece_behind, 1}}, false, behind);
    wait_for(io, inside);
    wait_for(io, behind);
    BOOST_TEST(!sync.done);
    wait_for(io, sync);
    BOOST_TEST(after(world, Cut::none, "a") == text_of(512, '1') + text_of(512, 'o'));
    BOOST_TEST(after(world, Cut::all, "a") == text_of(512, '1') + two + three);
}

BOOST_FIXTURE_TEST_CASE(a_write_with_sync_is_durable_when_it_completes, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(1024, 'o'));
    const Bytes pieces[] = {as_bytes("one"), as_bytes("two"), as_bytes("three")};
    Waiter waiter;
    io.write({.fd = fd, .offset = 10, .pieces = pieces}, true, waiter);
    wait_for(io, waiter);
    BOOST_TEST(waiter.result() == 0);
    BOOST_TEST(after(world, Cut::none, "a").substr(9, 13) == "oonetwothreeo");
    BOOST_TEST(world.tally().of(Kind::write_sync) == 1U);
    BOOST_TEST(world.tally().of(Kind::fsync) == 1U);
}

BOOST_FIXTURE_TEST_CASE(a_started_write_is_in_flight_only_after_a_turn, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(512, 'o'));
    const std::string bytes = text_of(512, 'n');
    const Bytes piece = as_bytes(bytes);
    Waiter waiter;
    io.write({.fd = fd, .offset = 0, .pieces = {&piece, 1}}, false, waiter);
    BOOST_TEST(after(world, Cut::all, "a") == text_of(512, 'o'));
    world.pace().write = {1000, 1000};
    world.pace().slow_percent = 0;
    BOOST_REQUIRE(io.turn(false));
    BOOST_TEST(!waiter.done);
    BOOST_TEST(world.disk().content("a") == text_of(512, 'o'));
    BOOST_TEST(after(world, Cut::none, "a") == text_of(512, 'o'));
    BOOST_TEST(after(world, Cut::all, "a") == text_of(512, 'n'));
}

BOOST_FIXTURE_TEST_CASE(overlapping_writes_in_flight_land_in_either_order, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(512, 'o'));
    std::set<char> winners;
    std::set<char> images;
    std::set<char> lasts;
    const std::string one = text_of(512, '1');
    const std::string two = text_of(512, '2');
    const Bytes first = as_bytes(one);
    const Bytes second = as_bytes(two);
    for (int i = 0; i < 50; ++i) {
        Waiter a;
        Waiter b;
        io.write({.fd = fd, .offset = 0, .pieces = {&first, 1}}, false, a);
        io.write({.fd = fd, .offset = 0, .pieces = {&second, 1}}, false, b);
        BOOST_REQUIRE(io.turn(false));
        if (!a.done && !b.done)
            for (std::uint64_t s = 0; s < 20; ++s) {
                images.insert(after(world, Cut::random, "a", s)[0]);
                lasts.insert(after(world, Cut::all, "a", s)[0]);
            }
        wait_for(io, a);
        wait_for(io, b);
        winners.insert(world.disk().content("a")[0]);
    }
    BOOST_TEST((winners == std::set<char>{'1', '2'}));
    BOOST_TEST((images == std::set<char>{'o', '1', '2'}));
    BOOST_TEST((lasts == std::set<char>{'1', '2'}));
}

BOOST_FIXTURE_TEST_CASE(a_cut_lands_writes_in_flight_in_any_order, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(512, 'o'));
    const std::string one = text_of(512, '1');
    const std::string two = text_of(512, '2');
    const Bytes first = as_bytes(one);
    const Bytes second = as_bytes(two);
    Waiter a;
    Waiter b;
    world.pace().write = {1000, 1000};
    world.pace().slow_percent = 0;
    io.write({.fd = fd, .offset = 0, .pieces = {&first, 1}}, false, a);
    io.write({.fd = fd, .offset = 0, .pieces = {&second, 1}}, false, b);
    BOOST_REQUIRE(io.turn(false));
    std::set<std::string> seen;
    for (std::uint64_t s = 0; s < 50; ++s) seen.insert(after(world, Cut::all, "a", s));
    BOOST_TEST((seen == std::set<std::string>{one, two}));
}

BOOST_FIXTURE_TEST_CASE(neighbours_in_flight_within_one_sector_both_land, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(512, 'o'));
    const std::string one = text_of(256, '1');
    const std::string two = text_of(256, '2');
    const Bytes first = as_bytes(one);
    const Bytes second = as_bytes(two);
    Waiter a;
    Waiter b;
    world.pace().write = {1000, 1000};
    io.write({.fd = fd, .offset = 0, .pieces = {&first, 1}}, false, a);
    io.write({.fd = fd, .offset = 256, .pieces = {&second, 1}}, false, b);
    BOOST_REQUIRE(io.turn(false));
    BOOST_TEST(after(world, Cut::all, "a") == one + two);
}

BOOST_FIXTURE_TEST_CASE(a_kill_lands_writes_in_flight_wholly_partly_or_not, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(8192, 'o'));
    const std::string bytes = text_of(8192, 'n');
    const Bytes piece = as_bytes(bytes);
    Waiter waiter;
    world.pace().write = {1000, 1000};
    io.write({.fd = fd, .offset = 0, .pieces = {&piece, 1}}, false, waiter);
    BOOST_REQUIRE(io.turn(false));
    std::set<std::string> seen;
    for (std::uint64_t i = 0; i < 100; ++i) seen.insert(after(world, Cut::kill, "a", i));
    BOOST_TEST(
        (seen == std::set<std::string>{text_of(8192, 'o'), text_of(4096, 'n') + text_of(4096, 'o'),
                                       text_of(8192, 'n')}));
}

BOOST_FIXTURE_TEST_CASE(reads_at_the_end_of_a_file_are_short, Fixture) {
    const int fd = make_durable_file(world, "a", "0123456789");
    std::string into(8, ' ');
    Waiter waiter;
    io.read(fd, 6, std::as_writable_bytes(std::span{into}), waiter);
    wait_for(io, waiter);
    BOOST_TEST(waiter.result() == 4);
    BOOST_TEST(into.substr(0, 4) == "6789");
}

BOOST_FIXTURE_TEST_CASE(timers_fire_in_order_and_can_be_cancelled, Fixture) {
    const io::MonoTime now = world.clock().mono();
    Waiter early;
    Waiter late;
    Waiter never;
    io.timer(now.after(2'000'000), late);
    io.timer(now.after(1'000'000), early);
    io.timer(now.after(500'000), never);
    BOOST_REQUIRE(io.turn(false));
    io.cancel(never);
    io.cancel(never);
    wait_for(io, early);
    BOOST_TEST(never.done);
    BOOST_TEST(never.results.size() == 1U);
    BOOST_TEST(never.result() == -ECANCELED);
    BOOST_TEST(!late.done);
    BOOST_TEST(world.clock().mono().us >= now.us + 1'000'000);
    BOOST_TEST(world.clock().mono().us < now.us + 1'100'000);
    wait_for(io, late);
    BOOST_TEST(late.result() == 0);
}

BOOST_FIXTURE_TEST_CASE(a_post_runs_in_a_turn_of_its_owner, Fixture) {
    Waiter waiter;
    io::Io& other = world.io(1);
    other.post(waiter);
    BOOST_REQUIRE(io.turn(true));
    BOOST_TEST(!waiter.done);
    wait_for(other, waiter);
    BOOST_TEST(waiter.result() == 0);
}

BOOST_FIXTURE_TEST_CASE(waiting_for_what_never_comes_ends_with_an_error, Fixture) {
    int error = 0;
    for (int i = 0; i < 20'000 && error == 0; ++i)
        if (const auto turned = io.turn(true); !turned) error = turned.error().error;
    BOOST_TEST(error == EDEADLK);
}

BOOST_FIXTURE_TEST_CASE(faults_strike_the_nth_operation_of_their_kind, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(1024, 'o'));
    world.fail({.error = EIO, .kind = Kind::write, .nth = 2, .landed = Landed::none});
    BOOST_TEST(write_now(io, fd, 0, "1") == 0);
    BOOST_TEST(write_now(io, fd, 0, "2") == -EIO);
    BOOST_TEST(write_now(io, fd, 1, "3") == 0);
    BOOST_TEST(world.disk().content("a").substr(0, 3) == "13o");
    world.fail({.error = ENOSPC, .kind = Kind::write, .sticky = true, .landed = Landed::all});
    BOOST_TEST(write_now(io, fd, 0, "4") == -ENOSPC);
    BOOST_TEST((files.write(fd, 0, as_bytes("5")).error().code == Code::no_space));
    BOOST_TEST(world.disk().content("a")[0] == '5');  // failed, and there
    world.heal();
    BOOST_TEST(write_now(io, fd, 0, "6") == 0);
    world.fail({.error = EINTR, .any = true});
    BOOST_TEST(files.write(fd, 0, as_bytes("7")).has_value());
    world.fail({.error = EAGAIN, .kind = Kind::write_sync});
    BOOST_TEST(write_now(io, fd, 0, "8", true) == -EAGAIN);
    BOOST_TEST(world.disk().content("a")[0] == '7');
    BOOST_TEST(world.faults_struck() == 5U);
}

BOOST_FIXTURE_TEST_CASE(a_short_write_is_an_error_of_which_a_part_landed, Fixture) {
    const int fd = make_durable_file(world, "a", text_of(1024, 'o'));
    world.fail({.is_short = true, .kind = Kind::write_sync});
    BOOST_TEST(write_now(io, fd, 0, text_of(1024, 'n'), true) == -EIO);
    BOOST_TEST(world.disk().content("a").back() == 'o');
    BOOST_TEST(after(world, Cut::none, "a") == text_of(1024, 'o'));
    world.fail({.is_short = true, .kind = Kind::read});
    std::string into(1024, ' ');
    BOOST_TEST(files.read(fd, 0, std::as_writable_bytes(std::span{into})).value() < 1024U);
}

BOOST_FIXTURE_TEST_CASE(faults_can_be_bound_to_a_phase_and_a_file, Fixture) {
    world.fail({.kind = Kind::create, .file = "b", .phase = "later", .sticky = true});
    BOOST_TEST(files.open("b1", io::Open::create).has_value());
    world.phase("later");
    BOOST_TEST(files.open("a", io::Open::create).has_value());
    BOOST_TEST(files.open("b2", io::Open::create).error().error == EIO);
    BOOST_TEST(!world.disk().has("b2"));
    // A renamed file goes by its newest name, also where a descriptor is used.
    const int fd = files.open("a", io::Open::write).value();
    BOOST_REQUIRE(files.rename("a", "c"));
    world.fail({.any = true, .file = "c"});
    BOOST_TEST(!files.sync(fd));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::sim
