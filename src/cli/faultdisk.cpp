#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <list>
#include <vector>

#include "src/cli/verbs.hpp"
#include "src/crashtest/faulty_disk.hpp"
#include "src/crashtest/line.hpp"

namespace firnlog::server::cli {
namespace {

using namespace crashtest;

constexpr std::string_view kHelp =
    R"(usage: firnlog faultdisk --at DIR [--fs ext4|xfs|btrfs] [--size BYTES] [--mount OPTIONS]
                         [--flush-ms N] [--eio data|all|flush] [--lying]
       firnlog faultdisk --at DIR --send 'COMMAND'
       firnlog faultdisk --clean

Mounts at DIR a new file system on a disk that is kept in memory, has a volatile cache, and fails
when told to: slow flushes, EIO, a full disk, flushes that are lies, power cuts. Needs root,
/dev/fuse and loop devices. Runs in the foreground: prints one line that begins with `ready` when
DIR is mounted, and unmounts and detaches everything on SIGTERM, on SIGINT, and when the process
that started it ends. It is two processes: if one is killed the other tidies; what is left where
both were is tidied by the next, or by --clean.

  --size BYTES   with K, M or G behind it; default 1G, at least 64M (ext4), 300M (xfs), 128M (btrfs)
  --mount        options of mount(8) for the file system
  --send         gives a command to the one that serves DIR, prints its answer; exit 0 if it is ok

Commands, one a line, over the socket that the ready line names, or by --send:

)";

struct Options {
    DiskOptions disk;
    std::string command;
    bool clean = false;
};

bool parse_bytes(std::string_view text, std::uint64_t& bytes) {
    unsigned shift = 0;
    if (text.ends_with('K')) shift = 10;
    if (text.ends_with('M')) shift = 20;
    if (text.ends_with('G')) shift = 30;
    if (shift != 0) text.remove_suffix(1);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
    constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 50U;
    if (error != std::errc{} || end != text.data() + text.size() || bytes > kBytesMax >> shift)
        return false;
    bytes <<= shift;
    return true;
}

bool parse(Arguments arguments, Options& options) {
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const auto& name = arguments[i];
        if (name == "--clean") {
            options.clean = true;
            continue;
        }
        if (name == "--lying") {
            options.disk.lying = true;
            continue;
        }
        if (++i == arguments.size()) return false;
        const auto& value = arguments[i];
        if (name == "--at") {
            options.disk.folder = value;
        } else if (name == "--send") {
            options.command = value;
        } else if (name == "--mount") {
            options.disk.mount_options = value;
        } else if (name == "--fs") {
            const auto fs = file_system_of(value);
            if (!fs) return false;
            options.disk.fs = *fs;
        } else if (name == "--eio") {
            const auto broken = broken_of(value);
            if (!broken) return false;
            options.disk.broken = *broken;
        } else if (name == "--size") {
            if (!parse_bytes(value, options.disk.bytes)) return false;
        } else if (name == "--flush-ms") {
            std::uint64_t ms = 0;
            if (!parse_bytes(value, ms) || ms > 600'000) return false;
            options.disk.flush_ms = static_cast<std::uint32_t>(ms);
        } else {
            return false;
        }
    }
    return options.clean || !options.disk.folder.empty();
}

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    return address;
}

int send_command(const Options& options) {
    const auto control = FaultyDisk::control_of(options.disk.folder);
    if (!control) {
        std::fprintf(stderr, "firnlog faultdisk: nobody serves %s\n", options.disk.folder.c_str());
        return 1;
    }
    const int peer = connect_to(*control);
    const auto answer = peer < 0 ? std::nullopt : ask_line(peer, options.command);
    if (peer >= 0) ::close(peer);
    if (!answer) {
        std::fprintf(stderr, "firnlog faultdisk: no answer from %s\n", control->c_str());
        return 1;
    }
    std::printf("%s\n", answer->c_str());
    return answer->starts_with("ok") ? 0 : 1;
}

struct Peer {
    int socket;
    std::string unread;
};

