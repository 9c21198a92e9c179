#pragma once
// Workload: a script that takes every path of the engine a few times, in named phases. The seed
// picks keys, sizes and when to wait for the disk.

#include "tests/recovery/subject.hpp"

namespace firnlog::recovery {

// False if the world crashed or the log failed on the way.
[[nodiscard]] bool workload(sim::World& world, Subject& subject, sim::Rng& rng);

}  // namespace firnlog::recovery
