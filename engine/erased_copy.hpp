#pragma once
// Erased copies: a full file written anew under another number, without some of what it says.
//
//   log      0000000012.log  ──records erased, frames sealed anew──> 0000000047.log.new
//   packed   0000000014.pack ──records erased──────────────────────> 0000000048.pack
//   image    0000000013.ckpt ──a key and objects left out──────────> 0000000049.ckpt
//
// An erased record is as long as the one that it was, so of a log or packed file every offset and
// every lsn is the same in the copy. Of a bind record its object may be left, for others. What lay
// behind the frames does not come along. The file that is copied is only read.
//
//   step … step ─┬─ false: written, synced, read back; it may be named
//                └─ abandon: the copy goes
//
// Nothing is copied of a file that is damaged. One thread.

#include <functional>
#include <memory>
#include <set>

#include "engine/checkpoint_file.hpp"
#include "engine/format/record.hpp"
#include "engine/index/image_without.hpp"
#include "engine/packed_file.hpp"
#include "engine/record_scan.hpp"
#include "io/files.hpp"

namespace firnlog::engine {

class ErasedCopy {
  public:
    ErasedCopy() = default;
    ErasedCopy(const ErasedCopy&) = delete;
    ErasedCopy& operator=(const ErasedCopy&) = delete;
    virtual ~ErasedCopy() = default;

    // One piece of work; false when the copy is done.
    virtual Result<bool> step() = 0;
    virtual void abandon() = 0;
    // Records, or of an image keys and objects, that are not in it as they were.
    [[nodiscard]] std::uint64_t gone() const { return gone_; }
    // Written so far.
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  protected:
    std::uint64_t gone_ = 0;
    std::uint64_t bytes_ = 0;
};

enum class Fate : std::uint8_t {
    stays,
    erased,
    object,  // of a bind record: that the object exists, and no more
};
using Judge = std::function<Fate(const Record&, Lsn)>;

// A log file with frames of [base, end); `to` is the number of the copy.
struct LogToCopy {
    FileNumber number = 0;
    Lsn base;
    std::uint64_t end = 0;  // offset
};
[[nodiscard]] std::unique_ptr<ErasedCopy> erased_copy(io::Files& files, const StoreId& store_id,
                                                      const LogToCopy& log, FileNumber to,
                                                      Judge judge);
[[nodiscard]] std::unique_ptr<ErasedCopy> erased_copy(io::Files& files, const StoreId& store_id,
                                                      FileNumber packed, FileNumber to,
                                                      Judge judge);

// What an image is to be without: a key, in these keyspaces, where its record is an old one, and
// these objects.
struct LeftOut {
    Stripe stripe = 0;
    Tag tag;
    std::set<Kid> kids;
    std::set<Oid> oids;
    AddressGoes is_old;
    [[nodiscard]] bool concerns(const BlobEntry& blob) const;
};
// Whether the image has anything of that.
[[nodiscard]] Result<bool> has_any_of(CheckpointReader& image, const LeftOut& left_out);
[[nodiscard]] std::unique_ptr<ErasedCopy> erased_copy(io::Files& files, const StoreId& store_id,
                                                      std::unique_ptr<CheckpointReader> image,
                                                      FileNumber to, const LeftOut& left_out);

}  // namespace firnlog::engine
