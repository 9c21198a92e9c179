// What a policy costs follows from the store's rates: more of these never costs less, and the
// figures of a store that is easily reckoned are those of a pencil.

#include "src/backup_plan.hpp"

#include <boost/test/unit_test.hpp>

namespace firnlog::server {
namespace {

constexpr std::int64_t kDayUs = std::int64_t{24} * 3600 * 1'000'000;
constexpr double kGB = 1e9;

// Two days of 10 GB a day in records of 1,000 bytes, 5 GB of them live.
recovery::StoreRates busy() {
    recovery::StoreRates rates;
    rates.sample_us = 2 * kDayUs;
    rates.log_bytes = 20'000'000'000;
    rates.read = {.bytes = 64'000'000, .frames = 6'400, .records = 64'000, .took_us = 640'000};
    rates.files_bytes = 25'000'000'000;
    rates.has_checkpoint = true;
    rates.live_bytes = 5'000'000'000;
    rates.checkpoint_bytes = 100'000'000;
    return rates;
}

const PolicyCost& of(const BackupPlan& plan, BackupPolicy policy) {
    return plan[static_cast<std::size_t>(policy)];
}

void is_about(double told, double expected) {
    BOOST_TEST(told > expected * 0.98);
    BOOST_TEST(told < expected * 1.02);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(backup_plan)

BOOST_AUTO_TEST_CASE(the_figures_are_those_of_a_pencil) {
    const auto rates = busy();
    is_about(rates.log_bytes_a_day(), 10 * kGB);
    is_about(rates.replay_rate(), 100e6);
    is_about(rates.garbage_share(), 0.8);
    const auto plan = plan_backups(rates);

    // 10 million changes a day are 116 a second: 6,944 a minute, not 10,000.
    const auto& continuous = of(plan, BackupPolicy::continuous);
    is_about(continuous.checkpoints_a_day, 10e6 / 10'000);
    // All of the log, and a checkpoint.
    is_about(continuous.moved_bytes_a_day, 10.1 * kGB);
    // A window of 24 hours is 10 GB, twice what is live: just within the bound.
    is_about(continuous.window_s, 24 * 3600);
    is_about(continuous.disk_bytes, (5 + 10 + 2.6) * kGB);
    BOOST_TEST(continuous.rpo_s == 60);
    // 10 MB of log between two checkpoints.
    is_about(continuous.restart_s, 0.1);
    // 5 GB, a day of log and a checkpoint, read twice.
    is_about(continuous.restore_s, 2 * 15.1 * 10 + 0.1);

    const auto& daily = of(plan, BackupPolicy::daily);
    // One an hour, unless 256 MiB of log come first.
    is_about(daily.checkpoints_a_day, 10e9 / (256 << 20));
    // The window would be two days; the bound lets it be one.
    is_about(daily.window_s, 24 * 3600);
    BOOST_TEST(daily.rpo_s == 24 * 3600);
    is_about(daily.moved_bytes_a_day, (10 + 0.1 * 12) * kGB);

    const auto& weekly = of(plan, BackupPolicy::weekly);
    BOOST_TEST(weekly.rpo_s == 7 * 24 * 3600);
    // Of the log of a week the most was given back when the backup comes.
    is_about(weekly.moved_bytes_a_day, (15 + 0.1 * 24) / 7 * kGB);

    const auto& none = of(plan, BackupPolicy::none);
    BOOST_TEST(none.moved_bytes_a_day == 0);
    BOOST_TEST(none.rpo_s < 0);
    BOOST_TEST(none.restore_s < 0);
    is_about(none.restart_s, 0.1);
}

BOOST_AUTO_TEST_CASE(moments_that_outlive_the_window_take_what_was_live_then) {
    auto rates = busy();
    rates.log_bytes /= 10;
    const auto plan = plan_backups(rates);
    // A day of log, 26 checkpoints, and six days beyond the window: a GB and a checkpoint each.
    is_about(of(plan, BackupPolicy::continuous).disk_bytes, (5 + 1 + 2.6 + 6 * 1.1) * kGB);
    // Four weeks: of the 5 GB that were live then nothing is now, and no more than 10 are kept.
    is_about(of(plan, BackupPolicy::weekly).disk_bytes, (5 + 10 + 0.1 * (2 + 3.725)) * kGB);
    is_about(of(plan, BackupPolicy::none).disk_bytes, (5 + 1 + 2.6) * kGB);
}

BOOST_AUTO_TEST_CASE(less_may_be_lost_where_more_moves) {
    const auto plan = plan_backups(busy());
    for (const auto policy : {BackupPolicy::hourly, BackupPolicy::daily, BackupPolicy::weekly}) {
        const auto& rarer = of(plan, policy);
        const auto& denser = plan[static_cast<std::size_t>(policy) - 1];
        BOOST_TEST(denser.rpo_s < rarer.rpo_s);
        if (policy != BackupPolicy::hourly)
            BOOST_TEST(denser.moved_bytes_a_day >= rarer.moved_bytes_a_day);
    }
}

BOOST_AUTO_TEST_CASE(a_store_that_is_idle_or_unknown_costs_nothing_that_is_made_up) {
    recovery::StoreRates rates;
    rates.sample_us = kDayUs;
    for (const auto& cost : plan_backups(rates)) {
        BOOST_TEST(cost.moved_bytes_a_day == 0);
        BOOST_TEST(cost.extra_iops == 0);
        BOOST_TEST(cost.disk_bytes == 0);
        BOOST_TEST(cost.checkpoints_a_day == 0);
        // Nothing was measured.
        BOOST_TEST(cost.restart_s < 0);
        BOOST_TEST(cost.restore_s < 0);
    }
}

BOOST_AUTO_TEST_CASE(twice_as_much_log_is_never_cheaper) {
    auto rates = busy();
    const auto once = plan_backups(rates);
    rates.log_bytes *= 2;
    const auto twice = plan_backups(rates);
    for (std::size_t i = 0; i < once.size(); ++i) {
        BOOST_TEST(twice[i].moved_bytes_a_day >= once[i].moved_bytes_a_day);
        BOOST_TEST(twice[i].extra_iops >= once[i].extra_iops);
        BOOST_TEST(twice[i].disk_bytes >= once[i].disk_bytes);
        BOOST_TEST(twice[i].window_s <= once[i].window_s);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::server
