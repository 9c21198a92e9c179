#include "io/base/memory.hpp"

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <new>

// mimalloc's, where that is linked (the sanitizers bring allocators of their own).
extern "C" [[gnu::weak]] void mi_collect(bool force) noexcept;

namespace firnlog {
namespace {

std::size_t bytes_aside = 0;
std::atomic<void*> aside{nullptr};

void* map(std::size_t bytes, int flags) noexcept {
    auto* const at =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return at == MAP_FAILED ? nullptr : at;
}

// Where the kernel keeps count of what it has promised, this counts.
void* map_aside() noexcept { return map(bytes_aside, 0); }

}  // namespace

bool give_up_aside() noexcept {
    auto* const at = aside.exchange(nullptr);
    if (at == nullptr) return false;
    ::munmap(at, bytes_aside);
    return true;
}

void set_memory_aside(std::size_t bytes) {
    bytes_aside = bytes;
    aside.store(map_aside());
    std::set_new_handler([] {
        if (!give_up_aside()) throw std::bad_alloc();
    });
}

bool short_of_memory() noexcept {
    return bytes_aside != 0 && aside.load(std::memory_order_relaxed) == nullptr;
}

bool set_aside_again() noexcept {
    if (!short_of_memory()) return true;
    auto* const at = map_aside();
    aside.store(at);
    return at != nullptr;
}

void give_back_freed() noexcept {
    if (mi_collect != nullptr) mi_collect(true);
}

void* resize_memory(void* at, std::size_t bytes) noexcept {
    for (;;) {
        if (auto* const now = std::realloc(at, bytes)) return now;
        if (!give_up_aside()) return nullptr;
    }
}

void* map_memory(std::size_t bytes) noexcept {
    for (;;) {
        if (auto* const at = map(bytes, MAP_NORESERVE)) return at;
        if (!give_up_aside()) return nullptr;
    }
}

}  // namespace firnlog
