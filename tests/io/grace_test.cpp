#include "io/grace.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <thread>
#include <vector>

namespace firnlog::io {

BOOST_AUTO_TEST_SUITE(grace)

BOOST_AUTO_TEST_CASE(what_nobody_reads_goes_at_the_next_collect) {
    Grace grace;
    int runs = 0;
    grace.retire([&] { ++runs; });
    BOOST_TEST(runs == 0);
    BOOST_TEST(grace.waiting() == 1U);
    grace.collect();
    BOOST_TEST(runs == 1);
    grace.collect();
    BOOST_TEST(runs == 1);
    BOOST_TEST(grace.waiting() == 0U);
}

BOOST_AUTO_TEST_CASE(a_callback_waits_until_every_reader_has_ended_a_turn) {
    Grace grace;
    auto one = grace.enter();
    auto other = grace.enter();
    int runs = 0;
    grace.retire([&] { ++runs; });
    grace.collect();
    BOOST_TEST(runs == 0);
    grace.quiescent(one);
    grace.collect();
    BOOST_TEST(runs == 0);
    grace.quiescent(one);
    grace.quiescent(one);
    grace.collect();
    BOOST_TEST(runs == 0);
    grace.quiescent(other);
    grace.collect();
    BOOST_TEST(runs == 1);
}

BOOST_AUTO_TEST_CASE(a_turn_ended_before_the_retire_counts_for_nothing) {
    Grace grace;
    auto slot = grace.enter();
    grace.quiescent(slot);
    int runs = 0;
    grace.retire([&] { ++runs; });
    grace.collect();
    BOOST_TEST(runs == 0);
    grace.quiescent(slot);
    grace.collect();
    BOOST_TEST(runs == 1);
}

BOOST_AUTO_TEST_CASE(sleepers_and_those_who_left_hold_nothing_back_and_the_woken_do_again) {
    Grace grace;
    auto sleeper = grace.enter();
    grace.sleep(sleeper);
    { const auto gone = grace.enter(); }
    int runs = 0;
    grace.retire([&] { ++runs; });
    grace.collect();
    BOOST_TEST(runs == 1);
    grace.wake(sleeper);
    grace.retire([&] { ++runs; });
    grace.collect();
    BOOST_TEST(runs == 1);
    grace.sleep(sleeper);
    grace.collect();
    BOOST_TEST(runs == 2);
}

BOOST_AUTO_TEST_CASE(callbacks_run_in_the_order_of_their_retires_and_only_those_that_are_due) {
    Grace grace;
    auto slot = grace.enter();
    std::vector<int> ran;
    grace.retire([&] { ran.push_back(1); });
    grace.quiescent(slot);
    grace.retire([&] { ran.push_back(2); });
    grace.retire([&] { ran.push_back(3); });
    grace.collect();
    BOOST_TEST((ran == std::vector{1}));
    grace.quiescent(slot);
    grace.collect();
    BOOST_TEST((ran == std::vector{1, 2, 3}));
}

BOOST_AUTO_TEST_CASE(a_callback_may_own_what_it_frees_and_retire_more) {
    int runs = 0;
    {
        Grace grace;
        auto owned = std::make_unique<int>(7);
        grace.retire([&grace, &runs, owned = std::move(owned)] {
            runs += *owned;
            grace.retire([&runs] { ++runs; });
        });
        grace.collect();
        BOOST_TEST(runs == 7);
        grace.retire([&grace, &runs] { grace.retire([&runs] { runs += 10; }); });
        // The rest is run when it goes.
    }
    BOOST_TEST(runs == 18);
}

BOOST_AUTO_TEST_CASE(a_place_that_was_left_is_taken_again) {
    Grace grace;
    for (std::size_t i = 0; i < 3 * Grace::kReadersMax; ++i) {
        auto slot = grace.enter();
        auto moved = std::move(slot);
        grace.quiescent(moved);
    }
    int runs = 0;
    grace.retire([&] { ++runs; });
    grace.collect();
    BOOST_TEST(runs == 1);
}

// The use it is made for: readers follow a pointer without a lock while a writer replaces it. A
// value taken back too early is seen as poisoned, and by ThreadSanitizer and AddressSanitizer as
// such.
BOOST_AUTO_TEST_CASE(no_reader_ever_sees_what_was_taken_back, *boost::unit_test::label("threads")) {
    constexpr int kSound = 42;
    constexpr int kReaders = 3;
    constexpr int kSwaps = 20'000;
    Grace grace;
    std::atomic<int*> shared{new int(kSound)};
    std::atomic<bool> stop{false};
    std::atomic<int> wrong{0};
    std::atomic<int> freed{0};
    std::vector<std::thread> readers;
    for (int r = 0; r < kReaders; ++r) {
        readers.emplace_back([&, r] {
            auto slot = grace.enter();
            for (unsigned turn = 0; !stop.load(std::memory_order_relaxed); ++turn) {
                const int* const value = shared.load(std::memory_order_acquire);
                for (int look = 0; look < 4; ++look)
                    if (*value != kSound) ++wrong;
                grace.quiescent(slot);
                if (turn % 8 == static_cast<unsigned>(r)) {
                    grace.sleep(slot);
                    if (turn % 64 == 0) std::this_thread::yield();
                    grace.wake(slot);
                }
                if (r == 0) grace.collect();
            }
        });
    }
    for (int i = 0; i < kSwaps; ++i) {
        int* const old = shared.exchange(new int(kSound), std::memory_order_acq_rel);
        grace.retire([&freed, old] {
            *old = -1;
            delete old;
            freed.fetch_add(1, std::memory_order_relaxed);
        });
        grace.collect();
    }
    stop = true;
    for (auto& reader : readers) reader.join();
    grace.collect();
    BOOST_TEST(grace.waiting() == 0U);
    BOOST_TEST(freed == kSwaps);
    BOOST_TEST(wrong == 0);
    delete shared.load();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::io
