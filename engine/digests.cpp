#include "engine/digests.hpp"

#include <algorithm>

#include "engine/format/names.hpp"
#include "io/base/crc32c.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::engine {
namespace {

std::vector<FileNumber> named_by(const Manifest& manifest) {
    auto named = manifest.packed;
    for (const auto& entry : manifest.checkpoints) named.push_back(entry.number);
    std::ranges::sort(named);
    return named;
}

}  // namespace

Digests::Digests(io::Files& files, const StoreId& store_id, const Manifest& manifest)
    : files_(files),
      store_id_(store_id),
      followed_(manifest.sequence),
      named_(named_by(manifest)) {}

Digests::~Digests() {
    close_summed();
    close_file();
}

void Digests::add(const Segment& sealed) {
    due_.push_back({.file = {.number = sealed.number, .kind = StoredKind::log, .lsn = sealed.base},
                    .end = sealed.lsn_at(sealed.end)});
}

void Digests::follow(const Manifest& manifest) {
    if (manifest.sequence == followed_) return;
    followed_ = manifest.sequence;
    for (const auto number : manifest.packed) follow(StoredKind::packed, number, {});
    for (const auto& entry : manifest.checkpoints)
        follow(StoredKind::checkpoint, entry.number, entry.hi);
    named_ = named_by(manifest);
}

void Digests::follow(StoredKind kind, FileNumber number, Lsn lsn) {
    if (std::ranges::binary_search(named_, number)) return;
    due_.push_back({.file = {.number = number, .kind = kind, .lsn = lsn}, .end = {}});
}

bool Digests::step(Lsn durable) {
    const auto is_durable = [&](const Due& due) {
        return due.end <= durable || planted("digest_of_what_is_not_durable");
    };
    const auto found = std::ranges::find_if(done_, is_durable);
    if (found == done_.end()) return sum_piece();
    note(found->file);
    done_.erase(found);
    return true;
}

bool Digests::sum_piece() {
    if (due_.empty()) return false;
    auto& file = due_.front().file;
    const auto go_on = [&] {
        close_summed();
        due_.pop_front();
        return true;
    };
    if (summed_ < 0) {
        const auto fd = files_.open(file.name(), io::Open::read);
        if (!fd) return go_on();  // it has gone meanwhile
        summed_ = *fd;
        const auto size = files_.size(summed_);
        if (!size) return go_on();
        file.bytes = *size;
        piece_.resize(kStoredPieceBytes);
    }
    const auto at = file.pieces.size() * kStoredPieceBytes;
    const auto bytes = std::min<std::uint64_t>(kStoredPieceBytes, file.bytes - at);
    const auto got = files_.read(summed_, at, std::span(piece_).first(bytes));
    if (!got || *got != bytes) return go_on();
    file.pieces.push_back(crc32c(Bytes(piece_).first(bytes)));
    if (at + bytes < file.bytes) return true;
    file.tag = tag_of(file.bytes, file.pieces);
    done_.push_back(std::move(due_.front()));
    return go_on();
}

void Digests::close_summed() {
    if (summed_ >= 0) files_.close(summed_);
    summed_ = -1;
    piece_ = {};
}

void Digests::note(const StoredFile& file) {
    if (auto noted = append(file); !noted) close_file();
}

Result<void> Digests::append(const StoredFile& file) {
    // What an earlier one left may end in the middle; and what was noted of files that have gone is
    // to go.
    constexpr std::uint64_t kLittle = std::uint64_t{64} << 10;
    if (file_ >= 0 && bytes_ > 2 * bytes_at_begin_ + kLittle) close_file();
    if (file_ < 0)
        if (auto begun = begin_file(); !begun) return begun;
    std::vector<std::byte> bytes;
    encode_digest(store_id_, file, bytes);
    if (auto written = files_.write(file_, bytes_, bytes); !written) return written;
    bytes_ += bytes.size();
    return {};
}

// With what was noted of files that are there still.
Result<void> Digests::begin_file() {
    auto noted = read(files_, store_id_);
    if (!noted) return fail(noted);
    const auto listed = files_.list();
    if (!listed) return fail(listed);
    auto bytes = encode_digests(store_id_);
    for (const auto& file : *noted)
        if (std::ranges::binary_search(*listed, file.name(), {}, &io::FileInfo::name))
            encode_digest(store_id_, file, bytes);
    if (auto gone = files_.unlink(names::kDigestsNew); !gone && gone.error().code != Code::missing)
        return gone;
    auto fd = files_.open(names::kDigestsNew, io::Open::create);
    if (!fd) return fail(fd);
    file_ = *fd;
    if (auto written = files_.write(file_, 0, bytes); !written) return written;
    bytes_ = bytes_at_begin_ = bytes.size();
    return files_.rename(names::kDigestsNew, names::kDigests);
}

void Digests::close_file() {
    if (file_ >= 0) files_.close(file_);
    file_ = -1;
}

Result<std::vector<StoredFile>> Digests::read(io::Files& files, const StoreId& store_id) {
    const auto fd = files.open(names::kDigests, io::Open::read);
    if (!fd && fd.error().code == Code::missing) return std::vector<StoredFile>{};
    if (!fd) return fail(fd);
    const auto bytes = [&]() -> Result<std::vector<std::byte>> {
        const auto size = files.size(*fd);
        if (!size) return fail(size);
        // Nothing of that size is what we wrote.
        if (*size > kFileBytesMax) return std::vector<std::byte>{};
        std::vector<std::byte> all(*size);
        const auto got = files.read(*fd, 0, all);
        if (!got) return fail(got);
        all.resize(*got);
        return all;
    }();
    files.close(*fd);
    if (!bytes) return fail(bytes);
    return decode_digests(store_id, *bytes);
}

}  // namespace firnlog::engine
