#include "recovery/backup_files.hpp"

#include <algorithm>

#include "engine/format/names.hpp"

namespace firnlog::recovery {

namespace {
tl::unexpected<Error> missing(const char* doing) {
    return fail(Error{.code = Code::missing, .doing = doing});
}
}  // namespace

Result<int> BackupFiles::open(std::string_view name, io::Open how, bool direct) {
    if (how != io::Open::read) return refuse();
    if (name == engine::names::kManifest) {
        if (manifest_bytes_ == 0) return missing("open a backup's manifest");
        auto fd = files_.open(list_name_, how);
        if (!fd) return fd;
        const std::lock_guard guard(mutex_);
        manifests_.insert(*fd);
        return fd;
    }
    const auto found = stored_.find(name);
    if (found == stored_.end()) return missing("open a file that a backup does not have");
    return files_.open(found->second.name, how, direct);
}

void BackupFiles::close(int fd) {
    {
        const std::lock_guard guard(mutex_);
        manifests_.erase(fd);
    }
    files_.close(fd);
}

bool BackupFiles::is_manifest(int fd) {
    const std::lock_guard guard(mutex_);
    return manifests_.contains(fd);
}

Result<std::size_t> BackupFiles::read(int fd, std::uint64_t offset, MutableBytes into) {
    if (!is_manifest(fd)) return files_.read(fd, offset, into);
    const auto all = files_.size(fd);
    if (!all) return fail(all);
    return files_.read(fd, *all - std::min(*all, manifest_bytes_) + offset, into);
}

Result<std::uint64_t> BackupFiles::size(int fd) {
    auto all = files_.size(fd);
    if (all && is_manifest(fd)) return std::min(*all, manifest_bytes_);
    return all;
}

Result<io::Given> BackupFiles::give(std::string_view name, io::Files& to,
                                    std::string_view to_name) {
    const auto found = stored_.find(name);
    if (found == stored_.end()) return missing("take a file that a backup does not have");
    return files_.give(found->second.name, to, to_name);
}

Result<std::vector<io::FileInfo>> BackupFiles::list(std::string_view dir) {
    std::vector<io::FileInfo> listed;
    if (!dir.empty()) return listed;
    for (const auto& [name, stored] : stored_)
        listed.push_back({.name = name, .bytes = stored.bytes});
    if (manifest_bytes_ != 0)
        listed.push_back({.name = std::string(engine::names::kManifest), .bytes = manifest_bytes_});
    std::ranges::sort(listed, {}, &io::FileInfo::name);
    return listed;
}

}  // namespace firnlog::recovery
