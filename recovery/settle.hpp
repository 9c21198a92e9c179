#pragma once
// settle: what follows from the manifest's last switch is done.
//
//   manifest switched -> the adopted files take their names -> sync -> the retired ones go -> sync
//
// The switch is one rename; all that comes after it can be cut short by a crash, and is done again
// by the next start. What lies aside and was never adopted goes, too, and so do spare segments.
// SettledFiles shows the directory so without changing it.

#include "engine/format/manifest.hpp"
#include "io/files.hpp"

namespace firnlog::recovery {

[[nodiscard]] Result<void> settle(io::Files& files, const engine::Manifest& manifest);

}  // namespace firnlog::recovery
