#include "recovery/past.hpp"

#include <algorithm>
#include <set>

#include "recovery/checkpoint_reader.hpp"
#include "recovery/map_segment.hpp"
#include "recovery/replay.hpp"

namespace firnlog::recovery {
namespace {

using engine::Lsn;

// A clock that stands still.
class StoppedClock final : public io::Clock {
  public:
    explicit StoppedClock(std::int64_t us) : us_(us) {}
    [[nodiscard]] io::MonoTime mono() const noexcept override { return {us_}; }
    [[nodiscard]] io::WallTime wall() const noexcept override { return {us_}; }
    [[nodiscard]] io::MonoTime boot() const noexcept override { return {us_}; }
    void entropy(std::span<std::byte> into) noexcept override {
        std::ranges::fill(into, std::byte{0});
    }

  private:
    const std::int64_t us_;
};

class PastOpener {
  public:
    PastOpener(std::unique_ptr<History> history, const PastOptions& options)
        : history_(std::move(history)), options_(options) {}

    Opening<std::unique_ptr<Past>> run();
    Opening<std::unique_ptr<engine::Keyspace>> stripes(const std::vector<engine::Stripe>& wanted);

  private:
    Opening<void> find_index(bool waits);
    Opening<void> load_base(bool waits);
    Opening<void> replay();
    Result<std::unique_ptr<engine::Segments>> open_segments();
    [[nodiscard]] bool go_on(std::uint64_t bytes);
    static tl::unexpected<Refusal> stopped() {
        return tl::unexpected(Refusal{.error = {.code = Code::busy, .doing = "open the past"},
                                      .text = "stopped while opening the past"});
    }

