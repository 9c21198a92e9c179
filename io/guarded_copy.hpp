#pragma once
// guarded_copy: the one routine that touches a file's map, so that SIGBUS becomes `false`.
//
// A map of a file that was truncated, or whose sector cannot be read, raises SIGBUS on the access.
// install_sigbus_guard() sets a handler for the process; while a guarded copy runs on this thread
// the handler leaves it, at any other place it lets the default action (or the handler before it)
// have the signal. Source: signal(7), mmap(2).

#include <cstddef>

namespace firnlog::io {

void install_sigbus_guard();

// Copies n bytes; false if they could not all be read. Any thread.
[[nodiscard]] bool guarded_copy(std::byte* to, const std::byte* from, std::size_t n) noexcept;

}  // namespace firnlog::io
