#pragma once
// ReadOnlyFiles: another directory of which nothing can be changed. What is derived from it says
// which names there are and what is read under them; changing anything is Code::usage.

#include "io/files.hpp"

namespace firnlog::recovery {

class ReadOnlyFiles : public io::Files {
  public:
    Result<void> write(int, std::uint64_t, Bytes) final { return refuse(); }
    Result<void> allocate(int, std::uint64_t) final { return refuse(); }
    Result<void> truncate(int, std::uint64_t) final { return refuse(); }
    Result<void> rename(std::string_view, std::string_view) final { return refuse(); }
    Result<void> link(std::string_view, std::string_view) final { return refuse(); }
    Result<void> unlink(std::string_view) final { return refuse(); }
    Result<void> make_dir(std::string_view) final { return refuse(); }
    Result<void> sync_dir(std::string_view) final { return refuse(); }
    Result<std::unique_ptr<io::Lock>> lock(std::string_view) final { return refuse(); }

    // What was read is durable then: no byte of it changes.
    Result<void> sync(int fd) override { return files_.sync(fd); }
    Result<std::unique_ptr<io::Mapping>> map(int fd) override { return files_.map(fd); }
    Result<std::uint64_t> free_bytes() override { return files_.free_bytes(); }

  protected:
    // `files` outlives it. `doing` is a literal: "change a backup".
    ReadOnlyFiles(io::Files& files, const char* doing) : files_(files), doing_(doing) {}

    [[nodiscard]] tl::unexpected<Error> refuse() const {
        return fail(Error{.code = Code::usage, .doing = doing_});
    }

    io::Files& files_;

  private:
    const char* const doing_;
};

}  // namespace firnlog::recovery
