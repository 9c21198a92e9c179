#pragma once
// Log: how far the tail is written, and how far it is durable; and who makes it so.
//
//   append (Tail) ──> closed frame ──write──> written ──fdatasync──> durable
//                                              │                       │
//                              gates of everysec and no        gates of always
//
// Each reactor has a Flusher on its own ring; at most one write and one fdatasync of all of them
// are in flight. A write whose bytes somebody waits for durably is synced with them (RWF_DSYNC: one
// operation, one turn of the ring), where nothing older is unsynced; else an fdatasync follows, and
// that covers only writes that had *completed* when it started. A segment is synced before
// anything in a later one counts as durable.
//
// Everything is fail-stop: after the first failed or short write or sync no lsn advances any more
// in this process, and nothing is tried again, because after a failed fdatasync the page cache
// lies.
//
// written() and durable() only ever stand at the end of a batch: whoever sees a record below
// durable() may rely on its whole batch.
//
// Shared by all reactors. The lsns are atomics, release on advance, acquire on read; the slots are
// taken by exchange; the list of unsynced segments is guarded by the tail's lock, and that of
// flushers by a mutex of its own.

#include <algorithm>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/log/tail.hpp"
#include "engine/pace.hpp"
#include "io/io.hpp"

namespace firnlog::engine {

enum class Durability : std::uint8_t { always, everysec, no };

class Flusher;

class Log {
  public:
    Log(io::Clock& clock, Supply& supply, LogStart start);

    Tail tail;
    // Of its writes; who works beside it goes by that.
    Pace pace;

    [[nodiscard]] Lsn written() const { return {written_.load(std::memory_order_acquire)}; }
    [[nodiscard]] Lsn durable() const { return {durable_.load(std::memory_order_acquire)}; }
    // Where the log ends, for who asks: never before written(), which an empty frame behind the
    // last batch may have taken further.
    [[nodiscard]] Lsn end() const {
        const auto so_far = written();
        return std::max(so_far, tail.batch_end());
    }
    // errno of the failure that closed the log for writing, or 0.
    [[nodiscard]] int failed() const { return failed_.load(std::memory_order_acquire); }

    // Somebody waits until everything before `lsn` is durable. The next turn's flush will see to
    // it.
    void want_durable(Lsn lsn);

    // May a reply be sent whose gate is `lsn`? In everysec also not while the oldest unsynced write
    // is two seconds old: loss stays bounded by back-pressure.
    [[nodiscard]] bool open(Lsn lsn, Durability policy) const;

    // How old the oldest completed but unsynced write is, in microseconds; 0 if there is none.
    [[nodiscard]] std::int64_t unsynced_us() const;

    struct Counts {
        std::uint64_t flushes = 0;
        std::uint64_t syncs = 0;
        std::uint64_t bytes = 0;  // handed to the disk, whole blocks
    };
    [[nodiscard]] Counts counts() const;

  private:
    friend class Flusher;

    // A segment with completed writes that no completed sync has covered.
    struct Unsynced {
        Segment* segment = nullptr;
        Lsn batch_end;
        std::int64_t since_us = 0;  // when the oldest of them completed
        // The first that completed since the sync in flight began, which does not cover it; 0:
        // none.
        std::int64_t uncovered_since_us = 0;
    };

    void advance_written(Lsn lsn);
    void advance_durable(Lsn lsn);
    void fail_with(int error);
    void tell_all(Flusher* from);

    io::Clock& clock_;
    Supply& supply_;

    std::atomic<std::uint64_t> written_;
    std::atomic<std::uint64_t> durable_;
    std::atomic<std::uint64_t> wanted_{0};
    std::atomic<int> failed_{0};
    std::atomic<bool> writing_{false};
    std::atomic<bool> syncing_{false};
    std::atomic<std::int64_t> unsynced_since_us_{0};  // monotonic; 0: everything is synced
    std::atomic<std::uint64_t> flushes_{0};
    std::atomic<std::uint64_t> syncs_{0};
    std::atomic<std::uint64_t> bytes_{0};

    std::deque<Unsynced> unsynced_;  // guarded by tail.lock

    // Whom it tells makes a system call: not under a lock that writers wait for.
    std::mutex flushers_mutex_;
    std::vector<Flusher*> flushers_;
};

// One reactor's hand on the log. All calls on the reactor's thread.
class Flusher {
  public:
    // `advanced` is run on this reactor when an lsn moved, or the log failed.
    Flusher(Log& log, io::Io& io, std::function<void()> advanced);
    ~Flusher();
    Flusher(const Flusher&) = delete;
    Flusher& operator=(const Flusher&) = delete;

    // At the end of a turn: starts the write and the sync that are due, if nobody has one in
    // flight. `sync_age_us`: an unsynced write this old is synced though nobody waits (everysec),
    // or never.
    void kick(std::optional<std::int64_t> sync_age_us);
    // Writes an empty frame that vouches for what is durable, if the last one does not.
    void vouch();

    // Nothing of this reactor's is in flight. One that ends turns until then: the log waits for it.
    [[nodiscard]] bool idle() const { return in_flight_ == 0; }

    // Tells the log that this reactor has waiting gates (so that others wake it).
    void waiting(bool waits) { waiting_.store(waits, std::memory_order_seq_cst); }

  private:
    friend class Log;
    struct Op : io::Completion {
        Flusher* owner = nullptr;
    };

    void start_write();
    void start_sync();
    void write_done(int result);
    void sync_done(int result);

    Log& log_;
    io::Io& io_;
    const std::function<void()> advanced_;

    int in_flight_ = 0;
    Op write_;
    Op sync_;
    Op told_;
    std::atomic<bool> told_pending_{false};
    std::atomic<bool> waiting_{false};

    // Of the write in flight.
    Range range_;
    io::MonoTime began_;
    bool write_syncs_ = false;
    std::span<const std::byte> pieces_[2];
    std::unique_ptr<std::byte[], void (*)(void*)> block_;  // the shared last block, copied
    // Of the sync in flight.
    Log::Unsynced syncing_;
};

}  // namespace firnlog::engine
