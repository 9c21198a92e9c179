#include "engine/engine.hpp"

#include <sys/sysinfo.h>

#include <mutex>

namespace firnlog::engine {

Engine::Engine(io::Files& files, io::Clock& clock, EngineParts parts, EngineOptions options_given)
    : options(options_given),
      store_id(parts.start.store_id),
      segments_(std::move(parts.segments)),
      keyspace_(std::move(parts.keyspace)),
      supply(files, clock, *segments_, parts.next_file, options.supply,
             [this](std::function<void()> run) { grace.retire(std::move(run)); }),
      log(clock, supply, parts.start),
      reader(*segments_, parts.start.store_id),
      now(clock, parts.start.high_us),
      files_(files),
      clock_(clock) {}

Engine::~Engine() {
    stop_worker();
    for (auto* segment : segments_->all()) files_.close(segment->fd);
}

Result<void> Engine::prepare() {
    while (supply.ready().count < 1) {
        supply.work();
        if (auto failure = supply.failure()) return fail(*failure);
    }
    return {};
}

bool Engine::work() {
    grace.collect();
    const bool supplied = supply.work();
    return keyspace_->release_some() || supplied;
}

void Engine::start_worker() {
    worker_ = std::thread([this] {
        constexpr std::int64_t kIdleUs = 50'000;
        while (!stopping_.load(std::memory_order_acquire))
            if (!work()) supply.wait(kIdleUs);
    });
}

void Engine::stop_worker() {
    if (!worker_.joinable()) return;
    stopping_.store(true, std::memory_order_release);
    supply.stop_waiting();
    worker_.join();
}

}  // namespace firnlog::engine
