#pragma once
// SequentialFile: a file that is written from its beginning to its end, and counts when it is
// whole.
//
//   begin ── pending() grows ── write_some … ──> 64 KiB, and each on the disk before the next
//         ── finish: the rest, synced, its name durable
//         └─ abandon: the file goes
//
// A log beside it hardly waits: no write of the log finds more than one piece before it in the
// disk's queue, and nothing is committed before the end (docs/adr/0021). One thread.

#include <string>
#include <vector>

#include "io/files.hpp"

namespace firnlog::engine {

class SequentialFile {
  public:
    explicit SequentialFile(io::Files& files) : files_(files) {}
    SequentialFile(const SequentialFile&) = delete;
    SequentialFile& operator=(const SequentialFile&) = delete;
    ~SequentialFile() { close(); }

    // What is pending goes there from offset `from` on. `room`: so many bytes are allocated for it,
    // which somebody has just made free.
    Result<void> begin(std::string name, std::uint64_t from = 0, std::uint64_t room = 0);
    // Bytes that are not written yet: to be appended to.
    [[nodiscard]] std::vector<std::byte>& pending() { return pending_; }
    // Writes them, if they are worth it.
    Result<void> write_some();
    // `head`, if there is one, to the beginning, behind all else.
    Result<void> finish(Bytes head = {}, bool synced = true);
    // Closes the file and removes it.
    void abandon();

    [[nodiscard]] bool active() const { return fd_ >= 0; }
    // Written and pending, and what lies before them.
    [[nodiscard]] std::uint64_t bytes() const { return written_ + pending_.size(); }

  private:
    Result<void> flush();
    void close();

    io::Files& files_;
    std::string name_;
    int fd_ = -1;
    std::uint64_t written_ = 0;
    std::uint64_t room_ = 0;
    std::vector<std::byte> pending_;
};

}  // namespace firnlog::engine
