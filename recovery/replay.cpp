#include "recovery/replay.hpp"

#include <array>
#include <span>

namespace firnlog::recovery {

void Replay::apply_pending() {
    for (const auto& item : pending_) {
        const auto decoded = engine::decode_own_record(as_bytes(item.bytes));
        ensure(decoded.has_value(), "a record that was verified stays valid");
        if (stamps_.has(decoded->record, item.place.lsn)) continue;
        const auto known = keyspace_.know(decoded->record);
        if (stamps_.has(decoded->record, item.place.lsn, known)) continue;
        keyspace_.replay(decoded->record, item.place, known);
    }
    pending_.clear();
}

void Replay::apply(const LogReader::Frame& frame, engine::FileNumber file) {
    last_commit_us_ = frame.header.commit_us;
    const auto first = frame.header.lsn + engine::kFrameHeaderBytes;
    const auto begin = frame.offset + engine::kFrameHeaderBytes;
    if (frame.whole != 0) apply_pending();
    for (std::size_t at = 0; at < frame.whole;) at = apply_group(frame, file, at);
    // What lies behind the last end of a batch waits for the frames to come.
    for (auto at = frame.whole; at < frame.records.size();) {
        const auto decoded = engine::decode_own_record(frame.records.subspan(at));
        const engine::Keyspace::Place place{.address = engine::Address(file, begin + at),
                                            .bytes = decoded->size,
                                            .lsn = first + at};
        pending_.push_back({.bytes = std::string(as_text(frame.records.subspan(at, decoded->size))),
                            .place = place});
        ++records_;
        at += decoded->size;
    }
}

std::size_t Replay::apply_group(const LogReader::Frame& frame, engine::FileNumber file,
                                std::size_t at) {
    // One look-up waits for memory three times; those of a group wait together.
    constexpr std::size_t kGroup = 16;
    struct Item {
        engine::Decoded decoded;
        engine::Keyspace::Place place;
        engine::Keyspace::Known known;
    };
    std::array<Item, kGroup> items;
    const auto first = frame.header.lsn + engine::kFrameHeaderBytes;
    const auto begin = frame.offset + engine::kFrameHeaderBytes;
    std::size_t count = 0;
    while (count < kGroup && at < frame.whole) {
        auto& item = items[count];
        item.decoded = *engine::decode_own_record(frame.records.subspan(at));
        item.place = {.address = engine::Address(file, begin + at),
                      .bytes = item.decoded.size,
                      .lsn = first + at};
        at += item.decoded.size;
        ++records_;
        if (stamps_.has(item.decoded.record, item.place.lsn)) continue;
        item.known = keyspace_.know(item.decoded.record);
        if (stamps_.has(item.decoded.record, item.place.lsn, item.known)) continue;
        ++count;
        if (item.known.space != nullptr)
            __builtin_prefetch(&item.known.space->stripes[item.known.stripe], 1);
        // From here on database numbers may mean other spaces.
        if (item.decoded.record.kind == engine::Kind::catalog) break;
    }
    const auto group = std::span(items).first(count);
    for (const auto& item : group)
        if (item.known.space != nullptr)
            item.known.space->stripes[item.known.stripe].prefetch_page(item.known.tag);
    for (const auto& item : group)
        if (item.known.space != nullptr)
            item.known.space->stripes[item.known.stripe].prefetch_slot(item.known.tag);
    for (const auto& item : group) keyspace_.replay(item.decoded.record, item.place, item.known);
    return at;
}

}  // namespace firnlog::recovery
