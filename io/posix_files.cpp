#include "io/posix_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <cstddef>
#include <limits>
#include <optional>
#include <utility>

#include "io/base/ensure.hpp"

namespace firnlog::io {
namespace {

constexpr std::uint64_t kPageBytes = 4096;
constexpr std::size_t kPiecesBytesMax = std::size_t{1} << 30;

// A descriptor that is closed with it.
class Descriptor {
  public:
    Descriptor() = default;
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(Descriptor&& from) noexcept : fd_(std::exchange(from.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& from) noexcept {
        std::swap(fd_, from.fd_);
        return *this;
    }
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] int release() { return std::exchange(fd_, -1); }

  private:
    int fd_ = -1;
};

[[nodiscard]] off_t as_offset(std::uint64_t offset) {
    ensure(offset <= static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()),
           "an offset within a file");
    return static_cast<off_t>(offset);
}

// The system call cachestat(2) of Linux 6.5, newer than Debian 12's headers.
struct CacheRange {
    std::uint64_t offset;
    std::uint64_t length;
};
struct CacheCounts {
    std::uint64_t cached, dirty, writeback, evicted, recently_evicted;
};
constexpr long kCachestat = 451;

// Whether cachestat is worth asking: a kernel may lack it, a container may forbid it.
std::atomic<bool> has_cachestat{true};

class PosixMapping final : public Mapping {
  public:
    PosixMapping(Descriptor fd, Bytes bytes) : fd_(std::move(fd)), bytes_(bytes) {}
    ~PosixMapping() override {
        if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
    }

    [[nodiscard]] Bytes bytes() const noexcept override { return bytes_; }

    [[nodiscard]] bool resident(std::uint64_t offset, std::uint64_t length) const override {
        ensure(offset <= bytes_.size() && length <= bytes_.size() - offset, "a range of the map");
        if (length == 0) return true;
        const std::uint64_t first = align_down(offset, kPageBytes);
        const std::uint64_t end = align_up(offset + length, kPageBytes);
        if (has_cachestat.load(std::memory_order_relaxed)) {
            CacheRange range{.offset = first, .length = end - first};
            CacheCounts counts{};
            if (::syscall(kCachestat, fd_.get(), &range, &counts, 0U) == 0)
                return counts.cached >= (end - first) / kPageBytes;
            has_cachestat.store(false, std::memory_order_relaxed);
        }
        return in_core(first, end);
    }

    [[nodiscard]] bool load(std::uint64_t offset, std::uint64_t length) override {
        ensure(offset <= bytes_.size() && length <= bytes_.size() - offset, "a range of the map");
        if (length == 0) return true;
        const std::uint64_t first = align_down(offset, kPageBytes);
        auto* const at = const_cast<std::byte*>(bytes_.data() + first);
        const std::uint64_t bytes = offset + length - first;
        // The first asks for all of it at once, where the second would ask as faults do.
        return ::madvise(at, bytes, MADV_WILLNEED) == 0 &&
               ::madvise(at, bytes, MADV_POPULATE_READ) == 0;
    }

  private:
    [[nodiscard]] bool in_core(std::uint64_t first, std::uint64_t end) const {
        std::array<unsigned char, 256> pages{};
        while (first < end) {
            const std::uint64_t piece = std::min(end - first, pages.size() * kPageBytes);
            auto* const at = const_cast<std::byte*>(bytes_.data() + first);
            if (::mincore(at, piece, pages.data()) != 0) return false;
            const auto count = static_cast<std::ptrdiff_t>(piece / kPageBytes);
            const bool all = std::all_of(pages.begin(), pages.begin() + count,
                                         [](unsigned char page) { return (page & 1) != 0; });
            if (!all) return false;
            first += piece;
        }
        return true;
    }

    const Descriptor fd_;  // for cachestat
    const Bytes bytes_;
};

class PosixLock final : public Lock {
  public:
    explicit PosixLock(Descriptor fd) : fd_(std::move(fd)) {}

