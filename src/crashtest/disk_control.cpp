#include "src/crashtest/disk_control.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace firnlog::crashtest {
namespace {

// A line from the descriptor, without its end; short when the other side has gone.
std::string read_line(int from) {
    std::string line;
    for (char byte = 0; ::read(from, &byte, 1) == 1 && byte != '\n';) line += byte;
    return line;
}

}  // namespace

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
    const auto line = out->pid_ > 0 ? read_line(pipe[0]) : std::string();
    ::close(pipe[0]);
    constexpr std::string_view kControl = ", control ";
    const auto at = line.find(kControl);
    if (!line.starts_with("ready: ") || at == line.npos)
        return fail({.code = Code::io, .doing = "mount the faulty disk"});
    const auto path = line.substr(at + kControl.size());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    out->socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (out->socket_ < 0 ||
        ::connect(out->socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return fail_errno("reach the faulty disk");
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
    const auto line = command + "\n";
    if (::send(socket_, line.data(), line.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(line.size()))
        return "error the faulty disk has gone";
    const auto answer = read_line(socket_);
    return answer.empty() ? "error the faulty disk has gone" : answer;
}

}  // namespace firnlog::crashtest
