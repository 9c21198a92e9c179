#pragma once
// Walk: the job that writes the index down beside a running server, and says when that counts.
//
//   idle ──asked for, or due──> counting ──> relocating ──> keys ──> objects ──> ending
//                               what is      survivors out  image, page by page  synced
//                               in use       of dead files                         │
//               copying <── switch <── waiting <── reading <───────────────────────┘
//               the image   manifest   log durable read back
//                                      past hi
//
// One step() is a small piece of work: a few pages copied, each under its stripe's lock for as long
// as that takes, or one write, or one look at the log. Whatever fails on the way, the walk lets go
// of what it made and the store is as before; from the manifest's rename on the new checkpoint is
// what a start begins with. The two newest are kept, so that a damaged one costs time and nothing
// else. Until the next walk the older one holds on to the log since it was taken, and to all that
// was emptied meanwhile: where that is worth it, the new image is copied, read back as it was, and
// the copy takes the older one's place.
//
// When the disk is full a walk is what frees it. What it writes comes from the reserve then, no
// history is kept, and of the two checkpoints the older one goes as well, once the new one was read
// back. When there is little space left, history goes before it comes to that (WaterMarks).
//
// While somebody reads the past a switch lets nothing go. The walk of a full disk waits for that
// before its own, so that it does not spend the reserve for nothing; and says so (`held_up`), so
// that who reads for long is put out.
//
// A checkpoint is not a moment: its pages have stamps of their own, lo is the log's end when the
// walk began, hi the largest stamp. Stamps are ends of batches, so hi is one too. The catalog is
// taken last: a keyspace id that it does not name is gone for good.
//
// Between walks a key may be forgotten (Forgetter); each file that is written anew for that counts
// from a manifest of its own on.
//
// step() and what it touches belong to the worker thread; requests and status to any (`mutex_`).

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/census.hpp"
#include "engine/checkpoint_file.hpp"
#include "engine/forget.hpp"
#include "engine/format/manifest.hpp"
#include "engine/history.hpp"
#include "engine/index/image.hpp"
#include "engine/log/log.hpp"
#include "engine/log/supply.hpp"
#include "engine/now.hpp"
#include "engine/relocate.hpp"
#include "engine/reserve.hpp"
#include "io/clock.hpp"
#include "io/files.hpp"

namespace firnlog::engine {

enum class WalkPhase : std::uint8_t {
    idle,
    counting,
    relocating,
    keys,
    objects,
    ending,
    reading,
    waiting,
    copying
};
// For INFO and FIRN WALK STATUS.
[[nodiscard]] std::string_view name_of(WalkPhase phase);

// A checkpoint is due after so many seconds if so many records were written.
struct SaveRule {
    std::int64_t seconds = 0;
    std::int64_t changes = 0;
};

// Free space of the disk. Below `low` a walk cuts history back until `high` is free. 0: by what the
// store itself needs next, and twice that.
struct WaterMarks {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
};

struct WalkOptions {
    // Log since the last checkpoint that makes one due: it bounds what a start replays. 0: none.
    std::uint64_t log_bytes = std::uint64_t{256} << 20;
    // Of the worker's time at the most, while the walk is not in a hurry; less when writers feel it
    // (Pace).
    unsigned duty_percent = 50;
    // Of a packed segment.
    std::uint64_t packed_bytes = std::uint64_t{32} << 20;
    // No walk begins for the sake of garbage before so much log was written; 0: none does.
    std::uint64_t garbage_log_bytes = std::uint64_t{8} << 20;
    Window window;     // at the start
    WaterMarks marks;  // at the start
};

// What the walk works on.
struct WalkParts {
    io::Files& files;
    io::Clock& clock;
    const Now& now;
    Keyspace& keyspace;
    Segments& segments;
    Departed& departed;
    Departed::Retire retire;
    Supply& supply;
    Reserve& reserve;
    Log& log;
    Manifest& manifest;
};

class Walk {
  public:
    using Phase = WalkPhase;

    Walk(WalkParts parts, WalkOptions options);
    Walk(const Walk&) = delete;
    Walk& operator=(const Walk&) = delete;

    // ---- Worker thread.

    // One piece of work; false if there is none now.
    bool step();
    [[nodiscard]] bool busy() const { return phase_ != Phase::idle || forgetter_.busy(); }
    // Lets go of a walk that has not ended. The worker has stopped.
    void abandon();
    // Whether all files fit into the page cache, and so lie there.
    void cached(bool are) { cached_ = are; }
    // A checkpoint turned out to be damaged: the next one takes its place.
    void distrust(FileNumber checkpoint) { faulty_.push_back(checkpoint); }

    // ---- Any thread.

