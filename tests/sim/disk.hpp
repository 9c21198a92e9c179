#pragma once
// Disk: the files of one directory tree and their names, as a machine that may lose power sees
// them.
//
// A name is durable only after sync_dir of its folder; data and size only after a sync of the file.
// No kindness of a particular file system is simulated: a file's fsync does not save its name, a
// rename over a file does not flush the new one. A rename between folders is atomic, as in every
// journal. Of a folder's changes a cut keeps the first ones, or any: only those of one name come
// true in order.
//
// after_cut() makes the disk a power cut leaves, copy() the very same disk again; both are cheap,
// for durable bytes are shared. Errors are errno numbers, 0 is success. Guarded by the World.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/inode.hpp"
#include "tests/sim/rng.hpp"

namespace firnlog::sim {

class Disk {
  public:
    Disk();
    Disk(Disk&&) noexcept = default;
    Disk& operator=(Disk&&) noexcept = default;

    // Names, as in io::Files.
    int find(std::string_view name, InodeRef& file) const;
    int create(std::string_view name, InodeRef& file);
    int rename(std::string_view from, std::string_view to);
    int link(std::string_view from, std::string_view to);
    int unlink(std::string_view name);
    int make_dir(std::string_view name);
    int list(std::string_view dir, std::vector<InodeRef>& files,
             std::vector<std::string>& names) const;
    int sync_dir(std::string_view dir);

    // Bytes. A write that does not fit lands in part: `done` tells how much.
    int write(Inode& file, std::uint64_t offset, std::span<const Bytes> pieces,
              std::uint64_t length, std::uint64_t& done);
    int resize(Inode& file, std::uint64_t size);
    int allocate(Inode& file, std::uint64_t size);
    // Passed to Inode::sync: covers what has completed until now.
    [[nodiscard]] std::uint64_t mark() const noexcept { return changes_; }

    // Room in bytes; 0 is boundless. A file without a name counts as long as it is open or mapped.
    void capacity(std::uint64_t bytes) { capacity_ = bytes; }
    [[nodiscard]] std::uint64_t free_bytes() const;

    [[nodiscard]] InodeRef by_id(std::uint32_t id) const;  // null if no name leads there any more

    // What a crash leaves. `flying` are the writes in flight, in order of submission.
    [[nodiscard]] Disk after_cut(Cut cut, std::vector<Flying> flying, Rng& rng) const;
    [[nodiscard]] Disk copy() const;

    // For tests, none of them an operation: they cannot fail and no crash happens in them.
    [[nodiscard]] bool has(std::string_view name) const;
    [[nodiscard]] std::string content(std::string_view name) const;  // written
    void put(std::string_view name, std::string_view content);       // durable, name and all
    void flip(std::string_view name, std::uint64_t offset, std::byte mask = std::byte{1});
    void spoil(std::string_view name, std::uint64_t offset, std::uint64_t length);
    void drop_caches();
    [[nodiscard]] std::vector<std::string> names() const;  // of all files, folders written out
    [[nodiscard]] std::uint64_t digest() const;            // of the written names, sizes and bytes

  private:
    struct Dir;
    using DirRef = std::shared_ptr<Dir>;
    struct Entry {
        InodeRef file;
        DirRef dir;
    };
    using Entries = std::map<std::string, Entry, std::less<>>;
    // One change of a folder: `removed` goes and `added` comes at once; either may be empty.
    struct DirChange {
        std::uint64_t number = 0;
        std::string removed;
        std::string added;
        Entry entry;
        DirRef peer;  // of a rename between folders: the other one, holding the same number
    };
    struct Dir {
        Entries now;
        Entries durable;
        std::vector<DirChange> changes;
    };
    struct Place {
        DirRef dir;
        std::string_view name;
    };

    int place(std::string_view name, Place& found) const;
    static void apply(Entries& entries, const DirChange& change);
    static void flush(Dir& dir, std::uint64_t number);
    static bool share_a_name(const DirChange& a, const DirChange& b);
    static std::vector<std::vector<bool>> kept_changes(Cut cut, const std::vector<DirRef>& dirs,
                                                       Rng& rng);
    void change(Dir& dir, std::string_view removed, std::string_view added, const Entry& entry);
    void drop_name(Dir& dir, std::string_view name);
    [[nodiscard]] std::vector<DirRef> all_dirs() const;
    [[nodiscard]] std::vector<InodeRef> all_files() const;  // named now or durably, by id
    [[nodiscard]] InodeRef must_find(std::string_view name) const;
    [[nodiscard]] std::uint64_t used_blocks() const;

    DirRef root_;
    std::uint64_t changes_ = 0;  // completed writes, resizes and changes of names
    std::uint32_t inodes_ = 0;
    std::uint64_t capacity_ = 0;
    mutable std::vector<std::weak_ptr<Inode>> ever_;  // for counting space
};

}  // namespace firnlog::sim
