#include "engine/log/log.hpp"

#include <algorithm>
#include <cstdlib>
#include <mutex>

#include "io/base/mutant.hpp"

namespace firnlog::engine {
namespace {
constexpr std::uint64_t kBlock = 4096;
constexpr std::int64_t kAckAgeUsMax = 2'000'000;

void raise(std::atomic<std::uint64_t>& value, std::uint64_t to) {
    auto seen = value.load(std::memory_order_relaxed);
    while (seen < to && !value.compare_exchange_weak(seen, to, std::memory_order_acq_rel)) {
    }
}
}  // namespace

Log::Log(io::Clock& clock, Supply& supply, LogStart start)
    : tail(clock, supply, start),
      clock_(clock),
      supply_(supply),
      written_(start.next.value),
      durable_(start.next.value) {
    tail.durable.store(start.next.value);
}

void Log::want_durable(Lsn lsn) { raise(wanted_, lsn.value); }

bool Log::open(Lsn lsn, Durability policy) const {
    if (policy == Durability::always) return durable() >= lsn;
    if (written() < lsn) return false;
    return policy == Durability::no || durable() >= lsn || unsynced_us() < kAckAgeUsMax;
}

std::int64_t Log::unsynced_us() const {
    if (planted("everysec_forgets_its_second")) return 0;
    const auto since = unsynced_since_us_.load(std::memory_order_relaxed);
    return since == 0 ? 0 : clock_.mono().us - since;
}

Log::Counts Log::counts() const {
    return {.flushes = flushes_.load(std::memory_order_relaxed),
            .syncs = syncs_.load(std::memory_order_relaxed),
            .bytes = bytes_.load(std::memory_order_relaxed)};
}

void Log::advance_written(Lsn lsn) { raise(written_, lsn.value); }

void Log::advance_durable(Lsn lsn) {
    raise(durable_, lsn.value);
    raise(tail.durable, lsn.value);
}

void Log::fail_with(int error) {
    if (planted("failed_log_goes_on")) return;
    int none = 0;
    failed_.compare_exchange_strong(none, error == 0 ? EIO : error, std::memory_order_acq_rel);
}

void Log::tell_all(Flusher* from) {
    const std::lock_guard guard(flushers_mutex_);
    for (auto* flusher : flushers_) {
        if (flusher == from || !flusher->waiting_.load(std::memory_order_seq_cst)) continue;
        if (!flusher->told_pending_.exchange(true, std::memory_order_acq_rel))
            flusher->io_.post(flusher->told_);
    }
}

Flusher::Flusher(Log& log, io::Io& io, std::function<void()> advanced)
    : log_(log),
      io_(io),
      advanced_(std::move(advanced)),
      block_(static_cast<std::byte*>(std::aligned_alloc(kBlock, kBlock)), std::free) {
    ensure(block_ != nullptr, "there is memory for one block");
    for (auto* op : {&write_, &sync_, &told_}) op->owner = this;
    write_.run = [](io::Completion& self, std::int32_t result, bool) {
        static_cast<Op&>(self).owner->write_done(result);
    };
    sync_.run = [](io::Completion& self, std::int32_t result, bool) {
        static_cast<Op&>(self).owner->sync_done(result);
    };
    told_.run = [](io::Completion& self, std::int32_t, bool) {
        auto& flusher = *static_cast<Op&>(self).owner;
        flusher.told_pending_.store(false, std::memory_order_release);
        flusher.advanced_();
    };
    const std::lock_guard guard(log_.flushers_mutex_);
    log_.flushers_.push_back(this);
}

Flusher::~Flusher() {
    const std::lock_guard guard(log_.flushers_mutex_);
    std::erase(log_.flushers_, this);
}

void Flusher::kick(std::optional<std::int64_t> sync_age_us) {
    if (log_.failed() != 0) return;
    if (log_.tail.dirty() && !log_.writing_.exchange(true, std::memory_order_acq_rel))
        start_write();
    const auto wanted = log_.wanted_.load(std::memory_order_relaxed);
    const bool due = (wanted > log_.durable().value && log_.written() > log_.durable()) ||
                     (sync_age_us && log_.unsynced_us() >= *sync_age_us && log_.unsynced_us() > 0);
    if (due && !log_.syncing_.exchange(true, std::memory_order_acq_rel)) start_sync();
}

void Flusher::vouch() {
    if (log_.failed() != 0 || planted("idle_log_not_vouched_for")) return;
    const std::lock_guard guard(log_.tail.lock);
    auto& tail = log_.tail;
    if (!tail.unvouched() || tail.dirty() || log_.durable() != tail.end()) return;
    tail.close_frame(log_.durable(), true);
    log_.want_durable(tail.end());
}

void Flusher::start_write() {
    auto& tail = log_.tail;
    {
        const std::lock_guard guard(tail.lock);
        tail.close_frame(log_.durable());
        // Segments whose bytes are all written already only wait to be sealed.
        while (tail.front() != nullptr && tail.front()->begin == tail.front()->end) {
            log_.supply_.seal(*tail.front()->segment);
            tail.pop();
        }
        if (tail.front() == nullptr) {
            tail.close_frame(log_.durable());
            log_.writing_.store(false, std::memory_order_release);
            return;
        }
        range_ = *tail.front();
        tail.pop();
        // It makes its own bytes durable and no others: so nothing else may wait for a sync.
        write_syncs_ = (log_.unsynced_.empty() || planted("sync_covers_what_others_wrote")) &&
                       log_.wanted_.load(std::memory_order_relaxed) > log_.durable().value &&
                       !log_.syncing_.exchange(true, std::memory_order_acq_rel);
    }
    began_ = log_.clock_.mono();
    // Whole blocks straight from the tail's memory; the last one is shared with the frames to come,
    // which are appended while this write is in flight, so it is copied.
    const auto* image = range_.segment->image->data();
    const auto begin = align_down(range_.begin, kBlock);
    const auto shared = align_down(range_.end, kBlock);
    std::size_t pieces = 0;
    if (shared > begin) pieces_[pieces++] = {image + begin, shared - begin};
    if (range_.end > shared) {
        std::memcpy(block_.get(), image + shared, range_.end - shared);
        std::memset(block_.get() + (range_.end - shared), 0, kBlock - (range_.end - shared));
        pieces_[pieces++] = {block_.get(), kBlock};
    }
    log_.flushes_.fetch_add(1, std::memory_order_relaxed);
    const auto bytes = align_up(range_.end, kBlock) - begin;
    log_.bytes_.fetch_add(bytes, std::memory_order_relaxed);
    log_.supply_.wrote(bytes);
    if (write_syncs_) {
        log_.syncs_.fetch_add(1, std::memory_order_relaxed);
        log_.supply_.syncs();
    }
    ++in_flight_;
    io_.write({.fd = range_.segment->fd, .offset = begin, .pieces = {pieces_, pieces}},
              write_syncs_ && !planted("log_never_synced"), write_);
    if (planted("ack_on_submit")) {
        log_.advance_written(range_.batch_end);
        log_.advance_durable(range_.batch_end);
        if (!told_pending_.exchange(true, std::memory_order_acq_rel)) io_.post(told_);
    }
}

void Flusher::write_done(int result) {
    --in_flight_;
    const auto now = log_.clock_.mono();
    log_.pace.note(now.us - began_.us);
    if (result < 0 && !planted("write_error_ignored")) {
        log_.fail_with(-result);
    } else if (log_.failed() == 0) {
        const std::lock_guard guard(log_.tail.lock);
        log_.advance_written(range_.batch_end);
        auto& unsynced = log_.unsynced_;
        if (write_syncs_) {
            log_.unsynced_since_us_.store(0, std::memory_order_relaxed);
            log_.advance_durable(range_.batch_end);
        } else {
            if (unsynced.empty() || unsynced.back().segment != range_.segment)
                unsynced.push_back({.segment = range_.segment, .since_us = now.us});
            auto& last = unsynced.back();
            last.batch_end = range_.batch_end;
            if (last.uncovered_since_us == 0) last.uncovered_since_us = now.us;
            log_.unsynced_since_us_.store(unsynced.front().since_us, std::memory_order_relaxed);
        }
        if (range_.fills_segment) log_.supply_.seal(*range_.segment);
    }
    if (write_syncs_) log_.syncing_.store(false, std::memory_order_release);
    log_.writing_.store(false, std::memory_order_release);
    advanced_();
    log_.tell_all(this);
}

void Flusher::start_sync() {
    {
        const std::lock_guard guard(log_.tail.lock);
        if (log_.unsynced_.empty()) {
            log_.syncing_.store(false, std::memory_order_release);
            return;
        }
        syncing_ = log_.unsynced_.front();
        log_.unsynced_.front().uncovered_since_us = 0;
    }
    log_.syncs_.fetch_add(1, std::memory_order_relaxed);
    log_.supply_.syncs();
    ++in_flight_;
    if (planted("log_never_synced")) return io_.post(sync_);
    io_.fsync(syncing_.segment->fd, sync_);
}

void Flusher::sync_done(int result) {
    --in_flight_;
    if (result < 0 && planted("fsync_retried")) {
        ++in_flight_;
        return io_.fsync(syncing_.segment->fd, sync_);
    }
    if (result < 0 && !planted("fsync_error_ignored")) {
        log_.fail_with(-result);
    } else if (log_.failed() == 0) {
        const std::lock_guard guard(log_.tail.lock);
        auto& unsynced = log_.unsynced_;
        ensure(!unsynced.empty() && unsynced.front().segment == syncing_.segment,
               "segments are synced in order");
        log_.advance_durable(planted("sync_covers_later_writes") ? log_.written()
                                                                 : syncing_.batch_end);
        // A write that completed since this sync began is not covered, though it may end no batch.
        // And what is left has waited since it completed, in the next segment perhaps longer than
        // this sync took.
        auto& front = unsynced.front();
        if (front.uncovered_since_us != 0)
            front.since_us = front.uncovered_since_us;
        else
            unsynced.pop_front();
        log_.unsynced_since_us_.store(unsynced.empty() ? 0 : unsynced.front().since_us,
                                      std::memory_order_relaxed);
    }
    log_.syncing_.store(false, std::memory_order_release);
    advanced_();
    log_.tell_all(this);
}

}  // namespace firnlog::engine
