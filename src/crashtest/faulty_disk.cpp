#include "src/crashtest/faulty_disk.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

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

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
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
    auto image = DiskImage::make(options.bytes / 4096 * 4096);
    if (!image) return fail(image);
    auto disk = FuseDisk::make(std::move(*image), disk_folder);
    if (!disk) return fail(disk);
    disk_ = std::move(*disk);
    mount_ =
        std::make_unique<BlockMount>(options.fs, options.mount_options,
                                     disk_folder + "/" + std::string(FuseDisk::kFile), folder_);
    if (auto done = mount_->attach(); !done) return done;
    if (auto done = mount_->make_file_system(); !done) return done;
    if (auto done = mount_->mount(); !done) return done;
    ::sync();
    // Faults begin only now: making a file system is not what is tested.
    disk_->set({.flush_ms = options.flush_ms, .lying = options.lying});
    if (options.broken != Broken::nothing) {
        const auto told = break_it(options.broken);
        if (!told.starts_with("ok")) return fail_errno("switch the fault on", EOPNOTSUPP);
    }
    return {};
}

FaultyDisk::~FaultyDisk() {
    if (disk_) {
        // A broken disk would keep the unmount from ending in order.
        disk_->set({});
        disk_->discard();
    }
    mount_.reset();
    disk_.reset();
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
    std::istringstream stream{std::string(line)};
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word);
    const auto is = [&](std::string_view verb, std::size_t count) {
        return words.size() == count && words[0] == verb;
    };
    const auto on = [&] { return words[1] == "on"; };
    if (is("status", 1)) return status();
    if (is("eio", 2))
        if (const auto broken = broken_of(words[1])) return break_it(*broken);
    if (is("flush-ms", 2))
        if (const auto ms = number(words[1]); ms && *ms <= 600'000) {
            auto faults = disk_->faults();
            faults.flush_ms = static_cast<std::uint32_t>(*ms);
            disk_->set(std::move(faults));
            return "ok";
        }
    if (is("lying", 2) && (on() || words[1] == "off")) {
        auto faults = disk_->faults();
        faults.lying = on();
        disk_->set(std::move(faults));
        return "ok";
    }
    if (is("full", 2) && (on() || words[1] == "off"))
        return answer(on() ? mount_->fill() : mount_->free());
    if (is("freeze", 1)) {
        disk_->freeze();
        return "ok";
    }
    if (is("discard", 1)) {
        disk_->discard();
        return "ok";
    }
    if (is("cut", 3))
        if (const auto keep = keep_of(words[1]))
            if (const auto seed = number(words[2])) return cut(*keep, *seed);
    return "error no such command: " + std::string(line);
}

std::string FaultyDisk::break_it(Broken broken) {
    auto faults = disk_->faults();
    faults.broken = Broken::nothing;
    faults.metadata.clear();
    if (broken == Broken::data) {
        auto metadata = mount_->metadata();
        if (!metadata) return error_line(metadata.error());
        faults.metadata = std::move(*metadata);
    }
    faults.broken = broken;
    disk_->set(std::move(faults));
    return "ok";
}

std::string FaultyDisk::cut(Keep keep, std::uint64_t seed) {
    disk_->discard();
    if (const auto done = mount_->unmount(); !done) return error_line(done.error());
    mount_->detach();
    const auto cut = disk_->cut(keep, seed);
    if (const auto done = mount_->attach(); !done) return error_line(done.error());
    if (const auto done = mount_->mount(); !done) return error_line(done.error());
    return "ok pending=" + std::to_string(cut.pending) + " kept=" + std::to_string(cut.kept) +
           " torn=" + std::to_string(cut.torn) + " bytes_lost=" + std::to_string(cut.bytes_lost);
}

std::string FaultyDisk::status() const {
    const auto traffic = disk_->traffic();
    const auto faults = disk_->faults();
    std::ostringstream out;
    out << "ok reads=" << traffic.reads << " writes=" << traffic.writes
        << " bytes_written=" << traffic.bytes_written << " flushes=" << traffic.flushes
        << " failed=" << traffic.failed << " pending=" << traffic.pending
        << " eio=" << name_of(faults.broken) << " flush_ms=" << faults.flush_ms
        << " lying=" << (faults.lying ? "on" : "off") << " device=" << mount_->device()
        << " mounted=" << (mount_->mounted() ? "yes" : "no");
    return out.str();
}

}  // namespace firnlog::crashtest
