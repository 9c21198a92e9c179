#include "engine/engine.hpp"

#include <sys/sysinfo.h>

#include <mutex>
#include <new>

#include "io/base/thread.hpp"

namespace firnlog::engine {

Engine::Engine(io::Files& files, io::Clock& clock, EngineParts parts, EngineOptions options_given)
    : options(std::move(options_given)),
      store_id(parts.start.store_id),
      segments_(std::move(parts.segments)),
      keyspace_(std::move(parts.keyspace)),
      loader_(std::move(parts.loader)),
      departed_(files),
      manifest_(std::move(parts.manifest)),
      digests_(files, store_id, manifest_),
      supply(files, clock, *segments_,
             {.store_id = parts.start.store_id, .next_file = parts.next_file}, options.supply,
             [this](std::function<void()> run) { grace.retire(std::move(run)); }),
      reserve(files, clock),
      log(clock, supply, parts.start),
      reader(*segments_, parts.start.store_id),
      now(clock, parts.start.high_us),
      walk({.files = files,
            .clock = clock,
            .now = now,
            .keyspace = *keyspace_,
            .segments = *segments_,
            .departed = departed_,
            .retire = [this](std::function<void()> run) { grace.retire(std::move(run)); },
            .supply = supply,
            .reserve = reserve,
            .log = log,
            .manifest = manifest_},
           options.walk),
      files_(files),
      clock_(clock) {
    supply.on_sealed = [this](const Segment& sealed) { digests_.add(sealed); };
    if (parts.wants_checkpoint) (void)walk.request(false, false);
}

Engine::~Engine() {
    stop_worker();
    for (auto* segment : segments_->all()) files_.close(segment->fd);
}

Result<void> Engine::prepare() {
    supply.spoken_for(reserve.missing());
    while (supply.ready().count < 1) {
        supply.work();
        const auto failure = supply.failure();
        // What is there can be read, and deleted as soon as the worker has made room for that.
        if (failure && failure->code == Code::no_space) break;
        if (failure) return fail(*failure);
    }
    return {};
}

bool Engine::work() {
    grace.collect();
    departed_.close_unread();
    watch_memory();
    const bool refilled = reserve.refill(supply.missing_kept());
    supply.spoken_for(reserve.missing());
    // Segments first: somebody may wait for room, and nobody waits for the walk as much.
    bool supplied = false;
    const int pieces_max = supply.behind() ? 64 : 8;
    for (int pieces = 0; pieces < pieces_max && supply.work(); ++pieces) supplied = true;
    const bool loaded = loader_ != nullptr && bring_in();
    // One in a hurry moves as much as the pieces before it do.
    bool walked = false;
    constexpr int kWalkSteps = 4;
    for (int steps = 0; steps < kWalkSteps && walk.step(); ++steps) walked = true;
    digests_.follow(manifest_);
    // Of a disk that is full nothing is taken for them.
    const bool digested = !supply.failure() && digests_.step(log.durable());
    return keyspace_->release_some() || refilled || supplied || loaded || walked || digested;
}

// What of the index still waits in the checkpoint.
bool Engine::bring_in() {
    if (!loader_->done()) {
        // A walk that somebody waits for begins when every stripe is there.
        const bool moved = loader_->step(clock_, walk.status().hurry);
        if (moved && !loader_->done()) tell(IndexEvent::loading);
        if (loader_->done()) tell(keyspace_->lost() == 0 ? IndexEvent::whole : IndexEvent::lost);
        return moved;
    }
    switch (loader_->mend(clock_, stopping_)) {
        case Loader::Mending::idle:
        case Loader::Mending::running:
            return false;
        case Loader::Mending::done:
            // What the next start begins with is to be sound.
            walk.distrust(loader_->checkpoint());
            (void)walk.request(true, false);
            tell(IndexEvent::mended);
            return true;
        case Loader::Mending::failed:
            tell(IndexEvent::not_mended);
            return true;
    }
    return false;
}

// While all of the log fits into half of the memory it stays in the page cache, and nobody pays for
// asking whether a record is there; beyond that every read of a map asks first.
void Engine::watch_memory() {
    constexpr std::int64_t kEveryUs = 1'000'000;
    const auto now_mono = clock_.mono();
    if (now_mono < look_again_) return;
    look_again_ = now_mono.after(kEveryUs);
    std::uint64_t bytes = 0;
    for (const auto* segment : segments_->all()) bytes += segment->bytes;
    struct sysinfo info {};
    if (::sysinfo(&info) != 0) return;
    const auto memory = static_cast<std::uint64_t>(info.totalram) * info.mem_unit;
    const bool fits = bytes <= memory / 2;
    reader.look_for_cold.store(!fits, std::memory_order_relaxed);
    walk.cached(fits);
}

Result<void> Engine::start_worker() {
    auto started = start_thread([this] {
        constexpr std::int64_t kIdleUs = 20'000;
        constexpr std::int64_t kBusyUs = 200;
        while (!stopping_.load(std::memory_order_acquire)) {
            bool more = false;
            try {
                more = work();
            } catch (const std::bad_alloc&) {
                // What it was about to do waits for memory.
            }
            const bool loading = loader_ != nullptr && !loader_->done();
            if (!more) supply.wait(walk.busy() || loading ? kBusyUs : kIdleUs);
        }
    });
    if (!started) return fail(started);
    worker_ = std::move(*started);
    return {};
}

void Engine::stop_worker() {
    if (!worker_.joinable()) return;
    stopping_.store(true, std::memory_order_release);
    supply.stop_waiting();
    worker_.join();
}

}  // namespace firnlog::engine
