#include "src/backup_job.hpp"

#include <new>

#include "src/logger.hpp"
#include "src/server.hpp"

namespace firnlog::server {
namespace {

// One thread changes the directory, so that nobody finds it locked by another of this server.
constexpr auto kChanging = Recall::Lane::lengthy;
constexpr auto kReading = Recall::Lane::brief;

constexpr std::string_view kNoDirectory =
    "ERR there is no backup-dir: it is set in the configuration file or on the command line";

}  // namespace

void BackupJob::writes(io::Files& store, std::unique_ptr<io::Files> dir) {
    dir_ = std::move(dir);
    jobs_.reads(store);
}

BackupJob::Status BackupJob::status() const {
    const std::lock_guard guard(mutex_);
    return status_;
}

Flow BackupJob::start(Call& call, const std::string& name) {
    if (!dir_) return call.error(kNoDirectory);
    {
        const std::lock_guard guard(mutex_);
        if (status_.running) return call.error("ERR a backup is being taken already");
        status_.running = true;
        status_.name = name;
        status_.bytes_done = 0;
        status_.bytes_all = 0;
        status_.began_us = server_.clock().mono().us;
    }
    if (!jobs_.begin(
            call, [this, name](io::Files& store) { take(store, name); }, kChanging)) {
        const std::lock_guard guard(mutex_);
        status_.running = false;
        return call.error(Recall::kNoThread);
    }
    call.out.simple("Backup started");
    return Flow::done;
}

tl::expected<recovery::BackupTaken, std::string> BackupJob::taken_of(io::Files& store,
                                                                     const std::string& name) {
    recovery::BackupOptions options{.name = name,
                                    .progress =
                                        [this](const recovery::Progress& now) {
                                            const std::lock_guard guard(mutex_);
                                            status_.bytes_done = now.bytes_done;
                                            status_.bytes_all = now.bytes_all;
                                        },
                                    .give_up = [this] { return stopping(); }};
    try {
        auto taken = recovery::take_backup(store, *dir_, server_.clock(), options);
        if (!taken) return tl::unexpected(std::move(taken.error().text));
        return *taken;
    } catch (const std::bad_alloc&) {
        // What it has brought stays for the next one, as after a kill.
        return tl::unexpected(std::string("no memory"));
    }
}

void BackupJob::take(io::Files& store, const std::string& name) {
    const auto taken = taken_of(store, name);
    if (taken)
        logger::notice("backup: " + name + " at " + recovery::text_of(taken->place) + ", files=" +
                       std::to_string(taken->files) + " bytes=" + std::to_string(taken->bytes) +
                       " copied=" + std::to_string(taken->bytes_copied) +
                       " usec=" + std::to_string(taken->took_us));
    else
        logger::warning("backup: " + name + ": " + taken.error());
    const std::lock_guard guard(mutex_);
    status_.running = false;
    status_.error = taken ? std::string() : taken.error();
    ++(taken ? status_.done : status_.failed);
    if (!taken) return;
    status_.done_name = name;
    status_.taken = *taken;
    status_.done_us = server_.clock().wall().us;
}

Flow BackupJob::ask(Call& call, Does what, Job job) {
    if (!dir_) return call.error(kNoDirectory);
    return jobs_.ask(
        call,
        [this, job = std::move(job)](io::Files&, resp::Writer& out) { return job(*dir_, out); },
        {.lane = what == Does::changes ? kChanging : kReading, .pins = false});
}

}  // namespace firnlog::server
