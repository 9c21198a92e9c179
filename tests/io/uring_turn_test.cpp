// Uring, part three: the turn, what is posted to it, and its timers.

#include <pthread.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <deque>
#include <thread>
#include <vector>

#include "io/grace.hpp"
#include "io/uring.hpp"
#include "tests/io/uring_world.hpp"

namespace firnlog::io {

BOOST_AUTO_TEST_SUITE(uring_turn)

// Posting.

BOOST_AUTO_TEST_CASE(what_any_thread_posts_runs_once_on_the_owner_in_its_threads_order,
                     *boost::unit_test::label("threads")) {
    constexpr std::size_t kThreads = 4;
    constexpr std::size_t kPosts = 20'000;
    World world;
    struct Message : Completion {
        std::vector<std::size_t>* next_of = nullptr;
        std::size_t thread = 0;
        std::size_t number = 0;
        int* out_of_order = nullptr;
    };
    std::vector<std::size_t> next_of(kThreads, 0);
    int out_of_order = 0;
    std::vector<std::vector<Message>> messages(kThreads, std::vector<Message>(kPosts));
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] {
            for (std::size_t i = 0; i < kPosts; ++i) {
                auto& message = messages[t][i];
                message.next_of = &next_of;
                message.thread = t;
                message.number = i;
                message.out_of_order = &out_of_order;
                message.run = [](Completion& self, std::int32_t result, bool more) {
                    const auto& ran = static_cast<Message&>(self);
                    if (result != 0 || more || (*ran.next_of)[ran.thread]++ != ran.number)
                        ++*ran.out_of_order;
                };
                world.io->post(message);
                // Let the owner fall asleep now and then, or only the busy path would be tried.
                if (i % 512 == 0) std::this_thread::sleep_for(100us);
            }
        });
    }
    world.until([&] { return next_of == std::vector<std::size_t>(kThreads, kPosts); });
    for (auto& thread : threads) thread.join();
    BOOST_TEST(out_of_order == 0);
}

namespace {

// Each post is answered before the next one: every one of them finds the owner asleep, falling so,
// or looking.
void post_and_answer(std::int64_t look_us) {
    constexpr int kRounds = 5'000;
    World world;
    world.io->look_before_sleep(look_us);
    std::atomic<int> answered{0};
    Recorder ping;
    ping.also = [&](std::int32_t, bool) { answered.fetch_add(1, std::memory_order_release); };
    std::thread poster([&] {
        for (int i = 0; i < kRounds; ++i) {
            world.io->post(ping);
            while (answered.load(std::memory_order_acquire) != i + 1) std::this_thread::yield();
        }
    });
    world.until([&] { return answered.load(std::memory_order_relaxed) == kRounds; });
    poster.join();
    BOOST_TEST(ping.results.size() == static_cast<std::size_t>(kRounds));
}

}  // namespace

BOOST_AUTO_TEST_CASE(no_post_is_missed_by_an_owner_that_is_falling_asleep,
                     *boost::unit_test::label("threads")) {
    post_and_answer(0);
}

BOOST_AUTO_TEST_CASE(no_post_is_missed_by_an_owner_that_looks_before_it_sleeps,
                     *boost::unit_test::label("threads")) {
    post_and_answer(1);     // mostly asleep
    post_and_answer(1000);  // mostly looking
}

BOOST_AUTO_TEST_CASE(the_owner_may_post_to_itself_and_does_not_sleep_over_it) {
    World world;
    Recorder one, other;
    one.also = [&](std::int32_t, bool) { world.io->post(other); };
    world.io->post(one);
    world.turn(true);
    BOOST_TEST(one.finished);
    world.turn(true);
    BOOST_TEST(other.finished);
}

// Timers.

