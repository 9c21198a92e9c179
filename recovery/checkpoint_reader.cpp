#include "recovery/checkpoint_reader.hpp"

#include <algorithm>

#include "engine/checkpoint_file.hpp"
#include "engine/index/image.hpp"

namespace firnlog::recovery {
namespace {

using engine::BlobEntry;
using engine::BlobKind;

tl::unexpected<Error> senseless(const engine::CheckpointEntry& entry, std::uint64_t offset) {
    return fail(Error{.code = Code::damaged,
                      .offset = offset,
                      .file = entry.number,
                      .doing = "read a checkpoint: a blob makes no sense"});
}

}  // namespace

Result<LoadedCheckpoint> load_checkpoint(io::Files& files, const engine::StoreId& store_id,
                                         const engine::CheckpointEntry& entry,
                                         const engine::Hasher::Secret& secret, engine::Moves moves,
                                         const std::function<bool(std::uint64_t)>& progress) {
    auto opened = engine::CheckpointReader::open(files, entry.number, store_id);
    if (!opened) return fail(opened);
    auto& reader = **opened;
    if (reader.trailer().lo != entry.lo || reader.trailer().hi != entry.hi ||
        reader.header().hash_secret != secret)
        return senseless(entry, 0);
    LoadedCheckpoint loaded{.keyspace = std::make_unique<engine::Keyspace>(secret)};
    engine::PageLoader loader(*loaded.keyspace, std::move(moves));
    const auto& blobs = reader.blobs();
    // Where databases point comes first: it says which pages count.
    const auto catalog = std::ranges::find(blobs, BlobKind::catalog, &BlobEntry::kind);
    if (catalog == blobs.end()) return senseless(entry, 0);
    const auto bytes = reader.blob(static_cast<std::size_t>(catalog - blobs.begin()));
    if (!bytes) return fail(bytes);
    if (!loader.catalog(*bytes)) return senseless(entry, catalog->offset);
    constexpr std::uint64_t kTellEvery = std::uint64_t{4} << 20;
    std::uint64_t untold = 0;
    for (std::size_t i = 0; i < blobs.size(); ++i) {
        const auto& blob = blobs[i];
        if (blob.kind == BlobKind::catalog) continue;
        const auto page = reader.blob(i);
        if (!page) return fail(page);
        bool sound = true;
        if (blob.kind == BlobKind::keys)
            sound = !loader.knows(blob.kid) || loader.keys(*page, blob.kid, blob.stripe);
        else
            sound = loader.objects(*page, blob.stripe);
        if (!sound) return senseless(entry, blob.offset);
        untold += blob.length;
        if (untold < kTellEvery) continue;
        if (!progress(untold)) return fail(Error{.code = Code::busy, .doing = "load a checkpoint"});
        untold = 0;
    }
    std::vector<engine::Kid> kids;
    for (const auto& pointing : loaded.keyspace->pointings()) kids.push_back(pointing.kid);
    loaded.stamps = Stamps(entry.lo, entry.hi, blobs, std::move(kids));
    loaded.bytes = reader.bytes();
    return loaded;
}

}  // namespace firnlog::recovery
