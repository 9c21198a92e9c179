#include "recovery/backup.hpp"

#include <algorithm>

#include "engine/digests.hpp"
#include "engine/format/names.hpp"
#include "io/base/mutant.hpp"
#include "recovery/stored_file.hpp"

namespace firnlog::recovery {
namespace {

namespace names = engine::names;
using engine::FileNumber;
using engine::StoredFile;
using engine::StoredKind;

// Whether `older` is the past of `newer`: in both a file's number means the same file.
bool is_past_of(const engine::Manifest& older, const engine::Manifest& newer) {
    if (older.store_id != newer.store_id || older.timelines.empty()) return false;
    if (planted("backup_of_another_past")) return true;
    for (std::size_t i = 0; i < older.timelines.size(); ++i) {
        const auto& entry = older.timelines[i];
        const auto found =
            std::ranges::find(newer.timelines, entry.timeline, &engine::TimelineEntry::timeline);
        if (found == newer.timelines.end() || found->begin != entry.begin) return false;
        // The newer one's last goes on, the older one's ends at its moment.
        if (found + 1 == newer.timelines.end()) continue;
        const bool last = i + 1 == older.timelines.size();
        if (last ? found->end < entry.end : found->end != entry.end) return false;
    }
    return true;
}

class BackupMaker {
  public:
    BackupMaker(io::Files& from, io::Files& to, io::Clock& clock, const BackupOptions& options)
        : from_(from), to_(to), clock_(clock), options_(options), began_(clock.mono()) {}

    Opening<BackupTaken> run();

  private:
    // What the plan asks for.
    struct Wanted {
        StoredFileWish wish;
        std::uint64_t bytes = 0;
        bool cut = false;  // the moment lies in it
        // What it was when it was sealed: it is the same file, and need not be read.
        std::optional<StoredFile> sealed;

        [[nodiscard]] StoredFile file() const {
            return {.number = wish.number, .kind = wish.kind, .lsn = wish.lsn, .pieces = {}};
        }
        [[nodiscard]] std::string name() const { return file().name(); }
        [[nodiscard]] std::string new_name() const {
            return std::string(kBackupFolder) + "/" + name() + std::string(names::kNewSuffix);
        }
    };

    Opening<void> look_at_target();
    Opening<void> begin();
    Opening<void> collect();
    Opening<void> collect_once();
    [[nodiscard]] std::vector<Wanted> wanted_of(const RestorePlan& plan) const;
    [[nodiscard]] std::optional<StoredFile> known(const Wanted& wanted) const;
    Opening<void> bring(Wanted wanted);
    [[nodiscard]] std::optional<StoredFile> sealed(const Wanted& wanted) const;
    [[nodiscard]] Opening<StoredFile> digest(const Wanted& wanted);
    Opening<void> read_brought();
    Opening<void> read_one(const Wanted& wanted);
    Opening<void> write_list(std::string_view suffix);
    Opening<void> tidy_up();
    Opening<void> go_on(std::uint64_t bytes);

    io::Files& from_;
    io::Files& to_;
    io::Clock& clock_;
    const BackupOptions& options_;
    const io::MonoTime began_;

