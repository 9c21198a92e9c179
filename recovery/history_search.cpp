// What of a history goes by sidecars: where the records of a name lie, and from where to read for
// what stands around them.

#include <algorithm>
#include <array>

#include "engine/format/names.hpp"
#include "recovery/history.hpp"
#include "recovery/point_reads.hpp"

namespace firnlog::recovery {

using engine::Lsn;

LogStretch History::stretch_of(const Piece& piece) const {
    return {.number = piece.file.number,
            .base = piece.file.base(),
            .end = piece.end,
            .full = &piece != &pieces_.back()};
}

std::vector<LogStretch> History::stretches() const {
    std::vector<LogStretch> found;
    for (auto i = run_; i < pieces_.size(); ++i) found.push_back(stretch_of(pieces_[i]));
    return found;
}

std::vector<std::uint64_t> History::landmarks_of(const Piece& piece) const {
    if (!serving_ || !goes_on(piece)) return {};
    constexpr engine::SidecarRange kFrames = engine::SidecarHasher::kFrames;
    std::vector<std::uint64_t> offsets;
    // Without them the file is read from its beginning.
    if (const auto found = serving_->sidecars.find(stretch_of(piece), {&kFrames, 1}))
        for (const auto& entry : *found) offsets.push_back(entry.offset());
    return offsets;
}

std::uint64_t History::frame_before(const Piece& piece, Lsn lsn) const {
    if (lsn <= piece.file.base()) return engine::kSegmentHeaderBytes;
    const auto landmarks = landmarks_of(piece);
    const auto behind = std::ranges::upper_bound(landmarks, stretch_of(piece).offset_of(lsn));
    return behind == landmarks.begin() ? engine::kSegmentHeaderBytes : *(behind - 1);
}

Opening<std::vector<History::Spot>> History::search(Lsn from, Lsn to, SidecarRanges ranges) const {
    ensure(serving_.has_value(), "who searches serves the store");
    std::vector<Spot> spots;
    if (from >= to) return spots;
    auto expected = std::max(from, begin());
    if (from < begin())
        return refuse({.code = Code::usage, .doing = "search the log"},
                      "the log before lsn " + std::to_string(begin().value) + " was given back");
    for (auto i = run_; i < pieces_.size() && pieces_[i].file.base() < to; ++i) {
        const auto stretch = stretch_of(pieces_[i]);
        if (stretch.end <= from) continue;
        expected = next_of(expected);
        if (stretch.base > expected)
            return refuse({.code = Code::missing, .file = stretch.number, .doing = "read the log"},
                          "a file of the log is missing");
        const auto found = serving_->sidecars.find(stretch, ranges);
        if (!found) return refuse(found.error());
        for (const auto& entry : *found) {
            const Spot spot{.stretch = stretch, .offset = entry.offset(), .hash = entry.hash};
            if (spot.lsn() >= from && spot.lsn() < to) spots.push_back(spot);
        }
        expected = stretch.end;
    }
    return spots;
}

namespace {

// By headers of frames and records alone: frames may be large. It is for batches that end in the
// file where they are looked for.
std::optional<History::Around> around_in(io::Files& files, const engine::StoreId& store_id,
                                         const History::Spot& spot, std::uint64_t frame_at) {
    const auto& stretch = spot.stretch;
    const auto fd = files.open(engine::names::log_file(stretch.number), io::Open::read);
    if (!fd) return {};
    const engine::FrameSeed seed(store_id);
    const auto header_at = [&](std::uint64_t offset) -> std::optional<engine::FrameHeader> {
        std::array<std::byte, engine::kFrameHeaderBytes> bytes{};
        if (!files.read(*fd, offset, bytes)) return {};
        return engine::decode_frame_header(bytes, seed, stretch.lsn_at(offset));
    };
    std::optional<History::Around> found;
    PointReads reads(files, store_id);
    bool ended = false;
    for (auto at = spot.offset; !ended;) {
        const auto header = header_at(frame_at);
        if (!header) break;
        const auto begin = frame_at + engine::kFrameHeaderBytes;
        const auto end = begin + header->length;
        frame_at = end;
        if (end <= at) continue;
        if (!found)
            found = History::Around{.timeline = header->timeline,
                                    .commit_us = header->commit_us,
                                    .frame_end = stretch.lsn_at(end),
                                    .after = {}};
        for (at = std::max(at, begin); at < end && !ended;) {
            const auto record = reads.at(stretch, at);
            if (!record) break;
            at += record->bytes.size();
            ended = record->record.has(engine::RecordFlags::last_of_batch);
        }
        if (!ended && at < end) break;
        found->after = {.lsn = stretch.lsn_at(at),
                        .timeline = header->timeline,
                        .commit_us = header->commit_us,
                        .us = header->commit_us};
    }
    files.close(*fd);
    return ended ? found : std::nullopt;
}

}  // namespace

Opening<History::Around> History::around(Lsn lsn) const {
    const auto piece = std::ranges::find_if(
        pieces_, [&](const Piece& it) { return it.file.base() <= lsn && lsn < it.end; });
    if (serving_ && piece != pieces_.end()) {
        const auto stretch = stretch_of(*piece);
        const Spot spot{.stretch = stretch, .offset = stretch.offset_of(lsn)};
        if (const auto found =
                around_in(settled_, manifest_.store_id, spot, frame_before(*piece, lsn)))
            return *found;
    }
    std::optional<Around> found;
    bool ended = false;
    const auto visited = visit(lsn, end_, [&](const LogReader::Frame& frame, engine::FileNumber) {
        const auto first = frame.header.lsn + engine::kFrameHeaderBytes;
        if (!found)
            found = Around{.timeline = frame.header.timeline,
                           .commit_us = frame.header.commit_us,
                           .frame_end = first + frame.records.size(),
                           .after = {}};
        for (std::size_t at = 0; at < frame.records.size() && !ended;) {
            const auto decoded = engine::decode_own_record(frame.records.subspan(at));
            ensure(decoded.has_value(), "a record that was verified stays valid");
            at += decoded->size;
            ended = first + at > lsn && decoded->record.has(engine::RecordFlags::last_of_batch);
            if (ended)
                found->after = {.lsn = first + at,
                                .timeline = frame.header.timeline,
                                .commit_us = frame.header.commit_us,
                                .us = frame.header.commit_us};
        }
        return !ended;
    });
    if (!visited) return tl::unexpected(visited.error());
    ensure(ended, "the log ends with a whole batch");
    return *found;
}

Opening<std::optional<Lsn>> History::find_mark_by_sidecar(const Piece& piece,
                                                          const std::string& name) const {
    const auto range = serving_->sidecars.hasher.name(name);
    const auto stretch = stretch_of(piece);
    const auto found = serving_->sidecars.find(stretch, {&range, 1});
    if (!found) return refuse(found.error());
    PointReads reads(settled_, manifest_.store_id);
    for (auto i = found->size(); i-- > 0;) {
        const auto offset = (*found)[i].offset();
        const auto record = reads.at(stretch, offset);
        if (!record) return refuse(record.error());
        if (record->record.kind == engine::Kind::mark && record->record.key == name)
            return std::optional(stretch.lsn_at(offset));
    }
    return std::optional<Lsn>{};
}

}  // namespace firnlog::recovery
