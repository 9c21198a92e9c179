#pragma once
// SidecarDraft, SidecarReader: a log file's sidecar, from the log and from the disk.
//
//   log file ──read_on … read_on──> draft, in the order of the log ──write──> 0000000012.side
//                                     │                                         │
//                                     ╰── each can be looked up in: find(hashes) ──> places
//
// A draft reads each byte of the log once, past the page cache, and can be looked up in while the
// file is still written into. It takes 8 bytes of memory a record. What is written is not synced:
// nothing depends on it. Who finds a block damaged makes the sidecar anew. One thread each.

#include <memory>
#include <span>
#include <vector>

#include "engine/format/sidecar.hpp"
#include "io/files.hpp"

namespace firnlog::recovery {

// Of a log file what counts of it: up to `end`, the end of a batch. `full`: nothing is appended.
struct LogStretch {
    engine::FileNumber number = 0;
    engine::Lsn base;
    engine::Lsn end;
    bool full = false;

    [[nodiscard]] std::uint64_t offset_of(engine::Lsn lsn) const {
        return engine::kSegmentHeaderBytes + (lsn - base);
    }
    [[nodiscard]] engine::Lsn lsn_at(std::uint64_t offset) const {
        return base + (offset - engine::kSegmentHeaderBytes);
    }
};

using SidecarRanges = std::span<const engine::SidecarRange>;

class SidecarDraft {
  public:
    SidecarDraft(const engine::StoreId& store_id, engine::FileNumber number, engine::Lsn base)
        : store_id_(store_id), number_(number), base_(base), end_(base) {}

    // Takes in records before `to`, a batch's end that is on the disk: so many bytes of them,
    // about.
    Result<void> read_on(io::Files& files, const engine::SidecarHasher& hasher, engine::Lsn to,
                         std::uint64_t bytes_max);
    // Every record before it is in.
    [[nodiscard]] engine::Lsn end() const { return end_; }

    // Appends them.
    void find(SidecarRanges ranges, std::vector<engine::SidecarEntry>& into) const;
    // Makes the file; one that is there is replaced. Returns its size.
    [[nodiscard]] Result<std::uint64_t> write(io::Files& files) const;

  private:
    const engine::StoreId store_id_;
    const engine::FileNumber number_;
    const engine::Lsn base_;
    engine::Lsn end_;
    std::uint64_t frame_at_ = engine::kSegmentHeaderBytes;  // of the frame that `end_` lies in
    std::vector<engine::SidecarEntry> landmarks_;           // of frames, in the order of the log
    std::vector<engine::SidecarEntry> entries_;             // all others, in that order
};

class SidecarReader {
  public:
    // Code::damaged unless it is the sidecar of this stretch, all of it.
    [[nodiscard]] static Result<std::unique_ptr<SidecarReader>> open(
        io::Files& files, const engine::StoreId& store_id, const LogStretch& stretch);
    SidecarReader(const SidecarReader&) = delete;
    SidecarReader& operator=(const SidecarReader&) = delete;
    ~SidecarReader() { files_.close(fd_); }

    // Appends them. Code::damaged if a block is not what was written.
    Result<void> find(SidecarRanges ranges, std::vector<engine::SidecarEntry>& into);

  private:
    SidecarReader(io::Files& files, int fd) : files_(files), fd_(fd) {}
    // The first block that may hold the hash, loaded; the number of blocks if there is none.
    [[nodiscard]] Result<std::uint64_t> seek(std::uint32_t hash);
    Result<void> load(std::uint64_t block);
    [[nodiscard]] std::span<const engine::SidecarEntry> loaded() const {
        return std::span(entries_).first(count_);
    }

    io::Files& files_;
    const int fd_;
    engine::SidecarHeader header_;
    std::uint64_t block_ = UINT64_MAX;  // that is loaded
    std::size_t count_ = 0;
    std::array<engine::SidecarEntry, engine::kSidecarBlockEntries> entries_{};
};

}  // namespace firnlog::recovery
