#pragma once
// TempDir: a directory that goes with the test, under TMPDIR.

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "io/base/ensure.hpp"

namespace firnlog::io {

class TempDir {
  public:
    TempDir() : path_((std::filesystem::temp_directory_path() / "firnlog-io-XXXXXX").string()) {
        ensure(::mkdtemp(path_.data()) != nullptr, "a temporary directory can be made");
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

}  // namespace firnlog::io
