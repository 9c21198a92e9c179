#include "io/guarded_copy.hpp"

#include <ucontext.h>

#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstring>

#include "io/base/ensure.hpp"

// How a fault finds its way back:
//
//   guarded_copy: sigsetjmp, say where we read ──> memcpy ──> say nothing ──> true
//                                                    │ SIGBUS, address within what we read
//                      false <── siglongjmp <── on_sigbus
//
// The signal is raised by the copying thread's own access, so the handler runs on that thread and a
// thread-local is all they share. The signal mask is not saved with each copy, which would be a
// system call: on a fault the handler puts back the one the kernel noted when it interrupted the
// copy.

namespace firnlog::io {
namespace {

// Larger pages only widen what is taken for ours: a machine check names a page, not a byte.
constexpr std::uintptr_t kPageBytes = 4096;

struct Landing {
    sigjmp_buf at;
    std::uintptr_t first;
    std::uintptr_t end;
};

thread_local Landing* volatile landing = nullptr;
// The handler before ours. Written by install_sigbus_guard() alone, before there are threads.
struct sigaction previous {};

// Lets whoever had the signal before us have it.
void pass_on(int signal, siginfo_t* info, void* context) {
    if ((previous.sa_flags & SA_SIGINFO) != 0) return previous.sa_sigaction(signal, info, context);
    if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN)
        return previous.sa_handler(signal);
    // The access is made again when we return, and then stops the process. (Nobody can ignore a
    // SIGBUS of his own making.) One that was sent from outside is sent again.
    struct sigaction fatal {};
    fatal.sa_handler = SIG_DFL;
    ::sigaction(SIGBUS, &fatal, nullptr);
    if (info->si_code <= 0) ::raise(signal);
}

void on_sigbus(int signal, siginfo_t* info, void* context) {
    Landing* const guard = landing;
    const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
    const bool ours = guard != nullptr && info->si_code > 0 && address < guard->end &&
                      address >= (guard->first & ~(kPageBytes - 1));
    if (!ours) return pass_on(signal, info, context);
    landing = nullptr;
    ::pthread_sigmask(SIG_SETMASK, &static_cast<ucontext_t*>(context)->uc_sigmask, nullptr);
    siglongjmp(guard->at, 1);
}

}  // namespace

void install_sigbus_guard() {
    struct sigaction now {};
    ensure(::sigaction(SIGBUS, nullptr, &now) == 0, "the handler of SIGBUS is known");
    if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_sigbus) return;
    previous = now;
    struct sigaction action {};
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ensure(::sigaction(SIGBUS, &action, nullptr) == 0, "a handler of SIGBUS is installed");
}

bool guarded_copy(std::byte* to, const std::byte* from, std::size_t n) noexcept {
    if (n == 0) return true;
    Landing here;
    here.first = reinterpret_cast<std::uintptr_t>(from);
    here.end = here.first + n;
    if (sigsetjmp(here.at, 0) != 0) return false;
    // The compiler must not move the copy out from between the two: it cannot know of the handler.
    landing = &here;
    __asm__ volatile("" : : : "memory");
    std::memcpy(to, from, n);
    __asm__ volatile("" : : : "memory");
    landing = nullptr;
    return true;
}

}  // namespace firnlog::io