BOOST_AUTO_TEST_CASE(timers_ring_in_the_order_of_their_times_and_never_early) {
    World world;
    const auto start = world.clock.mono();
    const std::vector<std::int64_t> delays{30'000, 5'000, 20'000, -1'000'000, 10'000, 0};
    std::vector<std::int64_t> rang;
    std::deque<Recorder> timers(delays.size());
    for (std::size_t i = 0; i < delays.size(); ++i) {
        timers[i].also = [&, i](std::int32_t result, bool) {
            BOOST_TEST(result == 0);
            BOOST_TEST((world.clock.mono() >= start.after(delays[i])));
            if (delays[i] > 0) rang.push_back(delays[i]);
        };
        world.io->timer(start.after(delays[i]), timers[i]);
    }
    Recorder before_time;
    world.io->timer(MonoTime{-5}, before_time);
    for (const auto& timer : timers) world.finish(timer);
    world.finish(before_time);
    BOOST_TEST(before_time.last() == 0);
    BOOST_TEST((rang == std::vector<std::int64_t>{5'000, 10'000, 20'000, 30'000}));
}

BOOST_AUTO_TEST_CASE(what_a_look_does_not_see_is_slept_for) {
    World world;
    world.io->look_before_sleep(500);
    const auto start = world.clock.mono();
    Recorder timer;
    world.io->timer(start.after(20'000), timer);
    world.finish(timer);
    BOOST_TEST(timer.last() == 0);
    BOOST_TEST((world.clock.mono() >= start.after(20'000)));
}

BOOST_AUTO_TEST_CASE(more_may_be_in_flight_than_either_queue_holds) {
    constexpr std::size_t kTimers = 3'000;
    for (const bool wait : {true, false}) {
        World world({.submissions = 4, .completions = 4, .buffers = 1, .buffer_bytes = 64});
        std::deque<Recorder> timers(kTimers);
        const auto when = world.clock.mono().after(30'000);
        for (auto& timer : timers) world.io->timer(when, timer);
        for (const auto& timer : timers) {
            while (!timer.finished && world.clock.mono() < when.after(20'000'000)) world.turn(wait);
            BOOST_REQUIRE((timer.results == std::vector{0}));
        }
    }
}

// The turn.

BOOST_AUTO_TEST_CASE(a_turn_that_does_not_wait_returns_at_once) {
    World world;
    for (int i = 0; i < 100; ++i) world.turn(false);
    BOOST_TEST(!world.watchdog.finished);
}

BOOST_AUTO_TEST_CASE(a_signal_ends_a_waiting_turn_without_an_error) {
    static std::atomic<int> caught{0};
    World world;
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = [](int) { ++caught; };
    ::sigaction(SIGUSR1, &action, &before);
    const pthread_t owner = ::pthread_self();
    world.settle();  // what is submitted together with the wait would hide the interruption
    std::thread sender([owner] {
        std::this_thread::sleep_for(20ms);
        ::pthread_kill(owner, SIGUSR1);
    });
    while (caught == 0) world.turn(true);
    sender.join();
    ::sigaction(SIGUSR1, &before, nullptr);
    BOOST_TEST(!world.watchdog.finished);
}

BOOST_AUTO_TEST_CASE(the_owner_reads_until_the_next_turn_and_not_while_it_waits,
                     *boost::unit_test::label("threads")) {
    Grace grace;
    World world({.grace = &grace});
    int taken_back = 0;
    grace.retire([&] { ++taken_back; });
    grace.collect();
    BOOST_TEST(taken_back == 0);
    world.turn(false);
    grace.collect();
    BOOST_TEST(taken_back == 1);

    // While it runs a completion, it reads.
    Recorder timer;
    timer.also = [&](std::int32_t, bool) {
        grace.retire([&] { ++taken_back; });
        grace.collect();
        BOOST_TEST(taken_back == 1);
    };
    world.io->timer(world.clock.mono(), timer);
    world.finish(timer);

    // While it waits, another thread has its way.
    Recorder over;
    std::thread other([&] {
        while (grace.waiting() != 0) {
            grace.collect();
            std::this_thread::yield();
        }
        world.io->post(over);
    });
    world.finish(over);
    other.join();
    BOOST_TEST(taken_back == 2);
}

BOOST_AUTO_TEST_CASE(operations_may_be_started_from_within_a_completion_without_end) {
    World world;
    Recorder timer;
    timer.also = [&](std::int32_t, bool) {
        if (timer.results.size() < 1'000) world.io->timer(MonoTime{0}, timer);
    };
    world.io->timer(MonoTime{0}, timer);
    world.until([&] { return timer.results.size() == 1'000; });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::io
