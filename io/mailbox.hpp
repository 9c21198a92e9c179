#pragma once
// Mailbox: Completions that any thread posts to the owner of a ring, who may be asleep in the
// kernel.
//
//   poster: push onto stack_, then read asleep_       owner: set asleep_, then read stack_
//
// All four are seq_cst, hence in one order: either the poster sees the owner asleep and wakes it,
// or the owner sees the stack and does not fall asleep. The first poster that takes asleep_ back to
// false writes the eventfd, on which a poll is armed as long as the ring lives; it is never read,
// as every write to it is an event. The push releases and take() acquires what the poster wrote
// before. Nothing is popped but the whole stack: no ABA. post() may be called from a signal
// handler.

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>

#include "io/io.hpp"

namespace firnlog::io {

class Mailbox {
  public:
    explicit Mailbox(int wake_fd) : wake_fd_(wake_fd) {}
    Mailbox(const Mailbox&) = delete;
    Mailbox& operator=(const Mailbox&) = delete;
    ~Mailbox() { ::close(wake_fd_); }

    [[nodiscard]] int wake_fd() const { return wake_fd_; }

    void post(Completion& done) {
        Completion* top = stack_.load(std::memory_order_relaxed);
        do {
            done.next = top;
        } while (!stack_.compare_exchange_weak(top, &done, std::memory_order_seq_cst,
                                               std::memory_order_relaxed));
        if (asleep_.load(std::memory_order_seq_cst) &&
            asleep_.exchange(false, std::memory_order_seq_cst))
            ::eventfd_write(wake_fd_, 1);
    }

    [[nodiscard]] bool empty() const { return stack_.load(std::memory_order_relaxed) == nullptr; }

    // False if something has been posted: then there is nothing to wait for.
    [[nodiscard]] bool fall_asleep() {
        asleep_.store(true, std::memory_order_seq_cst);
        if (stack_.load(std::memory_order_seq_cst) == nullptr) return true;
        wake_up();
        return false;
    }
    void wake_up() { asleep_.store(false, std::memory_order_relaxed); }

    // What was posted, oldest first.
    [[nodiscard]] Completion* take() {
        Completion* newest = stack_.exchange(nullptr, std::memory_order_acquire);
        Completion* oldest = nullptr;
        while (newest != nullptr) {
            Completion* const older = newest->next;
            newest->next = oldest;
            oldest = newest;
            newest = older;
        }
        return oldest;
    }

  private:
    const int wake_fd_;
    alignas(64) std::atomic<Completion*> stack_{nullptr};
    std::atomic<bool> asleep_{false};
};

}  // namespace firnlog::io
