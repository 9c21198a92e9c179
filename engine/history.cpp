#include "engine/history.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "io/base/mutant.hpp"

namespace firnlog::engine {
namespace {

constexpr std::uint64_t kRetainBytesMin = std::uint64_t{1} << 30;
// So many bases are enough for a window: a moment is then at most that part of it from its base.
constexpr std::int64_t kBasesInWindow = 24;
// Nor so much log, however fast it was written: it is what opening a moment replays.
constexpr std::uint64_t kNearBytes = std::uint64_t{1} << 30;

// The oldest base goes. The next one is there. A checkpoint of a store into which nothing was
// written yet is taken at the beginning; of these two the beginning is the base that costs nothing.
void drop_oldest(Manifest& manifest) {
    auto& entries = manifest.checkpoints;
    const bool begins_twice = manifest.has_beginning() && entries.front().lo <= manifest.first_lsn;
    if (begins_twice || !manifest.has_beginning()) entries.erase(entries.begin());
    if (!begins_twice) manifest.first_lsn = entries.front().lo;
}

// Whether log goes with the oldest base that the archive has not got yet.
[[nodiscard]] bool takes_unarchived(const Manifest& manifest, const Window& window) {
    auto next = manifest;
    drop_oldest(next);
    return next.first_lsn > window.unarchived && !planted("unarchived_log_goes");
}

// When the base that would be the oldest one then was taken.
[[nodiscard]] std::int64_t second_taken_us(const Manifest& manifest) {
    return manifest.checkpoints[manifest.has_beginning() ? 0 : 1].taken_us;
}

// Until so many are left; a checkpoint that was taken at the beginning is itself what would go.
void drop_to(Manifest& manifest, std::size_t bases_min) {
    while (bases(manifest) > bases_min &&
           (bases(manifest) > kBasesMin || manifest.checkpoints.size() > 1 ||
            manifest.checkpoints.back().lo > manifest.first_lsn))
        drop_oldest(manifest);
}

using Numbers = std::vector<FileNumber>;

// As drop_oldest; what is to outlive the window does.
void outlive(Manifest& manifest, const Numbers& wants) {
    const auto oldest = manifest.checkpoints.front();
    drop_oldest(manifest);
    const bool gone =
        manifest.checkpoints.empty() || manifest.checkpoints.front().number != oldest.number;
    // What was taken before anything was written is worth nothing.
    const bool empty = oldest.hi <= manifest.timelines.front().begin;
    if (gone && !empty && std::ranges::binary_search(wants, oldest.number))
        manifest.kept.push_back(oldest);
}

// Between two bases that are near each other a third one is of no use. Never one of the two newest,
// nor the oldest, nor one that is to outlive the window.
void thin(Manifest& manifest, std::int64_t near_us, const Numbers& wants) {
    auto& entries = manifest.checkpoints;
    for (auto i = entries.size(); i-- > 0;) {
        if (i + kBasesMin >= entries.size()) continue;
        if (i == 0 && !manifest.has_beginning()) break;
        const auto before_us = i == 0 ? manifest.created_us : entries[i - 1].taken_us;
        const auto before_lsn = i == 0 ? manifest.first_lsn : entries[i - 1].lo;
        if (entries[i + 1].taken_us - before_us >= near_us ||
            entries[i + 1].lo - before_lsn >= kNearBytes)
            continue;
        if (std::ranges::binary_search(wants, entries[i].number)) continue;
        entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(i));
    }
}

// Those that the rules ask for, of all that there are.
[[nodiscard]] Numbers wants_of(const Window& window, const Manifest& manifest) {
    auto all = manifest.kept;
    all.insert(all.end(), manifest.checkpoints.begin(), manifest.checkpoints.end());
    return wanted(window.keep, all);
}

// The file holds nothing of the log from `lsn` on.
[[nodiscard]] bool ended(const FullFile& file, Lsn lsn) {
    if (planted("log_goes_that_a_start_replays")) return true;
    return file.packed || file.end <= lsn;
}

using Live = std::unordered_map<FileNumber, std::uint64_t>;

[[nodiscard]] Live live_of(const CheckpointEntry& entry, const Moves& moves) {
    Live live;
    for (std::size_t i = 0; i < entry.files.size(); ++i)
        live[moves(entry.files[i])] += entry.live[i];
    return live;
}

[[nodiscard]] bool mostly_dead(const Live& live, const FullFile& file) {
    const auto found = live.find(file.number);
    return found == live.end() || found->second < file.bytes / 2;
}

// So many small packed segments are put together.
constexpr std::size_t kSmallMax = 4;

}  // namespace

