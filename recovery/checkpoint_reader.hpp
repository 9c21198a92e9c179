#pragma once
// From a checkpoint's file to a keyspace: every blob verified and put in, at once or when it is
// touched.

#include <functional>
#include <memory>

#include "engine/format/manifest.hpp"
#include "engine/index/keyspace.hpp"
#include "engine/loader.hpp"
#include "io/files.hpp"
#include "recovery/stamps.hpp"

namespace firnlog::recovery {

struct LoadedCheckpoint {
    std::unique_ptr<engine::Keyspace> keyspace;
    // Null if all of it is there. Gone before the keyspace.
    std::unique_ptr<engine::Loader> loader;
    Stamps stamps;
    std::uint64_t bytes = 0;
};

// Code::damaged if any byte is not what was written, or another code if it cannot be read. `moves`
// are files whose bytes lie elsewhere now. `progress` is told of bytes; false gives up
// (Code::busy). `twin`: another checkpoint of the same walk, or 0; what is damaged in one may be
// sound in the other.
[[nodiscard]] Result<LoadedCheckpoint> load_checkpoint(
    io::Files& files, const engine::StoreId& store_id, const engine::CheckpointEntry& entry,
    const engine::Hasher::Secret& secret, engine::Moves moves,
    const std::function<bool(std::uint64_t)>& progress, engine::FileNumber twin = 0);

// As load_checkpoint, but stripes are left waiting, as far as the checkpoint was made for that: of
// theirs no byte has been looked at.
[[nodiscard]] Result<LoadedCheckpoint> begin_checkpoint(
    io::Files& files, const engine::StoreId& store_id, const engine::CheckpointEntry& entry,
    const engine::Hasher::Secret& secret, engine::Moves moves,
    const std::function<bool(std::uint64_t)>& progress);

}  // namespace firnlog::recovery
