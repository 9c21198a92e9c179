// Cancelling operations of the ring: each kind, at each moment, and nothing but what was meant.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "tests/io/uring_world.hpp"

namespace firnlog::io {

BOOST_AUTO_TEST_SUITE(uring)

BOOST_AUTO_TEST_CASE(each_kind_of_operation_can_be_cancelled_in_flight) {
    World world;
    sockaddr_in address{};
    const Fd listener = listening(address);
    Pair pair;
    int full_pipe[2];
    BOOST_REQUIRE(::pipe2(full_pipe, O_CLOEXEC) == 0);
    const Fd pipe_out(full_pipe[0]);
    const Fd pipe_in(full_pipe[1]);
    const std::string page(4096, 'p');
    ::fcntl(pipe_in, F_SETFL, O_NONBLOCK);
    while (::write(pipe_in, page.data(), page.size()) > 0) {
    }
    ::fcntl(pipe_in, F_SETFL, 0);
    int empty_pipe[2];
    BOOST_REQUIRE(::pipe2(empty_pipe, O_CLOEXEC) == 0);
    const Fd empty_out(empty_pipe[0]);
    const Fd empty_in(empty_pipe[1]);
    Pair full;
    while (::send(full.ours, page.data(), page.size(), MSG_DONTWAIT) > 0) {
    }

    Recorder accept, recv, send, read, write, timer;
    std::byte into[16];
    const Bytes piece = as_bytes(page);
    world.io->accept(listener, accept);
    world.io->recv(pair.ours, recv);
    world.io->send(full.ours, as_bytes(page), send);
    world.io->read(empty_out, 0, into, read);
    world.io->write({.fd = pipe_in, .offset = 0, .pieces = {&piece, 1}}, true, write);
    world.io->timer(world.clock.mono().after(50'000'000), timer);
    const auto all = {&accept, &recv, &send, &read, &write, &timer};
    world.settle();
    for (const auto* one : all) BOOST_TEST(one->results.empty());
    for (auto* one : all) world.io->cancel(*one);
    for (const auto* one : all) {
        world.finish(*one);
        BOOST_TEST(one->results.size() == 1U);
    }
    for (const auto* one : {&accept, &recv, &send, &timer}) BOOST_TEST(one->last() == -ECANCELED);
    // A worker of the kernel that is stopped while it waits may say that it was interrupted.
    for (const auto* one : {&read, &write})
        BOOST_TEST((one->last() == -ECANCELED || one->last() == -EINTR), one->last());
    world.settle();
    for (const auto* one : all) BOOST_TEST(one->runs_after_the_last == 0);
}

BOOST_AUTO_TEST_CASE(what_is_cancelled_before_it_was_submitted_ends_as_well) {
    World world;
    Pair pair;
    Recorder recv, timer;
    world.io->recv(pair.ours, recv);
    world.io->cancel(recv);
    world.io->timer(world.clock.mono().after(50'000'000), timer);
    world.io->cancel(timer);
    world.io->cancel(timer);
    world.finish(recv);
    world.finish(timer);
    BOOST_TEST(recv.last() == -ECANCELED);
    BOOST_TEST(timer.last() == -ECANCELED);
}

BOOST_AUTO_TEST_CASE(a_cancelled_receive_leaves_the_bytes_for_the_next_one) {
    World world;
    Pair pair;
    std::string got;
    Recorder recv;
    recv.also = [&](std::int32_t, bool) { got += as_text(world.io->received()); };
    world.io->recv(pair.ours, recv);
    world.turn(false);
    world.io->cancel(recv);
    world.finish(recv);
    pair.tell("later");
    world.settle();
    BOOST_TEST(got == "");
    recv.again();
    world.io->recv(pair.ours, recv);
    world.until([&] { return got == "later"; });
}

BOOST_AUTO_TEST_CASE(a_cancel_never_hits_the_next_operation_of_the_same_completion) {
    World world;
    Pair pair;
    // The timer rings, and in the very same turn it is cancelled and started anew.
    Recorder timer;
    bool restarted = false;
    timer.also = [&](std::int32_t, bool) {
        if (std::exchange(restarted, true)) return;
        world.io->cancel(timer);
        world.io->timer(world.clock.mono().after(20'000), timer);
    };
    world.io->timer(world.clock.mono(), timer);
    world.until([&] { return timer.results.size() == 2; });
    BOOST_TEST(timer.results[0] == 0);
    BOOST_TEST(timer.results[1] == 0);

    Recorder send;
    restarted = false;
    send.also = [&](std::int32_t, bool) {
        if (std::exchange(restarted, true)) return;
        world.io->cancel(send);
        world.io->send(pair.ours, as_bytes("y"), send);
    };
    world.io->send(pair.ours, as_bytes("x"), send);
    world.until([&] { return send.results.size() == 2; });
    BOOST_TEST((send.results == std::vector{1, 1}));
}

BOOST_AUTO_TEST_CASE(cancelling_what_has_finished_or_never_began_does_nothing) {
    World world;
    Recorder timer;
    world.io->cancel(timer);
    world.io->timer(world.clock.mono(), timer);
    world.finish(timer);
    world.io->cancel(timer);
    world.settle();
    BOOST_TEST((timer.results == std::vector{0}));
}

// A cancel that meets a receive out of buffers must not be forgotten when it is started again.
BOOST_AUTO_TEST_CASE(receives_are_cancelled_also_while_buffers_are_short) {
    for (int round = 0; round < 20; ++round) {
        World world({.submissions = 4, .completions = 4, .buffers = 1, .buffer_bytes = 16});
        std::vector<Pair> pairs(20);
        std::deque<Recorder> recvs(pairs.size());
        for (std::size_t i = 0; i < pairs.size(); ++i) {
            pairs[i].tell(std::string(100, 'x'));
            recvs[i].also = [&world, &recv = recvs[i]](std::int32_t result, bool) {
                if (result > 0) world.io->cancel(recv);
            };
            world.io->recv(pairs[i].ours, recvs[i]);
        }
        for (const auto& recv : recvs) {
            world.finish(recv);
            BOOST_TEST(recv.last() == -ECANCELED);
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::io
