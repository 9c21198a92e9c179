#pragma once
// scrub: reads what nobody may read for years: every file of a store that nothing is written into
// any more, from its first byte to its last, beside whoever serves it.
//
//   manifest, names ──> full log files, packed files, checkpoints ──one after the other──>
//   checksums
//                                                    256 KiB at a time, past the page cache, when
//                                                    `pace` lets it
//
// Nothing is held back for it: a file that goes while it is read is none that anybody needs. So a
// fault counts only if the store still needs the file and a second look finds it at the same place.

#include <functional>
#include <string>
#include <vector>

#include "io/files.hpp"
#include "recovery/refusal.hpp"
#include "recovery/survey.hpp"

namespace firnlog::recovery {

struct ScrubOptions {
    // Asked before so many bytes are read, of so many in this pass; false gives up. It may wait.
    std::function<bool(std::uint64_t bytes, std::uint64_t bytes_all)> pace;
    // As each of them is found.
    std::function<void(const Fault&)> fault;
};

struct Scrubbed {
    std::uint64_t files = 0;  // read to their end
    std::uint64_t gone = 0;   // that the store let go of meanwhile
    std::uint64_t bytes = 0;  // of both
    std::vector<Fault> faults;
};

// One pass. Code::busy if it was given up.
[[nodiscard]] Opening<Scrubbed> scrub(io::Files& files, const ScrubOptions& options);

}  // namespace firnlog::recovery
