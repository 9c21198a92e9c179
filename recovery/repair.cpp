#include "recovery/repair.hpp"

#include <algorithm>

#include "engine/format/names.hpp"
#include "engine/ops/hashes.hpp"
#include "engine/ops/keys.hpp"
#include "engine/ops/strings.hpp"
#include "engine/session.hpp"
#include "recovery/map_segment.hpp"

namespace firnlog::recovery {
namespace {

namespace hashes = engine::hashes;
namespace names = engine::names;
namespace strings = engine::strings;
using engine::Lsn;

// Writes into the new store, batch by batch; a batch is tried again while the log waits for room.
class Writer {
  public:
    Writer(Store& store, io::Io& io)
        : engine_(store.engine()), io_(io), session_(engine_), flusher_(engine_.log, io, [] {}) {}

    template <class Run>
    Result<void> batch(std::string_view key, std::uint32_t database, Run&& run) {
        for (;;) {
            session_.begin({&key, 1}, database);
            const auto done = run(session_);
            const auto end = session_.end();
            session_.reset();
            if (done) {
                engine_.log.want_durable(end);
                flusher_.kick(1'000'000);
                return {};
            }
            if (done.error() != engine::Stop::wait)
                return fail(Error{
                    .code = done.error() == engine::Stop::no_space ? Code::no_space : Code::io,
                    .error = engine_.log.failed(),
                    .doing = "write the new store"});
            if (auto turned = turn(); !turned) return turned;
        }
    }
    // Until everything is durable.
    Result<void> finish() {
        auto& log = engine_.log;
        while (log.durable() != log.tail.end() || log.tail.dirty()) {
            if (log.failed() != 0)
                return fail(Error{.error = log.failed(), .doing = "write the new store"});
            log.want_durable(log.tail.end());
            if (auto turned = turn(); !turned) return turned;
        }
        return {};
    }

  private:
    Result<void> turn() {
        while (engine_.work()) {
        }
        if (auto failure = engine_.supply.failure()) return fail(*failure);
        flusher_.kick(1'000'000);
        if (auto turned = io_.turn(engine_.log.durable() != engine_.log.tail.end()); !turned)
            return fail(turned);
        return {};
    }

    engine::Engine& engine_;
    io::Io& io_;
    engine::Session session_;
    engine::Flusher flusher_;
};

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
    Result<void> lose(std::string_view key, std::uint32_t database);
    Result<void> copy_all(Writer* writer);
    Result<void> copy_key(Writer* writer, std::uint32_t database, const engine::TagMap& map,
                          const engine::Entry& entry);

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

Result<void> Repairer::copy_key(Writer* writer, std::uint32_t database, const engine::TagMap& map,
                                const engine::Entry& entry) {
    engine::Session session(*source_);
    session.may_wait(true);
    engine::Item item{.type = entry.type()};
    item.address = entry.address();
    item.size_hint = entry.size_hint();
    if (item.type != engine::Type::string) {
        item.object = entry.pointer<engine::Object>();
        item.address = item.object->binding;
        item.size_hint = item.object->binding_bytes;
    }
    const auto unreadable = fail(Error{.code = Code::damaged,
                                       .offset = item.address.offset(),
                                       .file = item.address.file(),
                                       .doing = "read a record again"});
    // Replayed, its bytes were verified. What a checkpoint leads to nobody has read before.
    const bool unverified = !result_.survey.manifest.has_beginning();
    auto key = session.read_key(item.address, item.size_hint);
    if (!key && unverified) {
        ++result_.unreadable;
        return {};
    }
    if (!key) return unreadable;
    std::int64_t expires_ms = -1;
    if (entry.expires())
        if (const auto* expiry = map.expiry(entry.tag())) expires_ms = expiry->at_ms;
    if (item.type != engine::Type::hash) {
        const auto value = strings::get(session, item);
        if (!value && unverified) return lose(*key, database);
        if (!value) return unreadable;
        ++result_.keys;
        result_.bytes += key->size();
        result_.bytes += value->size();
        if (writer == nullptr) return {};
        return writer->batch(*key, database, [&](engine::Session& to) {
            return strings::set(to, *key, *value, expires_ms);
        });
    }
    const auto pairs = hashes::all(session, item);
    if (!pairs && unverified) return lose(*key, database);
    if (!pairs) return unreadable;
    ++result_.keys;
    result_.bytes += key->size();
    result_.fields += pairs->size();
    std::size_t done = 0;
    while (done < pairs->size()) {
        std::size_t count = 0;
        std::size_t bytes = 0;
        for (; done + count < pairs->size() && bytes < (std::size_t{1} << 20); ++count)
            bytes += (*pairs)[done + count].field.size() + (*pairs)[done + count].value.size();
        const std::span<const hashes::Pair> some(pairs->data() + done, count);
        done += count;
        result_.bytes += bytes;
        if (writer == nullptr) continue;
        auto written =
            writer->batch(*key, database, [&](engine::Session& to) -> engine::Expected<void> {
                if (auto set = hashes::set(to, *key, some); !set)
                    return tl::unexpected(set.error());
                return {};
            });
        if (!written) return written;
    }
    if (writer == nullptr || expires_ms < 0) return {};
    // Last, and as it was written: one whose time has come is deleted by whoever looks at it.
    return writer->batch(*key, database, [&](engine::Session& to) -> engine::Expected<void> {
        if (auto room = to.reserve(key->size(), 1); !room) return room;
        to.set_expiry(*key, expires_ms);
        return {};
    });
}

// The key is known, its value is damaged.
Result<void> Repairer::lose(std::string_view key, std::uint32_t database) {
    ++result_.unreadable;
    ++result_.changes_all;
    if (result_.changes.size() < Repaired::kChangesMax)
        result_.changes.push_back({.database = database, .key = std::string(key), .lsn = {}});
    return {};
}

Result<void> Repairer::copy_all(Writer* writer) {
    auto& keyspace = source_->keyspace();
    for (std::uint32_t database = 0; database < keyspace.databases_end(); ++database) {
        const auto* space = keyspace.find_space(database);
        if (space == nullptr) continue;
        for (std::uint32_t stripe = 0; stripe < engine::kStripes; ++stripe) {
            const auto& map = space->stripes[stripe];
            if (map.size() == 0) continue;
            Result<void> done;
            map.for_each([&](const engine::Entry& entry) {
                if (done) done = copy_key(writer, database, map, entry);
            });
            if (!done) return done;
        }
    }
    return {};
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
        Writer writer(**store, *io);
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