std::uint64_t Window::bytes_max(std::uint64_t live) const {
    if (!keeps_any()) return 0;
    const auto bytes = retain_bytes != 0 ? retain_bytes : std::max(kRetainBytesMin, 2 * live);
    const auto bounded = std::min(bytes, room_bytes);
    return bounded - std::min(bounded, beside_bytes);
}

std::uint64_t Window::unarchived_bytes_max(std::uint64_t live) const {
    auto kept = *this;
    kept.retain_s = std::max<std::int64_t>(retain_s, 1);
    return kept.bytes_max(live);
}

std::size_t bases(const Manifest& manifest) {
    return manifest.checkpoints.size() + (manifest.has_beginning() ? 1 : 0);
}

std::uint64_t live_bytes(const Manifest& manifest) {
    std::uint64_t bytes = 0;
    if (!manifest.checkpoints.empty())
        for (const auto file : manifest.checkpoints.back().live) bytes += file;
    return bytes;
}

std::vector<FullFile> unneeded(const Manifest& manifest, const std::vector<FullFile>& files) {
    const Moves moves(manifest.moves);
    std::unordered_set<FileNumber> named;
    for (const auto* entries : {&manifest.checkpoints, &manifest.kept})
        for (const auto& entry : *entries)
            for (const auto number : entry.files) named.insert(moves(number));
    std::vector<FullFile> found;
    for (const auto& file : files) {
        if (!ended(file, manifest.first_lsn)) continue;
        if (!file.packed && manifest.keeps(file.begin, file.end) && !planted("kept_log_goes"))
            continue;
        if (!named.contains(file.number) || planted("files_go_that_an_image_names"))
            found.push_back(file);
    }
    return found;
}

std::vector<FileNumber> victims(const Manifest& manifest, const std::vector<FullFile>& files,
                                const Window& window, const VictimRules& rules) {
    if (manifest.checkpoints.empty()) return {};
    // While the past goes back to the beginning it needs every file as it is.
    if (window.retain_s != 0 && manifest.has_beginning()) return {};
    const Moves moves(manifest.moves);
    const auto& newest = manifest.checkpoints.back();
    const auto known = live_of(newest, moves);
    const auto oldest =
        window.retain_s == 0 ? Live{} : live_of(manifest.checkpoints.front(), moves);
    const auto live = [&](FileNumber number) {
        if (rules.live) return rules.live(number);
        const auto found = known.find(number);
        return found == known.end() ? 0 : found->second;
    };
    // Of what was written since the newest checkpoint only a count of now can tell.
    const auto closed = [&](const FullFile& file) {
        return rules.live && window.retain_s == 0 ? file.packed || file.end != FullFile::kOpen
                                                  : ended(file, newest.lo);
    };
    std::unordered_set<FileNumber> kept;
    for (const auto& entry : manifest.kept)
        for (const auto number : entry.files) kept.insert(moves(number));
    std::vector<FullFile> found;
    std::vector<FullFile> smalls;
    std::uint64_t bytes = 0;  // of all files that stay
    for (const auto& file : files) {
        // One that nothing leads into goes by itself.
        if (closed(file) && live(file.number) == 0) continue;
        bytes += file.bytes;
        if (!closed(file)) continue;
        // Nor does one go that a kept moment needs.
        if (kept.contains(file.number) || (!file.packed && manifest.keeps(file.begin, file.end)))
            continue;
        if (live(file.number) < file.bytes / 2 &&
            (window.retain_s == 0 || mostly_dead(oldest, file)))
            found.push_back(file);
        else if (file.packed && file.bytes < rules.small)
            smalls.push_back(file);
    }
    if (smalls.size() >= kSmallMax) found.insert(found.end(), smalls.begin(), smalls.end());
    std::ranges::sort(found, {}, [&](const FullFile& file) {
        return static_cast<double>(live(file.number)) / static_cast<double>(file.bytes);
    });
    std::vector<FileNumber> numbers;
    numbers.reserve(found.size());
    for (const auto& file : found) {
        if (window.retain_s == 0 && bytes <= rules.enough) break;
        numbers.push_back(file.number);
        bytes -= file.bytes - std::min(file.bytes, live(file.number));
    }
    return numbers;
}

