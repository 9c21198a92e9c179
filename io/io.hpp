#pragma once
// Io: the data seam, everything asynchronous one reactor asks of the kernel.
//
// An operation is a Completion and what it needs. The caller owns the Completion and everything the
// operation points at, and keeps both alive and unmoved until `run` was called for the last time.
// `run` is only ever called from inside turn(), on the thread that owns the Io; it may start
// further operations, also with the same Completion once that one is finished.
//
//   start ──> in flight ──run(more)──> in flight      accept and recv go on until `more` is false
//                       ──run(last)──> finished
//
// An Io belongs to one thread, the one that calls turn(); post() alone may be called from any
// other. Results are as in the kernel: a count or descriptor ≥ 0, or a negative errno. Source:
// io_uring(7), io_uring_setup(2).

#include <cstddef>
#include <cstdint>
#include <span>

#include "io/base/bytes.hpp"
#include "io/base/result.hpp"
#include "io/clock.hpp"

namespace firnlog::io {

struct Completion {
    // `result` as in the kernel; `more` is true while the same operation will complete again.
    void (*run)(Completion& self, std::int32_t result, bool more) = nullptr;
    // Free for whoever runs it: a queue of its own, for instance.
    Completion* next = nullptr;
};

// A piece of a file to be written: the buffers lie behind each other in the file.
struct WritePlan {
    int fd = -1;
    std::uint64_t offset = 0;
    std::span<const std::span<const std::byte>> pieces;  // at most kWritePiecesMax
};
inline constexpr std::size_t kWritePiecesMax = 8;

class Io {
  public:
    Io() = default;
    Io(const Io&) = delete;
    Io& operator=(const Io&) = delete;
    virtual ~Io() = default;

    // Accepts until cancelled or failed: each result is a connected, non-blocking descriptor.
    virtual void accept(int listener, Completion& done) = 0;

    // Receives until end of stream (result 0), error or cancel. While `run` is called with a result
    // > 0, received() is what has come; it is gone when `run` returns. -ENOBUFS with more == false:
    // nothing is lost, start again. Stop receiving (back-pressure) with cancel().
    virtual void recv(int fd, Completion& done) = 0;
    [[nodiscard]] virtual Bytes received() const noexcept = 0;

    // Sends some of the bytes; the result may be short.
    virtual void send(int fd, Bytes bytes, Completion& done) = 0;

    // Ends the operation in flight on `done`, whose run is then called with more == false and, if
    // it had not finished by itself, -ECANCELED.
    virtual void cancel(Completion& done) = 0;

    // Closes a descriptor on which nothing is in flight.
    virtual void close(int fd) = 0;

    // Reads at an offset; the result may be short at the end of the file only.
    virtual void read(int fd, std::uint64_t offset, MutableBytes into, Completion& done) = 0;

    // Writes all of the plan and, if `sync`, makes these bytes durable once they are all written
    // (RWF_DSYNC: as an fdatasync would, but of other bytes of the file nothing is promised). One
    // completion for both: 0, -EIO for a short write, or the first error. The plan's pieces must be
    // 4096-aligned in memory, file and length where the file was opened for direct writing.
    virtual void write(const WritePlan& plan, bool sync, Completion& done) = 0;

    // An fdatasync of writes that have completed.
    virtual void fsync(int fd, Completion& done) = 0;

    // Completes with 0 at `when` (monotonic), or -ECANCELED.
    virtual void timer(MonoTime when, Completion& done) = 0;

    // From any thread: has the owner run `done` with result 0 in a coming turn, waking it if it
    // sleeps. A Completion may be posted again only after it has run.
    virtual void post(Completion& done) = 0;

    // Submits what has been started, waits for a completion if `wait`, and runs those that are
    // ready. Errors are the ring's own; operations report theirs through their completions.
    virtual Result<void> turn(bool wait) = 0;

    // A turn that waits looks for a completion for so long before it sleeps; 0 unless told
    // otherwise. For what takes no longer than to be woken does; it has a core to itself meanwhile.
    virtual void look_before_sleep(std::int64_t us) = 0;

    // Completions are there already: the next turn will not sleep.
    [[nodiscard]] virtual bool ready() const noexcept = 0;
};

}  // namespace firnlog::io
