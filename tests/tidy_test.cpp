// The house rules no tool knows, checked over the whole tree: layers, headers, dead files, words.
//
// A rule is a function from a tree (path -> text) to complaints, so that each can be shown to bite
// on a tree of three lines before it is let loose on the real one.

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace firnlog::tidy {
namespace {

namespace fs = std::filesystem;

using Tree = std::map<std::string, std::string>;  // path from the root -> text
using Complaints = std::vector<std::string>;

constexpr std::size_t kColumnsMax = 100;
constexpr std::size_t kLinesMax = 900;
constexpr std::array<std::string_view, 4> kLayers{"io", "engine", "recovery", "src"};
constexpr std::array<std::string_view, 6> kFolders{"io",  "engine", "recovery",
                                                   "src", "tests",  "bench"};

bool is_header(std::string_view path) { return path.ends_with(".hpp"); }
bool is_source(std::string_view path) { return path.ends_with(".cpp"); }
bool is_cpp(std::string_view path) { return is_header(path) || is_source(path); }

std::string_view first_folder(std::string_view path) { return path.substr(0, path.find('/')); }

std::string_view folder_of(std::string_view path) {
    const auto slash = path.rfind('/');
    return slash == path.npos ? std::string_view{} : path.substr(0, slash);
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        lines.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

std::string at(std::string_view path, std::size_t line, std::string_view complaint) {
    return std::string(path) + ":" + std::to_string(line) + ": " + std::string(complaint);
}

struct Include {
    std::size_t line;
    bool quoted;
    std::string_view what;
};

std::vector<Include> includes_of(std::string_view text) {
    std::vector<Include> includes;
    std::size_t number = 0;
    for (auto line : lines_of(text)) {
        ++number;
        if (!line.starts_with("#include ")) continue;
        line.remove_prefix(9);
        const char close = line.starts_with('"') ? '"' : '>';
        const auto end = line.find(close, 1);
        if (end == line.npos) continue;
        includes.push_back({number, close == '"', line.substr(1, end - 1)});
    }
    return includes;
}

// io <- engine <- recovery <- src: a layer includes itself and what is left of it, never tests.
Complaints layers(const Tree& tree) {
    Complaints out;
    for (const auto& [path, text] : tree) {
        if (!is_cpp(path)) continue;
        const auto own = std::ranges::find(kLayers, first_folder(path));
        for (const auto& include : includes_of(text)) {
            if (!include.quoted) continue;
            if (!tree.contains(std::string(include.what)))
                out.push_back(at(path, include.line, "included from the root this does not exist"));
            else if (own != kLayers.end() &&
                     std::find(kLayers.begin(), own + 1, first_folder(include.what)) == own + 1)
                out.push_back(at(path, include.line, "this layer is above the file's own"));
            else if (path.starts_with("src/crashtest/") &&
                     (include.what.starts_with("engine/") || include.what.starts_with("recovery/")))
                out.push_back(at(path, include.line, "the crash test knows no server from inside"));
        }
    }
    return out;
}

// A header says what it is before it says anything else, and drags in nothing slow to compile.
Complaints headers(const Tree& tree) {
    constexpr std::array<std::string_view, 4> kSlow{"iostream", "regex", "spdlog/spdlog.h",
                                                    "CLI/CLI.hpp"};
    Complaints out;
    for (const auto& [path, text] : tree) {
        if (!is_header(path)) continue;
        const auto lines = lines_of(text);
        if (lines.empty() || lines[0] != "#pragma once")
            out.push_back(at(path, 1, "a header begins with #pragma once"));
        if (lines.size() < 2 || !lines[1].starts_with("// "))
            out.push_back(at(path, 2, "a header's second line says what it is: // Name: ..."));
        for (const auto& include : includes_of(text))
            if (std::ranges::find(kSlow, include.what) != kSlow.end())
                out.push_back(at(path, include.line, "too slow to compile for a header"));
    }
    return out;
}

// x.cpp includes x.hpp before anything else, which is the proof that x.hpp stands alone.
Complaints own_header_first(const Tree& tree) {
    Complaints out;
    for (const auto& [path, text] : tree) {
        if (!is_source(path)) continue;
        const auto header = path.substr(0, path.size() - 4) + ".hpp";
        if (!tree.contains(header)) continue;
        const auto includes = includes_of(text);
        if (includes.empty() || includes[0].what != header)
            out.push_back(at(path, 1, "the first include is the file's own header"));
    }
    return out;
}

// The headers that no .cpp includes first: whether these stand alone a compiler must tell.
std::vector<std::string> unproven_headers(const Tree& tree) {
    std::set<std::string, std::less<>> proven;
    for (const auto& [path, text] : tree) {
        if (!is_source(path)) continue;
        const auto includes = includes_of(text);
        if (!includes.empty() && includes[0].quoted) proven.emplace(includes[0].what);
    }
    std::vector<std::string> out;
    for (const auto& [path, text] : tree)
        if (is_header(path) && !proven.contains(path)) out.push_back(path);
    return out;
}

// True if the meson.build of the file's folder, or of one above it, names the file.
bool built(const Tree& tree, std::string_view path) {
    for (auto folder = path; !folder.empty();) {
        folder = folder_of(folder);
        const auto above = folder.empty() ? std::string() : std::string(folder) + "/";
        const auto build = tree.find(above + "meson.build");
        if (build == tree.end()) continue;
        const auto name = "'" + std::string(path.substr(above.size())) + "'";
        if (build->second.find(name) != std::string::npos) return true;
    }
    return false;
}

// True if a meson.build above has a subdir() for this folder.
bool read_by_meson(const Tree& tree, std::string_view folder) {
    for (auto above = folder; !above.empty();) {
        above = folder_of(above);
        const auto build =
            tree.find(above.empty() ? "meson.build" : std::string(above) + "/meson.build");
        if (build == tree.end()) continue;
        const auto name = folder.substr(above.empty() ? 0 : above.size() + 1);
        if (build->second.find("subdir('" + std::string(name) + "')") != std::string::npos)
            return true;
    }
    return false;
}

Complaints dead_files(const Tree& tree) {
    Complaints out;
    std::set<std::string, std::less<>> included;
    for (const auto& [path, text] : tree)
        if (is_cpp(path))
            for (const auto& include : includes_of(text))
                if (include.what != path) included.emplace(include.what);
    for (const auto& [path, text] : tree) {
        // One that is read before all others is named where its layer is built.
        if (is_header(path) && !included.contains(path) && !built(tree, path))
            out.push_back(at(path, 1, "dead: nothing includes it"));
        if (is_source(path) && !built(tree, path))
            out.push_back(at(path, 1, "dead: no meson.build of its folders names it"));
        if (path.ends_with("/meson.build") && !read_by_meson(tree, folder_of(path)))
            out.push_back(at(path, 1, "dead: no meson.build above has a subdir() for it"));
    }
    return out;
}

bool word_at(std::string_view line, std::size_t begin, std::size_t length) {
    const auto letter = [&](std::size_t i) {
        return i < line.size() &&
               (std::isalnum(static_cast<unsigned char>(line[i])) || line[i] == '_');
    };
    return (begin == 0 || !letter(begin - 1)) && !letter(begin + length);
}

// A promise without a date, or the path of somebody's machine. Written in halves: this file is read
// too.
Complaints words(const Tree& tree) {
    constexpr std::array<std::string_view, 3> kPromises{
        "TO"
        "DO",
        "FIX"
        "ME",
        "XX"
        "X"};
    constexpr std::array<std::string_view, 3> kPlaces{
        "/wo"
        "rk/",
        "/ro"
        "ot/",
        "/ho"
        "me/"};
    Complaints out;
    for (const auto& [path, text] : tree) {
        std::size_t number = 0;
        for (const auto line : lines_of(text)) {
            ++number;
            for (const auto word : kPromises)
                for (auto i = line.find(word); i != line.npos; i = line.find(word, i + 1))
                    if (word_at(line, i, word.size()))
                        out.push_back(at(path, number, "a promise: " + std::string(word)));
            for (const auto place : kPlaces)
                for (auto i = line.find(place); i != line.npos; i = line.find(place, i + 1))
                    // Part of a longer path, such as build/..., it is nobody's machine.
                    if (i == 0 || !(std::isalnum(static_cast<unsigned char>(line[i - 1])) ||
                                    line[i - 1] == '.' || line[i - 1] == '}'))
                        out.push_back(
                            at(path, number, "a place on one machine: " + std::string(place)));
        }
    }
    return out;
}

std::size_t columns(std::string_view line) {
    // In UTF-8 every character has one byte that is not a continuation.
    return static_cast<std::size_t>(std::ranges::count_if(
        line, [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U; }));
}

Complaints sizes(const Tree& tree) {
    Complaints out;
    for (const auto& [path, text] : tree) {
        if (!is_cpp(path) && !path.ends_with(".py") && path != "dev") continue;
        const auto lines = lines_of(text);
        if (lines.size() > kLinesMax)
            out.push_back(
                at(path, lines.size(), "past 900 lines a file is two ideas: give each its own"));
        for (std::size_t i = 0; is_cpp(path) && i < lines.size(); ++i)
            if (columns(lines[i]) > kColumnsMax)
                out.push_back(at(path, i + 1, "longer than 100 columns"));
    }
    return out;
}

// The path of `link` as seen from the folder of the page it stands on; nothing if it leaves the
// tree.
std::optional<std::string> resolve(std::string_view page, std::string_view link) {
    const auto path =
        (fs::path(folder_of(page)) / fs::path(link)).lexically_normal().generic_string();
    if (path.starts_with("..")) return std::nullopt;
    return path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
}

bool exists(const Tree& tree, const std::string& path) {
    if (path == "." || tree.contains(path)) return true;
    const auto inside = tree.lower_bound(path + "/");
    return inside != tree.end() && inside->first.starts_with(path + "/");
}

// Every relative link [text](path) of a page leads to a file or folder of the tree.
Complaints links(const Tree& tree) {
    Complaints out;
    for (const auto& [path, text] : tree) {
        if (!path.ends_with(".md")) continue;
        std::size_t number = 0;
        bool code = false;
        for (const auto line : lines_of(text)) {
            ++number;
            if (line.starts_with("```")) code = !code;
            if (code) continue;
            for (auto i = line.find("]("); i != line.npos; i = line.find("](", i + 1)) {
                const auto end = line.find(')', i);
                if (end == line.npos) continue;
                auto link = line.substr(i + 2, end - i - 2);
                link = link.substr(0, link.find('#'));
                if (link.empty() || link.find(':') != link.npos) continue;
                const auto target = resolve(path, link);
                if (!target || !exists(tree, *target))
                    out.push_back(at(path, number, "leads nowhere: " + std::string(link)));
            }
        }
    }
    return out;
}

bool is_text(const fs::path& path) {
    constexpr std::array<std::string_view, 11> kEndings{".cpp", ".hpp",   ".md",   ".py",
                                                        ".sh",  ".build", ".conf", ".service",
                                                        ".txt", ".yml",   ".json"};
    const auto ending = path.extension().string();
    return std::ranges::find(kEndings, ending) != kEndings.end() || path.filename() == "dev" ||
           path.filename() == "run";
}

const Tree& tree() {
    static const Tree whole = [] {
        Tree out;
        const fs::path root = FIRNLOG_ROOT;
        const auto take = [&](const fs::path& path) {
            if (!fs::is_regular_file(path)) return;
            std::string text;
            if (is_text(path)) {
                std::ifstream file(path, std::ios::binary);
                text.assign(std::istreambuf_iterator<char>(file), {});
            }
            // A file that is not text still is something a link may lead to.
            out.emplace(fs::relative(path, root).generic_string(), std::move(text));
        };
        for (const auto& entry : fs::directory_iterator(root)) take(entry.path());
        for (const std::string_view folder :
             {"io", "engine", "recovery", "src", "tests", "bench", "docs", ".ci"})
            if (fs::exists(root / folder))
                for (const auto& entry : fs::recursive_directory_iterator(root / folder))
                    take(entry.path());
        return out;
    }();
    return whole;
}

void check(const Complaints& complaints) {
    for (const auto& complaint : complaints) BOOST_ERROR(complaint);
    BOOST_TEST(complaints.empty());
}

// One complaint, about `path`.
void bites(const Complaints& complaints, std::string_view path) {
    BOOST_TEST_REQUIRE(complaints.size() == 1U);
    BOOST_TEST(complaints[0].starts_with(std::string(path) + ":"), complaints[0]);
}

struct Compiled {
    bool ok;
    std::string output;
};

Compiled compile_alone(const std::string& header) {
    const std::string command = std::string(FIRNLOG_CXX) +
                                " -std=c++20 -fsyntax-only -D_GNU_SOURCE" +
                                " -DBOOST_TEST_DYN_LINK -I'" FIRNLOG_ROOT "' -include '" + header +
                                "' -x c++ /dev/null 2>&1";
    std::FILE* pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) return {false, "popen failed"};
    std::string output;
    std::array<char, 4096> piece{};
    while (const auto n = std::fread(piece.data(), 1, piece.size(), pipe))
        output.append(piece.data(), n);
    return {::pclose(pipe) == 0, output.substr(0, 2000)};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tidy)

BOOST_AUTO_TEST_CASE(the_tree_is_seen) {
    BOOST_TEST(tree().contains("meson.build"));
    BOOST_TEST(tree().contains("io/base/ensure.hpp"));
    for (const auto folder : kFolders) BOOST_TEST(exists(tree(), std::string(folder)), folder);
}

BOOST_AUTO_TEST_CASE(an_include_that_points_up_is_found) {
    Tree small{{"io/a.hpp", ""},
               {"engine/b.hpp", "#include \"io/a.hpp\"\n#include \"engine/b.hpp\"\n"},
               {"recovery/c.cpp", "#include \"engine/b.hpp\"\n"},
               {"src/d.cpp", "#include \"recovery/c.cpp\"\n#include <engine/none.hpp>\n"},
               {"tests/t.hpp", "#include \"src/d.cpp\"\n"}};
    check(layers(small));
    for (const auto& [from, to] : {std::pair{"io/x.cpp", "engine/b.hpp"},
                                   {"io/x.cpp", "tests/t.hpp"},
                                   {"engine/x.hpp", "src/d.cpp"},
                                   {"engine/x.cpp", "recovery/c.cpp"},
                                   {"recovery/x.cpp", "src/d.cpp"},
                                   {"src/x.cpp", "tests/t.hpp"},
                                   {"src/x.cpp", "io/gone.hpp"},
                                   {"src/crashtest/x.cpp", "engine/b.hpp"},
                                   {"src/crashtest/x.cpp", "recovery/c.cpp"},
                                   {"tests/x.cpp", "t.hpp"}}) {
        auto wrong = small;
        wrong[from] = "\n#include \"" + std::string(to) + "\"\n";
        bites(layers(wrong), std::string(from) + ":2");
    }
}

BOOST_AUTO_TEST_CASE(includes_point_one_way) { check(layers(tree())); }

BOOST_AUTO_TEST_CASE(a_header_without_its_head_is_found) {
    check(headers({{"io/a.hpp", "#pragma once\n// A: the first.\n"}, {"io/a.cpp", ""}}));
    bites(headers({{"io/a.hpp", "// A: late.\n// more\n#pragma once\n"}}), "io/a.hpp:1");
    bites(headers({{"io/a.hpp", "#pragma once\n\n#include <span>\n"}}), "io/a.hpp:2");
    bites(headers({{"io/a.hpp", "#pragma once\n// A: slow.\n#include <regex>\n"}}), "io/a.hpp:3");
}

BOOST_AUTO_TEST_CASE(headers_say_what_they_are) { check(headers(tree())); }

BOOST_AUTO_TEST_CASE(a_source_that_hides_what_its_header_lacks_is_found) {
    const Tree good{{"io/a.hpp", ""}, {"io/a.cpp", "#include \"io/a.hpp\"\n#include <span>\n"}};
    check(own_header_first(good));
    BOOST_TEST(unproven_headers(good).empty());
    const Tree wrong{{"io/a.hpp", ""}, {"io/a.cpp", "#include <span>\n#include \"io/a.hpp\"\n"}};
    bites(own_header_first(wrong), "io/a.cpp");
    BOOST_TEST(unproven_headers(wrong) == std::vector<std::string>{"io/a.hpp"},
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(sources_include_their_own_header_first) { check(own_header_first(tree())); }

BOOST_AUTO_TEST_CASE(a_header_that_leans_on_others_does_not_compile_alone) {
    const auto path = fs::temp_directory_path() / ("tidy" + std::to_string(::getpid()) + ".hpp");
    std::ofstream(path) << "std::string leaning();\n";
    BOOST_TEST(!compile_alone(path.string()).ok);
    std::ofstream(path) << "#include <string>\nstd::string standing();\n";
    BOOST_TEST(compile_alone(path.string()).ok);
    fs::remove(path);
}

BOOST_AUTO_TEST_CASE(headers_stand_alone) {
    const auto unproven = unproven_headers(tree());
    std::atomic<std::size_t> next{0};
    std::mutex lock;
    Complaints complaints;
    const auto work = [&] {
        for (auto i = next++; i < unproven.size(); i = next++) {
            const auto compiled = compile_alone(unproven[i]);
            if (compiled.ok) continue;
            const std::lock_guard held(lock);
            complaints.push_back(at(unproven[i], 1, "does not stand alone\n" + compiled.output));
        }
    };
    {
        std::vector<std::jthread> workers;
        for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i)
            workers.emplace_back(work);
    }
    check(complaints);
}

BOOST_AUTO_TEST_CASE(a_file_nobody_builds_or_includes_is_found) {
    const Tree small{
        {"meson.build", "subdir('io')\n"},
        {"io/meson.build", "static_library('io', 'base/a.cpp', cpp_pch: 'pch/io.hpp')\n"},
        {"io/pch/io.hpp", ""},
        {"io/base/a.cpp", "#include \"io/base/a.hpp\"\n"},
        {"io/base/a.hpp", ""}};
    check(dead_files(small));
    for (const auto* path : {"io/base/b.cpp", "io/b.cpp", "io/base/b.hpp", "engine/meson.build"}) {
        auto wrong = small;
        wrong[path] = "#include \"" + std::string(path) + "\"\n";
        bites(dead_files(wrong), path);
    }
}

BOOST_AUTO_TEST_CASE(no_file_is_dead) { check(dead_files(tree())); }

BOOST_AUTO_TEST_CASE(promises_and_machine_paths_are_found) {
    check(words({{"io/a.cpp",
                  "// mkstemp XXXX"
                  "XX, TO"
                  "DOS, build/ro"
                  "ot/x\n"}}));
    for (const auto* line : {"// TO"
                             "DO: later",
                             "FIX"
                             "ME",
                             "x = 1;  // XX"
                             "X",
                             "cd /wo"
                             "rk/main",
                             "\"/ho"
                             "me/me\"",
                             "dir=/ro"
                             "ot/x"})
        bites(words({{"docs/a.md", "\n" + std::string(line) + "\n"}}), "docs/a.md:2");
}

BOOST_AUTO_TEST_CASE(nothing_is_promised_and_no_machine_is_named) { check(words(tree())); }

BOOST_AUTO_TEST_CASE(long_lines_and_long_files_are_found) {
    std::string full;
    for (std::size_t i = 0; i < kLinesMax; ++i) full += "\n";
    std::string wide;
    for (std::size_t i = 0; i < kColumnsMax; ++i) wide += "ü";
    check(
        sizes({{"io/a.cpp", full}, {"io/b.cpp", wide + "\n"}, {"docs/c.md", full + wide + wide}}));
    bites(sizes({{"io/a.cpp", full + "\n"}}), "io/a.cpp:901");
    bites(sizes({{"dev", full + "\n"}}), "dev:901");
    bites(sizes({{"io/b.cpp", "\n" + wide + "x\n"}}), "io/b.cpp:2");
}

BOOST_AUTO_TEST_CASE(files_and_lines_have_a_readers_size) { check(sizes(tree())); }

BOOST_AUTO_TEST_CASE(a_link_that_leads_nowhere_is_found) {
    const Tree small{{"README.md", "[a](docs/a.md) [b](docs/) [c](https://example.org/x)\n"},
                     {"docs/a.md",
                      "[up](../README.md#top) [self](#here) [far](adr/1.md)\n"
                      "```\n[not](a-link)\n```\n"},
                     {"docs/adr/1.md", ""}};
    check(links(small));
    for (const auto* link : {"docs/b.md", "/docs/a.md", "../README.md", "doc/"}) {
        auto wrong = small;
        wrong["README.md"] += "[x](" + std::string(link) + ")\n";
        bites(links(wrong), "README.md:2");
    }
}

BOOST_AUTO_TEST_CASE(links_between_documents_lead_somewhere) { check(links(tree())); }

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::tidy
