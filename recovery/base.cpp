#include "recovery/base.hpp"

#include "engine/format/names.hpp"
#include "recovery/checkpoint_reader.hpp"

namespace firnlog::recovery {
namespace {

Result<LoadedCheckpoint> load(io::Files& files, const engine::Manifest& manifest,
                              const engine::CheckpointEntry& entry, const BaseSources& sources) {
    for (const auto named : entry.files)
        if (auto found = sources.find(named); !found) return fail(found);
    const auto goes_on = [&](std::uint64_t) { return !sources.give_up || !sources.give_up(); };
    if (sources.waits)
        return begin_checkpoint(files, manifest.store_id, entry, manifest.hash_secret,
                                sources.moves, goes_on);
    return load_checkpoint(files, manifest.store_id, entry, manifest.hash_secret, sources.moves,
                           goes_on);
}

}  // namespace

std::string FaultyCheckpoint::text() const {
    return engine::names::checkpoint_file(number) + " offset " + std::to_string(why.offset) + ": " +
           why.text();
}

Opening<Base> load_base(io::Files& files, const engine::Manifest& manifest,
                        const BaseSources& sources) {
    Base base;
    for (auto i = manifest.checkpoints.size(); i-- > 0;) {
        const auto& entry = manifest.checkpoints[i];
        auto loaded = load(files, manifest, entry, sources);
        if (loaded) {
            base.keyspace = std::move(loaded->keyspace);
            base.loader = std::move(loaded->loader);
            base.stamps = std::move(loaded->stamps);
            base.entry = entry;
            base.bytes = loaded->bytes;
            return base;
        }
        if (loaded.error().code == Code::busy)
            return refuse(loaded.error(), "stopped while loading");
        base.faulty.push_back({.number = entry.number, .why = loaded.error()});
    }
    if (!manifest.has_beginning()) {
        const auto fault = base.faulty.empty() ? "the checkpoints" : base.faulty.front().text();
        return refuse(
            {.code = Code::damaged, .doing = "load a checkpoint"},
            "damaged: " + fault + "; no other checkpoint is sound, and the log before lsn " +
                std::to_string(manifest.first_lsn.value) + " was given back; see firnlog repair");
    }
    base.keyspace = std::make_unique<engine::Keyspace>(manifest.hash_secret);
    return base;
}

}  // namespace firnlog::recovery
