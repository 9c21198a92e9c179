#include "engine/log/reader.hpp"

#include <algorithm>

#include "io/guarded_copy.hpp"

namespace firnlog::engine {

std::byte* Scratch::take(std::size_t bytes) {
    bytes = align_up(bytes, std::size_t{16});
    if (bytes > kPiece / 4) {
        large_.push_back(std::make_unique_for_overwrite<std::byte[]>(bytes));
        return large_.back().get();
    }
    if (piece_ == nullptr) piece_ = std::make_unique_for_overwrite<std::byte[]>(kPiece);
    if (used_ + bytes > kPiece) {
        large_.push_back(std::move(piece_));
        piece_ = std::make_unique_for_overwrite<std::byte[]>(kPiece);
        used_ = 0;
    }
    used_ += bytes;
    return piece_.get() + used_ - bytes;
}

void Scratch::reset() {
    used_ = 0;
    large_.clear();
}

RecordReader::Found RecordReader::read(Address address, std::size_t size_hint, Scratch& scratch,
                                       const std::vector<Warm>& warm, bool may_wait) const {
    Found found;
    const auto* segment = segments_.find(address.file());
    if (segment == nullptr || address.offset() >= segment->bytes) return found;
    const auto place = segment->place();
    const auto offset = address.offset();
    const auto left = segment->bytes - offset;
    const auto lead = segment->lead();
    if (offset < lead) return found;
    found.lsn = segment->lsn_at(offset);
    // Of copied bytes: what leads the record, and itself.
    const auto checked = [&](Bytes bytes) -> std::optional<Decoded> {
        if (bytes.size() < lead) return {};
        const auto lsn = lead == 0 ? found.lsn : load<Lsn>(bytes.data());
        return decode_record(bytes.subspan(lead), seed_.at(lsn));
    };
    const auto done = [&](const std::optional<Decoded>& decoded) {
        if (!decoded) return found;
        found.outcome = Outcome::found;
        found.record = decoded->record;
        found.size = decoded->size;
        return found;
    };
    if (place.own) return done(decode_own_record({place.bytes + offset, left}));
    for (const auto& item : warm)
        if (item.address == address) return done(checked(item.bytes));
    const auto begin = offset - lead;
    const auto size = lead + std::min<std::uint64_t>(std::max(size_hint, kRecordBytesMin), left);
    if (!may_wait && look_for_cold.load(std::memory_order_relaxed) &&
        !segment->map->resident(begin, size)) {
        found.outcome = Outcome::cold;
        return found;
    }
    auto* copy = scratch.take(size);
    if (!io::guarded_copy(copy, place.bytes + begin, size)) return found;
    return done(checked({copy, size}));
}

}  // namespace firnlog::engine
