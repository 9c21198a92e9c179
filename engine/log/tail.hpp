#pragma once
// Tail: the append side of the log. Batches of records are encoded straight into the memory of the
// active segment, framed, and cut into ranges for the flusher to write.
//
//   image    | header | frame | frame | records of the open frame …            |
//   ranges_           [ begin ……………… end )  [ begin … end )         at_
//
// A batch is open from open_batch() to close_batch(), and the tail's lock is held all that time, so
// a batch is contiguous and whatever is closed by the flusher ends with a whole batch, unless it is
// cut by the end of a segment. A record is completed (checksummed) only when it is known whether it
// is its batch's last: one record is always pending.
//
// Everything here is guarded by `lock`, but the bytes of ranges handed out, which never change.

#include <deque>
#include <functional>
#include <optional>

#include "engine/address.hpp"
#include "engine/format/frame.hpp"
#include "engine/format/record.hpp"
#include "engine/format/segment.hpp"
#include "engine/lock.hpp"
#include "engine/log/segments.hpp"
#include "engine/log/supply.hpp"
#include "io/clock.hpp"

namespace firnlog::engine {

// Who the store is and where its log goes on.
struct LogStart {
    StoreId store_id{};
    Timeline timeline = 1;
    Lsn next;                  // of the first frame
    std::int64_t high_us = 0;  // no frame is older than this
};

struct Appended {
    Address address;
    Lsn lsn;
};

// Closed frames of one segment, contiguous, ready to be written.
struct Range {
    Segment* segment = nullptr;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    Lsn batch_end;               // end of the last whole batch in or before it
    bool fills_segment = false;  // nothing of this segment follows
};

enum class Room : std::uint8_t {
    enough,
    later,     // a segment is being made, or space freed: try again when Supply says on_change
    no_space,  // the next segment cannot be made, and what is left is kept for deletions
};

class Tail {
  public:
    Tail(io::Clock& clock, Supply& supply, LogStart start);

    TinyLock lock;

    // Whether records of `bytes` in all (frames and waste are added here) fit into what is ready.
    // What shrinks the store may use what is kept for that when no more can be made.
    [[nodiscard]] Room room(std::size_t bytes, bool shrinks);
    // Of the room that was found so much is kept from all others, for records of a batch to come.
    void promise(std::size_t bytes) { promised_.fetch_add(bytes, std::memory_order_relaxed); }
    // It is used, or not wanted any more. Without the lock too: others see it late.
    void release(std::size_t bytes) { promised_.fetch_sub(bytes, std::memory_order_relaxed); }

    // ---- Between open_batch and close_batch; room() was enough for all of it.
    void open_batch();
    Appended append(const Record& record);
    // The lsn from which an Oid is made: unique, because a record of its object follows in the
    // batch.
    [[nodiscard]] Lsn here() const { return lsn_; }
    // Returns the batch's end. A batch without records is none.
    Lsn close_batch();

    // ---- No batch is open.

    // Closes the open frame, and an empty one that vouches for `durable` if `vouch`.
    void close_frame(Lsn durable, bool vouch = false);
    // What was appended so far lies in segments to which nothing more is appended. False: no other
    // one is ready, or what is left of this one was promised to somebody.
    [[nodiscard]] bool end_segment();
    // Closed and not taken yet; the oldest.
    [[nodiscard]] const Range* front() const {
        return ranges_.empty() ? nullptr : &ranges_.front();
    }
    void pop();

    [[nodiscard]] Lsn end() const { return lsn_; }  // behind the last record or header
    // End of the last whole batch; any thread may read it.
    [[nodiscard]] Lsn batch_end() const {
        return {batch_end_shared_.load(std::memory_order_acquire)};
    }
    // Records of whole batches since the start; any thread may read it.
    [[nodiscard]] std::uint64_t records() const {
        return records_shared_.load(std::memory_order_relaxed);
    }
    // Bytes appended and not handed to the flusher; any thread may read it.
    [[nodiscard]] bool dirty() const { return dirty_.load(std::memory_order_relaxed); }
    [[nodiscard]] bool unvouched() const { return unvouched_; }
    [[nodiscard]] Timeline timeline() const { return start_.timeline; }
    [[nodiscard]] std::int64_t last_commit_us() const { return commit_us_; }

    // Set by Log: what frame headers vouch for.
    std::atomic<std::uint64_t> durable{0};

  private:
    void complete_pending(bool last);
    void open_frame();
    void next_segment();
    void add_range(std::uint64_t begin, std::uint64_t end);
    [[nodiscard]] std::uint64_t left() const;
    void clear_dirty();

    io::Clock& clock_;
    Supply& supply_;
    const LogStart start_;
    const RecordSeed record_seed_;
    const FrameSeed frame_seed_;

    Segment* active_ = nullptr;
    std::uint64_t at_ = 0;  // offset in the active segment
    Lsn lsn_;               // of that place

    std::uint64_t frame_at_ = 0;  // offset of the open frame's header, 0: none is open
    std::uint32_t frame_count_ = 0;
    std::uint32_t frame_crc_ = 0;
    Lsn frame_batch_;

    std::uint64_t pending_at_ = 0;
    std::size_t pending_bytes_ = 0;  // 0: none

    std::atomic<std::size_t> promised_{0};
    bool batch_open_ = false;
    Lsn batch_begin_;                              // of the open batch's first record; 0 before it
    Lsn batch_end_;                                // of the last whole batch
    std::atomic<std::uint64_t> batch_end_shared_;  // the same, for any thread

    std::uint64_t records_ = 0;
    std::atomic<std::uint64_t> records_shared_{0};

    std::deque<Range> ranges_;
    std::int64_t commit_us_ = 0;
    bool unvouched_ = false;
    std::atomic<bool> dirty_{false};
};

}  // namespace firnlog::engine
