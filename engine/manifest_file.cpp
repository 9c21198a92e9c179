#include "engine/manifest_file.hpp"

#include <vector>

#include "engine/format/names.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::engine {

Result<void> write_manifest(io::Files& files, Manifest& manifest) {
    ++manifest.sequence;
    const auto bytes = encode_manifest(manifest);
    // What an earlier attempt left is ours to remove.
    if (auto gone = files.unlink(names::kManifestNew); !gone && gone.error().code != Code::missing)
        return gone;
    auto fd = files.open(names::kManifestNew, io::Open::create);
    if (!fd) return fail(fd);
    auto done = files.write(*fd, 0, bytes);
    if (done && !planted("manifest_not_synced")) done = files.sync(*fd);
    files.close(*fd);
    if (!done) return done;
    if (auto renamed = files.rename(names::kManifestNew, names::kManifest); !renamed)
        return renamed;
    if (planted("manifest_name_not_synced")) return {};
    return files.sync_dir();
}

Result<Manifest> read_manifest(io::Files& files) {
    auto fd = files.open(names::kManifest, io::Open::read);
    if (!fd) return fail(fd);
    const auto size = files.size(*fd);
    if (!size) {
        files.close(*fd);
        return fail(size);
    }
    constexpr std::uint64_t kBytesMax = std::uint64_t{64} << 20;
    std::vector<std::byte> bytes(std::min(*size, kBytesMax));
    const auto read = files.read(*fd, 0, bytes);
    files.close(*fd);
    if (!read) return fail(read);
    bytes.resize(*read);
    return decode_manifest(bytes);
}

}  // namespace firnlog::engine
