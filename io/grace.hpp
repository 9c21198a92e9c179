#pragma once
// Grace: when memory that readers may still look at can go: after every reactor has ended a turn.
//
// Readers take no lock and count nothing. Whoever replaces something they may hold a pointer to
// makes it unreachable first, then retires it; a pointer never outlives the turn it was found in.
//
//   epoch_  1 ─── 2 ─── 3 ─── 4        each retire() steps it, and its callback waits for that
//   number seen         ^A    ^B    asleep    a callback of n runs when every seen is ≥ n or asleep
//
// Who writes: epoch_ by read-modify-writes alone, each seen by its reactor alone.
//   quiescent: seen = epoch_           load acquire, store release: the reader's whole price a turn
//   sleep:     seen = kAsleep          store release
//   wake:      seen = epoch_; then epoch_ += 0, acquire and release
//   retire:    epoch_ += 1, acquire and release, behind the step that made the thing unreachable
//   collect:   reads every seen, acquire
// Why it is enough. A reactor that has seen n acquired it from that retire: it finds the new state
// from there on, and its release lets collect() come after all its earlier reads. A sleeper has no
// pointers. One that wakes races with a retire, and their read-modify-writes of epoch_ have an
// order: if the waking comes first, the retire acquires it and no later collect() takes it for
// asleep; if it comes second, it acquires the retire and cannot find the old state any more.
// retire() and collect() may be called by any thread, a reader or not; callbacks run in collect().

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <type_traits>
#include <utility>

namespace firnlog::io {

class Grace {
  public:
    static constexpr std::size_t kReadersMax = 256;

    // A reader's place; leaves with the object. It belongs to one thread at a time and does not
    // outlive the Grace.
    class Slot {
      public:
        Slot() = default;
        Slot(Slot&& from) noexcept
            : grace_(std::exchange(from.grace_, nullptr)), index_(from.index_) {}
        Slot& operator=(Slot&& from) noexcept {
            std::swap(grace_, from.grace_);
            std::swap(index_, from.index_);
            return *this;
        }
        ~Slot() {
            if (grace_ != nullptr) grace_->leave(*this);
        }

      private:
        friend class Grace;
        Slot(Grace& grace, std::size_t index) : grace_(&grace), index_(index) {}

        Grace* grace_ = nullptr;
        std::size_t index_ = 0;
    };

    Grace() = default;
    Grace(const Grace&) = delete;
    Grace& operator=(const Grace&) = delete;
    // All slots have left; runs what is still retired.
    ~Grace();

    // A new reader, awake.
    [[nodiscard]] Slot enter();

    // The reader holds no pointer now: the end of a turn.
    void quiescent(Slot& slot) noexcept {
        cells_[slot.index_].seen.store(epoch_.load(std::memory_order_acquire),
                                       std::memory_order_release);
    }
    // The reader holds none until it has called wake(): around a wait.
    void sleep(Slot& slot) noexcept {
        cells_[slot.index_].seen.store(kAsleep, std::memory_order_release);
    }
    void wake(Slot& slot) noexcept {
        // What is stored may be old by now: that only makes others wait longer.
        cells_[slot.index_].seen.store(epoch_.load(std::memory_order_acquire),
                                       std::memory_order_release);
        epoch_.fetch_add(0, std::memory_order_acq_rel);
    }

    // Has a coming collect() call `run`, once, when no reader can hold a pointer to what it frees.
    template <class F>
    void retire(F&& run) {
        using Run = std::decay_t<F>;
        retire({.run =
                    [](void* what) {
                        auto* const call = static_cast<Run*>(what);
                        (*call)();
                        delete call;
                    },
                .what = new Run(std::forward<F>(run))});
    }

    // Calls what has become due, on this thread; callbacks may retire more. Costs one load when
    // nothing is retired.
    void collect() {
        if (waiting_.load(std::memory_order_relaxed) != 0) collect_due();
    }

    // How much is retired and not yet called.
    [[nodiscard]] std::size_t waiting() const noexcept {
        return waiting_.load(std::memory_order_relaxed);
    }

  private:
    static constexpr std::uint64_t kAsleep = ~std::uint64_t{0};

    struct alignas(64) Cell {
        std::atomic<std::uint64_t> seen{kAsleep};
        bool taken = false;  // guarded by lock_
    };

    struct Retired {
        void (*run)(void* what) = nullptr;
        void* what = nullptr;
        std::uint64_t epoch = 0;
    };

    void retire(Retired retired);
    void leave(Slot& slot) noexcept;
    void collect_due();

    alignas(64) std::atomic<std::uint64_t> epoch_{1};
    std::array<Cell, kReadersMax> cells_;
    std::atomic<std::size_t> waiting_{0};

    std::mutex lock_;
    // Guarded by lock_:
    std::size_t cells_used_ = 0;   // no cell behind it was ever taken
    std::deque<Retired> retired_;  // by epoch
};

}  // namespace firnlog::io
