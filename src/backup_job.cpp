#include "src/backup_job.hpp"

#include <new>

#include "src/logger.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"

namespace firnlog::server {
namespace {

// One thread changes the directory, so that nobody finds it locked by another of this server.
constexpr auto kChanging = Recall::Lane::lengthy;
constexpr auto kReading = Recall::Lane::brief;

constexpr std::string_view kNoDirectory =
    "ERR there is no backup-dir: it is set in the configuration file or on the command line";

constexpr std::string_view kNothingToTry =
    "ERR there is no backup-dir and no archive-dir: they are set in the configuration file or on "
    "the command line";

}  // namespace

void BackupJob::writes(io::Files& store, std::unique_ptr<io::Files> dir) {
    dir_ = std::move(dir);
    jobs_.reads(store);
    if (auto known = read_verified(*dir_)) status_.backups.verified = std::move(*known);
    tries(store, archive_);
}

void BackupJob::tries(io::Files& store, io::Files* archive) {
    archive_ = archive;
    if (archive != nullptr)
        if (auto known = read_verified(*archive)) status_.archive.verified = std::move(*known);
    trials_.reads(store);
    watched_us_ = server_.clock().mono().us;
}

BackupJob::Status BackupJob::status() const {
    const std::lock_guard guard(mutex_);
    return status_;
}

Flow BackupJob::start(Call& call, const std::string& name, const recovery::Retention& retention) {
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
            call.reactor,
            [this, name, retention](io::Files& store) { take(store, name, retention); },
            kChanging)) {
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

void BackupJob::take(io::Files& store, const std::string& name,
                     const recovery::Retention& retention) {
    const auto taken = taken_of(store, name);
    if (taken)
        logger::notice("backup: " + name + " at " + recovery::text_of(taken->place) + ", files=" +
                       std::to_string(taken->files) + " bytes=" + std::to_string(taken->bytes) +
                       " copied=" + std::to_string(taken->bytes_copied) +
                       " usec=" + std::to_string(taken->took_us));
    else
        logger::warning("backup: " + name + ": " + taken.error());
    recovery::Opening<recovery::Retained> retained;
    if (taken) retained = recovery::retain(*dir_, retention, server_.clock().wall().us);
    if (!retained)
        logger::warning("backup: older ones are not deleted: " + retained.error().text);
    else
        for (const auto& deleted : retained->deleted) logger::notice("backup: deleted " + deleted);
    const std::lock_guard guard(mutex_);
    status_.running = false;
    status_.error = taken ? std::string() : taken.error();
    ++(taken ? status_.done : status_.failed);
    if (!taken) return;
    status_.done_name = name;
    status_.taken = *taken;
    status_.done_us = server_.clock().wall().us;
    status_.deleted = retained ? retained->deleted.size() : 0;
    status_.retention_error = retained ? std::string() : retained.error().text;
}

Flow BackupJob::ask(Call& call, Does what, Job job) {
    if (!dir_) return call.error(kNoDirectory);
    return jobs_.ask(
        call,
        [this, job = std::move(job)](io::Files&, resp::Writer& out) { return job(*dir_, out); },
        {.lane = what == Does::changes ? kChanging : kReading, .pins = false});
}

template <class Try>
recovery::Opening<Trial> BackupJob::trial_of(Try&& attempt) {
    try {
        return attempt(TrialOptions{
            .progress = [this](std::uint64_t, std::uint64_t) { return !trials_.stopping(); },
            .give_up = [this] { return trials_.stopping(); }});
    } catch (const std::bad_alloc&) {
        return recovery::refuse({.code = Code::busy, .doing = "try a backup"},
                                "no memory for the index of the backup");
    }
}

// `told`: what it was.
recovery::Opening<Trial> BackupJob::try_named(const std::string& name, std::string& told) {
    const auto try_it = [&](const std::string& its_name) {
        return trial_of([&](const TrialOptions& options) {
            return try_backup(*dir_, its_name, server_.clock(), options);
        });
    };
    told = name;
    auto named = recovery::find_backup(*dir_, name);
    if (!named) return tl::unexpected(named.error());
    told = named->name;
    auto tried = try_it(named->name);
    if (tried) return tried;
    // It may have been deleted meanwhile; then there is another newest one.
    named = recovery::find_backup(*dir_, named->name);
    if (!named && name.empty()) named = recovery::find_backup(*dir_, {});
    if (!named) return tl::unexpected(named.error());
    told = named->name;
    return name.empty() ? try_it(named->name) : std::move(tried);
}

tl::expected<Trial, std::string> BackupJob::try_one(What what, const std::string& name) {
    {
        const std::lock_guard guard(mutex_);
        status_.trying = true;
    }
    std::string told(kArchiveName);
    auto tried = what == What::backup ? try_named(name, told)
                                      : trial_of([this](const TrialOptions& options) {
                                            return try_archive(*archive_, server_.clock(), options);
                                        });
    if (tried)
        logger::notice("backup: tried " + told + " at " + recovery::text_of(tried->plan.place) +
                       ", keys=" + std::to_string(tried->state.keys) + " digest=" +
                       text::hex(*tried->state.digest) + " usec=" + std::to_string(tried->took_us));
    else if (!trials_.stopping())
        logger::warning("backup: trial: " + told + (told.empty() ? "" : ": ") + tried.error().text);
    std::optional<Verified> verified;
    if (tried) {
        verified = {.name = tried->name,
                    .timeline = tried->plan.place.timeline,
                    .lsn = tried->plan.place.lsn,
                    .commit_us = tried->plan.place.commit_us,
                    .keys = tried->state.keys,
                    .digest = text::hex(*tried->state.digest),
                    .took_us = tried->took_us,
                    .us = server_.clock().wall().us};
        auto& beside = what == What::backup ? *dir_ : *archive_;
        if (auto noted = write_verified(beside, *verified); !noted)
            logger::warning("backup: trial: it is not noted: " + noted.error().text());
    }
    const std::lock_guard guard(mutex_);
    status_.trying = false;
    auto& found = what == What::backup ? status_.backups : status_.archive;
    found.error = tried ? std::string() : tried.error().text;
    if (!tried)
        return tl::unexpected((tried.error().error.code == Code::damaged ? "CORRUPT " : "ERR ") +
                              tried.error().text);
    found.verified = std::move(*verified);
    return std::move(*tried);
}

Flow BackupJob::trial(Call& call, const std::string& name) {
    if (!dir_ && archive_ == nullptr) return call.error(kNothingToTry);
    const bool named_archive = archive_ != nullptr && text::equal_folded(name, kArchiveName);
    if (!dir_ && !named_archive && !name.empty()) return call.error(kNoDirectory);
    const auto what = !dir_ || named_archive ? What::archive : What::backup;
    return trials_.ask(
        call,
        [this, what, name](io::Files&, resp::Writer& out) -> tl::expected<void, std::string> {
            const auto tried = try_one(what, name);
            if (!tried) return tl::unexpected(tried.error());
            const auto& place = tried->plan.place;
            out.map(6);
            out.bulk("name");
            out.bulk(tried->name);
            out.bulk("lsn");
            out.bulk(std::to_string(place.timeline) + ":" + std::to_string(place.lsn.value));
            out.bulk("time");
            out.bulk(recovery::text_of_time(place.commit_us));
            out.bulk("keys");
            out.integer(tried->state.keys);
            out.bulk("bytes");
            out.integer(static_cast<std::int64_t>(tried->bytes));
            out.bulk("digest");
            out.bulk(text::hex(*tried->state.digest));
            return {};
        },
        {.lane = kReading, .pins = false});
}

void BackupJob::watch(Reactor& reactor) {
    const auto interval_s = server_.config().backup_trial_interval_s;
    const auto now_us = server_.clock().mono().us;
    if ((!dir_ && archive_ == nullptr) || interval_s == 0 ||
        now_us - watched_us_ < interval_s * 1'000'000)
        return;
    watched_us_ = now_us;
    {
        const std::lock_guard guard(mutex_);
        if (status_.trying) return;
    }
    const auto all = [this](io::Files&) {
        if (dir_) (void)try_one(What::backup, {});
        if (archive_ != nullptr) (void)try_one(What::archive, {});
    };
    if (!trials_.begin(reactor, all, kReading, Recall::Pins::no))
        logger::warning(std::string("backup: trial: ").append(Recall::kNoThread));
}

}  // namespace firnlog::server
