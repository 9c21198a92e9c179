#include "recovery/backups.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "engine/format/names.hpp"
#include "recovery/moment.hpp"
#include "recovery/stored_file.hpp"

namespace firnlog::recovery {
namespace {

std::string in_folder(const std::string& name) { return std::string(kBackupFolder) + "/" + name; }

Result<engine::BackupManifest> read_list(io::Files& files, const std::string& name) {
    const auto fd = files.open(name, io::Open::read);
    if (!fd) return fail(fd);
    const auto read = [&]() -> Result<engine::BackupManifest> {
        const auto size = files.size(*fd);
        if (!size) return fail(size);
        constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 30;
        std::vector<std::byte> bytes(std::min(*size, kBytesMax));
        const auto got = files.read(*fd, 0, bytes);
        if (!got) return fail(got);
        bytes.resize(*got);
        return engine::decode_backup(bytes);
    };
    auto manifest = read();
    files.close(*fd);
    return manifest;
}

// What the name of a list says, without its ending.
std::optional<std::string> name_before(std::string_view name, std::string_view suffix) {
    if (!name.ends_with(suffix)) return {};
    name.remove_suffix(suffix.size());
    if (!is_backup_name(name)) return {};
    return std::string(name);
}

}  // namespace

bool is_backup_name(std::string_view name) {
    const auto fits = [](char letter) {
        return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
               (letter >= '0' && letter <= '9') || letter == '-' || letter == '_' || letter == '.';
    };
    return !name.empty() && name.size() <= kBackupNameBytesMax && name.front() != '.' &&
           std::ranges::all_of(name, fits);
}

std::string backup_name_of_time(std::int64_t us) {
    auto text = text_of_time(us);
    text.resize(text.find('.'));
    std::erase_if(text, [](char letter) { return letter == '-' || letter == ':'; });
    return text + "Z";
}

Result<Backups> list_backups(io::Files& files) {
    const auto listed = files.list();
    if (!listed) return fail(listed);
    Backups found;
    for (const auto& info : *listed) {
        const auto whole = name_before(info.name, kBackupSuffix);
        const auto part = name_before(info.name, kPartSuffix);
        if (!whole && !part) continue;
        auto manifest = read_list(files, info.name);
        // Deleted meanwhile; and a part is only good for what can be read of it.
        if (!manifest && (part || manifest.error().code == Code::missing)) continue;
        if (!manifest)
            found.damaged.push_back({*whole, manifest.error()});
        else
            (whole ? found.whole : found.parts)
                .push_back({whole ? *whole : *part, std::move(*manifest)});
    }
    std::ranges::stable_sort(found.whole, {},
                             [](const Backup& backup) { return backup.manifest.made_us; });
    return found;
}

Opening<Backup> find_backup(io::Files& files, std::string_view name) {
    auto found = list_backups(files);
    if (!found) return refuse(found.error());
    for (const auto& damaged : found->damaged)
        if (name.empty() || damaged.name == name)
            return refuse(damaged.error, "damaged: " + damaged.name + std::string(kBackupSuffix) +
                                             " offset " + std::to_string(damaged.error.offset) +
                                             ": " + damaged.error.text());
    if (name.empty() && !found->whole.empty()) return std::move(found->whole.back());
    for (auto& backup : found->whole)
        if (backup.name == name) return std::move(backup);
    return refuse({.code = Code::missing, .doing = "find a backup"},
                  name.empty() ? "there is no backup here"
                               : "there is no backup '" + std::string(name) + "'");
}

std::unique_ptr<BackupFiles> open_backup(io::Files& files, const Backup& backup) {
    std::map<std::string, BackupFiles::Stored, std::less<>> stored;
    for (const auto& file : backup.manifest.files)
        stored[file.name()] = {in_folder(file.stored_name()), file.bytes};
    return std::make_unique<BackupFiles>(files, std::move(stored),
                                         backup.name + std::string(kBackupSuffix),
                                         backup.manifest.store.size());
}

Opening<VerifiedBackup> verify_backup(io::Files& files, const Backup& backup,
                                      const VerifyProgress& progress) {
    VerifiedBackup verified;
    const auto bytes_all = backup.manifest.bytes();
    if (const auto store = engine::decode_manifest(backup.manifest.store); !store)
        return refuse(store.error());
    for (const auto& file : backup.manifest.files) {
        const auto name = in_folder(file.stored_name());
        const auto fault = find_piece_fault(files, name, file, [&](std::uint64_t bytes) {
            verified.bytes += bytes;
            return !progress || progress(verified.bytes, bytes_all);
        });
        if (!fault) return refuse(fault.error());
        ++verified.files;
        if (!*fault) continue;
        const auto& [offset, bytes, text] = **fault;
        auto fault_line = name + " offset " + std::to_string(offset);
        if (bytes != 0) fault_line += " to " + std::to_string(offset + bytes);
        verified.faults.push_back(fault_line.append(": ").append(text));
    }
    return verified;
}

namespace {

// Whether a file in the folder can be of a backup, or was to become one:
// 0000000012-0123456789abcdef.log, 0000000012.log.new
bool is_ours(std::string_view name) {
    constexpr std::size_t kDigits = 16;
    const bool fresh = name.ends_with(engine::names::kNewSuffix);
    if (fresh) name.remove_suffix(engine::names::kNewSuffix.size());
    std::string plain(name);
    if (!fresh) {
        constexpr std::size_t kDash = 10;
        if (name.size() <= kDash + kDigits || name[kDash] != '-') return false;
        if (name.substr(kDash + 1, kDigits).find_first_not_of("0123456789abcdef") !=
            std::string_view::npos)
            return false;
        plain.erase(kDash, 1 + kDigits);
    }
    return std::ranges::any_of(std::array{engine::names::kLogSuffix, engine::names::kPackedSuffix,
                                          engine::names::kCheckpointSuffix},
                               [&](std::string_view suffix) {
                                   return engine::names::number_of(plain, suffix).has_value();
                               });
}

}  // namespace

Result<DeletedBackups> sweep_backups(io::Files& files) {
    DeletedBackups swept;
    const auto found = list_backups(files);
    if (!found) return fail(found);
    if (!found->damaged.empty()) return swept;
    std::set<std::string, std::less<>> named;
    for (const auto* lists : {&found->whole, &found->parts})
        for (const auto& backup : *lists)
            for (const auto& file : backup.manifest.files) named.insert(file.stored_name());
    const auto listed = files.list(kBackupFolder);
    if (!listed && listed.error().code == Code::missing) return swept;
    if (!listed) return fail(listed);
    for (const auto& info : *listed) {
        if (named.contains(info.name) || !is_ours(info.name)) continue;
        if (auto gone = files.unlink(in_folder(info.name)); !gone) return fail(gone);
        ++swept.files;
        swept.bytes += info.bytes;
    }
    return swept;
}

Opening<DeletedBackups> delete_backups(io::Files& files, const std::vector<std::string>& names) {
    const auto lock = files.lock(engine::names::kLock);
    if (!lock) return refuse(lock.error(), "another one changes these backups now");
    for (const auto& name : names) {
        if (!is_backup_name(name)) return refuse({.code = Code::usage}, "not a backup's name");
        auto gone = files.unlink(name + std::string(kBackupSuffix));
        if (!gone && gone.error().code == Code::missing)
            return refuse(gone.error(), "there is no backup '" + name + "'");
        if (!gone) return refuse(gone.error());
    }
    // Before a file that they name goes they must be gone for good.
    if (auto synced = files.sync_dir(); !synced) return refuse(synced.error());
    const auto swept = sweep_backups(files);
    if (!swept) return refuse(swept.error());
    return *swept;
}

std::vector<std::string> outlived(const std::vector<Backup>& whole, const Retention& retention,
                                  std::int64_t now_us) {
    std::vector<std::string> names;
    if (!retention.any()) return names;
    for (std::size_t i = 0; i + 1 < whole.size(); ++i) {
        const auto age_us = now_us - whole[i].manifest.made_us;
        const bool young = retention.keep_us && age_us <= *retention.keep_us;
        const bool last = retention.keep_last && whole.size() - i <= *retention.keep_last;
        if (!young && !last) names.push_back(whole[i].name);
    }
    return names;
}

Opening<Retained> retain(io::Files& files, const Retention& retention, std::int64_t now_us) {
    Retained retained;
    if (!retention.any()) return retained;
    const auto found = list_backups(files);
    if (!found) return refuse(found.error());
    retained.deleted = outlived(found->whole, retention, now_us);
    if (retained.deleted.empty()) return retained;
    auto gone = delete_backups(files, retained.deleted);
    if (!gone) return tl::unexpected(gone.error());
    retained.gone = *gone;
    return retained;
}

}  // namespace firnlog::recovery
