#include "src/crashtest/block_mount.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/fsmap.h>
#include <linux/loop.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>

namespace firnlog::crashtest {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr auto kBusyMax = 5s;
constexpr auto kPause = 10ms;
constexpr std::string_view kFiller = ".firnlog-filler";

struct Row {
    std::string_view name;
    FileSystem fs;
    std::uint64_t bytes_min;
    // What the disk is made of is zeros already, so nothing is discarded or zeroed by a thread
    // that would still be at it when the first cut comes.
    std::vector<const char*> mkfs;
};

const std::vector<Row>& rows() {
    static const std::vector<Row> table{
        {"ext4",
         FileSystem::ext4,
         std::uint64_t{64} << 20U,
         {"mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", "-E",
          "nodiscard,assume_storage_prezeroed=1"}},
        {"xfs", FileSystem::xfs, std::uint64_t{300} << 20U, {"mkfs.xfs", "-q", "-f", "-K"}},
        {"btrfs", FileSystem::btrfs, std::uint64_t{128} << 20U, {"mkfs.btrfs", "-q", "-f", "-K"}},
    };
    return table;
}

const Row& row_of(FileSystem fs) { return *std::ranges::find(rows(), fs, &Row::fs); }

struct Fd {
    int value;
    explicit Fd(int fd) : value(fd) {}
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() {
        if (value >= 0) ::close(value);
    }
};

// A container's /dev may hold fewer nodes than the kernel has devices.
int open_loop(int number, std::string& path) {
    path = "/dev/loop" + std::to_string(number);
    int loop = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (loop < 0 && errno == ENOENT) {
        constexpr unsigned kLoopMajor = 7;
        ::mknod(path.c_str(), S_IFBLK | 0600U, makedev(kLoopMajor, static_cast<unsigned>(number)));
        loop = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    }
    return loop;
}

Result<void> run_program(std::vector<const char*> words) {
    words.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    // Debian keeps these in sbin, which is not in everybody's PATH.
    std::string path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    char* environment[] = {path.data(), nullptr};
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    int error = ENOENT;
    pid_t child = -1;
    for (const char* const folder : {"/usr/sbin/", "/sbin/", "/usr/bin/"}) {
        const auto program = std::string(folder) + words[0];
        error = ::posix_spawn(&child, program.c_str(), &actions, &attributes,
                              const_cast<char**>(words.data()), environment);
        if (error == 0) break;
    }
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
    if (error != 0) return fail_errno("run the program that makes the file system", error);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) return fail_errno("make the file system", EIO);
    return {};
}

void add_fixed(int folder, std::vector<Stretch>& out) {
    constexpr std::uint32_t kCount = 1024;
    const auto bytes = fsmap_sizeof(kCount);
    const auto memory = std::make_unique<std::uint64_t[]>(bytes / 8 + 1);
    auto* const head = reinterpret_cast<fsmap_head*>(memory.get());
    head->fmh_count = kCount;
    auto& high = head->fmh_keys[1];
    std::memset(&high, 0xff, sizeof high);
    high.fmr_length = 0;
    std::memset(high.fmr_reserved, 0, sizeof high.fmr_reserved);
    while (::ioctl(folder, FS_IOC_GETFSMAP, head) == 0 && head->fmh_entries != 0) {
        for (std::uint32_t i = 0; i < head->fmh_entries; ++i) {
            const auto& found = head->fmh_recs[i];
            const bool special = (found.fmr_flags & FMR_OF_SPECIAL_OWNER) != 0;
            if (special && found.fmr_owner != FMR_OWN_FREE && found.fmr_owner != FMR_OWN_UNKNOWN)
                out.push_back({found.fmr_physical, found.fmr_physical + found.fmr_length});
        }
        const auto& last = head->fmh_recs[head->fmh_entries - 1];
        if ((last.fmr_flags & FMR_OF_LAST) != 0) break;
        fsmap_advance(head);
    }
}

// Whole numbers of a superblock, which both file systems keep at the device's beginning.
class Superblock {
  public:
    explicit Superblock(int device) {
        const auto got = ::pread(device, bytes_.data(), bytes_.size(), 0);
        if (got != static_cast<ssize_t>(bytes_.size())) bytes_.fill(0);
    }
    [[nodiscard]] std::uint64_t big(std::size_t offset, std::size_t bytes) const {
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < bytes; ++i) value = value << 8U | bytes_[offset + i];
        return value;
    }
    [[nodiscard]] std::uint64_t little(std::size_t offset, std::size_t bytes) const {
        std::uint64_t value = 0;
        for (std::size_t i = bytes; i-- > 0;) value = value << 8U | bytes_[offset + i];
        return value;
    }

  private:
    std::array<unsigned char, 2048> bytes_{};
};

