#pragma once
// LCS: the longest common subsequence of two strings, its length, or where its parts lie.
//
// A table of (n + 1) * (m + 1) numbers, as in the textbook: quadratic in time and memory, hence its
// bound. A file of its own because it is an algorithm, not an access to the store.

#include "src/commands/command.hpp"

namespace firnlog::server {

Flow lcs(Call& call);

}  // namespace firnlog::server
