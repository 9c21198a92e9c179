#pragma once
// BackupPolicy: how often something leaves the machine, in one word, and which directives it stands
// for. The table is the one of docs/operations.md; a test holds them against each other.
//
// What it sets is a default: a directive that is given by itself wins, whatever the order. A policy
// never says where: a directory or a command is the operator's to name.

#include <array>
#include <cstdint>
#include <string_view>

namespace firnlog::server {

// The order is that of the table.
enum class BackupPolicy : std::uint8_t { continuous, hourly, daily, weekly, none };

struct BackupPolicyRow {
    std::string_view name;
    // Empty: the directive's own default.
    std::string_view retain;
    std::string_view keep;
    std::string_view save;
    std::string_view archive_timeout;
    // From one backup to the next, or what the archive is behind; 0: there are none.
    std::int64_t every_s = 0;
    bool streams = false;    // the log, as it is written
    std::string_view suits;  // when it is the right one
};

inline constexpr std::array<BackupPolicyRow, 5> kBackupPolicies{{
    {.name = "continuous",
     .retain = "24h",
     .keep = "hourly:24,daily:7",
     .save = "3600 1 300 100 60 10000",
     .archive_timeout = "60",
     .every_s = 60,
     .streams = true,
     .suits = "nothing but the last minute may be lost with the disk: all that is written is "
              "written elsewhere once more, as it comes"},
    {.name = "hourly",
     .retain = "24h",
     .keep = "hourly:24,daily:7",
     .save = "3600 1 300 10000",
     .archive_timeout = "3600",
     .every_s = 60 * 60,
     .suits = "an hour can be done again; the second copy moves in lumps that a network has time "
              "for"},
    {.name = "daily",
     .retain = "48h",
     .keep = "daily:7",
     .save = "3600 1",
     .archive_timeout = "86400",
     .every_s = 24 * 60 * 60,
     .suits = "a day can be done again, or comes from elsewhere; any moment between two backups is "
              "in the store still"},
    {.name = "weekly",
     .retain = "24h",
     .keep = "weekly:4",
     .save = "86400 1",
     .archive_timeout = "604800",
     .every_s = 7 * 24 * 60 * 60,
     .suits = "what is stored hardly changes, or can be made anew"},
    {.name = "none",
     .retain = "",
     .keep = "",
     .save = "",
     .archive_timeout = "",
     .every_s = 0,
     .suits = "everything may be lost with the disk; mistakes can be undone as far as the window "
              "reaches"},
}};

// What a policy sets, by the directive's name.
struct PolicyDirective {
    std::string_view name;
    std::string_view BackupPolicyRow::*text;
};
inline constexpr std::array<PolicyDirective, 4> kPolicyDirectives{{
    {"retain", &BackupPolicyRow::retain},
    {"keep", &BackupPolicyRow::keep},
    {"save", &BackupPolicyRow::save},
    {"archive-timeout", &BackupPolicyRow::archive_timeout},
}};

[[nodiscard]] constexpr bool is_set_by_policy(std::string_view directive) {
    for (const auto& one : kPolicyDirectives)
        if (one.name == directive) return true;
    return false;
}

}  // namespace firnlog::server
