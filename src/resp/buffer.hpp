#pragma once
// Buffer: bytes of replies on their way out, in one contiguous piece that grows at its end.
//
// A bound (looked at whenever memory grows) and a shortage of memory are one case: everything is
// dropped, `lost()` stays true, and whoever owns the connection closes it; nobody who writes a
// reply has to ask. Owned by one connection, hence one reactor: no locks.

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace firnlog::server::resp {

class Buffer {
  public:
    static constexpr std::size_t kKeptBytes = std::size_t{64} << 10;

    explicit Buffer(std::size_t bytes_max = static_cast<std::size_t>(-1)) noexcept
        : bytes_max_(bytes_max) {}
    Buffer(Buffer&& other) noexcept : Buffer(other.bytes_max_) { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        swap(other);
        return *this;
    }

    void append(std::string_view bytes) noexcept {
        if (char* const to = room(bytes.size())) {
            std::memcpy(to, bytes.data(), bytes.size());
            size_ += bytes.size();
        }
    }

    // Room for `bytes` behind the end, to be filled and then committed; nullptr when they are lost.
    [[nodiscard]] char* room(std::size_t bytes) noexcept {
        if (bytes > capacity_ - size_ || memory_ == nullptr) [[unlikely]] {
            if (!grow(bytes)) return nullptr;
        }
        return memory_.get() + size_;
    }
    void commit(const char* end) noexcept { size_ = static_cast<std::size_t>(end - memory_.get()); }

    // Puts bytes in front of what has been written since size() was `offset`.
    void insert(std::size_t offset, std::string_view bytes) noexcept;
    // Takes back what has been written since size() was `size`.
    void truncate(std::size_t size) noexcept;
    // Empties it; memory far beyond the ordinary is given back.
    void clear() noexcept;

    [[nodiscard]] std::string_view view() const noexcept { return {memory_.get(), size_}; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] bool lost() const noexcept { return lost_; }

    void limit(std::size_t bytes_max) noexcept { bytes_max_ = bytes_max; }

    void swap(Buffer& other) noexcept {
        std::swap(bytes_max_, other.bytes_max_);
        std::swap(memory_, other.memory_);
        std::swap(capacity_, other.capacity_);
        std::swap(size_, other.size_);
        std::swap(lost_, other.lost_);
    }

  private:
    struct Free {
        void operator()(char* memory) const noexcept;
    };

    [[nodiscard]] bool grow(std::size_t bytes) noexcept;
    [[nodiscard]] bool lose() noexcept;

    std::size_t bytes_max_;
    std::unique_ptr<char[], Free> memory_;
    std::size_t capacity_ = 0;
    std::size_t size_ = 0;
    bool lost_ = false;
};

}  // namespace firnlog::server::resp
