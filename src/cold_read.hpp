#pragma once
// A cold read: a record of which no map holds the bytes, read through the ring for a command that
// runs again when it has come.
//
//   segment   |    block    |    block    |     whole blocks, since the file may be open for direct
//                  '---- record ----'           I/O; these want to lie whole in memory, too
//
// The segment is pinned while the read is in flight: it is not given back under it.

#include <functional>

#include "engine/engine.hpp"
#include "engine/session.hpp"
#include "io/io.hpp"

namespace firnlog::server {

// `done` is called in a later turn. A failed read brings no bytes, which fit no checksum: the
// command answers that they are damaged. False, and no call, if the file was given back since the
// record was looked for: it lies elsewhere now.
[[nodiscard]] bool read_record(engine::Engine& engine, io::Io& io,
                               const engine::Session::Cold& cold,
                               std::function<void(engine::Warm)> done);

}  // namespace firnlog::server