  private:
    const Descriptor fd_;
};

// A name found: `leaf` in the directory `at`. A folder's descriptor is held by `folder`.
struct Place {
    int at = -1;
    std::string leaf;
    Descriptor folder;
};

[[nodiscard]] bool is_plain(std::string_view name) {
    return !name.empty() && name.size() <= NAME_MAX && name != "." && name != ".." &&
           name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

class PosixFiles final : public Files {
  public:
    PosixFiles(Descriptor dir, bool copies_on_write)
        : dir_(std::move(dir)), copies_on_write_(copies_on_write) {}

    Result<int> open(std::string_view name, Open how, bool direct) override;

    [[nodiscard]] bool is_direct(int fd) const override {
        const int flags = ::fcntl(fd, F_GETFL);
        ensure(flags >= 0, "an open descriptor");
        return (flags & O_DIRECT) != 0;
    }

    // Nothing is learnt from a close: what had to be durable was synced before.
    void close(int fd) override { ::close(fd); }

    Result<std::size_t> read(int fd, std::uint64_t offset, MutableBytes into) override;
    Result<void> write(int fd, std::uint64_t offset, Bytes bytes) override;
    Result<void> allocate(int fd, std::uint64_t bytes) override;

    Result<void> truncate(int fd, std::uint64_t bytes) override {
        while (::ftruncate(fd, as_offset(bytes)) != 0)
            if (errno != EINTR) return fail_errno("set a file's size");
        return {};
    }

    // Not again after EINTR, which the kernel's file systems do not give: a second fdatasync may
    // report success for pages that the first one lost.
    Result<void> sync(int fd) override {
        if (::fdatasync(fd) != 0) return fail_errno("sync a file");
        return {};
    }

    Result<void> write_out(int fd, std::uint64_t offset, std::uint64_t bytes) override {
        constexpr unsigned kAll =
            SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
        if (::sync_file_range(fd, static_cast<off_t>(offset), static_cast<off_t>(bytes), kAll) !=
                0 &&
            errno != ENOSYS && errno != ESPIPE)
            return fail_errno("write out a file");
        return {};
    }

    Result<std::uint64_t> size(int fd) override {
        struct stat info {};
        if (::fstat(fd, &info) != 0) return fail_errno("read a file's size");
        return static_cast<std::uint64_t>(info.st_size);
    }

    Result<std::unique_ptr<Mapping>> map(int fd) override;
    [[nodiscard]] bool is_sole(int fd) override;
    [[nodiscard]] bool is_last(int fd) override;
    void forget(int fd) override { (void)::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); }
    Result<void> rename(std::string_view from, std::string_view to) override;
    Result<void> link(std::string_view from, std::string_view to) override;
    Result<Given> give(std::string_view name, Files& to, std::string_view to_name) override;
    Result<void> unlink(std::string_view name) override;
    Result<void> make_dir(std::string_view name) override;
    Result<std::vector<FileInfo>> list(std::string_view dir) override;
    Result<void> sync_dir(std::string_view dir) override;
    Result<std::unique_ptr<Lock>> lock(std::string_view name) override;

    Result<std::uint64_t> free_bytes() override {
        struct statvfs info {};
        if (::fstatvfs(dir_.get(), &info) != 0) return fail_errno("ask for free space");
        return std::uint64_t{info.f_bavail} * info.f_frsize;
    }

  private:
    [[nodiscard]] Result<Place> find(std::string_view name) const;
    [[nodiscard]] Result<Descriptor> open_dir(std::string_view name) const;

    const Descriptor dir_;
    const bool copies_on_write_;  // the file system is btrfs
};

[[nodiscard]] tl::unexpected<Error> bad_name() {
    return fail(Error{.code = Code::usage, .error = EINVAL, .doing = "name a file"});
}

// Whether the name leads to what the descriptor does.
[[nodiscard]] bool is_same(const Place& place, int fd) {
    struct stat named {};
    struct stat opened {};
    return ::fstatat(place.at, place.leaf.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           ::fstat(fd, &opened) == 0 && named.st_dev == opened.st_dev &&
           named.st_ino == opened.st_ino;
}

// "leaf" or "folder/leaf". The folder is opened by itself, as O_NOFOLLOW only minds the last part.
Result<Place> PosixFiles::find(std::string_view name) const {
    const auto slash = name.find('/');
    const bool in_folder = slash != std::string_view::npos;
    const auto leaf = in_folder ? name.substr(slash + 1) : name;
    if (!is_plain(leaf)) return bad_name();
    if (!in_folder) return Place{.at = dir_.get(), .leaf = std::string(leaf), .folder = {}};
    auto folder = open_dir(name.substr(0, slash));
    if (!folder) return fail(folder);
    const int at = folder->get();
    return Place{.at = at, .leaf = std::string(leaf), .folder = std::move(*folder)};
}

// The directory itself ("") or a folder in it.
Result<Descriptor> PosixFiles::open_dir(std::string_view name) const {
    if (!name.empty() && !is_plain(name)) return bad_name();
    const std::string path(name.empty() ? "." : name);
    const int fd =
        ::openat(dir_.get(), path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return fail_errno("open a folder");
    return Descriptor(fd);
}

Result<int> PosixFiles::open(std::string_view name, Open how, bool direct) {
    auto place = find(name);
    if (!place) return fail(place);
    // O_NONBLOCK: a fifo lying in the directory must not hold us up.
    int flags = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    flags |= how == Open::read ? O_RDONLY : O_RDWR;
    if (how == Open::create) flags |= O_CREAT | O_EXCL;
    Descriptor fd(::openat(place->at, place->leaf.c_str(), flags, 0600));
    if (fd.get() < 0) return fail_errno(how == Open::create ? "create a file" : "open a file");
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return fail_errno("open a file");
    if (!S_ISREG(info.st_mode)) return fail_errno("open a file that is none", EINVAL);

    if (how == Open::create && copies_on_write_) {
        // Only an empty file takes this flag. Without it writing may fail for lack of space inside
        // a segment made ready, which is noticed then.
        int attributes = 0;
        if (::ioctl(fd.get(), FS_IOC_GETFLAGS, &attributes) == 0) {
            attributes |= FS_NOCOW_FL;
            ::ioctl(fd.get(), FS_IOC_SETFLAGS, &attributes);
        }
    }
    // By fcntl and not by open: where O_DIRECT is unknown, open leaves a new file behind and fails.
    if (::fcntl(fd.get(), F_SETFL, direct ? O_DIRECT : 0) != 0 && !direct)
        return fail_errno("open a file");
    if (direct && !is_direct(fd.get()) && ::fcntl(fd.get(), F_SETFL, 0) != 0)
        return fail_errno("open a file");
    return fd.release();
}

Result<std::size_t> PosixFiles::read(int fd, std::uint64_t offset, MutableBytes into) {
    std::size_t done = 0;
    while (done < into.size()) {
        const ssize_t got =
            ::pread(fd, into.data() + done, std::min(into.size() - done, kPiecesBytesMax),
                    as_offset(offset + done));
        if (got < 0) {
            if (errno == EINTR) continue;
            return fail(Error{.code = code_of_errno(errno),
                              .error = errno,
                              .offset = offset + done,
                              .doing = "read a file"});
        }
        done += static_cast<std::size_t>(got);
        // Off a sector's border only the end of the file stops a read, and direct files refuse to
        // read on from there.
        if (got == 0 || (offset + done) % 512 != 0) break;
    }
    return done;
}

Result<void> PosixFiles::write(int fd, std::uint64_t offset, Bytes bytes) {
    while (!bytes.empty()) {
        const ssize_t put =
            ::pwrite(fd, bytes.data(), std::min(bytes.size(), kPiecesBytesMax), as_offset(offset));
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) {
            const int error = put < 0 ? errno : EIO;
            return fail(Error{.code = code_of_errno(error),
                              .error = error,
                              .offset = offset,
                              .doing = "write a file"});
        }
        bytes = bytes.subspan(static_cast<std::size_t>(put));
        offset += static_cast<std::uint64_t>(put);
    }
    return {};
}

Result<void> PosixFiles::allocate(int fd, std::uint64_t bytes) {
    if (bytes == 0) return {};
    int rc = 0;
    do {
        rc = ::fallocate(fd, 0, 0, as_offset(bytes));
    } while (rc != 0 && errno == EINTR);
    if (rc == 0) return {};
    if (errno != EOPNOTSUPP && errno != ENOSYS) return fail_errno("make room in a file");

    // A file system that cannot make room any other way is given zeros behind the file's end.
    auto end = size(fd);
    if (!end) return fail(end);
    alignas(kPageBytes) static constexpr std::array<std::byte, 65536> kZeros{};
    for (std::uint64_t at = *end; at < bytes;) {
        const std::uint64_t piece = std::min<std::uint64_t>(bytes - at, kZeros.size());
        if (auto put = write(fd, at, Bytes(kZeros).first(piece)); !put) return put;
        at += piece;
    }
    return {};
}

Result<std::unique_ptr<Mapping>> PosixFiles::map(int fd) {
    auto bytes = size(fd);
    if (!bytes) return fail(bytes);
    // Its own descriptor: the caller's may be closed before the map is.
    Descriptor own(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (own.get() < 0) return fail_errno("map a file");
    if (*bytes == 0) return std::make_unique<PosixMapping>(std::move(own), Bytes{});
    void* const at = ::mmap(nullptr, *bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return fail_errno("map a file");
    const Bytes mapped(static_cast<const std::byte*>(at), *bytes);
    auto mapping = std::make_unique<PosixMapping>(std::move(own), mapped);
    // Readahead on a fault is ruinous when the file is larger than memory: 100 reads/s, not 11,800.
    if (::madvise(at, *bytes, MADV_RANDOM) != 0) return fail_errno("map a file");
    ::madvise(at, *bytes, MADV_DONTDUMP);
    return mapping;
}

// What FS_IOC_FIEMAP is asked and answers: struct fiemap, with an array that has a size.
struct Extents {
    std::uint64_t from = 0;
    std::uint64_t bytes = 0;
    std::uint32_t flags = 0;
    std::uint32_t mapped = 0;
    std::uint32_t count = 64;
    std::uint32_t zero = 0;
    std::array<fiemap_extent, 64> at{};
};
static_assert(offsetof(Extents, at) == sizeof(fiemap));

// Every byte lies in a block that is written already and that no clone shares: writing there needs
// no new one. A file system that cannot say so may share without a word.
[[nodiscard]] bool has_blocks_of_its_own(int fd, std::uint64_t bytes) {
    constexpr std::uint32_t kUnfit = FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC |
                                     FIEMAP_EXTENT_ENCODED | FIEMAP_EXTENT_UNWRITTEN |
                                     FIEMAP_EXTENT_SHARED | FIEMAP_EXTENT_DATA_INLINE;
    for (std::uint64_t at = 0; at < bytes;) {
        Extents extents{.from = at, .bytes = bytes - at};
        if (::ioctl(fd, FS_IOC_FIEMAP, &extents) != 0 || extents.mapped == 0) return false;
        for (std::uint32_t i = 0; i < extents.mapped; ++i) {
            const auto& extent = extents.at[i];
            if (extent.fe_logical > at || (extent.fe_flags & kUnfit) != 0) return false;
            at = extent.fe_logical + extent.fe_length;
        }
    }
    return true;
}

// What it is, if no other descriptor leads to it. The kernel grants a write lease only where none
// does, nor a map, which holds one. Whoever opens the file while we have it waits until it is given
// back, and we are told by a signal, of which the default one would end the process.
std::optional<struct stat> alone(int fd) {
    if (::fcntl(fd, F_SETSIG, SIGURG) != 0 || ::fcntl(fd, F_SETLEASE, F_WRLCK) != 0) return {};
    struct stat info {};
    const bool told = ::fstat(fd, &info) == 0;
    if (::fcntl(fd, F_SETLEASE, F_UNLCK) != 0 || !told) return {};
    return info;
}

bool PosixFiles::is_sole(int fd) {
    const auto info = alone(fd);
    return info && info->st_nlink == 1 &&
           has_blocks_of_its_own(fd, static_cast<std::uint64_t>(info->st_size));
}

bool PosixFiles::is_last(int fd) {
    const auto info = alone(fd);
    return info && info->st_nlink == 0;
}

Result<void> PosixFiles::rename(std::string_view from, std::string_view to) {
    auto source = find(from);
    if (!source) return fail(source);
    auto target = find(to);
    if (!target) return fail(target);
    if (::renameat(source->at, source->leaf.c_str(), target->at, target->leaf.c_str()) != 0)
        return fail_errno("rename a file");
    return {};
}

Result<void> PosixFiles::link(std::string_view from, std::string_view to) {
    auto source = find(from);
    if (!source) return fail(source);
    auto target = find(to);
    if (!target) return fail(target);
    if (::linkat(source->at, source->leaf.c_str(), target->at, target->leaf.c_str(), 0) != 0)
        return fail_errno("link a file");
    return {};
}

Result<Given> PosixFiles::give(std::string_view name, Files& to, std::string_view to_name) {
    auto* other = dynamic_cast<PosixFiles*>(&to);
    if (other == nullptr) return Files::give(name, to, to_name);
    auto source = find(name);
    if (!source) return fail(source);
    auto target = other->find(to_name);
    if (!target) return fail(target);
    auto given = Given::linked;
    if (::linkat(source->at, source->leaf.c_str(), target->at, target->leaf.c_str(), 0) != 0) {
        // Another file system, one without links, or a file that has too many, or another's.
        if (errno != EXDEV && errno != EPERM && errno != EMLINK && errno != EOPNOTSUPP)
            return fail_errno("link a file to another directory");
        const Descriptor from(
            ::openat(source->at, source->leaf.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        if (from.get() < 0) return fail_errno("open a file");
        const Descriptor clone(::openat(target->at, target->leaf.c_str(),
                                        O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (clone.get() < 0) return fail_errno("create a file");
        if (::ioctl(clone.get(), FICLONE, from.get()) != 0) {
            if (::unlinkat(target->at, target->leaf.c_str(), 0) != 0)
                return fail_errno("unlink a file");
            return Files::give(name, to, to_name);
        }
        given = Given::cloned;
    }
    // The owner may not have synced it.
    const Descriptor here(
        ::openat(target->at, target->leaf.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (here.get() < 0) return fail_errno("open a file");
    // A name that led elsewhere by the time the link was there: its owner has let the file go, and
    // may have asked who else has it before anybody could be seen.
    if (given == Given::linked && !is_same(*source, here.get())) {
        (void)::unlinkat(target->at, target->leaf.c_str(), 0);
        return fail_errno("link a file to another directory", ENOENT);
    }
    if (auto synced = sync(here.get()); !synced) return fail(synced);
    return given;
}

Result<void> PosixFiles::unlink(std::string_view name) {
    auto place = find(name);
    if (!place) return fail(place);
    if (::unlinkat(place->at, place->leaf.c_str(), 0) != 0) return fail_errno("unlink a file");
    return {};
}

Result<void> PosixFiles::make_dir(std::string_view name) {
    if (!is_plain(name)) return bad_name();
    if (::mkdirat(dir_.get(), std::string(name).c_str(), 0700) == 0) return {};
    if (errno != EEXIST) return fail_errno("make a folder");
    // Something of that name is there; it must be a folder.
    auto folder = open_dir(name);
    if (!folder) return fail(folder);
    return {};
}

Result<std::vector<FileInfo>> PosixFiles::list(std::string_view dir) {
    auto folder = open_dir(dir);
    if (!folder) return fail(folder);
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(folder->get()), ::closedir);
    if (stream == nullptr) return fail_errno("list a folder");
    const int at = folder->release();  // the stream's now

    std::vector<FileInfo> files;
    while (true) {
        errno = 0;
        const dirent* const entry = ::readdir(stream.get());
        if (entry == nullptr) break;
        struct stat info {};
        if (::fstatat(at, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT) continue;  // gone since
            return fail_errno("list a folder");
        }
        if (!S_ISREG(info.st_mode)) continue;
        files.push_back({.name = entry->d_name,
                         .bytes = static_cast<std::uint64_t>(info.st_size),
                         .links = info.st_nlink});
    }
    if (errno != 0) return fail_errno("list a folder");
    std::ranges::sort(files, {}, &FileInfo::name);
    return files;
}

Result<void> PosixFiles::sync_dir(std::string_view dir) {
    auto folder = open_dir(dir);
    if (!folder) return fail(folder);
    if (::fsync(folder->get()) != 0) return fail_errno("sync a folder");
    return {};
}

// The lock is the kernel's, on the open file: it goes with the process, however that ends. The
// process id in the file is for people to read. The file stays: unlinking it would let two hold it.
Result<std::unique_ptr<Lock>> PosixFiles::lock(std::string_view name) {
    auto place = find(name);
    if (!place) return fail(place);
    Descriptor fd(::openat(place->at, place->leaf.c_str(),
                           O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (fd.get() < 0) return fail_errno("open the lock file");
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
        return fail_errno("lock the directory, which another process may hold");
    std::array<char, 16> text{};
    char* end = std::to_chars(text.begin(), text.end(), ::getpid()).ptr;
    *end++ = '\n';
    const auto length = static_cast<std::size_t>(end - text.data());
    if (auto cut = truncate(fd.get(), 0); !cut) return fail(cut);
    if (auto put = write(fd.get(), 0, as_bytes({text.data(), length})); !put) return fail(put);
    return std::make_unique<PosixLock>(std::move(fd));
}

// The directory's own name must survive a crash, too.
[[nodiscard]] Result<void> make_durable_dir(const std::string& dir) {
    if (::mkdir(dir.c_str(), 0700) != 0) {
        if (errno == EEXIST) return {};
        return fail_errno("make the directory");
    }
    const Descriptor made(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (made.get() < 0) return fail_errno("open the directory");
    const Descriptor parent(::openat(made.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // A parent we may not read cannot be synced; then the name is the operator's care.
    if (parent.get() >= 0 && ::fsync(parent.get()) != 0) return fail_errno("sync the directory");
    return {};
}

}  // namespace

Result<std::unique_ptr<Files>> open_posix_files(const std::string& dir, bool create) {
    if (create)
        if (auto made = make_durable_dir(dir); !made) return fail(made);
    Descriptor fd(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.get() < 0) return fail_errno("open the directory");
    struct statfs info {};
    if (::fstatfs(fd.get(), &info) != 0) return fail_errno("open the directory");
    return std::make_unique<PosixFiles>(std::move(fd), info.f_type == BTRFS_SUPER_MAGIC);
}

}  // namespace firnlog::io
