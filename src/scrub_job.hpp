#pragma once
// ScrubJob: the server reads its own store's full files, over and over, at a rate that nobody
// notices, and tells what is not what was written.
//
//   resting ──scrub-interval, or FIRN SCRUB START──> passing ──end, or FIRN SCRUB STOP──> resting
//      ^                                                │
//      └──────────────── scrub-rate 0: waits, wherever it is ─────┘
//
// It has a thread of its own, which reads past the page cache (recovery/scrub.hpp). What it found
// damaged counts until a pass finds it sound or gone.
//
// begin(), cancel(), status() and wake() belong to any thread; `mutex_` guards all that they share
// with its own.

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "io/files.hpp"
#include "recovery/scrub.hpp"

namespace firnlog::server {

class Server;

class ScrubJob {
  public:
    explicit ScrubJob(Server& server) : server_(server) {}
    ~ScrubJob() { stop(); }
    ScrubJob(const ScrubJob&) = delete;
    ScrubJob& operator=(const ScrubJob&) = delete;

    // Starts the thread; once, before the first turn. Without it there is nothing to scrub.
    Result<void> reads(io::Files& store);
    void stop();

    enum class Asked : std::uint8_t { done, running, resting, off, no_store };
    // A pass now, if none is under way; and the end of the one that is.
    [[nodiscard]] Asked begin();
    [[nodiscard]] Asked cancel();
    // The configuration is another one.
    void wake();

    struct Status {
        bool running = false;
        std::uint64_t bytes_done = 0;  // of the pass under way, or of the last one
        std::uint64_t bytes_all = 0;
        std::uint64_t passes = 0;          // that came to their end, since the start
        std::int64_t last_pass_us = 0;     // of the wall: when the last of them ended
        std::int64_t last_pass_took = -1;  // µs
        std::uint64_t faults = 0;          // damaged files that the store needs
        std::string last_fault;
        std::string error;  // what ended the last pass before its end
    };
    [[nodiscard]] Status status() const;

  private:
    using Guard = std::unique_lock<std::mutex>;
    void work();
    [[nodiscard]] bool wait_for_pass(Guard& guard);
    void pass();
    [[nodiscard]] bool pace(std::uint64_t bytes, std::uint64_t bytes_all);
    [[nodiscard]] bool sleep(Guard& guard, std::int64_t us);

    Server& server_;
    io::Files* files_ = nullptr;
    std::thread thread_;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    Status status_;
    std::map<std::string, std::string> faults_;  // by file
    bool stopping_ = false;
    bool asked_ = false;
    bool cancelled_ = false;
    std::int64_t began_us_ = 0;  // monotonic, of the last pass
    std::int64_t next_us_ = 0;   // the next piece is read not before
};

}  // namespace firnlog::server
