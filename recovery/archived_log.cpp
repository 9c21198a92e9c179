#include "recovery/archived_log.hpp"

#include <algorithm>
#include <map>

namespace firnlog::recovery {
namespace {

using engine::Archived;
using engine::Lsn;
using engine::TimelineEntry;

// It is of that line: nothing in it is behind the end of its timeline.
bool is_of(const Archived& file, const std::vector<TimelineEntry>& timelines) {
    const auto entry = std::ranges::find(timelines, file.timeline, &TimelineEntry::timeline);
    if (!file.is_log() || entry == timelines.end() || file.base < entry->begin) return false;
    return entry + 1 == timelines.end() || file.to <= entry->end;
}

// The way that leads furthest from the base, by the fewest parts.
ArchivedSegment put_together(std::vector<Archived> files) {
    std::ranges::sort(files, {},
                      [](const Archived& file) { return std::pair(file.from, file.to); });
    struct Step {
        std::size_t count = 0;
        const Archived* file = nullptr;  // that leads there
    };
    const auto base = files.front().base;
    std::map<Lsn, Step> reached{{base, {}}};
    for (const auto& file : files) {
        const auto from = reached.find(file.from);
        if (from == reached.end()) continue;
        const Step step{.count = from->second.count + 1, .file = &file};
        const auto [to, is_new] = reached.try_emplace(file.to, step);
        if (!is_new && step.count < to->second.count) to->second = step;
    }
    ArchivedSegment segment{.timeline = files.front().timeline, .base = base};
    segment.end = reached.rbegin()->first;
    for (auto at = segment.end; at > base; at = segment.parts.back().from)
        segment.parts.push_back(*reached.at(at).file);
    std::ranges::reverse(segment.parts);
    for (const auto& file : files) {
        if (std::ranges::count(segment.numbers, file.number) == 0)
            segment.numbers.push_back(file.number);
        segment.number = std::max(segment.number, file.number);
        segment.sealed = segment.sealed ||
                         (file.kind == engine::ArchivedKind::segment && file.to == segment.end);
    }
    return segment;
}

}  // namespace

Lsn next_of(const std::vector<TimelineEntry>& timelines, Lsn lsn) {
    for (std::size_t i = 0; i + 1 < timelines.size(); ++i)
        if (timelines[i].end == lsn) lsn = timelines[i + 1].begin;
    return lsn;
}

engine::Timeline timeline_before(const std::vector<TimelineEntry>& timelines, Lsn lsn) {
    auto found = timelines.front().timeline;
    for (const auto& entry : timelines)
        if (entry.begin < lsn) found = entry.timeline;
    return found;
}

bool is_shared(const std::vector<TimelineEntry>& ours, const std::vector<TimelineEntry>& theirs,
               Lsn lsn) {
    for (std::size_t i = 0; i < theirs.size() && theirs[i].begin < lsn; ++i) {
        const auto entry = std::ranges::find(ours, theirs[i].timeline, &TimelineEntry::timeline);
        if (entry == ours.end() || entry->begin != theirs[i].begin) return false;
        const bool on_in_theirs = i + 1 == theirs.size() || theirs[i + 1].begin >= lsn;
        const bool on_in_ours = entry + 1 == ours.end();
        // The one that wrote the place reaches it; those before it ended alike.
        if (on_in_theirs ? !on_in_ours && entry->end < lsn
                         : on_in_ours || entry->end != theirs[i].end)
            return false;
    }
    return true;
}

ArchivedLog::ArchivedLog(const std::vector<Archived>& files,
                         const std::vector<TimelineEntry>& timelines) {
    std::map<Lsn, std::vector<Archived>> by_base;
    for (const auto& file : files)
        if (is_of(file, timelines)) by_base[file.base].push_back(file);
    for (auto& [base, some] : by_base) {
        auto segment = put_together(std::move(some));
        if (segment.end > segment.base) segments_.push_back(std::move(segment));
    }
    for (std::size_t i = 0; i < segments_.size(); ++i) {
        const auto& segment = segments_[i];
        if (runs_.empty() || next_of(timelines, runs_.back().end) != segment.base)
            runs_.push_back({.first = i, .last = i, .begin = segment.base, .end = segment.base});
        runs_.back().last = i + 1;
        runs_.back().end = segment.end;
    }
}

const ArchivedSegment* ArchivedLog::find(engine::FileNumber number) const {
    for (const auto& segment : segments_)
        if (std::ranges::count(segment.numbers, number) != 0) return &segment;
    return nullptr;
}

}  // namespace firnlog::recovery
