#include "engine/index/tag_map.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <map>
#include <random>
#include <set>
#include <source_location>

#include "tests/environment.hpp"

namespace firnlog::engine {
namespace {

struct ByTag {
    bool operator()(Tag a, Tag b) const {
        return a.high != b.high ? a.high < b.high : a.low < b.low;
    }
};

// BOOST_TEST_REQUIRE takes a microsecond, and there are hundreds of millions.
void must(bool holds, std::source_location where = std::source_location::current()) {
    if (!holds) BOOST_FAIL("a check failed in line " << where.line());
}

// What a TagMap should hold, the simple way, and the map itself; every verb does both and compares.
class Twins {
  public:
    Twins(std::uint64_t seed, std::uint16_t linear_max)
        : map(linear_max), random(seed), linear_max_(linear_max) {}

    struct Value {
        std::uint64_t address = 0;
        std::int64_t at_ms = -1;
    };

    TagMap map;
    std::map<Tag, Value, ByTag> model;
    std::mt19937_64 random;

    std::uint64_t below(std::uint64_t bound) { return random() % bound; }

    // Tags of every kind that makes trouble: neighbours, equal hashes, one long prefix, both ends.
    Tag some_tag() {
        const auto low = static_cast<std::uint8_t>(below(16));
        switch (below(16)) {
            case 0:
                return {.high = below(64), .low = low};
            case 1:
                return {.high = ~std::uint64_t{0} - below(64), .low = low};
            case 2:  // one page of a deep directory
                return {.high = (std::uint64_t{0x5a5a} << 48) | (random() >> 16), .low = low};
            case 3:  // the same hash as another, most likely
                return {.high = 0x123456789abcdef0U + below(2000) * 0x9e3779b97f4a7c15U,
                        .low = low};
            default:
                return {.high = random(), .low = low};
        }
    }
    Tag some_known() {
        auto found = model.lower_bound({.high = random(), .low = 0});
        return found == model.end() ? model.begin()->first : found->first;
    }

    void insert(Tag tag) {
        if (model.contains(tag)) return set(tag);
        auto& entry = map.insert(tag);
        must(entry.tag() == tag);
        const auto address = next_address();
        entry.point_at(Type::string, Address::from_bits(address), 100);
        model[tag] = {.address = address};
        inserted_.push_back(tag);
        if (map.size() == 1) in_order_ = true;
        if (map.size() > linear_max_) in_order_ = false;
    }
    void set(Tag tag) {
        const auto address = next_address();
        auto* entry = map.find(tag);
        must(entry != nullptr);
        entry->point_at(Type::string, Address::from_bits(address), 200);
        model[tag].address = address;
    }
    void erase(Tag tag) {
        map.erase(tag);
        model.erase(tag);
        if (in_order_) std::erase(inserted_, tag);
        if (!in_order_ || model.empty()) inserted_.clear();
        if (model.empty()) in_order_ = true;
    }
    void set_expiry(Tag tag, std::int64_t at_ms) {
        map.set_expiry(tag, at_ms, {});
        model[tag].at_ms = at_ms;
    }
    void drop_expiry(Tag tag) {
        map.drop_expiry(tag);
        model[tag].at_ms = -1;
    }
    void look_for(Tag tag) {
        const auto* entry = map.find(tag);
        const auto known = model.find(tag);
        must((entry != nullptr) == (known != model.end()));
        if (entry == nullptr) return;
        must(entry->tag() == tag);
        must(entry->address().bits() == known->second.address);
        must(entry->expires() == (known->second.at_ms >= 0));
        const auto* expiry = map.expiry(tag);
        must((expiry != nullptr) == (known->second.at_ms >= 0));
        if (expiry != nullptr) must(expiry->at_ms == known->second.at_ms);
    }

    void compare() {
        must(map.size() == model.size());
        must(map.linear() == in_order_);
        for (const auto& [tag, value] : model) look_for(tag);
        std::vector<Tag> seen;
        map.for_each([&](const Entry& entry) { seen.push_back(entry.tag()); });
        if (in_order_) {
            must(seen == inserted_);
        }
        std::sort(seen.begin(), seen.end(), ByTag{});
        must(seen.size() == model.size());
        auto known = model.begin();
        for (const auto tag : seen) must(tag == known++->first);
    }

    // Those due, and only those; fewer than asked for means all of them.
    void compare_due(std::int64_t now_ms, std::size_t count) {
        std::vector<Tag> due;
        map.due(now_ms, count, due);
        std::set<Tag, ByTag> different(due.begin(), due.end());
        must(different.size() == due.size());
        std::size_t all = 0;
        for (const auto& [tag, value] : model)
            if (value.at_ms >= 0 && value.at_ms <= now_ms) ++all;
        must(due.size() == std::min(all, count));
        for (const auto tag : due) {
            const auto& value = model.at(tag);
            must(value.at_ms >= 0 && value.at_ms <= now_ms);
        }
    }

