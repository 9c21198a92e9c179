#pragma once
// The manifest's file: read, and replaced as a whole.

#include "engine/format/manifest.hpp"
#include "io/files.hpp"

namespace firnlog::engine {

// Replaces the manifest: written aside, synced, renamed, directory synced. After a failure either
// of the two may be what the next start finds.
[[nodiscard]] Result<void> write_manifest(io::Files& files, Manifest& manifest);
// Code::missing if there is none.
[[nodiscard]] Result<Manifest> read_manifest(io::Files& files);

}  // namespace firnlog::engine
