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

// Segments that are closed again unless they are taken: opening the next one may fail.
class MappedSegments {
  public:
    explicit MappedSegments(io::Files& files) : files_(files) {}
    ~MappedSegments();
    MappedSegments(const MappedSegments&) = delete;
    MappedSegments& operator=(const MappedSegments&) = delete;

    void add(std::unique_ptr<engine::Segment> segment) { segments_->add(std::move(segment)); }
    [[nodiscard]] std::unique_ptr<engine::Segments> take() { return std::move(segments_); }

  private:
    io::Files& files_;
    std::unique_ptr<engine::Segments> segments_ = std::make_unique<engine::Segments>();
};

}  // namespace firnlog::recovery
