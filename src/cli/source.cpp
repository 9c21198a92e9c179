#include "src/cli/source.hpp"

#include <filesystem>

#include "io/posix_files.hpp"
#include "recovery/archive_files.hpp"

namespace firnlog::server::cli {
namespace {

namespace fs = std::filesystem;

bool holds_backups(io::Files& files) {
    const auto found = recovery::list_backups(files);
    return found && !(found->whole.empty() && found->damaged.empty());
}

bool is_archive(io::Files& files) {
    const auto found = recovery::list_archive(files);
    return found && !found->empty();
}

}  // namespace

recovery::Opening<Source> Source::open(const std::string& path, const recovery::Moment& moment) {
    auto where = fs::path(path).lexically_normal();
    if (!where.has_filename()) where = where.parent_path();
    std::string name;
    std::error_code error;
    Source source;
    // A name that is no directory may be that of a backup in the one above.
    if (!fs::exists(where, error) && recovery::is_backup_name(where.filename().string())) {
        const auto above = where.has_parent_path() ? where.parent_path() : fs::path(".");
        auto files = io::open_posix_files(above.string(), false);
        if (files && holds_backups(**files)) {
            source.files_ = std::move(*files);
            name = where.filename().string();
        }
    }
    if (!source.files_) {
        auto files = io::open_posix_files(path, false);
        if (!files) return recovery::refuse(files.error(), path + ": " + files.error().text());
        source.files_ = std::move(*files);
        if (is_archive(*source.files_)) {
            auto view = recovery::ArchiveFiles::open(*source.files_, moment);
            if (!view) return tl::unexpected(view.error());
            source.view_ = std::move(*view);
            return source;
        }
        if (!holds_backups(*source.files_)) return source;
    }
    auto backup = recovery::find_backup(*source.files_, name);
    if (!backup) return tl::unexpected(backup.error());
    source.view_ = recovery::open_backup(*source.files_, *backup);
    source.backup_ = std::move(*backup);
    return source;
}

}  // namespace firnlog::server::cli
