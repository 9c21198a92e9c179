#pragma once
// Engine: the database without sockets. It holds the log, the index that points into it, and the
// worker that does the slow part; sessions are its only way in, recovery the only way to make one.
//
// No component has a half-open state: recovery replays into a Keyspace first and then builds this.
// Shared by all reactors.

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "engine/digests.hpp"
#include "engine/index/keyspace.hpp"
#include "engine/loader.hpp"
#include "engine/log/log.hpp"
#include "engine/log/reader.hpp"
#include "engine/log/segments.hpp"
#include "engine/log/supply.hpp"
#include "engine/now.hpp"
#include "engine/reserve.hpp"
#include "engine/walk.hpp"
#include "io/clock.hpp"
#include "io/files.hpp"
#include "io/grace.hpp"

namespace firnlog::engine {

struct EngineOptions {
    SupplyOptions supply;
    std::uint64_t tail_bytes_max = std::uint64_t{256} << 20;   // appended and not written yet
    std::uint64_t batch_bytes_max = std::uint64_t{128} << 20;  // one MULTI, one command
    std::uint32_t databases = 16;
    WalkOptions walk;
    // The state of a moment, which nothing changes any more: what is due there is not there, and
    // nobody logs that.
    bool past = false;
};

// What recovery hands over.
struct EngineParts {
    std::unique_ptr<Segments> segments;
    std::unique_ptr<Keyspace> keyspace;
    std::unique_ptr<Loader> loader;  // null: every stripe is there
    LogStart start;
    FileNumber next_file = 1;
    Manifest manifest;
    // The checkpoint that the start should have begun with is damaged: another one is needed.
    bool wants_checkpoint = false;
};

class Engine {
  public:
    Engine(io::Files& files, io::Clock& clock, EngineParts parts, EngineOptions options);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    const EngineOptions options;
    const StoreId store_id;

  private:
    // Made first, gone last: everything points into them.
    std::unique_ptr<Segments> segments_;
    std::unique_ptr<Keyspace> keyspace_;
    std::unique_ptr<Loader> loader_;
    Departed departed_;
    Manifest manifest_;
    Digests digests_;

  public:
    Supply supply;
    Reserve reserve;
    io::Grace grace;  // gone before these two: what it still holds goes back there
    Log log;
    RecordReader reader;
    Now now;
    Walk walk;

    // The worker's while it runs; nobody's but the last owner's afterwards.
    [[nodiscard]] Manifest& manifest() { return manifest_; }
    [[nodiscard]] Keyspace& keyspace() { return *keyspace_; }
    [[nodiscard]] const Keyspace& keyspace() const { return *keyspace_; }
    [[nodiscard]] const Segments& segments() const { return *segments_; }
    // What went wrong with the index since the start, if anything did. Any thread.
    [[nodiscard]] std::optional<Error> index_fault() const {
        return loader_ == nullptr ? std::nullopt : loader_->fault();
    }

    // Makes the first segments ready, here and now. Before the first write.
    Result<void> prepare();
    // The worker thread: segments, sealing, memory of dropped databases, the walk. Not in a
    // simulation, which calls work() as a step of its own.
    Result<void> start_worker();
    void stop_worker();
    bool work();

    struct Counters {
        std::atomic<std::uint64_t> cold_reads{0};
        std::atomic<std::uint64_t> late_reads{0};  // cold, within EXEC or a script
        std::atomic<std::uint64_t> corrupt{0};
        std::atomic<std::uint64_t> expired{0};
        std::atomic<std::uint64_t> grouped{0};  // records appended with those of other commands
    };
    Counters counters;
    enum class IndexEvent : std::uint8_t { loading, whole, lost, mended, not_mended };
    // How the part of the index that waited fares; on the worker. Set before it starts.
    std::function<void(IndexEvent)> on_index;
    // A record's bytes were found damaged: for the operator's log. Any thread; set before sessions.
    std::function<void(Address, Lsn)> on_corrupt;

  private:
    void watch_memory();
    bool bring_in();
    void tell(IndexEvent event) const {
        if (on_index) on_index(event);
    }

    io::Files& files_;
    io::Clock& clock_;
    io::MonoTime look_again_;  // worker only
    std::thread worker_;
    std::atomic<bool> stopping_{false};
};

}  // namespace firnlog::engine
