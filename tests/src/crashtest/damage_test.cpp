#include "src/crashtest/damage.hpp"

#include <algorithm>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

namespace firnlog::crashtest {
namespace {

namespace data = boost::unit_test::data;
namespace fs = std::filesystem;

using Files = std::map<std::string, std::string>;

// A folder with these files; gone with the object.
class Folder {
  public:
    explicit Folder(const Files& files) {
        std::string name = (fs::temp_directory_path() / "firnlog-damage-XXXXXX").string();
        BOOST_REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
        for (const auto& [file, content] : files) {
            fs::create_directories((path_ / file).parent_path());
            std::ofstream(path_ / file, std::ios::binary) << content;
        }
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { fs::remove_all(path_); }

    [[nodiscard]] std::string path() const { return path_.string(); }
    [[nodiscard]] Files files() const {
        Files out;
        for (const auto& entry : fs::recursive_directory_iterator(path_)) {
            if (!entry.is_regular_file()) continue;
            std::ifstream file(entry.path(), std::ios::binary);
            out[entry.path().lexically_relative(path_).string()] = {
                std::istreambuf_iterator<char>(file), {}};
        }
        return out;
    }

  private:
    fs::path path_;
};

// Of a store: what is written stands amid zeros, and beside it lie files of nothing else.
Files some_files() {
    Files out{{"lock", "123"},
              {"sub/x.PID", "7"},
              {"reserve", std::string(200'000, '\0')},
              {"sub/name3", "hello"}};
    std::string log(3 << 20U, '\0');
    for (std::size_t i = 5'000; i < 5'700; ++i) log[i] = static_cast<char>('a' + i % 26);
    for (std::size_t i = 2'000'000; i < 2'003'000; ++i) log[i] = static_cast<char>('a' + i % 23);
    out["log-0012-7.x"] = std::move(log);
    return out;
}

BOOST_AUTO_TEST_SUITE(src)
BOOST_AUTO_TEST_SUITE(crash_damage)

BOOST_DATA_TEST_CASE(every_damage_changes_one_file_and_one_that_holds_something,
                     data::xrange(kDamages), kind) {
    const auto before = some_files();
    std::set<std::string> damaged;
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
        const Folder folder(before);
        const auto done = inflict(static_cast<Damage>(kind), folder.path(), Random(seed));
        BOOST_REQUIRE(done.has_value());
        BOOST_TEST_CONTEXT(done->text << ", seed " << seed) {
            const auto after = folder.files();
            std::vector<std::string> changed;
            for (const auto& [name, content] : before)
                if (const auto found = after.find(name);
                    found == after.end() || found->second != content)
                    changed.push_back(name);
            BOOST_REQUIRE_EQUAL(changed.size(), 1U);
            BOOST_TEST(done->file == (changed.front() == "sub/name3" ? "sub/name#" : "log-#-#.x"));
            BOOST_TEST(done->text.find(" in " + changed.front() + " at ") != std::string::npos);
            damaged.insert(changed.front());
        }
    }
    BOOST_TEST(damaged.contains("log-0012-7.x"));
}

BOOST_AUTO_TEST_CASE(a_file_is_cut_short_where_something_stands) {
    const auto before = some_files();
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
        const Folder folder(before);
        BOOST_REQUIRE(inflict(Damage::truncated, folder.path(), Random(seed)).has_value());
        for (const auto& [name, content] : folder.files())
            if (const auto& whole = before.at(name); content.size() != whole.size())
                BOOST_TEST(whole[content.size()] != '\0', name << " at " << content.size());
    }
}

BOOST_AUTO_TEST_CASE(what_would_change_nothing_is_no_damage) {
    for (const auto& files :
         {Files{}, Files{{"LOCK", "12"}, {"reserve", std::string(5'000, '\0')}}}) {
        const Folder folder(files);
        for (std::uint64_t kind = 0; kind < kDamages; ++kind)
            BOOST_TEST(!inflict(static_cast<Damage>(kind), folder.path(), Random(1)).has_value());
    }
    // Two sectors that are the same can change their places.
    const Folder folder({{"same", std::string(1'024, 'x')}});
    BOOST_TEST(!inflict(Damage::sectors_swapped, folder.path(), Random(1)).has_value());
    BOOST_TEST(inflict(Damage::sector_zeroed, folder.path(), Random(1)).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::crashtest
