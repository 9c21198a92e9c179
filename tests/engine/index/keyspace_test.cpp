#include "engine/index/keyspace.hpp"

#include <boost/test/unit_test.hpp>
#include <map>
#include <random>
#include <set>
#include <string>

#include "tests/environment.hpp"

namespace firnlog::engine {
namespace {

// A keyspace that is given records as replay gives them.
class Replayed {
  public:
    Keyspace keyspace{Hasher::Secret{}};

    void apply(Record record) {
        at_ += 64;
        keyspace.replay(record, {.address = Address(1, at_), .bytes = 64, .lsn = Lsn{at_}},
                        keyspace.know(record));
    }
    void string(Kid kid, std::string_view key, std::int64_t expires_ms = -1) {
        Record record{.kind = Kind::string, .kid = kid, .key = key, .value = "v"};
        expire(record, expires_ms);
        apply(record);
    }
    void bind(Kid kid, std::string_view key, Oid oid, std::int64_t expires_ms = -1) {
        Record record{.kind = Kind::bind,
                      .flags = RecordFlags::has_oid,
                      .kid = kid,
                      .key = key,
                      .value = kHash,
                      .oid = oid};
        expire(record, expires_ms);
        apply(record);
        apply({.kind = Kind::element,
               .flags = RecordFlags::has_oid,
               .key = "field",
               .value = "value",
               .oid = oid});
    }
    void unbind(Kid kid, std::string_view key) {
        apply({.kind = Kind::unbind, .kid = kid, .key = key});
    }
    void remove(Kid kid, std::string_view key) {
        apply({.kind = Kind::tombstone, .kid = kid, .key = key});
    }
    void set_expiry(Kid kid, std::string_view key, std::int64_t expires_ms) {
        Record record{.kind = Kind::expiry, .kid = kid, .key = key};
        expire(record, expires_ms);
        apply(record);
    }
    // By way of a worker's own steps, unlike replay, which releases at once.
    void point_slowly(std::uint32_t database, Kid kid) {
        const Keyspace::Pointing pointing{.database = database, .kid = kid};
        at_ += 64;
        keyspace.apply({.kind = Kind::catalog, .key = text_of(pointing)},
                       {.address = Address(1, at_), .bytes = 64, .lsn = Lsn{at_}}, {});
    }
    void point(std::uint32_t database, Kid kid) {
        const Keyspace::Pointing pointing{.database = database, .kid = kid};
        apply({.kind = Kind::catalog, .key = text_of(pointing)});
    }
    Oid fresh_oid(std::string_view key) { return Oid::make(Lsn{at_ + 1}, stripe_of(key)); }

  private:
    static constexpr char kHashByte = static_cast<char>(Type::hash);
    static constexpr std::string_view kHash{&kHashByte, 1};

