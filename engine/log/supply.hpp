#pragma once
// Supply: the slow half of the log. It makes segments ready before they are needed and seals the
// full ones; everything here blocks, so it runs on the worker thread (or as a step of the
// simulation).
//
// Never grow a file on the durable path: a commit into a file that grows, or into unwritten
// extents, costs a journal commit, twice the latency. So the next segment is made of a file that
// was one (Spares); or created, filled with zeros, synced; and its name made durable, ahead of
// need. A log that goes out in large pieces and is seldom synced gains less by zeros than they
// cost, as much again as the log itself: there its room is allocated and no more (`in_bulk`).
//
//   work():  one piece of   making the next segment, if fewer than `ready` lie waiting
//                           sealing a full one: bring its map into memory, send readers there
//                     blocks of files that go (Remover)
//
// Both move as many bytes as the log itself, on the same disk. In one go they would hold up the
// log's own writes, and its syncs, for as long as 64 MiB take; so they go piece by piece, in step
// with what the log writes, unless somebody waits for room (`in_step`), or full segments wait in
// memory (`behind`).
//
// A failure to make a segment is remembered and tried again after a pause; the log goes on with
// what it has and refuses growth when that ends (-NOSPACE). For deletions other segments are kept,
// which growth never gets: they free what a walk then gives back. Growth waits, and is not refused,
// while there is hope of that. The fuller the disk, the smaller are the segments, and none is made
// of the space that others are to have (`spoken_for`).
//
// Thread-safe: `mutex_` guards the queues, and is never held while a file is touched.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/format/segment.hpp"
#include "engine/log/segments.hpp"
#include "engine/log/spares.hpp"
#include "io/clock.hpp"
#include "io/files.hpp"

namespace firnlog::engine {

struct SupplyOptions {
    std::uint64_t bytes_first = std::uint64_t{4} << 20;
    std::uint64_t bytes_max = std::uint64_t{64} << 20;
    std::size_t ready = 2;                                 // segments kept waiting
    std::uint64_t kept_bytes = std::uint64_t{8} << 20;     // of those for deletions, at least
    bool direct = true;                                    // O_DIRECT where the file system has it
    std::uint64_t piece_bytes = std::uint64_t{256} << 10;  // of zeros, and of a map
};

class Supply {
  public:
    // `retire` runs its argument once no reader can hold a pointer it could have had before the
    // call.
    using Retire = std::function<void(std::function<void()>)>;

    // What it is told of the log it is to make segments for.
    struct Of {
        StoreId store_id{};
        FileNumber next_file = 1;
    };
    Supply(io::Files& files, io::Clock& clock, Segments& segments, Of log, SupplyOptions options,
           Retire retire);
    ~Supply();
    Supply(const Supply&) = delete;
    Supply& operator=(const Supply&) = delete;

    // One piece of slow work; false if there was none to do. Worker thread only.
    bool work();
    // More full segments wait in memory than should.
    [[nodiscard]] bool behind() const;
    // Worker thread: sleeps until there may be work, or `us_max` has passed.
    void wait(std::int64_t us_max);
    void stop_waiting();
    // Lets go of what is half done. The worker has stopped.
    void abandon();

    // A number for a file of another kind. Worker thread only.
    [[nodiscard]] Result<FileNumber> give_number();

    // Of the next segment; and of the smallest. Worker thread only.
    [[nodiscard]] std::uint64_t next_bytes() const { return next_bytes_; }
    [[nodiscard]] std::uint64_t least_bytes() const { return options_.bytes_first; }
    // So much of what is free on the disk is somebody else's. Worker thread only.
    void spoken_for(std::uint64_t bytes) { spoken_for_ = bytes; }
    // No segment that is made from here on is larger, as far as the options allow. Worker thread
    // only.
    void segment_bytes_max(std::uint64_t bytes);
    // Segments that nothing needs any more, for others to be made of: at most so many bytes of
    // them. Worker thread only.
    void spare_bytes_max(std::uint64_t bytes);
    // All of them go, and what is going is gone: space is short. False: there was nothing. Worker
    // thread only.
    bool give_spares_up();
    // Whether a log file of that size would be kept for it.
    [[nodiscard]] bool takes_spare(std::uint64_t bytes) const;
    // Takes its file, which has nothing of the log from `end` on, out of the log; false: it is not
    // wanted.
    bool spare(const Segment& segment, Lsn end);
    // What is kept for deletions should be so much. Worker thread only.
    void keep(std::uint64_t bytes);
    [[nodiscard]] std::uint64_t missing_kept() const;
    // Whether space may come back by itself. Worker thread only.
    void hope(bool is);
    // Files have gone: it is tried at once, and nobody is refused before that. Worker thread only.
    void look_again();

    // The log has handed this many bytes to the disk in one write; it syncs them. Any thread.
    void wrote(std::uint64_t bytes) {
        wrote_.fetch_add(bytes, std::memory_order_relaxed);
        writes_.fetch_add(1, std::memory_order_relaxed);
    }
    void syncs() { syncs_.fetch_add(1, std::memory_order_relaxed); }

    // ---- Called under the tail's lock.

