#include "recovery/replay.hpp"

namespace firnlog::recovery {

namespace {
using engine::RecordFlags;
}

void Replay::apply_pending() {
    for (const auto& item : pending_) {
        const auto decoded = engine::decode_own_record(as_bytes(item.bytes));
        ensure(decoded.has_value(), "a record that was verified stays valid");
        keyspace_.apply(decoded->record, item.place);
    }
    pending_.clear();
}

void Replay::apply(const LogReader::Frame& frame, engine::FileNumber file) {
    last_commit_us_ = frame.header.commit_us;
    const auto first = frame.header.lsn + engine::kFrameHeaderBytes;
    const auto begin = frame.offset + engine::kFrameHeaderBytes;
    // What lies behind the last end of a batch waits for the frames to come.
    std::size_t whole = 0;
    for (std::size_t at = 0; at < frame.records.size();) {
        const auto decoded = engine::decode_own_record(frame.records.subspan(at));
        ensure(decoded.has_value(), "a record that was verified stays valid");
        at += decoded->size;
        if (decoded->record.has(RecordFlags::last_of_batch)) whole = at;
    }
    if (whole != 0) apply_pending();
    for (std::size_t at = 0; at < frame.records.size();) {
        const auto decoded = engine::decode_own_record(frame.records.subspan(at));
        const engine::Keyspace::Place place{.address = engine::Address(file, begin + at),
                                            .bytes = decoded->size,
                                            .lsn = first + at};
        if (at < whole)
            keyspace_.apply(decoded->record, place);
        else
            pending_.push_back(
                {.bytes = std::string(as_text(frame.records.subspan(at, decoded->size))),
                 .place = place});
        ++records_;
        at += decoded->size;
    }
}

}  // namespace firnlog::recovery
