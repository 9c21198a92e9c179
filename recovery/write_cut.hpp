#pragma once
// A log file written anew up to a place: what a crash has touched, or what lies behind a moment,
// stays behind.

#include <string>

#include "recovery/log_reader.hpp"

namespace firnlog::recovery {

struct CutTo {
    engine::FileNumber number = 0;  // of the new file
    std::uint64_t end = 0;          // offset: the end of a batch
    // Of the frame that is cut in its middle, or 0: it ends before what is left out now.
    std::uint64_t frame_offset = 0;
};

// `reader` is loaded, and its frames up to the cut were verified. Written and synced; the name is
// durable after files.sync_dir().
[[nodiscard]] Result<void> write_cut(io::Files& files, const std::string& name,
                                     const LogReader& reader, const CutTo& cut);

}  // namespace firnlog::recovery
