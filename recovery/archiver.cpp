#include "recovery/archiver.hpp"

#include <algorithm>

#include "engine/format/backup.hpp"
#include "engine/format/names.hpp"
#include "io/base/crc32c.hpp"
#include "io/base/mutant.hpp"
#include "recovery/open_file.hpp"

namespace firnlog::recovery {

namespace names = engine::names;
using engine::Archived;
using engine::ArchivedKind;
using engine::FileNumber;
using engine::Lsn;

namespace {

// What is not whole yet lies under these names, which are no archived file's.
constexpr std::string_view kAside = "archive.new";
constexpr std::string_view kLargeAside = "archive-large.new";

constexpr std::size_t kCopyBytes = engine::kStoredPieceBytes;
// Pieces of the segment in use are put together up to this size: then there are few of them, and
// none is written more than some times.
constexpr std::uint64_t kPieceBytesMax = std::uint64_t{4} << 20;
constexpr std::size_t kReadBytes = std::size_t{1} << 20;

// Whether the frame is whole; sets where its last batch ends.
bool is_whole(Bytes records, const engine::FrameHeader& header, const engine::RecordSeed& seed,
              std::size_t& batch_end) {
    const auto first = header.lsn + engine::kFrameHeaderBytes;
    std::uint32_t count = 0;
    std::uint32_t crcs = 0;
    batch_end = 0;
    for (std::size_t at = 0; at < records.size();) {
        const auto decoded = engine::decode_record(records.subspan(at), seed.at(first + at));
        if (!decoded) return false;
        crcs = crc32c(records.subspan(at, sizeof decoded->crc), crcs);
        ++count;
        at += decoded->size;
        if (decoded->record.has(engine::RecordFlags::last_of_batch)) batch_end = at;
    }
    return count == header.count && crcs == header.records_crc;
}

// A window of a file, read on as it is needed.
class Window {
  public:
    Window(io::Files& files, int fd, std::uint64_t at) : files_(files), fd_(fd), begin_(at) {}

    // So many bytes at this offset, or what there is of them.
    Result<Bytes> at(std::uint64_t offset, std::size_t bytes) {
        const auto end = begin_ + bytes_.size();
        if (offset < begin_ || offset + bytes > end) {
            bytes_.resize(std::max(bytes, kReadBytes));
            begin_ = offset;
            const auto got = files_.read(fd_, offset, bytes_);
            if (!got) return fail(got);
            bytes_.resize(*got);
        }
        const auto there = Bytes(bytes_).subspan(offset - begin_);
        return there.first(std::min(bytes, there.size()));
    }

  private:
    io::Files& files_;
    const int fd_;
    std::uint64_t begin_;
    std::vector<std::byte> bytes_;
};

}  // namespace

// Bytes go in one behind the other; their checksums make the tag.
class Archiver::Making {
  public:
    Making(io::Files& files, std::optional<int> fd) : files_(files), fd_(fd) {}

    Result<void> append(Bytes bytes) {
        if (fd_)
            if (auto written = files_.write(*fd_, bytes_, bytes); !written) return written;
        while (!bytes.empty()) {
            const auto room = engine::kStoredPieceBytes - bytes_ % engine::kStoredPieceBytes;
            const auto part = bytes.first(std::min<std::size_t>(room, bytes.size()));
            if (room == engine::kStoredPieceBytes) sums_.push_back(0);
            sums_.back() = crc32c(part, sums_.back());
            bytes_ += part.size();
            bytes = bytes.subspan(part.size());
        }
        return {};
    }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    [[nodiscard]] std::uint64_t tag() const { return engine::tag_of(bytes_, sums_); }

