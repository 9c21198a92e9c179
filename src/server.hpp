#pragma once
// Server: what the reactors share: the engine, the configuration, the command table's statistics,
// subscriptions, the slow log; and starting and stopping.
//
// Each part states by itself who may touch it. Server only holds them together.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/engine.hpp"
#include "io/clock.hpp"
#include "recovery/open.hpp"
#include "src/config.hpp"
#include "src/memory_bound.hpp"
#include "src/rates.hpp"
#include "src/reactor.hpp"

namespace firnlog::server {

class PubSub;
class SlowLog;
class LatencyMonitor;
class Saving;
class Recall;
class BackupJob;
class ScrubJob;
class SidecarJob;
class ArchiveJob;
class Parked;
class Undo;
class Forget;
class Pasts;

// What of the past such a configuration keeps.
[[nodiscard]] engine::Window window_of(const Config& config);

class Server {
  public:
    Server(engine::Engine& engine, io::Clock& clock, Config config);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    [[nodiscard]] engine::Engine& engine() { return engine_; }
    [[nodiscard]] io::Clock& clock() { return clock_; }

    // ---- Configuration: an immutable snapshot; any thread. The pointer lives as long as the
    // server.
    [[nodiscard]] const Config& config() const { return *config_.load(std::memory_order_acquire); }
    // Publishes another one (CONFIG SET); one at a time.
    void publish(Config config);
    std::mutex config_mutex;  // held from reading the old Config to publishing the new one

    // ---- Reactors. All are added before the first turn.
    void add_reactor(Reactor& reactor);
    [[nodiscard]] const std::vector<Reactor*>& reactors() const { return reactors_; }
    // Runs `job` on every reactor's thread, then `done` on `origin`'s, with what they returned in
    // the reactors' order. With one reactor, and on its thread, all of it happens before this
    // returns.
    void gather(Reactor& origin, std::function<std::string(Reactor&)> job,
                std::function<void(Reactor&, std::vector<std::string>)> done);
    [[nodiscard]] std::uint64_t next_connection_id() { return connection_ids_.fetch_add(1) + 1; }
    // Those up to this one were given while the log was loaded. Before the first turn.
    void connection_ids_begin_behind(std::uint64_t last) { connection_ids_.store(last); }
    // Open connections of all reactors.
    std::atomic<std::size_t> connections{0};

    // What a connection without FIRN DURABILITY waits for.
    [[nodiscard]] engine::Durability default_durability() const;

    // ---- Stopping.
    // SHUTDOWN and signals; the second call ends the process at once. Any thread.
    void stop();
    [[nodiscard]] bool stopping() const { return stopping_.load(std::memory_order_acquire); }

    // ---- Facts for INFO.
    const std::string run_id;       // 40 hex digits
    const std::int64_t started_us;  // monotonic
    const std::int64_t started_wall_us;
    std::int64_t tcp_port = 0;
    recovery::Report recovery;  // what the start found; constant from then on

    PubSub& pubsub() { return *pubsub_; }
    SlowLog& slowlog() { return *slowlog_; }
    LatencyMonitor& latency() { return *latency_; }
    Saving& saving() { return *saving_; }
    Recall& recall() { return *recall_; }
    BackupJob& backups() { return *backups_; }
    ScrubJob& scrub() { return *scrub_; }
    SidecarJob& sidecars() { return *sidecars_; }
    ArchiveJob& archive() { return *archive_; }
    Undo& undo() { return *undo_; }
    Forget& forget() { return *forget_; }
    Parked& parked() { return *parked_; }
    Pasts& pasts() { return *pasts_; }

    // Connections that MONITOR; read before each command.
    std::atomic<std::size_t> monitors{0};
    // CLIENT PAUSE: until then (monotonic µs) writes, or all commands, wait.
    std::atomic<std::int64_t> paused_until_us{0};
    std::atomic<bool> paused_writes_only{false};
    // DEBUG SET-ACTIVE-EXPIRE
    std::atomic<bool> active_expire{true};
    Rates rates;
    // Ten times a second, by one reactor.
    void sample_rates(std::int64_t now_us);
    // Whether what grows is refused.
    MemoryBound memory_bound;
    // The most that INFO has told of as used_memory.
    std::atomic<std::uint64_t> used_memory_peak{0};

  private:
    engine::Engine& engine_;
    io::Clock& clock_;
    std::atomic<const Config*> config_;
    std::vector<std::unique_ptr<const Config>>
        configs_;  // all there ever were; guarded by config_mutex
    std::vector<Reactor*> reactors_;
    std::atomic<std::uint64_t> connection_ids_{0};
    std::atomic<bool> stopping_{false};
    std::unique_ptr<PubSub> pubsub_;
    std::unique_ptr<SlowLog> slowlog_;
    std::unique_ptr<LatencyMonitor> latency_;
    std::unique_ptr<Saving> saving_;
    std::unique_ptr<Parked> parked_;
    std::unique_ptr<SidecarJob> sidecars_;  // open moments and their readers use its files
    std::unique_ptr<Undo> undo_;            // the jobs of the last work on these three
    std::unique_ptr<Forget> forget_;
    std::unique_ptr<Pasts> pasts_;
    std::unique_ptr<Recall> recall_;
    std::unique_ptr<ArchiveJob> archive_;
    std::unique_ptr<BackupJob> backups_;  // tries the archive
    std::unique_ptr<ScrubJob> scrub_;
};

}  // namespace firnlog::server
