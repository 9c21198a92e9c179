#include "engine/walk.hpp"

#include <algorithm>
#include <utility>

#include "io/base/mutant.hpp"

namespace firnlog::engine {
namespace {

// As Redis waits after a save that failed.
constexpr std::int64_t kRetryUs = 5'000'000;
// Of what is live so much log is written between two walks at least.
constexpr std::uint64_t kLogPart = 4;
// What is dead weighs against so many images: walks that come later write fewer of them.
constexpr std::uint64_t kImagesWorth = 8;

}  // namespace

std::string_view name_of(WalkPhase phase) {
    switch (phase) {
        case WalkPhase::idle:
            return "idle";
        case WalkPhase::counting:
            return "counting";
        case WalkPhase::relocating:
            return "relocating";
        case WalkPhase::keys:
            return "keys";
        case WalkPhase::objects:
            return "objects";
        case WalkPhase::ending:
            return "ending";
        case WalkPhase::reading:
            return "reading";
        case WalkPhase::waiting:
            return "waiting";
        case WalkPhase::copying:
            return "copying";
    }
    return "";
}

Walk::Walk(WalkParts parts, WalkOptions options)
    : files_(parts.files),
      clock_(parts.clock),
      now_(parts.now),
      keyspace_(parts.keyspace),
      segments_(parts.segments),
      departed_(parts.departed),
      retire_(std::move(parts.retire)),
      supply_(parts.supply),
      reserve_(parts.reserve),
      log_(parts.log),
      manifest_(parts.manifest),
      options_(std::move(options)),
      started_at_(parts.log.tail.batch_end()),
      census_(parts.keyspace, parts.log.tail),
      relocator_(parts.files, parts.keyspace, parts.segments, parts.supply, parts.reserve,
                 parts.manifest.store_id, options_.packed_bytes),
      pass_(parts.keyspace, parts.log.tail, PageTaker::What::pages),
      forgetter_(parts.files, parts.keyspace, parts.segments, parts.supply, parts.log.tail,
                 parts.manifest),
      writer_(parts.files, parts.manifest.store_id),
      window_(options_.window),
      marks_(options_.marks),
      checkpoint_mono_us_(parts.clock.mono().us) {
    measure();
    publish();
}

Walk::Request Walk::request(bool schedule, bool hurry) {
    const std::lock_guard guard(mutex_);
    const auto next = status_.begun + 1;
    if (status_.phase == Phase::idle && !asked_) {
        asked_ = true;
        asked_hurry_ = hurry;
        return {.asked = Asked::started, .walk = next};
    }
    if (!schedule) return {.asked = Asked::running, .walk = status_.begun};
    asked_ = true;
    asked_hurry_ = asked_hurry_ || hurry;
    return {.asked = Asked::scheduled, .walk = next};
}

void Walk::pause(bool paused) {
    const std::lock_guard guard(mutex_);
    paused_ = paused;
}

void Walk::rules(std::vector<SaveRule> rules) {
    const std::lock_guard guard(mutex_);
    rules_ = std::move(rules);
}

void Walk::window(Window window) {
    const std::lock_guard guard(mutex_);
    window.beside_bytes = window_.beside_bytes;
    window_ = std::move(window);
}

void Walk::beside(std::uint64_t bytes) {
    const std::lock_guard guard(mutex_);
    window_.beside_bytes = bytes;
}

void Walk::water_marks(WaterMarks marks) {
    const std::lock_guard guard(mutex_);
    marks_ = marks;
}

void Walk::pin() {
    const std::lock_guard guard(mutex_);
    ++pins_;
}

void Walk::unpin() {
    const std::lock_guard guard(mutex_);
    ensure(pins_ > 0, "what is unpinned was pinned");
    if (--pins_ != 0 || !status_.held_up) return;
    status_.held_up = false;
    try_again_at_once();
}

Walk::Status Walk::status() const {
    const std::lock_guard guard(mutex_);
    auto status = status_;
    status.paused = paused_;
    status.asked = asked_;
    status.hurry = asked_hurry_;
    status.window = window_;
    status.pins = pins_;
    status.changes = log_.tail.records() - records_at_checkpoint_;
    status.log_bytes = log_.tail.batch_end() - std::min(status.hi, log_.tail.batch_end());
    return status;
}

// Under mutex_.
bool Walk::due() const {
    if (asked_) return true;
    const auto now_us = clock_.mono().us;
    if (now_us < retry_us_) return false;
    if (is_full()) return emergency_due(now_us);
    if (supply_.failure()) return false;
    // After an emergency there is one base: a second one, as soon as the disk has room for it.
    if (status_.bases < kBasesMin && status_.checkpoints != 0) return true;
    if (is_low() && status_.history_bytes != 0 && window_.keeps_any() && !status_.held_up &&
        now_us >= cut_us_)
        return true;
    const auto tail = log_.tail.batch_end();
    const auto log_bytes = tail > status_.hi ? tail - status_.hi : 0;
    if (options_.log_bytes != 0 && log_bytes >= options_.log_bytes) return true;
    if (garbage_due(log_bytes)) return true;
    const auto changes = log_.tail.records() - records_at_checkpoint_;
    const auto asks = [&](const SaveRule& rule) {
        return now_us - checkpoint_mono_us_ >= rule.seconds * 1'000'000 &&
               changes >= static_cast<std::uint64_t>(std::max<std::int64_t>(rule.changes, 1));
    };
    // A moment can be kept if there is one.
    const auto kept_s = shortest_s(window_.keep);
    return std::ranges::any_of(rules_, asks) || (kept_s != 0 && asks({.seconds = kept_s}));
}

// As much is dead as is live, and some more, for an image is written, and copied, each time; or the
// past is beyond its bound. What was written since the last walk may be either. A walk costs at
// least so much of writing; less of it when the disk fills faster than it is given back.
bool Walk::garbage_due(std::uint64_t log_bytes) const {
    if (options_.garbage_log_bytes == 0 || options_.log_bytes == 0) return false;
    if (log_bytes < options_.garbage_log_bytes) return false;
    if (window_.retain_s == 0)
        return log_bytes >= status_.live_bytes / kLogPart &&
               status_.garbage_bytes + log_bytes >= dead_bytes_max();
    return log_bytes >= status_.live_bytes / 2 &&
           status_.history_bytes + log_bytes >= window_.bytes_max(status_.live_bytes);
}

// Under mutex_.
std::uint64_t Walk::dead_bytes_max() const {
    return status_.live_bytes + kImagesWorth * status_.image_bytes;
}

// A good deal more is dead than a walk begins for: what is written meanwhile must not outrun it,
// which asks again as it goes.
bool Walk::pressed(std::uint64_t log_bytes) const {
    return window_.retain_s == 0 && options_.garbage_log_bytes != 0 &&
           log_bytes >= options_.garbage_log_bytes &&
           status_.garbage_bytes + log_bytes >= dead_bytes_max();
}

bool Walk::step() {
    bool impossible = false;
    watch_disk();
    duty_ = log_.pace.duty(clock_.mono(), busy(), std::clamp(options_.duty_percent, 1U, 100U));
    bool hopeful = false;
    {
        const std::lock_guard guard(mutex_);
        hopeful = hope();
        if (!is_full()) fruitless_ = 0;
        if (!is_full() && !is_low()) status_.held_up = false;
        status_.full = is_full();
    }
    supply_.hope(hopeful);
    bool forgets = false;
    {
        const std::lock_guard guard(mutex_);
        if (paused_) return false;
        forgets = forgets_now();
        if (phase_ == Phase::idle && !forgets) {
            // One that was asked for as the log failed, or while a part of the index is beyond
            // repair, begins all the same, to fail aloud.
            if (log_.failed() != 0 && !asked_) return false;
            // Files may go when it ends, and what is not there leads into some of them.
            if (!due()) return false;
            impossible = asked_ && keyspace_.waiting() == 0 && keyspace_.beyond_repair();
            if (!keyspace_.whole() && !impossible) return false;
            const auto tail = log_.tail.batch_end();
            hurry_ = asked_hurry_ || is_full() || pressed(tail - std::min(status_.hi, tail));
            unasked_ = !asked_;
            thorough_ = asked_ || is_full();
            asked_ = false;
            asked_hurry_ = false;
            // Told of in the same breath: whoever asks sees it asked for, or under way.
            ++status_.begun;
            status_.phase = Phase::relocating;
        }
    }
    if (forgets) return step_forgetting();
    const auto now = clock_.mono();
    if (impossible) {
        finish(Error{.code = Code::damaged, .doing = "image the index: a page of it is lost"});
        return true;
    }
    if (phase_ == Phase::idle) {
        begin();
        return true;
    }
    {
        const std::lock_guard guard(mutex_);
        const auto tail = log_.tail.batch_end();
        hurry_ = hurry_ || pressed(tail - std::min(status_.hi, tail));
    }
    if (now < next_ && !hurry_) return false;
    const auto done = advance_or_fail();
    if (!done) {
        finish(done.error());
        return true;
    }
    rest_since(now);
    publish();
    return *done;
}

// Behind a piece of work that began then.
void Walk::rest_since(io::MonoTime began) {
    const auto now = clock_.mono();
    next_ = now.after((now.us - began.us) * (100 - duty_) / duty_);
}

void Walk::begin() {
    began_ = clock_.mono();
    manifest_.adopted = still_aside();
    Window window;
    {
        const std::lock_guard guard(mutex_);
        status_.keys = 0;
        status_.bytes = 0;
        status_.began_us = began_.us;
        window = window_;
        freed_at_begin_ = status_.freed_bytes;
        // Below the mark, so much of history goes that the other one is reached.
        if (is_low()) {
            const auto lacks = status_.marks.high - status_.free_bytes;
            window.room_bytes = status_.history_bytes - std::min(status_.history_bytes, lacks);
        }
        emergency_ = is_full();
        had_victims_ = has_victims_;
        pinned_ = false;
        waiting_us_ = 0;
        status_.last_cut_bytes = 0;
        if (emergency_) ++status_.emergencies;
    }
    if (emergency_) window = {.retain_s = 0, .retain_bytes = 0};
    bound_supply();
    // What is left of the spares was not needed since the last walk.
    if (!emergency_ && status_.free_bytes >= status_.marks.low)
        supply_.spare_bytes_max(status_.live_bytes / kLogPart);
    window_now_ = window;
    written_at_begin_ = relocator_.counts().written_bytes;
    moving_bytes_ = 0;
    std::optional<std::uint64_t> lent_max;
    if (emergency_) {
        (void)reserve_.lend(kReserveSlack);
        const auto image = image_bytes_max();
        lent_max = reserve_.bytes() - std::min(reserve_.bytes(), image);
    }
    relocator_.begin(cached_ ? RecordScan::From::cache : RecordScan::From::disk, lent_max);
    victims_.clear();
    phase_ = Phase::relocating;
    if (counts()) {
        census_.count();
        phase_ = Phase::counting;
    }
    publish();
}

// A walk that finds no memory is one that failed: the next may have more.
Result<bool> Walk::advance_or_fail() {
    try {
        return advance();
    } catch (const std::bad_alloc&) {
        return fail_errno("walk", ENOMEM);
    }
}

Result<bool> Walk::advance() {
    if (log_.failed() != 0)
        return fail(
            Error{.error = log_.failed(), .doing = "take a checkpoint: the log has failed"});
    switch (phase_) {
        case Phase::counting:
            return count();
        case Phase::relocating:
            return relocate();
        case Phase::keys:
        case Phase::objects:
            return take_pages();
        case Phase::ending:
            return end_image();
        case Phase::reading:
            return read_back();
        case Phase::waiting:
            return wait_for_log();
        case Phase::copying:
            return copy();
        case Phase::idle:
            break;
    }
    return false;
}

// The image holds effects up to hi: before they are durable in the log it must not count.
Result<bool> Walk::wait_for_log() {
    if (log_.durable() < hi_ && !planted("image_counts_before_its_log")) {
        log_.want_durable(hi_);
        return false;
    }
    if (!copies_ && waits_for_pins()) return false;
    if (!copies_)
        log_between_walks_ = log_.tail.batch_end() - std::min(status_.hi, log_.tail.batch_end());
    if (auto switched = switch_over(entry()); !switched) return fail(switched);
    if (!copies_) {
        const auto begun = begin_copy();
        if (!begun || *begun) return begun;
    }
    finish({});
    return true;
}

void Walk::finish(std::optional<Error> error) {
    reader_.reset();
    // Before it has begun to write, the writer still stands for the walk before: that one's file
    // counts.
    const bool wrote =
        phase_ != Phase::idle && phase_ != Phase::counting && phase_ != Phase::relocating;
    relocator_.abandon();
    census_.forget();
    victims_.clear();
    const bool named = !limbo_.empty() && limbo_.back() == writer_.number();
    if (error && wrote && !named) writer_.abandon();
    // Of a copy that found no room nothing is lost.
    const bool no_copy = copies_ && error && error->code == Code::no_space;
    if (no_copy) error.reset();
    phase_ = Phase::idle;
    const auto now = clock_.mono();
    {
        const std::lock_guard guard(mutex_);
        // Spares that lay there go first: perhaps that was enough.
        const bool no_space = error && error->code == Code::no_space;
        met_full_disk_ = no_space && !supply_.give_spares_up();
        judge_emergency(now.us, error.has_value());
        if (error) {
            ++status_.failed;
            ++status_.failed_in_row;
            retry_us_ = no_space ? 0 : now.us + kRetryUs;
        } else {
            ++status_.done;
            status_.failed_in_row = 0;
            status_.last_us = now.us - began_.us;
            status_.copied += copies_ && !no_copy ? 1 : 0;
        }
        if (!error || copies_) {
            records_at_checkpoint_ = records_at_lo_;
            checkpoint_mono_us_ = began_.us;
        }
        status_.error = error;
        if (wrote) status_.bytes_all += writer_.bytes();
    }
    hurry_ = false;
    forgets_next_ = true;
    copies_ = false;
    publish();
    if (on_finished) on_finished(!error);
}

void Walk::abandon() {
    forgetter_.abandon();
    if (phase_ == Phase::idle) return;
    reader_.reset();
    relocator_.abandon();
    if (phase_ != Phase::counting && phase_ != Phase::relocating) writer_.abandon();
    phase_ = Phase::idle;
    publish();
}

void Walk::publish() {
    const std::lock_guard guard(mutex_);
    status_.phase = phase_;
    const bool writes = phase_ != Phase::counting && phase_ != Phase::relocating;
    status_.bytes = writes ? writer_.bytes() : 0;
    status_.relocated = relocator_.counts();
    status_.moved_bytes = status_.relocated.written_bytes - written_at_begin_;
    status_.moving_bytes = std::max(moving_bytes_, status_.moved_bytes);
    status_.duty_percent = hurry_ ? 100 : duty_;
    // At the end there is nothing new to tell.
    if (const auto took_us = clock_.mono().us - began_.us; phase_ != Phase::idle && took_us > 0)
        status_.bytes_a_second =
            (status_.bytes + status_.moved_bytes) * 1'000'000 / static_cast<std::uint64_t>(took_us);
    status_.checkpoints = manifest_.checkpoints.size();
    status_.checkpoint_bytes = 0;
    for (const auto& entry : manifest_.checkpoints) status_.checkpoint_bytes += entry.bytes;
    status_.image_bytes = manifest_.checkpoints.empty() ? 0 : manifest_.checkpoints.back().bytes;
    status_.kept.clear();
    for (const auto& entry : manifest_.kept)
        status_.kept.push_back({.lsn = entry.hi, .taken_us = entry.taken_us, .bytes = entry.bytes});
    if (manifest_.checkpoints.empty()) return;
    const auto& newest = manifest_.checkpoints.back();
    status_.lo = newest.lo;
    status_.hi = newest.hi;
    status_.taken_us = newest.taken_us;
}

}  // namespace firnlog::engine
