#pragma once
// random_bits: what RANDOMKEY and HRANDFIELD choose by.
//
// A command that has to wait for bytes from disk runs again from its beginning, and must choose the
// same then, or it would wait for ever new bytes. So the bits are a keyed hash of what names this
// run of this command, and stay the same until it has answered. Within EXEC nothing runs again:
// there each command gets fresh entropy.

#include <cstdint>

#include "src/commands/command.hpp"

namespace firnlog::server {

[[nodiscard]] std::uint64_t random_bits(const Call& call);

}  // namespace firnlog::server
