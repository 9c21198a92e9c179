#pragma once
// PointReads: records of log files at places that are known.
//
// Each is verified. Places asked for in the order of the log cost little more than reading what
// lies between them, where that is little. One thread.

#include <vector>

#include "engine/format/record.hpp"
#include "io/files.hpp"
#include "recovery/sidecar_file.hpp"

namespace firnlog::recovery {

class PointReads {
  public:
    PointReads(io::Files& files, const engine::StoreId& store_id)
        : files_(files), seed_(store_id) {}
    PointReads(const PointReads&) = delete;
    PointReads& operator=(const PointReads&) = delete;
    ~PointReads() { close(); }

    struct Found {
        engine::Record record;
        Bytes bytes;  // all of it; both live until the next call
    };
    // Code::damaged if there is no record that fits.
    Result<Found> at(const LogStretch& stretch, std::uint64_t offset);

  private:
    // As many bytes from the offset on as there are, up to `want`.
    Result<Bytes> look(std::uint64_t offset, std::size_t want);
    void close();

    io::Files& files_;
    const engine::RecordSeed seed_;
    engine::FileNumber number_ = 0;  // of the file that is open
    int fd_ = -1;
    std::vector<std::byte> window_;
    std::uint64_t begin_ = 0;  // where in the file it lies
    std::uint64_t end_ = 0;
};

}  // namespace firnlog::recovery
