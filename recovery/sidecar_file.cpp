#include "recovery/sidecar_file.hpp"

#include <algorithm>

#include "engine/format/names.hpp"
#include "engine/record_scan.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::recovery {
namespace {

namespace names = engine::names;
using engine::Lsn;
using engine::SidecarEntry;

// A landmark stands every so many bytes: from one on a frame is found by reading no more than that.
constexpr std::uint64_t kLandmarkEvery = std::uint64_t{64} << 10;
constexpr std::size_t kWriteBytes = std::size_t{1} << 20;

tl::unexpected<Error> unfit(engine::FileNumber number, std::uint64_t offset, const char* doing) {
    return fail(Error{.code = Code::damaged, .offset = offset, .file = number, .doing = doing});
}

}  // namespace

Result<void> SidecarDraft::read_on(io::Files& files, const engine::SidecarHasher& hasher, Lsn to,
                                   std::uint64_t bytes_max) {
    if (end_ >= to) return {};
    const LogStretch stretch{.number = number_, .base = base_, .end = to};
    // What is read ahead of the log's end is not there yet: each time it is read anew.
    auto scan = engine::RecordScan::log(files, store_id_, number_, base_, frame_at_);
    if (!scan) return fail(scan);
    const auto stop = std::min(to, end_ + bytes_max);
    while (end_ < stop) {
        const auto item = (*scan)->next();
        if ((!item || !*item) && stretch.lsn_at((*scan)->offset()) < to)
            return item ? unfit(number_, (*scan)->offset(), "read the log: there is no valid frame")
                        : fail(item);
        // Behind the last record there may be a frame that only vouches, and then one that is being
        // written.
        if (!item || !*item || (*item)->lsn >= to) {
            end_ = to;
            break;
        }
        const auto& [offset, lsn, record, bytes] = **item;
        frame_at_ = (*scan)->frame_offset();
        if (lsn < end_) continue;
        if (landmarks_.empty() || frame_at_ - landmarks_.back().offset() >= kLandmarkEvery)
            landmarks_.push_back({.hash = engine::SidecarHasher::kFrames.first,
                                  .place = static_cast<std::uint32_t>(frame_at_ / 8)});
        const bool skipped = planted("sidecar_skips_a_record") && offset % 64 == 56;
        if (const auto hash = hasher.of(record); hash && !skipped)
            entries_.push_back({.hash = *hash, .place = static_cast<std::uint32_t>(offset / 8)});
        // Last: when there is no memory for an entry, the record is taken in another time.
        end_ = lsn + bytes.size();
    }
    return {};
}

void SidecarDraft::find(SidecarRanges ranges, std::vector<engine::SidecarEntry>& into) const {
    for (const auto& range : ranges) {
        const bool of_frames = range.holds(engine::SidecarHasher::kFrames.first);
        for (const auto& entry : of_frames ? landmarks_ : entries_)
            if (range.holds(entry.hash)) into.push_back(entry);
    }
}

Result<std::uint64_t> SidecarDraft::write(io::Files& files) const {
    auto sorted = landmarks_;
    sorted.insert(sorted.end(), entries_.begin(), entries_.end());
    std::ranges::sort(sorted);
    const engine::SidecarHeader header{.store_id = store_id_,
                                       .number = number_,
                                       .base = base_,
                                       .end = end_,
                                       .entries = sorted.size()};
    const auto name = names::sidecar_file(number_);
    if (auto gone = files.unlink(name); !gone && gone.error().code != Code::missing)
        return fail(gone);
    std::vector<std::byte> buffer(engine::kSidecarHeaderBytes);
    buffer.reserve(kWriteBytes + engine::kSidecarBlockBytes);
    const auto fd = files.open(name, io::Open::create);
    if (!fd) return fail(fd);
    encode_sidecar_header(header, buffer.data());
    std::uint64_t written = 0;
    const auto flush = [&]() -> Result<void> {
        auto done = files.write(*fd, written, buffer);
        written += buffer.size();
        buffer.clear();
        return done;
    };
    Result<void> done;
    for (std::uint32_t block = 0; block < header.blocks() && done; ++block) {
        const auto from = block * engine::kSidecarBlockEntries;
        const auto entries = std::span<const SidecarEntry>(sorted).subspan(
            from, std::min(engine::kSidecarBlockEntries, sorted.size() - from));
        buffer.resize(buffer.size() + engine::kSidecarBlockBytes);
        encode_sidecar_block(entries, header, block,
                             buffer.data() + buffer.size() - engine::kSidecarBlockBytes);
        if (buffer.size() >= kWriteBytes) done = flush();
    }
    if (done && !buffer.empty()) done = flush();
    files.close(*fd);
    if (done) return written;
    (void)files.unlink(name);
    return fail(done);
}

