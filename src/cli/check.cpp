#include <cstdio>

#include "src/cli/verbs.hpp"

namespace firnlog::server::cli {

int check(Arguments) {
    std::fprintf(stderr, "firnlog check: not in this build\n");
    return 1;
}

int repair(Arguments) {
    std::fprintf(stderr, "firnlog repair: not in this build\n");
    return 1;
}

}  // namespace firnlog::server::cli
