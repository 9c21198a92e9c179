#include "recovery/base.hpp"

#include "engine/format/names.hpp"
#include "recovery/checkpoint_reader.hpp"

namespace firnlog::recovery {
namespace {

Result<LoadedCheckpoint> load(io::Files& files, const engine::Manifest& manifest,
                              const engine::CheckpointEntry& entry, const BaseSources& sources) {
    for (const auto named : entry.files)
        if (auto found = sources.find(named); !found) return fail(found);
    return load_checkpoint(files, manifest.store_id, entry, manifest.hash_secret, sources.moves,
                           [&](std::uint64_t) { return !sources.give_up || !sources.give_up(); });
}

}  // namespace

Opening<Base> load_base(io::Files& files, const engine::Manifest& manifest,
                        const BaseSources& sources) {
    Base base;
    for (auto i = manifest.checkpoints.size(); i-- > 0;) {
        const auto& entry = manifest.checkpoints[i];
        auto loaded = load(files, manifest, entry, sources);
        if (loaded) {
            base.keyspace = std::move(loaded->keyspace);
            base.stamps = std::move(loaded->stamps);
            base.entry = entry;
            base.bytes = loaded->bytes;
            return base;
        }
        if (loaded.error().code == Code::busy)
            return refuse(loaded.error(), "stopped while loading");
        if (base.fault.empty())
            base.fault = engine::names::checkpoint_file(entry.number) + " offset " +
                         std::to_string(loaded.error().offset) + ": " + loaded.error().text();
        base.faulty.push_back(entry.number);
    }
    if (!manifest.has_beginning())
        return refuse(
            {.code = Code::damaged, .doing = "load a checkpoint"},
            "damaged: " + base.fault + "; no other checkpoint is sound, and the log before lsn " +
                std::to_string(manifest.first_lsn.value) + " was given back; see firnlog repair");
    base.keyspace = std::make_unique<engine::Keyspace>(manifest.hash_secret);
    return base;
}

}  // namespace firnlog::recovery
