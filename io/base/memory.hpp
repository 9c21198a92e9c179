#pragma once
// What happens when memory runs out.
//
// A bare C++ program ends where an allocation fails. This one sets address space aside beforehand,
// never touched and so without a page behind it. The first allocation that fails gives it up and is
// tried again: what is going on at that moment ends well, and whoever asks short_of_memory() takes
// on nothing new that grows, until set_aside_again() finds room for it.
//
// An allocation that is larger than what was set aside, or the next to fail, throws std::bad_alloc
// (operator new) or is nullptr (resize, map). All of this is one of a process, and any thread's.
// The kernel says no where an address space or its commitment has a limit (setrlimit(2), proc(5):
// overcommit_memory); a control group's limit kills instead, see `maxmemory`.

#include <cstddef>

namespace firnlog {

// Once, before there are threads. Without it an allocation fails as anywhere.
void set_memory_aside(std::size_t bytes);

// It was given up.
[[nodiscard]] bool short_of_memory() noexcept;

// True if there is as much again. Any thread, but one at a time.
bool set_aside_again() noexcept;

// What was allocated by this thread and is free goes back to the system, where the allocator has
// kept it. Takes a while.
void give_back_freed() noexcept;

// For what allocates by ways of its own and may try again; false if it was given up before.
bool give_up_aside() noexcept;

// realloc, tried again as operator new is; nullptr if there is nothing left.
[[nodiscard]] void* resize_memory(void* at, std::size_t bytes) noexcept;

// Zero pages of no file, likewise; they come into being when they are touched, and go by munmap.
[[nodiscard]] void* map_memory(std::size_t bytes) noexcept;

}  // namespace firnlog