  private:
    io::Files& files_;
    const std::optional<int> fd_;  // none: only the tag is wanted
    std::uint64_t bytes_ = 0;
    std::vector<std::uint32_t> sums_;
};

// ---- A file.

std::string Archiver::in_target(const std::string& name) const {
    return options_.to != nullptr ? name : std::string(kArchiveFolder) + "/" + name;
}

Opening<void> Archiver::make(Archived& what, std::string_view aside,
                             const std::function<Result<void>(Making&)>& write) {
    auto& to = target();
    const auto name = in_target(std::string(aside));
    const auto made = [&]() -> Result<void> {
        // What an earlier attempt has left.
        if (auto gone = to.unlink(name); !gone && gone.error().code != Code::missing) return gone;
        const auto fd = to.open(name, io::Open::create);
        if (!fd) return fail(fd);
        const OpenFile open(to, *fd);
        Making making(to, *fd);
        if (auto written = write(making); !written) return written;
        what.bytes = making.bytes();
        what.tag = making.tag();
        if (!planted("archive_not_synced"))
            if (auto synced = to.sync(*fd); !synced) return synced;
        return to.rename(name, in_target(what.name()));
    }();
    if (!made) return refuse(made.error());
    return hand_over(what);
}

// It has its name: it counts, or the command takes it.
Opening<void> Archiver::hand_over(const Archived& what) {
    const auto name = what.name();
    if (options_.to != nullptr) {
        if (auto synced = options_.to->sync_dir(); !synced) return refuse(synced.error());
    } else {
        if (auto taken = options_.command(name); !taken) return taken;
        if (auto gone = from_.unlink(in_target(name)); !gone) return refuse(gone.error());
    }
    ++counts_.files;
    counts_.bytes += what.bytes;
    last_name_ = name;
    return {};
}

Result<void> Archiver::copy(int fd, std::uint64_t from, std::uint64_t bytes, Making& to) {
    std::vector<std::byte> piece(std::min<std::uint64_t>(kCopyBytes, bytes));
    for (std::uint64_t done = 0; done < bytes;) {
        const auto wanted =
            MutableBytes(piece).first(std::min<std::uint64_t>(piece.size(), bytes - done));
        const auto got = from_.read(fd, from + done, wanted);
        if (!got) return fail(got);
        if (*got != wanted.size())
            return fail(Error{.code = Code::damaged,
                              .offset = from + done + *got,
                              .doing = "read a file that is cut short"});
        if (auto put = to.append(wanted); !put) return put;
        done += wanted.size();
        if (options_.going && !options_.going())
            return fail(Error{.code = Code::busy, .doing = "archive"});
        const auto every = options_.tail_every_bytes;
        if (is_amid_large_ && done / every != (done - wanted.size()) / every)
            if (auto paused = between_pieces(); !paused) return paused;
    }
    return {};
}

// The tail does not wait for something large. What is wrong with it the next round finds again.
Result<void> Archiver::between_pieces() {
    if (!options_.tail_due || !options_.tail_due() || !options_.durable) return {};
    is_amid_large_ = false;
    const auto durable = options_.durable();
    if (look_at_files()) (void)bring_log(durable, true);
    is_amid_large_ = true;
    return {};
}

// ---- The log.

Opening<void> Archiver::round(Bring what) {
    const auto durable = options_.durable ? options_.durable() : Lsn{};
    if (auto looked = look_at_manifest(); !looked) return looked;
    if (auto looked = look_at_files(); !looked) return looked;
    if (manifest_.timelines.back().timeline != manifest_timeline_)
        if (auto brought = bring_manifest(); !brought) return brought;
    const auto hi = manifest_.checkpoints.empty() ? Lsn{} : manifest_.checkpoints.back().hi;
    const bool tail = what != Bring::full || hi > position_;
    if (auto brought = bring_log(durable, tail); !brought) return brought;
    if (what == Bring::log) return {};
    if (auto brought = bring_checkpoints(); !brought) return brought;
    // One whose log is not here yet is named when it is.
    if (manifest_.sequence == manifest_sequence_ || hi > position_) return {};
    return bring_manifest();
}

Opening<void> Archiver::bring_log(Lsn durable, bool tail) {
    for (;;) {
        const auto before = position_;
        const auto more = bring_next(durable, tail);
        if (position_ != before)
            if (auto written = write_state(); !written) return written;
        if (!more) return tl::unexpected(more.error());
        if (!*more) return {};
    }
}

std::optional<Lsn> Archiver::end_of(engine::Timeline timeline) const {
    const auto& timelines = manifest_.timelines;
    const auto entry = std::ranges::find(timelines, timeline, &engine::TimelineEntry::timeline);
    if (entry == timelines.end() || entry + 1 == timelines.end()) return {};
    return entry->end;
}

// The file that this place is in, or would be appended to.
const LogFile* Archiver::file_at(Lsn lsn) const {
    const LogFile* found = nullptr;
    for (const auto& file : chain_)
        if (file.base() <= lsn) found = &file;
    if (found == nullptr) return nullptr;
    if (lsn - found->base() > found->bytes - engine::kSegmentHeaderBytes) return nullptr;
    const auto end = end_of(found->header.header.timeline);
    return end && *end < lsn ? nullptr : found;
}

// True: there is more to look at behind it.
Opening<bool> Archiver::bring_next(Lsn durable, bool tail) {
    next_commit_us_.reset();
    const auto* file = file_at(position_);
    if (auto brought = bring_segment_behind(file); !brought) return tl::unexpected(brought.error());
    if (file == nullptr) return skip_gap(durable);
    const auto end = end_of(file->header.header.timeline);
    const auto next = std::ranges::upper_bound(chain_, file->base(), {}, &LogFile::base);
    // Neither full nor due.
    if (!tail && next == chain_.end() && !end) return false;
    const auto limit = end && *end < durable ? *end : durable;
    const auto stretch = look_at_frames(*file, position_, limit);
    if (!stretch) return refuse(stretch.error());
    const bool full =
        (next != chain_.end() && next->base() == stretch->end) || (end && *end == stretch->end);
    if (full && stretch->end > file->base()) {
        if (auto brought = bring_segment(*file, stretch->end); !brought)
            return tl::unexpected(brought.error());
        position_ = next_of(manifest_.timelines, stretch->end);
        return true;
    }
    if (tail && stretch->batch_end > position_) {
        if (auto brought = bring_piece(*file, stretch->batch_end); !brought)
            return tl::unexpected(brought.error());
        position_ = stretch->batch_end;
        return true;
    }
    if (!stretch->fits) return skip_gap(durable);
    return false;
}

// The log does not go on where it should. It was given back before it was here, or it is damaged.
Opening<bool> Archiver::skip_gap(Lsn durable) {
    if (durable <= position_) return false;
    const auto sequence = manifest_.sequence;
    if (auto looked = look_at_manifest(); !looked) return tl::unexpected(looked.error());
    if (auto looked = look_at_files(); !looked) return tl::unexpected(looked.error());
    if (manifest_.first_lsn > position_ && oldest_base() > position_) {
        gap_ = Gap{.from = position_, .to = oldest_base()};
        ++counts_.gaps;
        begin_run(oldest_base());
        return true;
    }
    if (manifest_.sequence != sequence) return true;
    return refuse({.code = Code::damaged, .doing = "read the log"},
                  "damaged: the log has no valid frame at lsn " + std::to_string(position_.value));
}

// From a place where a frame begins; no further than to the limit.
Result<Archiver::Stretch> Archiver::look_at_frames(const LogFile& file, Lsn from, Lsn limit) {
    const engine::FrameSeed frame_seed(manifest_.store_id);
    const engine::RecordSeed record_seed(manifest_.store_id);
    const auto fd = from_.open(names::log_file(file.number), io::Open::read);
    if (!fd) return fail(fd);
    const OpenFile open(from_, *fd);
    Window window(from_, *fd, 0);
    Stretch stretch{.batch_end = from, .end = from};
    for (;;) {
        const auto offset = engine::kSegmentHeaderBytes + (stretch.end - file.base());
        const auto head = window.at(offset, engine::kFrameHeaderBytes);
        if (!head) return fail(head);
        const auto header = head->size() == engine::kFrameHeaderBytes
                                ? engine::decode_frame_header(*head, frame_seed, stretch.end)
                                : std::nullopt;
        stretch.fits = header.has_value() || stretch.end >= limit;
        if (!header) return stretch;
        if (!next_commit_us_) next_commit_us_ = header->commit_us;
        const auto bytes = engine::kFrameHeaderBytes + header->length;
        if (stretch.end + bytes > limit && !planted("archive_takes_what_is_not_durable"))
            return stretch;
        const auto frame = window.at(offset, bytes);
        if (!frame) return fail(frame);
        std::size_t batch_end = 0;
        const auto records = frame->subspan(engine::kFrameHeaderBytes);
        if (frame->size() != bytes || !is_whole(records, *header, record_seed, batch_end)) {
            stretch.fits = false;
            return stretch;
        }
        // A frame without records ends a batch as the one before it did.
        const bool vouches = records.empty() && stretch.batch_end == stretch.end;
        stretch.end = stretch.end + bytes;
        if (vouches || (!records.empty() && batch_end == records.size()))
            stretch.batch_end = stretch.end;
    }
}

Opening<void> Archiver::bring_stretch(const LogFile& file, ArchivedKind kind, Lsn from, Lsn to,
                                      Archived& made) {
    made = {.kind = kind,
            .timeline = file.header.header.timeline,
            .from = from,
            .to = to,
            .base = file.base(),
            .number = file.number};
    const auto fd = from_.open(names::log_file(file.number), io::Open::read);
    if (!fd) return refuse(fd.error());
    const OpenFile open(from_, *fd);
    const auto bytes = engine::archived_bytes(kind, from, to);
    const auto aside = is_amid_large_ ? kLargeAside : kAside;
    return make(made, aside, [&](Making& making) -> Result<void> {
        auto header = file.header.header;
        header.bytes = engine::archived_bytes(ArchivedKind::segment, file.base(), to);
        header.stale = {};
        std::vector<std::byte> block(engine::kSegmentHeaderBytes);
        engine::encode_segment_header(header, block.data());
        if (auto put = making.append(block); !put) return put;
        const auto offset = engine::kSegmentHeaderBytes + (from - file.base());
        if (auto copied = copy(*fd, offset, to - from, making); !copied) return copied;
        block.assign(bytes - making.bytes(), std::byte{0});
        return making.append(block);
    });
}

// Small ones before it are put together with it.
Opening<void> Archiver::bring_piece(const LogFile& file, Lsn to) {
    auto from = position_;
    std::vector<Archived> replaced;
    while (!pieces_.empty() && pieces_.back().to == from &&
           pieces_.back().to - pieces_.back().from <= 2 * (to - from) &&
           to - pieces_.back().from <= kPieceBytesMax) {
        from = pieces_.back().from;
        replaced.push_back(pieces_.back());
        pieces_.pop_back();
    }
    Archived made;
    auto brought = Opening<void>{};
    if (!planted("archive_skips_a_piece") || (to.value / 64) % 5 != 0)
        brought = bring_stretch(file, ArchivedKind::log, from, to, made);
    if (!brought) {
        pieces_.insert(pieces_.end(), replaced.rbegin(), replaced.rend());
        return brought;
    }
    if (options_.to == nullptr) return {};
    remove_pieces(replaced);
    pieces_.push_back(made);
    return {};
}

Opening<void> Archiver::bring_segment(const LogFile& file, Lsn to) {
    if (!segments_.contains(file.number)) {
        Archived made;
        if (auto brought = bring_stretch(file, ArchivedKind::segment, file.base(), to, made);
            !brought)
            return brought;
        segments_.insert(file.number);
    }
    const auto pieces = std::exchange(pieces_, {});
    // Those of an older timeline may be another store's as well, which goes on behind this end.
    if (file.header.header.timeline == manifest_.timelines.back().timeline) remove_pieces(pieces);
    return {};
}

// Its last piece may have been all of it, before anybody could know.
Opening<void> Archiver::bring_segment_behind(const LogFile* file) {
    const LogFile* behind = nullptr;
    for (const auto& other : chain_)
        if (other.base() < (file != nullptr ? file->base() : position_)) behind = &other;
    if (behind == nullptr || behind->base() < begin_ || segments_.contains(behind->number))
        return {};
    auto end = end_of(behind->header.header.timeline);
    if (file != nullptr && file->header.header.timeline == behind->header.header.timeline)
        end = file->base();
    if (!end || *end <= behind->base() || *end > position_) return {};
    return bring_segment(*behind, *end);
}

// What is left of them is of no harm: it is gone at the next start.
void Archiver::remove_pieces(const std::vector<Archived>& pieces) {
    if (options_.to == nullptr) return;
    for (const auto& piece : pieces) (void)options_.to->unlink(piece.name());
}

// ---- Checkpoints and manifests.

Opening<void> Archiver::bring_manifest() {
    Archived what{.kind = ArchivedKind::manifest,
                  .timeline = manifest_.timelines.back().timeline,
                  .sequence = manifest_.sequence};
    auto made = make(what, kAside, [&](Making& making) { return making.append(manifest_bytes_); });
    if (!made) return made;
    manifest_timeline_ = what.timeline;
    manifest_sequence_ = what.sequence;
    look_for_base();
    return write_state();
}

// Whether the log that is there has something to begin with, and a manifest that says so.
void Archiver::look_for_base() {
    if (has_base_ || manifest_.sequence != manifest_sequence_) return;
    const auto& timelines = manifest_.timelines;
    has_base_ = begin_ <= next_of(timelines, timelines.front().begin) ||
                std::ranges::any_of(manifest_.checkpoints, [&](const auto& entry) {
                    return checkpoints_.contains(entry.number) && entry.lo >= begin_ &&
                           entry.hi <= position_;
                });
}

// The newest first: with one of them a moment can be restored. One that the store lets go of
// meanwhile is not missed: the next has come.
Opening<void> Archiver::bring_checkpoints() {
    const auto entries = manifest_.checkpoints;
    for (auto i = entries.size(); i-- > 0;) {
        const auto& entry = entries[i];
        if (checkpoints_.contains(entry.number) || entry.lo < begin_ || entry.hi > position_)
            continue;
        is_amid_large_ = true;
        auto brought = bring_checkpoint(entry);
        is_amid_large_ = false;
        if (!brought && brought.error().error.code == Code::missing) continue;
        if (!brought) return brought;
    }
    return {};
}

Opening<void> Archiver::bring_checkpoint(const engine::CheckpointEntry& entry) {
    for (const auto number : entry.files)
        if (auto brought = bring_named(number); !brought) return brought;
    const Archived image{.kind = ArchivedKind::checkpoint,
                         .timeline = timeline_before(manifest_.timelines, entry.hi),
                         .from = entry.hi,
                         .number = entry.number};
    if (auto brought = bring_file(image, names::checkpoint_file(entry.number)); !brought)
        return brought;
    checkpoints_.insert(entry.number);
    look_for_base();
    return write_state();
}

// A file that a checkpoint leads into.
Opening<void> Archiver::bring_named(FileNumber number) {
    const auto now = engine::Moves(manifest_.moves)(number);
    if (std::ranges::binary_search(manifest_.packed, now)) {
        if (packed_.contains(now)) return {};
        const Archived packed{.kind = ArchivedKind::packed,
                              .timeline = manifest_.timelines.back().timeline,
                              .number = now};
        if (auto brought = bring_file(packed, names::packed_file(now)); !brought) return brought;
        packed_.insert(now);
        return write_state();
    }
    if (segments_.contains(now) || segments_.contains(number)) return {};
    const auto found = headers_.find(now);
    if (found == headers_.end())
        return refuse({.code = Code::missing, .file = now, .doing = "archive a log file"});
    const auto file = found->second;
    if (file.base() >= begin_) return {};  // of the run
    // It was full before the run began.
    const auto kept = next_commit_us_;
    const auto stretch = look_at_frames(file, file.base(), Lsn{std::uint64_t{1} << 62});
    next_commit_us_ = kept;
    if (!stretch) return refuse(stretch.error());
    if (stretch->end == file.base())
        return refuse({.code = Code::damaged, .file = now, .doing = "archive a log file"});
    Archived made;
    if (auto brought = bring_stretch(file, ArchivedKind::segment, file.base(), stretch->end, made);
        !brought)
        return brought;
    segments_.insert(now);
    return write_state();
}

Opening<void> Archiver::bring_file(Archived what, const std::string& name) {
    const auto fd = from_.open(name, io::Open::read);
    if (!fd) return refuse(fd.error());
    const OpenFile open(from_, *fd);
    const auto size = from_.size(*fd);
    if (!size) return refuse(size.error());
    if (options_.to != nullptr)
        return make(what, kLargeAside, [&](Making& making) { return copy(*fd, 0, *size, making); });
    // The command gets the same file, under its name in the archive.
    Making making(from_, std::nullopt);
    if (auto summed = copy(*fd, 0, *size, making); !summed) return refuse(summed.error());
    what.bytes = making.bytes();
    what.tag = making.tag();
    const auto there = in_target(what.name());
    if (auto gone = from_.unlink(there); !gone && gone.error().code != Code::missing)
        return refuse(gone.error());
    if (auto linked = from_.link(name, there); !linked) return refuse(linked.error());
    return hand_over(what);
}

}  // namespace firnlog::recovery
