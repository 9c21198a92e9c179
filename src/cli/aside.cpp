#include "src/cli/aside.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "io/posix_files.hpp"

namespace firnlog::server::cli {
namespace {

namespace fs = std::filesystem;

tl::unexpected<std::string> wrong(const std::string& what, const std::string& why) {
    return tl::unexpected(what + ": " + why);
}

bool sync_dir(const fs::path& dir) {
    const int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return false;
    const bool synced = ::fsync(fd) == 0;
    ::close(fd);
    return synced;
}

}  // namespace

tl::expected<Aside, std::string> Aside::make(std::string to) {
    while (to.size() > 1 && to.ends_with('/')) to.pop_back();
    std::error_code error;
    if (fs::exists(to, error) && !(fs::is_directory(to, error) && fs::is_empty(to, error)))
        return wrong(to, "is there already, and not an empty directory");
    auto aside = to + ".tmp";
    if (fs::exists(aside, error))
        return wrong(aside, "is there already: what an earlier attempt left; remove it first");
    auto files = io::open_posix_files(aside, true);
    if (!files) return wrong(aside, files.error().text());
    return Aside(std::move(to), std::move(aside), std::move(*files));
}

tl::expected<void, std::string> Aside::put_in_place() {
    std::error_code error;
    fs::rename(aside_, to_, error);
    if (error) return wrong(to_, error.message());
    auto parent = fs::path(to_).parent_path();
    if (parent.empty()) parent = ".";
    if (!sync_dir(parent)) return wrong(parent.string(), "the directory cannot be synced");
    return {};
}

void Aside::remove() {
    files_.reset();
    std::error_code error;
    fs::remove_all(aside_, error);
}

}  // namespace firnlog::server::cli
