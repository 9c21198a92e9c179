#include "io/grace.hpp"

#include <algorithm>
#include <vector>

#include "io/base/ensure.hpp"

namespace firnlog::io {

Grace::~Grace() {
    ensure(std::none_of(cells_.begin(), cells_.end(), [](const Cell& cell) { return cell.taken; }),
           "readers leave before their Grace does");
    while (waiting() != 0) collect_due();
}

Grace::Slot Grace::enter() {
    const std::lock_guard guard(lock_);
    std::size_t index = 0;
    while (index < kReadersMax && cells_[index].taken) ++index;
    ensure(index < kReadersMax, "a reader finds a place");
    cells_[index].taken = true;
    cells_used_ = std::max(cells_used_, index + 1);
    Slot slot(*this, index);
    wake(slot);
    return slot;
}

void Grace::leave(Slot& slot) noexcept {
    sleep(slot);
    const std::lock_guard guard(lock_);
    cells_[slot.index_].taken = false;
}

void Grace::retire(Retired retired) {
    const std::lock_guard guard(lock_);
    // Under the lock, so that the queue is in order.
    retired.epoch = epoch_.fetch_add(1, std::memory_order_acq_rel) + 1;
    retired_.push_back(retired);
    waiting_.store(retired_.size(), std::memory_order_relaxed);
}

void Grace::collect_due() {
    std::vector<Retired> due;
    {
        const std::lock_guard guard(lock_);
        std::uint64_t seen_by_all = kAsleep;
        for (std::size_t i = 0; i < cells_used_; ++i)
            seen_by_all = std::min(seen_by_all, cells_[i].seen.load(std::memory_order_acquire));
        while (!retired_.empty() && retired_.front().epoch <= seen_by_all) {
            due.push_back(retired_.front());
            retired_.pop_front();
        }
        waiting_.store(retired_.size(), std::memory_order_relaxed);
    }
    // Not under the lock: a callback may retire more.
    for (const Retired& retired : due) retired.run(retired.what);
}

}  // namespace firnlog::io
