#pragma once
// CheckpointWriter, CheckpointReader: a checkpoint's file, piece by piece.
//
//   begin ── add … add ── finish ─┬─ synced ── CheckpointReader over all of it ── it may be named
//                                 └─ abandon: the file goes
//
// Neither keeps more than about a MiB in memory, beside the directory. Nothing here is trusted
// before its checksum has been found right. One thread, but where something else is said.

#include <memory>
#include <string>
#include <vector>

#include "engine/format/checkpoint.hpp"
#include "engine/sequential_file.hpp"

namespace firnlog::engine {

class CheckpointWriter {
  public:
    CheckpointWriter(io::Files& files, const StoreId& store_id)
        : store_id_(store_id), file_(files) {}

    // `room`: so many bytes are allocated for it, which somebody has just made free.
    Result<void> begin(const CheckpointHeader& header, std::uint64_t room = 0);
    // What a blob is, but for its place and checksum, which are filled in.
    Result<void> add(BlobEntry entry, Bytes blob);
    // Writes what has gathered, if that is worth it.
    Result<void> write_some() { return file_.write_some(); }
    // Directory, trailer, sync; the name is made durable too.
    Result<void> finish(Lsn lo, Lsn hi, std::uint64_t keys);
    // Closes the file and removes it.
    void abandon() { file_.abandon(); }

    [[nodiscard]] bool active() const { return file_.active(); }
    [[nodiscard]] FileNumber number() const { return header_.number; }
    [[nodiscard]] std::uint64_t bytes() const { return file_.bytes(); }

  private:
    const StoreId store_id_;
    CheckpointHeader header_;
    SequentialFile file_;
    std::vector<std::byte> directory_;
};

class CheckpointReader {
  public:
    // Code::damaged if anything of header, trailer or directory is not as it was written.
    // `direct`: past the page cache, where there is such a thing.
    [[nodiscard]] static Result<std::unique_ptr<CheckpointReader>> open(io::Files& files,
                                                                        FileNumber number,
                                                                        const StoreId& store_id,
                                                                        bool direct = false);
    CheckpointReader(const CheckpointReader&) = delete;
    CheckpointReader& operator=(const CheckpointReader&) = delete;
    ~CheckpointReader() { files_.close(fd_); }

    [[nodiscard]] const CheckpointHeader& header() const { return header_; }
    [[nodiscard]] const CheckpointTrailer& trailer() const { return trailer_; }
    [[nodiscard]] const std::vector<BlobEntry>& blobs() const { return blobs_; }
    [[nodiscard]] std::uint64_t bytes() const { return size_; }

    // One blob, verified; the view lives until the next call. Going on in order reads ahead.
    Result<Bytes> blob(std::size_t i);
    // The same, into memory of the caller's; any thread, and not of a direct file.
    Result<Bytes> blob(const BlobEntry& entry, std::vector<std::byte>& into) const;

  private:
    CheckpointReader(io::Files& files, FileNumber number, const StoreId& store_id, int fd)
        : files_(files), number_(number), store_id_(store_id), fd_(fd) {}
    Result<void> read_frame();
    Result<Bytes> read(std::uint64_t offset, std::uint64_t length);
    [[nodiscard]] Result<Bytes> verified(const BlobEntry& entry, Bytes bytes) const;

    io::Files& files_;
    const FileNumber number_;
    const StoreId store_id_;
    const int fd_;
    std::uint64_t size_ = 0;
    CheckpointHeader header_;
    CheckpointTrailer trailer_;
    std::vector<BlobEntry> blobs_;

    std::vector<std::byte> memory_;  // the window [begin_, end_) of the file, block-aligned within
    std::byte* window_ = nullptr;
    std::uint64_t begin_ = 0;
    std::uint64_t end_ = 0;
};

}  // namespace firnlog::engine
