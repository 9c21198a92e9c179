#pragma once
// FuseDisk: a DiskImage as one file in a FUSE mount, with the faults of a real drive.
//
//   file system -> loop device -> MOUNT/disk -> [this] -> DiskImage
//
// The file is opened for direct I/O on both sides, so nothing between the file system and this
// object remembers a byte: every write and every flush arrives, and what a cut took cannot come
// back out of a cache.
//
//   running --freeze()--> frozen (nothing is answered) --discard()--> discarding --cut()--> running
//
// Between freeze and discard the server is killed, so that it acknowledges nothing after the cut.
// While discarding, requests are answered so that the file system can be unmounted, and change
// nothing that lasts.
//
// One thread answers requests; a flush that is to be slow is answered by a second one, so that
// reads and writes go on meanwhile. `lock_` guards all that they and the owner share.

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "io/base/result.hpp"
#include "src/crashtest/disk_image.hpp"

struct fuse_session;
struct fuse_req;

namespace firnlog::crashtest {

// What answers EIO. `data` spares the file system's own blocks, so that it stays mounted.
enum class Broken : std::uint8_t { nothing, data, all, flush };

[[nodiscard]] std::optional<Broken> broken_of(std::string_view name) noexcept;
[[nodiscard]] std::string_view name_of(Broken broken) noexcept;

// A stretch of the disk that belongs to the file system itself.
struct Stretch {
    std::uint64_t begin;
    std::uint64_t end;
};

struct Faults {
    Broken broken = Broken::nothing;
    std::uint32_t flush_ms = 0;
    bool lying = false;             // flushes are answered and do nothing
    std::vector<Stretch> metadata;  // ascending; for Broken::data
};

struct Traffic {
    std::uint64_t reads = 0;
    std::uint64_t writes = 0;
    std::uint64_t bytes_written = 0;
    std::uint64_t flushes = 0;
    std::uint64_t failed = 0;  // answered with EIO
    std::uint64_t pending = 0;
};

class FuseDisk {
  public:
    static constexpr std::string_view kFile = "disk";

    // Mounts on `folder`, which exists, and answers as long as the process lives: that it ends is
    // what surely ends the connection.
    [[nodiscard]] static Result<std::unique_ptr<FuseDisk>> make(DiskImage image,
                                                                const std::string& folder);
    FuseDisk(const FuseDisk&) = delete;
    FuseDisk& operator=(const FuseDisk&) = delete;
    ~FuseDisk();

    void set(Faults faults);
    [[nodiscard]] Faults faults() const;
    [[nodiscard]] Traffic traffic() const;

    void freeze();
    void discard();
    [[nodiscard]] bool running() const;
    Cut cut(Keep keep, std::uint64_t seed);
    [[nodiscard]] Trace find(std::string_view bytes) const;

  private:
    friend struct Requests;  // the callbacks of libfuse, which are C functions

    enum class Phase : std::uint8_t { running, frozen, discarding };
    struct SlowFlush {
        fuse_req* request;
        std::uint64_t mark;
        std::int64_t due_ns;
    };

    explicit FuseDisk(DiskImage image) : image_(std::move(image)) {}
    [[nodiscard]] std::unique_lock<std::mutex> enter();
    [[nodiscard]] bool is_data(std::uint64_t offset, const char* bytes, std::size_t size) const;
    void flush_slowly();

    fuse_session* session_ = nullptr;
    std::thread requests_;
    std::thread flusher_;

    // Guarded by lock_.
    mutable std::mutex lock_;
    std::condition_variable phase_changed_;
    std::condition_variable flush_due_;
    DiskImage image_;
    Phase phase_ = Phase::running;
    Faults faults_;
    Traffic traffic_;
    std::deque<SlowFlush> slow_;
};

}  // namespace firnlog::crashtest
