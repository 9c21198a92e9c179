#include "recovery/rebuilt_manifest.hpp"

#include <algorithm>
#include <map>

#include "engine/checkpoint_file.hpp"
#include "engine/format/names.hpp"
#include "engine/history.hpp"
#include "recovery/log_reader.hpp"

namespace firnlog::recovery {
namespace {

namespace names = engine::names;
using engine::Lsn;

Result<void> find_checkpoints(io::Files& files, engine::Manifest& manifest) {
    auto listed = files.list();
    if (!listed) return fail(listed);
    for (const auto& info : *listed) {
        const auto number = names::checkpoint_number(info.name);
        if (const auto packed = names::packed_number(info.name)) manifest.packed.push_back(*packed);
        if (!number) continue;
        const auto reader = engine::CheckpointReader::open(files, *number, manifest.store_id);
        if (!reader) continue;
        manifest.hash_secret = (*reader)->header().hash_secret;
        manifest.checkpoints.push_back({.number = *number,
                                        .lo = (*reader)->trailer().lo,
                                        .hi = (*reader)->trailer().hi,
                                        .bytes = info.bytes,
                                        .taken_us = (*reader)->header().begun_us});
    }
    std::ranges::sort(manifest.packed);
    std::ranges::sort(manifest.checkpoints, {}, &engine::CheckpointEntry::lo);
    return {};
}

}  // namespace

Result<engine::Manifest> rebuild_manifest(io::Files& files) {
    engine::Manifest manifest;
    auto found = find_log_files(files, manifest.store_id);
    if (!found) return fail(found);
    if (found->empty()) return fail(Error{.code = Code::missing, .doing = "find a segment"});
    std::map<engine::StoreId, int> ids;
    for (const auto& file : *found)
        if (file.header.fault == engine::HeaderFault::none ||
            file.header.fault == engine::HeaderFault::foreign)
            ++ids[file.header.header.store_id];
    if (ids.empty()) return fail(Error{.code = Code::damaged, .doing = "find a segment's header"});
    manifest.store_id =
        std::ranges::max_element(ids, {}, [](const auto& item) { return item.second; })->first;
    std::map<engine::Timeline, Lsn> begins;
    for (const auto& file : *found) {
        if (file.header.header.store_id != manifest.store_id) continue;
        manifest.recycles = manifest.recycles || file.may_be_stale();
        if (file.base().value == 0) continue;
        const auto [at, is_new] = begins.try_emplace(file.header.header.timeline, file.base());
        if (!is_new) at->second = std::min(at->second, file.base());
    }
    for (const auto& [timeline, begin] : begins)
        manifest.timelines.push_back(
            {.timeline = timeline, .begin = begin, .end = {}, .started_us = 0});
    if (auto found_all = find_checkpoints(files, manifest); !found_all) return fail(found_all);
    // Every store begins there. What is missing was given back, or is lost.
    auto& begin = manifest.timelines.front().begin;
    const bool whole = begin <= engine::kFirstLsn;
    begin = engine::kFirstLsn;
    // From the older one of the two newest on the log has no gap. Which of the others are kept
    // moments nobody knows any more.
    auto& checkpoints = manifest.checkpoints;
    if (!whole && checkpoints.size() > engine::kBasesMin)
        checkpoints.erase(checkpoints.begin(),
                          checkpoints.end() - static_cast<std::ptrdiff_t>(engine::kBasesMin));
    manifest.first_lsn = whole || checkpoints.empty() ? begin : checkpoints.front().lo;
    return manifest;
}

}  // namespace firnlog::recovery
