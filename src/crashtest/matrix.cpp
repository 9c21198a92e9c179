#include "src/crashtest/matrix.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <map>
#include <set>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "src/crashtest/execute.hpp"
#include "src/crashtest/report.hpp"

namespace firnlog::crashtest {
namespace {

namespace fs = std::filesystem;

// Option names without their dashes, and what stands behind them; more than one only of mode and
// fs.
using Settings = std::map<std::string, std::vector<std::string>, std::less<>>;

std::optional<std::string> text_of(const toml::node& node) {
    if (const auto* const text = node.as_string()) return text->get();
    if (const auto* const number = node.as_integer()) return std::to_string(number->get());
    return std::nullopt;
}

// What a row says to all servers, and to one of them, by its name.
struct Row {
    Settings all;
    std::map<std::string, Settings, std::less<>> to;
};

std::optional<std::string> read_setting(const std::string& name, const toml::node& node,
                                        Settings& settings) {
    std::vector<std::string> values;
    if (const auto* const list = node.as_array()) {
        if (name != "mode" && name != "fs") return name + " cannot be a list";
        for (const auto& item : *list)
            if (auto text = text_of(item)) values.push_back(std::move(*text));
        if (values.size() != list->size() || values.empty())
            return name + " must be a list of names";
    } else if (auto text = text_of(node)) {
        values.push_back(std::move(*text));
    } else {
        return name + " must be a text or a number";
    }
    constexpr std::string_view kOurs[] = {"dir", "json", "html", "matrix", "markdown"};
    if (std::ranges::find(kOurs, name) != std::end(kOurs))
        return name + " is not for a cell: the matrix says where its reports go";
    settings[name] = std::move(values);
    return std::nullopt;
}

// Over what `settings` has already.
std::optional<std::string> read_settings(const toml::table& table, Settings& settings) {
    for (const auto& [key, node] : table)
        if (auto wrong = read_setting(std::string(key.str()), node, settings)) return wrong;
    return std::nullopt;
}

std::optional<std::string> read_row(const toml::table& table, const std::set<std::string>& servers,
                                    Row& row) {
    for (const auto& [key, node] : table) {
        const std::string name(key.str());
        const auto* const own = node.as_table();
        if (own != nullptr && !servers.contains(name))
            return name + " is neither a setting nor a server";
        if (auto wrong = own != nullptr ? read_settings(*own, row.to[name])
                                        : read_setting(name, node, row.all))
            return wrong;
        if (own != nullptr && own->contains("name")) return "the name of " + name + " is given";
    }
    return std::nullopt;
}

std::string file_name_of(std::string_view text) {
    std::string out;
    for (const char byte : text) {
        const auto code = static_cast<unsigned char>(byte);
        if (std::isalnum(code) != 0)
            out += static_cast<char>(std::tolower(code));
        else if (!out.empty() && out.back() != '-')
            out += '-';
    }
    while (out.ends_with('-')) out.pop_back();
    return out;
}

std::string replaced(std::string text, std::string_view what, std::string_view by) {
    for (auto at = text.find(what); at != text.npos; at = text.find(what, at + by.size()))
        text.replace(at, what.size(), by);
    return text;
}

struct Place {
    std::string server;
    std::string row;
    std::string mode;
    std::string fs;
};

std::optional<std::string> add_cell(const Place& place, const Settings& settings, Matrix& matrix) {
    std::vector<std::string> words{"--mode", place.mode, "--fs", place.fs};
    for (const auto& [name, values] : settings) {
        if (name == "name" || name == "mode" || name == "fs") continue;
        words.push_back("--" + name);
        words.push_back(name == "start" ? replaced(values.front(), "{mode}", place.mode)
                                        : values.front());
    }
    Cell cell{.server = place.server, .row = place.row};
    if (auto wrong = parse_options(std::move(words), cell.options))
        return place.server + ", " + place.row + ": " + *wrong;
    if (cell.options.needs_disk()) cell.row += ", " + place.fs;
    cell.file = file_name_of(cell.server + " " + cell.row + " " + place.mode);
    for (const auto& other : matrix.cells)
        if (other.file == cell.file) return "two cells would be " + cell.file + ".json";
    matrix.cells.push_back(std::move(cell));
    return std::nullopt;
}

std::vector<std::string> either(const Settings& settings, std::string_view name,
                                const std::vector<std::string>& otherwise) {
    const auto found = settings.find(name);
    return found == settings.end() ? otherwise : found->second;
}

std::optional<std::string> add_cells(const Settings& server, const Row& row, Matrix& matrix) {
    Settings all = server;
    for (const auto& [name, values] : row.all) all[name] = values;
    if (const auto own = row.to.find(server.at("name").front()); own != row.to.end())
        for (const auto& [name, values] : own->second) all[name] = values;
    const auto kill = either(all, "kill", {"sigkill"}).front();
    const bool has_disk = kill == "power" || all.contains("fault");
    auto file_systems = either(all, "fs", {"ext4"});
    // Without a disk of our own there is nothing to choose.
    if (!has_disk) file_systems.resize(1);
    for (const auto& mode : either(all, "mode", {"always"}))
        for (const auto& fs : file_systems)
            if (auto wrong = add_cell({.server = server.at("name").front(),
                                       .row = row.all.at("name").front(),
                                       .mode = mode,
                                       .fs = fs},
                                      all, matrix))
                return wrong;
    return std::nullopt;
}

// The tables of that name, each read by `read`, which returns its settings.
template <typename Read>
std::optional<std::string> read_tables(const toml::table& root, std::string_view name,
                                       const Read& read) {
    const auto* const tables = root[name].as_array();
    if (tables == nullptr || tables->empty()) return "no [[" + std::string(name) + "]]";
    for (const auto& node : *tables) {
        const auto* const table = node.as_table();
        if (table == nullptr) return std::string(name) + " is not a list of tables";
        if (!table->contains("name")) return "a [[" + std::string(name) + "]] has no name";
        if (auto wrong = read(*table)) return wrong;
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::string> read_matrix(std::string_view text, std::optional<std::uint64_t> seed,
                                       Matrix& matrix) {
    const auto parsed = toml::parse(text);
    if (!parsed)
        return "line " + std::to_string(parsed.error().source().begin.line) + ": " +
               std::string(parsed.error().description());
    const toml::table& root = parsed.table();
    for (const auto& [key, node] : root) {
        constexpr std::string_view kKnown[] = {"title",    "intro",  "notes",
                                               "defaults", "server", "row"};
        if (std::ranges::find(kKnown, key.str()) == std::end(kKnown))
            return "what is " + std::string(key.str()) + "?";
    }
    matrix.title = root["title"].value_or(std::string("Crash test"));
    matrix.intro = root["intro"].value_or(std::string());
    matrix.notes = root["notes"].value_or(std::string());
    Settings defaults;
    if (const auto* const table = root["defaults"].as_table())
        if (auto wrong = read_settings(*table, defaults)) return wrong;
    std::vector<Settings> servers;
    std::set<std::string> names;
    if (auto wrong = read_tables(root, "server", [&](const toml::table& table) {
            auto unread = read_settings(table, servers.emplace_back(defaults));
            if (!unread) names.insert(servers.back().at("name").front());
            return unread;
        }))
        return wrong;
    // On top of nothing: what a row does not say, the server may.
    std::vector<Row> rows;
    if (auto wrong = read_tables(root, "row", [&](const toml::table& table) {
            return read_row(table, names, rows.emplace_back());
        }))
        return wrong;
    for (auto& server : servers) {
        // Without a seed every cell would draw one, and nothing could be gone on with.
        if (seed) server["seed"] = {std::to_string(*seed)};
        if (!server.contains("seed")) server["seed"] = {"1"};
    }
    for (const auto& row : rows)
        for (const auto& server : servers)
            if (auto wrong = add_cells(server, row, matrix)) return wrong;
    return std::nullopt;
}

std::string report_path(const Cell& cell, const std::string& folder) {
    return folder + "/" + cell.file + "." + std::to_string(cell.options.seed) + ".json";
}

bool is_complete(const Cell& cell, const std::string& folder) {
    Outcome outcome;
    const auto text = read_file(report_path(cell, folder));
    const auto& options = cell.options;
    return !text.empty() && !read_json(text, options, outcome) &&
           outcome.cycles.size() >= (options.corrupt != 0 ? options.corrupt : options.cycles);
}

void gather(Cell& cell, const std::string& folder) {
    cell.outcome = {};
    cell.seeds.clear();
    std::set<std::uint64_t> seeds;
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(folder, failed)) {
        const auto name = entry.path().filename().string();
        const auto head = cell.file + ".";
        if (!name.starts_with(head) || !name.ends_with(".json")) continue;
        std::uint64_t seed = 0;
        const auto* const begin = name.data() + head.size();
        const auto* const end = name.data() + name.size() - std::string_view(".json").size();
        if (std::from_chars(begin, end, seed).ptr == end) seeds.insert(seed);
    }
    for (const auto seed : seeds) {
        auto options = cell.options;
        options.seed = seed;
        Cell one{.file = cell.file, .options = options};
        // A file of another command under the same name is another cell's from before.
        if (read_json(read_file(report_path(one, folder)), options, cell.outcome)) continue;
        cell.seeds.push_back(seed);
    }
}

}  // namespace firnlog::crashtest
