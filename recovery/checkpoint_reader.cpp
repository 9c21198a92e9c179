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

// Opened, and its catalog put in: that says which pages count.
struct Opened {
    std::unique_ptr<engine::CheckpointReader> reader;
    LoadedCheckpoint loaded;
};

Result<Opened> open_checkpoint(io::Files& files, const engine::StoreId& store_id,
                               const engine::CheckpointEntry& entry,
                               const engine::Hasher::Secret& secret) {
    auto reader = engine::CheckpointReader::open(files, entry.number, store_id);
    if (!reader) return fail(reader);
    Opened opened{.reader = std::move(*reader),
                  .loaded = {.keyspace = std::make_unique<engine::Keyspace>(secret)}};
    const auto& trailer = opened.reader->trailer();
    if (trailer.lo != entry.lo || trailer.hi != entry.hi ||
        opened.reader->header().hash_secret != secret)
        return senseless(entry, 0);
    const auto& blobs = opened.reader->blobs();
    const auto catalog = std::ranges::find(blobs, BlobKind::catalog, &BlobEntry::kind);
    if (catalog == blobs.end()) return senseless(entry, 0);
    const auto bytes = opened.reader->blob(static_cast<std::size_t>(catalog - blobs.begin()));
    if (!bytes) return fail(bytes);
    auto& keyspace = *opened.loaded.keyspace;
    if (!engine::PageLoader(keyspace, {}, false).catalog(*bytes))
        return senseless(entry, catalog->offset);
    std::vector<engine::Kid> kids;
    for (const auto& pointing : keyspace.pointings()) kids.push_back(pointing.kid);
    opened.loaded.stamps = Stamps(entry.lo, entry.hi, blobs, std::move(kids));
    opened.loaded.bytes = opened.reader->bytes();
    return opened;
}

// The other file of the same walk: the same pages in the same order, opened when it is needed.
class Twin {
  public:
    Twin(io::Files& files, const engine::StoreId& store_id, engine::FileNumber number)
        : files_(files), store_id_(store_id), number_(number) {}

    // The page that `blob` says, which is the i-th; `fault` is what is wrong with it elsewhere.
    Result<Bytes> blob(const BlobEntry& blob, std::size_t i, const Error& fault) {
        if (number_ != 0 && reader_ == nullptr) {
            auto reader = engine::CheckpointReader::open(files_, number_, store_id_);
            number_ = 0;
            if (reader) reader_ = std::move(*reader);
        }
        if (reader_ == nullptr || i >= reader_->blobs().size()) return fail(fault);
        const auto& same = reader_->blobs()[i];
        if (same.kind != blob.kind || same.stripe != blob.stripe || same.kid != blob.kid ||
            same.from != blob.from || same.oid != blob.oid || same.stamp != blob.stamp ||
            same.length != blob.length)
            return fail(fault);
        auto bytes = reader_->blob(i);
        return bytes ? bytes : fail(fault);
    }

  private:
    io::Files& files_;
    const engine::StoreId store_id_;
    engine::FileNumber number_;
    std::unique_ptr<engine::CheckpointReader> reader_;
};

Result<LoadedCheckpoint> load_all(Opened opened, const engine::CheckpointEntry& entry,
                                  engine::Moves moves,
                                  const std::function<bool(std::uint64_t)>& progress, Twin twin) {
    auto& reader = *opened.reader;
    engine::PageLoader loader(*opened.loaded.keyspace, std::move(moves), true);
    const auto& blobs = reader.blobs();
    constexpr std::uint64_t kTellEvery = std::uint64_t{4} << 20;
    std::uint64_t untold = 0;
    for (std::size_t i = 0; i < blobs.size(); ++i) {
        const auto& blob = blobs[i];
        if (blob.kind == BlobKind::catalog) continue;
        auto page = reader.blob(i);
        if (!page) page = twin.blob(blob, i, page.error());
        if (!page) return fail(page);
        if (!loader.page(*page, blob.kind, blob.kid, blob.stripe))
            return senseless(entry, blob.offset);
        untold += blob.length;
        if (untold < kTellEvery) continue;
        if (!progress(untold)) return fail(Error{.code = Code::busy, .doing = "load a checkpoint"});
        untold = 0;
    }
    return std::move(opened.loaded);
}

}  // namespace

Result<LoadedCheckpoint> load_checkpoint(io::Files& files, const engine::StoreId& store_id,
                                         const engine::CheckpointEntry& entry,
                                         const engine::Hasher::Secret& secret, engine::Moves moves,
                                         const std::function<bool(std::uint64_t)>& progress,
                                         engine::FileNumber twin) {
    auto opened = open_checkpoint(files, store_id, entry, secret);
    if (!opened) return fail(opened);
    return load_all(std::move(*opened), entry, std::move(moves), progress, {files, store_id, twin});
}

Result<LoadedCheckpoint> begin_checkpoint(io::Files& files, const engine::StoreId& store_id,
                                          const engine::CheckpointEntry& entry,
                                          const engine::Hasher::Secret& secret, engine::Moves moves,
                                          const std::function<bool(std::uint64_t)>& progress) {
    auto opened = open_checkpoint(files, store_id, entry, secret);
    if (!opened) return fail(opened);
    if (!opened->reader->trailer().counted)
        return load_all(std::move(*opened), entry, std::move(moves), progress,
                        {files, store_id, 0});
    auto& loaded = opened->loaded;
    loaded.loader = std::make_unique<engine::Loader>(*loaded.keyspace, std::move(opened->reader),
                                                     std::move(moves));
    if (auto begun = loaded.loader->begin(progress); !begun) return fail(begun);
    return std::move(loaded);
}

}  // namespace firnlog::recovery
