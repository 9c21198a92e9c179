#include "engine/log/tail.hpp"

#include <algorithm>

#include "io/base/crc32c.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::engine {
namespace {
// A frame is lost as a whole when it is torn, so it does not grow without bound.
constexpr std::uint64_t kFrameBytesMax = std::uint64_t{1} << 20;

// What a frame says was durable: that, unless a bug is planted.
Lsn said_durable(Lsn durable_lsn, Lsn frame) {
    if (planted("frame_without_voucher")) return {};
    return planted("frame_vouches_too_far") ? frame : durable_lsn;
}
}  // namespace

Tail::Tail(io::Clock& clock, Supply& supply, LogStart start)
    : clock_(clock),
      supply_(supply),
      start_(start),
      record_seed_(start.store_id),
      frame_seed_(start.store_id),
      lsn_(start.next),
      batch_end_(start.next),
      batch_end_shared_(start.next.value),
      commit_us_(start.high_us) {}

std::uint64_t Tail::left() const { return active_ == nullptr ? 0 : active_->bytes - at_; }

Room Tail::room(std::size_t bytes, bool shrinks) {
    bytes += promised_.load(std::memory_order_relaxed);
    const auto frames = bytes / kFrameBytesMax + 2;
    const std::uint64_t need = bytes + frames * kFrameHeaderBytes;
    if (need <= left() && !active_->kept) return Room::enough;
    // What is left at the end of a segment may be too short for the next record, and how long that
    // is nobody has said. Segments must be longer than the longest record: of shorter ones no
    // number is room for a batch of many. segment-bytes-max allows none below 4 MiB.
    const std::uint64_t waste = std::min<std::uint64_t>(bytes, kRecordBytesMax) + kFrameHeaderBytes;
    const auto ready = supply_.ready();
    // What is kept for deletions growth never gets, also while nobody knows yet whether more can be
    // made.
    const bool barred =
        !shrinks && !planted("growth_takes_what_is_kept") && active_ != nullptr && active_->kept;
    const auto here = barred ? 0 : left();
    std::uint64_t have = need <= here ? here : here - std::min(here, waste);
    have += ready.bytes - std::min(ready.bytes, ready.count * waste);
    if (shrinks && ready.failing)
        have += ready.kept_bytes - std::min(ready.kept_bytes, ready.kept * waste);
    if (need <= have) return Room::enough;
    supply_.want(need + (ready.count + 1) * waste);
    return ready.failing && !ready.hopeful ? Room::no_space : Room::later;
}

void Tail::open_batch() {
    ensure(!batch_open_, "one batch at a time");
    batch_open_ = true;
    batch_begin_ = {};
}

Appended Tail::append(const Record& record) {
    ensure(batch_open_, "records are appended within a batch");
    complete_pending(planted("batch_split"));
    const auto size = record_bytes(record);
    if (frame_at_ != 0 && at_ - frame_at_ + size > kFrameBytesMax) {
        const Lsn durable_lsn{durable.load(std::memory_order_relaxed)};
        close_frame(durable_lsn);
    }
    if (left() < size + (frame_at_ == 0 ? kFrameHeaderBytes : 0)) next_segment();
    if (frame_at_ == 0) open_frame();
    const Appended appended{.address = Address(active_->number, at_), .lsn = lsn_};
    if (batch_begin_.value == 0) batch_begin_ = lsn_;
    const auto written = encode_record(record, active_->image->data() + at_);
    ensure(written == size, "a record is as long as it said");
    pending_at_ = at_;
    pending_bytes_ = size;
    ++records_;
    at_ += size;
    lsn_ = lsn_ + size;
    if (!dirty()) dirty_.store(true, std::memory_order_relaxed);
    return appended;
}

Lsn Tail::close_batch() {
    ensure(batch_open_, "a batch is open");
    complete_pending(true);
    batch_open_ = false;
    if (batch_begin_.value != 0) {
        batch_end_ = lsn_;
        records_shared_.store(records_, std::memory_order_relaxed);
        batch_end_shared_.store(lsn_.value, std::memory_order_release);
    }
    return batch_end_;
}