    static void expire(Record& record, std::int64_t expires_ms) {
        if (expires_ms < 0) return;
        record.flags |= RecordFlags::has_expiry;
        record.expires_ms = expires_ms;
    }
    static std::string_view text_of(const Keyspace::Pointing& pointing) {
        return {reinterpret_cast<const char*>(&pointing), sizeof pointing};
    }
    std::uint64_t at_ = 4096;
};

std::string key(std::uint64_t number) { return "key:" + std::to_string(number); }

}  // namespace

BOOST_AUTO_TEST_SUITE(keyspace)

BOOST_AUTO_TEST_CASE(a_database_is_known_by_its_keys_alone) {
    Replayed replayed;
    auto& keyspace = replayed.keyspace;
    BOOST_TEST(keyspace.databases_end() == 0U);
    BOOST_TEST((keyspace.find_space(3) == nullptr));
    replayed.string(3, "a", 1000);
    replayed.string(3, "b");
    // As after a start: nobody has asked for the database yet.
    BOOST_TEST(keyspace.databases_end() == 4U);
    BOOST_TEST(keyspace.counts_of(3).keys == 2);
    BOOST_TEST(keyspace.counts_of(3).expires == 1);
    BOOST_TEST((keyspace.find_space(3) == &keyspace.space_of(3)));
    BOOST_TEST((keyspace.find_space(2) == nullptr));
    BOOST_TEST(keyspace.counts_of(2).keys == 0);
}

BOOST_AUTO_TEST_CASE(a_database_that_points_elsewhere_does_not_come_back_to_its_own_number) {
    Replayed replayed;
    auto& keyspace = replayed.keyspace;
    replayed.string(0, "a");
    replayed.point(0, 70'000);
    BOOST_TEST(keyspace.counts_of(0).keys == 0);
    replayed.string(70'000, "b");
    BOOST_TEST(keyspace.counts_of(0).keys == 1);
    // A session that looked the database up before it was pointed elsewhere asks for its first kid.
    (void)keyspace.space_of_kid(0);
    BOOST_TEST(keyspace.space_of(0).kid == 70'000U);
    BOOST_TEST(keyspace.fresh_kid() > 70'000U);
}

BOOST_AUTO_TEST_CASE(an_object_away_from_its_home_is_counted_until_it_comes_back) {
    Replayed replayed;
    auto& keyspace = replayed.keyspace;
    const auto oid = replayed.fresh_oid("a");
    replayed.bind(0, "a", oid);
    BOOST_TEST(!keyspace.has_strays());
    replayed.unbind(0, "a");
    BOOST_TEST((keyspace.find_object(oid) != nullptr));
    replayed.bind(0, "b", oid);
    BOOST_TEST(keyspace.has_strays());
    BOOST_TEST(keyspace.space_of(0).strays == 1);
    // Into another database under the same name, and back home.
    replayed.unbind(0, "b");
    BOOST_TEST(!keyspace.has_strays());
    replayed.bind(1, "b", oid);
    BOOST_TEST(keyspace.space_of(0).strays == 0);
    BOOST_TEST(keyspace.space_of(1).strays == 1);
    replayed.unbind(1, "b");
    replayed.bind(1, "a", oid);
    BOOST_TEST(!keyspace.has_strays());
    replayed.remove(1, "a");
    BOOST_TEST((keyspace.find_object(oid) == nullptr));
}

BOOST_AUTO_TEST_CASE(whatever_takes_an_object_away_frees_it) {
    for (int way = 0; way < 4; ++way) {
        Replayed replayed;
        auto& keyspace = replayed.keyspace;
        const auto oid = replayed.fresh_oid("a");
        replayed.bind(0, "a", oid);
        replayed.unbind(0, "a");
        replayed.bind(0, "b", oid, 500);
        const auto other = replayed.fresh_oid("b");
        if (way == 0) replayed.remove(0, "b");
        if (way == 1) replayed.string(0, "b");
        if (way == 2) replayed.bind(0, "b", other);
        if (way == 3) replayed.point(0, 70'000);
        BOOST_TEST((keyspace.find_object(oid) == nullptr), way);
        BOOST_TEST(!keyspace.has_strays(), way);
        BOOST_TEST(keyspace.counts_of(0).expires == 0, way);
        BOOST_TEST(keyspace.counts_of(0).keys == (way == 1 || way == 2 ? 1 : 0), way);
    }
}

BOOST_AUTO_TEST_CASE(databases_emptied_while_others_are_being_released_are_released_whole) {
    Replayed replayed;
    auto& keyspace = replayed.keyspace;
    std::vector<Oid> oids;
    for (Kid kid = 0; kid < 3; ++kid)
        for (std::uint64_t i = 0; i < 2'000; ++i) {
            const auto from = key(i);
            const auto to = key(i + 100'000);
            oids.push_back(replayed.fresh_oid(from));
            replayed.bind(kid, from, oids.back());
            if (i % 3 != 0) continue;
            replayed.unbind(kid, from);
            replayed.bind(kid, to, oids.back());
        }
    BOOST_TEST(keyspace.has_strays());
    for (std::uint32_t database = 0; database < 3; ++database) {
        replayed.point_slowly(database, 70'000 + database);
        for (int slice = 0; slice < 20; ++slice) (void)keyspace.release_some();
    }
    while (keyspace.release_some()) {
    }
    BOOST_TEST(!keyspace.has_strays());
    for (const auto oid : oids) BOOST_TEST_REQUIRE((keyspace.find_object(oid) == nullptr));
}

BOOST_AUTO_TEST_CASE(swapped_databases_keep_what_they_hold) {
    Replayed replayed;
    auto& keyspace = replayed.keyspace;
    replayed.string(0, "a");
    replayed.string(1, "b");
    replayed.string(1, "c");
    const Keyspace::Pointing swapped[] = {{.database = 0, .kid = 1}, {.database = 1, .kid = 0}};
    replayed.apply(
        {.kind = Kind::catalog, .key = {reinterpret_cast<const char*>(swapped), sizeof swapped}});
    BOOST_TEST(keyspace.counts_of(0).keys == 2);
    BOOST_TEST(keyspace.counts_of(1).keys == 1);
    BOOST_TEST(!keyspace.release_some());
}

BOOST_AUTO_TEST_CASE(counts_equal_a_simple_model_after_any_records) {
    const auto seed = fresh_seed();
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) {
        struct Value {
            std::uint64_t oid = 0;  // 0: a string
            bool expires = false;
        };
        std::mt19937_64 random(seed);
        Replayed replayed;
        auto& keyspace = replayed.keyspace;
        std::map<std::pair<std::uint32_t, std::string>, Value> model;
        std::vector<Kid> kids{0, 1, 2};
        std::vector<Oid> oids;
        const auto some_key = [&] { return key(random() % 60); };
        for (int i = 0; i < 200'000; ++i) {
            const auto database = static_cast<std::uint32_t>(random() % kids.size());
            const auto kid = kids[database];
            const auto name = some_key();
            const auto place = std::pair{database, name};
            const auto expires_ms = random() % 2 == 0 ? -1 : std::int64_t{5};
            switch (random() % 8) {
                case 0:
                    replayed.string(kid, name, expires_ms);
                    model[place] = {.expires = expires_ms >= 0};
                    break;
                case 1: {
                    oids.push_back(replayed.fresh_oid(name));
                    replayed.bind(kid, name, oids.back(), expires_ms);
                    model[place] = {.oid = oids.back().value, .expires = expires_ms >= 0};
                    break;
                }
                case 2:
                case 3:
                case 4: {  // rename or move
                    const auto target_database = static_cast<std::uint32_t>(random() % kids.size());
                    const auto target = std::pair{target_database, some_key()};
                    const auto found = model.find(place);
                    if (found == model.end() || found->second.oid == 0 || target == place) break;
                    const auto value = found->second;
                    replayed.unbind(kid, name);
                    model.erase(found);
                    replayed.bind(kids[target_database], target.second, Oid{value.oid},
                                  value.expires ? 5 : -1);
                    model[target] = value;
                    break;
                }
                case 5:
                    replayed.remove(kid, name);
                    model.erase(place);
                    break;
                case 6:
                    replayed.set_expiry(kid, name, expires_ms);
                    if (model.contains(place)) model[place].expires = expires_ms >= 0;
                    break;
                default:
                    if (random() % 1000 != 0) break;
                    kids[database] = keyspace.fresh_kid();
                    replayed.point(database, kids[database]);
                    std::erase_if(model,
                                  [&](const auto& item) { return item.first.first == database; });
            }
            if (i % 1000 != 0) continue;
            std::map<std::uint32_t, Keyspace::Counts> counts;
            std::map<std::uint32_t, std::int64_t> strays;
            std::set<std::uint64_t> live;
            for (const auto& [where, value] : model) {
                ++counts[where.first].keys;
                if (value.expires) ++counts[where.first].expires;
                if (value.oid == 0) continue;
                live.insert(value.oid);
                if (Oid{value.oid}.home() != stripe_of(where.second)) ++strays[where.first];
            }
            for (std::uint32_t d = 0; d < kids.size(); ++d) {
                BOOST_TEST_REQUIRE(keyspace.counts_of(d).keys == counts[d].keys);
                BOOST_TEST_REQUIRE(keyspace.counts_of(d).expires == counts[d].expires);
                BOOST_TEST_REQUIRE(keyspace.space_of(d).strays == strays[d]);
            }
            BOOST_TEST_REQUIRE(keyspace.has_strays() == (strays[0] + strays[1] + strays[2] != 0));
            for (const auto oid : oids)
                BOOST_TEST_REQUIRE((keyspace.find_object(oid) != nullptr) ==
                                   live.contains(oid.value));
            oids.clear();
            for (const auto value : live) oids.push_back(Oid{value});
        }
        BOOST_TEST(keyspace.sweep_unbound() == 0U);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::engine