    // A ready segment; if there is none, one kept for deletions, or null.
    [[nodiscard]] Segment* take();
    // Somebody waits until this many bytes are ready.
    void want(std::uint64_t bytes);
    // A full segment, every byte of which is written, will be mapped.
    void seal(Segment& segment);
    // It is to be mapped, or that is being done. Worker thread only.
    [[nodiscard]] bool is_sealing(const Segment& segment) const;
    // What lies ready.
    struct Ready {
        std::uint64_t bytes = 0;  // of all of them, without headers
        std::size_t count = 0;
        std::uint64_t kept_bytes = 0;  // the same of those kept for deletions
        std::size_t kept = 0;
        bool failing = false;  // no further one can be made at present,
        bool hopeful = false;  // but perhaps before long
    };
    [[nodiscard]] Ready ready() const;

    // ---- Told to an operator.
    [[nodiscard]] std::optional<Error> failure() const;
    struct Made {
        std::uint64_t zeroed_bytes = 0;
        std::uint64_t recycled = 0;  // segments made of spares
        std::uint64_t recycled_bytes = 0;
        std::uint64_t spare_bytes = 0;  // lying there now
    };
    [[nodiscard]] Made made() const;
    [[nodiscard]] FileNumber next_file() const {
        return next_file_.load(std::memory_order_relaxed);
    }
    // Files that can be made still: a number is used once (docs/format.md).
    [[nodiscard]] std::uint32_t numbers_left() const { return kFileNumberMax + 1 - next_file(); }

    // Files that the store has no use of any more; work() does its pieces. Worker thread only.
    Remover remover;

    // Whenever a segment was made, or could not be: somebody may wait for room. Any thread.
    std::function<void()> on_change;
    // It lies in the page cache now. On the worker thread; set before that starts.
    std::function<void(const Segment&)> on_sealed;

  private:
    // A segment that is being made, or whose map is being loaded: how far.
    struct Making {
        FileNumber number = 0;
        std::uint64_t bytes = 0;
        bool kept = false;
        std::string name;
        int fd = -1;
        std::unique_ptr<Image> image;
        std::uint64_t done = 0;
        Lsn stale;  // of a spare
        bool bare = false;
    };
    struct Sealing {
        Segment* segment = nullptr;
        std::unique_ptr<io::Mapping> map;
        std::uint64_t done = 0;
    };

    enum class Wanted : std::uint8_t { nothing, ready, kept };
    [[nodiscard]] Wanted wanted() const;  // under mutex_
    [[nodiscard]] Result<std::uint64_t> fitting() const;
    [[nodiscard]] std::uint64_t kept_segment_bytes() const;
    [[nodiscard]] bool growth_first() const;
    [[nodiscard]] bool in_step();
    [[nodiscard]] bool in_bulk();
    Result<void> begin_making(Wanted what);
    Result<bool> begin_recycling(Making& making);
    Result<void> make_piece();
    void fill_up(const Segment& segment);
    Result<void> finish_making();
    void abandon_making();
    void settle(const Result<void>& result, Wanted what);
    void begin_sealing(Segment& segment);
    void seal_piece();
    void finish_sealing();
    std::unique_ptr<Image> image_of(std::uint64_t bytes);

    io::Files& files_;
    io::Clock& clock_;
    Segments& segments_;
    const StoreId store_id_;
    const SupplyOptions options_;
    const Retire retire_;

    std::atomic<FileNumber> next_file_;  // written by the worker thread only

    // Worker thread only.
    std::uint64_t next_bytes_;
    std::uint64_t bytes_max_;
    std::uint64_t spoken_for_ = 0;
    bool kept_first_ = false;  // one for growth was tried and could not be made
    Spares spares_;
    std::optional<Making> making_;
    std::optional<Sealing> sealing_;
    std::uint64_t wrote_seen_ = 0;
    std::uint64_t credit_ = 0;  // bytes that may be moved now
    io::MonoTime last_piece_;
    bool seals_next_ = false;  // of two that are due
    // What the log had done when it was last judged, and what came of that.
    struct Flow {
        std::uint64_t bytes = 0;
        std::uint64_t writes = 0;
        std::uint64_t syncs = 0;
    };
    Flow judged_;
    bool in_bulk_ = false;

    std::atomic<std::uint64_t> wrote_{0};
    std::atomic<std::uint64_t> writes_{0};
    std::atomic<std::uint64_t> syncs_{0};

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;
    std::deque<Segment*> ready_;
    std::uint64_t ready_bytes_ = 0;  // of ready_, without headers
    std::uint64_t wanted_bytes_ = 0;
    std::deque<Segment*> kept_;
    std::uint64_t kept_bytes_ = 0;  // of kept_, with headers
    std::uint64_t kept_wanted_ = 0;
    bool hopeful_ = true;
    bool untried_ = false;  // since files have gone
    std::deque<Segment*> full_;
    std::vector<std::unique_ptr<Image>> spare_;
    std::optional<Error> failure_;
    Wanted failed_ = Wanted::nothing;  // to make what
    io::MonoTime retry_at_;
    Made made_;
};

}  // namespace firnlog::engine
