#pragma once
// Loader: brings in the stripes that a start left in its checkpoint's file.
//
//   begin()  their keys are counted; those that hang together with others, and the largest, come
//            at once; all others wait
//   load()   whoever touches a stripe first, under its lock: blobs read, checksums looked at, put
//            in (Keyspace::fetch)
//   step()   the worker, a few stripes at a time, until none waits
//   mend()   what is lost, and no more, is built without this checkpoint, and taken from there
//
// A stripe comes whole, with the keys of all databases and its objects, so that it never refers to
// what is not there. Where a key leads to an object of another stripe (after a RENAME) two of them
// would have to come under two locks: both come in begin(), where nobody else is.
//
// A stripe that cannot be read as it was written is lost: nothing of it is served, and nothing
// changes it, so that it is still as at the start when it is mended. No walk begins while one waits
// or is lost, so no file goes that a checkpoint needs.
//
// load() is called by any thread; all else belongs to the opening and then to the worker.

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/checkpoint_file.hpp"
#include "engine/index/image.hpp"
#include "io/clock.hpp"

namespace firnlog::engine {

class Loader {
  public:
    // These stripes as they were when the start was through, of an older checkpoint and its log; of
    // others there may be nothing. It may take as long as the log is long; `stop` ends it.
    using Rebuilt = Result<std::unique_ptr<Keyspace>>;
    using Rebuild =
        std::function<std::future<Rebuilt>(const std::atomic<bool>& stop, std::vector<Stripe>)>;

    // `reader` is of a counted checkpoint, its catalog is in the keyspace.
    Loader(Keyspace& keyspace, std::unique_ptr<CheckpointReader> reader, Moves moves);
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;

    // Before the first record is replayed. `progress` is told of bytes that were read; false gives
    // up (Code::busy). Another error is the checkpoint's.
    Result<void> begin(const std::function<bool(std::uint64_t)>& progress);

    // Some stripes that wait; false if there is nothing to do now. `hurry`: without a pause.
    bool step(io::Clock& clock, bool hurry);
    // None waits any more.
    [[nodiscard]] bool done() const { return at_ == kStripes; }

    Rebuild rebuild;  // set by the opening
    enum class Mending : std::uint8_t { idle, running, done, failed };
    // What becomes of lost stripes, once none waits. A failure is tried again after a while.
    Mending mend(io::Clock& clock, const std::atomic<bool>& stop);
    [[nodiscard]] FileNumber checkpoint() const { return number_; }

    // The last thing that went wrong: a stripe that was lost, or could not be mended. Any thread.
    [[nodiscard]] std::optional<Error> fault() const;

  private:
    bool load(Stripe stripe);
    Result<void> load_blobs(Stripe stripe);
    // Reads what load() will read, so that it need not wait for the disk under the lock.
    std::uint64_t warm(Stripe stripe);
    [[nodiscard]] std::span<const std::uint32_t> blobs_of(Stripe stripe) const {
        return std::span(order_).subspan(first_[stripe], first_[stripe + 1] - first_[stripe]);
    }
    void note(const Error& fault);
    [[nodiscard]] std::vector<Stripe> lost();
    // Stripes that the objects of this one's keys are at home in.
    [[nodiscard]] std::vector<Stripe> homes_of(Stripe stripe);

    Keyspace& keyspace_;
    std::unique_ptr<CheckpointReader> reader_;  // null once nothing waits
    const FileNumber number_;
    PageLoader pages_;
    std::vector<std::uint32_t> order_;  // blobs, by their stripes
    std::vector<std::uint32_t> first_;  // where each stripe's begin in it, and where the last end

    // Worker only.
    std::uint32_t at_ = 0;  // stripe
    io::MonoTime next_;     // not before
    std::vector<std::byte> warm_;
    std::vector<Stripe> mending_;
    std::future<Rebuilt> rebuilding_;
    io::MonoTime mend_again_;  // not before

    mutable std::mutex mutex_;
    std::optional<Error> fault_;
};

}  // namespace firnlog::engine
