// operator new of the program: malloc, and the handler where that fails (io/base/memory.hpp).
//
// mimalloc brings one of its own, which is built as C and ends the process instead of asking the
// handler. A definition in the program goes before a library's. Not in a sanitizer's build, which
// looks at each pair of new and delete.

#include <cstdlib>
#include <new>

namespace {

template <class Allocate>
void* allocate(const Allocate& once) {
    for (;;) {
        if (auto* const at = once()) return at;
        const auto handler = std::get_new_handler();
        if (handler == nullptr) throw std::bad_alloc();
        handler();
    }
}

void* allocate(std::size_t bytes) {
    return allocate([bytes] { return std::malloc(bytes == 0 ? 1 : bytes); });
}

void* allocate(std::size_t bytes, std::align_val_t alignment) {
    const auto unit = static_cast<std::size_t>(alignment);
    return allocate([=] { return std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit); });
}

template <class... How>
void* allocate_or_null(How... how) noexcept {
    try {
        return allocate(how...);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate(bytes); }
void* operator new[](std::size_t bytes) { return allocate(bytes); }
void* operator new(std::size_t bytes, std::align_val_t unit) { return allocate(bytes, unit); }
void* operator new[](std::size_t bytes, std::align_val_t unit) { return allocate(bytes, unit); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
    return allocate_or_null(bytes);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
    return allocate_or_null(bytes);
}
void* operator new(std::size_t bytes, std::align_val_t unit, const std::nothrow_t&) noexcept {
    return allocate_or_null(bytes, unit);
}
void* operator new[](std::size_t bytes, std::align_val_t unit, const std::nothrow_t&) noexcept {
    return allocate_or_null(bytes, unit);
}

void operator delete(void* at) noexcept { std::free(at); }
void operator delete[](void* at) noexcept { std::free(at); }
void operator delete(void* at, std::size_t) noexcept { std::free(at); }
void operator delete[](void* at, std::size_t) noexcept { std::free(at); }
void operator delete(void* at, std::align_val_t) noexcept { std::free(at); }
void operator delete[](void* at, std::align_val_t) noexcept { std::free(at); }
void operator delete(void* at, std::size_t, std::align_val_t) noexcept { std::free(at); }
void operator delete[](void* at, std::size_t, std::align_val_t) noexcept { std::free(at); }
void operator delete(void* at, const std::nothrow_t&) noexcept { std::free(at); }
void operator delete[](void* at, const std::nothrow_t&) noexcept { std::free(at); }
void operator delete(void* at, std::align_val_t, const std::nothrow_t&) noexcept { std::free(at); }
void operator delete[](void* at, std::align_val_t, const std::nothrow_t&) noexcept {
    std::free(at);
}
