#pragma once
// ArchivedLog: what an archive has of the log, as a line of timelines tells it.
//
//   segment   [=================)
//   log                          [====)[==)[=======)          the parts of a segment, in use then
//   log                          [=======)                    or once more, put together
//             ^base              ^base             ^end
//
// Another store that went on from a moment of this one may have put its files there, too. What lies
// behind the end of a timeline is not of this line; and since a store that was cut within a frame
// has that frame shorter, parts count only where one begins exactly where another one ends.

#include <vector>

#include "engine/format/archive.hpp"
#include "engine/format/manifest.hpp"

namespace firnlog::recovery {

// What there is of one segment, from its base on.
struct ArchivedSegment {
    engine::Timeline timeline = 0;
    engine::Lsn base;
    engine::Lsn end;
    engine::FileNumber number = 0;            // that it has now
    std::vector<engine::FileNumber> numbers;  // that it ever had: a start may write it anew
    std::vector<engine::Archived> parts;      // [base, end), as few as do
    bool sealed = false;                      // there is no more of it
};

// [begin, end) without a gap: segments [first, last).
struct ArchivedRun {
    std::size_t first = 0;
    std::size_t last = 0;
    engine::Lsn begin;
    engine::Lsn end;
};

class ArchivedLog {
  public:
    ArchivedLog() = default;
    ArchivedLog(const std::vector<engine::Archived>& files,
                const std::vector<engine::TimelineEntry>& timelines);

    [[nodiscard]] const std::vector<ArchivedSegment>& segments() const { return segments_; }
    [[nodiscard]] const std::vector<ArchivedRun>& runs() const { return runs_; }
    // Of that number, now or once; null if there is none.
    [[nodiscard]] const ArchivedSegment* find(engine::FileNumber number) const;

  private:
    std::vector<ArchivedSegment> segments_;  // by base
    std::vector<ArchivedRun> runs_;
};

// Where the log goes on behind a place that may be a timeline's end.
[[nodiscard]] engine::Lsn next_of(const std::vector<engine::TimelineEntry>& timelines,
                                  engine::Lsn lsn);

// The timeline that wrote what is before this place.
[[nodiscard]] engine::Timeline timeline_before(const std::vector<engine::TimelineEntry>& timelines,
                                               engine::Lsn lsn);

// Whether what a manifest of the one tells of the time before `lsn` is true of the other.
[[nodiscard]] bool is_shared(const std::vector<engine::TimelineEntry>& ours,
                             const std::vector<engine::TimelineEntry>& theirs, engine::Lsn lsn);

}  // namespace firnlog::recovery
