#include "recovery/restore.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "engine/format/names.hpp"
#include "engine/manifest_file.hpp"
#include "io/base/mutant.hpp"
#include "recovery/copy_keys.hpp"
#include "recovery/write_cut.hpp"

namespace firnlog::recovery {
namespace {

namespace names = engine::names;
using engine::FileNumber;
using engine::Lsn;

class Restorer {
  public:
    Restorer(History& history, io::Files& to, io::Clock& clock, io::Io& io,
             const RestoreOptions& options)
        : history_(history),
          to_(to),
          clock_(clock),
          io_(io),
          options_(options),
          now_us_(clock.wall().us) {}

    Opening<Restored> run();

  private:
    Opening<void> take_files();
    Opening<void> take(const std::string& name, std::uint64_t bytes);
    Opening<void> write_manifest();
    Opening<void> shift_expiries();
    Opening<void> shift_stripe(engine::Engine& engine, BatchWriter& writer, std::uint32_t database,
                               const engine::TagMap& map);
    Opening<void> sync();

    History& history_;
    io::Files& to_;
    io::Clock& clock_;
    io::Io& io_;
    const RestoreOptions& options_;
    const std::int64_t now_us_;  // one for all keys
    Restored result_;
    Progress progress_;
};

// What `ttl` makes of an expiry; nothing for what was due at the moment already: it is gone there.
std::optional<std::int64_t> wished_expiry(const TtlRule& ttl, std::int64_t expires_ms) {
    if (expires_ms <= ttl.then_us / 1000) return std::nullopt;
    return ttl.apply(expires_ms);
}

Opening<void> Restorer::take(const std::string& name, std::uint64_t bytes) {
    const auto given = history_.files().give(name, to_, name);
    if (!given) return refuse(given.error());
    if (*given == io::Given::linked) ++result_.linked;
    if (*given == io::Given::cloned) ++result_.cloned;
    if (*given == io::Given::copied) ++result_.copied;
    progress_.bytes_done += bytes;
    if (options_.progress) options_.progress(progress_);
    if (options_.give_up && options_.give_up())
        return tl::unexpected(Refusal{.error = {.code = Code::busy, .doing = "restore"},
                                      .text = "stopped while restoring"});
    return {};
}

Opening<void> Restorer::take_files() {
    const auto& plan = result_.plan;
    progress_.bytes_all = plan.bytes;
    for (const auto& piece : history_.pieces()) {
        const auto number = piece.file.number;
        if (std::ranges::count(plan.whole, number) != 0)
            if (auto taken = take(names::log_file(number), piece.file.bytes); !taken) return taken;
        if (plan.cut == number) {
            const auto written = write_last_file(history_, plan, to_, names::log_file(number));
            if (!written) return tl::unexpected(written.error());
            progress_.bytes_done += *written;
        }
    }
    for (const auto number : plan.packed)
        if (auto taken = take(names::packed_file(number), 0); !taken) return taken;
    for (const auto& entry : plan.checkpoints)
        if (auto taken = take(names::checkpoint_file(entry.number), entry.bytes); !taken)
            return taken;
    return {};
}

Opening<void> Restorer::write_manifest() {
    auto manifest = manifest_of(history_, result_.plan);
    const auto moment = result_.plan.place.lsn;
    // The source may reach the next number by a crash, and other restores of it have one of their
    // own: this one must be nobody else's, for what both write goes by the same store's id.
    constexpr std::uint32_t kStepMask = (1U << 24) - 1;
    std::array<std::byte, 4> random{};
    clock_.entropy(random);
    if (planted("restores_share_a_timeline")) random.fill(std::byte{0});
    const auto step = 1 + (load<std::uint32_t>(random.data()) & kStepMask);
    constexpr std::uint64_t kBlock = 4096;
    const Lsn begin{align_up(moment.value + kBlock, kBlock)};
    manifest.timelines.push_back({.timeline = manifest.timelines.back().timeline + step,
                                  .begin = begin,
                                  .end = begin,
                                  .started_us = now_us_});
    if (auto written = engine::write_manifest(to_, manifest); !written)
        return refuse(written.error());
    return {};
}

Opening<void> Restorer::shift_stripe(engine::Engine& engine, BatchWriter& writer,
                                     std::uint32_t database, const engine::TagMap& map) {
    struct Expiring {
        engine::Address address;
        std::size_t bytes = 0;
        std::int64_t expires_ms = 0;
    };
    const TtlRule rule{.ttl = options_.ttl, .then_us = result_.plan.place.us, .now_us = now_us_};
    std::vector<Expiring> expiring;
    map.for_each([&](const engine::Entry& entry) {
        const auto* expiry = entry.expires() ? map.expiry(entry.tag()) : nullptr;
        if (expiry == nullptr) return;
        const auto wished = wished_expiry(rule, expiry->at_ms);
        if (!wished) return;
        if (entry.type() == engine::Type::string) {
            expiring.push_back({entry.address(), entry.size_hint(), *wished});
            return;
        }
        const auto* object = entry.pointer<engine::Object>();
        expiring.push_back({object->binding, object->binding_bytes, *wished});
    });
    engine::Session reader(engine);
    reader.may_wait(true);
    for (const auto& item : expiring) {
        const auto key = reader.read_key(item.address, item.bytes);
        if (!key)
            return refuse({.code = Code::damaged,
                           .offset = item.address.offset(),
                           .file = item.address.file(),
                           .doing = "read a key that expires"});
        const auto written =
            writer.batch(*key, database, [&](engine::Session& session) -> engine::Expected<void> {
                if (auto room = session.reserve(key->size(), 1); !room) return room;
                session.set_expiry(*key, item.expires_ms);
                return {};
            });
        if (!written) return refuse(written.error());
        ++result_.shifted;
    }
    return {};
}

// The new store is opened as any other, and written to.
Opening<void> Restorer::shift_expiries() {
    OpenOptions open_options;
    open_options.engine = options_.engine;
    open_options.create = false;
    auto store = open(to_, clock_, open_options);
    if (!store) return tl::unexpected(store.error());
    auto& engine = (*store)->engine();
    auto& keyspace = engine.keyspace();
    // For good: whatever a walk is due for meanwhile, and be it a full disk, the past that has come
    // along is not what gives way.
    engine.walk.pin();
    {
        BatchWriter writer(engine, io_);
        for (std::uint32_t database = 0; database < keyspace.databases_end(); ++database) {
            const auto* space = keyspace.find_space(database);
            if (space == nullptr || space->expires.load() == 0) continue;
            for (std::uint32_t stripe = 0; stripe < engine::kStripes; ++stripe)
                if (auto done = shift_stripe(engine, writer, database, space->stripes[stripe]);
                    !done)
                    return done;
        }
        if (auto finished = writer.finish(); !finished) return refuse(finished.error());
    }
    if (auto closed = (*store)->close(); !closed) return refuse(closed.error());
    return {};
}

Opening<Restored> Restorer::run() {
    auto plan = plan_of(history_, clock_, options_.moment);
    if (!plan) return tl::unexpected(plan.error());
    result_.plan = std::move(*plan);
    if (auto taken = take_files(); !taken) return tl::unexpected(taken.error());
    if (auto synced = to_.sync_dir(); !synced) return refuse(synced.error());
    if (auto written = write_manifest(); !written) return tl::unexpected(written.error());
    if (options_.ttl != Ttl::keep)
        if (auto shifted = shift_expiries(); !shifted) return tl::unexpected(shifted.error());
    return std::move(result_);
}

// Some keys only: read out of the past, written into a store of its own.
Opening<Restored> restore_keys(io::Files& from, io::Files& to, io::Clock& clock, io::Io& io,
                               const RestoreOptions& options) {
    auto past = open_past(from, {.moment = options.moment,
                                 .now_us = clock.wall().us,
                                 .databases = 1,
                                 .progress = options.progress,
                                 .give_up = options.give_up});
    if (!past) return tl::unexpected(past.error());
    Restored result;
    auto plan = plan_of((*past)->history(), clock, options.moment);
    if (!plan) return tl::unexpected(plan.error());
    result.plan = std::move(*plan);
    OpenOptions open_options;
    open_options.engine = options.engine;
    open_options.engine.databases =
        std::max(options.engine.databases, (*past)->engine().options.databases);
    auto store = open(to, clock, open_options);
    if (!store) return tl::unexpected(store.error());
    const TtlRule rule{
        .ttl = options.ttl, .then_us = result.plan.place.us, .now_us = clock.wall().us};
    CopyWish wish{.wants = options.wants, .expiry = [&rule](std::int64_t expires_ms) {
                      return wished_expiry(rule, expires_ms);
                  }};
    CopyCounts counts;
    {
        BatchWriter writer((*store)->engine(), io);
        if (auto copied = copy_keys((*past)->engine(), &writer, wish, counts); !copied)
            return refuse(copied.error());
        if (auto finished = writer.finish(); !finished) return refuse(finished.error());
    }
    if (auto closed = (*store)->close(); !closed) return refuse(closed.error());
    result.keys = counts.keys;
    return result;
}

}  // namespace

Opening<RestorePlan> plan_of(const History& history, io::Clock& clock, const Moment& moment) {
    RestorePlan plan{.source = history.manifest()};
    const auto place = history.find(moment, clock.wall().us);
    if (!place) return tl::unexpected(place.error());
    plan.place = *place;
    const auto oldest = history.oldest_place();
    if (!oldest) return tl::unexpected(oldest.error());
    plan.oldest = *oldest;
    const auto newest = history.find({}, clock.wall().us);
    if (!newest) return tl::unexpected(newest.error());
    plan.newest = *newest;
    const engine::Moves moves(plan.source.moves);
    std::set<FileNumber> named;
    auto from = plan.source.timelines.front().begin;
    const auto bases = history.bases_of(place->lsn);
    plan.checkpoints = bases;
    for (const auto& entry : plan.source.kept)
        if (entry.hi <= place->lsn && (bases.empty() || entry.number != bases.back().number))
            plan.checkpoints.push_back(entry);
    for (const auto& entry : plan.checkpoints) {
        plan.bytes += entry.bytes;
        for (const auto number : entry.files) named.insert(moves(number));
    }
    for (const auto number : plan.source.packed)
        if (named.erase(number) != 0) plan.packed.push_back(number);
    // Without a birth the log is of use from the oldest base on.
    if (!history.is_whole() && !bases.empty()) from = bases.back().lo;
    const auto& pieces = history.pieces();
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        const auto& piece = pieces[i];
        if (piece.file.base() >= place->lsn) continue;
        const bool is_named = named.erase(piece.file.number) != 0;
        if (piece.end <= from && !is_named && !plan.source.keeps(piece.file.base(), piece.end))
            continue;
        // The last one may be written to by its server.
        if (piece.end > place->lsn || i + 1 == pieces.size()) {
            plan.cut = piece.file.number;
            plan.bytes += place->lsn - piece.file.base();
        } else {
            plan.whole.push_back(piece.file.number);
            plan.bytes += piece.file.bytes;
        }
    }
    if (!named.empty())
        return refuse({.code = Code::missing,
                       .file = *named.begin(),
                       .doing = "find a file that a checkpoint names"});
    return plan;
}

