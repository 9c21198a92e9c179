#include "recovery/replay.hpp"

#include "io/base/mutant.hpp"

namespace firnlog::recovery {

void Replay::apply(const LogReader::Frame& frame, engine::FileNumber file) {
    last_commit_us_ = frame.header.commit_us;
    const auto first = frame.header.lsn + engine::kFrameHeaderBytes;
    const auto begin = frame.offset + engine::kFrameHeaderBytes;
    if (frame.whole != 0 && !planted("batch_over_frames_lost")) apply_pending();
    for (std::size_t at = 0; at < frame.records.size();) {
        const auto decoded = engine::decode_own_record(frame.records.subspan(at));
        const engine::Keyspace::Place place{.address = engine::Address(file, begin + at),
                                            .bytes = decoded->size,
                                            .lsn = first + at};
        // What lies behind the last end of a batch waits for the frames to come.
        if (at < frame.whole)
            apply(decoded->record, place);
        else
            pending_.push_back(
                {.bytes = std::string(as_text(frame.records.subspan(at, decoded->size))),
                 .place = place});
        ++records_;
        at += decoded->size;
    }
}

void Replay::apply_pending() {
    if (pending_.empty()) return;
    for (const auto& item : pending_) {
        const auto decoded = engine::decode_own_record(as_bytes(item.bytes));
        ensure(decoded.has_value(), "a record that was verified stays valid");
        apply(decoded->record, item.place);
    }
    settle();
    pending_.clear();
}

void Replay::apply(const engine::Record& record, const engine::Keyspace::Place& place) {
    if (planted("deletion_not_replayed") && record.kind == engine::Kind::tombstone) return;
    if (stamps_.has(record, place.lsn)) return;
    const Lanes::Item item{.record = record, .place = place, .known = keyspace_.know(record)};
    if (stamps_.has(record, place.lsn, item.known)) return;
    if (record.kind == engine::Kind::catalog) {
        // It ends spaces that others name.
        settle();
        keyspace_.replay(record, place, item.known);
    } else if (keyspace_.has_strays() ||
               (record.kind == engine::Kind::bind && record.oid.home() != item.known.stripe)) {
        lanes_.add_alone(item);
    } else {
        lanes_.add(item);
    }
}

}  // namespace firnlog::recovery