    std::unique_ptr<History> history_;
    const PastOptions& options_;
    Past::Facts facts_;
    Progress progress_;
    std::optional<engine::CheckpointEntry> base_;
    std::set<engine::FileNumber> left_out_;  // checkpoints
    std::unique_ptr<engine::Keyspace> keyspace_;
    std::unique_ptr<engine::Loader> loader_;  // gone before the keyspace
    std::unique_ptr<Replay> replay_;
};

bool PastOpener::go_on(std::uint64_t bytes) {
    progress_.bytes_done += bytes;
    if (replay_) progress_.records = replay_->records();
    if (options_.progress) options_.progress(progress_);
    return !options_.give_up || !options_.give_up();
}

Opening<void> PastOpener::load_base(bool waits) {
    const auto& manifest = history_->manifest();
    const engine::Moves moves(manifest.moves);
    const auto tell = [&](std::uint64_t) { return go_on(0); };
    std::optional<Error> fault;
    replay_.reset();
    loader_.reset();
    base_.reset();
    for (const auto& entry : history_->bases_of(facts_.place.lsn)) {
        if (left_out_.contains(entry.number)) continue;
        const auto twin =
            std::ranges::find_if(manifest.checkpoints, [&](const engine::CheckpointEntry& other) {
                return other.number != entry.number && other.lo == entry.lo && other.hi == entry.hi;
            });
        auto loaded = waits
                          ? begin_checkpoint(history_->files(), manifest.store_id, entry,
                                             manifest.hash_secret, moves, tell)
                          : load_checkpoint(history_->files(), manifest.store_id, entry,
                                            manifest.hash_secret, moves, tell,
                                            twin == manifest.checkpoints.end() ? 0 : twin->number);
        if (!loaded && loaded.error().code == Code::busy) return stopped();
        if (!loaded) {
            fault = loaded.error();
            continue;
        }
        keyspace_ = std::move(loaded->keyspace);
        loader_ = std::move(loaded->loader);
        replay_ = std::make_unique<Replay>(*keyspace_, std::move(loaded->stamps));
        base_ = entry;
        facts_.checkpoint = entry.number;
        return {};
    }
    if (!history_->is_whole())
        return refuse(fault.value_or(Error{.code = Code::missing, .doing = "find a checkpoint"}));
    keyspace_ = std::make_unique<engine::Keyspace>(manifest.hash_secret);
    replay_ = std::make_unique<Replay>(*keyspace_);
    return {};
}

Opening<void> PastOpener::replay() {
    const auto from = base_ ? base_->lo : history_->manifest().timelines.front().begin;
    const auto to = facts_.place.lsn;
    progress_.bytes_all = to - std::min(from, to);
    bool going = true;
    std::uint64_t untold = 0;
    auto visited =
        history_->visit(from, to, [&](const LogReader::Frame& frame, engine::FileNumber file) {
            replay_->apply(frame, file);
            replay_->settle();
            constexpr std::uint64_t kTellEvery = std::uint64_t{4} << 20;
            const auto bytes = engine::kFrameHeaderBytes + frame.records.size();
            facts_.bytes += bytes;
            untold += bytes;
            if (untold >= kTellEvery) {
                going = go_on(untold);
                untold = 0;
            }
            return going;
        });
    if (!visited) return visited;
    if (!going || !go_on(untold)) return stopped();
    ensure(!replay_->amid_batch(), "a moment is the end of a batch");
    facts_.records = replay_->records();
    keyspace_->retire_unused();
    (void)keyspace_->sweep_unbound();
    return {};
}

// The files that the index can lead into.
Result<std::unique_ptr<engine::Segments>> PastOpener::open_segments() {
    const engine::Moves moves(history_->manifest().moves);
    std::set<engine::FileNumber> named;
    if (base_)
        for (const auto number : base_->files) named.insert(moves(number));
    MappedSegments segments(history_->files());
    for (const auto number : history_->manifest().packed) {
        if (named.erase(number) == 0) continue;
        auto segment = map_packed(history_->files(), history_->manifest().store_id, number);
        if (!segment) return fail(segment);
        segments.add(std::move(*segment));
    }
    for (const auto& piece : history_->pieces()) {
        if (piece.file.base() >= facts_.place.lsn) continue;
        const bool replayed = !base_ || piece.end > base_->lo;
        if (!replayed && !named.contains(piece.file.number)) continue;
        named.erase(piece.file.number);
        auto segment = map_segment(history_->files(), piece.file,
                                   engine::kSegmentHeaderBytes + (piece.end - piece.file.base()));
        if (!segment) return fail(segment);
        segments.add(std::move(*segment));
    }
    if (!named.empty())
        return fail(Error{.code = Code::missing,
                          .file = *named.begin(),
                          .doing = "find a file that a checkpoint names"});
    return segments.take();
}

// Until no part of it turned out to be damaged on the way.
Opening<void> PastOpener::find_index(bool waits) {
    const auto place = history_->find(options_.moment, options_.now_us);
    if (!place) return tl::unexpected(place.error());
    left_out_.insert(options_.without);
    for (;;) {
        facts_ = {.place = *place};
        progress_ = {};
        if (auto loaded = load_base(waits); !loaded) return loaded;
        if (auto replayed = replay(); !replayed) return replayed;
        if (keyspace_->lost() == 0) return {};
        left_out_.insert(base_->number);
    }
}

Opening<std::unique_ptr<engine::Keyspace>> PastOpener::stripes(
    const std::vector<engine::Stripe>& wanted) {
    for (;;) {
        if (auto found = find_index(true); !found) return tl::unexpected(found.error());
        if (std::ranges::all_of(wanted,
                                [&](engine::Stripe stripe) { return keyspace_->fetch(stripe); }))
            return std::move(keyspace_);
        left_out_.insert(base_->number);
    }
}

Opening<std::unique_ptr<Past>> PastOpener::run() {
    if (auto found = find_index(options_.waits); !found) return tl::unexpected(found.error());
    // Nobody makes anew what is lost later.
    keyspace_->beyond_repair(true);
    facts_.place.us = options_.expiry_us.value_or(facts_.place.us);
    auto segments = open_segments();
    if (!segments) return refuse(segments.error());
    return make_past({.history = std::move(history_),
                      .keyspace = std::move(keyspace_),
                      .loader = std::move(loader_),
                      .segments = std::move(*segments),
                      .facts = facts_},
                     options_.databases);
}

}  // namespace

Past::Past(std::unique_ptr<History> history, std::unique_ptr<io::Clock> clock,
           std::unique_ptr<engine::Engine> engine, Facts facts)
    : history_(std::move(history)),
      clock_(std::move(clock)),
      engine_(std::move(engine)),
      facts_(facts) {}

// The engine closes its files through the history.
Past::~Past() { engine_.reset(); }

std::unique_ptr<Past> make_past(PastParts parts, std::uint32_t databases) {
    engine::EngineOptions options;
    options.databases = std::max(databases, parts.keyspace->databases_end());
    options.past = true;
    const auto& manifest = parts.history->manifest();
    const auto& place = parts.facts.place;
    auto clock = std::make_unique<StoppedClock>(place.us);
    engine::EngineParts engine_parts{.segments = std::move(parts.segments),
                                     .keyspace = std::move(parts.keyspace),
                                     .loader = std::move(parts.loader),
                                     .start = {.store_id = manifest.store_id,
                                               .timeline = place.timeline,
                                               .next = place.lsn,
                                               .high_us = place.us},
                                     .next_file = manifest.files_end};
    auto engine = std::make_unique<engine::Engine>(parts.history->files(), *clock,
                                                   std::move(engine_parts), options);
    return std::make_unique<Past>(std::move(parts.history), std::move(clock), std::move(engine),
                                  parts.facts);
}

Opening<Place> find_moment(io::Files& files, const Moment& moment, std::int64_t now_us,
                           const std::optional<Serving>& serving) {
    return with_history(
        files,
        [&](const std::unique_ptr<History>& history) { return history->find(moment, now_us); },
        serving);
}

Opening<std::unique_ptr<engine::Keyspace>> stripes_of_past(
    io::Files& files, const PastOptions& options, const std::vector<engine::Stripe>& stripes) {
    return with_history(
        files,
        [&](std::unique_ptr<History> history) {
            return PastOpener(std::move(history), options).stripes(stripes);
        },
        options.serving);
}

Opening<std::unique_ptr<Past>> open_past(io::Files& files, const PastOptions& options) {
    return with_history(
        files,
        [&](std::unique_ptr<History> history) {
            return PastOpener(std::move(history), options).run();
        },
        options.serving);
}

}  // namespace firnlog::recovery
