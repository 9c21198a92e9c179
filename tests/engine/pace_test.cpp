#include "engine/pace.hpp"

#include <boost/test/unit_test.hpp>

namespace firnlog::engine {

BOOST_AUTO_TEST_SUITE(pace)

namespace {

struct Worker {
    Pace pace;
    io::MonoTime now{1'000'000};

    // A while in which the slowest write took so long; 0: none was made.
    unsigned window(std::int64_t us, bool busy) {
        now = now.after(60'000);
        if (us != 0) {
            pace.note(us / 2);
            pace.note(us);
            pace.note(us / 3);
        }
        return pace.duty(now, busy, 50);
    }
    void quiet(std::int64_t us) {
        for (int i = 0; i < 50; ++i) (void)window(us, false);
    }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_job_that_writers_feel_gets_less_and_less_of_the_time, Worker) {
    quiet(200);
    BOOST_TEST(pace.usual_us() == 200);
    BOOST_TEST(window(250, true) == 50U);
    BOOST_TEST(window(5'000, true) == 25U);
    BOOST_TEST(window(5'000, true) == 12U);
    for (int i = 0; i < 10; ++i) (void)window(5'000, true);
    // It comes to its end all the same.
    BOOST_TEST(window(5'000, true) == 5U);
}

BOOST_FIXTURE_TEST_CASE(it_gets_more_again_when_they_do_not, Worker) {
    quiet(200);
    for (int i = 0; i < 10; ++i) (void)window(5'000, true);
    unsigned before = 5;
    for (int i = 0; i < 9; ++i) {
        const auto percent = window(220, true);
        BOOST_TEST(percent == before + 5);
        before = percent;
    }
    BOOST_TEST(window(220, true) == 50U);
}

BOOST_FIXTURE_TEST_CASE(what_the_job_itself_makes_of_writes_is_not_what_is_usual, Worker) {
    quiet(200);
    for (int i = 0; i < 100; ++i) (void)window(5'000, true);
    BOOST_TEST(pace.usual_us() == 200);
    // A disk that is slow by itself is another matter.
    quiet(8'000);
    BOOST_TEST(window(9'000, true) == 50U);
}

BOOST_FIXTURE_TEST_CASE(where_nobody_writes_nobody_is_held_up, Worker) {
    BOOST_TEST(window(9'000, true) == 50U);
    BOOST_TEST(window(0, true) == 50U);
    quiet(0);
    BOOST_TEST(pace.usual_us() == 0);
}

BOOST_FIXTURE_TEST_CASE(within_one_window_it_stays_what_it_is, Worker) {
    quiet(200);
    (void)window(220, true);
    pace.note(50'000);
    BOOST_TEST(pace.duty(now.after(1'000), true, 50) == 50U);
    BOOST_TEST(window(0, true) == 25U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::engine
