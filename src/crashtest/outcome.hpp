#pragma once
// Outcome: what a run found, cycle by cycle; what the report is made of.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "src/crashtest/ledger.hpp"

namespace firnlog::crashtest {

struct Cycle {
    std::uint32_t number = 0;
    std::string how;    // "sigkill", "power prefix", "corrupt zeroed sector"
    std::string admin;  // the command it was killed in, or nothing
    std::string ended;  // "held", "refused", "hung", "died", or what a damaged store did
    std::uint64_t acks = 0;
    std::uint64_t errors = 0;  // error replies to writes
    std::uint64_t lost = 0;    // acknowledged writes
    double loss_ms = 0;        // age of the oldest lost one at the moment of the kill
    double recovery_ms = 0;    // from spawn to the first answer
    double back_ms = -1;       // after a full disk: until a write succeeded; -1: not measured
    // Of a disk that failed: "refused writes", "refused writes for a while", "ended", "went on",
    // "met no error"; and the server's words at that.
    std::string on_fault;
    std::string words;
    std::string file;  // the kind of file that was damaged: its name, numbers as #
    std::uint32_t violations = 0;
    std::string note;  // what the disk kept, how a server ended, its last words
};

struct Found {
    std::uint32_t cycle = 0;
    std::int64_t killed_us = 0;  // the timeline's zero
    Violation violation;
};

struct Outcome {
    std::vector<Cycle> cycles;
    std::vector<Found> found;          // the first ones, with their timelines
    std::vector<std::string> missing;  // commands that the server does not know
    std::vector<std::string> refused;  // "COMMAND: error", of those that it knows and refuses
    std::string server;
    std::string kernel;
    std::string file_system;
    bool interrupted = false;

    [[nodiscard]] std::uint64_t acks() const;
    [[nodiscard]] std::uint64_t lost() const;
    [[nodiscard]] std::uint64_t violations() const;
    [[nodiscard]] double loss_ms_max() const;
    // Of the recoveries; `share` in [0, 1].
    [[nodiscard]] double recovery_ms(double share) const;
    // Of damaged copies: how many of each kind of file.
    [[nodiscard]] std::map<std::string, std::uint32_t> files() const;
    // How often the server did what when its disk failed.
    [[nodiscard]] std::map<std::string, std::uint32_t> on_faults() const;
    // How often each violation occurred, by name.
    [[nodiscard]] std::map<std::string, std::uint32_t> names() const;
};

// "held 12, refused 3".
[[nodiscard]] std::string counts_of(const std::map<std::string, std::uint32_t>& counts);

}  // namespace firnlog::crashtest
