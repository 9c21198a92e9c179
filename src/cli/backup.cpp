#include "recovery/backup.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "io/guarded_copy.hpp"
#include "io/posix_files.hpp"
#include "io/system_clock.hpp"
#include "recovery/archive_files.hpp"
#include "src/bench/link.hpp"
#include "src/cli/percents.hpp"
#include "src/cli/verbs.hpp"
#include "src/text/numbers.hpp"
#include "src/trial.hpp"

// firnlog backup: one more moment in a directory of backups, and what is to be done with those.

namespace firnlog::server::cli {
namespace {

constexpr std::string_view kHelp =
    R"(usage: firnlog backup --from DIR --to DEST [--name NAME] [--keep AGE] [--keep-last N]
       firnlog backup --host HOST [--port PORT] [--name NAME] [--keep AGE] [--keep-last N]
       firnlog backup list DEST
       firnlog backup verify DEST [NAME]
       firnlog backup trial DEST [NAME]
       firnlog backup delete DEST NAME...
       firnlog backup delete DEST [--keep AGE] [--keep-last N]

Adds a backup of the store in DIR, as it is now and with its past, to the directory DEST. DIR is
only read, and a server may run on it: writers go on. On the same file system files are linked and
nothing but the log's last file is copied; a second backup takes only what is new. What is linked is
known by the digest of its sealing, all else is read. The backup has its name when all of it is
there; one that was cut short is gone on with by the next.

With --host a server is asked for one (FIRN BACKUP), which it takes into its backup-dir; this waits
for the end of it. The password is in $REDISCLI_AUTH, as for redis-cli.

  --name NAME      what it is called; without it, by the time: 20261126T041000Z
  --keep AGE       delete those that are older: 36h, 7d, 4w; the newest stays
  --keep-last N    delete all but the newest N; with --keep, what either of them keeps stays

verify reads every byte of one backup, or of all of them, and tells what is not what was written.
trial does more with one, or the newest: what a restore of it would, without writing. It replays the
log, reads every value, and prints keys and digest, which FIRN DIGEST told at that moment. It does
so with the directory of an archive, too, of which it tries the newest moment.
firnlog restore, log, history and serve --from take DEST/NAME, or DEST for the newest.

Exit codes: 0 done, 1 could not, 3 damaged.
)";

struct Options {
    std::string from;
    std::string to;
    std::string name;
    std::optional<bench::Target> server;
    std::vector<std::string> words;  // without an option
    recovery::Retention retention;
    std::string keep;  // its age as it was said
};

int could_not(const std::string& why) {
    std::fprintf(stderr, "firnlog backup: %s\n", why.c_str());
    return 1;
}

int failed(const recovery::Refusal& refusal) {
    (void)could_not(refusal.text);
    return refusal.exit_code();
}

int help(bool asked) {
    std::fwrite(kHelp.data(), 1, kHelp.size(), asked ? stdout : stderr);
    return asked ? 0 : 1;
}

void tell(const char* what, const std::string& text) {
    std::printf("%-10s %s\n", what, text.c_str());
}

// The error says what is wrong; an empty one asks for the help.
tl::expected<Options, std::string> parse(Arguments arguments) {
    Options options;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const auto& argument = arguments[i];
        if (!argument.starts_with("--")) {
            options.words.push_back(argument);
            continue;
        }
        if (i + 1 == arguments.size()) return tl::unexpected(std::string());
        const auto& value = arguments[++i];
        if (argument == "--from") {
            options.from = value;
        } else if (argument == "--to") {
            options.to = value;
        } else if (argument == "--name") {
            options.name = value;
        } else if (argument == "--host" || argument == "--port") {
            if (!options.server) options.server.emplace();
            if (argument == "--host") {
                options.server->host = value;
                continue;
            }
            const auto port = text::parse_i64(value);
            if (!port || *port < 1 || *port > 65535)
                return tl::unexpected("--port " + value + ": it is a number from 1 to 65535");
            options.server->port = static_cast<std::uint16_t>(*port);
        } else if (argument == "--keep") {
            options.retention.keep_us = recovery::parse_age(value);
            options.keep = value;
            if (!options.retention.keep_us)
                return tl::unexpected("--keep " + value + ": an age is like 36h, 7d or 4w");
        } else if (argument == "--keep-last") {
            const auto count = text::parse_i64(value);
            if (!count || *count < 1)
                return tl::unexpected("--keep-last " + value + ": it is a number from 1 on");
            options.retention.keep_last = static_cast<std::uint64_t>(*count);
        } else {
            return tl::unexpected(std::string());
        }
    }
    return options;
}

std::string milliseconds(std::int64_t us) { return std::to_string(us / 1000) + " ms"; }

int apply_retention(io::Files& files, const recovery::Retention& retention) {
    const auto retained = recovery::retain(files, retention, io::SystemClock().wall().us);
    if (!retained) return failed(retained.error());
    if (retained->deleted.empty()) return 0;
    for (const auto& name : retained->deleted) tell("deleted", name);
    tell("freed", std::to_string(retained->gone.bytes) + " bytes in " +
                      std::to_string(retained->gone.files) + " files");
    return 0;
}

