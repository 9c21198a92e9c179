#pragma once
// open: from a directory to a Store that serves. The write path read backwards.
//
//   lock -> manifest -> files -> scan the tail -> decide the cut
//        -> begin with the newest sound checkpoint -> replay the log from its lo on
//        -> write the kept tail anew and sync it -> manifest with the cut and a new timeline
//        -> unlink what counts no more -> fresh segments -> Engine
//
// Of a checkpoint only those stripes are loaded that the log behind it touches, and the others when
// somebody touches them (engine/loader.hpp). One that is found damaged until then is told of and
// left out: the one before it and more of the log give the same.
//
// After an unclean stop the page cache is not trusted, and no byte is appended to a file that a
// crash has touched. Every step can be cut short and done again: what is written aside counts from
// one rename of the manifest on.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "engine/engine.hpp"
#include "engine/format/manifest.hpp"
#include "io/clock.hpp"
#include "io/files.hpp"
#include "recovery/refusal.hpp"

namespace firnlog::recovery {

// What a start found and did, for the log and for INFO.
struct Report {
    bool created = false;
    bool clean = false;  // the last stop was
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;  // of log read
    std::uint64_t records = 0;
    std::uint64_t checkpoint = 0;        // number of the one begun with; 0: none
    std::uint64_t checkpoint_bytes = 0;  // of it
    std::string checkpoint_fault;        // of the newest one that was left out for one before it
    std::uint64_t unbound = 0;           // objects that were being built
    std::uint64_t torn_bytes = 0;        // cut off and kept in quarantine/
    std::string torn_at;                 // "0000000003.log offset 12345 lsn 99", or empty
    std::int64_t took_us = 0;
};

struct Progress {
    // A start: where the log ends, its replay, its end written anew. Others have one phase.
    enum class Phase : std::uint8_t { looking, replaying, writing };
    Phase phase = Phase::replaying;
    std::uint64_t bytes_done = 0;
    std::uint64_t bytes_all = 0;  // 0: nobody knows yet
    std::uint64_t records = 0;
};

struct OpenOptions {
    engine::EngineOptions engine;
    std::function<void()> locked;                   // the directory is ours from here on
    std::function<void(const Progress&)> progress;  // now and then, at least once a file
    std::function<bool()> give_up;                  // asked as often: the operator wants to stop
    bool create = true;                             // make the store if the directory is empty
    bool waits = false;  // stripes may wait in the checkpoint until they are touched
    // Threads that apply the log, and if there are any, one that reads ahead. None where runs are
    // to be alike.
    unsigned lanes = 0;
};

class Store {
  public:
    Store(io::Files& files, io::Clock& clock, std::unique_ptr<io::Lock> lock,
          std::unique_ptr<engine::Engine> engine, Report report);

    [[nodiscard]] engine::Engine& engine() { return *engine_; }
    [[nodiscard]] const engine::Manifest& manifest() const { return engine_->manifest(); }
    [[nodiscard]] const Report& report() const { return report_; }

    // The clean mark: everything is durable, nothing is in flight, no reactor runs any more.
    Result<void> close();

  private:
    io::Files& files_;
    io::Clock& clock_;
    std::unique_ptr<io::Lock> lock_;
    std::unique_ptr<engine::Engine> engine_;
    Report report_;
};

[[nodiscard]] Opening<std::unique_ptr<Store>> open(io::Files& files, io::Clock& clock,
                                                   OpenOptions options);

}  // namespace firnlog::recovery
