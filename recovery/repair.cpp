#include "recovery/repair.hpp"

#include <algorithm>

#include "engine/format/names.hpp"
#include "engine/session.hpp"
#include "recovery/copy_keys.hpp"
#include "recovery/map_segment.hpp"
#include "recovery/settled_files.hpp"

namespace firnlog::recovery {
namespace {

namespace names = engine::names;
using engine::Lsn;

class Repairer {
  public:
    Repairer(io::Files& from, io::Clock& clock, RepairOptions options)
        : from_(from), clock_(clock), options_(std::move(options)) {}

    Result<Repaired> run(io::Files* to, io::Io* io);

  private:
    struct Dropped {
        engine::Kid kid = 0;
        engine::Oid oid;
        std::string key;
        Lsn lsn;
    };
    void remember(const engine::Record& record, Lsn lsn);
    Result<void> build_source(std::unique_ptr<engine::Keyspace> keyspace);
    void name_changes();
    [[nodiscard]] bool lose(std::optional<std::string_view> key, std::uint32_t database);
    Result<void> copy_all(BatchWriter* writer);

    io::Files& from_;
    io::Clock& clock_;
    RepairOptions options_;
    Repaired result_;
    std::vector<Dropped> dropped_;
    std::unique_ptr<SettledFiles> settled_;
    std::unique_ptr<engine::Engine> source_;
};

void Repairer::remember(const engine::Record& record, Lsn lsn) {
    if (record.kind == engine::Kind::catalog || record.kind == engine::Kind::mark ||
        record.kind == engine::Kind::erased || record.kind == engine::Kind::object)
        return;
    ++result_.changes_all;
    if (dropped_.size() == Repaired::kChangesMax) return;
    const bool names_key = record.kind <= engine::Kind::expiry ||
                           record.kind == engine::Kind::bind || record.kind == engine::Kind::unbind;
    dropped_.push_back({.kid = record.kid,
                        .oid = names_key ? engine::Oid{} : record.oid,
                        .key = names_key ? std::string(record.key) : std::string(),
                        .lsn = lsn});
}

// An engine over the source that is only read.
Result<void> Repairer::build_source(std::unique_ptr<engine::Keyspace> keyspace) {
    const auto& survey = result_.survey;
    auto segments = std::make_unique<engine::Segments>();
    engine::FileNumber next = 1;
    for (std::size_t i = 0; i < survey.chain.size(); ++i) {
        const auto& file = survey.chain[i];
        auto segment = map_segment(*settled_, file, survey.ends[i]);
        if (!segment) return fail(segment);
        segments->add(std::move(*segment));
        next = std::max(next, file.number + 1);
    }
    for (const auto number : survey.packed) {
        auto segment = map_packed(*settled_, survey.manifest.store_id, number);
        if (!segment) return fail(segment);
        segments->add(std::move(*segment));
        next = std::max(next, number + 1);
    }
    engine::EngineOptions options = options_.engine;
    options.databases = std::max(options.databases, keyspace->databases_end());
    engine::EngineParts parts{.segments = std::move(segments),
                              .keyspace = std::move(keyspace),
                              .start = {.store_id = survey.manifest.store_id,
                                        .timeline = survey.manifest.timelines.back().timeline,
                                        .next = survey.end,
                                        .high_us = survey.manifest.high_us},
                              .next_file = next};
    source_ = std::make_unique<engine::Engine>(*settled_, clock_, std::move(parts), options);
    return {};
}

void Repairer::name_changes() {
    auto& keyspace = source_->keyspace();
    engine::Session session(*source_);
    for (auto& item : dropped_) {
        LostChange change{.key = std::move(item.key), .lsn = item.lsn};
        auto* object = item.oid ? keyspace.find_object(item.oid) : nullptr;
        if (item.oid) {
            if (object == nullptr || !object->bound()) continue;
            auto key = session.read_key(object->binding, object->binding_bytes);
            if (!key) continue;
            change.key = std::move(*key);
        }
        for (std::uint32_t database = 0; database < keyspace.databases_end(); ++database)
            if (const auto* space = keyspace.find_space(database);
                space != nullptr && !item.oid && space->kid == item.kid)
                change.database = database;
        result_.changes.push_back(std::move(change));
    }
}

// Its value is damaged, or the key too, which then has no name.
bool Repairer::lose(std::optional<std::string_view> key, std::uint32_t database) {
    ++result_.unreadable;
    if (!key) return true;
    ++result_.changes_all;
    if (result_.changes.size() < Repaired::kChangesMax)
        result_.changes.push_back({.database = database, .key = std::string(*key), .lsn = {}});
    return true;
}

// Due keys too: when this is run says nothing of them.
Result<void> Repairer::copy_all(BatchWriter* writer) {
    CopyWish wish;
    // Replayed, its bytes were verified. What a checkpoint leads to nobody has read before.
    if (!result_.survey.manifest.has_beginning())
        wish.unreadable = [this](std::optional<std::string_view> key, std::uint32_t database) {
            return lose(key, database);
        };
    CopyCounts counts;
    auto copied = copy_keys(*source_, writer, wish, counts);
    result_.keys = counts.keys;
    result_.fields = counts.fields;
    result_.bytes = counts.bytes;
    return copied;
}

Result<Repaired> Repairer::run(io::Files* to, io::Io* io) {
    auto lock = from_.lock(names::kLock);
    if (!lock) return fail(lock);
    SurveyedKeyspace keyspace;
    Surveyed surveyed;
    surveyed.base = [&](LoadedCheckpoint&& loaded) { keyspace.base(std::move(loaded)); };
    surveyed.record = [&](const engine::Record& record, const engine::Keyspace::Place& place) {
        keyspace.record(record, place);
    };
    surveyed.dropped = [&](const engine::Record& record, Lsn lsn) { remember(record, lsn); };
    surveyed.progress = options_.progress;
    auto found = survey(from_, surveyed);
    if (!found) return fail(found);
    result_.survey = std::move(*found);
    (void)keyspace.finish();
    settled_ = std::make_unique<SettledFiles>(from_, result_.survey.manifest);
    if (auto built = build_source(keyspace.take()); !built) return fail(built);
    name_changes();
    if (options_.dry_run) {
        if (auto counted = copy_all(nullptr); !counted) return fail(counted);
        return std::move(result_);
    }
    ensure(to != nullptr && io != nullptr, "a repair has somewhere to write to");
    OpenOptions open_options;
    open_options.engine = options_.engine;
    open_options.engine.databases = source_->options.databases;
    auto store = open(*to, clock_, open_options);
    if (!store) return fail(store.error().error);
    {
        BatchWriter writer((*store)->engine(), *io);
        if (auto copied = copy_all(&writer); !copied) return fail(copied);
        if (auto finished = writer.finish(); !finished) return fail(finished);
    }
    if (auto closed = (*store)->close(); !closed) return fail(closed);
    return std::move(result_);
}

}  // namespace

bool Repaired::lost_nothing() const {
    return survey.records_dropped == 0 && unreadable == 0 &&
           std::ranges::none_of(survey.faults, [](const Fault& fault) { return fault.loses(); });
}

Result<Repaired> repair(io::Files& from, io::Files* to, io::Clock& clock, io::Io* io,
                        RepairOptions options) {
    return Repairer(from, clock, std::move(options)).run(to, io);
}

}  // namespace firnlog::recovery
