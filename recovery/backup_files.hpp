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
#include "io/files.hpp"

namespace firnlog::recovery {

class BackupFiles : public io::Files {
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
        : files_(files),
          stored_(std::move(stored)),
          list_name_(std::move(list_name)),
          manifest_bytes_(manifest_bytes) {}

    Result<int> open(std::string_view name, io::Open how, bool direct) override;
    [[nodiscard]] bool is_direct(int fd) const override { return files_.is_direct(fd); }
    void close(int fd) override;
    Result<std::size_t> read(int fd, std::uint64_t offset, MutableBytes into) override;
    Result<void> write(int, std::uint64_t, Bytes) override { return read_only(); }
    Result<void> allocate(int, std::uint64_t) override { return read_only(); }
    Result<void> truncate(int, std::uint64_t) override { return read_only(); }
    Result<void> sync(int fd) override { return files_.sync(fd); }
    Result<std::uint64_t> size(int fd) override;
    Result<std::unique_ptr<io::Mapping>> map(int fd) override { return files_.map(fd); }
    Result<void> rename(std::string_view, std::string_view) override { return read_only(); }
    Result<void> link(std::string_view, std::string_view) override { return read_only(); }
    Result<io::Given> give(std::string_view name, io::Files& to, std::string_view to_name) override;
    Result<void> unlink(std::string_view) override { return read_only(); }
    Result<void> make_dir(std::string_view) override { return read_only(); }
    Result<std::vector<io::FileInfo>> list(std::string_view dir) override;
    Result<void> sync_dir(std::string_view) override { return read_only(); }
    Result<std::unique_ptr<io::Lock>> lock(std::string_view) override {
        return fail(Error{.code = Code::usage, .doing = "lock a backup"});
    }
    Result<std::uint64_t> free_bytes() override { return files_.free_bytes(); }

  private:
    static Result<void> read_only() {
        return fail(Error{.code = Code::usage, .doing = "change a backup"});
    }
    [[nodiscard]] bool is_manifest(int fd);

    io::Files& files_;
    const std::map<std::string, Stored, std::less<>> stored_;
    const std::string list_name_;
    const std::uint64_t manifest_bytes_;
    std::mutex mutex_;
    std::set<int> manifests_;  // descriptors
};

}  // namespace firnlog::recovery
