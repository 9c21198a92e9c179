// The table of directives in docs/operations.md: written from the code, and compared with it.

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "src/config.hpp"
#include "src/config_table.hpp"
#include "tests/src/config_probe.hpp"

namespace firnlog::server {
namespace {

namespace fs = std::filesystem;
using test::content_of;

// Build folders lie inside the tree.
std::string manual() {
    for (auto folder = fs::current_path(); folder != folder.root_path();
         folder = folder.parent_path()) {
        if (fs::exists(folder / "docs/operations.md")) return folder / "docs/operations.md";
    }
    return {};
}

// The table of docs/operations.md: FIRNLOG_WRITE_DOCS=1 writes it anew.
std::string markdown_of(const Row& row) {
    const auto code = [](std::string_view text) { return "`" + std::string(text) + "`"; };
    std::string values;
    switch (row.kind) {
        case Kind::boolean:
            values = "yes, no";
            break;
        case Kind::choice:
        case Kind::choices:
            values = row.choices;
            break;
        case Kind::number:
        case Kind::memory: {
            const auto bound = [&](std::int64_t value) {
                if (value == std::numeric_limits<std::int64_t>::max()) return std::string("2^63-1");
                if (row.is_unsigned && value == -1) return std::string("2^64-1");
                return std::to_string(value);
            };
            values = bound(row.min) + " to " + bound(row.max);
            if (row.kind == Kind::memory) values += " bytes";
            break;
        }
        case Kind::duration:
            values = "seconds, or 90s, 15m, 24h, 7d";
            break;
        case Kind::octal:
            values = "0 to 777, octal";
            break;
        case Kind::proportion:
            values = "bytes, or 0% to 100%";
            break;
        case Kind::text:
            values = "text";
            break;
        case Kind::keep:
            values = "period:count,...";
            break;
        case Kind::save:
            values = "(seconds changes)...";
            break;
        case Kind::limits:
            values = "(class hard soft seconds)...";
            break;
        case Kind::events:
            values = "letters of `Ag$lshzxeKEtmdn`";
            break;
        case Kind::addresses:
            values = "up to 16 addresses";
            break;
        case Kind::percents:
            values = "numbers from 0 to 100";
            break;
        case Kind::scores:
            values = "three integers";
            break;
        case Kind::master:
            values = "host port, or no one";
            break;
        case Kind::file:
            values = "in files alone";
            break;
    }
    std::string standing;
    switch (row.standing) {
        case Standing::honoured:
            standing = "honoured";
            break;
        case Standing::accepted:
            standing = "no effect: " + std::string(row.why);
            break;
        case Standing::refused:
            standing = "refused: " + std::string(row.why);
            break;
    }
    std::string settable = "no";
    if (row.change == Change::any_time && row.kind != Kind::file) settable = "yes";
    if (row.change == Change::permitted) settable = "with `enable-protected-configs`";
    const bool by_machine = row.field == Field(&Config::threads);
    std::string name = code(row.name);
    if (!row.alias.empty()) name += ", " + code(row.alias);
    std::string initial = by_machine            ? "by the cores"
                          : row.initial.empty() ? ""
                                                : code(row.initial);
    return "| " + name + " | " + initial + " | " + values + " | " + settable + " | " + standing +
           " |\n";
}

BOOST_AUTO_TEST_SUITE(config)

BOOST_AUTO_TEST_CASE(the_table_in_the_manual_is_the_table_in_the_code) {
    const std::string path = manual();
    auto text = content_of(path);
    BOOST_REQUIRE_MESSAGE(!text.empty(), path);
    const std::string begin = "<!-- config table: begin -->\n";
    const std::string end = "<!-- config table: end -->\n";
    const auto from = text.find(begin);
    const auto to = text.find(end);
    BOOST_REQUIRE((from != text.npos && to != text.npos && from < to));
    std::string table =
        "| directive | default | values | CONFIG SET | standing |\n| --- | --- | --- | --- | --- "
        "|\n";
    for (const auto& row : config_rows()) {
        if (!row.hidden) table += markdown_of(row);
    }
    const auto start = from + begin.size();
    if (std::getenv("FIRNLOG_WRITE_DOCS") != nullptr) {
        text.replace(start, to - start, table);
        std::ofstream(path) << text;
        return;
    }
    BOOST_TEST((text.substr(start, to - start) == table),
               "docs/operations.md is behind the code: run this test with FIRNLOG_WRITE_DOCS=1");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::server
