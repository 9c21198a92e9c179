// Groups: commands of one pipeline that share one hold of the tail.

#include <algorithm>
#include <mutex>
#include <new>
#include <utility>

#include "engine/engine.hpp"
#include "engine/session.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::engine {
namespace {

// Beyond it a command's own bytes are what takes the time.
constexpr std::size_t kGroupBytesMax = std::size_t{256} << 10;

}  // namespace

void Session::begin_group(std::span<const Ahead> keys) {
    ensure(!begun_ && !grouped_, "one group at a time");
    auto& keyspace = engine_.keyspace();
    // What waits to be brought in, or lives in another stripe than its key, is for each command.
    if (engine_.options.past || !keyspace.whole()) return;
    std::size_t bytes = 0;
    for (const auto& key : keys) bytes += key.bytes;
    if (bytes > kGroupBytesMax) return;
    group_.clear();
    try {
        stage_.open(bytes, keys.size());
        for (const auto& key : ahead_) group_.push_back(key.stripe);
    } catch (const std::bad_alloc&) {
        return;
    }
    std::ranges::sort(group_);
    group_.erase(std::unique(group_.begin(), group_.end()), group_.end());
    for (const auto number : group_) keyspace.stripe(number).lock.lock();
    grouped_ = true;
    // Each of them may be the first of a frame.
    group_bytes_ = bytes + keys.size() * (kRecordOverheadMax + kFrameHeaderBytes);
    group_gate_ = {};
    if (keyspace.has_strays()) (void)end_group();
}

Lsn Session::end_group() {
    ensure(grouped_ && !begun_, "a group ends behind its commands");
    append_staged();
    if (promised_bytes_ != 0) engine_.log.tail.release(std::exchange(promised_bytes_, 0));
    for (auto i = group_.size(); i-- > 0;) engine_.keyspace().stripe(group_[i]).lock.unlock();
    grouped_ = false;
    return group_gate_;
}

bool Session::in_group(Stripe stripe) const { return std::ranges::binary_search(group_, stripe); }

bool Session::covers(std::span<const std::string_view> keys) const {
    return std::ranges::all_of(keys, [this](std::string_view key) {
        if (next_ahead_ < ahead_.size() && ahead_[next_ahead_].name.data() == key.data() &&
            ahead_[next_ahead_].name.size() == key.size())
            return true;
        return in_group(stripe_of(key));
    });
}

Expected<void> Session::reserve_only(std::size_t bytes, bool shrinks) {
    if (!grouped_ || one_batch_ || batch_open_ || !stage_.fits(bytes) || !promised())
        return reserve(bytes, 1, shrinks);
    ensure(changes() == 0, "what a session changes is one batch");
    stages_ = true;
    return {};
}

bool Session::promised() {
    if (promised_bytes_ != 0) return true;
    if (group_bytes_ == 0) return false;
    auto& log = engine_.log;
    const std::lock_guard guard(log.tail.lock);
    // Where there is none each command hears why.
    if (log.failed() != 0 || log.tail.end() - log.written() > engine_.options.tail_bytes_max ||
        log.tail.room(group_bytes_, false) != Room::enough) {
        group_bytes_ = 0;
        return false;
    }
    log.tail.promise(group_bytes_);
    promised_bytes_ = group_bytes_;
    return true;
}

void Session::append_staged() noexcept {
    if (stage_.empty()) return;
    auto& tail = engine_.log.tail;
    if (const auto count = stage_.staged().size(); count > 1)
        engine_.counters.grouped.fetch_add(count, std::memory_order_relaxed);
    {
        const std::lock_guard guard(tail.lock);
        for (auto& staged : stage_.staged()) {
            tail.open_batch();
            const auto appended = tail.append(staged.record);
            staged.place = {.address = appended.address,
                            .bytes = record_bytes(staged.record),
                            .lsn = appended.lsn};
            written_ = tail.close_batch();
        }
    }
    if (!planted("group_without_gate")) group_gate_ = std::max(group_gate_, written_);
    for (const auto& staged : stage_.staged()) {
        if (planted("group_applies_its_first_alone") && &staged != stage_.staged().data()) break;
        engine_.keyspace().apply(staged.record, staged.place, staged.known);
        if (staged.known.space != nullptr)
            engine_.keyspace().touch(staged.database, staged.known.tag, staged.known.stripe);
    }
    stage_.clear();
}

}  // namespace firnlog::engine