// Of XFS the map knows only what is free. Its log stands in the superblock; all else that lies
// anywhere else is known by how it begins.
void add_xfs_log(int device, std::vector<Stretch>& out) {
    const Superblock superblock(device);
    const auto block_bytes = superblock.big(4, 4);
    const auto log_start = superblock.big(48, 8);
    const auto group_blocks = superblock.big(84, 4);
    const auto log_blocks = superblock.big(96, 4);
    const auto group_bits = superblock.big(124, 1);  // an address is group << bits | block
    const auto block =
        (log_start >> group_bits) * group_blocks + (log_start & ((1ULL << group_bits) - 1));
    out.push_back({block * block_bytes, (block + log_blocks) * block_bytes});
}

// ext4's map leaves its journal out. The superblock keeps a copy of where the journal's inode says
// that it lies: a head and at most four extents, each {logical 4, length 2, high 2, low 4}.
void add_ext4_journal(int device, std::vector<Stretch>& out) {
    constexpr std::size_t kBegin = 1024, kCopy = kBegin + 0x10c;
    const Superblock superblock(device);
    const auto block_bytes = 1024ULL << superblock.little(kBegin + 24, 4);
    if (superblock.little(kCopy, 2) != 0xf30a) return;
    const auto count = std::min<std::uint64_t>(superblock.little(kCopy + 2, 2), 4);
    for (std::size_t i = 0; i < count; ++i) {
        const auto extent = kCopy + 12 * (i + 1);
        const auto first =
            superblock.little(extent + 6, 2) << 32U | superblock.little(extent + 8, 4);
        out.push_back(
            {first * block_bytes, (first + superblock.little(extent + 4, 2)) * block_bytes});
    }
}

void add_extents(const std::string& path, std::vector<Stretch>& out) {
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    constexpr std::uint32_t kCount = 64;
    std::uint64_t memory[(sizeof(fiemap) + kCount * sizeof(fiemap_extent)) / 8 + 1] = {};
    auto* const map = reinterpret_cast<fiemap*>(memory);
    map->fm_length = FIEMAP_MAX_OFFSET;
    map->fm_extent_count = kCount;
    if (file.value < 0 || ::ioctl(file.value, FS_IOC_FIEMAP, map) != 0) return;
    for (std::uint32_t i = 0; i < map->fm_mapped_extents; ++i) {
        const auto& extent = map->fm_extents[i];
        out.push_back({extent.fe_physical, extent.fe_physical + extent.fe_length});
    }
}

}  // namespace

std::optional<FileSystem> file_system_of(std::string_view name) noexcept {
    for (const auto& row : rows())
        if (row.name == name) return row.fs;
    return std::nullopt;
}

std::string_view name_of(FileSystem fs) noexcept { return row_of(fs).name; }
std::uint64_t bytes_min(FileSystem fs) noexcept { return row_of(fs).bytes_min; }

std::vector<Mounted> mounts() {
    std::vector<Mounted> out;
    std::ifstream file("/proc/self/mountinfo");
    for (std::string line; std::getline(file, line);) {
        // id parent major:minor root TARGET options ... - type SOURCE options
        std::istringstream words(line);
        std::string skip, device, target, word, source;
        words >> skip >> skip >> device >> skip >> target;
        while (words >> word && word != "-") {
        }
        words >> skip >> source;
        out.push_back({source, target, device.substr(device.find(':') + 1)});
    }
    return out;
}

void abort_fuse(const std::string& minor, const std::string& folder) {
    const auto abort = [&](const std::string& connections) {
        const Fd file(::open((connections + "/" + minor + "/abort").c_str(), O_WRONLY | O_CLOEXEC));
        return file.value >= 0 && ::write(file.value, "1", 1) == 1;
    };
    if (abort("/sys/fs/fuse/connections")) return;
    const auto own = folder + "/connections";
    ::mkdir(own.c_str(), 0700);
    if (::mount("fusectl", own.c_str(), "fusectl", MS_NOSUID | MS_NODEV | MS_NOEXEC, "") == 0) {
        abort(own);
        ::umount2(own.c_str(), MNT_DETACH);
    }
    ::rmdir(own.c_str());
}

void detach_loops_of(const std::string& folder) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator("/sys/block", ignored)) {
        const auto name = entry.path().filename().string();
        if (!name.starts_with("loop")) continue;
        std::ifstream file(entry.path() / "loop/backing_file");
        std::string backing;
        std::getline(file, backing);
        if (!backing.starts_with(folder + "/")) continue;
        const Fd loop(::open(("/dev/" + name).c_str(), O_RDWR | O_CLOEXEC));
        if (loop.value >= 0) ::ioctl(loop.value, LOOP_CLR_FD, 0);
    }
}

Result<void> sync_file_system(const std::string& folder) {
    const Fd opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (opened.value < 0 || ::syncfs(opened.value) != 0) return fail_errno("sync the file system");
    return {};
}

