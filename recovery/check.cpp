#include "recovery/check.hpp"

#include <algorithm>

namespace firnlog::recovery {
namespace {

Result<Checked> look(io::Files& files, const CheckProgress& progress) {
    SurveyedKeyspace found;
    Surveyed to;
    to.base = [&](LoadedCheckpoint&& loaded) { found.base(std::move(loaded)); };
    to.record = [&](const engine::Record& record, const engine::Keyspace::Place& place) {
        found.record(record, place);
    };
    to.progress = progress;
    auto surveyed = survey(files, to);
    if (!surveyed) return fail(surveyed);
    Checked checked{.survey = std::move(*surveyed)};
    checked.unbound = found.finish();
    const auto& keyspace = found.keyspace();
    for (std::uint32_t database = 0; database < keyspace.databases_end(); ++database) {
        const auto counts = keyspace.counts_of(database);
        checked.keys += counts.keys;
        checked.expires += counts.expires;
    }
    return checked;
}

}  // namespace

Result<Checked> check(io::Files& files, const CheckProgress& progress) {
    constexpr int kLooks = 5;
    std::vector<Fault> before;
    std::uint64_t sequence = 0;
    for (int looks = 0; looks < kLooks; ++looks) {
        auto checked = look(files, progress);
        // Files come and go when a server starts or stops.
        if (!checked && checked.error().code == Code::missing && looks != 0) continue;
        if (!checked) return checked;
        auto& found = *checked;
        if (found.sound()) return checked;
        const bool same_store = looks != 0 && found.survey.manifest.sequence == sequence;
        std::erase_if(before, [&](const Fault& fault) {
            return std::ranges::count(found.survey.faults, fault) == 0;
        });
        if (same_store && !before.empty()) {
            found.survey.faults = std::move(before);
            return checked;
        }
        before = found.survey.faults;
        sequence = found.survey.manifest.sequence;
    }
    return fail(Error{.code = Code::busy, .doing = "check a store that changes all the time"});
}

}  // namespace firnlog::recovery
