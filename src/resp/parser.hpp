#pragma once
// Parser: commands out of what a client sent, both forms: RESP arrays and typed (inline) lines.
//
//   idle --'*n'--> n arguments missing --'$m', m bytes--> n-1 missing --> ... --> command --> idle
//   idle --any other first byte--> a line, split as by a shell --> command --> idle
//
// It remembers where it stopped, as offsets into unread(), so that bytes are looked at once however
// they are split, and the same bytes give the same commands and errors for any split. Errors are
// final and worded as Redis 7.0.15 words them; like Redis it takes the two bytes behind a length or
// an argument for CR LF unseen. Two things differ on purpose: control characters are not echoed,
// and a NUL does not hide the rest of a line. What looks like HTTP is a browser or a proxy lured
// into talking to us: `close_silently`. Owned by one connection, hence one reactor: no locks.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/resp/receive_buffer.hpp"

namespace firnlog::server::resp {

inline constexpr std::size_t kLineBytesMax = std::size_t{64} << 10;
inline constexpr std::int64_t kArgumentsMax = std::int64_t{1} << 20;
inline constexpr std::int64_t kUnauthenticatedArgumentsMax = 10;
inline constexpr std::int64_t kUnauthenticatedBulkBytesMax = 16 << 10;

enum class Status : std::uint8_t {
    need_more,       // nothing whole is there; what was lent may be settled
    command,         // arguments() holds at least one
    error,           // error() is to be sent, then the connection closed
    close_silently,  // not a client of ours
};

class Parser {
  public:
    struct Limits {
        std::int64_t bulk_bytes_max = std::int64_t{512} << 20;  // proto-max-bulk-len
        bool authenticated = true;  // false: a password is set and this client has not given it
    };

    // For every length read from now on.
    void limit(Limits limits) noexcept { limits_ = limits; }

    // Uses up the next command. arguments() are views into `buffer` (or of ours) that live until
    // the next call of any verb that changes either.
    [[nodiscard]] Status next(ReceiveBuffer& buffer);

    [[nodiscard]] std::span<const std::string_view> arguments() const noexcept {
        return arguments_;
    }
    // "ERR Protocol error: ..."
    [[nodiscard]] std::string_view error() const noexcept { return error_; }
    // A command has begun and its end has not arrived.
    [[nodiscard]] bool amid_command() const noexcept { return missing_ != 0; }

  private:
    // A span of unread(), which may move between two calls.
    struct Place {
        std::size_t offset;
        std::size_t size;
    };
    enum class Step : std::uint8_t { go_on, need_more, failed };

    [[nodiscard]] Step read_line(std::string_view unread);
    [[nodiscard]] Step read_array(ReceiveBuffer& buffer, std::string_view unread);
    [[nodiscard]] Step read_count(std::string_view unread);
    [[nodiscard]] Step read_bulk_length(std::string_view unread);
    [[nodiscard]] Step find_line_end(std::string_view unread, char ending, const char* too_big,
                                     std::string_view& line);
    [[nodiscard]] Step refuse(std::string_view what);
    void shrink();

    Limits limits_;
    std::size_t cursor_ = 0;    // the next byte of unread() to look at
    std::size_t searched_ = 0;  // bytes at the cursor that hold no end of line
    std::int64_t missing_ = 0;  // arguments still to come; 0: between two commands
    std::int64_t bulk_ = -1;    // length of the argument at the cursor; -1: its header comes first
    bool began_ = false;        // a command was delivered: the first line is over
    Status end_ = Status::need_more;  // once an error or close_silently, for good
    std::vector<Place> places_;
    std::vector<std::string_view> arguments_;
    std::string unquoted_;
    std::string error_;
};

}  // namespace firnlog::server::resp
