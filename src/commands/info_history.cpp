#include "src/backup_job.hpp"
#include "src/commands/info_section.hpp"
#include "src/pasts.hpp"
#include "src/sidecar_job.hpp"
#include "src/undo.hpp"

// INFO's section of the past: from where on every moment can be opened, which older ones are kept,
// what that takes, and by which rules. The names and rules are those of docs/operations.md.
namespace firnlog::server {
namespace {

// Who reads the past now, so that nothing of it goes.
std::string readers_of(Server& server) {
    std::string names;
    const auto add = [&](bool there, std::string_view name) {
        if (there) names.append(names.empty() ? "" : ",").append(name);
    };
    const auto restore = server.undo().told().state;
    add(server.pasts().any(), "moments");
    add(server.backups().status().running, "backup");
    add(restore == UndoTold::State::opening || restore == UndoTold::State::running, "restore");
    return names.empty() ? "commands" : names;
}

}  // namespace

void history_section(const InfoFacts& facts, InfoLines& lines) {
    const auto walk = facts.engine.walk.status();
    const auto newest = facts.engine.log.tail.batch_end();
    const auto now_us = facts.server.clock().wall().us;
    lines.section("History");
    lines.add("history_oldest_lsn", walk.oldest.value);
    lines.add("history_oldest_time", walk.oldest_us / 1'000'000);
    lines.add("history_newest_lsn", newest.value);
    lines.add("history_window_seconds", walk.window.retain_s);
    lines.add("history_keep", facts.config.keep);
    // A rate that rests on less than an hour says nothing about a day.
    constexpr std::int64_t kHourUs = std::int64_t{3600} * 1'000'000;
    const auto span_us = now_us - walk.oldest_us;
    const auto log_bytes = newest - std::min(walk.oldest, newest);
    const auto a_day = static_cast<double>(log_bytes) * 24.0 * static_cast<double>(kHourUs) /
                       static_cast<double>(std::max(span_us, kHourUs));
    lines.add("history_log_bytes_a_day", span_us < kHourUs ? 0 : static_cast<std::uint64_t>(a_day));
    lines.add("history_bases", walk.bases);
    lines.add("history_fall_back_bytes", walk.keepers.fall_back);
    lines.add("history_window_bytes", walk.keepers.window);
    lines.add("history_kept_bytes", walk.keepers.kept);
    lines.add("history_archive_bytes", walk.keepers.archive);
    lines.add("history_unasked_bytes", walk.keepers.nobody);
    lines.add("history_pins", walk.pins);
    lines.add("history_pinned_by", walk.pins == 0 ? std::string() : readers_of(facts.server));
    const auto sidecars = facts.server.sidecars().status();
    lines.add("sidecar_files", sidecars.told.files);
    lines.add("sidecar_bytes", sidecars.told.bytes);
    lines.add("sidecar_missing", sidecars.told.missing);
    lines.add("sidecar_made", sidecars.told.made);
    lines.add("sidecar_unfit", sidecars.told.unfit);
    lines.add("sidecar_shed", sidecars.shed ? 1 : 0);
    lines.add("sidecar_error", sidecars.error);
    lines.add("kept_moments", walk.kept.size());
    for (std::size_t i = 0; i < walk.kept.size(); ++i)
        lines.add("kept" + std::to_string(i),
                  "lsn=" + std::to_string(walk.kept[i].lsn.value) +
                      ",time=" + std::to_string(walk.kept[i].taken_us / 1'000'000) +
                      ",image_bytes=" + std::to_string(walk.kept[i].bytes));
}

}  // namespace firnlog::server
