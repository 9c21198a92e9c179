#pragma once
// Aside: a directory that is built beside its final name, and has that name only when it is whole.

#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "io/files.hpp"

namespace firnlog::server::cli {

class Aside {
  public:
    // Makes TO.tmp. The error says why that cannot be: TO is there and not empty, or TO.tmp is.
    [[nodiscard]] static tl::expected<Aside, std::string> make(std::string to);
    [[nodiscard]] io::Files& files() { return *files_; }

    // Gives it its name, durably. The error says what could not be done.
    [[nodiscard]] tl::expected<void, std::string> put_in_place();
    // Removes it with everything in it.
    void remove();

  private:
    Aside(std::string to, std::string aside, std::unique_ptr<io::Files> files)
        : to_(std::move(to)), aside_(std::move(aside)), files_(std::move(files)) {}

    std::string to_;
    std::string aside_;
    std::unique_ptr<io::Files> files_;
};

}  // namespace firnlog::server::cli
