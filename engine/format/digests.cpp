#include "engine/format/digests.hpp"

#include "engine/format/layouts.hpp"
#include "io/base/crc32c.hpp"

namespace firnlog::engine {
namespace {

constexpr std::uint64_t kMagic = 0x314749444e524946;  // "FIRNDIG1"
constexpr std::size_t kHeaderBytes = sizeof(layouts::Digests);
constexpr std::size_t kHeadBytes = sizeof(layouts::Digest);

std::uint32_t crc_of(const StoreId& store_id, Bytes stored) {
    return crc32c(stored, crc32c(store_id));
}

}  // namespace

std::vector<std::byte> encode_digests(const StoreId& store_id) {
    std::vector<std::byte> out(kHeaderBytes);
    layouts::Digests header{.begin = {.magic = kMagic, .crc = 0, .version = kFormatVersion},
                            .store_id = store_id};
    store(out.data(), header);
    header.begin.crc = crc32c(Bytes(out).subspan(layouts::kCheckedFrom));
    store(out.data(), header);
    return out;
}

void encode_digest(const StoreId& store_id, const StoredFile& file, std::vector<std::byte>& to) {
    const auto at = to.size();
    to.resize(at + kHeadBytes + encoded_bytes(file));
    encode_stored(file, to.data() + at + kHeadBytes);
    store(to.data() + at,
          layouts::Digest{.crc = crc_of(store_id, Bytes(to).subspan(at + kHeadBytes))});
}

std::vector<StoredFile> decode_digests(const StoreId& store_id, Bytes bytes) {
    if (bytes.size() < kHeaderBytes) return {};
    const auto header = load<layouts::Digests>(bytes.data());
    if (header.begin.magic != kMagic || header.begin.version != kFormatVersion ||
        header.store_id != store_id ||
        header.begin.crc != crc32c(bytes.first(kHeaderBytes).subspan(layouts::kCheckedFrom)))
        return {};
    std::vector<StoredFile> files;
    for (auto rest = bytes.subspan(kHeaderBytes); rest.size() > kHeadBytes;) {
        const auto head = load<layouts::Digest>(rest.data());
        auto behind = rest.subspan(kHeadBytes);
        const auto from = behind;
        auto file = take_stored(behind);
        if (!file || head.crc != crc_of(store_id, from.first(from.size() - behind.size()))) break;
        files.push_back(std::move(*file));
        rest = behind;
    }
    return files;
}

}  // namespace firnlog::engine
