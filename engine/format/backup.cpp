#include "engine/format/backup.hpp"

#include <algorithm>

#include "engine/format/layouts.hpp"
#include "io/base/crc32c.hpp"

namespace firnlog::engine {
namespace {

constexpr std::uint64_t kMagic = 0x314b41424e524946;  // "FIRNBAK1"
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = sizeof(layouts::Backup);

tl::unexpected<Error> damaged(std::uint64_t offset) {
    return fail(
        Error{.code = Code::damaged, .offset = offset, .doing = "read a backup's manifest"});
}

}  // namespace

std::uint64_t BackupManifest::bytes() const {
    std::uint64_t sum = 0;
    for (const auto& file : files) sum += file.bytes;
    return sum;
}

std::vector<std::byte> encode_backup(const BackupManifest& manifest) {
    auto size = kHeaderBytes + manifest.store.size();
    for (const auto& file : manifest.files) size += encoded_bytes(file);
    std::vector<std::byte> out(size);
    layouts::Backup header{.begin = {.magic = kMagic, .crc = 0, .version = kVersion},
                           .made_us = manifest.made_us,
                           .lsn = manifest.lsn,
                           .commit_us = manifest.commit_us,
                           .timeline = manifest.timeline,
                           .files = static_cast<std::uint32_t>(manifest.files.size()),
                           .store_bytes = static_cast<std::uint32_t>(manifest.store.size())};
    store(out.data(), header);
    auto* at = out.data() + kHeaderBytes;
    for (const auto& file : manifest.files) at = encode_stored(file, at);
    std::ranges::copy(manifest.store, at);
    header.begin.crc = crc32c(Bytes(out).subspan(layouts::kCheckedFrom));
    store(out.data(), header);
    return out;
}

Result<BackupManifest> decode_backup(Bytes bytes) {
    if (bytes.size() < kHeaderBytes) return damaged(0);
    const auto header = load<layouts::Backup>(bytes.data());
    if (header.begin.magic != kMagic) return damaged(0);
    if (header.begin.crc != crc32c(bytes.subspan(layouts::kCheckedFrom)))
        return damaged(layouts::kCrcAt);
    if (header.begin.version != kVersion)
        return fail(Error{.code = Code::version,
                          .offset = header.begin.version,
                          .doing = "read a backup of a newer format"});
    BackupManifest manifest{.made_us = header.made_us,
                            .lsn = header.lsn,
                            .commit_us = header.commit_us,
                            .timeline = header.timeline};
    auto rest = bytes.subspan(kHeaderBytes);
    for (std::uint32_t i = 0; i < header.files; ++i) {
        auto file = take_stored(rest);
        if (!file) return damaged(bytes.size() - rest.size());
        manifest.files.push_back(std::move(*file));
    }
    if (rest.size() != header.store_bytes) return damaged(bytes.size() - rest.size());
    manifest.store.assign(rest.begin(), rest.end());
    return manifest;
}

}  // namespace firnlog::engine
