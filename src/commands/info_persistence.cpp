#include "src/backup_job.hpp"
#include "src/commands/info_section.hpp"
#include "src/forget.hpp"
#include "src/parked.hpp"
#include "src/pasts.hpp"
#include "src/saving.hpp"
#include "src/scrub_job.hpp"
#include "src/undo.hpp"

// INFO's section of the log: the fields that tools for Redis read, where a walk stands for a save
// and for a rewrite of the AOF; then our own, of the log, the walk, the window, the last start and
// the last restore.
namespace firnlog::server {
namespace {

std::string_view disk_status(const engine::Walk::Status& walk) {
    if (walk.full) return "full";
    return walk.free_bytes < walk.marks.low ? "low" : "ok";
}

void log_fields(const InfoFacts& facts, InfoLines& lines) {
    auto& engine = facts.engine;
    auto& log = engine.log;
    const auto counts = log.counts();
    const auto ready = engine.supply.ready();
    std::uint64_t bytes = 0;
    std::uint64_t mapped = 0;  // the others are read in our own memory
    const auto segments = engine.segments().all();
    for (const auto* segment : segments) {
        bytes += segment->bytes;
        if (!segment->place().own) ++mapped;
    }
    lines.add("log_timeline", log.tail.timeline());
    // Read in this order, each is at most the next.
    lines.add("log_durable_lsn", log.durable().value);
    lines.add("log_written_lsn", log.written().value);
    lines.add("log_tail_lsn", log.end().value);
    lines.add("log_failed", log.failed());
    lines.add("log_unsynced_usec", log.unsynced_us());
    lines.add("log_grouped_records", engine.counters.grouped.load(std::memory_order_relaxed));
    lines.add("log_flushes", counts.flushes);
    lines.add("log_syncs", counts.syncs);
    lines.add("log_flushed_bytes", counts.bytes);
    const auto made = engine.supply.made();
    lines.add("log_zeroed_bytes", made.zeroed_bytes);
    lines.add("log_recycled_segments", made.recycled);
    lines.add("log_recycled_bytes", made.recycled_bytes);
    lines.add("log_spare_bytes", made.spare_bytes);
    lines.add("file_numbers_left", engine.supply.numbers_left());
    lines.add("log_segments", segments.size());
    lines.add("log_segment_bytes", bytes);
    lines.add("log_segments_mapped", mapped);
    lines.add("log_segments_ready", ready.count);
    lines.add("log_ready_bytes", ready.bytes);
    const auto failure = engine.supply.failure();
    lines.add("log_supply_status",
              !failure ? "ok" : (failure->code == Code::no_space ? "no_space" : "failing"));
    const auto walk = engine.walk.status();
    lines.add("walk_phase", name_of(walk.phase));
    lines.add("walk_paused", walk.paused ? 1 : 0);
    lines.add("walk_keys", walk.keys);
    lines.add("walk_bytes", walk.bytes);
    lines.add("walk_moved_bytes", walk.moved_bytes);
    lines.add("walk_moving_bytes", walk.moving_bytes);
    lines.add("walk_bytes_per_sec", walk.bytes_a_second);
    lines.add("walk_duty_percent", walk.duty_percent);
    lines.add("walk_written_bytes", walk.bytes_all);
    lines.add("walk_failures", walk.failed);
    lines.add("walk_error", walk.error ? walk.error->text() : std::string());
    lines.add("checkpoints", walk.checkpoints);
    lines.add("checkpoint_bytes", walk.checkpoint_bytes);
    lines.add("checkpoints_copied", walk.copied);
    lines.add("checkpoint_lo", walk.lo.value);
    lines.add("checkpoint_hi", walk.hi.value);
    lines.add("log_bytes_since_checkpoint", walk.log_bytes);
    lines.add("live_bytes", walk.live_bytes);
    lines.add("garbage_bytes", walk.garbage_bytes);
    lines.add("history_bytes", walk.history_bytes);
    lines.add("history_bytes_max", walk.window.bytes_max(walk.live_bytes));
    lines.add("window_seconds", walk.window.retain_s);
    lines.add("oldest_lsn", walk.oldest.value);
    lines.add("oldest_time", walk.oldest_us / 1'000'000);
    lines.add("freed_bytes", walk.freed_bytes);
    lines.add("disk_status", disk_status(walk));
    lines.add("disk_free_bytes", walk.free_bytes);
    lines.add("disk_low_water", walk.marks.low);
    lines.add("disk_high_water", walk.marks.high);
    lines.add("reserve_bytes", engine.reserve.bytes());
    lines.add("reserve_wanted_bytes", engine.reserve.wanted());
    lines.add("deletion_reserve_bytes", ready.kept_bytes);
    lines.add("emergency_walks", walk.emergencies);
    lines.add("history_cut_bytes", walk.cut_bytes);
    lines.add("history_held_up", walk.held_up ? 1 : 0);
    lines.add("fall_backs", walk.bases == 0 ? 0 : walk.bases - 1);
    lines.add("packed_segments", walk.packed_files);
    lines.add("packed_bytes", walk.packed_bytes);
    lines.add("relocated_records", walk.relocated.records);
    lines.add("relocated_bytes", walk.relocated.written_bytes);
    lines.add("relocation_read_bytes", walk.relocated.read_bytes);
    const auto& counters = engine.counters;
    lines.add("cold_reads", counters.cold_reads.load(std::memory_order_relaxed));
    lines.add("late_reads", counters.late_reads.load(std::memory_order_relaxed));
    lines.add("corrupt_reads", counters.corrupt.load(std::memory_order_relaxed));
    lines.add("clock_suspended", engine.now.suspended() ? 1 : 0);
    lines.add("clock_jump_usec", engine.now.jump_us());
    const auto& keyspace = engine.keyspace();
    lines.add("index_parts_waiting", keyspace.waiting());
    lines.add("index_parts_lost", keyspace.lost());
    const auto fault = engine.index_fault();
    lines.add("index_fault", fault ? fault->text() : std::string());
    const auto backup = facts.server.backups().status();
    lines.add("backup_in_progress", backup.running ? 1 : 0);
    lines.add("backup_name", backup.name);
    lines.add("backup_bytes_done", backup.bytes_done);
    lines.add("backup_bytes", backup.bytes_all);
    lines.add("backups_done", backup.done);
    lines.add("backups_failed", backup.failed);
    lines.add("backup_error", backup.error);
    lines.add("backup_last_name", backup.done_name);
    lines.add("backup_last_lsn", std::to_string(backup.taken.place.timeline) + ":" +
                                     std::to_string(backup.taken.place.lsn.value));
    lines.add("backup_last_time", backup.done_us / 1'000'000);
    lines.add("backup_last_usec", backup.taken.took_us);
    lines.add("backup_last_bytes_copied", backup.taken.bytes_copied);
    lines.add("backup_last_deleted", backup.deleted);
    lines.add("backup_retention_error", backup.retention_error);
    lines.add("backup_trial_in_progress", backup.trying ? 1 : 0);
    lines.add("backup_trial_error", backup.backups.error);
    lines.add("backup_verified_name", backup.backups.verified.name);
    add_verified(lines, "backup", backup.backups.verified);
    const auto& start = facts.server.recovery;
    lines.add("recovery_created", start.created ? 1 : 0);
    lines.add("recovery_clean", start.clean ? 1 : 0);
    lines.add("recovery_usec", start.took_us);
    lines.add("recovery_files", start.files);
    lines.add("recovery_bytes", start.bytes);
    lines.add("recovery_records", start.records);
    lines.add("recovery_checkpoint", start.checkpoint);
    lines.add("recovery_checkpoint_bytes", start.checkpoint_bytes);
    lines.add("recovery_checkpoint_fault", start.checkpoint_fault);
    lines.add("recovery_unbound_objects", start.unbound);
    lines.add("recovery_torn_bytes", start.torn_bytes);
    lines.add("recovery_torn_at", start.torn_at);
}

// Of the restore under way, or of the last one, and of the moments that are open.
void restore_fields(const InfoFacts& facts, InfoLines& lines) {
    const auto told = facts.server.undo().told();
    lines.add("restore_state", name_of(told.state));
    lines.add("restore_usec", told.took_us);
    lines.add("restore_keys_all", told.keys_all);
    lines.add("restore_keys_seen", told.keys_seen);
    lines.add("restore_keys_restored", told.counts.restored);
    const auto forgotten = facts.server.forget().told();
    lines.add("forget_state", name_of(forgotten.state));
    lines.add("forget_files_all", forgotten.erased.files_all);
    lines.add("forget_files_seen", forgotten.erased.files_seen);
    lines.add("forget_records", forgotten.erased.records);
    lines.add("parked_keys", facts.server.parked().keys());
    const auto pasts = facts.server.pasts().told();
    lines.add("pasts_open", pasts.open);
    lines.add("pasts_connections", pasts.connections);
    lines.add("pasts_gone", pasts.gone);
}

// Of the pass under way, or of the last one.
void scrub_fields(const InfoFacts& facts, InfoLines& lines) {
    const auto scrub = facts.server.scrub().status();
    lines.add("scrub_in_progress", scrub.running ? 1 : 0);
    lines.add("scrub_passes", scrub.passes);
    lines.add("scrub_bytes_done", scrub.bytes_done);
    lines.add("scrub_bytes_all", scrub.bytes_all);
    lines.add("scrub_last_pass_time", scrub.last_pass_us / 1'000'000);
    lines.add("scrub_last_pass_usec", scrub.last_pass_took);
    lines.add("scrub_faults", scrub.faults);
    lines.add("scrub_last_fault", scrub.last_fault);
    lines.add("scrub_error", scrub.error);
}

}  // namespace

void add_verified(InfoLines& lines, const std::string& of, const Verified& verified) {
    lines.add(of + "_verified_lsn",
              std::to_string(verified.timeline) + ":" + std::to_string(verified.lsn.value));
    lines.add(of + "_verified_moment", verified.commit_us / 1'000'000);
    lines.add(of + "_verified_time", verified.us / 1'000'000);
    lines.add(of + "_verified_usec", verified.took_us);
    lines.add(of + "_verified_keys", verified.keys);
    lines.add(of + "_verified_digest", verified.digest);
}

void persistence_section(const InfoFacts& facts, InfoLines& lines) {
    lines.section("Persistence");
    const auto& log = facts.engine.log;
    const auto walk = facts.engine.walk.status();
    const auto& saving = facts.server.saving();
    const bool walking = walk.phase != engine::Walk::Phase::idle;
    // From the reply of BGSAVE on, as in Redis: who waits for the end of it must see its beginning.
    const bool busy = walking || walk.asked;
    const bool rewrites = saving.name() == Saving::Name::rewrite;
    const std::string_view walk_status = walk.failed_in_row == 0 ? "ok" : "err";
    const auto last_s = walk.last_us < 0 ? -1 : walk.last_us / 1'000'000;
    const auto current_s = walking ? (facts.server.clock().mono().us - walk.began_us) / 1'000'000
                                   : std::int64_t{busy ? 0 : -1};
    std::int64_t keys = 0;
    for (std::uint32_t i = 0; busy && i < facts.engine.keyspace().databases_end(); ++i)
        keys += facts.engine.keyspace().counts_of(i).keys;
    const std::string_view status = log.failed() == 0 ? "ok" : "err";
    std::uint64_t bytes = 0;
    for (const auto* segment : facts.engine.segments().all()) bytes += segment->bytes;
    lines.add("loading", 0);
    lines.add("async_loading", 0);
    lines.add("current_cow_peak", 0);
    lines.add("current_cow_size", 0);
    lines.add("current_cow_size_age", 0);
    lines.add("current_fork_perc", "0.00");
    lines.add("current_save_keys_processed", walking ? walk.keys : 0);
    lines.add("current_save_keys_total", keys);
    lines.add("rdb_changes_since_last_save", walk.changes);
    lines.add("rdb_bgsave_in_progress", busy && !rewrites ? 1 : 0);
    lines.add("rdb_last_save_time", saving.last_s());
    lines.add("rdb_last_bgsave_status", walk_status);
    lines.add("rdb_last_bgsave_time_sec", last_s);
    lines.add("rdb_current_bgsave_time_sec", rewrites ? -1 : current_s);
    lines.add("rdb_saves", walk.done);
    lines.add("rdb_last_cow_size", 0);
    lines.add("rdb_last_load_keys_expired", 0);
    lines.add("rdb_last_load_keys_loaded", 0);
    lines.add("aof_enabled", 1);
    lines.add("aof_rewrite_in_progress", busy && rewrites ? 1 : 0);
    lines.add("aof_rewrite_scheduled", saving.rewrite_scheduled() ? 1 : 0);
    lines.add("aof_last_rewrite_time_sec", saving.rewrites() == 0 ? -1 : last_s);
    lines.add("aof_current_rewrite_time_sec", rewrites ? current_s : -1);
    lines.add("aof_last_bgrewrite_status", walk_status);
    lines.add("aof_rewrites", saving.rewrites());
    lines.add("aof_rewrites_consecutive_failures", walk.failed_in_row);
    lines.add("aof_last_write_status", status);
    lines.add("aof_last_cow_size", 0);
    lines.add("module_fork_in_progress", 0);
    lines.add("module_fork_last_cow_size", 0);
    lines.add("aof_current_size", bytes);
    lines.add("aof_base_size", 0);
    lines.add("aof_pending_rewrite", 0);
    const auto written = log.written();
    lines.add("aof_buffer_length", log.end() - written);
    lines.add("aof_pending_bio_fsync", 0);
    lines.add("aof_delayed_fsync", 0);
    log_fields(facts, lines);
    restore_fields(facts, lines);
    scrub_fields(facts, lines);
}

}  // namespace firnlog::server
