#pragma once
// LogReader: the frames of one log file, verified one after the other.
//
// The file, or a part of it that begins with a frame, is read into memory that the reader owns (a
// segment is at most 512 MiB), so that no damaged sector can raise a signal and nothing changes
// under the checks. A frame counts as a whole: its header's checksum, its length, each record's
// checksum and their sum must fit.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/format/frame.hpp"
#include "engine/format/manifest.hpp"
#include "engine/format/record.hpp"
#include "engine/format/segment.hpp"
#include "io/files.hpp"

namespace firnlog::recovery {

// A file in the directory whose name is that of a log segment.
struct LogFile {
    engine::FileNumber number = 0;
    std::uint64_t bytes = 0;
    std::uint64_t links = 1;
    engine::SegmentHeaderRead header;

    [[nodiscard]] bool in_use() const { return header.fault == engine::HeaderFault::none; }
    [[nodiscard]] engine::Lsn base() const { return header.header.base; }
    // Behind its frames there may be what it held before it was used again; else only zeros.
    [[nodiscard]] bool may_be_stale() const { return header.header.stale.value != 0; }
};

// All of them, ascending by number, with their headers read.
[[nodiscard]] Result<std::vector<LogFile>> find_log_files(io::Files& files,
                                                          const engine::StoreId& store_id);

class LogReader {
  public:
    LogReader(const engine::StoreId& store_id, const LogFile& file);

    // Reads the file, into memory that another reader had if there is some. A sector that cannot
    // be read is zeros here; unreadable() tells.
    Result<void> load(io::Files& files, std::vector<std::byte> memory = {});
    // As many bytes as that from the frame at `from` on, which is the next one.
    Result<void> load_part(io::Files& files, std::uint64_t from, std::uint64_t bytes);
    // Up to the file's end.
    [[nodiscard]] bool loaded_all() const { return loaded_end() >= file_.bytes; }
    // Its memory, for another one.
    [[nodiscard]] std::vector<std::byte> release() { return std::move(bytes_); }

    struct Frame {
        engine::FrameHeader header;
        std::uint64_t offset = 0;  // of the header in the file
        Bytes records;
        std::size_t whole = 0;  // of records: up to the end of the last batch that ends in it

        // As if it ended there, at the end of a batch.
        void cut(std::size_t bytes) {
            records = records.first(bytes);
            whole = bytes;
        }
    };
    // The next frame; nothing where none is valid, and then end() and rest() speak of that place.
    [[nodiscard]] std::optional<Frame> next();
    void rewind() { at_ = engine::kSegmentHeaderBytes; }
    void seek(std::uint64_t offset) { at_ = offset; }

    // Behind the last valid frame.
    [[nodiscard]] std::uint64_t end_offset() const { return at_; }
    [[nodiscard]] engine::Lsn end() const {
        return file_.base() + (at_ - engine::kSegmentHeaderBytes);
    }
    // What was written behind it, all that is not zero, whatever it is now. Of a file that was used
    // again: up to the last frame that is valid at its place, or record near by. What is stale is
    // valid at no place of this file.
    [[nodiscard]] Bytes rest() const;
    [[nodiscard]] bool rest_is_zero() const;  // there is nothing of that
    // From the file's beginning to the end of the rest, where all of it is loaded.
    [[nodiscard]] Bytes written() const;
    // The highest durable_lsn in any header that is valid at its place behind end(), whatever lies
    // between, and how many records those frames claim.
    struct Behind {
        engine::Lsn vouched;
        std::uint64_t frames = 0;
        std::uint64_t records = 0;
    };
    [[nodiscard]] Behind look_behind() const;

    [[nodiscard]] const LogFile& file() const { return file_; }
    [[nodiscard]] Bytes bytes() const { return bytes_; }
    [[nodiscard]] bool unreadable() const { return unreadable_; }
    [[nodiscard]] const engine::RecordSeed& record_seed() const { return record_seed_; }
    [[nodiscard]] const engine::FrameSeed& frame_seed() const { return frame_seed_; }

  private:
    void read_into_memory(io::Files& files, int fd);
    [[nodiscard]] std::uint64_t loaded_end() const { return from_ + bytes_.size(); }
    // What is loaded from an offset on.
    [[nodiscard]] Bytes loaded(std::uint64_t offset) const {
        return Bytes(bytes_).subspan(std::min<std::uint64_t>(offset - from_, bytes_.size()));
    }
    // Sets `whole`.
    [[nodiscard]] bool records_fit(Frame& frame) const;
    template <class See>
    void each_header_behind(See&& see) const;
    [[nodiscard]] std::uint64_t end_of_fresh() const;

    LogFile file_;
    engine::FrameSeed frame_seed_;
    engine::RecordSeed record_seed_;
    std::vector<std::byte> bytes_;
    std::uint64_t from_ = 0;  // where in the file bytes_ begin
    std::uint64_t at_ = engine::kSegmentHeaderBytes;
    bool unreadable_ = false;
};

// What frames tell of a file whose header is lost, those that are valid by themselves wherever they
// stand. The newest one says where the file begins; those that do not agree with it are stale, from
// before it was used again.
struct HeadlessLog {
    engine::Lsn base;
    engine::Timeline timeline = 0;
    engine::Lsn stale;         // what does not agree is before it; zero: all do
    LogReader::Behind behind;  // of those that do agree; a stale voucher is a true one, too
};
// Nothing if there is no such frame. `reader` is loaded.
[[nodiscard]] std::optional<HeadlessLog> look_at_headless(const LogReader& reader);

}  // namespace firnlog::recovery
