#include "src/crash_report.hpp"

#include <elf.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "io/base/ensure.hpp"
#include "src/version.hpp"

namespace firnlog::server {
namespace {

// Written by install_crash_report() alone, before there are threads.
char build_id[64] = "unknown";
char log_path[PATH_MAX] = "";

// Everything from here to report() runs inside a signal handler: no allocation, write(2) alone.
void say(int fd, std::string_view text) { (void)!::write(fd, text.data(), text.size()); }

// The linker's note of the program itself, in hex.
void find_build_id() {
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void*) {
            for (int i = 0; i < info->dlpi_phnum; ++i) {
                const auto& header = info->dlpi_phdr[i];
                if (header.p_type != PT_NOTE) continue;
                const auto* at = reinterpret_cast<const char*>(info->dlpi_addr + header.p_vaddr);
                const auto* end = at + header.p_memsz;
                while (at + sizeof(ElfW(Nhdr)) <= end) {
                    ElfW(Nhdr) note;
                    std::memcpy(&note, at, sizeof note);
                    const auto* name = at + sizeof note;
                    const auto* bytes = name + ((note.n_namesz + 3U) & ~3U);
                    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
                        std::memcmp(name, "GNU", 4) == 0) {
                        for (std::size_t b = 0; b < note.n_descsz && 2 * b + 2 < sizeof build_id;
                             ++b)
                            std::snprintf(build_id + 2 * b, 3, "%02x",
                                          static_cast<unsigned char>(bytes[b]));
                        return 1;
                    }
                    at = bytes + ((note.n_descsz + 3U) & ~3U);
                }
            }
            return 1;  // only the first object: the program
        },
        nullptr);
}

void report_to(int fd, int signal_number) {
    say(fd, "\nfirnlog: crashed: ");
    say(fd, ::sigabbrev_np(signal_number) == nullptr ? "?" : ::sigabbrev_np(signal_number));
    say(fd, " version ");
    say(fd, kVersion);
    say(fd, " build id ");
    say(fd, {build_id, std::strlen(build_id)});
    say(fd, "\n");
    void* frames[64];
    const int count = ::backtrace(frames, 64);
    ::backtrace_symbols_fd(frames, count, fd);
    say(fd,
        "firnlog: acknowledged writes are safe as appendfsync promises; please report the above\n");
}

void report(int signal_number) {
    // Before anything else: a crash in here is not reported again, and SIGBUS, which comes by way
    // of the guard of copies, has not been put back by SA_RESETHAND.
    std::signal(signal_number, SIG_DFL);
    report_to(STDERR_FILENO, signal_number);
    if (log_path[0] != '\0') {
        const int fd = ::open(log_path, O_WRONLY | O_APPEND | O_CLOEXEC);
        if (fd >= 0) {
            say(fd, broken_invariant());
            report_to(fd, signal_number);
        }
    }
    (void)::raise(signal_number);
}

}  // namespace

void install_crash_report(bool enabled, const std::string& log_file) {
    if (!enabled) return;
    if (log_file.size() < sizeof log_path)
        std::memcpy(log_path, log_file.c_str(), log_file.size() + 1);
    find_build_id();
    // Loads what backtrace(3) needs, which may not happen in the handler.
    void* frame = nullptr;
    (void)::backtrace(&frame, 1);
    struct sigaction action {};
    action.sa_handler = report;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    for (const int signal_number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT})
        ::sigaction(signal_number, &action, nullptr);
}

}  // namespace firnlog::server