engine::Manifest manifest_of(const History& history, const RestorePlan& plan) {
    auto manifest = history.manifest();
    const auto moment = plan.place.lsn;
    std::erase_if(manifest.timelines, [&](const auto& entry) { return entry.begin > moment; });
    manifest.timelines.back().end = moment;
    manifest.clean = true;
    manifest.durable = {};
    manifest.retired.clear();
    manifest.adopted.clear();
    manifest.high_us = plan.place.commit_us;
    const auto goes = [&](const engine::CheckpointEntry& entry) {
        return std::ranges::count(plan.checkpoints, entry.number,
                                  &engine::CheckpointEntry::number) == 0;
    };
    std::erase_if(manifest.checkpoints, goes);
    std::erase_if(manifest.kept, goes);
    // A kept moment is its store's base, and the log begins with it.
    if (moment < history.oldest()) {
        manifest.first_lsn = manifest.kept.back().lo;
        manifest.checkpoints.push_back(std::move(manifest.kept.back()));
        manifest.kept.pop_back();
    }
    std::erase_if(manifest.packed, [&](FileNumber number) { return !manifest.names(number); });
    std::erase_if(manifest.moves,
                  [&](const engine::Move& move) { return !manifest.names(move.from); });
    return manifest;
}

Opening<std::uint64_t> write_last_file(History& history, const RestorePlan& plan, io::Files& to,
                                       const std::string& name) {
    const auto number = *plan.cut;
    const auto piece = std::ranges::find(history.pieces(), number,
                                         [](const auto& item) { return item.file.number; });
    LogReader reader(history.manifest().store_id, piece->file);
    if (auto loaded = reader.load(history.files()); !loaded) return refuse(loaded.error());
    // The moment may be a later timeline's beginning.
    const auto end =
        planted("restore_goes_past_its_moment") ? piece->end : std::min(plan.place.lsn, piece->end);
    CutTo cut{.number = number,
              .end = engine::kSegmentHeaderBytes + (end - piece->file.base()),
              .frame_offset = 0};
    while (reader.end() < end) {
        const auto frame = reader.next();
        if (!frame)
            return tl::unexpected(Refusal{.error = {.code = Code::damaged,
                                                    .offset = reader.end_offset(),
                                                    .file = number,
                                                    .doing = "read the log"},
                                          .text = "damaged: " + names::log_file(number) +
                                                  " offset " + std::to_string(reader.end_offset()) +
                                                  ": no valid frame"});
        if (reader.end() > end) cut.frame_offset = frame->offset;
    }
    if (auto written = write_cut(to, name, reader, cut); !written) return refuse(written.error());
    return cut.end;
}

Opening<RestorePlan> plan_restore(io::Files& from, io::Clock& clock,
                                  const RestoreOptions& options) {
    return with_history(from, [&](const std::unique_ptr<History>& history) {
        return plan_of(*history, clock, options.moment);
    });
}

Opening<Restored> restore(io::Files& from, io::Files& to, io::Clock& clock, io::Io& io,
                          const RestoreOptions& options) {
    if (options.wants) return restore_keys(from, to, clock, io, options);
    return with_history(from, [&](const std::unique_ptr<History>& history) -> Opening<Restored> {
        // What an attempt before this one has left.
        auto listed = to.list();
        if (!listed) return refuse(listed.error());
        for (const auto& info : *listed)
            if (auto gone = to.unlink(info.name); !gone) return refuse(gone.error());
        return Restorer(*history, to, clock, io, options).run();
    });
}

}  // namespace firnlog::recovery
