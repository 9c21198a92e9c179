#pragma once
// Link: a blocking connection that asks one thing at a time: for the load's own questions (INFO,
// BGSAVE), beside the connections that are measured. Also makes those.

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace firnlog::bench {

struct Target {
    std::string host = "127.0.0.1";
    std::uint16_t port = 6379;
    std::string socket_path;  // instead of host and port
    std::string user;
    std::string password;
    std::uint32_t database = 0;

    [[nodiscard]] std::string text() const;
};

// A reply, flat: of an aggregate only its elements' texts.
struct Answer {
    bool error = false;
    std::string text;
};

class Link {
  public:
    using Milliseconds = std::chrono::milliseconds;

    Link() = default;
    Link(Link&& other) noexcept;
    Link& operator=(Link&& other) noexcept;
    ~Link();

    // Connected, authenticated, in its database; the error says who refused what.
    [[nodiscard]] static tl::expected<Link, std::string> open(const Target& target,
                                                              Milliseconds patience);

    [[nodiscard]] tl::expected<Answer, std::string> ask(std::span<const std::string> words);
    [[nodiscard]] tl::expected<Answer, std::string> ask(std::initializer_list<std::string> words) {
        return ask(std::span(words.begin(), words.size()));
    }

    // Whether the other end is on this machine.
    [[nodiscard]] bool is_local() const;
    // From any thread: whoever waits for an answer gets an error.
    void interrupt() const;

    // The descriptor, non-blocking, for somebody else to own.
    [[nodiscard]] int release();

  private:
    [[nodiscard]] tl::expected<void, std::string> fill();
    [[nodiscard]] tl::expected<std::string, std::string> line();
    [[nodiscard]] tl::expected<Answer, std::string> answer();

    int fd_ = -1;
    std::string unread_;
};

// The value of "name:value" in INFO's text; empty when there is none.
[[nodiscard]] std::string info_field(std::string_view info, std::string_view name);

}  // namespace firnlog::bench
