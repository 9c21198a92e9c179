#pragma once
// Base: what replay begins with. The newest checkpoint that is sound, or nothing at all where the
// log still has its beginning.
//
// A checkpoint that cannot be loaded, or leads into a file that is not there, is told of and left
// out: the one before it and more of the log give the same.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/format/manifest.hpp"
#include "engine/index/keyspace.hpp"
#include "engine/loader.hpp"
#include "io/files.hpp"
#include "recovery/refusal.hpp"
#include "recovery/stamps.hpp"

namespace firnlog::recovery {

struct FaultyCheckpoint {
    engine::FileNumber number = 0;
    Error why;
    // For a person.
    [[nodiscard]] std::string text() const;
};

struct Base {
    std::unique_ptr<engine::Keyspace> keyspace;
    std::unique_ptr<engine::Loader> loader;  // null if all of it is there
    Stamps stamps;
    std::optional<engine::CheckpointEntry> entry;  // the one that was loaded
    std::uint64_t bytes = 0;                       // of it
    std::vector<FaultyCheckpoint> faulty;          // those that could not be, the newest first
};

struct BaseSources {
    engine::Moves moves;  // of files whose bytes lie elsewhere when this start is through
    // That a file which a checkpoint leads into is there.
    std::function<Result<void>(engine::FileNumber)> find;
    std::function<bool()> give_up;  // may be empty; asked now and then
    bool waits = false;             // stripes may wait until they are touched
};

[[nodiscard]] Opening<Base> load_base(io::Files& files, const engine::Manifest& manifest,
                                      const BaseSources& sources);

}  // namespace firnlog::recovery
