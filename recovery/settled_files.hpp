#pragma once
// SettledFiles: the directory as the next start would find it, which settle() would make it. What
// the manifest has adopted stands under its final name, what it has retired is gone.
//
// Nothing can be changed through it: a live server, or a damaged store, may lie under it. A sector
// that cannot be read is zeros, so that what stands around it can be.

#include <memory>
#include <string>
#include <vector>

#include "engine/format/manifest.hpp"
#include "io/files.hpp"

namespace firnlog::recovery {

class SettledFiles : public io::Files {
  public:
    SettledFiles(io::Files& files, const engine::Manifest& manifest)
        : files_(files), manifest_(manifest) {}

    Result<int> open(std::string_view name, io::Open how, bool direct) override;
    [[nodiscard]] bool is_direct(int) const override { return false; }
    void close(int fd) override { files_.close(fd); }
    Result<std::size_t> read(int fd, std::uint64_t offset, MutableBytes into) override;
    Result<void> write(int, std::uint64_t, Bytes) override { return read_only(); }
    Result<void> allocate(int, std::uint64_t) override { return read_only(); }
    Result<void> truncate(int, std::uint64_t) override { return read_only(); }
    // What was read is durable then: no byte of it changes.
    Result<void> sync(int fd) override { return files_.sync(fd); }
    Result<std::uint64_t> size(int fd) override { return files_.size(fd); }
    Result<std::unique_ptr<io::Mapping>> map(int fd) override { return files_.map(fd); }
    Result<void> rename(std::string_view, std::string_view) override { return read_only(); }
    Result<void> link(std::string_view, std::string_view) override { return read_only(); }
    Result<io::Given> give(std::string_view name, io::Files& to, std::string_view to_name) override;
    Result<void> unlink(std::string_view) override { return read_only(); }
    Result<void> make_dir(std::string_view) override { return read_only(); }
    Result<std::vector<io::FileInfo>> list(std::string_view dir) override;
    Result<void> sync_dir(std::string_view) override { return read_only(); }
    Result<std::unique_ptr<io::Lock>> lock(std::string_view) override {
        return fail(Error{.code = Code::usage, .doing = "lock a store that is only read"});
    }
    Result<std::uint64_t> free_bytes() override { return files_.free_bytes(); }

  private:
    // Under which name it lies there now.
    [[nodiscard]] Result<std::string> settled_name(std::string_view name);
    static Result<void> read_only() {
        return fail(Error{.code = Code::usage, .doing = "change a store that is only read"});
    }
    io::Files& files_;
    const engine::Manifest& manifest_;
};

}  // namespace firnlog::recovery
