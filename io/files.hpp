#pragma once
// Files: the slow seam, everything blocking that is asked of one directory.
//
// Names are relative to the directory and hold no slash, or one for a folder made with make_dir
// ("quarantine/x"). No reactor calls anything here while it serves: recovery, the worker thread and
// the command line do. Descriptors are also what Io reads, writes and syncs.
//
// What a crash may take back: a created, renamed, linked or removed *name* until sync_dir() of the
// folder it is in, bytes and sizes until sync() of the file. Thread-safe.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/base/bytes.hpp"
#include "io/base/result.hpp"

namespace firnlog::io {

enum class Open : std::uint8_t {
    read,    // must exist
    write,   // must exist; read and write
    create,  // must not exist; read and write, mode 0600
};

// How a file came to another directory.
enum class Given : std::uint8_t {
    linked,  // it is the same file under two names
    cloned,  // its blocks are shared until one of the two is written
    copied,
};

struct FileInfo {
    std::string name;
    std::uint64_t bytes = 0;
    std::uint64_t links = 1;
};

// A read-only view of a whole file, released with the object. Bytes behind the file's end, or on a
// bad sector, raise SIGBUS: read it through guarded_copy (io/guarded_copy.hpp) alone.
class Mapping {
  public:
    Mapping() = default;
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    virtual ~Mapping() = default;
    [[nodiscard]] virtual Bytes bytes() const noexcept = 0;
    // True if all pages of [offset, offset + length) are in memory now.
    [[nodiscard]] virtual bool resident(std::uint64_t offset, std::uint64_t length) const = 0;
    // Brings the pages of a range of the map into memory and into the page tables; waits for the
    // disk, copies nothing. False if some cannot be read, without SIGBUS. madvise(2),
    // MADV_POPULATE_READ.
    [[nodiscard]] virtual bool load(std::uint64_t offset, std::uint64_t length) = 0;
};

// Held while it lives; the kernel drops it with the process.
class Lock {
  public:
    Lock() = default;
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    virtual ~Lock() = default;
};

class Files {
  public:
    Files() = default;
    Files(const Files&) = delete;
    Files& operator=(const Files&) = delete;
    virtual ~Files() = default;

    // `direct`: O_DIRECT, left out silently where the file system has none (see is_direct).
    virtual Result<int> open(std::string_view name, Open how, bool direct = false) = 0;
    [[nodiscard]] virtual bool is_direct(int fd) const = 0;
    virtual void close(int fd) = 0;

    // Blocking; short only at the end of the file. EINTR is handled.
    virtual Result<std::size_t> read(int fd, std::uint64_t offset, MutableBytes into) = 0;
    // Blocking and whole. EINTR is handled.
    virtual Result<void> write(int fd, std::uint64_t offset, Bytes bytes) = 0;
    // Makes room without writing (fallocate(2)); the file's size becomes at least `bytes`.
    virtual Result<void> allocate(int fd, std::uint64_t bytes) = 0;
    virtual Result<void> truncate(int fd, std::uint64_t bytes) = 0;
    // fdatasync: data, and the size if it changed.
    virtual Result<void> sync(int fd) = 0;
    // Hands these bytes to the disk, and waits until it has them: of no promise, but little is left
    // for the sync() that makes one. On the way nobody's log waits as it would for many of those,
    // each of which has the file system write down where its blocks are. After an error what
    // was written is lost, and no sync() tells of it again. sync_file_range(2); nothing where
    // there is none.
    virtual Result<void> write_out(int /*fd*/, std::uint64_t /*offset*/, std::uint64_t /*bytes*/) {
        return {};
    }
    virtual Result<std::uint64_t> size(int fd) = 0;
    virtual Result<std::unique_ptr<Mapping>> map(int fd) = 0;
    // Whether this descriptor, open for writing, is all that leads to the file's bytes: one name,
    // no other descriptor and no map of anybody's; and every block of it is there, written, and no
    // other file's. False where that cannot be known.
    [[nodiscard]] virtual bool is_sole(int /*fd*/) { return false; }
    // Whether this descriptor, open for writing, is all that is left of the file: it has no name,
    // and nobody else has it open or mapped. False where that cannot be known.
    [[nodiscard]] virtual bool is_last(int /*fd*/) { return false; }
    // The page cache lets go of what it has of the file, all of which is synced.
    virtual void forget(int /*fd*/) {}

    virtual Result<void> rename(std::string_view from, std::string_view to) = 0;  // replaces `to`
    virtual Result<void> link(std::string_view from, std::string_view to) = 0;
    // Gives a file to another directory, under a name that is free there: by whatever its file
    // system has that costs least. One that is linked is never to be written again. Its bytes are
    // durable there; the name is after to.sync_dir().
    virtual Result<Given> give(std::string_view name, Files& to, std::string_view to_name);
    virtual Result<void> unlink(std::string_view name) = 0;
    virtual Result<void> make_dir(std::string_view name) = 0;  // fine if it exists; mode 0700
    virtual Result<std::vector<FileInfo>> list(std::string_view dir = "") = 0;  // files, by name
    virtual Result<void> sync_dir(std::string_view dir = "") = 0;
    virtual Result<std::unique_ptr<Lock>> lock(std::string_view name) = 0;  // Code::busy if held
    virtual Result<std::uint64_t> free_bytes() = 0;
};

}  // namespace firnlog::io
