#pragma once
// evidence: what can be said of single writes of a timeline, beside what the server answers.
//
// Most values tell by how they begin which write they are of (stamp.hpp), so whether a write was on
// the disk is a search for these bytes: in the disk's own memory, or in the server's files. A
// server that compresses or encrypts them hides that, and is told to hold none.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "src/crashtest/ledger.hpp"

namespace firnlog::crashtest {

// Some file below the folder holds these bytes in one piece.
[[nodiscard]] bool any_file_holds(const std::string& folder, std::string_view bytes);

// Behind the kill, for each write that can be looked for: where `find` says that it is.
void add_evidence(std::vector<Moment>& timeline, std::int64_t killed_us,
                  const std::function<std::string(const std::string& mark)>& find);

// What happened around it, each where its time is.
void add_moments(std::vector<Moment>& timeline, const std::vector<Moment>& moments);

}  // namespace firnlog::crashtest