std::uint64_t history_bytes(const Manifest& manifest, const std::vector<FullFile>& files,
                            std::size_t bases_min) {
    auto least = manifest;
    least.kept.clear();
    drop_to(least, bases_min);
    std::uint64_t bytes = 0;
    for (const auto& file : unneeded(least, files)) bytes += file.bytes;
    for (const auto& file : unneeded(manifest, files)) bytes -= file.bytes;
    for (const auto* entries : {&manifest.checkpoints, &manifest.kept})
        for (const auto& entry : *entries) bytes += entry.bytes;
    for (const auto& entry : least.checkpoints) bytes -= entry.bytes;
    return bytes;
}

Keepers keepers(const Manifest& manifest, const std::vector<FullFile>& files) {
    auto windowed = manifest;
    windowed.kept.clear();
    const auto all = history_bytes(manifest, files);
    const auto window = history_bytes(windowed, files);
    return {.fall_back = history_bytes(windowed, files, 1) - window,
            .window = window,
            .kept = all - window};
}

Keepers keepers(const Manifest& manifest, const std::vector<FullFile>& files, const Window& window,
                std::int64_t now_us) {
    auto asked_for = manifest;
    (void)let_go(asked_for, files, window, now_us);
    auto archived = asked_for;
    auto without = window;
    without.unarchived = Window{}.unarchived;
    (void)let_go(archived, files, without, now_us);
    const auto bytes = history_bytes(asked_for, files);
    auto found = keepers(archived, files);
    found.archive = bytes - history_bytes(archived, files);
    found.nobody = history_bytes(manifest, files) - bytes;
    return found;
}

std::vector<FileNumber> let_go(Manifest& manifest, const std::vector<FullFile>& files,
                               const Window& window, std::int64_t now_us, std::size_t bases_min) {
    const auto numbers_of = [](const Manifest& of) {
        Numbers numbers;
        for (const auto* entries : {&of.kept, &of.checkpoints})
            for (const auto& entry : *entries) numbers.push_back(entry.number);
        return numbers;
    };
    auto gone = numbers_of(manifest);
    const auto wants = wants_of(window, manifest);
    const auto retain_us = window.retain_s * 1'000'000;
    const auto bytes_max = window.bytes_max(live_bytes(manifest));
    const auto unarchived_max = window.unarchived_bytes_max(live_bytes(manifest));
    thin(manifest, retain_us / kBasesInWindow, wants);
    std::erase_if(manifest.kept, [&](const CheckpointEntry& entry) {
        return !std::ranges::binary_search(wants, entry.number);
    });
    while (bases(manifest) > kBasesMin) {
        const bool too_old = now_us != 0 && second_taken_us(manifest) <= now_us - retain_us;
        if (retain_us != 0 && !too_old) break;
        if (takes_unarchived(manifest, window)) break;
        outlive(manifest, wants);
    }
    for (;;) {
        const auto bytes = history_bytes(manifest, files);
        if (bytes <= bytes_max) break;
        const bool may_go = bases(manifest) > kBasesMin &&
                            (bytes > unarchived_max || !takes_unarchived(manifest, window));
        if (!manifest.kept.empty())
            manifest.kept.erase(manifest.kept.begin());
        else if (may_go)
            drop_oldest(manifest);
        else
            break;
    }
    if (bases(manifest) <= kBasesMin) drop_to(manifest, bases_min);
    const auto stay = numbers_of(manifest);
    std::erase_if(gone, [&](FileNumber number) { return std::ranges::count(stay, number) != 0; });
    return gone;
}

}  // namespace firnlog::engine