int take(const Options& options) {
    auto from = io::open_posix_files(options.from, false);
    if (!from) return could_not(options.from + ": " + from.error().text());
    auto to = io::open_posix_files(options.to, true);
    if (!to) return could_not(options.to + ": " + to.error().text());
    io::SystemClock clock;
    const auto name =
        options.name.empty() ? recovery::backup_name_of_time(clock.wall().us) : options.name;
    const auto taken = [&] {
        Percents percents("backup", "backing up", clock);
        return recovery::take_backup(**from, **to, clock,
                                     {.name = name,
                                      .progress =
                                          [&](const recovery::Progress& now) {
                                              percents.tell(now.bytes_done, now.bytes_all);
                                          },
                                      .give_up = {}});
    }();
    if (!taken) return failed(taken.error());
    tell("backup", options.to + "/" + name);
    tell("moment", recovery::text_of(taken->place));
    tell("oldest", recovery::text_of(taken->oldest));
    tell("files", std::to_string(taken->files) + ", " + std::to_string(taken->bytes) + " bytes");
    tell("took", std::to_string(taken->kept) + " were there, " + std::to_string(taken->linked) +
                     " linked, " + std::to_string(taken->cloned) + " cloned, " +
                     std::to_string(taken->copied) + " copied (" +
                     std::to_string(taken->bytes_copied) + " bytes); " +
                     std::to_string(taken->read) + " were read");
    tell("time", milliseconds(taken->held_us) + " until the store was done with, " +
                     milliseconds(taken->took_us) + " in all");
    return apply_retention(**to, options.retention);
}

// A server takes it; we look now and then how far it is.
int ask_server(const Options& options) {
    constexpr std::chrono::seconds kPatience{10};
    constexpr std::chrono::milliseconds kLook{50};
    auto target = *options.server;
    if (const char* password = std::getenv("REDISCLI_AUTH")) target.password = password;
    auto link = bench::Link::open(target, kPatience);
    if (!link) return could_not(link.error());
    const auto name = options.name.empty()
                          ? recovery::backup_name_of_time(io::SystemClock().wall().us)
                          : options.name;
    std::vector<std::string> command{"FIRN", "BACKUP", "START", name};
    if (options.retention.keep_us) command.insert(command.end(), {"KEEP", options.keep});
    if (options.retention.keep_last)
        command.insert(command.end(), {"KEEP-LAST", std::to_string(*options.retention.keep_last)});
    const auto started = link->ask(command);
    if (!started) return could_not(started.error());
    if (started->error) return could_not(target.text() + ": " + started->text);
    const io::SystemClock clock;
    Percents percents("backup", "backing up", clock);
    for (;;) {
        const auto info = link->ask({"INFO", "persistence"});
        if (!info) return could_not(info.error());
        const auto field = [&](std::string_view what) {
            return bench::info_field(info->text, what);
        };
        if (field("backup_in_progress") == "1") {
            percents.tell(std::strtoull(field("backup_bytes_done").c_str(), nullptr, 10),
                          std::strtoull(field("backup_bytes").c_str(), nullptr, 10));
            std::this_thread::sleep_for(kLook);
            continue;
        }
        if (field("backup_name") != name)
            return could_not(target.text() + ": " + field("backup_name") +
                             " was begun since; what became of " + name +
                             " is in FIRN BACKUP LIST and in the server's log");
        if (const auto error = field("backup_error"); !error.empty()) {
            (void)could_not(target.text() + ": " + error);
            return error.starts_with("damaged") ? 3 : 1;
        }
        tell("backup", field("backup_last_name"));
        tell("moment", "lsn " + field("backup_last_lsn"));
        if (options.retention.any()) tell("deleted", field("backup_last_deleted") + " backups");
        if (const auto error = field("backup_retention_error"); !error.empty())
            return could_not(target.text() + ": " + error);
        return 0;
    }
}

int list(const std::string& at) {
    auto files = io::open_posix_files(at, false);
    if (!files) return could_not(at + ": " + files.error().text());
    const auto found = recovery::list_backups(**files);
    if (!found) return could_not(at + ": " + found.error().text());
    for (const auto& backup : found->whole) {
        const auto& manifest = backup.manifest;
        std::printf("%s  made %s  moment %s  %zu files, %llu bytes\n", backup.name.c_str(),
                    recovery::text_of_time(manifest.made_us).c_str(),
                    recovery::text_of({.lsn = manifest.lsn,
                                       .timeline = manifest.timeline,
                                       .commit_us = manifest.commit_us})
                        .c_str(),
                    manifest.files.size(), static_cast<unsigned long long>(manifest.bytes()));
    }
    for (const auto& part : found->parts)
        std::printf("%s  is being made, or was cut short\n", part.name.c_str());
    for (const auto& damaged : found->damaged)
        std::printf("%s  damaged: %s\n", damaged.name.c_str(), damaged.error.text().c_str());
    return found->damaged.empty() ? 0 : 3;
}

