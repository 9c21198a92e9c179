#pragma once
// Reserve: room on the disk that nobody writes to, so that a walk can run when the disk is full.
//
//   reserve   | the next image | four segments |      one file, allocated, without content
//                 '- lent ────────────'                while a walk writes, and refilled behind it
//
// A walk gives back more than it writes, but first it must write. So what it needs is taken from
// here: the file is cut short, and what is cut off is allocated for the file that is written, in
// the same breath. The content means nothing and no start reads it; a start that finds it after a
// crash may remove it, to have room for the tail that it writes anew.
//
// The worker's; how much there is may be asked by any thread.

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "io/clock.hpp"
#include "io/files.hpp"

namespace firnlog::engine {

class Reserve {
  public:
    Reserve(io::Files& files, io::Clock& clock) : files_(files), clock_(clock) {}
    Reserve(const Reserve&) = delete;
    Reserve& operator=(const Reserve&) = delete;
    ~Reserve();

    // It should hold so much; more than that is not given back before it is lent.
    void want(std::uint64_t bytes) { wanted_.store(bytes, std::memory_order_relaxed); }
    // Allocates a piece of what is missing, but leaves `spared` of what is free; false if nothing
    // is missing, or nothing can be had for a while.
    bool refill(std::uint64_t spared);
    // Gives up to `bytes` of it to the file system, where they are to be allocated at once. Returns
    // how many.
    [[nodiscard]] std::uint64_t lend(std::uint64_t bytes);

    [[nodiscard]] std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t wanted() const { return wanted_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t missing() const {
        const auto held = bytes();
        return wanted() - std::min(wanted(), held);
    }

    // Removes the file, if there is one. Nobody has it open.
    [[nodiscard]] static Result<void> release(io::Files& files);

  private:
    Result<void> open();

    io::Files& files_;
    io::Clock& clock_;
    int fd_ = -1;
    io::MonoTime retry_at_;
    std::atomic<std::uint64_t> bytes_{0};
    std::atomic<std::uint64_t> wanted_{0};
};

}  // namespace firnlog::engine
