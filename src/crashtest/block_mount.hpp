#pragma once
// BlockMount: a file as a block device, and a file system on it mounted in a folder.
//
// The loop device takes the file with direct I/O: with its page cache between, a write would be
// answered before the file had seen it, and what a cut took would still be read. It is told to
// detach itself when its last user goes, so that a mount taken away by force leaves no device.
// Everything here blocks and needs root; the caller is not the thread that serves the file.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/base/result.hpp"
#include "src/crashtest/fuse_disk.hpp"

namespace firnlog::crashtest {

enum class FileSystem : std::uint8_t { ext4, xfs, btrfs };

[[nodiscard]] std::optional<FileSystem> file_system_of(std::string_view name) noexcept;
[[nodiscard]] std::string_view name_of(FileSystem fs) noexcept;
// The smallest disk its mkfs takes.
[[nodiscard]] std::uint64_t bytes_min(FileSystem fs) noexcept;

struct Mounted {
    std::string source;
    std::string target;
    std::string minor;  // of its device; the number of a FUSE connection
};

// What /proc/self/mountinfo lists, oldest first.
[[nodiscard]] std::vector<Mounted> mounts();

// Ends a FUSE connection: whoever waits for its files gets an error. `folder` is where the kernel's
// list of them may be mounted for a moment, on a machine that has it nowhere.
void abort_fuse(const std::string& minor, const std::string& folder);

// Whatever uses files below `folder`: loop devices are detached. For what a killed run left.
void detach_loops_of(const std::string& folder);

// Of that one file system: sync(2) would wait for every other one of the machine, too.
[[nodiscard]] Result<void> sync_file_system(const std::string& folder);

class BlockMount {
  public:
    BlockMount(FileSystem fs, std::string options, std::string file, std::string folder)
        : fs_(fs),
          options_(std::move(options)),
          file_(std::move(file)),
          folder_(std::move(folder)) {}
    BlockMount(const BlockMount&) = delete;
    BlockMount& operator=(const BlockMount&) = delete;
    ~BlockMount();

    [[nodiscard]] Result<void> attach();
    [[nodiscard]] Result<void> make_file_system();  // mkfs's own words go to standard error
    [[nodiscard]] Result<void> mount();
    // Waits for users of the folder to go, a few seconds; then fails with EBUSY.
    [[nodiscard]] Result<void> unmount();
    void detach() noexcept;
    // For a file that nobody serves any more: without waiting for anybody.
    void abandon() noexcept;

    [[nodiscard]] const std::string& device() const noexcept { return device_; }
    [[nodiscard]] bool mounted() const noexcept { return mounted_; }
    // The file system's own places, as far as they are fixed, and its directories.
    [[nodiscard]] Result<std::vector<Stretch>> metadata() const;
    // Takes all free space, or gives it back.
    [[nodiscard]] Result<void> fill();
    [[nodiscard]] Result<void> free();

  private:
    FileSystem fs_;
    std::string options_;
    std::string file_;
    std::string folder_;
    std::string device_;
    int loop_ = -1;  // kept open: the device lives as long as this and the mount
    bool mounted_ = false;
};

}  // namespace firnlog::crashtest
