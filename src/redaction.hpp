#pragma once
// Redaction: a command's arguments as MONITOR and the slow log may show them: passwords are
// "(redacted)", everything else is itself.
//
// AUTH's and HELLO AUTH's words, and the values of CONFIG SET's sensitive rows. Views only; lives
// as long as the arguments.

#include <cstdint>
#include <span>
#include <string_view>

namespace firnlog::server {

class Redaction {
  public:
    explicit Redaction(std::span<const std::string_view> args);
    [[nodiscard]] std::string_view operator[](std::size_t i) const;
    [[nodiscard]] std::size_t size() const { return args_.size(); }

  private:
    enum class Which : std::uint8_t { none, behind_name, hello, config_set };
    std::span<const std::string_view> args_;
    Which which_ = Which::none;
    std::size_t auth_ = 0;  // hello: where AUTH stands
};

}  // namespace firnlog::server
