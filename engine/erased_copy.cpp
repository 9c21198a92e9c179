#include "engine/erased_copy.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/format/frame.hpp"
#include "engine/format/names.hpp"
#include "engine/format/segment.hpp"
#include "engine/sequential_file.hpp"
#include "io/base/crc32c.hpp"

namespace firnlog::engine {
namespace {

// Of one step.
constexpr std::uint64_t kStepBytes = std::uint64_t{512} << 10;

// In the place of a record; its checksum too.
void put(std::byte* at, Fate fate, const Decoded& was, std::uint32_t seed) {
    const auto flags = was.record.flags & RecordFlags::last_of_batch;
    const std::string type(was.record.value.substr(0, 1));
    Record record{.kind = Kind::erased, .flags = static_cast<std::uint8_t>(flags)};
    if (fate == Fate::object) {
        record.kind = Kind::object;
        record.flags |= RecordFlags::has_oid;
        record.oid = was.record.oid;
        record.value = type;
    }
    encode_in_place(record, was.size, at);
    (void)seal_record(at, was.size, flags != 0, seed);
}

// Reads a log file frame by frame; writes it, while it is not read back.
class LogCopy : public ErasedCopy {
  public:
    LogCopy(io::Files& files, const StoreId& store_id, const LogToCopy& log, FileNumber to,
            Judge judge)
        : files_(files),
          store_id_(store_id),
          log_(log),
          to_(to),
          judge_(std::move(judge)),
          frame_seed_(store_id),
          record_seed_(store_id),
          out_(files) {}
    ~LogCopy() override { close(); }

    Result<bool> step() override {
        if (in_ < 0)
            if (auto begun = begin(); !begun) return fail(begun);
        const auto from = at_;
        while (at_ != log_.end) {
            if (at_ - from >= kStepBytes) return true;
            if (auto taken = take_frame(); !taken) return fail(taken);
        }
        if (!out_.active()) {
            close();
            return false;
        }
        if (auto ended = end_writing(); !ended) return fail(ended);
        return true;
    }

    void abandon() override {
        close();
        out_.abandon();
    }

  private:
    [[nodiscard]] tl::unexpected<Error> damaged() const {
        return fail(Error{
            .code = Code::damaged, .offset = at_, .file = log_.number, .doing = "copy a log file"});
    }

    Result<void> begin() {
        auto in = files_.open(names::log_file(log_.number), io::Open::read);
        if (!in) return fail(in);
        in_ = *in;
        auto block = read(0, kSegmentHeaderBytes);
        if (!block) return fail(block);
        auto read = decode_segment_header(*block, store_id_);
        if (read.fault != HeaderFault::none || read.header.base != log_.base) return damaged();
        if (auto begun = out_.begin(names::new_log_file(to_)); !begun) return begun;
        read.header.number = to_;
        read.header.bytes = log_.end;
        read.header.stale = {};
        std::vector<std::byte> header(kSegmentHeaderBytes);
        encode_segment_header(read.header, header.data());
        return write(header);
    }

    Result<Bytes> read(std::uint64_t offset, std::size_t bytes) {
        frame_.resize(bytes);
        const auto got = files_.read(in_, offset, frame_);
        if (!got) return fail(got);
        if (*got != bytes) return damaged();
        return Bytes(frame_);
    }

    Result<void> write(Bytes bytes) {
        out_.pending().insert(out_.pending().end(), bytes.begin(), bytes.end());
        bytes_ = out_.bytes();
        return out_.write_some();
    }

    // What is read back has nothing that should have been erased.
    Result<void> take_frame() {
        const auto lsn = log_.base + (at_ - kSegmentHeaderBytes);
        const auto head = read(at_, kFrameHeaderBytes);
        if (!head) return fail(head);
        auto header = decode_frame_header(*head, frame_seed_, lsn);
        if (!header || at_ + kFrameHeaderBytes + header->length > log_.end) return damaged();
        const auto frame = read(at_, kFrameHeaderBytes + header->length);
        if (!frame) return fail(frame);
        const auto changed = erase_in(lsn, *header);
        if (!changed) return fail(changed);
        at_ += frame_.size();
        if (!out_.active()) return *changed ? damaged() : Result<void>{};
        if (*changed) encode_frame_header(*header, frame_seed_, frame_.data());
        return write(frame_);
    }

