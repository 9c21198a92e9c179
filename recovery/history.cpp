#include "recovery/history.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "engine/format/names.hpp"
#include "engine/manifest_file.hpp"
#include "io/base/mutant.hpp"
#include "recovery/tail_scan.hpp"

namespace firnlog::recovery {
namespace {

namespace names = engine::names;
using engine::Lsn;

// Of a log file that is not read from its beginning to its end.
constexpr std::uint64_t kWindow = std::uint64_t{128} << 10;

constexpr auto kNoTimeMax = std::numeric_limits<std::int64_t>::max();

// What was asked for cannot be; nothing is wrong with the store.
tl::unexpected<Refusal> refuse(std::string text) {
    return tl::unexpected(Refusal{.error = {.code = Code::usage, .doing = "find the moment"},
                                  .text = std::move(text)});
}

}  // namespace

// A server beside us may switch to another manifest and unlink what that one does not need. Files
// go only behind the switch, so that the same manifest before and after means that all of it was
// there.
Opening<std::unique_ptr<History>> History::read(io::Files& files,
                                                const std::optional<Serving>& serving) {
    constexpr int kTries = 8;
    for (int tries_left = kTries;;) {
        std::unique_ptr<History> history(new History(files, serving));
        auto manifest = engine::read_manifest(files);
        if (!manifest)
            return tl::unexpected(Refusal{
                .error = manifest.error(),
                .text = manifest.error().code == Code::missing
                            ? "not a store: there is no manifest"
                            : std::string(names::kManifest) + ": " + manifest.error().text()});
        history->manifest_ = std::move(*manifest);
        const auto chain = history->read_chain();
        const auto again = engine::read_manifest(files);
        const bool same = !again || again->sequence == history->manifest_.sequence;
        if (chain && same) return history;
        if (same) return tl::unexpected(chain.error());
        if (--tries_left == 0)
            return tl::unexpected(
                Refusal{.error = {.code = Code::missing, .doing = "read the log"},
                        .text = "the store changed each time that it was looked at"});
    }
}

Opening<void> History::read_chain() {
    auto found = find_log_files(settled_, manifest_.store_id);
    if (!found) return refuse(found.error());
    std::vector<LogFile> chain;
    std::vector<LogFile> strays;
    for (const auto& file : *found) {
        if (file.in_use()) chain.push_back(file);
        if (file.header.fault == engine::HeaderFault::damaged) strays.push_back(file);
        if (file.header.fault == engine::HeaderFault::version)
            return refuse({.code = Code::version, .file = file.number, .doing = "read the log"});
    }
    std::ranges::sort(chain, {}, &LogFile::base);
    const auto& timelines = manifest_.timelines;
    const auto& current = timelines.back();
    if (serving_) {
        end_ = std::max(serving_->end, current.begin);
        std::erase_if(chain, [&](const LogFile& file) { return file.base() >= end_; });
        cut_pieces(std::move(chain));
        return {};
    }
    const auto vouched = manifest_.vouched();
    auto tail = scan_tail(settled_, manifest_.store_id, chain, strays, current.begin, vouched);
    if (!tail) return tl::unexpected(tail.error());
    end_ = manifest_.clean ? current.end : current.begin;
    if (!tail->readers.empty()) {
        end_ = tail->cut.lsn;
        chain.resize(std::min(chain.size(), tail->first + tail->cut.file + 1));
    }
    if (end_ < vouched)
        return tl::unexpected(Refusal{.error = {.code = Code::damaged, .doing = "read the log"},
                                      .text = "damaged: the log ends at lsn " +
                                              std::to_string(end_.value) +
                                              ", but everything before lsn " +
                                              std::to_string(vouched.value) + " was acknowledged"});
    cut_pieces(std::move(chain));
    return {};
}

void History::cut_pieces(std::vector<LogFile> chain) {
    const auto& timelines = manifest_.timelines;
    std::size_t timeline = 0;
    for (std::size_t i = 0; i < chain.size(); ++i) {
        while (timeline + 1 < timelines.size() && timelines[timeline + 1].begin <= chain[i].base())
            ++timeline;
        auto end = timeline + 1 < timelines.size() ? timelines[timeline].end : end_;
        if (i + 1 < chain.size()) end = std::min(end, chain[i + 1].base());
        // The next one may be missing, where log was given back.
        if (end <= manifest_.first_lsn)
            end = std::min(end, chain[i].base() + (chain[i].bytes - engine::kSegmentHeaderBytes));
        pieces_.push_back({.file = chain[i], .end = end});
    }
    // Files before the first lsn are there for what checkpoints lead to, with gaps between them.
    while (run_ < pieces_.size() && pieces_[run_].end <= manifest_.first_lsn) ++run_;
}

Lsn History::next_of(Lsn lsn) const {
    const auto& timelines = manifest_.timelines;
    for (std::size_t i = 0; i + 1 < timelines.size(); ++i)
        if (timelines[i].end == lsn) lsn = timelines[i + 1].begin;
    return lsn;
}

engine::Timeline History::timeline_of(Lsn lsn) const {
    const auto& timelines = manifest_.timelines;
    auto found = timelines.front().timeline;
    for (const auto& entry : timelines)
        if (entry.begin < lsn) found = entry.timeline;
    return found;
}

bool History::is_whole() const {
    return manifest_.has_beginning() && begin() <= manifest_.timelines.front().begin;
}

Lsn History::oldest() const {
    if (is_whole()) return manifest_.timelines.front().begin;
    const auto begin_lsn = begin();
    for (const auto& entry : manifest_.checkpoints)
        if (entry.lo >= begin_lsn) return entry.hi;
    // Nothing to begin with: not even the end can be opened.
    return end_ + 1;
}

Place History::birth() const {
    return {.lsn = manifest_.timelines.front().begin,
            .timeline = manifest_.timelines.front().timeline,
            .commit_us = manifest_.created_us,
            .us = manifest_.created_us};
}

Opening<Place> History::oldest_place() const {
    const auto lsn = oldest();
    if (is_whole()) return birth();
    return last_end(lsn, kNoTimeMax);
}

const engine::CheckpointEntry* History::kept_at(Lsn lsn) const {
    const auto found = std::ranges::find(manifest_.kept, lsn, &engine::CheckpointEntry::hi);
    return found == manifest_.kept.end() ? nullptr : &*found;
}

Place History::place_of(const engine::CheckpointEntry& kept) const {
    return {.lsn = kept.hi,
            .timeline = timeline_of(kept.hi),
            .commit_us = kept.taken_us,
            .us = kept.taken_us};
}

std::vector<engine::CheckpointEntry> History::bases_of(Lsn lsn) const {
    std::vector<engine::CheckpointEntry> bases;
    if (const auto* kept = lsn < oldest() ? kept_at(lsn) : nullptr) bases.push_back(*kept);
    const auto begin_lsn = begin();
    for (auto i = manifest_.checkpoints.size(); i-- > 0;) {
        const auto& entry = manifest_.checkpoints[i];
        if (entry.hi > lsn && !planted("base_newer_than_its_moment")) continue;
        if (entry.lo >= begin_lsn) bases.push_back(entry);
    }
    return bases;
}

Opening<void> History::visit(Lsn from, Lsn to, const See& see) const {
    if (from >= to) return {};
    auto first = std::size_t{0};
    while (first + 1 < pieces_.size() && pieces_[first + 1].file.base() <= from) ++first;
    auto expected = from;
    for (auto i = first; i < pieces_.size() && pieces_[i].file.base() < to; ++i) {
        const auto& piece = pieces_[i];
        if (piece.end <= from) continue;
        expected = next_of(expected);
        if (piece.file.base() > expected)
            return tl::unexpected(
                Refusal{.error = {.code = Code::missing,
                                  .file = piece.file.number,
                                  .doing = "read the log"},
                        .text = "a file is missing: the log has nothing from lsn " +
                                std::to_string(expected.value) + " to lsn " +
                                std::to_string(piece.file.base().value)});
        LogReader reader(manifest_.store_id, piece.file);
        const auto start = frame_before(piece, from);
        const auto loaded =
            serving_ ? reader.load_part(settled_, start, kWindow) : reader.load(settled_);
        if (!loaded) return refuse(loaded.error());
        const auto end = std::min(piece.end, to);
        while (reader.end() < end) {
            auto frame = reader.next();
            // It may go on behind what is loaded.
            for (auto window = kWindow; !frame && !reader.loaded_all(); window *= 4) {
                if (auto more = reader.load_part(settled_, reader.end_offset(), window); !more)
                    return refuse(more.error());
                frame = reader.next();
            }
            if (!frame)
                return tl::unexpected(damaged_at(reader, piece.end, reader.look_behind().records));
            const auto begin = frame->header.lsn + engine::kFrameHeaderBytes;
            if (begin + frame->records.size() <= from) continue;
            if (begin > end || (begin == end && !frame->records.empty())) break;
            if (begin + frame->records.size() > end) frame->cut(end - begin);
            if (!see(*frame, piece.file.number)) return {};
        }
        expected = piece.end;
    }
    return {};
}

Result<std::optional<std::int64_t>> History::commit_at(const Piece& piece,
                                                       std::uint64_t offset) const {
    auto fd = settled_.open(names::log_file(piece.file.number), io::Open::read, false);
    if (!fd) return fail(fd);
    std::array<std::byte, engine::kFrameHeaderBytes> bytes{};
    const auto read = settled_.read(*fd, offset, bytes);
    settled_.close(*fd);
    if (!read) return fail(read);
    const auto header = engine::decode_frame_header(bytes, engine::FrameSeed(manifest_.store_id),
                                                    stretch_of(piece).lsn_at(offset));
    if (!header) return std::optional<std::int64_t>{};
    return std::optional(header->commit_us);
}

Opening<std::optional<Place>> History::last_end_in(Lsn from, Lsn to, std::int64_t us_max,
                                                   Lsn& younger) const {
    std::optional<Place> place;
    const auto visited = visit(from, to, [&](const LogReader::Frame& frame, engine::FileNumber) {
        if (frame.header.commit_us > us_max) {
            younger = frame.header.lsn;
            return false;
        }
        const auto begin = frame.header.lsn + engine::kFrameHeaderBytes;
        const auto ends_at = [&](std::size_t at) {
            place = Place{.lsn = begin + at,
                          .timeline = frame.header.timeline,
                          .commit_us = frame.header.commit_us,
                          .us = frame.header.commit_us};
        };
        // A frame that only vouches stands between batches.
        if (frame.header.count == 0 && frame.header.batch_lsn.value == 0) ends_at(0);
        for (std::size_t at = 0; at < frame.records.size();) {
            const auto decoded = engine::decode_own_record(frame.records.subspan(at));
            // Cut off amid a record: the limit lies within it.
            if (!decoded) return false;
            at += decoded->size;
            if (decoded->record.has(engine::RecordFlags::last_of_batch)) ends_at(at);
        }
        return true;
    });
    if (!visited) return tl::unexpected(visited.error());
    return place;
}

Opening<Place> History::last_end(Lsn limit, std::int64_t us_max) const {
    std::optional<Place> place;
    // What is committed after us_max begins there.
    auto younger = limit;
    for (auto i = pieces_.size(); i-- > run_ && !place;) {
        const auto& piece = pieces_[i];
        if (piece.file.base() >= limit) continue;
        // Most files can be told to be too young by their first frame alone.
        const auto first = commit_at(piece, engine::kSegmentHeaderBytes);
        if (!first) return refuse(first.error());
        if (*first && **first > us_max) {
            younger = piece.file.base();
            continue;
        }
        auto to = std::min(piece.end, limit);
        auto landmarks = landmarks_of(piece);
        const auto stretch = stretch_of(piece);
        landmarks.erase(std::ranges::partition_point(landmarks,
                                                     [&](std::uint64_t offset) {
                                                         if (stretch.lsn_at(offset) >= to)
                                                             return false;
                                                         const auto us = commit_at(piece, offset);
                                                         return us && *us && **us <= us_max;
                                                     }),
                        landmarks.end());
        // A batch may go over any number of them.
        for (std::size_t steps = 1;; steps *= 2) {
            const auto taken = std::min(steps, landmarks.size());
            const bool all = taken == landmarks.size() && steps > taken;
            const auto from =
                all ? piece.file.base() : stretch.lsn_at(landmarks[landmarks.size() - taken]);
            const auto found = last_end_in(from, to, us_max, younger);
            if (!found) return tl::unexpected(found.error());
            place = *found;
            if (place || all) break;
            to = std::min(to, from);
            landmarks.resize(landmarks.size() - taken);
        }
    }
    if (!place && is_whole()) place = birth();
    // The log before a checkpoint may be given back to its last byte.
    if (!place)
        for (const auto& base : bases_of(limit))
            if (!place && base.taken_us <= us_max)
                place = Place{.lsn = base.hi,
                              .timeline = timeline_of(base.hi),
                              .commit_us = base.taken_us,
                              .us = base.taken_us};
    if (!place) return refuse("the moment is older than the oldest one that can be opened");
    // A timeline's beginning is one too, though nothing may have been written in it yet.
    for (const auto& entry : manifest_.timelines)
        if (entry.begin > place->lsn && entry.begin <= younger && entry.started_us <= us_max) {
            place->lsn = entry.begin;
            place->timeline = entry.timeline;
        }
    return *place;
}

Opening<Place> History::find_time(std::int64_t us) const {
    if (us < manifest_.created_us)
        return refuse("the store was made at " + text_of_time(manifest_.created_us) +
                      ", which is later");
    auto place = last_end(end_, us);
    if (place) place->us = std::max(us, place->commit_us);
    return place;
}

Opening<Place> History::find_lsn(const Moment& moment) const {
    if (moment.lsn > end_)
        return refuse("the log ends at lsn " + std::to_string(end_.value) + ", before lsn " +
                      std::to_string(moment.lsn.value));
    if (moment.timeline) {
        const auto& timelines = manifest_.timelines;
        const auto entry =
            std::ranges::find(timelines, *moment.timeline, &engine::TimelineEntry::timeline);
        if (entry == timelines.end())
            return refuse("the store has no timeline " + std::to_string(*moment.timeline));
        const auto end = entry + 1 == timelines.end() ? end_ : entry->end;
        if (moment.lsn < entry->begin || moment.lsn > end)
            return refuse("timeline " + std::to_string(*moment.timeline) + " goes from lsn " +
                          std::to_string(entry->begin.value) + " to lsn " +
                          std::to_string(end.value));
    }
    if (const auto* kept = moment.lsn < oldest() ? kept_at(moment.lsn) : nullptr)
        return place_of(*kept);
    return last_end(moment.lsn, kNoTimeMax);
}

Opening<std::optional<Lsn>> History::find_mark_in(const Piece& piece,
                                                  const std::string& name) const {
    if (is_served()) return find_mark_by_sidecar(piece, name);
    std::optional<Lsn> mark;
    const auto visited =
        visit(piece.file.base(), piece.end, [&](const LogReader::Frame& frame, engine::FileNumber) {
            for (std::size_t at = 0; at < frame.records.size();) {
                const auto decoded = engine::decode_own_record(frame.records.subspan(at));
                ensure(decoded.has_value(), "a record that was verified stays valid");
                if (decoded->record.kind == engine::Kind::mark && decoded->record.key == name)
                    mark = frame.header.lsn + engine::kFrameHeaderBytes + at;
                at += decoded->size;
            }
            return true;
        });
    if (!visited) return tl::unexpected(visited.error());
    return mark;
}

// The newest one of that name: files are looked through backwards until it is found.
Opening<Place> History::find_mark(const std::string& name) const {
    for (auto i = pieces_.size(); i-- > run_;) {
        const auto mark = find_mark_in(pieces_[i], name);
        if (!mark) return tl::unexpected(mark.error());
        if (!*mark) continue;
        // The batch that it is in may go on: the moment is where that ends.
        const auto found = around(**mark);
        if (!found) return tl::unexpected(found.error());
        return found->after;
    }
    return refuse("the log has no mark of that name");
}

// Which kept moments are next to one that is not there. They are never taken for it: what was
// written between is not in them.
std::string History::text_of_kept_around(const Moment& moment) const {
    const auto& kept = manifest_.kept;
    if (kept.empty() || moment.what == Moment::What::mark) return {};
    const auto is_behind = [&](const engine::CheckpointEntry& entry) {
        return moment.what == Moment::What::lsn ? entry.hi > moment.lsn
                                                : entry.taken_us > moment.us;
    };
    const auto behind = std::ranges::find_if(kept, is_behind);
    std::string text;
    if (behind != kept.begin())
        text += "; the kept moment before it is " + text_of(place_of(*(behind - 1)));
    if (behind != kept.end()) text += "; the kept moment after it is " + text_of(place_of(*behind));
    return text;
}

Opening<Place> History::find(const Moment& moment, std::int64_t now_us) const {
    auto place = Opening<Place>(Place{});
    switch (moment.what) {
        case Moment::What::newest:
            place = last_end(end_, kNoTimeMax);
            break;
        case Moment::What::at:
        case Moment::What::before: {
            const auto us = moment.what == Moment::What::at ? moment.us : moment.us - 1;
            if (us > std::max(now_us, manifest_.high_us))
                return refuse(text_of_time(us) + " has not come yet");
            place = find_time(us);
            break;
        }
        case Moment::What::lsn:
            place = find_lsn(moment);
            break;
        case Moment::What::mark:
            place = find_mark(moment.mark);
            break;
    }
    if (place && (place->lsn >= oldest() || kept_at(place->lsn) != nullptr)) return place;
    if (!place && place.error().error.code != Code::usage) return place;
    if (place || !is_whole()) {
        const auto there = oldest_place();
        return refuse((place ? std::string("the moment is older than the oldest one that can be "
                                           "opened")
                             : place.error().text) +
                      (there ? "; the oldest one is " + text_of(*there) : "") +
                      text_of_kept_around(moment));
    }
    return place;
}

}  // namespace firnlog::recovery
