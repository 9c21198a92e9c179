#include "io/base/ensure.hpp"

#include <cstdio>
#include <cstdlib>

namespace firnlog {
namespace {
char broken[512] = "";
}

void ensure_failed(const char* what, std::source_location at) noexcept {
    std::snprintf(broken, sizeof broken, "firnlog: internal error: %s, at %s:%u in %s\n", what,
                  at.file_name(), static_cast<unsigned>(at.line()), at.function_name());
    std::fputs(broken, stderr);
    std::fflush(stderr);
    std::abort();
}

const char* broken_invariant() noexcept { return broken; }

}  // namespace firnlog
