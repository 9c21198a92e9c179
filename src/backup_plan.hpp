#pragma once
// Backup plan: what each backup policy would cost a store, and what it would save, from the store's
// own rates. Pure: numbers in, numbers out. docs/operations.md tells how they are made.

#include <array>
#include <cstdint>

#include "recovery/rates.hpp"
#include "src/backup_policy.hpp"

namespace firnlog::server {

struct PolicyCost {
    BackupPolicy policy = BackupPolicy::none;
    double moved_bytes_a_day = 0;  // to where the backups are
    double checkpoints_a_day = 0;
    double extra_iops = 0;  // of checkpoints and backups, on the store's disk, over the day
    double disk_bytes = 0;  // of the store with its window
    double window_s = 0;    // how far back any moment can be opened in it
    double rpo_s = -1;      // lost with the disk at the most; negative: everything
    // How long until it serves again; negative: nobody knows.
    double restart_s = -1;  // after a crash
    double restore_s = -1;  // from the backup, into an empty directory; or there is none
};

using BackupPlan = std::array<PolicyCost, kBackupPolicies.size()>;

[[nodiscard]] BackupPlan plan_backups(const recovery::StoreRates& rates);

}  // namespace firnlog::server
