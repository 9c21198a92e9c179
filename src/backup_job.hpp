#pragma once
// BackupJob: backups that the server takes of its own store, into backup-dir and nowhere else.
//
//   START ──durable up to here──> its own thread: recovery::take_backup     STATUS, INFO: how far
//                                and, as it was told to, older ones are deleted
//   DELETE ────────────────────> behind it on the same thread, because it looks for what no backup
//                                names; its client waits
//   LIST, VERIFY ──────────────> on a second thread, one after the other, whatever goes on beside
//   TRIAL, and backup-trial-interval ──> on a third one, for it takes as long as a restore
//
// A name is all that a client says of where: letters, digits, '-', '_' and '.'. While a backup is
// taken nothing of the past goes, as while it is read (src/recall.hpp).
//
// start(), ask(), trial() and watch() belong to reactors, status() to any thread (`mutex_`).

#include <memory>
#include <mutex>
#include <string>

#include "recovery/backup.hpp"
#include "src/recall.hpp"
#include "src/trial.hpp"
#include "src/verified.hpp"

namespace firnlog::server {

class BackupJob {
  public:
    explicit BackupJob(Server& server) : server_(server), jobs_(server), trials_(server) {}

    // Where the store lies and where backups go; before the first turn. Without it there are none.
    void writes(io::Files& store, std::unique_ptr<io::Files> dir);
    // The archive's directory, which outlives this: for trials.
    void tries(io::Files& store, io::Files* archive);

    // Of trials of backups, or of those of the archive: what one finds says nothing of the other.
    struct Tried {
        std::string error;  // of the last one; empty: a restore would have been whole
        Verified verified;
    };
    struct Status {
        bool running = false;
        std::string name;  // of the one under way, or of the last one
        std::uint64_t bytes_done = 0;
        std::uint64_t bytes_all = 0;
        std::int64_t began_us = 0;  // monotonic
        // Of those that ended since the start.
        std::uint64_t done = 0;
        std::uint64_t failed = 0;
        std::string error;  // of the last one; empty: it is whole
        // The last that is whole.
        std::string done_name;
        recovery::BackupTaken taken;
        std::int64_t done_us = 0;     // of the wall
        std::uint64_t deleted = 0;    // backups that its retention did not ask for
        std::string retention_error;  // they are there still; empty: there were none
        bool trying = false;
        Tried backups;
        Tried archive;
    };
    [[nodiscard]] Status status() const;

    // The reply is written, the job goes on without the client.
    Flow start(Call& call, const std::string& name, const recovery::Retention& retention);
    // Parks the client until `job` has written the reply.
    using Job = std::function<tl::expected<void, std::string>(io::Files& dir, resp::Writer&)>;
    enum class Does : std::uint8_t { reads, changes };
    Flow ask(Call& call, Does what, Job job);

    // Parks the client until the backup of that name, or the newest, has been tried; or the
    // archive, which `archive` means where there is one, and no name where there are no backups.
    Flow trial(Call& call, const std::string& name);
    // Begins the trial that is due, on reactor 0, now and then.
    void watch(Reactor& reactor);

    // Null: there is no backup-dir. For reading, by any thread.
    [[nodiscard]] io::Files* dir() { return dir_.get(); }

    [[nodiscard]] bool stopping() const { return jobs_.stopping(); }
    void stop() {
        jobs_.stop();
        trials_.stop();
    }

  private:
    [[nodiscard]] tl::expected<recovery::BackupTaken, std::string> taken_of(
        io::Files& store, const std::string& name);
    void take(io::Files& store, const std::string& name, const recovery::Retention& retention);
    // On the thread of trials.
    enum class What : std::uint8_t { backup, archive };
    [[nodiscard]] tl::expected<Trial, std::string> try_one(What what, const std::string& name);
    [[nodiscard]] recovery::Opening<Trial> try_named(const std::string& name, std::string& told);
    template <class Try>
    [[nodiscard]] recovery::Opening<Trial> trial_of(Try&& attempt);

    Server& server_;
    std::unique_ptr<io::Files> dir_;
    io::Files* archive_ = nullptr;
    Recall jobs_;
    Recall trials_;
    std::int64_t watched_us_ = 0;  // monotonic, on reactor 0: when the last due trial began
    mutable std::mutex mutex_;
    Status status_;
};

}  // namespace firnlog::server
