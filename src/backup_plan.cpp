#include "src/backup_plan.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/history.hpp"
#include "engine/keep.hpp"
#include "io/base/ensure.hpp"
#include "src/config.hpp"

namespace firnlog::server {
namespace {

constexpr double kDayS = 24.0 * 3600;
// The archive's replay begins with a checkpoint that is no older.
constexpr double kArchiveBaseS = kDayS;
// Files are read and written in such pieces.
constexpr double kPieceBytes = 1 << 20;
// As engine/history.cpp thins them out.
constexpr double kCheckpointsInWindow = 24;

// What a server with that policy and no other word would have.
Config config_of(const BackupPolicyRow& policy) {
    auto config = parse_config_text("backup-policy " + std::string(policy.name));
    ensure(config.has_value(), "what a policy sets can be set");
    return std::move(*config);
}

engine::Keep keep_of(const Config& config) {
    auto keep = engine::parse_keep(config.keep);
    ensure(keep.has_value(), "the rules of a configuration were looked at");
    return std::move(*keep);
}

std::int64_t length_s(engine::Period period) {
    constexpr std::int64_t kHour = 3600;
    switch (period) {
        case engine::Period::hourly:
            return kHour;
        case engine::Period::daily:
            return 24 * kHour;
        case engine::Period::weekly:
            return 7 * 24 * kHour;
        case engine::Period::monthly:
            return 30 * 24 * kHour;
        case engine::Period::yearly:
            break;
    }
    return 365 * 24 * kHour;
}

double checkpoints_a_day(const Config& config, double log_a_day, double records_a_day) {
    auto most = config.checkpoint_log_bytes == 0
                    ? 0
                    : log_a_day / static_cast<double>(config.checkpoint_log_bytes);
    for (const auto& rule : config.save) {
        if (records_a_day <= 0) break;
        const auto wait_s = kDayS * static_cast<double>(rule.changes) / records_a_day;
        most = std::max(most, kDayS / std::max(wait_s, static_cast<double>(rule.seconds)));
    }
    if (const auto shortest = engine::shortest_s(keep_of(config)); shortest != 0 && log_a_day > 0)
        most = std::max(most, kDayS / static_cast<double>(shortest));
    return most;
}

// Of moments that outlive the window: each its checkpoint, and what was live then and is not now.
double kept_bytes(const Config& config, const recovery::StoreRates& rates, double window_s) {
    const auto live = static_cast<double>(rates.live_bytes);
    double bytes = 0;
    const auto rules = keep_of(config);
    for (const auto& rule : rules) {
        const auto period_s = static_cast<double>(length_s(rule.period));
        const auto beyond = std::max(0.0, rule.count - std::floor(window_s / period_s));
        bytes += beyond * (static_cast<double>(rates.checkpoint_bytes) +
                           std::min(live, rates.log_bytes_a_day() * period_s / kDayS));
    }
    return bytes;
}

PolicyCost cost_of(const BackupPolicyRow& policy, const recovery::StoreRates& rates) {
    const auto config = config_of(policy);
    const auto log = rates.log_bytes_a_day();
    const auto live = static_cast<double>(rates.live_bytes);
    const auto image = static_cast<double>(rates.checkpoint_bytes);
    const auto replay = rates.replay_rate();
    PolicyCost cost;
    cost.checkpoints_a_day = checkpoints_a_day(config, log, log * rates.records_a_byte());

    const engine::Window window{.retain_s = config.retain_s, .retain_bytes = config.retain_bytes};
    const auto history_max = static_cast<double>(window.bytes_max(rates.live_bytes));
    const auto retain_s = static_cast<double>(config.retain_s);
    cost.window_s = log <= 0 ? retain_s : std::min(retain_s, history_max / log * kDayS);
    const auto window_log = log * cost.window_s / kDayS;
    const auto kept = std::min(kCheckpointsInWindow, cost.checkpoints_a_day * retain_s / kDayS);
    // The bound of history holds for these as well: the oldest of them go first.
    const auto moments =
        std::min(kept_bytes(config, rates, cost.window_s), std::max(0.0, history_max - window_log));
    cost.disk_bytes = live + window_log + moments + image * (2 + kept);

    const auto tail = cost.checkpoints_a_day <= 0 ? log : log / cost.checkpoints_a_day;
    if (replay > 0) cost.restart_s = tail / replay;

    const auto every_s = static_cast<double>(policy.every_s);
    if (policy.every_s != 0) {
        cost.rpo_s = every_s;
        // Log that was written and given back between two backups need not move.
        const auto period_log = std::min(log * every_s / kDayS, live + window_log);
        const auto images = std::max(1.0, std::min(kept, kept * every_s / std::max(1.0, retain_s)));
        cost.moved_bytes_a_day = policy.streams ? log + image * kDayS / kArchiveBaseS
                                                : (period_log + image * images) * kDayS / every_s;
        // Read whole, to be verified, and once more for the digest; then what a start replays.
        const auto whole =
            live + (policy.streams ? log * kArchiveBaseS / kDayS : window_log) + image;
        if (replay > 0) cost.restore_s = (2 * whole + tail) / replay;
    }
    // Checkpoints are written and read back, what is moved is read and written.
    cost.extra_iops =
        2 * (cost.checkpoints_a_day * image + cost.moved_bytes_a_day) / kPieceBytes / kDayS;
    return cost;
}

}  // namespace

BackupPlan plan_backups(const recovery::StoreRates& rates) {
    BackupPlan plan;
    for (std::size_t i = 0; i < plan.size(); ++i) {
        plan[i] = cost_of(kBackupPolicies[i], rates);
        plan[i].policy = static_cast<BackupPolicy>(i);
    }
    return plan;
}

}  // namespace firnlog::server
