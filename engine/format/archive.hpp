#pragma once
// Archived: what the name of a file in an archive says. Pure.
//
//   segment-TIMELINE-FROM-TO-BASE-NUMBER-TAG     a full log segment: FROM is BASE
//   log-TIMELINE-FROM-TO-BASE-NUMBER-TAG         the stretch [FROM, TO) of one that is in use
//   checkpoint-TIMELINE-HI-BYTES-NUMBER-TAG
//   packed-TIMELINE-BYTES-NUMBER-TAG             TIMELINE: of the manifest that named it first
//   manifest-TIMELINE-SEQUENCE-BYTES-TAG         TIMELINE: its last one
//
// Files of an archive never change, and no two that differ have one name: what a name says of a
// place in the log is that of one timeline, and the tag is made of the bytes (see tag_of). So
// whatever is pushed twice is the same, in whichever order it comes. Names sort as the log goes.
//
// Both kinds of log begin with a segment's header; behind it are the frames of the stretch. A full
// one is padded with zeros to a block, as it lies in a store.

#include <optional>
#include <string>
#include <string_view>

#include "engine/address.hpp"

namespace firnlog::engine {

enum class ArchivedKind : std::uint8_t { segment, log, checkpoint, packed, manifest };

struct Archived {
    ArchivedKind kind = ArchivedKind::log;
    Timeline timeline = 0;
    Lsn from;                    // of a checkpoint: its hi
    Lsn to;                      // segment, log
    Lsn base;                    // of the segment
    FileNumber number = 0;       // in the store; none of a manifest
    std::uint64_t sequence = 0;  // manifest
    std::uint64_t bytes = 0;     // of the file
    std::uint64_t tag = 0;
    bool operator==(const Archived&) const = default;

    [[nodiscard]] bool is_log() const {
        return kind == ArchivedKind::segment || kind == ArchivedKind::log;
    }
    [[nodiscard]] std::string name() const;
};

// Of a file with that stretch of the log.
[[nodiscard]] std::uint64_t archived_bytes(ArchivedKind kind, Lsn from, Lsn to);

// Nothing if it is not the name of such a file.
[[nodiscard]] std::optional<Archived> archived_named(std::string_view name);

}  // namespace firnlog::engine
