#include "src/archive_job.hpp"
#include "src/backup_job.hpp"
#include "src/commands/info_section.hpp"

// INFO's section of the archive: how much of what was acknowledged would be lost with this machine.
namespace firnlog::server {
namespace {

std::string_view name_of(ArchiveJob::Mode mode) {
    switch (mode) {
        case ArchiveJob::Mode::directory:
            return "directory";
        case ArchiveJob::Mode::command:
            return "command";
        case ArchiveJob::Mode::off:
            break;
    }
    return "off";
}

}  // namespace

void archive_section(const InfoFacts& facts, InfoLines& lines) {
    lines.section("Archive");
    const auto archive = facts.server.archive().status();
    const bool off = archive.mode == ArchiveJob::Mode::off;
    const auto written = facts.engine.log.written();
    const auto lag = written - std::min(archive.archived, written);
    lines.add("archive_mode", name_of(archive.mode));
    lines.add("archive_status", off ? "off" : (archive.failing ? "failing" : "ok"));
    lines.add("archived_lsn", archive.archived.value);
    lines.add("archive_lag_bytes", off ? 0 : lag);
    lines.add("archive_rpo_usec", archive.rpo_us);
    lines.add("archive_restorable", archive.has_base ? 1 : 0);
    lines.add("archived_files", archive.counts.files);
    lines.add("archived_bytes", archive.counts.bytes);
    lines.add("archive_last_file", archive.last_name);
    lines.add("archive_last_time", archive.last_us / 1'000'000);
    lines.add("archive_failures", archive.failures);
    lines.add("archive_failures_in_row", archive.failures_in_row);
    lines.add("archive_error", archive.error);
    lines.add("archive_gaps", archive.counts.gaps);
    lines.add("archive_gap_from_lsn", archive.gap ? archive.gap->from.value : 0);
    lines.add("archive_gap_to_lsn", archive.gap ? archive.gap->to.value : 0);
    const auto tried = facts.server.backups().status().archive;
    lines.add("archive_trial_error", tried.error);
    add_verified(lines, "archive", tried.verified);
}

}  // namespace firnlog::server
