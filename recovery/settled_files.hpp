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
#include "recovery/read_only_files.hpp"

namespace firnlog::recovery {

class SettledFiles : public ReadOnlyFiles {
  public:
    SettledFiles(io::Files& files, const engine::Manifest& manifest)
        : ReadOnlyFiles(files, "change a store that is only read"), manifest_(manifest) {}

    Result<int> open(std::string_view name, io::Open how, bool direct) override;
    [[nodiscard]] bool is_direct(int) const override { return false; }
    void close(int fd) override { files_.close(fd); }
    Result<std::size_t> read(int fd, std::uint64_t offset, MutableBytes into) override;
    Result<std::uint64_t> size(int fd) override { return files_.size(fd); }
    Result<io::Given> give(std::string_view name, io::Files& to, std::string_view to_name) override;
    Result<std::vector<io::FileInfo>> list(std::string_view dir) override;

  private:
    // Under which name it lies there now.
    [[nodiscard]] Result<std::string> settled_name(std::string_view name);

    const engine::Manifest& manifest_;
};

}  // namespace firnlog::recovery