// False once the peer has gone.
bool serve_peer(FaultyDisk& disk, Peer& peer) {
    char bytes[4096];
    const auto got = ::recv(peer.socket, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    peer.unread.append(bytes, static_cast<std::size_t>(got));
    for (auto end = peer.unread.find('\n'); end != peer.unread.npos; end = peer.unread.find('\n')) {
        const auto answer = disk.obey(std::string_view(peer.unread).substr(0, end)) + "\n";
        peer.unread.erase(0, end + 1);
        if (::send(peer.socket, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) return false;
    }
    return peer.unread.size() < sizeof bytes;
}

// Until a signal comes: true. False: the disk has gone.
bool serve_control(FaultyDisk& disk, int listener, int signals) {
    std::list<Peer> peers;
    for (;;) {
        if (disk.gone()) break;
        std::vector<pollfd> wanted{
            {signals, POLLIN, 0}, {listener, POLLIN, 0}, {disk.line(), POLLIN, 0}};
        for (const auto& peer : peers) wanted.push_back({peer.socket, POLLIN, 0});
        if (::poll(wanted.data(), wanted.size(), -1) < 0) continue;
        if (wanted[0].revents != 0) break;
        auto next = wanted.begin() + 3;
        for (auto peer = peers.begin(); peer != peers.end();) {
            if ((next++)->revents == 0 || serve_peer(disk, *peer)) {
                ++peer;
                continue;
            }
            ::close(peer->socket);
            peer = peers.erase(peer);
        }
        if (wanted[1].revents != 0) {
            const int peer = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
            if (peer >= 0) peers.push_back({peer, {}});
        }
    }
    for (const auto& peer : peers) ::close(peer.socket);
    return !disk.gone();
}

}  // namespace

int faultdisk(Arguments arguments) {
    if (!arguments.empty() && (arguments.front() == "--help" || arguments.front() == "-h")) {
        std::fwrite(kHelp.data(), 1, kHelp.size(), stdout);
        std::fwrite(kDiskCommands.data(), 1, kDiskCommands.size(), stdout);
        return 0;
    }
    Options options;
    if (!parse(arguments, options)) {
        std::fwrite(kHelp.data(), 1, kHelp.size(), stderr);
        return 1;
    }
    if (::geteuid() != 0) {
        std::fprintf(stderr, "firnlog faultdisk: this mounts file systems and needs root\n");
        return 1;
    }
    if (!options.command.empty()) return send_command(options);
    const int cleaned = FaultyDisk::clean();
    if (options.clean) {
        std::printf("cleaned %d\n", cleaned);
        return 0;
    }
    // Whoever started this is gone: so are we, in order.
    const auto parent = ::getppid();
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) return 1;
    sigset_t stops;
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGHUP);
    ::sigprocmask(SIG_BLOCK, &stops, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    const int signals = ::signalfd(-1, &stops, SFD_CLOEXEC);

    auto disk = FaultyDisk::make(options.disk);
    if (!disk) {
        std::fprintf(stderr, "firnlog faultdisk: %s: %s\n", options.disk.folder.c_str(),
                     disk.error().text().c_str());
        return 1;
    }
    const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto address = address_of((*disk)->control());
    if (listener < 0 ||
        ::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener, 8) != 0) {
        std::perror("firnlog faultdisk: the control socket");
        return 1;
    }
    std::printf("ready: %s of %llu bytes at %s, device %s, control %s\n",
                std::string(name_of(options.disk.fs)).c_str(),
                static_cast<unsigned long long>(options.disk.bytes), options.disk.folder.c_str(),
                (*disk)->device().c_str(), (*disk)->control().c_str());
    std::fflush(stdout);
    const bool told = serve_control(**disk, listener, signals);
    ::close(listener);
    if (told) return 0;
    std::fprintf(stderr, "firnlog faultdisk: %s: the process that serves the disk has ended\n",
                 options.disk.folder.c_str());
    return 1;
}

}  // namespace firnlog::server::cli
