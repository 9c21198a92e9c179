#pragma once
// Connection: one client of the server under test, over TCP on this machine.
//
// Commands are collected and sent together; replies come back in order. Nothing throws and nothing
// waits for ever: a reply that does not come in time, a close and a reset all are Got::closed or
// Got::late, and the caller knows which of its commands were answered. Owned by one thread.

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/resp/buffer.hpp"

namespace firnlog::crashtest {

struct Reply {
    enum class Kind : std::uint8_t { status, error, integer, bulk, null, array };
    Kind kind = Kind::null;
    std::string text;  // of a status, an error or a bulk
    std::int64_t integer = 0;
    std::vector<Reply> items;

    [[nodiscard]] bool is_error() const noexcept { return kind == Kind::error; }
    [[nodiscard]] bool is_error(std::string_view code) const noexcept {
        return is_error() && text.starts_with(code);
    }
};

enum class Got : std::uint8_t { reply, late, closed };

class Connection {
  public:
    Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { close(); }

    // To 127.0.0.1; at once or not at all.
    [[nodiscard]] bool open(std::uint16_t port);
    void close() noexcept;

    void add(std::initializer_list<std::string_view> words) { add(std::span(words)); }
    void add(std::span<const std::string_view> words);
    void add(const std::vector<std::string>& words) {
        add(std::span<const std::string_view>(
            std::vector<std::string_view>(words.begin(), words.end())));
    }
    // False: the connection is gone. What was added is forgotten either way.
    [[nodiscard]] bool send();
    [[nodiscard]] Got receive(Reply& reply, int timeout_ms);

    // add, send, receive. A connection that is gone is an error reply of code CLOSED or LATE.
    [[nodiscard]] Reply ask(std::initializer_list<std::string_view> words, int timeout_ms);

  private:
    int socket_ = -1;
    server::resp::Buffer out_;
    std::string in_;
    std::size_t read_ = 0;  // bytes of in_ that were parsed
};

// A port that nobody listens on.
[[nodiscard]] std::uint16_t free_port();

}  // namespace firnlog::crashtest
