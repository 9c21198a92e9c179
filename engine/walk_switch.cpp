// What a walk ends with: the manifest that names its checkpoint, and what is let go of by that.

#include <algorithm>
#include <utility>

#include "engine/format/names.hpp"
#include "engine/manifest_file.hpp"
#include "engine/walk.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::engine {

// Of the file that was written.
CheckpointEntry Walk::entry() const {
    if (copies_) {
        auto same = manifest_.checkpoints.back();
        same.number = writer_.number();
        return same;
    }
    CheckpointEntry entry{.number = writer_.number(),
                          .lo = lo_,
                          .hi = hi_,
                          .bytes = reader_->bytes(),
                          .taken_us = clock_.wall().us};
    for (FileNumber file = 0; file < named_bytes_.size(); ++file) {
        if (named_bytes_[file] == 0) continue;
        entry.files.push_back(file);
        entry.live.push_back(named_bytes_[file]);
    }
    return entry;
}

Result<void> Walk::switch_over(CheckpointEntry entry) {
    auto next = manifest_;
    next.retired = limbo_;
    std::erase_if(next.checkpoints, [&](const CheckpointEntry& old) {
        if (std::ranges::count(faulty_, old.number) == 0) return false;
        next.retired.push_back(old.number);
        return true;
    });
    next.checkpoints.push_back(std::move(entry));
    auto window = window_now_;
    {
        const std::lock_guard guard(mutex_);
        if (!emergency_) {
            window = window_;
            window.room_bytes = window_now_.room_bytes;
            window.unarchived = {unarchived_.load(std::memory_order_acquire)};
        }
        pinned_ = pins_ != 0 && !planted("past_goes_under_its_reader");
    }
    bound_supply();
    const auto files = full_files();
    std::uint64_t cut = 0;
    if (!pinned_) {
        // A clock that jumped ages nothing.
        const auto now_us = now_.suspended() ? 0 : clock_.wall().us;
        const auto asked_for = kept_bytes(next, files, now_us);
        const auto gone = let_go(next, files, window, now_us, emergency_ ? 1 : kBasesMin);
        next.retired.insert(next.retired.end(), gone.begin(), gone.end());
        const auto kept = history_bytes(next, files);
        cut = asked_for - std::min(asked_for, kept);
    }
    next.packed.clear();
    for (const auto& file : files)
        if (file.packed && next.names(file.number) && !planted("survivors_not_named"))
            next.packed.push_back(file.number);
    std::ranges::sort(next.packed);
    std::erase_if(next.moves, [&](const Move& move) { return !next.names(move.from); });
    for (const auto& file : unneeded(next, files)) {
        next.retired.push_back(file.number);
        next.recycles = next.recycles || (!file.packed && supply_.takes_spare(file.bytes));
    }
    next.adopted = still_aside();
    complete(next);
    if (planted("files_go_before_the_switch"))
        for (const auto number : next.retired) (void)remove_file(number);
    if (auto written = write_manifest(files_, next); !written) {
        // Which of the two is there nobody knows: neither's files may go.
        manifest_.sequence = next.sequence;
        limbo_.push_back(writer_.number());
        return written;
    }
    manifest_ = std::move(next);
    {
        const std::lock_guard guard(mutex_);
        status_.last_cut_bytes = cut;
        status_.cut_bytes += cut;
    }
    reclaim();
    return {};
}

void Walk::complete(Manifest& next) {
    next.files_end = supply_.next_file();
    next.high_us = std::max(next.high_us, clock_.wall().us);
    // A start from here may read no frame at all, and the clock may have stepped back.
    const std::lock_guard guard(log_.tail.lock);
    next.high_us = std::max(next.high_us, log_.tail.last_commit_us());
}

// What history would keep if the disk were larger.
std::uint64_t Walk::kept_bytes(Manifest manifest, const std::vector<FullFile>& files,
                               std::int64_t now_us) const {
    Window window;
    {
        const std::lock_guard guard(mutex_);
        window = window_;
        window.unarchived = {unarchived_.load(std::memory_order_acquire)};
    }
    (void)let_go(manifest, files, window, now_us);
    return history_bytes(manifest, files);
}

// Full, written and read from a map: nobody appends to it, nor to its memory.
std::vector<FullFile> Walk::full_files() const {
    std::vector<FullFile> found;
    const auto durable = log_.durable();
    for (const auto* segment : segments_.all()) {
        if (segment->place().own || segment->image != nullptr) continue;
        const auto end = segment->lsn_at(segment->end);
        // What begins the log is there then, and this one need not be it.
        const bool followed = durable > end && durable > started_at_;
        found.push_back({.number = segment->number,
                         .begin = segment->packed ? Lsn{} : segment->base,
                         .end = followed ? end : FullFile::kOpen,
                         .bytes = segment->bytes,
                         .packed = segment->packed});
    }
    return found;
}

// What the manifest retired goes, now that this is durable, or is kept for the log to come. No
// entry of the index leads into these files: the image that was just taken has none, and nothing
// began to lead there since.
void Walk::reclaim() {
    limbo_.clear();
    std::uint64_t freed = 0;
    for (const auto number : manifest_.retired) {
        bool spared = false;
        if (auto segment = segments_.remove(number)) {
            freed += segment->bytes;
            spared = !segment->packed && manifest_.recycles &&
                     supply_.spare(*segment, manifest_.first_lsn);
            departed_.add(std::move(segment), retire_);
        }
        if (spared) (void)files_.unlink(names::sidecar_file(number));
        if (spared || planted("what_goes_is_not_removed")) continue;
        if (!remove_file(number)) limbo_.push_back(number);
    }
    // A name that comes back with a crash is retired once more: this manifest says so until then.
    if (!files_.sync_dir()) limbo_ = manifest_.retired;
    {
        const std::lock_guard guard(mutex_);
        status_.freed_bytes += freed;
    }
    if (is_short()) (void)supply_.give_spares_up();
    measure();
    supply_.look_again();
}

// Whatever kind of file has this number; one that is not there is gone. Behind a log file goes its
// sidecar: whoever makes one sees to it that the log file is there still. One that stays goes
// later.
bool Walk::remove_file(FileNumber number) {
    for (const auto& name : {names::log_file(number), names::new_log_file(number),
                             names::packed_file(number), names::checkpoint_file(number)}) {
        const auto gone = supply_.remover.remove(name);
        if (!gone && gone.error().code == Code::missing) continue;
        if (gone && names::log_number(name)) (void)files_.unlink(names::sidecar_file(number));
        return gone.has_value();
    }
    return true;
}

}  // namespace firnlog::engine
