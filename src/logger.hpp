#pragma once
// Logger: lines for the operator, to standard error or `logfile`; one event a line, so that they
// can be grepped. Any thread.
//
//   2026-11-22T20:15:02.123Z 4711 info    ready: 127.0.0.1 port 6379

#include <string>
#include <string_view>

#include "io/base/result.hpp"
#include "src/config.hpp"

namespace firnlog::server::logger {

// Opens `path` (empty: standard error); the lines of a level below `level` are left out.
[[nodiscard]] Result<void> open(const std::string& path, LogLevel level);
void set_level(LogLevel level);
// Opens the same path anew (SIGHUP, after logrotate moved the file).
void reopen();

void debug(std::string_view text);
void notice(std::string_view text);
void warning(std::string_view text);

}  // namespace firnlog::server::logger