int verify_one(io::Files& files, const recovery::Backup& backup) {
    const io::SystemClock clock;
    const auto verified = [&] {
        Percents percents("backup", "reading " + backup.name, clock);
        return recovery::verify_backup(files, backup, [&](std::uint64_t done, std::uint64_t all) {
            percents.tell(done, all);
            return true;
        });
    }();
    if (!verified) return failed(verified.error());
    for (const auto& fault : verified->faults)
        std::printf("damaged: %s: %s\n", backup.name.c_str(), fault.c_str());
    if (!verified->faults.empty()) return 3;
    std::printf("%s  sound: %llu files, %llu bytes read\n", backup.name.c_str(),
                static_cast<unsigned long long>(verified->files),
                static_cast<unsigned long long>(verified->bytes));
    return 0;
}

int verify(const std::string& at, const std::string& name) {
    auto files = io::open_posix_files(at, false);
    if (!files) return could_not(at + ": " + files.error().text());
    if (!name.empty()) {
        const auto backup = recovery::find_backup(**files, name);
        return backup ? verify_one(**files, *backup) : failed(backup.error());
    }
    const auto found = recovery::list_backups(**files);
    if (!found) return could_not(at + ": " + found.error().text());
    if (found->whole.empty() && found->damaged.empty())
        return could_not(at + ": there is no backup here");
    int code = 0;
    for (const auto& damaged : found->damaged) {
        std::printf("damaged: %s.backup offset %llu: %s\n", damaged.name.c_str(),
                    static_cast<unsigned long long>(damaged.error.offset),
                    damaged.error.text().c_str());
        code = 3;
    }
    for (const auto& backup : found->whole) code = std::max(code, verify_one(**files, backup));
    return code;
}

// All that a restore would do, but for writing.
int trial(const std::string& at, const std::string& name) {
    auto files = io::open_posix_files(at, false);
    if (!files) return could_not(at + ": " + files.error().text());
    io::SystemClock clock;
    const auto archived = recovery::list_archive(**files);
    const bool is_archive = name.empty() && archived && !archived->empty();
    const auto tried = [&] {
        if (is_archive) return try_archive(**files, clock, {});
        Percents percents("backup", "reading", clock);
        return try_backup(**files, name, clock,
                          {.progress =
                               [&](std::uint64_t done, std::uint64_t all) {
                                   percents.tell(done, all);
                                   return true;
                               },
                           .give_up = {}});
    }();
    if (!tried) return failed(tried.error());
    tell(is_archive ? "archive" : "backup", is_archive ? at : at + "/" + tried->name);
    tell("oldest", recovery::text_of(tried->plan.oldest));
    tell("moment", recovery::text_of(tried->plan.place));
    tell("read",
         std::to_string(tried->files) + " files, " + std::to_string(tried->bytes) + " bytes");
    tell("keys", std::to_string(tried->state.keys) + ", " + std::to_string(tried->state.expires) +
                     " of them expire");
    tell("digest", text::hex(*tried->state.digest));
    tell("time", milliseconds(tried->took_us));
    tell("trial", "a restore of it would be whole; nothing was written");
    return 0;
}

int remove(const Options& options) {
    const auto& at = options.words[1];
    auto files = io::open_posix_files(at, false);
    if (!files) return could_not(at + ": " + files.error().text());
    if (options.words.size() == 2) return apply_retention(**files, options.retention);
    const std::vector<std::string> names(options.words.begin() + 2, options.words.end());
    const auto deleted = recovery::delete_backups(**files, names);
    if (!deleted) return failed(deleted.error());
    for (const auto& name : names) tell("deleted", name);
    tell("freed",
         std::to_string(deleted->bytes) + " bytes in " + std::to_string(deleted->files) + " files");
    return 0;
}

}  // namespace

int backup(Arguments arguments) {
    if (!arguments.empty() && (arguments.front() == "--help" || arguments.front() == "-h"))
        return help(true);
    const auto options = parse(arguments);
    if (!options) return options.error().empty() ? help(false) : could_not(options.error());
    io::install_sigbus_guard();
    const auto& words = options->words;
    const bool retains = options->retention.any();
    if (options->server && (!words.empty() || !options->from.empty() || !options->to.empty()))
        return help(false);
    if (options->server) return ask_server(*options);
    if (words.empty())
        return options->from.empty() || options->to.empty() ? help(false) : take(*options);
    // A verb has a directory, and no option but delete's.
    if (words.size() < 2 || !options->from.empty() || !options->to.empty() ||
        !options->name.empty() || (retains && words.front() != "delete"))
        return help(false);
    if (words.front() == "list" && words.size() == 2) return list(words[1]);
    if (words.front() == "verify" && words.size() <= 3)
        return verify(words[1], words.size() == 3 ? words[2] : "");
    if (words.front() == "trial" && words.size() <= 3)
        return trial(words[1], words.size() == 3 ? words[2] : "");
    if (words.front() == "delete" && (words.size() > 2) != retains) return remove(*options);
    return help(false);
}

}  // namespace firnlog::server::cli