void Tail::complete_pending(bool last) {
    if (pending_bytes_ == 0) return;
    const auto crc = seal_record(active_->image->data() + pending_at_, pending_bytes_, last,
                                 record_seed_.at(active_->lsn_at(pending_at_)));
    frame_crc_ = crc32c(Bytes(reinterpret_cast<const std::byte*>(&crc), sizeof crc), frame_crc_);
    ++frame_count_;
    pending_bytes_ = 0;
}

void Tail::open_frame() {
    frame_at_ = at_;
    frame_count_ = 0;
    frame_crc_ = 0;
    frame_batch_ = batch_open_ ? batch_begin_ : Lsn{};
    at_ += kFrameHeaderBytes;
    lsn_ = lsn_ + kFrameHeaderBytes;
}

void Tail::close_frame(Lsn durable_lsn, bool vouch) {
    if (frame_at_ == 0 && vouch && left() >= kFrameHeaderBytes) open_frame();
    if (frame_at_ == 0) {
        clear_dirty();
        return;
    }
    complete_pending(false);
    ensure(lsn_.value < (std::uint64_t{1} << kLsnBits), "the log fits into 1 PiB");
    commit_us_ = std::max(commit_us_, clock_.wall().us);
    const FrameHeader header{
        .length = static_cast<std::uint32_t>(at_ - frame_at_ - kFrameHeaderBytes),
        .count = frame_count_,
        .timeline = start_.timeline,
        .records_crc = frame_crc_,
        .lsn = active_->lsn_at(frame_at_),
        .durable_lsn = said_durable(durable_lsn, active_->lsn_at(frame_at_)),
        .commit_us = commit_us_,
        .batch_lsn = frame_batch_,
    };
    ensure(header.durable_lsn <= header.lsn, "nothing vouches for itself");
    encode_frame_header(header, frame_seed_, active_->image->data() + frame_at_);
    unvouched_ = frame_count_ != 0;
    if (!batch_open_) batch_end_ = lsn_;
    const auto begin = frame_at_;
    frame_at_ = 0;
    add_range(begin, at_);
    if (!batch_open_) clear_dirty();
}

void Tail::pop() {
    ranges_.pop_front();
    if (frame_at_ == 0) clear_dirty();
}

void Tail::clear_dirty() { dirty_.store(!ranges_.empty(), std::memory_order_relaxed); }

void Tail::add_range(std::uint64_t begin, std::uint64_t end) {
    // The first range of a segment takes its header along.
    if (begin == kSegmentHeaderBytes) begin = 0;
    if (!ranges_.empty() && ranges_.back().segment == active_ && ranges_.back().end == begin) {
        ranges_.back().end = end;
        ranges_.back().batch_end = batch_end_;
        return;
    }
    ranges_.push_back({.segment = active_, .begin = begin, .end = end, .batch_end = batch_end_});
}

bool Tail::end_segment() {
    ensure(!batch_open_, "a segment is ended between batches");
    if (active_ == nullptr || at_ == kSegmentHeaderBytes) return true;
    if (promised_.load(std::memory_order_relaxed) != 0 || supply_.ready().count == 0) return false;
    next_segment();
    dirty_.store(true, std::memory_order_relaxed);
    return true;
}

void Tail::next_segment() {
    const Lsn durable_lsn{durable.load(std::memory_order_relaxed)};
    if (active_ != nullptr) {
        close_frame(durable_lsn);
        active_->end = at_;
        // An empty range when the flusher has taken all of it already.
        add_range(at_, at_);
        ranges_.back().fills_segment = true;
    }
    active_ = supply_.take();
    ensure(active_ != nullptr, "room() was asked before");
    active_->base = lsn_;
    encode_segment_header({.store_id = start_.store_id,
                           .number = active_->number,
                           .timeline = start_.timeline,
                           .base = lsn_,
                           .bytes = active_->bytes,
                           .stale = active_->stale},
                          active_->image->data());
    at_ = kSegmentHeaderBytes;
}

}  // namespace firnlog::engine
