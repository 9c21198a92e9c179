#pragma once
// TailScan: where the log ends. The files that no later frame vouches for in full are read and
// verified, the place where the last whole batch ends is found, and what lies behind it is judged.

#include <functional>
#include <vector>

#include "recovery/cases.hpp"
#include "recovery/log_reader.hpp"
#include "recovery/refusal.hpp"

namespace firnlog::recovery {

struct Cut {
    // Files before this one are kept whole; behind it, nothing is. == readers.size(): all are kept.
    std::size_t file = 0;
    std::uint64_t offset = 0;        // bytes of that file that are kept
    std::uint64_t frame_offset = 0;  // of the frame that is cut in its middle, or 0
    engine::Lsn lsn;                 // the log ends here
};

struct TailScan {
    std::size_t first = 0;           // in the chain: the first file of the tail
    std::vector<LogReader> readers;  // loaded; one for each file of the tail
    Verdict verdict = Verdict::end;
    Cut cut;
    engine::Lsn vouched;
    std::int64_t last_commit_us = 0;
};

// `chain` is in the order of bases; `strays` are files whose header does not fit but which may hold
// frames; `vouched` is known from the manifest. A refusal if acknowledged bytes are damaged.
// `read` is told the bytes of each file; false: give up, with Code::busy.
[[nodiscard]] Opening<TailScan> scan_tail(io::Files& files, const engine::StoreId& store_id,
                                          const std::vector<LogFile>& chain,
                                          const std::vector<LogFile>& strays, engine::Lsn begin,
                                          engine::Lsn vouched,
                                          const std::function<bool(std::uint64_t)>& read = {});

// What is wrong, for a person.
[[nodiscard]] Refusal damaged_at(const LogReader& reader, engine::Lsn vouched,
                                 std::uint64_t records_behind);

}  // namespace firnlog::recovery
