#pragma once
// Crash report: what is written to standard error when the process dies of a signal: which one,
// where (addresses for addr2line) and of which build. Then the signal takes its course.

namespace firnlog::server {

void install_crash_report(bool enabled);

}  // namespace firnlog::server
