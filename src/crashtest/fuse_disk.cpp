#define FUSE_USE_VERSION 312
#include "src/crashtest/fuse_disk.hpp"

#include <fuse3/fuse_lowlevel.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <span>

#include "io/base/ensure.hpp"

namespace firnlog::crashtest {
namespace {

constexpr fuse_ino_t kRoot = FUSE_ROOT_ID;
constexpr fuse_ino_t kDisk = 2;
constexpr double kNeverStale = 86400;

struct NamedBroken {
    std::string_view name;
    Broken broken;
};
constexpr NamedBroken kBroken[] = {{"off", Broken::nothing},
                                   {"data", Broken::data},
                                   {"all", Broken::all},
                                   {"flush", Broken::flush}};

std::int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

// How blocks that XFS places freely begin: inodes, B+trees, directories, attributes, symlinks,
// superblocks and the headers of allocation groups. Everything else of XFS lies where it was made.
bool begins_like_xfs_metadata(const char* bytes, std::size_t size) {
    constexpr std::array<std::string_view, 19> kMagic{
        "IN",   "XFSB", "XAGF", "XAGI", "XAFL", "AB3B", "AB3C", "IAB3", "FIB3", "BMA3",
        "R3FC", "RMB3", "XDB3", "XDD3", "XDF3", "XSLM", "XARM", "XD2D", "XD2B"};
    const std::string_view content(bytes, size);
    if (std::ranges::any_of(kMagic, [&](auto magic) { return content.starts_with(magic); }))
        return true;
    // Nodes and leaves of directories and attributes carry theirs behind two links.
    if (size < 10) return false;
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
    return (at(8) == 0x3d && (at(9) == 0xf1 || at(9) == 0xff)) || (at(8) == 0x3b && at(9) == 0xee);
}

// ext4's map names what lies where it was made, and the directories there were when the fault was
// switched on. A new directory's first block begins with ".", a tree of extents with 0xf30a.
bool begins_like_ext4_metadata(const char* bytes, std::size_t size) {
    const std::string_view content(bytes, size);
    constexpr std::string_view kDot("\x0c\0\x01\x02.", 5);
    return content.starts_with("\x0a\xf3") || content.substr(0, 9).ends_with(kDot);
}

}  // namespace

std::optional<Broken> broken_of(std::string_view name) noexcept {
    for (const auto& row : kBroken)
        if (row.name == name) return row.broken;
    return std::nullopt;
}

std::string_view name_of(Broken broken) noexcept {
    for (const auto& row : kBroken)
        if (row.broken == broken) return row.name;
    return "";
}

// The file's requests, as libfuse hands them over. Replies are sent without the lock where the
// kernel's answer could be another request.
struct Requests {
    static FuseDisk& disk(fuse_req_t request) {
        return *static_cast<FuseDisk*>(fuse_req_userdata(request));
    }

    static void fill(const FuseDisk& disk, fuse_ino_t inode, struct stat& out) {
        out = {};
        out.st_ino = inode;
        out.st_mode = inode == kRoot ? S_IFDIR | 0700U : S_IFREG | 0600U;
        out.st_nlink = inode == kRoot ? 2 : 1;
        out.st_blksize = 4096;
        if (inode == kDisk) {
            out.st_size = static_cast<off_t>(disk.image_.size());
            out.st_blocks = out.st_size / 512;
        }
    }

    static void init(void*, fuse_conn_info* connection) {
        connection->want &= ~static_cast<unsigned>(FUSE_CAP_WRITEBACK_CACHE);
    }

    static void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
        if (parent != kRoot || name != FuseDisk::kFile) {
            fuse_reply_err(request, ENOENT);
            return;
        }
        fuse_entry_param entry{};
        entry.ino = kDisk;
        entry.attr_timeout = kNeverStale;
        entry.entry_timeout = kNeverStale;
        fill(disk(request), kDisk, entry.attr);
        fuse_reply_entry(request, &entry);
    }

