#include "src/bench/proc.hpp"

#include <dirent.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "src/text/numbers.hpp"

namespace firnlog::bench {
namespace {

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return std::move(text).str();
}

// Sockets of this machine that listen on the port: /proc/net/tcp has a line each, in hexadecimal.
//
//   sl  local_address rem_address   st … inode       0: 0100007F:18EB 00000000:0000 0A … 12345
void listening_inodes(const char* path, std::uint16_t port, std::set<std::string>& inodes) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
        std::istringstream words(line);
        std::array<std::string, 10> word;
        for (auto& one : word) words >> one;
        const auto colon = word[1].rfind(':');
        if (colon == std::string::npos || word[3] != "0A") continue;
        if (std::strtoul(word[1].c_str() + colon + 1, nullptr, 16) == port) inodes.insert(word[9]);
    }
}

void unix_inodes(const std::string& socket_path, std::set<std::string>& inodes) {
    std::ifstream file("/proc/net/unix");
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
        std::istringstream words(line);
        std::array<std::string, 8> word;
        for (auto& one : word) words >> one;
        if (word[7] == socket_path) inodes.insert(word[6]);
    }
}

bool holds(pid_t pid, const std::set<std::string>& inodes) {
    const auto folder = "/proc/" + std::to_string(pid) + "/fd";
    DIR* const fds = ::opendir(folder.c_str());
    if (fds == nullptr) return false;
    bool found = false;
    while (const dirent* const entry = ::readdir(fds)) {
        std::array<char, 64> link{};
        const auto length =
            ::readlink((folder + "/" + entry->d_name).c_str(), link.data(), link.size() - 1);
        const std::string_view target(link.data(),
                                      length < 0 ? 0 : static_cast<std::size_t>(length));
        if (!target.starts_with("socket:[") || !target.ends_with(']')) continue;
        if (inodes.contains(std::string(target.substr(8, target.size() - 9)))) {
            found = true;
            break;
        }
    }
    ::closedir(fds);
    return found;
}

// "Name:   1234 kB" of /proc/PID/status.
std::uint64_t status_bytes(const std::string& status, const std::string& name) {
    const auto at = status.find("\n" + name + ":");
    if (at == std::string::npos) return 0;
    return std::strtoull(status.c_str() + at + name.size() + 2, nullptr, 10) * 1024;
}

}  // namespace

std::optional<pid_t> find_server(const Target& target) {
    std::set<std::string> inodes;
    if (target.socket_path.empty()) {
        // Here only if the connection begins where it ends.
        auto link = Link::open(target, Link::Milliseconds(2000));
        if (!link || !link->is_local()) return std::nullopt;
        listening_inodes("/proc/net/tcp", target.port, inodes);
        listening_inodes("/proc/net/tcp6", target.port, inodes);
    } else {
        unix_inodes(target.socket_path, inodes);
    }
    if (inodes.empty()) return std::nullopt;
    DIR* const processes = ::opendir("/proc");
    if (processes == nullptr) return std::nullopt;
    std::optional<pid_t> found;
    while (const dirent* const entry = ::readdir(processes)) {
        const auto pid = server::text::parse_u64(static_cast<const char*>(entry->d_name));
        if (!pid || !holds(static_cast<pid_t>(*pid), inodes)) continue;
        // A child that a server forked holds the same socket: the parent came first.
        const auto process = static_cast<pid_t>(*pid);
        found = found ? std::min(*found, process) : process;
    }
    ::closedir(processes);
    return found;
}

std::optional<ProcCounters> read_counters(pid_t pid) {
    const auto folder = "/proc/" + std::to_string(pid);
    const auto stat = read_file(folder + "/stat");
    // The name in brackets may hold anything, blanks and brackets included.
    const auto name_end = stat.rfind(')');
    if (name_end == std::string::npos) return std::nullopt;
    std::istringstream words(stat.substr(name_end + 1));
    std::array<std::string, 15> word;  // proc(5): the state is field 3
    for (auto& one : word) words >> one;
    const auto number = [&](std::size_t field) {
        return std::strtoull(word[field - 3].c_str(), nullptr, 10);
    };
    ProcCounters counters;
    // Of each its own and that of the children it has waited for; write_bytes has both already.
    counters.minor_faults = number(10) + number(11);
    counters.major_faults = number(12) + number(13);
    counters.cpu_seconds = static_cast<double>(number(14) + number(15) + number(16) + number(17)) /
                           static_cast<double>(::sysconf(_SC_CLK_TCK));
    const auto status = read_file(folder + "/status");
    counters.rss_bytes = status_bytes(status, "VmRSS");
    counters.anonymous_bytes = status_bytes(status, "RssAnon");
    const auto io = read_file(folder + "/io");
    const auto at = io.find("\nwrite_bytes:");
    if (at != std::string::npos)
        counters.written_bytes = std::strtoull(io.c_str() + at + 13, nullptr, 10);
    return counters;
}

}  // namespace firnlog::bench
