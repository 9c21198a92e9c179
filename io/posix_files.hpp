#pragma once
// PosixFiles: Files over one directory of the real file system.
//
// Everything is found from a descriptor of that directory, and symbolic links are not followed
// within it: nothing a name holds leads out. Files are 0600, folders 0700. On btrfs a created file
// is marked no-copy-on-write, as space made ready must still be there when it is written. No state
// but the directory's descriptor, which never changes: thread-safe.

#include <memory>
#include <string>

#include "io/base/result.hpp"
#include "io/files.hpp"

namespace firnlog::io {

// `create`: makes the directory, durably, if it is missing; its parent must exist.
[[nodiscard]] Result<std::unique_ptr<Files>> open_posix_files(const std::string& dir, bool create);

}  // namespace firnlog::io
