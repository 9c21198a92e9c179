#pragma once
// ArchiveFiles: an archive as the directory of a store, to be read. Whoever reads a store reads an
// archive through it, and does not know.
//
//   "manifest"         made of the archive's newest one: the checkpoints of all of them whose files
//                      are there, and no timeline that the log does not reach
//   "0000000012.log"   a segment, or the parts of one put together under a header of its own
//   "0000000014.pack"  "packed-00000001-…"
//
// It is that of one run of log without a gap: the newest one, or that which a moment asks for. What
// a store has lost before it was archived is a gap; a moment in it is refused. Of several lines of
// timelines, where stores that were restored have gone on, it shows the newest, or that of the
// timeline that is named.
//
// Files that are not whole, of a push that was cut short, are not there. Nothing can be changed
// through it. Thread-safe once it is made.

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "recovery/archived_log.hpp"
#include "recovery/moment.hpp"
#include "recovery/read_only_files.hpp"
#include "recovery/refusal.hpp"

namespace firnlog::recovery {

// Whole files in it, by their names; of others nothing is told.
[[nodiscard]] Result<std::vector<engine::Archived>> list_archive(io::Files& files);
// One of its manifests. Code::damaged if it is not what was written.
[[nodiscard]] Result<engine::Manifest> read_archived_manifest(io::Files& files,
                                                              const engine::Archived& file);

class ArchiveFiles : public ReadOnlyFiles {
  public:
    // Code::missing: there is no archive here. `files` outlives what is returned.
    [[nodiscard]] static Opening<std::unique_ptr<ArchiveFiles>> open(io::Files& files,
                                                                     const Moment& moment);

    Result<int> open(std::string_view name, io::Open how, bool direct) override;
    [[nodiscard]] bool is_direct(int fd) const override;
    void close(int fd) override;
    Result<std::size_t> read(int fd, std::uint64_t offset, MutableBytes into) override;
    Result<void> sync(int fd) override;
    Result<std::uint64_t> size(int fd) override;
    Result<std::unique_ptr<io::Mapping>> map(int fd) override;
    Result<io::Given> give(std::string_view name, io::Files& to, std::string_view to_name) override;
    Result<std::vector<io::FileInfo>> list(std::string_view dir) override;

  private:
    friend class ArchiveReader;

    // `bytes` of the file `name` from `from` on stand at `at`.
    struct Extent {
        std::uint64_t at = 0;
        std::uint64_t bytes = 0;
        std::string name;
        std::uint64_t from = 0;
    };
    struct Stored {
        std::uint64_t bytes = 0;
        std::string name;                // the file that it is, if it is one
        std::vector<std::byte> content;  // else it begins with these
        std::vector<Extent> extents;     // and goes on with those, zeros behind them
    };
    explicit ArchiveFiles(io::Files& files) : ReadOnlyFiles(files, "change an archive") {}
    [[nodiscard]] const Stored* find(int fd) const;
    [[nodiscard]] Result<void> read_extent(const Extent& extent, std::uint64_t offset,
                                           MutableBytes into);

    std::map<std::string, Stored, std::less<>> stored_;  // by their names in a store
    mutable std::mutex mutex_;
    std::map<int, const Stored*> open_;  // descriptors of our own
    int next_fd_ = 1 << 28;              // none of the kernel's
};

}  // namespace firnlog::recovery