  private:
    std::uint64_t next_address() { return ++addresses_ & ((std::uint64_t{1} << 48) - 1); }

    const std::uint16_t linear_max_;
    std::uint64_t addresses_ = 0;
    bool in_order_ = true;
    std::vector<Tag> inserted_;  // while in order
};

// One random step; `growth` of 100 insert.
void step(Twins& twins, std::uint64_t growth) {
    const auto dice = twins.below(100);
    if (dice < growth) return twins.insert(twins.some_tag());
    if (twins.model.empty()) return;
    switch (twins.below(8)) {
        case 0:
            return twins.look_for(twins.some_tag());
        case 1:
            return twins.look_for(twins.some_known());
        case 2:
            return twins.set(twins.some_known());
        case 3:
            return twins.set_expiry(twins.some_known(),
                                    static_cast<std::int64_t>(twins.below(1000)));
        case 4:
            return twins.drop_expiry(twins.some_known());
        default:
            return twins.erase(twins.some_known());
    }
}

// All of a scan, with `between` run after each piece; a tag once for each time it came.
template <class Between>
std::vector<Tag> scan_all(TagMap& map, std::mt19937_64& random, Between&& between) {
    std::vector<Tag> seen;
    std::uint64_t from = 0;
    do {
        std::vector<Entry*> entries;
        const std::size_t count = 1 + random() % 700;
        const auto next = map.scan(from, count, entries);
        for (const auto* entry : entries) {
            BOOST_TEST_REQUIRE(entry->hash >= from);
            if (next != 0) BOOST_TEST_REQUIRE(entry->hash < next);
            seen.push_back(entry->tag());
        }
        if (next != 0) {
            BOOST_TEST_REQUIRE(entries.size() >= count);
            BOOST_TEST_REQUIRE(next > from);
        }
        from = next;
        between();
    } while (from != 0);
    return seen;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tag_map)

BOOST_AUTO_TEST_CASE(equals_a_simple_map_through_millions_of_random_steps) {
    const auto seed = fresh_seed();
    const auto steps = volume({.usual = 60'000, .sanitized = 20'001, .full = 600'000});
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) {
        for (const unsigned linear_max : {1U, 12U, 512U}) {
            Twins twins(seed + linear_max, static_cast<std::uint16_t>(linear_max));
            // Up and down, so that pages split, empty, and the whole begins anew.
            for (const auto growth :
                 {70U, 90U, 10U, 50U, 0U, 60U, 80U, 20U, 0U, 45U, 95U, 50U, 0U}) {
                for (std::uint64_t i = 0; i < steps; ++i) {
                    step(twins, growth);
                    if (i % 20'000 == 0) {
                        twins.compare_due(static_cast<std::int64_t>(twins.below(1000)), 1 << 30);
                        twins.compare_due(static_cast<std::int64_t>(twins.below(1000)),
                                          twins.below(50));
                    }
                }
                twins.compare();
                BOOST_TEST_REQUIRE(twins.map.memory_bytes() >= twins.map.size() * sizeof(Entry));
            }
            while (!twins.model.empty()) twins.erase(twins.some_known());
            twins.compare();
            BOOST_TEST(twins.map.memory_bytes() == 0U);
        }
    }
}

BOOST_AUTO_TEST_CASE(equals_a_simple_map_while_it_is_small) {
    const auto seed = fresh_seed();
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) {
        std::mt19937_64 random(seed);
        for (int round = 0; round < 300; ++round) {
            Twins twins(random(), static_cast<std::uint16_t>(1 + random() % 20));
            for (int i = 0; i < 400; ++i) {
                step(twins, 50 - (twins.model.size() > 25 ? 30 : 0));
                twins.compare();
                twins.compare_due(static_cast<std::int64_t>(twins.below(1000)), twins.below(5));
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(a_scan_meets_what_stays_exactly_once_whatever_grows_and_shrinks) {
    const auto seed = fresh_seed();
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) {
        for (int round = 0; round < 12; ++round) {
            Twins twins(seed + static_cast<std::uint64_t>(round), 12);
            while (twins.model.size() < 3'000) twins.insert(twins.some_tag());
            std::set<Tag, ByTag> stay;
            for (const auto& [tag, value] : twins.model) stay.insert(tag);
            std::vector<Tag> others;
            const auto seen = scan_all(twins.map, twins.random, [&] {
                const auto steps = twins.below(3'000);
                const bool grows = twins.below(2) == 0;
                for (std::uint64_t i = 0; i < steps; ++i) {
                    if (grows) {
                        const auto tag = twins.some_tag();
                        if (twins.model.contains(tag)) continue;
                        twins.insert(tag);
                        others.push_back(tag);
                    } else if (!others.empty()) {
                        const auto at = static_cast<std::ptrdiff_t>(twins.below(others.size()));
                        twins.erase(others[static_cast<std::size_t>(at)]);
                        others.erase(others.begin() + at);
                    }
                }
            });
            std::map<Tag, int, ByTag> times;
            for (const auto tag : seen) ++times[tag];
            for (const auto tag : stay) BOOST_TEST_REQUIRE(times[tag] == 1);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_quiet_scan_meets_everything_once) {
    const auto seed = fresh_seed();
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) {
        for (const std::size_t size : {1U, 2U, 12U, 13U, 500U, 5'000U, 100'000U}) {
            Twins twins(seed + size, 12);
            while (twins.model.size() < size) twins.insert(twins.some_tag());
            auto seen = scan_all(twins.map, twins.random, [] {});
            std::sort(seen.begin(), seen.end(), ByTag{});
            BOOST_TEST_REQUIRE(seen.size() == size);
            auto known = twins.model.begin();
            for (const auto tag : seen) BOOST_TEST_REQUIRE((tag == known++->first));
        }
    }
}

BOOST_AUTO_TEST_CASE(a_random_choice_is_fair) {
    const auto seed = fresh_seed();
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) {
        std::mt19937_64 random(seed);
        // An array, one page that is hardly full, one that is, and several.
        for (const std::size_t size : {3U, 14U, 700U, 9'000U}) {
            TagMap map(12);
            while (map.size() < size)
                map.insert({.high = random(), .low = 0})
                    .point_at(Type::string, Address::from_bits(map.size()), 8);
            std::map<std::uint64_t, int> times;
            constexpr int kEach = 400;
            for (std::size_t i = 0; i < size * kEach; ++i) {
                const auto* entry = map.random(random());
                BOOST_TEST_REQUIRE(entry != nullptr);
                ++times[entry->hash];
            }
            BOOST_TEST_REQUIRE(times.size() == size);
            for (const auto& [hash, count] : times) {
                // Seven standard deviations and the unequal pages.
                BOOST_TEST_REQUIRE(count > kEach / 2);
                BOOST_TEST_REQUIRE(count < kEach * 2);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(a_random_choice_from_what_is_left_of_many_comes_to_an_end) {
    Twins twins(1, 12);
    while (twins.model.size() < 50'000) twins.insert({.high = twins.random(), .low = 0});
    BOOST_TEST((twins.map.random(5) != nullptr));
    while (twins.model.size() > 1) twins.erase(twins.some_known());
    for (std::uint64_t dice = 0; dice < 100; ++dice)
        BOOST_TEST_REQUIRE((twins.map.random(dice)->tag() == twins.model.begin()->first));
    twins.erase(twins.some_known());
    BOOST_TEST((twins.map.random(5) == nullptr));
}

BOOST_AUTO_TEST_CASE(an_entry_takes_at_most_21_bytes_at_any_size_past_a_page) {
    std::mt19937_64 random(7);
    TagMap map(12);
    while (map.size() < 300'000) {
        map.insert({.high = random(), .low = 0}).point_at(Type::string, Address::from_bits(8), 8);
        if (map.size() > TagMap::kPageEntriesMax && map.size() % 97 == 0)
            BOOST_TEST_REQUIRE(map.memory_bytes() <= map.size() * 21);
    }
}

BOOST_AUTO_TEST_CASE(what_is_erased_gives_its_memory_back) {
    std::mt19937_64 random(7);
    TagMap map(12);
    std::vector<Tag> tags;
    while (tags.size() < 100'000) {
        tags.push_back({.high = random(), .low = 0});
        map.insert(tags.back()).point_at(Type::string, Address::from_bits(8), 8);
    }
    const auto pages_before = map.memory_bytes() / (TagMap::kPageEntriesMax * sizeof(Entry));
    while (tags.size() > 5'000) {
        map.erase(tags.back());
        tags.pop_back();
    }
    // At the least load there is, and the smallest page for each there was.
    BOOST_TEST(map.memory_bytes() <= tags.size() * 40 + pages_before * 4 * 1024);
}

BOOST_AUTO_TEST_CASE(a_size_class_is_never_smaller_than_the_size_and_at_most_an_eighth_larger) {
    std::uint64_t before = 0;
    for (std::size_t bytes = 0; bytes < 3'000'000; bytes += 1 + bytes / 2000) {
        const auto size_class = Entry::class_of_size(bytes);
        BOOST_TEST_REQUIRE(size_class >= before);
        BOOST_TEST_REQUIRE(size_class < 256U);
        before = size_class;
        const auto size = Entry::size_of_class(size_class);
        BOOST_TEST_REQUIRE(size >= bytes);
        BOOST_TEST_REQUIRE(size <= bytes + bytes / 8 + 8);
        if (bytes <= 1016) BOOST_TEST_REQUIRE(size < bytes + 8);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::engine
