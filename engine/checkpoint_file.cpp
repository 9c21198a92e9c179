#include "engine/checkpoint_file.hpp"

#include <algorithm>

#include "engine/format/names.hpp"
#include "io/base/crc32c.hpp"
#include "io/base/ensure.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::engine {
namespace {

constexpr std::uint64_t kBlock = 4096;
constexpr std::uint64_t kReadAhead = std::uint64_t{1} << 20;

tl::unexpected<Error> damaged(FileNumber number, std::uint64_t offset, const char* doing) {
    return fail(Error{.code = Code::damaged, .offset = offset, .file = number, .doing = doing});
}

}  // namespace

Result<void> CheckpointWriter::begin(const CheckpointHeader& header, std::uint64_t room) {
    header_ = header;
    directory_.clear();
    if (auto begun = file_.begin(names::checkpoint_file(header.number), 0, room); !begun)
        return begun;
    file_.pending().assign(kCheckpointHeaderBytes, std::byte{0});
    encode_checkpoint_header(header, file_.pending().data());
    return {};
}

Result<void> CheckpointWriter::add(BlobEntry entry, Bytes blob) {
    ensure(blob.size() <= kBlobBytesMax, "a blob is one page");
    entry.offset = bytes();
    entry.length = static_cast<std::uint32_t>(blob.size());
    entry.crc = blob_crc(blob, store_id_, header_.number, entry.offset);
    directory_.resize(directory_.size() + kBlobEntryBytes);
    encode_blob_entry(entry, directory_.data() + directory_.size() - kBlobEntryBytes);
    auto& pending = file_.pending();
    pending.insert(pending.end(), blob.begin(), blob.end());
    pending.resize(align_up(pending.size(), std::size_t{8}));
    return write_some();
}

Result<void> CheckpointWriter::finish(Lsn lo, Lsn hi, std::uint64_t keys) {
    CheckpointTrailer trailer{.directory_offset = bytes(),
                              .blobs = directory_.size() / kBlobEntryBytes,
                              .lo = lo,
                              .hi = hi,
                              .keys = keys,
                              .counted = true};
    trailer.directory_crc =
        blob_crc(directory_, store_id_, header_.number, trailer.directory_offset);
    auto& pending = file_.pending();
    pending.insert(pending.end(), directory_.begin(), directory_.end());
    const auto offset = bytes();
    pending.resize(pending.size() + kTrailerBytes);
    encode_trailer(trailer, store_id_, header_.number, offset,
                   pending.data() + pending.size() - kTrailerBytes);
    return file_.finish({}, !planted("image_not_synced"));
}

Result<std::unique_ptr<CheckpointReader>> CheckpointReader::open(io::Files& files,
                                                                 FileNumber number,
                                                                 const StoreId& store_id,
                                                                 bool direct) {
    auto fd = files.open(names::checkpoint_file(number), io::Open::read, direct);
    if (!fd) return fail(fd);
    std::unique_ptr<CheckpointReader> reader(new CheckpointReader(files, number, store_id, *fd));
    if (auto framed = reader->read_frame(); !framed) return fail(framed);
    return reader;
}

Result<void> CheckpointReader::read_frame() {
    const auto size = files_.size(fd_);
    if (!size) return fail(size);
    size_ = *size;
    if (size_ < kCheckpointHeaderBytes + kTrailerBytes)
        return damaged(number_, 0, "read a checkpoint: it is too short");
    const auto head = read(0, kCheckpointHeaderBytes);
    if (!head) return fail(head);
    const auto header = decode_checkpoint_header(*head);
    if (!header || header->store_id != store_id_ || header->number != number_)
        return damaged(number_, 0, "read a checkpoint: its header does not fit");
    header_ = *header;
    const auto end = size_ - kTrailerBytes;
    const auto tail = read(end, kTrailerBytes);
    if (!tail) return fail(tail);
    const auto trailer = decode_trailer(*tail, store_id_, number_, end);
    if (!trailer || trailer->directory_offset > end ||
        (end - trailer->directory_offset) / kBlobEntryBytes != trailer->blobs ||
        (end - trailer->directory_offset) % kBlobEntryBytes != 0 || trailer->lo > trailer->hi)
        return damaged(number_, end, "read a checkpoint: its trailer does not fit");
    trailer_ = *trailer;
    const auto directory = read(trailer_.directory_offset, end - trailer_.directory_offset);
    if (!directory) return fail(directory);
    if (blob_crc(*directory, store_id_, number_, trailer_.directory_offset) !=
        trailer_.directory_crc)
        return damaged(number_, trailer_.directory_offset,
                       "read a checkpoint: its directory's checksum does not fit");
    blobs_.reserve(trailer_.blobs);
    for (std::size_t at = 0; at < directory->size(); at += kBlobEntryBytes) {
        const auto entry = decode_blob_entry(directory->data() + at);
        if (!entry || entry->offset > size_ || entry->length > size_ - entry->offset ||
            entry->stamp < trailer_.lo || entry->stamp > trailer_.hi)
            return damaged(number_, trailer_.directory_offset + at,
                           "read a checkpoint: its directory makes no sense");
        blobs_.push_back(*entry);
    }
    return {};
}

// A direct file is read in whole blocks into aligned memory.
Result<Bytes> CheckpointReader::read(std::uint64_t offset, std::uint64_t length) {
    if (offset < begin_ || offset + length > end_) {
        begin_ = align_down(offset, kBlock);
        end_ = begin_;
        const auto want = align_up(offset + std::max(length, kReadAhead), kBlock) - begin_;
        if (memory_.size() < want + kBlock) memory_.resize(want + kBlock);
        window_ = reinterpret_cast<std::byte*>(
            align_up(reinterpret_cast<std::uintptr_t>(memory_.data()), std::uintptr_t{kBlock}));
        const auto got = files_.read(fd_, begin_, {window_, want});
        if (!got) return fail(got);
        end_ = begin_ + *got;
        if (offset + length > end_)
            return damaged(number_, end_, "read a checkpoint: it is cut short");
    }
    return Bytes(window_ + (offset - begin_), length);
}

Result<Bytes> CheckpointReader::blob(std::size_t i) {
    const auto& entry = blobs_[i];
    auto bytes = read(entry.offset, entry.length);
    if (!bytes) return bytes;
    return verified(entry, *bytes);
}

Result<Bytes> CheckpointReader::blob(const BlobEntry& entry, std::vector<std::byte>& into) const {
    into.resize(entry.length);
    const auto got = files_.read(fd_, entry.offset, into);
    if (!got) return fail(got);
    if (*got != into.size())
        return damaged(number_, entry.offset + *got, "read a checkpoint: it is cut short");
    return verified(entry, into);
}

Result<Bytes> CheckpointReader::verified(const BlobEntry& entry, Bytes bytes) const {
    if (blob_crc(bytes, store_id_, number_, entry.offset) != entry.crc &&
        !planted("image_checksum_unread"))
        return damaged(number_, entry.offset, "read a checkpoint: a blob's checksum does not fit");
    return bytes;
}

}  // namespace firnlog::engine
