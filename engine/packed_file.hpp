#pragma once
// PackedWriter: a packed segment, record by record.
//
//   begin ── add … add ── finish ─┬─ synced, header last ── read back ── it may be led into
//                                 └─ abandon: the file goes
//
// It keeps less than a MiB in memory, and no more than that unsynced on its way to the disk: the
// log's own syncs would wait for it. One thread.

#include <vector>

#include "engine/format/packed.hpp"
#include "io/files.hpp"

namespace firnlog::engine {

class PackedWriter {
  public:
    PackedWriter(io::Files& files, const StoreId& store_id) : files_(files), store_id_(store_id) {}
    PackedWriter(const PackedWriter&) = delete;
    PackedWriter& operator=(const PackedWriter&) = delete;
    ~PackedWriter() { close(); }

    // `room`: so many bytes are allocated for it, which somebody has just made free.
    Result<void> begin(FileNumber number, std::uint64_t room = 0);
    // Returns the offset that the record will have.
    Result<std::uint64_t> add(Lsn lsn, Bytes record);
    Result<void> finish();
    // Closes the file and removes it.
    void abandon();

    [[nodiscard]] bool active() const { return fd_ >= 0; }
    [[nodiscard]] FileNumber number() const { return header_.number; }
    [[nodiscard]] std::uint64_t bytes() const { return written_ + buffer_.size(); }
    [[nodiscard]] std::uint64_t records() const { return header_.records; }

  private:
    static constexpr std::size_t kPiece = std::size_t{256} << 10;
    static constexpr std::uint64_t kSyncEvery = std::uint64_t{1} << 20;
    Result<void> flush();
    void close();

    io::Files& files_;
    const StoreId store_id_;
    PackedHeader header_;
    int fd_ = -1;
    std::uint64_t written_ = 0;
    std::uint64_t synced_ = 0;
    std::uint64_t room_ = 0;
    std::vector<std::byte> buffer_;
};

}  // namespace firnlog::engine
