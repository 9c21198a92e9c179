#pragma once
// KeptCommand: a command kept beyond the turn in which it was parsed, because MULTI queued it or it
// waits to run again. Its arguments were views of what was received; here they have bytes of their
// own, in one piece, so that the views stay true when the command moves.

#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace firnlog::server {

class KeptCommand {
  public:
    explicit KeptCommand(std::span<const std::string_view> args);
    [[nodiscard]] std::span<const std::string_view> args() const { return views_; }
    [[nodiscard]] std::size_t bytes() const { return bytes_; }

  private:
    std::unique_ptr<char[]> text_;
    std::vector<std::string_view> views_;
    std::size_t bytes_ = 0;
};

}  // namespace firnlog::server
