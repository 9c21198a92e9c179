#pragma once
// From a log file to a segment that can be read: its map, and nothing of the tail's.

#include <memory>

#include "engine/log/segments.hpp"
#include "io/files.hpp"
#include "recovery/log_reader.hpp"

namespace firnlog::recovery {

// `end`: the offset behind its last record. The segment is as long as the map, which is all that
// can be read: a tail written anew is shorter than the file it came from.
[[nodiscard]] Result<std::unique_ptr<engine::Segment>> map_segment(io::Files& files,
                                                                   const LogFile& file,
                                                                   std::uint64_t end);

// A packed segment whose header is that of this file.
[[nodiscard]] Result<std::unique_ptr<engine::Segment>> map_packed(io::Files& files,
                                                                  const engine::StoreId& store_id,
                                                                  engine::FileNumber number);

}  // namespace firnlog::recovery
