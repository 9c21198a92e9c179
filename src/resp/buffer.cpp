#include "src/resp/buffer.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "io/base/ensure.hpp"
#include "io/base/memory.hpp"

namespace firnlog::server::resp {

namespace {

constexpr std::size_t kFirstBytes = 1024;

}  // namespace

void Buffer::Free::operator()(char* memory) const noexcept { std::free(memory); }

void Buffer::insert(std::size_t offset, std::string_view bytes) noexcept {
    ensure(offset <= size_ || lost_);
    if (offset > size_ || room(bytes.size()) == nullptr) return;
    char* const at = memory_.get() + offset;
    std::memmove(at + bytes.size(), at, size_ - offset);
    std::memcpy(at, bytes.data(), bytes.size());
    size_ += bytes.size();
}

void Buffer::truncate(std::size_t size) noexcept {
    ensure(size <= size_ || lost_);
    size_ = std::min(size, size_);
}

void Buffer::clear() noexcept {
    size_ = 0;
    if (capacity_ <= kKeptBytes) return;
    memory_.reset();
    capacity_ = 0;
}

bool Buffer::grow(std::size_t bytes) noexcept {
    if (lost_ || bytes > bytes_max_ || size_ > bytes_max_ - bytes) return lose();
    const std::size_t wanted = size_ + bytes;
    // Doubling bounds the copies; past a MiB half more does, and wastes less.
    const std::size_t capacity = wanted < (std::size_t{1} << 20)
                                     ? std::max(std::bit_ceil(wanted), kFirstBytes)
                                     : std::max(wanted, capacity_ + capacity_ / 2);
    auto* const memory = static_cast<char*>(resize_memory(memory_.get(), capacity));
    if (memory == nullptr) return lose();
    (void)memory_.release();
    memory_.reset(memory);
    capacity_ = capacity;
    return true;
}

// Nothing may follow a lost byte, or the client would take it for something else; without memory
// every later byte comes by here.
bool Buffer::lose() noexcept {
    lost_ = true;
    memory_.reset();
    capacity_ = 0;
    size_ = 0;
    return false;
}

}  // namespace firnlog::server::resp