BlockMount::~BlockMount() {
    if (!unmount()) abandon();
    detach();
}

Result<void> BlockMount::attach() {
    const Fd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
    if (control.value < 0) return fail_errno("open /dev/loop-control");
    const Fd file(::open(file_.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
    if (file.value < 0) return fail_errno("open the disk's file");
    // Somebody else may take the free one first.
    for (int attempt = 0; attempt < 50; ++attempt) {
        const int number = ::ioctl(control.value, LOOP_CTL_GET_FREE);
        if (number < 0) return fail_errno("find a free loop device");
        const int loop = open_loop(number, device_);
        if (loop < 0) return fail_errno("open the loop device");
        loop_config config{};
        config.fd = static_cast<std::uint32_t>(file.value);
        config.info.lo_flags = LO_FLAGS_DIRECT_IO | LO_FLAGS_AUTOCLEAR;
        std::strncpy(reinterpret_cast<char*>(config.info.lo_file_name), file_.c_str(),
                     LO_NAME_SIZE - 1);
        if (::ioctl(loop, LOOP_CONFIGURE, &config) == 0) {
            loop_ = loop;
            loop_info64 info{};
            if (::ioctl(loop, LOOP_GET_STATUS64, &info) == 0 &&
                (info.lo_flags & LO_FLAGS_DIRECT_IO) == 0) {
                detach();
                return fail_errno("use the disk's file with direct I/O", EOPNOTSUPP);
            }
            return {};
        }
        const int error = errno;
        ::close(loop);
        if (error != EBUSY) return fail_errno("attach the loop device", error);
        std::this_thread::sleep_for(kPause);
    }
    return fail_errno("attach the loop device", EBUSY);
}

void BlockMount::detach() noexcept {
    if (loop_ < 0) return;
    ::ioctl(loop_, LOOP_CLR_FD, 0);
    ::close(loop_);
    loop_ = -1;
}

void BlockMount::abandon() noexcept {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
    mounted_ = false;
    detach();
}

Result<void> BlockMount::make_file_system() {
    auto words = row_of(fs_).mkfs;
    words.push_back(device_.c_str());
    return run_program(std::move(words));
}

Result<void> BlockMount::mount() {
    const std::string type(name_of(fs_));
    if (::mount(device_.c_str(), folder_.c_str(), type.c_str(), MS_NOATIME, options_.c_str()) != 0)
        return fail_errno("mount the file system");
    mounted_ = true;
    return {};
}

Result<void> BlockMount::unmount() {
    if (!mounted_) return {};
    const auto until = std::chrono::steady_clock::now() + kBusyMax;
    while (::umount2(folder_.c_str(), 0) != 0) {
        if (errno != EBUSY || std::chrono::steady_clock::now() > until)
            return fail_errno("unmount the file system");
        std::this_thread::sleep_for(kPause);
    }
    mounted_ = false;
    return {};
}

Result<std::vector<Stretch>> BlockMount::metadata() const {
    if (fs_ == FileSystem::btrfs)
        return fail({.code = Code::usage, .doing = "tell data from metadata on btrfs"});
    const Fd folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder.value < 0) return fail_errno("open the mounted folder");
    std::vector<Stretch> found;
    if (fs_ == FileSystem::xfs) {
        add_xfs_log(loop_, found);
    } else {
        add_fixed(folder.value, found);
        add_ext4_journal(loop_, found);
    }
    if (found.empty()) return fail_errno("ask the file system for its map", ENOTTY);
    add_extents(folder_, found);
    std::error_code ignored;
    for (const auto& entry : fs::recursive_directory_iterator(
             folder_, fs::directory_options::skip_permission_denied, ignored))
        if (entry.is_directory(ignored)) add_extents(entry.path().string(), found);
    std::ranges::sort(found, {}, &Stretch::begin);
    std::vector<Stretch> out;
    for (const auto& stretch : found) {
        if (!out.empty() && stretch.begin <= out.back().end)
            out.back().end = std::max(out.back().end, stretch.end);
        else
            out.push_back(stretch);
    }
    return out;
}

Result<void> BlockMount::fill() {
    const auto path = folder_ + "/" + std::string(kFiller);
    const Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (file.value < 0) return fail_errno("make the filling file");
    struct stat before {};
    if (::fstat(file.value, &before) != 0) return fail_errno("look at the filling file");
    auto end = before.st_size;
    // The last blocks go in ever smaller pieces.
    for (off_t piece = off_t{1} << 30U; piece >= 4096;) {
        if (::fallocate(file.value, 0, end, piece) == 0)
            end += piece;
        else if (errno == ENOSPC)
            piece /= 2;
        else
            return fail_errno("fill the disk");
    }
    return {};
}

Result<void> BlockMount::free() {
    const auto path = folder_ + "/" + std::string(kFiller);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("empty the disk");
    return {};
}

}  // namespace firnlog::crashtest
