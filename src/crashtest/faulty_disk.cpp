#include "src/crashtest/faulty_disk.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "src/crashtest/disk_image.hpp"
#include "src/crashtest/text.hpp"

namespace firnlog::crashtest {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRuns = "/run/firnlog-faultdisk";

std::string first_line(const fs::path& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

bool alive(const fs::path& run) {
    const int state = ::open((run / "state").c_str(), O_RDONLY | O_CLOEXEC);
    if (state < 0) return false;
    const bool locked = ::flock(state, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    ::close(state);
    return locked;
}

std::vector<fs::path> runs() {
    std::vector<fs::path> out;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(kRuns, ignored)) out.push_back(entry.path());
    return out;
}

std::string error_line(const Error& error) { return "error " + error.text(); }

std::string answer(const Result<void>& done) { return done ? "ok" : error_line(done.error()); }

}  // namespace

Result<std::unique_ptr<FaultyDisk>> FaultyDisk::make(const DiskOptions& options) {
    std::unique_ptr<FaultyDisk> out(new FaultyDisk);
    if (const auto begun = out->begin(options); !begun) return fail(begun);
    return out;
}

Result<void> FaultyDisk::begin(const DiskOptions& options) {
    if (options.bytes < bytes_min(options.fs))
        return fail({.code = Code::usage, .doing = "make a disk too small for its file system"});
    std::error_code wrong;
    const bool is_new = fs::create_directories(options.folder, wrong);
    folder_ = fs::canonical(options.folder, wrong).string();
    if (wrong) return fail_errno("find the folder to mount at", wrong.value());
    if (!is_new && !fs::is_empty(folder_, wrong))
        return fail({.code = Code::exists, .error = ENOTEMPTY, .doing = "mount over the folder"});

    const auto runs_folder = std::string(kRuns);
    if (::mkdir(runs_folder.c_str(), 0700) != 0 && errno != EEXIST)
        return fail_errno("make /run/firnlog-faultdisk");
    state_folder_ = runs_folder + "/" + std::to_string(::getpid());
    if (::mkdir(state_folder_.c_str(), 0700) != 0) return fail_errno("make the run's folder");
    const auto state_path = state_folder_ + "/state";
    state_ = ::open(state_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (state_ < 0 || ::flock(state_, LOCK_EX | LOCK_NB) != 0)
        return fail_errno("lock the run's state");
    const auto line = folder_ + "\n";
    if (::write(state_, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
        return fail_errno("write the run's state");

    const auto disk_folder = state_folder_ + "/disk";
    if (::mkdir(disk_folder.c_str(), 0700) != 0) return fail_errno("make the disk's folder");
    auto disk = DiskProcess::make(options.bytes / 4096 * 4096, disk_folder, state_path);
    if (!disk) return fail(disk);
    disk_ = std::move(*disk);
    mount_ =
        std::make_unique<BlockMount>(options.fs, options.mount_options,
                                     disk_folder + "/" + std::string(FuseDisk::kFile), folder_);
    if (auto done = mount_->attach(); !done) return done;
    if (auto done = mount_->make_file_system(); !done) return done;
    if (auto done = mount_->mount(); !done) return done;
    if (auto done = sync_file_system(folder_); !done) return done;
    // Faults begin only now: making a file system is not what is tested.
    std::vector<std::string> faults{"flush-ms " + std::to_string(options.flush_ms)};
    if (options.lying) faults.emplace_back("lying on");
    if (options.broken != Broken::nothing)
        faults.push_back("eio " + std::string(name_of(options.broken)));
    for (const auto& fault : faults)
        if (!obey(fault).starts_with("ok")) return fail_errno("switch the fault on", EOPNOTSUPP);
    return {};
}

FaultyDisk::~FaultyDisk() {
    // A broken disk would keep the unmount from ending in order.
    if (disk_)
        for (const char* const command : {"eio off", "flush-ms 0", "lying off", "discard"})
            static_cast<void>(disk_->ask(command));
    if (mount_ && gone()) mount_->abandon();
    mount_.reset();
    disk_.reset();
    if (!state_folder_.empty()) ::umount2((state_folder_ + "/disk").c_str(), MNT_DETACH);
    if (state_ >= 0) ::close(state_);
    std::error_code ignored;
    if (!state_folder_.empty()) fs::remove_all(state_folder_, ignored);
}

int FaultyDisk::clean() {
    int cleaned = 0;
    for (const auto& run : runs()) {
        if (alive(run)) continue;
        const auto folder = first_line(run / "state");
        const auto disk_folder = (run / "disk").string();
        // Nobody serves it any more, so nobody may wait for it, and least of all we.
        for (const auto& mounted : mounts())
            if (mounted.target == disk_folder) abort_fuse(mounted.minor, run.string());
        // Only what came from a loop device on our file is unmounted, nothing else mounted there.
        detach_loops_of(disk_folder);
        for (const auto& mounted : mounts())
            if (!folder.empty() && mounted.target == folder &&
                mounted.source.starts_with("/dev/loop"))
                ::umount2(folder.c_str(), MNT_DETACH);
        detach_loops_of(disk_folder);
        ::umount2(disk_folder.c_str(), MNT_DETACH);
        std::error_code failed;
        fs::remove_all(run, failed);
        if (!failed) ++cleaned;
    }
    return cleaned;
}

std::optional<std::string> FaultyDisk::control_of(const std::string& folder) {
    std::error_code wrong;
    const auto wanted = fs::canonical(folder, wrong).string();
    for (const auto& run : runs())
        if (first_line(run / "state") == wanted && alive(run)) return (run / "control").string();
    return std::nullopt;
}

std::string FaultyDisk::obey(std::string_view line) {
    const auto words = split(line, ' ');
    const std::string plain(line);
    const auto is = [&](std::string_view verb, std::size_t count) {
        return words.size() == count && words[0] == verb;
    };
    const auto on = [&] { return words[1] == "on"; };
    if (is("status", 1)) return status();
    if (is("full", 2) && (on() || words[1] == "off"))
        return answer(on() ? mount_->fill() : mount_->free());
    if (is("cut", 3) && keep_of(words[1]) && number_of(words[2])) return cut(plain);
    if (is("eio", 2) && words[1] == name_of(Broken::data)) return break_data();
    if (is("eio", 2) || is("flush-ms", 2) || is("lying", 2) || is("freeze", 1) ||
        is("discard", 1) || is("find", 2))
        return disk_->ask(plain);
    return "error no such command: " + plain;
}

std::string FaultyDisk::break_data() {
    // A fault before this one must not hide the map.
    if (auto told = disk_->ask("eio off"); !told.starts_with("ok")) return told;
    const auto metadata = mount_->metadata();
    if (!metadata) return error_line(metadata.error());
    auto command = "eio " + std::string(name_of(Broken::data));
    for (const auto& [begin, end] : *metadata)
        command.append(" ").append(std::to_string(begin)).append(" ").append(std::to_string(end));
    return disk_->ask(command);
}

std::string FaultyDisk::cut(const std::string& command) {
    if (auto told = disk_->ask("discard"); !told.starts_with("ok")) return told;
    if (const auto done = mount_->unmount(); !done) return error_line(done.error());
    mount_->detach();
    auto told = disk_->ask(command);
    if (!told.starts_with("ok")) return told;
    if (const auto done = mount_->attach(); !done) return error_line(done.error());
    if (const auto done = mount_->mount(); !done) return error_line(done.error());
    return told;
}

std::string FaultyDisk::status() const {
    auto told = disk_->ask("status");
    if (!told.starts_with("ok")) return told;
    return told + " device=" + mount_->device() + " mounted=" + (mount_->mounted() ? "yes" : "no");
}

}  // namespace firnlog::crashtest
