#include "recovery/holders.hpp"

#include <algorithm>
#include <map>

#include "engine/manifest_file.hpp"
#include "engine/record_scan.hpp"
#include "recovery/archive_files.hpp"
#include "recovery/backups.hpp"
#include "recovery/log_reader.hpp"

namespace firnlog::recovery {
namespace {

using engine::RecordScan;
using engine::StoredKind;

Result<bool> has_name(RecordScan& scan, const NameSought& sought) {
    constexpr std::uint64_t kLookEvery = std::uint64_t{8} << 20;
    for (std::uint64_t looked = 0;;) {
        const auto item = scan.next();
        if (!item) return fail(item);
        if (!*item) return false;
        const auto& record = (*item)->record;
        if ((*item)->lsn < sought.before && engine::is_of_a_key(record.kind) &&
            record.key == sought.key)
            return true;
        if (scan.offset() - looked < kLookEvery) continue;
        looked = scan.offset();
        if (sought.give_up && sought.give_up())
            return fail(Error{.code = Code::busy, .doing = "look for a key"});
    }
}

Result<bool> has_name(Result<std::unique_ptr<RecordScan>> scan, const NameSought& sought) {
    if (!scan) return fail(scan);
    return has_name(**scan, sought);
}

// By their names among the files of backups.
using Seen = std::map<std::string, bool>;

Result<bool> backup_has(io::Files& dir, const Backup& backup, const NameSought& sought,
                        Seen& seen) {
    const auto files = open_backup(dir, backup);
    for (const auto& file : backup.manifest.files) {
        if (file.kind == StoredKind::checkpoint) continue;
        const auto [known, is_new] = seen.try_emplace(file.stored_name(), false);
        if (is_new) {
            const auto& store = sought.store_id;
            auto has = has_name(file.kind == StoredKind::log
                                    ? RecordScan::log(*files, store, file.number, file.lsn)
                                    : RecordScan::packed(*files, store, file.number),
                                sought);
            if (!has) {
                seen.erase(known);
                return has;
            }
            known->second = *has;
        }
        if (known->second) return true;
    }
    return false;
}

}  // namespace

Result<Holders> backups_with(io::Files& backups, const NameSought& sought) {
    Holders holders;
    const auto listed = list_backups(backups);
    if (!listed && listed.error().code == Code::missing) return holders;
    if (!listed) return fail(listed);
    for (const auto& damaged : listed->damaged) holders.unread.push_back(damaged.name);
    Seen seen;
    for (const auto* all : {&listed->whole, &listed->parts})
        for (const auto& backup : *all) {
            const auto store = engine::decode_manifest(backup.manifest.store);
            if (all == &listed->whole && store && store->store_id != sought.store_id) continue;
            const auto has = backup_has(backups, backup, sought, seen);
            if (!has && has.error().code == Code::busy) return fail(has);
            if (!has)
                holders.unread.push_back(backup.name);
            else if (*has)
                holders.names.push_back(backup.name);
        }
    return holders;
}

Opening<bool> archive_has(io::Files& archive, const NameSought& sought) {
    auto opened = ArchiveFiles::open(archive, {});
    if (!opened && opened.error().error.code == Code::missing) return false;
    if (!opened) return tl::unexpected(opened.error());
    auto& files = **opened;
    const auto manifest = engine::read_manifest(files);
    if (!manifest) return refuse(manifest.error());
    if (manifest->store_id != sought.store_id) return false;
    const auto logs = find_log_files(files, manifest->store_id);
    if (!logs) return refuse(logs.error());
    for (const auto& log : *logs) {
        if (!log.in_use() || log.base() >= sought.before) continue;
        const auto has =
            has_name(RecordScan::log(files, manifest->store_id, log.number, log.base()), sought);
        if (!has) return refuse(has.error());
        if (*has) return true;
    }
    for (const auto number : manifest->packed) {
        const auto has = has_name(RecordScan::packed(files, manifest->store_id, number), sought);
        if (!has) return refuse(has.error());
        if (*has) return true;
    }
    return false;
}

}  // namespace firnlog::recovery
