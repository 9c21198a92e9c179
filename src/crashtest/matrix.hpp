#pragma once
// Matrix: many runs side by side: servers, modes, kills and file systems, from one TOML file.
//
//   [defaults]            mode = ["always", "everysec"], cycles = 20, seed = 1
//   [[server]]            name, start, admin, ...
//   [[row]]               name, kill, fault, fs = ["ext4", "xfs"], corrupt, ...
//
// Every key is an option of the verb; a row's wins over a server's, a server's over the defaults.
// `mode` and `fs` may be lists. A cell is one server in one row, mode and file system; its report
// is a JSON file of its own, named after it and its seed. So a matrix that was interrupted goes on
// where it was, and files of several seeds are one cell.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/crashtest/options.hpp"
#include "src/crashtest/outcome.hpp"

namespace firnlog::crashtest {

struct Cell {
    std::string server;
    std::string row;                   // with the file system, where there is one of our own
    std::string file;                  // of its reports, without seed and ending
    Options options;                   // with the seed of this file
    std::optional<std::string> wrong;  // what kept it from running
    // What all its files hold together, and of which seeds they are.
    Outcome outcome;
    std::vector<std::uint64_t> seeds;
};

struct Matrix {
    std::string title;
    std::string intro;  // before the table and behind the cells, as they are: Markdown
    std::string notes;
    std::vector<Cell> cells;
};

// What is wrong with the file, or nothing. `seed` wins over the file's.
[[nodiscard]] std::optional<std::string> read_matrix(std::string_view text,
                                                     std::optional<std::uint64_t> seed,
                                                     Matrix& matrix);

// Where the report of the cell lies.
[[nodiscard]] std::string report_path(const Cell& cell, const std::string& folder);
// That report has all the cycles that are asked for.
[[nodiscard]] bool is_complete(const Cell& cell, const std::string& folder);
// Whatever reports of the cell lie in the folder, of all seeds.
void gather(Cell& cell, const std::string& folder);

// One line for a cell: what was found, in how many cycles.
[[nodiscard]] std::string summary(const Cell& cell);

[[nodiscard]] std::string markdown(const Matrix& matrix);
[[nodiscard]] std::string html(const Matrix& matrix);

}  // namespace firnlog::crashtest
