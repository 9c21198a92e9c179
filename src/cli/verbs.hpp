#pragma once
// The verbs of the program, one file each. Each takes what stands behind its name and returns the
// exit code: 0 done, 1 could not, 3 damaged, 4 a promise was violated.

#include <span>
#include <string>

namespace firnlog::server::cli {

using Arguments = std::span<const std::string>;

int serve(Arguments arguments);
int check(Arguments arguments);
int repair(Arguments arguments);
int restore(Arguments arguments);
int backup(Arguments arguments);
int log(Arguments arguments);
int history(Arguments arguments);
int plan(Arguments arguments);
int crashtest(Arguments arguments);
int faultdisk(Arguments arguments);
int bench(Arguments arguments);

}  // namespace firnlog::server::cli