    enum class Asked : std::uint8_t {
        started,
        running,    // one is under way already
        scheduled,  // one is under way, another one follows
    };
    // A checkpoint of everything written so far. `schedule`: behind one that is under way.
    // `hurry`: somebody waits for it.
    struct Request {
        Asked asked = Asked::started;
        std::uint64_t walk = 0;  // which one does it: Status::begun of that walk
    };
    Request request(bool schedule, bool hurry);
    void pause(bool paused);
    void rules(std::vector<SaveRule> rules);
    // How far back the past is kept; the next checkpoint goes by it.
    void window(Window window);
    void water_marks(WaterMarks marks);
    // The log from here on is not in the archive yet, see Window.
    void unarchived(Lsn from) { unarchived_.store(from.value, std::memory_order_release); }
    // So much of what the past may take lies beside the log already, see Window.
    void beside(std::uint64_t bytes);
    // While somebody reads the past nothing of it goes. Counted. A disk that was short of space
    // meanwhile is helped at once when the last one has gone.
    void pin();
    void unpin();

    struct Status {
        Phase phase = Phase::idle;
        bool paused = false;
        bool asked = false;        // one is to begin
        bool hurry = false;        // and somebody waits for it
        std::uint64_t begun = 0;   // walks since the start
        std::uint64_t done = 0;    // those that came to their end
        std::uint64_t failed = 0;  // those that did not
        std::uint64_t failed_in_row = 0;
        std::optional<Error> error;  // of the last one
        std::int64_t began_us = 0;   // monotonic, of the one under way
        std::int64_t last_us = -1;   // how long the last good one took
        std::uint64_t keys = 0;      // imaged by the one under way
        std::uint64_t bytes = 0;     // written by it
        // Of what it moves; what was found that is.
        std::uint64_t moved_bytes = 0;
        std::uint64_t moving_bytes = 0;
        std::uint64_t bytes_a_second = 0;  // that it writes, or the last one wrote
        unsigned duty_percent = 0;         // of the worker's time that it may take now
        std::uint64_t bytes_all = 0;       // written by all
        std::uint64_t changes = 0;         // records since the newest checkpoint
        std::uint64_t log_bytes = 0;       // of log since then
        std::size_t checkpoints = 0;
        std::uint64_t checkpoint_bytes = 0;  // of all that are kept
        std::uint64_t image_bytes = 0;       // of the newest
        std::uint64_t copied = 0;            // images, since the start
        // The newest.
        Lsn lo;
        Lsn hi;
        std::int64_t taken_us = 0;
        // Of all files: what the newest leads to, what only the past needs, and the rest of them.
        std::uint64_t live_bytes = 0;
        std::uint64_t history_bytes = 0;
        Keepers keepers;  // for whom
        int pins = 0;     // that let nothing of it go
        std::uint64_t garbage_bytes = 0;
        std::uint64_t freed_bytes = 0;  // given back since the start
        Relocator::Counts relocated;    // since the start
        std::uint64_t packed_bytes = 0;
        std::size_t packed_files = 0;
        // The oldest moment that can be opened.
        Lsn oldest;
        std::int64_t oldest_us = 0;
        // Moments that outlive the window, the oldest first.
        struct Kept {
            Lsn lsn;
            std::int64_t taken_us = 0;
            std::uint64_t bytes = 0;  // of its image
        };
        std::vector<Kept> kept;
        Window window;
        // Of the disk.
        std::uint64_t free_bytes = 0;
        WaterMarks marks;                  // as they are, none of them 0
        bool full = false;                 // the next segment could not be made, or the last walk
        bool held_up = false;              // space is short, and pins keep what could go
        std::size_t bases = 0;             // that a start or a moment may begin with
        std::uint64_t emergencies = 0;     // walks that wrote into the reserve
        std::uint64_t cut_bytes = 0;       // of history, for the disk's sake, since the start
        std::uint64_t last_cut_bytes = 0;  // by the last walk
    };
    [[nodiscard]] Status status() const;

    // What a key was is taken out of all files; between walks, and paused with them. False: that is
    // being done for another one.
    bool forget(ForgetOrder order);
    // Soon, if it has not ended: what is done stays done.
    void stop_forgetting();
    struct Forgetting {
        enum class State : std::uint8_t { none, running, done, stopped, failed };
        State state = State::none;
        Forgotten told;
        std::optional<Error> error;
    };
    [[nodiscard]] Forgetting forgetting() const;

    // A walk ended; on the worker's thread. Set before the worker starts.
    std::function<void(bool good)> on_finished;

