#include "recovery/settle.hpp"

#include <algorithm>

#include "engine/format/names.hpp"

namespace firnlog::recovery {
namespace {

namespace names = engine::names;
using engine::FileNumber;
using engine::Manifest;

// Returns whether there was anything to rename.
Result<bool> adopt(io::Files& files, const Manifest& manifest,
                   const std::vector<io::FileInfo>& listed) {
    bool changed = false;
    for (const auto number : manifest.adopted) {
        const auto aside = names::new_log_file(number);
        if (std::ranges::count(listed, aside, &io::FileInfo::name) == 0) continue;
        if (auto renamed = files.rename(aside, names::log_file(number)); !renamed)
            return fail(renamed);
        changed = true;
    }
    return changed;
}

// What counts no more: retired, or made for a switch that never came.
bool is_past(const Manifest& manifest, std::string_view name,
             const std::vector<io::FileInfo>& listed) {
    // A sidecar without its log file, which may go now, too.
    if (const auto log = names::sidecar_number(name))
        return std::ranges::count(manifest.retired, *log) != 0 ||
               !std::ranges::binary_search(listed, names::log_file(*log), {}, &io::FileInfo::name);
    const auto number = names::any_number(name);
    if (number && std::ranges::count(manifest.retired, *number) != 0) return true;
    if (names::spare_number(name)) return true;
    const auto is_adopted = [&](FileNumber file) { return name == names::new_log_file(file); };
    if (std::ranges::any_of(manifest.adopted, is_adopted)) return false;
    if (name.ends_with(names::kNewSuffix) &&
        (name == names::kManifestNew || name == names::kDigestsNew ||
         names::log_number(name.substr(0, name.size() - names::kNewSuffix.size()))))
        return true;
    return number && !names::log_number(name) && !manifest.names(*number);
}

}  // namespace

Result<void> settle(io::Files& files, const Manifest& manifest) {
    const auto listed = files.list();
    if (!listed) return fail(listed);
    const auto adopted = adopt(files, manifest, *listed);
    if (!adopted) return fail(adopted);
    bool changed = *adopted;
    // Whichever of its two names a crash leaves an adopted file, the next start finds it: so the
    // old ones may go at once.
    for (const auto& info : *listed) {
        if (!is_past(manifest, info.name, *listed)) continue;
        if (auto gone = files.unlink(info.name); !gone) return gone;
        changed = true;
    }
    if (!changed) return {};
    return files.sync_dir();
}

}  // namespace firnlog::recovery
