// What a walk does about the disk: how much is free, what is kept for whom, and when it is so full
// that one must run.

#include <algorithm>
#include <limits>

#include "engine/walk.hpp"

namespace firnlog::engine {
namespace {

// On a full disk somebody waits. Behind one that freed nothing there is a pause, so that walks take
// no more than a fifth of the time; and ever longer ones behind those that failed.
constexpr std::int64_t kEmergencyRetryUs = 1'000'000;
constexpr std::int64_t kEmergencyPauses = 4;
constexpr unsigned kEmergencyRetryDoublings = 5;
constexpr unsigned kFruitlessMax = 3;
constexpr std::int64_t kLookAtDiskUs = 1'000'000;
constexpr std::int64_t kCutRetryUs = 5'000'000;
// No walk began for so long: the log is not being written fast.
constexpr std::int64_t kIdleUs = 60'000'000;
// So many segments have room for what is live.
constexpr std::uint64_t kSegmentsOfLive = 24;
// Of the reserve: so many segments beside the image. Their room is what survivors are moved into.
constexpr std::uint64_t kReserveSegments = 4;
// A key takes 17 bytes of an image, 33 with an expiry; and the directory of its pages.
constexpr std::uint64_t kImageBytesAKey = 24;
constexpr std::uint64_t kImageBytesMin = std::uint64_t{256} << 10;
// A deletion takes about 40 bytes of log: room for that of half of the keys.
constexpr std::uint64_t kDeletionBytesAKey = 20;

}  // namespace

// The log has no room to grow; or a checkpoint had none.
bool Walk::is_full() const {
    const auto failure = supply_.failure();
    return met_full_disk_ || (failure && failure->code == Code::no_space);
}

// Under mutex_.
bool Walk::is_low() const { return status_.free_bytes < status_.marks.low; }

// Under mutex_. What kept the walks before from freeing anything is gone.
void Walk::try_again_at_once() {
    fruitless_ = 0;
    emergency_us_ = 0;
    cut_us_ = 0;
}

// Whether the walk is to switch later. One that was asked for, or that another one is asked for
// behind, does not wait: somebody may wait for it.
bool Walk::waits_for_pins() {
    const std::lock_guard guard(mutex_);
    const bool waits = emergency_ && is_full() && pins_ != 0 && unasked_ && !asked_;
    if (waits && waiting_us_ == 0) waiting_us_ = clock_.mono().us;
    status_.held_up = waits;
    return waits;
}

// Under mutex_. After one that freed nothing another one makes no sense before something was
// written, deletions that is; nor at once.
bool Walk::emergency_due(std::int64_t now_us) const {
    if (now_us < emergency_us_ || status_.held_up) return false;
    return fruitless_ == 0 || has_victims_ || met_full_disk_ || log_.tail.batch_end() > status_.hi;
}

// Whether a walk may free what growth waits for. Under mutex_.
bool Walk::hope() const {
    return !paused_ && !status_.held_up && log_.failed() == 0 &&
           (fruitless_ == 0 || (has_victims_ && fruitless_ < kFruitlessMax));
}

// How much there is free, and what of it is whose.
void Walk::watch_disk() {
    const auto now = clock_.mono();
    if (now < look_at_disk_) return;
    look_at_disk_ = now.after(kLookAtDiskUs);
    auto free = files_.free_bytes();
    if (!free) return;
    WaterMarks marks;
    {
        const std::lock_guard guard(mutex_);
        marks = marks_;
    }
    if (marks.low == 0) marks.low = reserve_.wanted();
    marks.high = std::max(marks.high != 0 ? marks.high : 2 * marks.low, marks.low);
    // Before history is cut for its sake.
    if (*free < marks.low && supply_.give_spares_up())
        if (auto again = files_.free_bytes()) free = again;
    {
        const std::lock_guard guard(mutex_);
        status_.free_bytes = *free;
        status_.marks = marks;
    }
    bound_supply();
}

bool Walk::is_short() const { return is_full() || emergency_ || is_low(); }

// What the segments to come are made of, and how large they are.
void Walk::bound_supply() {
    // As much as the log wrote from one walk to the next it will write again; if it goes on like
    // that, and as long as nobody else has more use of the room.
    const bool idle = clock_.mono().us - checkpoint_mono_us_ > kIdleUs;
    const auto spares = std::max(options_.garbage_log_bytes, status_.live_bytes / 2);
    supply_.spare_bytes_max(is_short() ? 0 : idle ? spares : std::max(spares, log_between_walks_));
    // What is ready, in use, set aside, and what comes back at once, is counted in segments: a
    // small store lies in small ones. Files have few numbers: when many are used up they are large
    // again.
    const bool scarce = supply_.next_file() > kFileNumberMax / 2;
    const auto written = log_.tail.batch_end() - manifest_.first_lsn;
    const auto live = manifest_.checkpoints.empty() ? written : status_.live_bytes;
    supply_.segment_bytes_max(scarce ? std::numeric_limits<std::uint64_t>::max()
                                     : live / kSegmentsOfLive);
}

std::uint64_t Walk::keys() const {
    std::uint64_t keys = 0;
    for (std::uint32_t i = 0; i < keyspace_.databases_end(); ++i)
        keys += static_cast<std::uint64_t>(std::max<std::int64_t>(keyspace_.counts_of(i).keys, 0));
    for (auto i = kParkedFirst; i < kDatabasesMax; ++i)
        keys += static_cast<std::uint64_t>(std::max<std::int64_t>(keyspace_.counts_of(i).keys, 0));
    return keys;
}

std::uint64_t Walk::image_bytes_max() const {
    const auto newest = manifest_.checkpoints.empty() ? 0 : manifest_.checkpoints.back().bytes;
    return kImageBytesMin + std::max(keys() * kImageBytesAKey, newest + newest / 4);
}

void Walk::measure() {
    const auto files = full_files();
    const auto live = live_bytes(manifest_);
    const auto history = history_bytes(manifest_, files);
    std::uint64_t all = 0;
    std::uint64_t packed = 0;
    std::size_t packed_files = 0;
    for (const auto& file : files) {
        all += file.bytes;
        packed += file.packed ? file.bytes : 0;
        packed_files += file.packed ? 1 : 0;
    }
    for (const auto* entries : {&manifest_.checkpoints, &manifest_.kept})
        for (const auto& entry : *entries) all += entry.bytes;
    const auto kept = live + history;
    size_reserve(files);
    Window window;
    {
        const std::lock_guard guard(mutex_);
        window = window_;
    }
    window.unarchived = {unarchived_.load(std::memory_order_acquire)};
    const auto now_us = now_.suspended() ? 0 : clock_.wall().us;
    const auto found = keepers(manifest_, files, window, now_us);
    const std::lock_guard guard(mutex_);
    status_.keepers = found;
    status_.bases = bases(manifest_);
    status_.packed_bytes = packed;
    status_.packed_files = packed_files;
    status_.live_bytes = live;
    status_.history_bytes = history;
    status_.garbage_bytes = all - std::min(all, kept);
    const bool from_beginning = manifest_.has_beginning();
    status_.oldest = from_beginning ? manifest_.first_lsn : manifest_.checkpoints.front().hi;
    status_.oldest_us =
        from_beginning ? manifest_.created_us : manifest_.checkpoints.front().taken_us;
}

// It grows with the index, and with the segments as long as it takes no more than a quarter of the
// disk's room: on a small disk four small ones must do.
void Walk::size_reserve(const std::vector<FullFile>& files) {
    supply_.keep(keys() * kDeletionBytesAKey);
    reserve_segment_bytes_ = std::max(reserve_segment_bytes_, supply_.least_bytes());
    if (const auto free = files_.free_bytes(); free && !is_full()) {
        const auto room = (*free + reserve_.bytes()) / 4 / kReserveSegments;
        if (2 * reserve_segment_bytes_ <= std::min(supply_.next_bytes(), room))
            reserve_segment_bytes_ *= 2;
    }
    reserve_.want(image_bytes_max() + kReserveSlack + kReserveSegments * reserve_segment_bytes_);
    auto found = victims(manifest_, files, {.retain_s = 0, .retain_bytes = 0},
                         {.small = options_.packed_bytes / 4});
    std::erase_if(found, [&](FileNumber number) { return relocator_.gave_up(number); });
    has_victims_ = !found.empty();
}

// Whether it was of use, and when the next one may begin. Under mutex_.
void Walk::judge_emergency(std::int64_t now_us, bool failed) {
    if (!failed && pinned_ && (emergency_ || is_low())) {
        // It was of none, whoever keeps it from that: until they have gone there is no other.
        emergency_ = false;
        status_.held_up = pins_ != 0;
        if (!status_.held_up) try_again_at_once();
        return;
    }
    const auto freed = status_.freed_bytes - freed_at_begin_;
    const auto written = relocator_.counts().written_bytes - written_at_begin_;
    if (!emergency_) {
        // One that the water mark has asked for, and that had nothing to cut, is not asked for at
        // once again.
        cut_us_ = now_us + kCutRetryUs;
        // Nor does one that found the disk full on its way make another one wait, which may use
        // the reserve.
        if (met_full_disk_) emergency_us_ = now_us;
        return;
    }
    emergency_ = false;
    // What was found dead by this one is moved by the next.
    const bool found = has_victims_ && !had_victims_;
    if (!failed && (freed > written || found)) {
        fruitless_ = 0;
        emergency_us_ = now_us;
        return;
    }
    const auto worked_until_us = waiting_us_ != 0 ? waiting_us_ : now_us;
    const auto pause_us =
        failed ? kEmergencyRetryUs << std::min(fruitless_, kEmergencyRetryDoublings)
               : std::max(kEmergencyRetryUs, kEmergencyPauses * (worked_until_us - began_.us));
    ++fruitless_;
    emergency_us_ = has_victims_ && fruitless_ < kFruitlessMax ? now_us : now_us + pause_us;
}

}  // namespace firnlog::engine
