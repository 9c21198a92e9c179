#include "src/server.hpp"

#include <array>

#include "src/archive_job.hpp"
#include "src/backup_job.hpp"
#include "src/forget.hpp"
#include "src/latency.hpp"
#include "src/parked.hpp"
#include "src/pasts.hpp"
#include "src/pubsub.hpp"
#include "src/recall.hpp"
#include "src/saving.hpp"
#include "src/scrub_job.hpp"
#include "src/sidecar_job.hpp"
#include "src/slowlog.hpp"
#include "src/undo.hpp"

namespace firnlog::server {
namespace {

std::string random_hex(io::Clock& clock) {
    std::array<std::byte, 20> bytes{};
    clock.entropy(bytes);
    std::string hex;
    for (const auto byte : bytes) {
        hex += "0123456789abcdef"[static_cast<unsigned>(byte) >> 4];
        hex += "0123456789abcdef"[static_cast<unsigned>(byte) & 15];
    }
    return hex;
}

}  // namespace

Server::Server(engine::Engine& engine, io::Clock& clock, Config config)
    : run_id(random_hex(clock)),
      started_us(clock.mono().us),
      started_wall_us(clock.wall().us),
      engine_(engine),
      clock_(clock),
      pubsub_(std::make_unique<PubSub>()),
      slowlog_(std::make_unique<SlowLog>()),
      latency_(std::make_unique<LatencyMonitor>(clock)),
      saving_(std::make_unique<Saving>(*this)),
      parked_(std::make_unique<Parked>(engine)),
      sidecars_(std::make_unique<SidecarJob>(*this)),
      undo_(std::make_unique<Undo>(*this)),
      forget_(std::make_unique<Forget>(*this)),
      pasts_(std::make_unique<Pasts>(*this)),
      recall_(std::make_unique<Recall>(*this)),
      archive_(std::make_unique<ArchiveJob>(*this)),
      backups_(std::make_unique<BackupJob>(*this)),
      scrub_(std::make_unique<ScrubJob>(*this)) {
    publish(std::move(config));
}

Server::~Server() = default;

engine::Window window_of(const Config& config) {
    auto keep = engine::parse_keep(config.keep);
    ensure(keep.has_value(), "the rules of a configuration were looked at");
    return {
        .retain_s = config.retain_s, .retain_bytes = config.retain_bytes, .keep = std::move(*keep)};
}

void Server::publish(Config config) {
    configs_.push_back(std::make_unique<const Config>(std::move(config)));
    config_.store(configs_.back().get(), std::memory_order_release);
    std::vector<engine::SaveRule> rules;
    for (const auto& rule : configs_.back()->save)
        rules.push_back({.seconds = rule.seconds, .changes = rule.changes});
    engine_.walk.rules(std::move(rules));
    engine_.walk.window(window_of(*configs_.back()));
    engine_.walk.water_marks(
        {.low = configs_.back()->disk_low_water, .high = configs_.back()->disk_high_water});
    scrub_->wake();
}

void Server::add_reactor(Reactor& reactor) { reactors_.push_back(&reactor); }

engine::Durability Server::default_durability() const {
    switch (config().appendfsync) {
        case Fsync::everysec:
            return engine::Durability::everysec;
        case Fsync::no:
            return engine::Durability::no;
        case Fsync::always:
            break;
    }
    return engine::Durability::always;
}

void Server::gather(Reactor& origin, std::function<std::string(Reactor&)> job,
                    std::function<void(Reactor&, std::vector<std::string>)> done) {
    if (reactors_.size() == 1) {
        done(origin, {job(origin)});
        return;
    }
    struct Gathering {
        std::mutex mutex;
        std::vector<std::string> answers;
        std::size_t missing = 0;
        std::function<std::string(Reactor&)> job;
        std::function<void(Reactor&, std::vector<std::string>)> done;
    };
    auto gathering = std::make_shared<Gathering>();
    gathering->answers.resize(reactors_.size());
    gathering->missing = reactors_.size();
    gathering->job = std::move(job);
    gathering->done = std::move(done);
    auto* home = &origin;
    for (auto* reactor : reactors_) {
        reactor->post([gathering, home](Reactor& here) {
            auto answer = gathering->job(here);
            {
                const std::lock_guard guard(gathering->mutex);
                gathering->answers[here.number] = std::move(answer);
                if (--gathering->missing != 0) return;
            }
            home->post([gathering](Reactor& at_home) {
                gathering->done(at_home, std::move(gathering->answers));
            });
        });
    }
}

void Server::sample_rates(std::int64_t now_us) {
    Rates::Totals totals;
    for (auto* reactor : reactors_) {
        const auto& counted = reactor->statistics();
        totals.commands += counted.commands.get();
        totals.bytes_in += counted.net_in.get();
        totals.bytes_out += counted.net_out.get();
    }
    rates.sample(now_us, totals);
}

void Server::stop() { stopping_.store(true, std::memory_order_release); }

}  // namespace firnlog::server
