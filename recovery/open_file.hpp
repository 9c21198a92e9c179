#pragma once
// OpenFile: a descriptor that is closed with it.

#include "io/files.hpp"

namespace firnlog::recovery {

class OpenFile {
  public:
    OpenFile(io::Files& files, int fd) : files_(files), fd_(fd) {}
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;
    ~OpenFile() { files_.close(fd_); }

  private:
    io::Files& files_;
    const int fd_;
};

}  // namespace firnlog::recovery