    Result<bool> erase_in(Lsn lsn, FrameHeader& header) {
        std::uint32_t was = 0;
        std::uint32_t is = 0;
        std::uint32_t count = 0;
        const auto before = gone_;
        const auto add = [](std::uint32_t& sum, const std::byte* record) {
            sum = crc32c({record, sizeof sum}, sum);
        };
        for (auto at = kFrameHeaderBytes; at != frame_.size(); ++count) {
            auto* record = frame_.data() + at;
            const auto seed = record_seed_.at(lsn + at);
            const auto decoded = decode_record(Bytes(frame_).subspan(at), seed);
            if (!decoded) return damaged();
            add(was, record);
            const auto size = decoded->size;
            if (const auto fate = judge_(decoded->record, lsn + at); fate != Fate::stays) {
                put(record, fate, *decoded, seed);
                ++gone_;
            }
            add(is, record);
            at += size;
        }
        if (count != header.count || was != header.records_crc) return damaged();
        header.records_crc = is;
        return gone_ != before;
    }

    // From here on the copy is what is read.
    Result<void> end_writing() {
        if (auto finished = out_.finish(); !finished) return finished;
        files_.close(std::exchange(in_, -1));
        auto in = files_.open(names::new_log_file(to_), io::Open::read);
        if (!in) return fail(in);
        in_ = *in;
        at_ = kSegmentHeaderBytes;
        return {};
    }

    void close() {
        if (in_ >= 0) files_.close(std::exchange(in_, -1));
    }

    io::Files& files_;
    const StoreId store_id_;
    const LogToCopy log_;
    const FileNumber to_;
    const Judge judge_;
    const FrameSeed frame_seed_;
    const RecordSeed record_seed_;
    SequentialFile out_;
    int in_ = -1;
    std::uint64_t at_ = kSegmentHeaderBytes;
    std::vector<std::byte> frame_;
};

class PackedCopy : public ErasedCopy {
  public:
    PackedCopy(io::Files& files, const StoreId& store_id, FileNumber packed, FileNumber to,
               Judge judge)
        : files_(files),
          store_id_(store_id),
          packed_(packed),
          to_(to),
          judge_(std::move(judge)),
          seed_(store_id),
          writer_(files, store_id) {}

    Result<bool> step() override {
        if (scan_ == nullptr) {
            const bool again = read_back_;
            auto scan = RecordScan::packed(files_, store_id_, again ? to_ : packed_);
            if (!scan) return fail(scan);
            scan_ = std::move(*scan);
            if (!again)
                if (auto begun = writer_.begin(to_); !begun) return fail(begun);
        }
        for (const auto from = scan_->offset(); scan_->offset() - from < kStepBytes;) {
            const auto item = scan_->next();
            if (!item) return fail(item);
            if (!*item) return end_pass();
            if (!read_back_)
                if (auto copied = copy(**item); !copied) return fail(copied);
        }
        return true;
    }

    void abandon() override {
        scan_.reset();
        if (writer_.active())
            writer_.abandon();
        else
            (void)files_.unlink(names::packed_file(to_));
    }

  private:
    Result<void> copy(const RecordScan::Item& item) {
        record_.assign(item.bytes.begin(), item.bytes.end());
        if (const auto fate = judge_(item.record, item.lsn); fate != Fate::stays) {
            put(record_.data(), fate, {.record = item.record, .size = record_.size()},
                seed_.at(item.lsn));
            ++gone_;
        }
        const auto offset = writer_.add(item.lsn, record_);
        if (!offset) return fail(offset);
        ensure(*offset == item.offset, "an erased record is as long as what it was");
        bytes_ = writer_.bytes();
        return {};
    }

    Result<bool> end_pass() {
        scan_.reset();
        if (read_back_) return false;
        if (auto finished = writer_.finish(); !finished) return fail(finished);
        read_back_ = true;
        return true;
    }

    io::Files& files_;
    const StoreId store_id_;
    const FileNumber packed_;
    const FileNumber to_;
    const Judge judge_;
    const RecordSeed seed_;
    PackedWriter writer_;
    std::unique_ptr<RecordScan> scan_;
    bool read_back_ = false;
    std::vector<std::byte> record_;
};

class ImageCopy : public ErasedCopy {
  public:
    ImageCopy(io::Files& files, const StoreId& store_id, std::unique_ptr<CheckpointReader> image,
              FileNumber to, const LeftOut& left_out)
        : files_(files),
          store_id_(store_id),
          image_(std::move(image)),
          to_(to),
          left_out_(left_out),
          writer_(files, store_id) {}

    Result<bool> step() override {
        if (!read_back_ && !writer_.active()) {
            if (!image_->trailer().counted)
                return fail(Error{.code = Code::version,
                                  .file = image_->header().number,
                                  .doing = "copy a checkpoint of an earlier build"});
            auto header = image_->header();
            header.number = to_;
            keys_ = image_->trailer().keys;
            if (auto begun = writer_.begin(header); !begun) return fail(begun);
        }
        const auto& blobs = image_->blobs();
        for (std::uint64_t bytes = 0; next_ < blobs.size() && bytes < kStepBytes; ++next_) {
            const auto blob = image_->blob(next_);
            if (!blob) return fail(blob);
            bytes += blob->size();
            if (!read_back_)
                if (auto copied = copy(blobs[next_], *blob); !copied) return fail(copied);
        }
        if (next_ != blobs.size()) return true;
        if (read_back_) return false;
        return end_writing();
    }

