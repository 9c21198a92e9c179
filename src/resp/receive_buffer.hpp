#pragma once
// ReceiveBuffer: bytes a client sent that no command has used up yet, in one contiguous piece.
//
//   memory_ | used up | head_ ... unread ... | room |        or, lent:  head_ -> the caller's bytes
//
// Between commands nothing is kept, so what arrives is first looked at where the kernel put it
// (`receive` lends it) and only the rest of an incomplete command is copied (`settle`). Memory
// grows with the bytes that arrive, at most to twice their number, never with a length a client
// merely announced; what a huge command needed is given back behind it. Invariant: unread() <=
// bytes_max. Views of unread() live until the next call but `consume`. Owned by one connection,
// hence one reactor: no locks.

#include <cstddef>
#include <memory>
#include <string_view>

namespace firnlog::server::resp {

class ReceiveBuffer {
  public:
    // Redis's client-query-buffer-limit.
    static constexpr std::size_t kBytesMax = std::size_t{1} << 30;
    // Kept through idle times; larger memory goes back once it is not needed.
    static constexpr std::size_t kKeptBytes = std::size_t{64} << 10;

    explicit ReceiveBuffer(std::size_t bytes_max = kBytesMax) noexcept : bytes_max_(bytes_max) {}

    // A client has less to say before it has said who it is.
    void limit(std::size_t bytes_max) noexcept { bytes_max_ = bytes_max; }

    // Bytes go behind what is unread. All are false, with nothing changed, when that would pass the
    // bound or memory is short: the connection cannot go on.
    [[nodiscard]] bool receive(std::string_view bytes);  // lent, where that is possible
    [[nodiscard]] bool append(std::string_view bytes);   // copied
    // Copies what was lent and is still unread: call before the caller's bytes go away.
    [[nodiscard]] bool settle();

    [[nodiscard]] std::string_view unread() const noexcept { return {head_, size_}; }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

    // The first `bytes` of unread() are used up. Views of them stay good for now.
    void consume(std::size_t bytes) noexcept;
    // The command begun in unread() announces this many bytes: growth stops there if it arrives.
    void expect(std::size_t bytes) noexcept { expected_ = bytes; }
    // Gives back memory far beyond what is unread; `release` also what would be kept.
    void trim();
    void release();

  private:
    struct Free {
        void operator()(char* memory) const noexcept;
    };

    [[nodiscard]] std::size_t capacity_for(std::size_t bytes) const noexcept;
    [[nodiscard]] bool move_to(std::size_t capacity);

    std::size_t bytes_max_;
    std::unique_ptr<char[], Free> memory_;
    std::size_t capacity_ = 0;
    const char* head_ = nullptr;
    std::size_t size_ = 0;
    std::size_t expected_ = 0;
    bool lent_ = false;
};

}  // namespace firnlog::server::resp
