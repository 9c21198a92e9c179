#pragma once
// Writer: the verbs a reply is made of, in RESP2 or RESP3, byte for byte as Redis 7.0.15 has them.
//
//              RESP2            RESP3                      RESP2            RESP3
//   null       $-1              _            map(n)        *2n              %n
//   null_array *-1              _            set(n)        *n               ~n
//   boolean    :1 :0            #t #f        push(n)       *n               >n
//   number     $4 0.25          ,0.25        verbatim      $2 hi            =6 txt:hi
//   big_number $3 123           (123
//
// Aggregates announce how many elements follow; where that is known only afterwards, `array_later`
// and its like begin one, and `close` puts the header in front of what was written since. Those
// nest, the inner closed first. A Writer borrows its Buffer and owns nothing.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "src/resp/buffer.hpp"

namespace firnlog::server::resp {

enum class Protocol : std::uint8_t { resp2 = 2, resp3 = 3 };

class Writer {
  public:
    // An aggregate whose size is not yet known.
    struct Later {
        std::size_t offset;
        char kind;
    };

    explicit Writer(Buffer& out, Protocol protocol = Protocol::resp2) noexcept
        : out_(&out), protocol_(protocol) {}

    void speak(Protocol protocol) noexcept { protocol_ = protocol; }  // HELLO, RESET
    [[nodiscard]] Protocol protocol() const noexcept { return protocol_; }
    [[nodiscard]] Buffer& out() noexcept { return *out_; }

    void ok() noexcept { out_->append("+OK\r\n"); }
    void simple(std::string_view text) noexcept { line('+', text); }
    // `text` begins with the code: "ERR syntax error". Control characters become spaces, for parts
    // of it may come from the client.
    void error(std::string_view text) noexcept;
    void integer(std::int64_t value) noexcept { header(':', value); }
    void bulk(std::string_view bytes) noexcept;
    // A bulk whose bytes the caller writes, before anything else is written: no second copy of a
    // long one. Empty when they are lost.
    [[nodiscard]] std::span<char> bulk_room(std::size_t bytes) noexcept;
    void bulk_integer(std::int64_t value) noexcept;
    void verbatim(std::string_view text, std::string_view format = "txt") noexcept;
    void null() noexcept;
    void null_array() noexcept;
    void boolean(bool value) noexcept;
    void number(double value) noexcept;
    void human_number(long double value);  // without an exponent, as INCRBYFLOAT shows it
    void big_number(std::string_view digits) noexcept;

    void array(std::size_t elements) noexcept { aggregate('*', elements); }
    void map(std::size_t pairs) noexcept { aggregate('%', pairs); }
    void set(std::size_t elements) noexcept { aggregate('~', elements); }
    void push(std::size_t elements) noexcept { aggregate('>', elements); }
    void attribute(std::size_t pairs) noexcept { aggregate('|', pairs); }  // RESP3 alone has it

    [[nodiscard]] Later array_later() const noexcept { return {out_->size(), '*'}; }
    [[nodiscard]] Later map_later() const noexcept { return {out_->size(), '%'}; }
    [[nodiscard]] Later set_later() const noexcept { return {out_->size(), '~'}; }
    [[nodiscard]] Later push_later() const noexcept { return {out_->size(), '>'}; }
    void close(Later later, std::size_t elements) noexcept;

  private:
    [[nodiscard]] bool is_resp3() const noexcept { return protocol_ == Protocol::resp3; }
    void header(char kind, std::int64_t value) noexcept;
    void line(char kind, std::string_view text) noexcept;
    void aggregate(char kind, std::size_t elements) noexcept;

    Buffer* out_;
    Protocol protocol_;
};

}  // namespace firnlog::server::resp