Result<std::unique_ptr<SidecarReader>> SidecarReader::open(io::Files& files,
                                                           const engine::StoreId& store_id,
                                                           const LogStretch& stretch) {
    const auto fd = files.open(names::sidecar_file(stretch.number), io::Open::read);
    if (!fd) return fail(fd);
    std::unique_ptr<SidecarReader> reader(new SidecarReader(files, *fd));
    std::vector<std::byte> block(engine::kSidecarHeaderBytes);
    const auto got = files.read(*fd, 0, block);
    if (!got) return fail(got);
    const auto header = engine::decode_sidecar_header(Bytes(block).first(*got));
    if (!header) return unfit(stretch.number, 0, "read a sidecar: its header does not fit");
    const bool its = header->store_id == store_id && header->number == stretch.number &&
                     header->base == stretch.base && header->end >= stretch.end;
    if (!its && !planted("sidecar_of_another_segment_believed"))
        return unfit(stretch.number, 0, "read a sidecar: it is that of another file");
    reader->header_ = *header;
    return reader;
}

Result<void> SidecarReader::load(std::uint64_t block) {
    if (block_ == block) return {};
    std::array<std::byte, engine::kSidecarBlockBytes> bytes;
    const auto offset = engine::kSidecarHeaderBytes + block * engine::kSidecarBlockBytes;
    const auto got = files_.read(fd_, offset, bytes);
    if (!got) return fail(got);
    const auto count = engine::decode_sidecar_block(Bytes(bytes).first(*got), header_,
                                                    static_cast<std::uint32_t>(block), entries_);
    block_ = UINT64_MAX;
    if (!count || *count == 0)
        return unfit(header_.number, offset, "read a sidecar: a block does not fit");
    block_ = block;
    count_ = *count;
    return {};
}

// Hashes are spread evenly, so that the block is near where it would be if they were all different;
// from there the steps are doubled, and then halved.
Result<std::uint64_t> SidecarReader::seek(std::uint32_t hash) {
    std::uint64_t low = 0;
    std::uint64_t high = header_.blocks();
    auto at = (high * hash) >> 32;
    std::uint64_t step = 1;
    bool bounded = false;  // from both sides
    while (low < high) {
        if (auto done = load(at); !done) return fail(done);
        const bool behind = loaded().back().hash >= hash;
        if (behind && loaded().front().hash < hash) return at;
        if (behind) {
            high = at;
            bounded = bounded || low != 0;
            at = bounded ? low + (high - low) / 2 : high - std::min(high - low, step);
        } else {
            low = at + 1;
            bounded = bounded || high != header_.blocks();
            at = bounded ? low + (high - low) / 2 : std::min(low + step, high) - 1;
        }
        step *= 2;
    }
    if (low < header_.blocks())
        if (auto done = load(low); !done) return fail(done);
    return low;
}

Result<void> SidecarReader::find(SidecarRanges ranges, std::vector<engine::SidecarEntry>& into) {
    for (const auto& range : ranges) {
        const auto first = seek(range.first);
        if (!first) return fail(first);
        for (auto block = *first; block < header_.blocks(); ++block) {
            if (auto done = load(block); !done) return done;
            for (const auto& entry : loaded())
                if (range.holds(entry.hash)) into.push_back(entry);
            if (loaded().back().hash > range.last) break;
        }
    }
    return {};
}

}  // namespace firnlog::recovery
