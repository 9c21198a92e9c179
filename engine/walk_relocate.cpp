// What a walk moves: the index is asked what is in use, the emptiest files are chosen by that, and
// their survivors are found and moved, in rounds.

#include <algorithm>

#include "engine/walk.hpp"

namespace firnlog::engine {
namespace {

// With less dead than that there is no haste to move what is live: dead files get emptier.
constexpr std::uint64_t kEnoughQuarters = 7;  // of what is live
// Survivors that are moved in one round: eight bytes of memory each, half a byte for each key.
constexpr std::uint64_t kRoundRecordsMin = std::uint64_t{1} << 20;
constexpr std::uint64_t kKeysARecord = 16;

}  // namespace

// Whether the index is to be asked: there are files that may be victims, and enough can be dead.
bool Walk::counts() const {
    const auto files = full_files();
    const auto any = [](FileNumber) { return std::uint64_t{1}; };
    const VictimRules rules{.small = options_.packed_bytes / 4, .live = any};
    if (victims(manifest_, files, window_now_, rules).empty()) return false;
    if (thorough_ || window_now_.retain_s != 0) return true;
    std::uint64_t bytes = 0;
    for (const auto& file : files) bytes += file.bytes;
    return bytes > live_bytes(manifest_) * kEnoughQuarters / 4;
}

Result<bool> Walk::count() {
    if (census_.step()) return true;
    phase_ = Phase::relocating;
    if (census_.finds()) {
        relocator_.take(census_.take_found());
        return true;
    }
    choose_victims();
    if (!victims_.empty()) find_survivors();
    return true;
}

// By the file's own number, which addresses may not have.
Census::Use Walk::use_of(FileNumber file) const {
    const auto* segment = segments_.find(file);
    return segment == nullptr ? Census::Use{} : census_.of(segment->known_as);
}

void Walk::choose_victims() {
    victims_ = victims(manifest_, full_files(), window_now_,
                       {.small = options_.packed_bytes / 4,
                        .enough = thorough_ ? 0 : census_.bytes() * kEnoughQuarters / 4,
                        .live = [&](FileNumber file) { return use_of(file).bytes; }});
    std::erase_if(victims_, [&](FileNumber number) { return relocator_.gave_up(number); });
    std::ranges::reverse(victims_);
    for (const auto number : victims_) moving_bytes_ += use_of(number).bytes;
}

// Of as many victims as one round has room for; of one at least.
void Walk::find_survivors() {
    const auto records_max = std::max(kRoundRecordsMin, keys() / kKeysARecord);
    std::vector<FileNumber> round;
    std::uint64_t records = 0;
    while (!victims_.empty()) {
        const auto* segment = segments_.find(victims_.back());
        records += use_of(victims_.back()).records;
        if (!round.empty() && records > records_max) break;
        if (segment != nullptr) round.push_back(segment->known_as);
        victims_.pop_back();
    }
    census_.find(round);
    phase_ = Phase::counting;
}

Result<bool> Walk::relocate() {
    auto more = relocator_.step();
    if (!more || *more) return more;
    if (!victims_.empty() && !relocator_.out_of_room()) {
        find_survivors();
        return true;
    }
    census_.forget();
    begin_image();
    return true;
}

}  // namespace firnlog::engine