    std::vector<Backup> others_;  // those that files may be shared with
    std::vector<engine::Manifest> stores_;
    std::unique_ptr<History> history_;
    RestorePlan plan_;
    std::vector<StoredFile> digests_;  // that the store has noted
    engine::BackupManifest manifest_;  // grows
    std::vector<Wanted> brought_;      // to be read yet
    std::uint64_t unlisted_bytes_ = 0;
    BackupTaken taken_;
    Progress progress_;
};

Opening<void> BackupMaker::go_on(std::uint64_t bytes) {
    progress_.bytes_done += bytes;
    if (options_.progress) options_.progress(progress_);
    if (options_.give_up && options_.give_up())
        return refuse({.code = Code::busy, .doing = "back up"}, "stopped while backing up");
    return {};
}

Opening<void> BackupMaker::look_at_target() {
    const auto fd = to_.open(names::kManifest, io::Open::read);
    if (!fd && fd.error().code == Code::missing) return {};
    if (!fd) return refuse(fd.error());
    to_.close(*fd);
    return refuse({.code = Code::usage, .doing = "back up"},
                  "a store's own directory is no place for backups");
}

Opening<void> BackupMaker::begin() {
    if (auto made = to_.make_dir(kBackupFolder); !made) return refuse(made.error());
    // From its files' names on a backup rests on this one.
    if (auto synced = to_.sync_dir(); !synced) return refuse(synced.error());
    auto found = list_backups(to_);
    if (!found) return refuse(found.error());
    const auto is_ours = [&](const auto& other) { return other.name == options_.name; };
    if (std::ranges::any_of(found->whole, is_ours) || std::ranges::any_of(found->damaged, is_ours))
        return refuse({.code = Code::exists, .doing = "back up"},
                      "there is a backup '" + options_.name + "' already");
    for (auto* lists : {&found->whole, &found->parts})
        for (auto& backup : *lists) {
            auto store = engine::decode_manifest(backup.manifest.store);
            if (!store) continue;
            stores_.push_back(std::move(*store));
            others_.push_back(std::move(backup));
        }
    return {};
}

std::vector<BackupMaker::Wanted> BackupMaker::wanted_of(const RestorePlan& plan) const {
    std::vector<Wanted> all;
    for (const auto& piece : history_->pieces()) {
        const auto number = piece.file.number;
        const bool cut = plan.cut == number;
        if (!cut && std::ranges::count(plan.whole, number) == 0) continue;
        all.push_back({.wish = {.number = number,
                                .kind = StoredKind::log,
                                .lsn = piece.file.base(),
                                .lsn_end = history_->goes_on(piece)
                                               ? std::optional(std::min(piece.end, plan.place.lsn))
                                               : std::nullopt},
                       .bytes = cut ? plan.place.lsn - piece.file.base() : piece.file.bytes,
                       .cut = cut});
    }
    for (const auto number : plan.packed)
        all.push_back({.wish = {.number = number, .kind = StoredKind::packed}});
    for (const auto& entry : plan.checkpoints)
        all.push_back(
            {.wish = {.number = entry.number, .kind = StoredKind::checkpoint, .lsn = entry.hi},
             .bytes = entry.bytes});
    return all;
}

// The same file, if a backup of this store's past has it and it lies there.
std::optional<StoredFile> BackupMaker::known(const Wanted& wanted) const {
    if (wanted.cut) return {};
    const auto is_it = [&](const StoredFile& file) {
        return file.number == wanted.wish.number && file.kind == wanted.wish.kind &&
               file.lsn == wanted.wish.lsn && (wanted.bytes == 0 || file.bytes == wanted.bytes);
    };
    const auto lies_there = [&](const StoredFile& file) {
        const auto fd =
            to_.open(std::string(kBackupFolder) + "/" + file.stored_name(), io::Open::read);
        if (!fd) return false;
        const auto size = to_.size(*fd);
        to_.close(*fd);
        return size && *size == file.bytes;
    };
    for (std::size_t i = others_.size(); i-- > 0;) {
        if (!is_past_of(stores_[i], history_->manifest())) continue;
        const auto& files = others_[i].manifest.files;
        const auto found = std::ranges::find_if(files, is_it);
        if (found != files.end() && lies_there(*found)) return *found;
    }
    return {};
}

std::optional<StoredFile> BackupMaker::sealed(const Wanted& wanted) const {
    const auto is_it = [&](const StoredFile& file) {
        return file.number == wanted.wish.number && file.kind == wanted.wish.kind &&
               file.lsn == wanted.wish.lsn;
    };
    const auto found = std::find_if(digests_.rbegin(), digests_.rend(), is_it);
    if (found == digests_.rend()) return {};
    const auto fd = to_.open(wanted.new_name(), io::Open::read);
    if (!fd) return {};
    const auto size = to_.size(*fd);
    to_.close(*fd);
    return size && *size == found->bytes ? std::optional(*found) : std::nullopt;
}

Opening<void> BackupMaker::bring(Wanted wanted) {
    const auto name = wanted.new_name();
    // An earlier attempt's.
    if (auto gone = to_.unlink(name); !gone && gone.error().code != Code::missing)
        return refuse(gone.error());
    if (wanted.cut) {
        const auto bytes = write_last_file(*history_, plan_, to_, name);
        if (!bytes) return tl::unexpected(bytes.error());
        ++taken_.copied;
        taken_.bytes_copied += *bytes;
        // It may not be durable yet where it comes from, and a crash there must not contradict us.
        const auto fd = history_->files().open(wanted.name(), io::Open::read, false);
        if (!fd) return refuse(fd.error());
        const auto synced = history_->files().sync(*fd);
        history_->files().close(*fd);
        if (!synced) return refuse(synced.error());
    } else {
        const auto given = history_->files().give(wanted.name(), to_, name);
        if (!given) return refuse(given.error());
        if (*given == io::Given::linked) ++taken_.linked;
        if (*given == io::Given::cloned) ++taken_.cloned;
        if (*given == io::Given::copied) {
            ++taken_.copied;
            taken_.bytes_copied += wanted.bytes;
        } else {
            wanted.sealed = sealed(wanted);
        }
    }
    brought_.push_back(std::move(wanted));
    return go_on(0);
}

// All that the moment needs: known, or brought and not read yet.
Opening<void> BackupMaker::collect_once() {
    auto history = History::read(from_);
    if (!history) return tl::unexpected(history.error());
    history_ = std::move(*history);
    // What cannot be had here is had by reading.
    if (auto noted = engine::Digests::read(from_, history_->manifest().store_id)) digests_ = *noted;
    auto plan = plan_of(*history_, clock_, {});
    if (!plan) return tl::unexpected(plan.error());
    plan_ = std::move(*plan);
    progress_.bytes_all = plan_.bytes;
    manifest_.files.clear();
    auto brought = std::exchange(brought_, {});
    for (const auto& wanted : wanted_of(plan_)) {
        const auto same = [&](const Wanted& other) {
            return !other.cut && !wanted.cut && other.name() == wanted.name();
        };
        if (auto file = known(wanted)) {
            ++taken_.kept;
            manifest_.files.push_back(std::move(*file));
            if (auto going = go_on(wanted.bytes); !going) return going;
        } else if (std::ranges::any_of(brought, same)) {
            brought_.push_back(wanted);
        } else if (auto came = bring(wanted); !came) {
            // The next attempt has what came before.
            for (const auto& other : brought)
                if (std::ranges::none_of(
                        brought_, [&](const Wanted& item) { return item.name() == other.name(); }))
                    brought_.push_back(other);
            return came;
        }
    }
    return {};
}

// The store may let go of a file while we come for it. Then there is a newer moment, and what came
// before counts for it; only who brings nothing at all, again and again, gives up.
Opening<void> BackupMaker::collect() {
    constexpr int kTries = 4;
    for (int tries_left = kTries;;) {
        const auto before = brought_.size();
        auto collected = collect_once();
        if (collected) return {};
        const auto code = collected.error().error.code;
        if (code != Code::missing && code != Code::damaged) return collected;
        if (brought_.size() <= before && --tries_left == 0) return collected;
        taken_.kept = 0;
        progress_.bytes_done = 0;
    }
}

// Writes the list aside; from the rename on it counts.
Opening<void> BackupMaker::write_list(std::string_view suffix) {
    const auto written = [&]() -> Result<void> {
        // The names that it names first.
        if (!planted("backup_names_not_synced"))
            if (auto synced = to_.sync_dir(kBackupFolder); !synced) return synced;
        const auto name = options_.name + std::string(suffix);
        const auto aside = name + std::string(names::kNewSuffix);
        if (auto gone = to_.unlink(aside); !gone && gone.error().code != Code::missing) return gone;
        const auto fd = to_.open(aside, io::Open::create);
        if (!fd) return fail(fd);
        auto done = to_.write(*fd, 0, engine::encode_backup(manifest_));
        if (done && !planted("backup_list_not_synced")) done = to_.sync(*fd);
        to_.close(*fd);
        if (!done) return done;
        if (auto renamed = to_.rename(aside, name); !renamed) return renamed;
        return to_.sync_dir();
    }();
    if (!written) return refuse(written.error());
    unlisted_bytes_ = 0;
    return {};
}

Opening<StoredFile> BackupMaker::digest(const Wanted& wanted) {
    if (wanted.sealed) return *wanted.sealed;
    ++taken_.read;
    BackupFiles brought(to_, {{wanted.name(), {wanted.new_name(), wanted.bytes}}}, {}, 0);
    return read_stored_file(brought, plan_.source.store_id, wanted.wish);
}

Opening<void> BackupMaker::read_one(const Wanted& wanted) {
    const auto new_name = wanted.new_name();
    auto file = digest(wanted);
    if (!file) return tl::unexpected(file.error());
    const auto name = std::string(kBackupFolder) + "/" + file->stored_name();
    // Equal bytes may lie there: of a backup that we know nothing of any more, or of a maker who
    // died. They are as good, and other backups may rest on them: ours take their place.
    if (auto renamed = to_.rename(new_name, name); !renamed) return refuse(renamed.error());
    unlisted_bytes_ += file->bytes;
    manifest_.files.push_back(std::move(*file));
    return go_on(wanted.bytes);
}

Opening<void> BackupMaker::read_brought() {
    // What a maker who dies has read is not read again, but for so much.
    constexpr std::uint64_t kListEvery = std::uint64_t{1} << 30;
    for (const auto& wanted : brought_) {
        if (auto read = read_one(wanted); !read) return read;
        if (unlisted_bytes_ >= kListEvery)
            if (auto listed = write_list(kPartSuffix); !listed) return listed;
    }
    return {};
}

// What makers have left who died.
// Parts that others have left, and what was to become one or a backup. Of another program's file
// that ends in the same way the bytes are no part's.
Opening<void> BackupMaker::tidy_up() {
    const auto listed = to_.list();
    if (!listed) return refuse(listed.error());
    const auto found = list_backups(to_);
    if (!found) return refuse(found.error());
    std::vector<std::string> left;
    for (const auto& part : found->parts) left.push_back(part.name + std::string(kPartSuffix));
    for (const auto& info : *listed)
        for (const auto suffix : {kPartSuffix, kBackupSuffix}) {
            const auto ending = std::string(suffix) + std::string(names::kNewSuffix);
            if (!info.name.ends_with(ending)) continue;
            const auto name = info.name.substr(0, info.name.size() - ending.size());
            if (is_backup_name(name)) left.push_back(info.name);
        }
    for (const auto& name : left)
        if (auto gone = to_.unlink(name); !gone) return refuse(gone.error());
    if (!left.empty())
        if (auto synced = to_.sync_dir(); !synced) return refuse(synced.error());
    if (const auto swept = sweep_backups(to_); !swept) return refuse(swept.error());
    return {};
}

Opening<BackupTaken> BackupMaker::run() {
    if (auto fits = look_at_target(); !fits) return tl::unexpected(fits.error());
    const auto lock = to_.lock(names::kLock);
    if (!lock)
        return refuse(lock.error(), lock.error().code == Code::busy
                                        ? "another one changes these backups now"
                                        : lock.error().text());
    if (auto begun = begin(); !begun) return tl::unexpected(begun.error());
    if (auto collected = collect(); !collected) return tl::unexpected(collected.error());
    taken_.held_us = clock_.mono().us - began_.us;
    manifest_.lsn = plan_.place.lsn;
    manifest_.commit_us = plan_.place.commit_us;
    manifest_.timeline = plan_.place.timeline;
    manifest_.made_us = clock_.wall().us;
    manifest_.store = engine::encode_manifest(manifest_of(*history_, plan_));
    if (auto read = read_brought(); !read) return tl::unexpected(read.error());
    if (auto written = write_list(kBackupSuffix); !written) return tl::unexpected(written.error());
    if (auto tidy = tidy_up(); !tidy) return tl::unexpected(tidy.error());
    taken_.place = plan_.place;
    taken_.oldest = plan_.oldest;
    taken_.files = manifest_.files.size();
    taken_.bytes = manifest_.bytes();
    taken_.took_us = clock_.mono().us - began_.us;
    return taken_;
}

}  // namespace

Opening<BackupTaken> take_backup(io::Files& from, io::Files& to, io::Clock& clock,
                                 const BackupOptions& options) {
    if (!is_backup_name(options.name))
        return refuse({.code = Code::usage, .doing = "back up"},
                      "a backup's name has letters, digits, '-', '_' and '.', the last not at its "
                      "beginning, " +
                          std::to_string(kBackupNameBytesMax) + " of them at the most");
    return BackupMaker(from, to, clock, options).run();
}

}  // namespace firnlog::recovery
