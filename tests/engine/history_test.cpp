#include "engine/history.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>

namespace firnlog::engine {

BOOST_AUTO_TEST_SUITE(history)

namespace {

constexpr std::int64_t kHourUs = std::int64_t{3600} * 1'000'000;
constexpr std::uint64_t kFileBytes = std::uint64_t{64} << 20;

// A file an hour, from the store's birth on, and a checkpoint at the end of each hour that leads
// into the file of that hour alone.
struct Store {
    Manifest manifest;
    std::vector<FullFile> files;

    explicit Store(std::size_t hours) {
        manifest.first_lsn = kFirstLsn;
        manifest.timelines.push_back({.timeline = 1, .begin = kFirstLsn});
        for (std::size_t hour = 0; hour < hours; ++hour) {
            const auto number = static_cast<FileNumber>(2 * hour + 1);
            const auto end = kFirstLsn + (hour + 1) * kFileBytes;
            files.push_back({.number = number,
                             .begin = kFirstLsn + hour * kFileBytes,
                             .end = end,
                             .bytes = kFileBytes});
            manifest.checkpoints.push_back(
                {.number = number + 1,
                 .lo = end,
                 .hi = end,
                 .bytes = 1000,
                 .taken_us = static_cast<std::int64_t>(hour + 1) * kHourUs,
                 .files = {number},
                 .live = {100}});
        }
        // The next one is open: nobody gives it back.
        files.push_back({.number = 1000, .bytes = 1});
    }
    [[nodiscard]] std::int64_t now_us() const { return manifest.checkpoints.back().taken_us; }
    [[nodiscard]] bool opens(std::int64_t moment_us) const {
        if (manifest.has_beginning()) return true;
        return std::ranges::any_of(manifest.checkpoints, [&](const CheckpointEntry& entry) {
            return entry.taken_us <= moment_us;
        });
    }
};

constexpr Window kNone{.retain_s = 0, .retain_bytes = 0};
constexpr std::uint64_t kPlenty = std::uint64_t{1} << 40;

}  // namespace

BOOST_AUTO_TEST_CASE(without_a_window_two_bases_stay_and_the_files_that_they_need) {
    Store store(6);
    const auto gone = let_go(store.manifest, store.files, kNone, store.now_us());
    BOOST_TEST(gone.size() == 4U);
    BOOST_REQUIRE(store.manifest.checkpoints.size() == 2U);
    BOOST_TEST((store.manifest.first_lsn == store.manifest.checkpoints[0].lo));
    BOOST_TEST(!store.manifest.has_beginning());
    // Of hour 5 the older one leads to records, and hour 6 is its log.
    const auto free = unneeded(store.manifest, store.files);
    BOOST_TEST(free.size() == 4U);
    for (const auto& file : free) BOOST_TEST(file.number < 9U);
    BOOST_TEST(history_bytes(store.manifest, store.files) == 0U);
}

// The archive has the first two hours.
BOOST_AUTO_TEST_CASE(what_is_not_archived_yet_outlives_the_window_and_no_bound_in_bytes) {
    const auto unarchived = kFirstLsn + 2 * kFileBytes;
    for (const std::int64_t retain_s : {std::int64_t{0}, std::int64_t{3600}}) {
        Store store(9);
        const Window window{
            .retain_s = retain_s, .retain_bytes = kPlenty, .unarchived = unarchived};
        (void)let_go(store.manifest, store.files, window, store.now_us());
        BOOST_TEST((store.manifest.first_lsn == unarchived));
    }
    Store all(9);
    (void)let_go(all.manifest, all.files, {.retain_bytes = kPlenty, .unarchived = kFirstLsn},
                 all.now_us() + 100 * kHourUs);
    BOOST_TEST(all.manifest.has_beginning());
    // Three hours are more than may stay, and so are two.
    for (const std::int64_t retain_s : {std::int64_t{0}, std::int64_t{3600}}) {
        Store store(9);
        const Window window{
            .retain_s = retain_s, .retain_bytes = 3 * kFileBytes, .unarchived = unarchived};
        (void)let_go(store.manifest, store.files, window, store.now_us());
        BOOST_TEST((store.manifest.first_lsn > unarchived));
        BOOST_TEST(history_bytes(store.manifest, store.files) <= 3 * kFileBytes);
    }
    Store low(9);
    (void)let_go(low.manifest, low.files,
                 {.retain_bytes = kPlenty, .room_bytes = 0, .unarchived = unarchived},
                 low.now_us());
    BOOST_TEST(low.manifest.checkpoints.size() == kBasesMin);
}

BOOST_AUTO_TEST_CASE(the_stores_beginning_is_a_base_until_two_checkpoints_are_there) {
    Store store(1);
    BOOST_TEST(let_go(store.manifest, store.files, kNone, store.now_us()).empty());
    BOOST_TEST(store.manifest.has_beginning());
    BOOST_TEST(unneeded(store.manifest, store.files).empty());
}

BOOST_AUTO_TEST_CASE(checkpoints_of_a_store_without_keys_go_before_its_beginning) {
    Store store(2);
    for (const FileNumber number : {500U, 501U})
        store.manifest.checkpoints.insert(
            store.manifest.checkpoints.begin(),
            {.number = number, .lo = kFirstLsn, .hi = kFirstLsn, .bytes = 1000, .taken_us = 1});
    BOOST_TEST(history_bytes(store.manifest, store.files) != 0U);
    const auto gone = let_go(store.manifest, store.files, kNone, store.now_us());
    BOOST_TEST(gone.size() == 2U);
    BOOST_REQUIRE(store.manifest.checkpoints.size() == 2U);
    BOOST_TEST((store.manifest.first_lsn == store.manifest.checkpoints[0].lo));
    BOOST_TEST(!store.manifest.has_beginning());
}

BOOST_AUTO_TEST_CASE(the_beginning_is_the_older_of_two_bases_when_the_first_checkpoint_is_empty) {
    Store store(1);
    store.manifest.checkpoints.insert(
        store.manifest.checkpoints.begin(),
        {.number = 500, .lo = kFirstLsn, .hi = kFirstLsn, .bytes = 1000, .taken_us = 1});
    const auto gone = let_go(store.manifest, store.files, kNone, store.now_us());
    BOOST_REQUIRE(gone.size() == 1U);
    BOOST_TEST(gone[0] == 500U);
    BOOST_TEST(store.manifest.has_beginning());
    BOOST_TEST(store.manifest.checkpoints.size() == 1U);
}

// As on a full disk. A walk that moves records takes its checkpoint where the one before was taken,
// if nothing was written between; the older one leads into the files that were emptied.
BOOST_AUTO_TEST_CASE(one_base_is_left_where_it_is_all_that_may_stay) {
    Store store(3);
    auto& entries = store.manifest.checkpoints;
    entries.push_back({.number = 500,
                       .lo = entries.back().lo,
                       .hi = entries.back().hi,
                       .bytes = 1000,
                       .taken_us = entries.back().taken_us + 1,
                       .files = {501},
                       .live = {100}});
    store.files.push_back({.number = 501, .bytes = 1000, .packed = true});
    (void)let_go(store.manifest, store.files, kNone, store.now_us(), 1);
    BOOST_REQUIRE(entries.size() == 1U);
    BOOST_TEST(entries.front().number == 500U);
    BOOST_TEST(unneeded(store.manifest, store.files).size() == 3U);
    // Nothing takes the place of the beginning but a checkpoint that was taken behind it.
    Store young(0);
    young.manifest.checkpoints.push_back(
        {.number = 500, .lo = kFirstLsn, .hi = kFirstLsn, .bytes = 1000, .taken_us = 1});
    (void)let_go(young.manifest, young.files, kNone, 1, 1);
    BOOST_TEST(young.manifest.checkpoints.size() == 1U);
    BOOST_TEST(young.manifest.has_beginning());
}

BOOST_AUTO_TEST_CASE(a_log_file_is_a_victim_as_soon_as_something_behind_it_is_durable) {
    Store store(2);
    for (const auto& entry : store.manifest.checkpoints) BOOST_TEST(entry.live.front() == 100U);
    const auto emptied = victims(store.manifest, store.files, kNone, {});
    BOOST_REQUIRE(emptied.size() == 1U);
    BOOST_TEST(emptied.front() == store.files[1].number);
    store.files[1].end = FullFile::kOpen;
    BOOST_TEST(victims(store.manifest, store.files, kNone, {}).empty());
}

// Of the files of six hours a tenth, two tenths, … are in use by a count of now.
BOOST_AUTO_TEST_CASE(the_emptiest_files_are_victims_until_enough_is_free) {
    Store store(6);
    const auto live = [](FileNumber number) {
        return number < 12 ? kFileBytes * (number / 2 + 1) / 10 : 0;
    };
    const auto found = [&](std::uint64_t enough, const Window& window = kNone) {
        return victims(store.manifest, store.files, window, {.enough = enough, .live = live});
    };
    const auto numbers = [](std::initializer_list<FileNumber> list) {
        return std::vector<FileNumber>(list);
    };
    // The newest checkpoint leads into none of the first five: what it says does not count.
    BOOST_TEST(found(0) == numbers({1, 3, 5, 7}), boost::test_tools::per_element());
    const auto all = 6 * kFileBytes + 1;
    BOOST_TEST(found(all).empty());
    BOOST_TEST(found(all - 1) == numbers({1}), boost::test_tools::per_element());
    BOOST_TEST(found(all - kFileBytes) == numbers({1, 3}), boost::test_tools::per_element());
    // Where a past is kept nothing is enough, and what was written behind the newest checkpoint is
    // no victim.
    store.manifest.checkpoints.erase(store.manifest.checkpoints.begin() + 1,
                                     store.manifest.checkpoints.end());
    store.manifest.first_lsn = store.manifest.checkpoints.front().lo;
    const Window window{.retain_s = 24 * 3600, .retain_bytes = kPlenty};
    BOOST_TEST(found(all, window) == numbers({1}), boost::test_tools::per_element());
    BOOST_TEST(found(0) == numbers({1, 3, 5, 7}), boost::test_tools::per_element());
    // One that is not closed yet never is, nor one that nothing is in use of.
    store.files[1].end = FullFile::kOpen;
    BOOST_TEST(found(0) == numbers({1, 5, 7}), boost::test_tools::per_element());
    BOOST_TEST(victims(store.manifest, store.files, kNone,
                       {.live = [](FileNumber) { return std::uint64_t{0}; }})
                   .empty());
}

// What a copy of the newest checkpoint is made for.
BOOST_AUTO_TEST_CASE(a_second_checkpoint_of_the_same_place_lets_go_of_the_log_before_it) {
    Store store(3);
    (void)let_go(store.manifest, store.files, kNone, store.now_us());
    BOOST_TEST(unneeded(store.manifest, store.files).size() == 1U);
    auto copy = store.manifest.checkpoints.back();
    copy.number = 500;
    store.manifest.checkpoints.push_back(copy);
    const auto gone = let_go(store.manifest, store.files, kNone, store.now_us());
    BOOST_REQUIRE(gone.size() == 1U);
    BOOST_TEST(gone[0] == 4U);
    BOOST_TEST(store.manifest.checkpoints.size() == 2U);
    BOOST_TEST((store.manifest.first_lsn == copy.lo));
    BOOST_TEST(unneeded(store.manifest, store.files).size() == 2U);
    // The next one, taken later, lets go of one of the two.
    copy.number = 501;
    copy.lo = copy.hi = copy.lo + kFileBytes;
    store.manifest.checkpoints.push_back(copy);
    BOOST_TEST(let_go(store.manifest, store.files, kNone, store.now_us()).size() == 1U);
    BOOST_TEST(store.manifest.checkpoints.front().number == 500U);
}

BOOST_AUTO_TEST_CASE(every_moment_of_the_window_has_a_base) {
    for (std::size_t hours = 2; hours < 80; ++hours) {
        Store store(hours);
        const Window window{.retain_s = 24 * 3600, .retain_bytes = kPlenty};
        (void)let_go(store.manifest, store.files, window, store.now_us());
        BOOST_TEST(store.opens(store.now_us() - window.retain_s * 1'000'000));
        // And no more of them than that asks for.
        if (hours > 26) BOOST_TEST(!store.opens(store.now_us() - 26 * kHourUs));
        // The log goes on from the oldest base without a gap.
        const auto free = unneeded(store.manifest, store.files);
        for (const auto& file : free) BOOST_TEST((file.end <= store.manifest.first_lsn));
    }
}

BOOST_AUTO_TEST_CASE(a_clock_that_is_not_trusted_ages_nothing) {
    Store store(50);
    const Window window{.retain_s = 24 * 3600, .retain_bytes = kPlenty};
    (void)let_go(store.manifest, store.files, window, 0);
    BOOST_TEST(store.manifest.has_beginning());
}

BOOST_AUTO_TEST_CASE(the_bound_in_bytes_outranks_the_window) {
    Store store(20);
    const Window window{.retain_s = 24 * 3600, .retain_bytes = 5 * kFileBytes};
    BOOST_TEST(history_bytes(store.manifest, store.files) > window.retain_bytes);
    (void)let_go(store.manifest, store.files, window, store.now_us());
    BOOST_TEST(history_bytes(store.manifest, store.files) <= window.retain_bytes);
    BOOST_TEST(history_bytes(store.manifest, store.files) > 3 * kFileBytes);
    BOOST_TEST(store.manifest.checkpoints.size() > 2U);
}

BOOST_AUTO_TEST_CASE(bases_that_are_near_each_other_are_thinned_and_the_two_newest_never) {
    Store store(12);
    // A file a minute instead.
    for (auto& entry : store.manifest.checkpoints) entry.taken_us /= 60;
    const Window window{.retain_s = 24 * 3600, .retain_bytes = kPlenty};
    const auto newest = store.manifest.checkpoints;
    (void)let_go(store.manifest, store.files, window, store.now_us());
    BOOST_TEST(store.manifest.has_beginning());
    BOOST_REQUIRE(store.manifest.checkpoints.size() >= 2U);
    BOOST_TEST(store.manifest.checkpoints.size() < 6U);
    BOOST_TEST(store.manifest.checkpoints.back().number == newest.back().number);
    BOOST_TEST(store.manifest.checkpoints[store.manifest.checkpoints.size() - 2].number ==
               newest[newest.size() - 2].number);
    // No file goes by that: the log is whole.
    BOOST_TEST(unneeded(store.manifest, store.files).empty());
}

// An hour's checkpoint begins amid the hour: a part of its log is its own.
void begin_amid_their_hour(Store& store) {
    for (auto& entry : store.manifest.checkpoints) entry.lo = {entry.lo.value - kFileBytes / 2};
}

std::vector<std::int64_t> kept_hours(const Store& store) {
    std::vector<std::int64_t> hours;
    hours.reserve(store.manifest.kept.size());
    for (const auto& entry : store.manifest.kept) hours.push_back(entry.taken_us / kHourUs);
    return hours;
}

BOOST_AUTO_TEST_CASE(what_a_rule_asks_for_outlives_the_window_with_its_stretch_of_log) {
    Store store(60);
    begin_amid_their_hour(store);
    const Window window{
        .retain_s = 4 * 3600,
        .retain_bytes = kPlenty,
        .keep = {{.period = Period::hourly, .count = 8}, {.period = Period::daily, .count = 3}}};
    (void)let_go(store.manifest, store.files, window, store.now_us());
    // 60 is of day 2: of day 1 the newest is 47, of day 0 it is 23. Hours 53 to 60 are eight.
    const std::vector<std::int64_t> hours{23, 47, 53, 54, 55};
    const auto kept = kept_hours(store);
    BOOST_TEST(kept == hours, boost::test_tools::per_element());
    // Of each the hour that it leads into, which its stretch of log lies in, is there; nothing of
    // what lies between.
    std::vector<FileNumber> there;
    const auto free = unneeded(store.manifest, store.files);
    for (const auto& file : store.files)
        if (std::ranges::count(free, file.number, &FullFile::number) == 0)
            there.push_back(file.number);
    const std::vector<FileNumber> oldest{45, 93, 105, 107, 109};
    BOOST_REQUIRE(there.size() > oldest.size());
    there.resize(oldest.size());
    BOOST_TEST(there == oldest, boost::test_tools::per_element());
    // As written down.
    const auto again = decode_manifest(encode_manifest(store.manifest));
    BOOST_REQUIRE(again.has_value());
    BOOST_REQUIRE(again->kept.size() == hours.size());
    BOOST_TEST((again->kept[0].lo == store.manifest.kept[0].lo));
    BOOST_TEST(again->kept[0].files == store.manifest.kept[0].files);
    BOOST_TEST((load<std::uint64_t>(encode_manifest(store.manifest).data() + 16) & 8) == 8U);
}

// Of each kind there is as much as goes when it is the one that does not ask any more.
BOOST_AUTO_TEST_CASE(what_keeps_what_is_told_apart_and_makes_up_all_of_history) {
    constexpr auto kHourBytes = kFileBytes + 1000;  // an hour's file, and its image
    Store store(60);
    Window window{.retain_s = 4 * 3600,
                  .retain_bytes = kPlenty,
                  .keep = {{.period = Period::daily, .count = 3}}};
    (void)let_go(store.manifest, store.files, window, store.now_us());
    BOOST_REQUIRE(store.manifest.kept.size() == 2U);
    const auto history = history_bytes(store.manifest, store.files);
    const auto told = keepers(store.manifest, store.files, window, store.now_us());
    BOOST_TEST(told.kept == 2 * kHourBytes);
    BOOST_TEST(told.window == history - told.kept);
    BOOST_TEST(told.window >= 3 * kFileBytes);
    BOOST_TEST(told.archive == 0U);
    BOOST_TEST(told.nobody == 0U);
    BOOST_TEST(told.fall_back == kHourBytes);
    BOOST_TEST((keepers(store.manifest, store.files) == told));

    // Two hours later nobody asks for two of them, unless the archive does.
    const auto later_us = store.now_us() + 2 * kHourUs;
    auto later = keepers(store.manifest, store.files, window, later_us);
    BOOST_TEST(later.nobody == 2 * kHourBytes);
    BOOST_TEST(later.window == told.window - later.nobody);
    BOOST_TEST(later.kept == told.kept);
    window.unarchived = store.manifest.first_lsn + kFileBytes;
    later = keepers(store.manifest, store.files, window, later_us);
    BOOST_TEST(later.archive == kHourBytes);
    BOOST_TEST(later.nobody == kHourBytes);

    // No rule, no window.
    window = kNone;
    later = keepers(store.manifest, store.files, window, later_us);
    BOOST_TEST(later.nobody == history);
    BOOST_TEST(later.window + later.kept + later.archive == 0U);
    BOOST_TEST(later.fall_back == kHourBytes);
}

BOOST_AUTO_TEST_CASE(of_a_store_that_has_just_begun_nobody_keeps_anything) {
    Manifest manifest;
    manifest.first_lsn = kFirstLsn;
    manifest.timelines.push_back({.timeline = 1, .begin = kFirstLsn});
    BOOST_TEST((keepers(manifest, {}) == Keepers{}));
    BOOST_TEST((keepers(manifest, {}, {}, kHourUs) == Keepers{}));
}

BOOST_AUTO_TEST_CASE(a_kept_moment_that_no_rule_asks_for_any_more_goes) {
    Store store(30);
    Window window{.retain_s = 3600,
                  .retain_bytes = kPlenty,
                  .keep = {{.period = Period::hourly, .count = 20}}};
    (void)let_go(store.manifest, store.files, window, store.now_us());
    BOOST_TEST(store.manifest.kept.size() > 10U);
    window.keep = {{.period = Period::hourly, .count = 6}};
    const auto gone = let_go(store.manifest, store.files, window, store.now_us());
    BOOST_TEST(store.manifest.kept.size() < 6U);
    BOOST_TEST(gone.size() > 8U);
    window.keep.clear();
    (void)let_go(store.manifest, store.files, window, store.now_us());
    BOOST_TEST(store.manifest.kept.empty());
    for (const auto& file : unneeded(store.manifest, store.files))
        BOOST_TEST((file.end <= store.manifest.first_lsn));
}

BOOST_AUTO_TEST_CASE(moments_are_kept_where_there_is_no_window) {
    Store store(30);
    const Window window{
        .retain_s = 0, .retain_bytes = kPlenty, .keep = {{.period = Period::daily, .count = 9}}};
    (void)let_go(store.manifest, store.files, window, store.now_us());
    BOOST_TEST(store.manifest.checkpoints.size() == 2U);
    const std::vector<std::int64_t> hours{23};
    BOOST_TEST(kept_hours(store) == hours, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(over_the_bound_the_oldest_kept_moment_goes_before_the_window_does) {
    Store store(40);
    begin_amid_their_hour(store);
    Window window{.retain_s = 4 * 3600,
                  .retain_bytes = kPlenty,
                  .keep = {{.period = Period::hourly, .count = 20}}};
    (void)let_go(store.manifest, store.files, window, store.now_us());
    const auto all = kept_hours(store);
    const auto bases_before = store.manifest.checkpoints.size();
    BOOST_REQUIRE(all.size() > 10U);
    window.retain_bytes = history_bytes(store.manifest, store.files) - 2 * kFileBytes;
    (void)let_go(store.manifest, store.files, window, store.now_us());
    const auto fewer = kept_hours(store);
    BOOST_TEST(fewer.size() < all.size());
    BOOST_TEST(fewer.size() > all.size() - 4);
    BOOST_TEST(fewer.back() == all.back());
    BOOST_TEST(store.manifest.checkpoints.size() == bases_before);
    // A full disk takes all of it.
    (void)let_go(store.manifest, store.files, kNone, store.now_us(), 1);
    BOOST_TEST(store.manifest.kept.empty());
    BOOST_TEST(store.manifest.checkpoints.size() == 1U);
}

BOOST_AUTO_TEST_CASE(no_survivor_is_moved_out_of_a_file_that_a_kept_moment_needs) {
    Store store(30);
    const Window window{
        .retain_s = 0, .retain_bytes = kPlenty, .keep = {{.period = Period::hourly, .count = 6}}};
    (void)let_go(store.manifest, store.files, window, store.now_us());
    auto& newest = store.manifest.checkpoints.back();
    // Something of an hour that is kept, and of one that is not, is live.
    const auto kept = store.manifest.kept.back().files.front();
    const auto other = store.files[3].number;
    newest.files = {other, kept, newest.files.front()};
    newest.live = {10, 10, 100};
    const auto found = victims(store.manifest, store.files, window, {});
    BOOST_TEST(std::ranges::count(found, other) == 1);
    BOOST_TEST(std::ranges::count(found, kept) == 0);
}

BOOST_AUTO_TEST_CASE(a_file_that_was_written_anew_is_needed_under_its_new_number) {
    Store store(6);
    // What the older base leads into lies elsewhere since a crash.
    store.files[4].number = 77;
    store.manifest.moves.push_back({.from = 9, .to = 77});
    (void)let_go(store.manifest, store.files, kNone, store.now_us());
    for (const auto& file : unneeded(store.manifest, store.files)) BOOST_TEST(file.number != 77U);
}

BOOST_AUTO_TEST_CASE(what_was_written_down_comes_back_and_an_older_build_is_refused) {
    Store store(4);
    (void)let_go(store.manifest, store.files, kNone, store.now_us());
    const auto bytes = encode_manifest(store.manifest);
    const auto again = decode_manifest(bytes);
    BOOST_REQUIRE(again.has_value());
    BOOST_TEST((again->first_lsn == store.manifest.first_lsn));
    BOOST_TEST(live_bytes(*again) == live_bytes(store.manifest));
    // Incompatible bit 0: the log cannot be replayed from its beginning.
    BOOST_TEST((load<std::uint64_t>(bytes.data() + 16) & 1) == 1U);
    Store whole(1);
    BOOST_TEST((load<std::uint64_t>(encode_manifest(whole.manifest).data() + 16) & 1) == 0U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::engine