    static void getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
        struct stat attributes {};
        fill(disk(request), inode, attributes);
        fuse_reply_attr(request, &attributes, kNeverStale);
    }

    static void open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* file) {
        if (inode != kDisk) {
            fuse_reply_err(request, EISDIR);
            return;
        }
        file->direct_io = 1;
        file->noflush = 1;
        fuse_reply_open(request, file);
    }

    static void read(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset,
                     fuse_file_info*) {
        auto& self = disk(request);
        const auto lock = self.enter();
        ++self.traffic_.reads;
        if (self.faults_.broken == Broken::all) {
            ++self.traffic_.failed;
            fuse_reply_err(request, EIO);
            return;
        }
        const auto from = std::min(static_cast<std::uint64_t>(offset), self.image_.size());
        std::vector<std::byte> bytes(std::min<std::uint64_t>(size, self.image_.size() - from));
        self.image_.read(from, bytes);
        fuse_reply_buf(request, reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }

    static void write(fuse_req_t request, fuse_ino_t, const char* bytes, std::size_t size,
                      off_t offset, fuse_file_info*) {
        auto& self = disk(request);
        const auto lock = self.enter();
        const auto from = static_cast<std::uint64_t>(offset);
        ++self.traffic_.writes;
        if (from > self.image_.size() || size > self.image_.size() - from) {
            fuse_reply_err(request, ENOSPC);
            return;
        }
        const auto broken = self.faults_.broken;
        if (broken == Broken::all || (broken == Broken::data && self.is_data(from, bytes, size))) {
            ++self.traffic_.failed;
            fuse_reply_err(request, EIO);
            return;
        }
        self.traffic_.bytes_written += size;
        self.image_.write(from, std::as_bytes(std::span(bytes, size)));
        fuse_reply_write(request, size);
    }

    static void fsync(fuse_req_t request, fuse_ino_t, int, fuse_file_info*) {
        auto& self = disk(request);
        const auto lock = self.enter();
        ++self.traffic_.flushes;
        if (self.faults_.broken == Broken::all || self.faults_.broken == Broken::flush) {
            ++self.traffic_.failed;
            fuse_reply_err(request, EIO);
            return;
        }
        const auto mark = self.image_.mark();
        if (self.faults_.flush_ms != 0 && self.phase_ == FuseDisk::Phase::running) {
            const auto wait_ns = std::int64_t{self.faults_.flush_ms} * 1'000'000;
            self.slow_.push_back({request, mark, now_ns() + wait_ns});
            self.flush_due_.notify_one();
            return;
        }
        if (!self.faults_.lying) self.image_.flush(mark);
        fuse_reply_err(request, 0);
    }

    static void fallocate(fuse_req_t request, fuse_ino_t, int mode, off_t offset, off_t length,
                          fuse_file_info*) {
        auto& self = disk(request);
        const auto lock = self.enter();
        constexpr int kZeros = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
        const auto from = static_cast<std::uint64_t>(offset);
        const auto bytes = static_cast<std::uint64_t>(length);
        if ((mode & kZeros) == 0) {
            fuse_reply_err(request, EOPNOTSUPP);
            return;
        }
        if (from > self.image_.size() || bytes > self.image_.size() - from) {
            fuse_reply_err(request, ENOSPC);
            return;
        }
        if (self.faults_.broken == Broken::all) {
            ++self.traffic_.failed;
            fuse_reply_err(request, EIO);
            return;
        }
        self.image_.zero(from, bytes);
        fuse_reply_err(request, 0);
    }

    static constexpr fuse_lowlevel_ops operations() {
        fuse_lowlevel_ops out{};
        out.init = init;
        out.lookup = lookup;
        out.getattr = getattr;
        out.open = open;
        out.read = read;
        out.write = write;
        out.fsync = fsync;
        out.fallocate = fallocate;
        return out;
    }
};

