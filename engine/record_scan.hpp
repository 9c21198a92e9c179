#pragma once
// RecordScan: the records of one full file, one after the other, whatever kind of file it is.
//
//   log      header | frame header, records | frame header, records | …   until no frame is valid
//   packed   header | lsn, record | lsn, record | …                       until its end
//
// Read in order through a window of bounded size, past the page cache where that is possible: what
// lies on the disk is what counts, and a file that is emptied is not worth caching; or from there,
// for who knows that it lies there anyway. Every record's checksum is looked at; the first that
// does not fit ends the scan, and is told. One thread.

#include <memory>
#include <optional>
#include <vector>

#include "engine/format/frame.hpp"
#include "engine/format/packed.hpp"
#include "engine/format/record.hpp"
#include "io/files.hpp"

namespace firnlog::engine {

class RecordScan {
  public:
    enum class From : std::uint8_t { disk, cache };
    // Of a log file whose first frame has the lsn `base`; from the frame at `offset` on.
    [[nodiscard]] static Result<std::unique_ptr<RecordScan>> log(
        io::Files& files, const StoreId& store_id, FileNumber number, Lsn base,
        std::uint64_t offset = kSegmentHeaderBytes, From from = From::disk);
    // Code::damaged if its header is not that of this file.
    [[nodiscard]] static Result<std::unique_ptr<RecordScan>> packed(io::Files& files,
                                                                    const StoreId& store_id,
                                                                    FileNumber number,
                                                                    From from = From::disk);
    RecordScan(const RecordScan&) = delete;
    RecordScan& operator=(const RecordScan&) = delete;
    ~RecordScan() { files_.close(fd_); }

    struct Item {
        std::uint64_t offset = 0;  // of the record
        Lsn lsn;
        Record record;
        Bytes bytes;  // all of it; both live until the next call
    };
    // Nothing behind the last one.
    [[nodiscard]] Result<std::optional<Item>> next();
    // The record that is known to lie at this offset, and no other; in ascending order it is read
    // ahead. Not mixed with next().
    [[nodiscard]] Result<Item> at(std::uint64_t offset);
    // Behind what was read last; where a fault lies.
    [[nodiscard]] std::uint64_t offset() const { return at_; }
    // Bytes of the file that were read so far.
    [[nodiscard]] std::uint64_t read_bytes() const { return read_bytes_; }
    // Of a packed file.
    [[nodiscard]] const PackedHeader& header() const { return header_; }
    // Of a log file: where the frame that the last record lies in begins.
    [[nodiscard]] std::uint64_t frame_offset() const { return frame_at_; }

  private:
    RecordScan(io::Files& files, const StoreId& store_id, FileNumber number, int fd)
        : files_(files),
          store_id_(store_id),
          number_(number),
          fd_(fd),
          frame_seed_(store_id),
          record_seed_(store_id) {}
    [[nodiscard]] Result<bool> open_frame();
    [[nodiscard]] Result<Lsn> lead();
    [[nodiscard]] Result<Item> record(Lsn lsn, std::uint64_t end);
    // As many bytes from `at_` on as there are, up to `want`.
    [[nodiscard]] Result<Bytes> look(std::size_t want);
    [[nodiscard]] tl::unexpected<Error> damaged(const char* doing) const;

    io::Files& files_;
    const StoreId store_id_;
    const FileNumber number_;
    const int fd_;
    const FrameSeed frame_seed_;
    const RecordSeed record_seed_;
    PackedHeader header_;
    bool packed_ = false;
    Lsn base_;
    std::uint64_t at_ = 0;
    std::uint64_t frame_at_ = 0;   // log: of the frame at hand
    std::uint64_t frame_end_ = 0;  // the same
    std::uint64_t seen_ = 0;       // packed: records
    std::uint64_t read_bytes_ = 0;

    std::vector<std::byte> memory_;  // the window [begin_, end_) of the file, block-aligned within
    std::byte* window_ = nullptr;
    std::uint64_t begin_ = 0;
    std::uint64_t end_ = 0;
};

}  // namespace firnlog::engine
