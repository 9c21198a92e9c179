#pragma once
// BackupFiles: a backup as the directory of the store that it was made of, to be read. Whoever
// reads a store reads a backup through it, and does not know.
//
//   "manifest"         bytes within the backup's own manifest
//   "0000000012.log"   "files/0000000012-9f3a….log"
//
// Nothing can be changed through it. Thread-safe once it is made, as what lies under it.

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "engine/format/backup.hpp"
#include "recovery/read_only_files.hpp"

namespace firnlog::recovery {

class BackupFiles : public ReadOnlyFiles {
  public:
    struct Stored {
        std::string name;  // in the directory of the backups
        std::uint64_t bytes = 0;
    };
    // `files` is the directory of the backups and outlives it; `stored` tells what lies there for
    // each name in the store. The store's manifest is the end of the file `list_name`, so long; 0:
    // there is none.
    BackupFiles(io::Files& files, std::map<std::string, Stored, std::less<>> stored,
                std::string list_name, std::uint64_t manifest_bytes)
        : ReadOnlyFiles(files, "change a backup"),
          stored_(std::move(stored)),
          list_name_(std::move(list_name)),
          manifest_bytes_(manifest_bytes) {}

    Result<int> open(std::string_view name, io::Open how, bool direct) override;
    [[nodiscard]] bool is_direct(int fd) const override { return files_.is_direct(fd); }
    void close(int fd) override;
    Result<std::size_t> read(int fd, std::uint64_t offset, MutableBytes into) override;
    Result<std::uint64_t> size(int fd) override;
    Result<io::Given> give(std::string_view name, io::Files& to, std::string_view to_name) override;
    Result<std::vector<io::FileInfo>> list(std::string_view dir) override;

  private:
    [[nodiscard]] bool is_manifest(int fd);

    const std::map<std::string, Stored, std::less<>> stored_;
    const std::string list_name_;
    const std::uint64_t manifest_bytes_;
    std::mutex mutex_;
    std::set<int> manifests_;  // descriptors
};

}  // namespace firnlog::recovery