Result<std::unique_ptr<FuseDisk>> FuseDisk::make(DiskImage image, const std::string& folder) {
    std::unique_ptr<FuseDisk> disk(new FuseDisk(std::move(image)));
    static const fuse_lowlevel_ops operations = Requests::operations();
    char program[] = "firnlog";
    char option[] = "-o";
    char options[] = "fsname=firnlog-faultdisk,default_permissions";
    char* words[] = {program, option, options, nullptr};
    fuse_args arguments = FUSE_ARGS_INIT(3, words);
    disk->session_ = fuse_session_new(&arguments, &operations, sizeof operations, disk.get());
    fuse_opt_free_args(&arguments);
    if (disk->session_ == nullptr) return fail_errno("begin a FUSE session", EINVAL);
    if (fuse_session_mount(disk->session_, folder.c_str()) != 0) {
        fuse_session_destroy(disk->session_);
        disk->session_ = nullptr;
        return fail_errno("mount the FUSE file", errno == 0 ? ENODEV : errno);
    }
    disk->requests_ = std::thread([session = disk->session_] { fuse_session_loop(session); });
    disk->flusher_ = std::thread([self = disk.get()] { self->flush_slowly(); });
    return disk;
}

FuseDisk::~FuseDisk() { ensure(session_ == nullptr, "a disk answers until its process ends"); }

// The lock, once requests may be looked at.
std::unique_lock<std::mutex> FuseDisk::enter() {
    std::unique_lock lock(lock_);
    phase_changed_.wait(lock, [&] { return phase_ != Phase::frozen; });
    return lock;
}

bool FuseDisk::is_data(std::uint64_t offset, const char* bytes, std::size_t size) const {
    const auto after = std::ranges::upper_bound(faults_.metadata, offset, {}, &Stretch::end);
    if (after != faults_.metadata.end() && after->begin < offset + size) return false;
    return !begins_like_xfs_metadata(bytes, size) && !begins_like_ext4_metadata(bytes, size);
}

void FuseDisk::flush_slowly() {
    std::unique_lock lock(lock_);
    for (;;) {
        if (slow_.empty()) {
            flush_due_.wait(lock);
            continue;
        }
        const auto left_ns = slow_.front().due_ns - now_ns();
        if (left_ns > 0 && phase_ == Phase::running) {
            flush_due_.wait_for(lock, std::chrono::nanoseconds(left_ns));
            continue;
        }
        if (phase_ == Phase::frozen) {
            phase_changed_.wait(lock);
            continue;
        }
        const auto due = slow_.front();
        slow_.pop_front();
        if (!faults_.lying) image_.flush(due.mark);
        fuse_reply_err(due.request, 0);
    }
}

void FuseDisk::set(Faults faults) {
    const std::lock_guard lock(lock_);
    faults_ = std::move(faults);
}

Faults FuseDisk::faults() const {
    const std::lock_guard lock(lock_);
    return faults_;
}

Traffic FuseDisk::traffic() const {
    const std::lock_guard lock(lock_);
    auto out = traffic_;
    out.pending = image_.pending();
    return out;
}

void FuseDisk::freeze() {
    const std::lock_guard lock(lock_);
    if (phase_ != Phase::running) return;
    phase_ = Phase::frozen;
    image_.freeze();
}

void FuseDisk::discard() {
    const std::lock_guard lock(lock_);
    phase_ = Phase::discarding;
    image_.freeze();
    phase_changed_.notify_all();
    flush_due_.notify_all();
}

bool FuseDisk::running() const {
    const std::lock_guard lock(lock_);
    return phase_ == Phase::running;
}

Trace FuseDisk::find(std::string_view bytes) const {
    const std::lock_guard lock(lock_);
    return image_.find(bytes);
}

Cut FuseDisk::cut(Keep keep, std::uint64_t seed) {
    const std::lock_guard lock(lock_);
    const auto out = image_.cut(keep, seed);
    phase_ = Phase::running;
    phase_changed_.notify_all();
    return out;
}

}  // namespace firnlog::crashtest
