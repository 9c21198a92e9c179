#pragma once
// The sealed plan: which files of the log are replayed before its tail, and where each one ends.
//
// A sealed file ends where the next one begins, or where its timeline does; then the log jumps to
// the beginning of the next timeline. So the ends are known before a byte of them is read, and a
// file that is missing is missed here.

#include <optional>
#include <vector>

#include "engine/format/manifest.hpp"
#include "recovery/log_reader.hpp"
#include "recovery/refusal.hpp"

namespace firnlog::recovery {

struct SealedFile {
    std::size_t file = 0;  // in the chain
    engine::Lsn end;
};

// What is replayed of the chain, which is in the order of bases.
struct ReplayRange {
    std::optional<engine::Lsn> lo;  // of the checkpoint that replay follows, if there is one
    std::size_t first = 0;          // the file that has lo, where there is one
    std::size_t tail = 0;           // the first file that is not sealed; chain.size() if all are
    engine::Lsn vouched;            // everything before it was acknowledged
};

[[nodiscard]] Opening<std::vector<SealedFile>> plan_sealed(const std::vector<LogFile>& chain,
                                                           const engine::Manifest& manifest,
                                                           const ReplayRange& range);

}  // namespace firnlog::recovery
