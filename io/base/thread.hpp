#pragma once
// A thread that may fail to start, as one does that finds no memory for its stack or no place under
// a limit of tasks (pthread_create(3)): a Result where std::thread throws. What was set aside for
// when memory runs out is given up before that.

#include <sys/resource.h>
#include <unistd.h>

#include <system_error>
#include <thread>

#include "io/base/memory.hpp"
#include "io/base/result.hpp"

namespace firnlog {

template <class Run>
[[nodiscard]] Result<std::thread> start_thread(const Run& run) {
    for (;;) {
        try {
            return std::thread(run);
        } catch (const std::system_error& error) {
            if (!give_up_aside()) return fail_errno("start a thread", error.code().value());
        }
    }
}

// From here on the calling thread takes a tenth of a core that another one wants as well: for work
// that nobody waits for. sched(7), "The nice value", which on Linux each thread has for itself.
inline void give_way() noexcept {
    (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 10);
}

}  // namespace firnlog
