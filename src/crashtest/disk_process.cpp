#include "src/crashtest/disk_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <optional>
#include <sstream>
#include <vector>

#include "src/crashtest/fuse_disk.hpp"
#include "src/crashtest/line.hpp"
#include "src/crashtest/text.hpp"

namespace firnlog::crashtest {
namespace {

constexpr int kLine = 3;  // the server's end; the one descriptor it takes along
constexpr std::string_view kEnd = "end";

std::string status_of(const FuseDisk& disk) {
    const auto traffic = disk.traffic();
    const auto faults = disk.faults();
    std::ostringstream out;
    out << "ok reads=" << traffic.reads << " writes=" << traffic.writes
        << " bytes_written=" << traffic.bytes_written << " flushes=" << traffic.flushes
        << " failed=" << traffic.failed << " pending=" << traffic.pending
        << " eio=" << name_of(faults.broken) << " flush_ms=" << faults.flush_ms
        << " lying=" << (faults.lying ? "on" : "off");
    return out.str();
}

// Behind `eio data`: where the file system's own blocks lie, as pairs of numbers.
std::optional<std::vector<Stretch>> stretches_of(const std::vector<std::string>& words) {
    std::vector<Stretch> out;
    for (std::size_t i = 2; i + 1 < words.size(); i += 2) {
        const auto begin = number_of(words[i]), end = number_of(words[i + 1]);
        if (!begin || !end) return std::nullopt;
        out.push_back({*begin, *end});
    }
    return words.size() % 2 == 0 ? std::optional(out) : std::nullopt;
}

// status; eio off|all|flush; eio data BEGIN END ...; flush-ms N; lying on|off; freeze; discard;
// cut KEEP SEED; find BYTES.
std::string obey(FuseDisk& disk, const std::string& line) {
    const auto words = split(line, ' ');
    const auto is = [&](std::string_view verb, std::size_t count) {
        return words.size() == count && words[0] == verb;
    };
    auto faults = disk.faults();
    if (is("status", 1)) return status_of(disk);
    if (words.size() >= 2 && words[0] == "eio")
        if (const auto broken = broken_of(words[1]); broken && stretches_of(words)) {
            faults.broken = *broken;
            faults.metadata = *stretches_of(words);
            disk.set(std::move(faults));
            return "ok";
        }
    if (is("flush-ms", 2))
        if (const auto ms = number_of(words[1]); ms && *ms <= 600'000) {
            faults.flush_ms = static_cast<std::uint32_t>(*ms);
            disk.set(std::move(faults));
            return "ok";
        }
    if (is("lying", 2) && (words[1] == "on" || words[1] == "off")) {
        faults.lying = words[1] == "on";
        disk.set(std::move(faults));
        return "ok";
    }
    if (is("freeze", 1)) {
        disk.freeze();
        return "ok";
    }
    if (is("discard", 1)) {
        disk.discard();
        return "ok";
    }
    if (is("find", 2)) return "ok " + std::string(name_of(disk.find(words[1])));
    if (is("cut", 3))
        if (const auto keep = keep_of(words[1]))
            if (const auto seed = number_of(words[2])) {
                const auto cut = disk.cut(*keep, *seed);
                return "ok pending=" + std::to_string(cut.pending) +
                       " kept=" + std::to_string(cut.kept) + " torn=" + std::to_string(cut.torn) +
                       " bytes_lost=" + std::to_string(cut.bytes_lost);
            }
    return "error no such command: " + line;
}

// The server's whole life. Nothing of the keeper's stays open: its lock would be held by two.
[[noreturn]] void serve(int line, std::uint64_t bytes, const std::string& folder,
                        const std::string& state) {
    const int nothing = ::open("/dev/null", O_RDWR);
    ::dup2(nothing, 0);
    ::dup2(nothing, 1);
    if (line != kLine) ::dup2(line, kLine);
    ::close_range(kLine + 1, ~0U, 0);
    ::fcntl(kLine, F_SETFD, FD_CLOEXEC);
    // Writing back to our own disk must not wait for our own disk.
    ::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
    auto image = DiskImage::make(bytes);
    auto disk = image ? FuseDisk::make(std::move(*image), folder) : fail(image);
    if (!disk) {
        static_cast<void>(send_line(kLine, "error " + disk.error().text()));
        ::_exit(1);
    }
    bool heard = send_line(kLine, "ok");
    while (heard) {
        const auto command = read_line(kLine);
        if (!command) break;
        if (*command == kEnd) {
            static_cast<void>(send_line(kLine, "ok"));
            ::_exit(0);
        }
        heard = send_line(kLine, obey(**disk, *command));
    }
    // The keeper is going. Its lock may be open a moment longer than its end of the line, and what
    // is locked is not tidied. exec closes /dev/fuse: nothing waits for this disk any more.
    const int lock = ::open(state.c_str(), O_RDONLY | O_CLOEXEC);
    if (lock >= 0) ::flock(lock, LOCK_EX);
    ::execl("/proc/self/exe", "firnlog", "faultdisk", "--clean", static_cast<char*>(nullptr));
    ::_exit(1);
}

}  // namespace

Result<std::unique_ptr<DiskProcess>> DiskProcess::make(std::uint64_t bytes,
                                                       const std::string& folder,
                                                       const std::string& state) {
    std::unique_ptr<DiskProcess> out(new DiskProcess);
    int ends[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return fail_errno("make a line to the disk's process");
    out->pid_ = ::fork();
    if (out->pid_ == 0) serve(ends[1], bytes, folder, state);
    const int error = errno;
    out->line_ = ends[0];
    ::close(ends[1]);
    if (out->pid_ < 0) return fail_errno("start the disk's process", error);
    const auto said = read_line(out->line_);
    if (said == "ok") return out;
    // Of the error the words are the other process's.
    if (said) static_cast<void>(::dprintf(2, "firnlog faultdisk: %s\n", said->c_str()));
    return fail({.code = Code::io, .doing = "serve the disk's file"});
}

DiskProcess::~DiskProcess() {
    if (line_ >= 0) {
        static_cast<void>(ask_line(line_, std::string(kEnd)));
        ::close(line_);
    }
    while (pid_ > 0 && ::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

std::string DiskProcess::ask(const std::string& command) {
    return ask_line(line_, command).value_or("error the disk's process has gone");
}

bool DiskProcess::gone() const {
    pollfd wanted{line_, POLLIN, 0};
    return ::poll(&wanted, 1, 0) == 1;
}

}  // namespace firnlog::crashtest
