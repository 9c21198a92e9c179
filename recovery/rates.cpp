#include "recovery/rates.hpp"

#include <algorithm>

#include "engine/format/names.hpp"
#include "engine/history.hpp"

namespace firnlog::recovery {
namespace {

constexpr std::uint64_t kReadBytes = std::uint64_t{64} << 20;
// Less is over before the clock has said anything.
constexpr std::uint64_t kReadBytesMin = std::uint64_t{1} << 20;
constexpr double kDayUs = 24.0 * 3600 * 1e6;

double ratio(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// Of the log that is there without a gap from `from` on; timelines jump over some lsns.
std::uint64_t bytes_from(const History& history, engine::Lsn from) {
    std::uint64_t bytes = 0;
    for (const auto& piece : history.pieces())
        if (history.goes_on(piece) && piece.end > from)
            bytes += piece.end - std::max(piece.file.base(), from);
    return bytes;
}

// Strings and deletions are applied, the rest only verified: what an object is that began before
// is not known here.
Opening<StoreRates::Read> read_newest(const History& history, io::Clock& clock) {
    StoreRates::Read read;
    auto from = history.end();
    const auto& pieces = history.pieces();
    std::uint64_t bytes = 0;
    for (auto i = pieces.size(); i-- > 0 && history.goes_on(pieces[i]) && bytes < kReadBytes;) {
        from = std::max(pieces[i].file.base(), history.begin());
        bytes += pieces[i].end - from;
    }
    engine::Keyspace scratch(history.manifest().hash_secret);
    const auto began = clock.mono();
    auto visited = history.visit(
        from, history.end(), [&](const LogReader::Frame& frame, engine::FileNumber file) {
            const auto first = frame.header.lsn + engine::kFrameHeaderBytes;
            if (frame.header.count != 0) ++read.frames;
            read.bytes += engine::kFrameHeaderBytes + frame.records.size();
            for (std::size_t at = 0; at < frame.records.size();) {
                const auto decoded = engine::decode_own_record(frame.records.subspan(at));
                if (!decoded) return false;
                ++read.records;
                const auto& record = decoded->record;
                if (record.kind == engine::Kind::string || record.kind == engine::Kind::tombstone)
                    scratch.replay(record,
                                   {.address = engine::Address(
                                        file, frame.offset + engine::kFrameHeaderBytes + at),
                                    .bytes = decoded->size,
                                    .lsn = first + at},
                                   scratch.know(record));
                at += decoded->size;
            }
            return true;
        });
    if (!visited) return tl::unexpected(visited.error());
    read.took_us = clock.mono().us - began.us;
    return read;
}

Opening<StoreRates> rates_in(History& history, io::Clock& clock) {
    StoreRates rates;
    const auto now_us = clock.wall().us;
    const auto& manifest = history.manifest();
    const auto oldest = history.oldest_place();
    if (!oldest) return tl::unexpected(oldest.error());
    rates.oldest = *oldest;
    const auto newest = history.find({}, now_us);
    if (!newest) return tl::unexpected(newest.error());
    rates.newest = *newest;
    // One that is served and idle writes nothing now, and that counts too.
    const auto until_us =
        manifest.clean ? rates.newest.commit_us : std::max(rates.newest.commit_us, now_us);
    rates.sample_us = until_us - rates.oldest.commit_us;
    rates.log_bytes = bytes_from(history, rates.oldest.lsn);
    auto read = read_newest(history, clock);
    if (!read) return tl::unexpected(read.error());
    rates.read = *read;
    const auto listed = history.files().list("");
    if (!listed) return refuse(listed.error());
    for (const auto& info : *listed)
        if (const auto number = engine::names::packed_number(info.name);
            number && std::ranges::count(manifest.packed, *number) != 0)
            rates.files_bytes += info.bytes;
    // Of the last one as much as is written: the rest lies ready in any case.
    for (const auto& piece : history.pieces())
        rates.files_bytes += engine::kSegmentHeaderBytes + (piece.end - piece.file.base());
    rates.checkpoints = manifest.checkpoints.size();
    rates.live_bytes = rates.files_bytes;
    rates.checkpoint_behind = rates.log_bytes;
    if (manifest.checkpoints.empty()) return rates;
    const auto& entry = manifest.checkpoints.back();
    rates.has_checkpoint = true;
    rates.live_bytes = engine::live_bytes(manifest);
    rates.checkpoint_bytes = entry.bytes;
    rates.checkpoint_age_us = until_us - entry.taken_us;
    rates.checkpoint_behind = bytes_from(history, entry.lo);
    return rates;
}

}  // namespace

double StoreRates::a_day(std::uint64_t count) const {
    return sample_us <= 0 ? 0
                          : static_cast<double>(count) * kDayUs / static_cast<double>(sample_us);
}

double StoreRates::records_a_byte() const { return ratio(read.records, read.bytes); }
double StoreRates::frames_a_byte() const { return ratio(read.frames, read.bytes); }

double StoreRates::replay_rate() const {
    if (read.bytes < kReadBytesMin || read.took_us <= 0) return 0;
    return static_cast<double>(read.bytes) * 1e6 / static_cast<double>(read.took_us);
}

double StoreRates::garbage_share() const {
    return files_bytes == 0 ? 0 : 1 - std::min(1.0, ratio(live_bytes, files_bytes));
}

Opening<StoreRates> rates_of(io::Files& files, io::Clock& clock) {
    return with_history(
        files, [&](std::unique_ptr<History> history) { return rates_in(*history, clock); });
}

}  // namespace firnlog::recovery
