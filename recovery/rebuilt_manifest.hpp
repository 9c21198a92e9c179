#pragma once
// The rebuilt manifest: what a store's other files say of it where the manifest itself is missing
// or damaged.
//
// Whose the segments are they say themselves, and where each timeline began; where it ended, nobody
// does. Checkpoints say what they need to be loaded, but for the files that their addresses lead
// into.

#include "engine/format/manifest.hpp"
#include "io/files.hpp"

namespace firnlog::recovery {

// Code::missing: there is no segment. Code::damaged: none has a header.
[[nodiscard]] Result<engine::Manifest> rebuild_manifest(io::Files& files);

}  // namespace firnlog::recovery
