#pragma once
// Crash report: what is written to standard error, and to the log file where there is one, when the
// process dies of a signal or a broken invariant: which, where (addresses for addr2line) and of
// which build. Then the signal takes its course.

#include <string>

namespace firnlog::server {

// `log_file`: empty, or the file the log goes to; it is opened when it is needed.
void install_crash_report(bool enabled, const std::string& log_file);

}  // namespace firnlog::server
