#pragma once
// check: reads every byte of a store and tells whether it is sound. Nothing is changed and no lock
// is taken, so it runs beside a live server: what nobody vouches for yet may be in motion then. A
// fault counts only if a second look finds it at the same place.

#include "recovery/survey.hpp"

namespace firnlog::recovery {

struct Checked {
    Survey survey;
    std::int64_t keys = 0;
    std::int64_t expires = 0;
    std::uint64_t unbound = 0;  // objects that were being built when the log ends

    [[nodiscard]] bool sound() const { return survey.faults.empty(); }
    // Not stopped cleanly, or running now.
    [[nodiscard]] bool in_use() const { return !survey.manifest.clean; }
};

using CheckProgress = std::function<void(std::uint64_t bytes_done, std::uint64_t bytes_all)>;

// Errors as those of survey(); Code::busy if a server starts or stops again and again meanwhile.
[[nodiscard]] Result<Checked> check(io::Files& files, const CheckProgress& progress = {});

}  // namespace firnlog::recovery
