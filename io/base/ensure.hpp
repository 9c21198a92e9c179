#pragma once
// ensure: our own mistakes stop the process, in every build.
//
// A condition that only a bug can break is stated with `ensure`. It is never used for what a client
// sends, a disk returns or an operator configures: those are a RESP error or a Result.

#include <source_location>

namespace firnlog {

// Writes what was expected and where to standard error, then raises SIGABRT, whose handler in the
// server adds a crash report.
[[noreturn]] void ensure_failed(const char* what, std::source_location at) noexcept;

// That line, for a crash report that is written elsewhere too; empty while nothing is broken.
[[nodiscard]] const char* broken_invariant() noexcept;

inline void ensure(bool holds, const char* what = "invariant",
                   std::source_location at = std::source_location::current()) noexcept {
    if (!holds) [[unlikely]]
        ensure_failed(what, at);
}

}  // namespace firnlog