  private:
    void rest_since(io::MonoTime began);
    [[nodiscard]] bool due() const;
    [[nodiscard]] bool garbage_due(std::uint64_t log_bytes) const;
    [[nodiscard]] std::uint64_t dead_bytes_max() const;
    [[nodiscard]] bool pressed(std::uint64_t log_bytes) const;
    void watch_disk();
    void bound_supply();
    [[nodiscard]] bool is_full() const;
    [[nodiscard]] bool is_low() const;
    [[nodiscard]] bool is_short() const;
    void try_again_at_once();
    [[nodiscard]] bool emergency_due(std::int64_t now_us) const;
    [[nodiscard]] bool hope() const;
    [[nodiscard]] std::uint64_t keys() const;
    [[nodiscard]] std::uint64_t image_bytes_max() const;
    void begin();
    void begin_image();
    [[nodiscard]] bool counts() const;
    Result<bool> count();
    void choose_victims();
    void find_survivors();
    Result<bool> relocate();
    Result<bool> advance_or_fail();
    Result<bool> advance();
    Result<bool> take_pages();
    Result<bool> end_image();
    Result<bool> end_file(std::uint64_t keys);
    [[nodiscard]] Census::Use use_of(FileNumber file) const;
    Result<bool> read_back();
    Result<bool> wait_for_log();
    [[nodiscard]] bool waits_for_pins();
    void complete(Manifest& next);
    [[nodiscard]] std::vector<FileNumber> still_aside();
    [[nodiscard]] bool forgets_now() const;
    bool step_forgetting();
    Result<bool> forget_some();
    Result<void> make(const Exchange& exchange, Forgetter::Outcome& outcome);
    [[nodiscard]] Result<std::unique_ptr<Segment>> open_copy(const Segment& old,
                                                             const Exchange& exchange);
    void end_forgetting(Forgetting::State state, std::optional<Error> error);
    Result<void> switch_over(CheckpointEntry entry);
    [[nodiscard]] CheckpointEntry entry() const;
    [[nodiscard]] bool copy_is_worth_it() const;
    Result<bool> begin_copy();
    Result<bool> copy();
    [[nodiscard]] std::vector<FullFile> full_files() const;
    [[nodiscard]] std::uint64_t kept_bytes(Manifest manifest, const std::vector<FullFile>& files,
                                           std::int64_t now_us) const;
    void judge_emergency(std::int64_t now_us, bool failed);
    void reclaim();
    bool remove_file(FileNumber number);
    void measure();
    void size_reserve(const std::vector<FullFile>& files);
    Result<void> add(BlobEntry what, const PageImage& page);
    void finish(std::optional<Error> error);
    void publish();

    // For the manifest and what a file system needs for names: of the reserve it is lent first.
    static constexpr std::uint64_t kReserveSlack = std::uint64_t{256} << 10;

    io::Files& files_;
    io::Clock& clock_;
    const Now& now_;
    Keyspace& keyspace_;
    Segments& segments_;
    Departed& departed_;
    const Departed::Retire retire_;
    Supply& supply_;
    Reserve& reserve_;
    Log& log_;
    Manifest& manifest_;
    const WalkOptions options_;
    const Lsn started_at_;  // the log

    // Worker only.
    Phase phase_ = Phase::idle;
    Census census_;
    std::vector<FileNumber> victims_;  // of which the survivors are not told of yet, the last first
    Relocator relocator_;
    IndexPass pass_;
    Forgetter forgetter_;
    bool forgets_next_ = false;  // before another walk begins
    CheckpointWriter writer_;
    std::unique_ptr<CheckpointReader> reader_;
    std::size_t next_blob_ = 0;
    bool copies_ = false;  // the image counts already, and is copied
    Lsn lo_;
    Lsn hi_;
    std::uint64_t records_at_lo_ = 0;
    std::vector<std::uint64_t> named_bytes_;  // by file number: what addresses of the image lead to
    io::MonoTime next_;                       // not before
    io::MonoTime began_;
    bool hurry_ = false;
    bool unasked_ = false;         // the walk under way began by itself
    bool pinned_ = false;          // nothing went at its switch
    std::int64_t waiting_us_ = 0;  // when it began to wait for pins, if it did
    bool cached_ = false;
    bool thorough_ = false;          // somebody asked for it, or the disk is full
    bool emergency_ = false;         // of the walk under way: the disk is full
    bool met_full_disk_ = false;     // the last walk failed for lack of space
    unsigned fruitless_ = 0;         // emergencies in a row that freed nothing
    std::int64_t emergency_us_ = 0;  // the next one begins not before
    bool has_victims_ = false;       // the newest checkpoint tells of files that are mostly dead,
    bool had_victims_ = false;       // and as the walk under way began
    std::uint64_t reserve_segment_bytes_ = 0;
    std::int64_t cut_us_ = 0;              // the water mark asks for none before
    std::uint64_t log_between_walks_ = 0;  // bytes, from the last but one to the last
    std::uint64_t freed_at_begin_ = 0;
    std::uint64_t written_at_begin_ = 0;
    std::uint64_t moving_bytes_ = 0;
    unsigned duty_ = 0;
    Window window_now_;  // of the walk under way
    io::MonoTime look_at_disk_;
    // Files that nothing needs and that are there still: made by a walk whose switch failed, so
    // that the manifest on disk may name them, or not removed yet. The next switch retires them.
    std::vector<FileNumber> limbo_;
    std::vector<FileNumber> faulty_;  // checkpoints

    std::atomic<std::uint64_t> unarchived_{std::numeric_limits<std::uint64_t>::max()};

    mutable std::mutex mutex_;
    Status status_;
    std::optional<ForgetOrder> forget_;  // not begun
    bool stop_forgetting_ = false;
    Forgetting forgetting_;
    bool asked_ = false;
    bool asked_hurry_ = false;
    bool paused_ = false;
    std::vector<SaveRule> rules_;
    Window window_;
    WaterMarks marks_;
    int pins_ = 0;
    std::uint64_t records_at_checkpoint_ = 0;
    std::int64_t checkpoint_mono_us_ = 0;
    std::int64_t retry_us_ = 0;  // no walk begins by itself before
};

}  // namespace firnlog::engine
