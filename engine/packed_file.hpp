#pragma once
// PackedWriter: a packed segment, record by record.
//
//   begin ── add … add ── finish ─┬─ synced, header last ── read back ── it may be led into
//                                 └─ abandon: the file goes
//
// It keeps less than a MiB in memory. One thread.

#include "engine/format/packed.hpp"
#include "engine/sequential_file.hpp"

namespace firnlog::engine {

class PackedWriter {
  public:
    PackedWriter(io::Files& files, const StoreId& store_id) : store_id_(store_id), file_(files) {}

    // `room`: so many bytes are allocated for it, which somebody has just made free.
    Result<void> begin(FileNumber number, std::uint64_t room = 0);
    // Returns the offset that the record will have.
    Result<std::uint64_t> add(Lsn lsn, Bytes record);
    Result<void> finish();
    // Closes the file and removes it.
    void abandon() { file_.abandon(); }

    [[nodiscard]] bool active() const { return file_.active(); }
    [[nodiscard]] FileNumber number() const { return header_.number; }
    [[nodiscard]] std::uint64_t bytes() const { return file_.bytes(); }
    [[nodiscard]] std::uint64_t records() const { return header_.records; }

  private:
    const StoreId store_id_;
    PackedHeader header_;
    SequentialFile file_;
};

}  // namespace firnlog::engine
