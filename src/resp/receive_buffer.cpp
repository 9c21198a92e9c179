#include "src/resp/receive_buffer.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>

#include "io/base/ensure.hpp"
#include "io/base/memory.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::server::resp {

namespace {

constexpr std::size_t kFirstBytes = 1024;
// Room behind an announced command for the beginning of the next, which comes in the same packet.
constexpr std::size_t kFollowingBytes = std::size_t{64} << 10;

}  // namespace

void ReceiveBuffer::Free::operator()(char* memory) const noexcept { std::free(memory); }

bool ReceiveBuffer::receive(std::string_view bytes) {
    if (size_ != 0) return append(bytes);
    if (bytes.size() > bytes_max_) return false;
    head_ = bytes.data();
    size_ = bytes.size();
    lent_ = true;
    return true;
}

bool ReceiveBuffer::append(std::string_view bytes) {
    if (bytes.size() > bytes_max_ || size_ > bytes_max_ - bytes.size()) return false;
    if (!settle()) return false;
    const std::size_t wanted = size_ + bytes.size();
    if (wanted == 0) return true;
    std::size_t used_up = size_ == 0 ? 0 : static_cast<std::size_t>(head_ - memory_.get());
    if (used_up + wanted > capacity_) {
        // Moving to the front is paid for by the bytes used up; otherwise a larger home is due.
        if (wanted <= capacity_ && size_ <= used_up) {
            std::memmove(memory_.get(), head_, size_);
        } else if (!move_to(capacity_for(wanted))) {
            return false;
        }
        used_up = 0;
    }
    head_ = memory_.get() + used_up;
    if (!bytes.empty()) std::memcpy(memory_.get() + used_up + size_, bytes.data(), bytes.size());
    size_ = wanted;
    return true;
}

bool ReceiveBuffer::settle() {
    if (!lent_) return true;
    if (size_ > capacity_) {
        if (!move_to(capacity_for(size_))) return false;
    } else {
        if (size_ != 0 && !planted("half_a_command_not_kept"))
            std::memcpy(memory_.get(), head_, size_);
        head_ = memory_.get();
    }
    lent_ = false;
    return true;
}

void ReceiveBuffer::consume(std::size_t bytes) noexcept {
    ensure(bytes <= size_);
    head_ += bytes;
    size_ -= bytes;
    expected_ = 0;
}

void ReceiveBuffer::trim() {
    if (capacity_ <= kKeptBytes) return;
    if (size_ == 0) {
        release();
    } else if (!lent_ && std::max(size_, expected_) < capacity_ / 4) {
        // Failing to shrink is no failure.
        (void)move_to(capacity_for(size_));
    }
}

void ReceiveBuffer::release() {
    if (size_ != 0) return;
    memory_.reset();
    capacity_ = 0;
    head_ = nullptr;
    lent_ = false;
}

std::size_t ReceiveBuffer::capacity_for(std::size_t bytes) const noexcept {
    if (bytes < expected_) return std::min(2 * bytes, expected_ + kFollowingBytes);
    return std::max(std::bit_ceil(bytes), kFirstBytes);
}

bool ReceiveBuffer::move_to(std::size_t capacity) {
    auto* const memory = static_cast<char*>(resize_memory(nullptr, capacity));
    if (memory == nullptr) return false;
    if (size_ != 0) std::memcpy(memory, head_, size_);
    memory_.reset(memory);
    capacity_ = capacity;
    head_ = memory;
    lent_ = false;
    return true;
}

}  // namespace firnlog::server::resp
