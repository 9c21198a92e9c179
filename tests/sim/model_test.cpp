// The simulated disk against a model of the plainest kind: whole files, written and durable.

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/fixture.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::sim {
namespace {

struct File {
    std::string written;
    std::string durable;
    std::vector<std::string> versions;  // since the last sync, the durable one first
};
using Names = std::map<std::string, std::shared_ptr<File>>;  // shared: links, and both states

struct Model {
    Names now;
    Names durable;
    std::vector<Names> versions{{}};

    void renamed() { versions.push_back(now); }
};

std::map<std::string, std::string> contents(const Disk& disk) {
    std::map<std::string, std::string> contents;
    for (const std::string& name : disk.names()) contents[name] = disk.content(name);
    return contents;
}

void change_something(World& world, Model& model, Rng& rng) {
    io::Files& files = world.files();
    const std::string name(1, static_cast<char>('a' + rng.below(4)));
    const std::string other(1, static_cast<char>('a' + rng.below(4)));
    const auto at = model.now.find(name);
    if (at == model.now.end()) {
        const auto fd = files.open(name, io::Open::create);
        BOOST_REQUIRE(fd);
        files.close(*fd);
        model.now[name] = std::make_shared<File>();
        model.now[name]->versions = {""};
        model.renamed();
        return;
    }
    File& file = *at->second;
    const int fd = files.open(name, io::Open::write).value();
    switch (rng.below(10)) {
        case 0:
            BOOST_REQUIRE(files.sync(fd));
            file.durable = file.written;
            file.versions = {file.durable};
            break;
        case 1: {
            const std::uint64_t bytes = rng.below(40'000);
            BOOST_REQUIRE(files.truncate(fd, bytes));
            file.written.resize(bytes);
            file.versions.push_back(file.written);
            break;
        }
        case 2: {
            const std::uint64_t bytes = rng.below(40'000);
            BOOST_REQUIRE(files.allocate(fd, bytes));
            file.written.resize(std::max<std::size_t>(file.written.size(), bytes));
            file.versions.push_back(file.written);
            break;
        }
        case 3: {
            BOOST_REQUIRE(files.rename(name, other));
            const auto moved = at->second;
            const auto target = model.now.find(other);
            if (target != model.now.end() && target->second == moved) break;
            model.now.erase(name);
            model.now[other] = moved;
            model.renamed();
            break;
        }
        case 4:
            BOOST_REQUIRE(files.unlink(name));
            model.now.erase(name);
            model.renamed();
            break;
        case 5:
            BOOST_REQUIRE(files.link(name, other).has_value() == !model.now.contains(other));
            if (model.now.emplace(other, at->second).second) model.renamed();
            break;
        case 6:
            BOOST_REQUIRE(files.sync_dir());
            model.durable = model.now;
            model.versions = {model.durable};
            break;
        default: {
            const std::uint64_t offset = rng.below(40'000);
            const std::string bytes(rng.between(1, 3000), static_cast<char>(rng.next()));
            BOOST_REQUIRE(files.write(fd, offset, as_bytes(bytes)));
            file.written.resize(std::max(file.written.size(), offset + bytes.size()));
            file.written.replace(offset, bytes.size(), bytes);
            file.versions.push_back(file.written);
            break;
        }
    }
    files.close(fd);
}

// Each byte is what it was at some time since the last sync, or zero where the file was shorter.
void check_mixture(const std::string& content, const File& file) {
    std::size_t longest = 0;
    for (const std::string& version : file.versions) longest = std::max(longest, version.size());
    BOOST_REQUIRE(content.size() <= longest);
    for (std::size_t i = 0; i < content.size(); i += 97)
        BOOST_REQUIRE(content[i] == '\0' ||
                      std::ranges::any_of(file.versions, [&](const std::string& version) {
                          return i < version.size() && version[i] == content[i];
                      }));
}

// Of each name: it was so at some time since the folder was synced.
void check_names(const std::map<std::string, std::string>& image, const Model& model) {
    for (const auto& [name, content] : image) {
        std::set<const File*> borne;
        for (const Names& version : model.versions)
            if (const auto at = version.find(name); at != version.end())
                borne.insert(at->second.get());
        BOOST_REQUIRE(!borne.empty());
        if (borne.size() == 1) check_mixture(content, **borne.begin());
    }
    for (const auto& [name, file] : model.durable)
        BOOST_REQUIRE(
            (image.contains(name) || std::ranges::any_of(model.versions, [&](const Names& version) {
                 return !version.contains(name);
             })));
}

// All names are as they were at one time.
void check_version(const std::map<std::string, std::string>& image, const Model& model) {
    const auto names_alike = [](const Names& version, const auto& others) {
        return std::ranges::equal(
            version, others, {}, [](const auto& item) { return item.first; },
            [](const auto& item) { return item.first; });
    };
    const auto names = std::ranges::find_if(
        model.versions, [&](const Names& version) { return names_alike(version, image); });
    BOOST_REQUIRE((names != model.versions.end()));
    // Which file bore a name at a version is told by the version itself, unless two versions bear
    // the same names.
    const auto same = std::ranges::count_if(
        model.versions, [&](const Names& version) { return names_alike(version, *names); });
    if (same != 1) return;
    for (const auto& [name, content] : image) check_mixture(content, *names->at(name));
}

BOOST_AUTO_TEST_SUITE(sim_model)

BOOST_AUTO_TEST_CASE(the_disk_agrees_with_a_model_of_written_and_durable_files) {
    for (const auto seed : Seeds(10)) {
        World world{{.seed = seed}};
        Rng rng{seed};
        Model model;
        for (int step = 0; step < 250; ++step) {
            change_something(world, model, rng);
            std::map<std::string, std::string> written;
            std::map<std::string, std::string> durable;
            for (const auto& [name, file] : model.now) written[name] = file->written;
            for (const auto& [name, file] : model.durable) durable[name] = file->durable;
            BOOST_REQUIRE((contents(world.disk()) == written));
            BOOST_REQUIRE((contents(world.image(Cut::none, rng)) == durable));
            BOOST_REQUIRE((contents(world.image(Cut::all, rng)) == written));
            BOOST_REQUIRE((contents(world.image(Cut::kill, rng)) == written));
            check_names(contents(world.image(Cut::random, rng)), model);
            check_version(contents(world.image(Cut::prefix, rng)), model);
            if (rng.chance(2)) {
                world.restart(Cut::none, rng);
                for (auto* names : {&model.now, &model.durable})
                    for (auto& [name, file] : *names) file->written = file->durable;
                model.now = model.durable;
                model.versions = {model.durable};
                for (auto& [name, file] : model.now) file->versions = {file->durable};
            }
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::sim
