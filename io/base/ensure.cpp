#include "io/base/ensure.hpp"

#include <cstdio>
#include <cstdlib>

namespace firnlog {

void ensure_failed(const char* what, std::source_location at) noexcept {
    std::fprintf(stderr, "firnlog: internal error: %s, at %s:%u in %s\n", what, at.file_name(),
                 static_cast<unsigned>(at.line()), at.function_name());
    std::fflush(stderr);
    std::abort();
}

}  // namespace firnlog
