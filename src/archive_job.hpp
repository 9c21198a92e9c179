#pragma once
// ArchiveJob: the thread on which the store is archived while it is served, to archive-dir or by
// archive-command.
//
//   each second, and the tail each archive-timeout:
//     what was acknowledged is durable ──(else a sync is asked for)──> recovery::Archiver::round
//                                                                      │ failed: again, with pauses
//   the walk keeps the log that is not there yet <──────── needs() ────┘ that double
//
// No reactor waits for it, nor does it for one. It takes note of how far replies were when, so that
// INFO can tell the age of the oldest acknowledged write that is not in the archive: an upper
// bound, for it looks ten times a second.
//
// begin() and stop() belong to whoever starts and ends the server, status() to any thread
// (`mutex_`).

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "engine/address.hpp"
#include "io/base/result.hpp"
#include "io/files.hpp"
#include "recovery/archiver.hpp"

namespace firnlog::server {

class Server;

class ArchiveJob {
  public:
    explicit ArchiveJob(Server& server) : server_(server) {}
    ~ArchiveJob();
    ArchiveJob(const ArchiveJob&) = delete;
    ArchiveJob& operator=(const ArchiveJob&) = delete;

    // Before the first turn. Without any there is no archive.
    void archives(io::Files& store, std::unique_ptr<io::Files> dir);
    void archives(io::Files& store, std::string command);
    // All reactors are there.
    [[nodiscard]] Result<void> begin();

    // Reactors are about to go: none of them is spoken to any more.
    void let_go_of_reactors();
    // Everything is durable and nothing is written any more: brings the rest, for some seconds.
    void stop();

    enum class Mode : std::uint8_t { off, directory, command };
    struct Status {
        Mode mode = Mode::off;
        bool failing = false;
        engine::Lsn archived;
        bool has_base = false;
        std::int64_t rpo_us = 0;  // at least; how old the oldest write is that is not there
        recovery::Archiver::Counts counts;
        std::uint64_t failures = 0;
        std::uint64_t failures_in_row = 0;
        std::string error;  // of the last one that failed
        std::string last_name;
        std::int64_t last_us = 0;  // of the wall
        std::optional<recovery::Archiver::Gap> gap;
    };
    [[nodiscard]] Status status() const;
    // Null: there is no archive-dir. For reading, by any thread.
    [[nodiscard]] io::Files* dir() { return dir_.get(); }

  private:
    // Everything acknowledged by then was before that place.
    struct Look {
        std::int64_t mono_us = 0;
        engine::Lsn written;
    };

    void work();
    void look();
    void rest();
    void wait_for_durable();
    [[nodiscard]] bool tail_due() const;
    [[nodiscard]] bool going() const;
    [[nodiscard]] recovery::Opening<void> bring(bool all);
    [[nodiscard]] recovery::Opening<void> run_command(const std::string& name);
    void note(const recovery::Opening<void>& brought);
    void tell(const recovery::Opening<void>& brought);
    [[nodiscard]] std::int64_t timeout_us() const;

    Server& server_;
    // Constant once it has begun.
    io::Files* store_ = nullptr;
    std::unique_ptr<io::Files> dir_;
    std::string command_;
    std::thread thread_;

    // The thread's.
    std::unique_ptr<recovery::Archiver> archiver_;
    bool begun_ = false;  // it knows where it stands
    std::int64_t next_us_ = 0;
    std::int64_t tail_us_ = 0;  // when the tail was brought last
    std::int64_t told_us_ = 0;
    std::uint64_t files_told_ = 0;
    std::uint64_t gaps_told_ = 0;
    bool ends_ = false;  // the rest is being brought
    std::int64_t until_us_ = 0;

    mutable std::mutex mutex_;
    std::condition_variable stopped_;
    std::atomic<bool> stopping_{false};
    bool reactors_ = false;
    Status status_;
    std::deque<Look> looks_;
    std::int64_t safe_us_ = 0;  // everything acknowledged by then is in the archive; monotonic
};

}  // namespace firnlog::server