    void abandon() override {
        image_.reset();
        if (writer_.active())
            writer_.abandon();
        else
            (void)files_.unlink(names::checkpoint_file(to_));
    }

  private:
    [[nodiscard]] tl::unexpected<Error> damaged(const BlobEntry& blob) const {
        return fail(Error{.code = Code::damaged,
                          .offset = blob.offset,
                          .file = image_->header().number,
                          .doing = "copy a checkpoint: a blob makes no sense"});
    }

    Result<void> copy(BlobEntry entry, Bytes blob) {
        bytes_ = writer_.bytes();
        if (!left_out_.concerns(entry)) return writer_.add(entry, blob);
        if (entry.kind == BlobKind::part) {
            ++gone_;
            return {};
        }
        const bool keys = entry.kind == BlobKind::keys;
        const auto page = keys ? keys_without(blob, entry.stripe, left_out_.tag, left_out_.is_old)
                               : objects_without(blob, left_out_.oids);
        if (!page || page->gone > entry.count || page->expires > entry.expires ||
            page->strays > entry.strays)
            return damaged(entry);
        entry.count -= page->gone;
        entry.expires -= page->expires;
        entry.strays -= page->strays;
        if (keys) keys_ -= page->gone;
        gone_ += page->gone;
        // A page that is empty keeps its place: the one before does not reach further for it.
        return writer_.add(entry, page->bytes);
    }

    // From here on the copy is what is read.
    Result<bool> end_writing() {
        const auto& trailer = image_->trailer();
        if (auto finished = writer_.finish(trailer.lo, trailer.hi, keys_); !finished)
            return fail(finished);
        auto copy = CheckpointReader::open(files_, to_, store_id_, true);
        if (!copy) return fail(copy);
        image_ = std::move(*copy);
        bytes_ = image_->bytes();
        next_ = 0;
        read_back_ = true;
        return true;
    }

    io::Files& files_;
    const StoreId store_id_;
    std::unique_ptr<CheckpointReader> image_;
    const FileNumber to_;
    const LeftOut left_out_;
    CheckpointWriter writer_;
    std::size_t next_ = 0;
    std::uint64_t keys_ = 0;
    bool read_back_ = false;
};

}  // namespace

std::unique_ptr<ErasedCopy> erased_copy(io::Files& files, const StoreId& store_id,
                                        const LogToCopy& log, FileNumber to, Judge judge) {
    return std::make_unique<LogCopy>(files, store_id, log, to, std::move(judge));
}

std::unique_ptr<ErasedCopy> erased_copy(io::Files& files, const StoreId& store_id,
                                        FileNumber packed, FileNumber to, Judge judge) {
    return std::make_unique<PackedCopy>(files, store_id, packed, to, std::move(judge));
}

std::unique_ptr<ErasedCopy> erased_copy(io::Files& files, const StoreId& store_id,
                                        std::unique_ptr<CheckpointReader> image, FileNumber to,
                                        const LeftOut& left_out) {
    return std::make_unique<ImageCopy>(files, store_id, std::move(image), to, left_out);
}

bool LeftOut::concerns(const BlobEntry& blob) const {
    const auto at_home = [&](Oid oid) { return oid.home() == blob.stripe; };
    switch (blob.kind) {
        case BlobKind::catalog:
            return false;
        case BlobKind::keys:
            return blob.stripe == stripe && kids.contains(blob.kid);
        case BlobKind::objects:
            return std::ranges::any_of(oids, at_home);
        case BlobKind::part:
            return oids.contains(blob.oid);
    }
    return false;
}

Result<bool> has_any_of(CheckpointReader& image, const LeftOut& left_out) {
    const auto& blobs = image.blobs();
    for (std::size_t i = 0; i < blobs.size(); ++i) {
        if (!left_out.concerns(blobs[i])) continue;
        if (blobs[i].kind == BlobKind::part) return true;
        const auto blob = image.blob(i);
        if (!blob) return fail(blob);
        const auto page = blobs[i].kind == BlobKind::keys
                              ? keys_without(*blob, blobs[i].stripe, left_out.tag, left_out.is_old)
                              : objects_without(*blob, left_out.oids);
        if (!page)
            return fail(Error{.code = Code::damaged,
                              .offset = blobs[i].offset,
                              .file = image.header().number,
                              .doing = "read a checkpoint: a blob makes no sense"});
        if (page->gone != 0) return true;
    }
    return false;
}

}  // namespace firnlog::engine
