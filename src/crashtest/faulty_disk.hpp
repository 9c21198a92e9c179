#pragma once
// FaultyDisk: a file system on a disk that can be told to fail, and to lose its power.
//
//   /run/firnlog-faultdisk/PID/ state     locked by the keeper; names the folder
//                               disk/     the mount of DiskProcess, holding the file
//                               control   a socket: one command a line, one line of answer
//   FOLDER                                the file system, for the server under test
//
// This is the keeper of disk_process.hpp: it mounts and unmounts, and is served by another process.
// Whatever happened to a run, its folder under /run tells what it held: when nobody holds the lock
// of `state`, `clean` unmounts, detaches and removes. Every start cleans first.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "io/base/result.hpp"
#include "src/crashtest/block_mount.hpp"
#include "src/crashtest/disk_process.hpp"
#include "src/crashtest/fuse_disk.hpp"

namespace firnlog::crashtest {

struct DiskOptions {
    std::string folder;
    FileSystem fs = FileSystem::ext4;
    std::uint64_t bytes = std::uint64_t{1} << 30U;
    std::string mount_options;
    std::uint32_t flush_ms = 0;
    Broken broken = Broken::nothing;
    bool lying = false;
};

class FaultyDisk {
  public:
    [[nodiscard]] static Result<std::unique_ptr<FaultyDisk>> make(const DiskOptions& options);
    FaultyDisk(const FaultyDisk&) = delete;
    FaultyDisk& operator=(const FaultyDisk&) = delete;
    ~FaultyDisk();

    // Tidies what killed runs left; how many.
    static int clean();
    // The control socket of the live run whose file system is mounted at `folder`.
    [[nodiscard]] static std::optional<std::string> control_of(const std::string& folder);

    // One command of kDiskCommands; the answer begins with "ok" or "error".
    [[nodiscard]] std::string obey(std::string_view line);

    // The process that serves the disk has ended: all that is left to do is to tidy.
    [[nodiscard]] bool gone() const { return disk_->gone(); }
    [[nodiscard]] int line() const noexcept { return disk_->line(); }  // readable once it has

    [[nodiscard]] const std::string& device() const noexcept { return mount_->device(); }
    [[nodiscard]] std::string control() const { return state_folder_ + "/control"; }

  private:
    FaultyDisk() = default;
    [[nodiscard]] Result<void> begin(const DiskOptions& options);
    [[nodiscard]] std::string cut(const std::string& command);
    [[nodiscard]] std::string break_data();
    [[nodiscard]] std::string status() const;

    std::string folder_;
    std::string state_folder_;
    int state_ = -1;
    std::unique_ptr<DiskProcess> disk_;
    std::unique_ptr<BlockMount> mount_;
};

inline constexpr std::string_view kDiskCommands =
    R"(  status                           what the disk has seen, and its faults
  eio off|data|all|flush           writes of data, everything, or flushes answer EIO
  flush-ms N                       a flush takes N milliseconds
  lying on|off                     flushes are answered and do nothing
  full on|off                      no free space is left in the file system
  freeze                           the power goes: nothing is answered any more
  discard                          what waits is answered, and will not last
  cut none|all|prefix|subset SEED  the power is back: unmounts, keeps what was flushed and that
                                   part of the rest, mounts again. freeze comes first, then the
                                   server is killed, then discard
  find BYTES                       durable: these bytes are where no cut can take them; lost: the
                                   last cut took them; unseen
)";

}  // namespace firnlog::crashtest
