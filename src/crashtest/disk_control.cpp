#include "src/crashtest/disk_control.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "src/crashtest/line.hpp"

namespace firnlog::crashtest {

Result<std::unique_ptr<DiskControl>> DiskControl::make(const std::string& folder,
                                                       std::vector<std::string> options) {
    std::unique_ptr<DiskControl> out(new DiskControl);
    int pipe[2] = {-1, -1};
    if (::pipe2(pipe, O_CLOEXEC) != 0) return fail_errno("make a pipe");
    std::vector<std::string> words{"firnlog", "faultdisk", "--at", folder};
    words.insert(words.end(), options.begin(), options.end());
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    out->pid_ = ::fork();
    if (out->pid_ == 0) {
        // A Ctrl-C is for the run, which ends its disk in order.
        ::setpgid(0, 0);
        ::dup2(pipe[1], 1);
        ::execv("/proc/self/exe", argv.data());
        ::_exit(127);
    }
    ::close(pipe[1]);
    const auto line = out->pid_ > 0 ? read_line(pipe[0]).value_or("") : std::string();
    ::close(pipe[0]);
    constexpr std::string_view kControl = ", control ";
    const auto at = line.find(kControl);
    if (!line.starts_with("ready: ") || at == line.npos)
        return fail({.code = Code::io, .doing = "mount the faulty disk"});
    out->socket_ = connect_to(line.substr(at + kControl.size()));
    if (out->socket_ < 0) return fail_errno("reach the faulty disk");
    return out;
}

DiskControl::~DiskControl() {
    if (socket_ >= 0) ::close(socket_);
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

std::string DiskControl::send(const std::string& command) {
    return ask_line(socket_, command).value_or("error the faulty disk has gone");
}

}  // namespace firnlog::crashtest
