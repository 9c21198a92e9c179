#include "src/crash_report.hpp"

#include <elf.h>
#include <execinfo.h>
#include <link.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "src/version.hpp"

namespace firnlog::server {
namespace {

// Everything here runs inside a signal handler: no allocation, write(2) alone.
void say(std::string_view text) { (void)!::write(STDERR_FILENO, text.data(), text.size()); }

char build_id[64] = "unknown";

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

void report(int signal_number) {
    say("\nfirnlog: crashed: ");
    say(::sigabbrev_np(signal_number) == nullptr ? "?" : ::sigabbrev_np(signal_number));
    say(" version ");
    say(kVersion);
    say(" build id ");
    say({build_id, std::strlen(build_id)});
    say("\n");
    void* frames[64];
    const int count = ::backtrace(frames, 64);
    ::backtrace_symbols_fd(frames, count, STDERR_FILENO);
    say("firnlog: acknowledged writes are safe as appendfsync promises; please report the above\n");
    // SA_RESETHAND has put the default back.
    (void)::raise(signal_number);
}

}  // namespace

void install_crash_report(bool enabled) {
    if (!enabled) return;
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
