#include "recovery/backups.hpp"
#include "src/backup_job.hpp"
#include "src/commands/past.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"

// FIRN BACKUP: backups of the store that is served, in backup-dir.

namespace firnlog::server {
namespace {

using text::equal_folded;
using Written = tl::expected<void, std::string>;

constexpr std::string_view kWrongName =
    "ERR a backup's name has letters, digits, '-', '_' and '.', the last not at its beginning, 100 "
    "of them at the most";

tl::unexpected<std::string> text_of_refusal(const recovery::Refusal& refusal) {
    return tl::unexpected((refusal.error.code == Code::damaged ? "CORRUPT " : "ERR ") +
                          refusal.text);
}

std::string text_of_lsn(engine::Timeline timeline, engine::Lsn lsn) {
    return std::to_string(timeline) + ":" + std::to_string(lsn.value);
}

class Fields {
  public:
    explicit Fields(resp::Writer& out) : out_(out) {}
    void add(std::string_view name, std::string_view value) {
        out_.bulk(name);
        out_.bulk(value);
    }
    void add(std::string_view name, std::uint64_t value) {
        out_.bulk(name);
        out_.integer(static_cast<std::int64_t>(value));
    }

  private:
    resp::Writer& out_;
};

Flow status(Call& call) {
    const auto now = call.server.backups().status();
    const bool any = !now.done_name.empty();
    call.out.map(14);
    Fields fields(call.out);
    fields.add("running", std::uint64_t{now.running});
    fields.add("name", now.name);
    fields.add("bytes_done", now.bytes_done);
    fields.add("bytes", now.bytes_all);
    fields.add("done", now.done);
    fields.add("failed", now.failed);
    fields.add("error", now.error);
    fields.add("last_name", now.done_name);
    fields.add("last_lsn",
               any ? text_of_lsn(now.taken.place.timeline, now.taken.place.lsn) : std::string());
    fields.add("last_time",
               any ? recovery::text_of_time(now.taken.place.commit_us) : std::string());
    fields.add("last_bytes_copied", now.taken.bytes_copied);
    fields.add("last_usec", static_cast<std::uint64_t>(now.taken.took_us));
    fields.add("last_deleted", now.deleted);
    fields.add("retention_error", now.retention_error);
    return Flow::done;
}

Written write_list(io::Files& dir, resp::Writer& out) {
    const auto found = recovery::list_backups(dir);
    if (!found) return tl::unexpected("ERR " + found.error().text());
    out.array(found->whole.size() + found->damaged.size());
    Fields fields(out);
    for (const auto& backup : found->whole) {
        const auto& manifest = backup.manifest;
        out.map(6);
        fields.add("name", backup.name);
        fields.add("made", recovery::text_of_time(manifest.made_us));
        fields.add("lsn", text_of_lsn(manifest.timeline, manifest.lsn));
        fields.add("time", recovery::text_of_time(manifest.commit_us));
        fields.add("files", manifest.files.size());
        fields.add("bytes", manifest.bytes());
    }
    for (const auto& damaged : found->damaged) {
        out.map(2);
        fields.add("name", damaged.name);
        fields.add("damaged", damaged.error.text());
    }
    return {};
}

Flow verify(Call& call) {
    auto& backups = call.server.backups();
    return backups.ask(
        call, BackupJob::Does::reads,
        [&backups, name = std::string(call.arg(3))](io::Files& dir, resp::Writer& out) -> Written {
            const auto backup = recovery::find_backup(dir, name);
            if (!backup) return text_of_refusal(backup.error());
            const auto verified = recovery::verify_backup(
                dir, *backup, [&](std::uint64_t, std::uint64_t) { return !backups.stopping(); });
            if (!verified) return text_of_refusal(verified.error());
            if (!verified->faults.empty()) {
                // Unless it was deleted meanwhile.
                if (const auto there = recovery::find_backup(dir, name); !there)
                    return text_of_refusal(there.error());
                return tl::unexpected("CORRUPT " + verified->faults.front());
            }
            out.map(2);
            Fields fields(out);
            fields.add("files", verified->files);
            fields.add("bytes", verified->bytes);
            return {};
        });
}

Flow remove(Call& call) {
    return call.server.backups().ask(
        call, BackupJob::Does::changes,
        [name = std::string(call.arg(3))](io::Files& dir, resp::Writer& out) -> Written {
            const auto deleted = recovery::delete_backups(dir, {name});
            if (!deleted) return text_of_refusal(deleted.error());
            out.map(2);
            Fields fields(out);
            fields.add("files", deleted->files);
            fields.add("bytes", deleted->bytes);
            return {};
        });
}

// START name [KEEP age] [KEEP-LAST n]
Flow start(Call& call) {
    recovery::Retention retention;
    for (std::size_t i = 4; i < call.argc(); i += 2) {
        if (i + 1 == call.argc()) return call.syntax_error();
        const auto value = call.arg(i + 1);
        if (equal_folded(call.arg(i), "keep")) {
            retention.keep_us = recovery::parse_age(value);
            if (!retention.keep_us) return call.error("ERR KEEP is an age, like 36h, 7d or 4w");
        } else if (equal_folded(call.arg(i), "keep-last")) {
            const auto count = text::parse_i64(value);
            if (!count || *count < 1) return call.error("ERR KEEP-LAST is a number from 1 on");
            retention.keep_last = static_cast<std::uint64_t>(*count);
        } else {
            return call.syntax_error();
        }
    }
    if (!recovery::is_backup_name(call.arg(3))) return call.error(kWrongName);
    return call.server.backups().start(call, std::string(call.arg(3)), retention);
}

}  // namespace

Flow firn_backup(Call& call) {
    const auto word = call.arg(2);
    if (call.argc() == 3) {
        if (equal_folded(word, "status")) return status(call);
        if (equal_folded(word, "trial")) return call.server.backups().trial(call, {});
        if (equal_folded(word, "list"))
            return call.server.backups().ask(call, BackupJob::Does::reads, write_list);
        return call.syntax_error();
    }
    if (equal_folded(word, "start")) return start(call);
    if (call.argc() != 4) return call.syntax_error();
    const bool verifies = equal_folded(word, "verify");
    const bool tries = equal_folded(word, "trial");
    if (!verifies && !tries && !equal_folded(word, "delete")) return call.syntax_error();
    if (!recovery::is_backup_name(call.arg(3))) return call.error(kWrongName);
    if (tries) return call.server.backups().trial(call, std::string(call.arg(3)));
    return verifies ? verify(call) : remove(call);
}

}  // namespace firnlog::server
