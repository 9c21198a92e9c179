// What a matrix found, as Markdown and as one page: a row for each kill, mode and file system, a
// column for each server. Words and colours are the same for every server.

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <sstream>

#include "src/crashtest/html.hpp"
#include "src/crashtest/matrix.hpp"
#include "src/crashtest/text.hpp"

namespace firnlog::crashtest {
namespace {

std::string rounded(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.0f", value);
    return text;
}

std::uint64_t violated_cycles(const Outcome& outcome) {
    return static_cast<std::uint64_t>(std::ranges::count_if(
        outcome.cycles, [](const auto& cycle) { return cycle.violations != 0; }));
}

std::string damaged_summary(const Outcome& outcome) {
    std::map<std::string, std::uint32_t> ends;
    for (const auto& cycle : outcome.cycles) ++ends[cycle.ended];
    std::uint64_t changed = 0;
    for (const auto& [name, count] : outcome.files()) changed += count;
    auto out = plural(outcome.cycles.size(), "copy") + ", changed " + grouped(changed) + ", " +
               counts_of(ends);
    if (outcome.violations() != 0) out += "; " + counts_of(outcome.names());
    return out;
}

std::string killed_summary(const Outcome& outcome) {
    std::string out;
    if (const auto bad = violated_cycles(outcome); bad != 0)
        out = grouped(bad) + " of " + plural(outcome.cycles.size(), "cycle") + ": " +
              counts_of(outcome.names()) + "; ";
    else
        out = plural(outcome.cycles.size(), "cycle") + ", ";
    out += grouped(outcome.lost()) + " of " + grouped(outcome.acks()) + " lost";
    if (outcome.lost() != 0) out += ", the oldest " + rounded(outcome.loss_ms_max()) + " ms old";
    double back_ms = -1;
    for (const auto& cycle : outcome.cycles) back_ms = std::max(back_ms, cycle.back_ms);
    if (back_ms >= 0) out += "; writes back within " + rounded(std::max(back_ms, 1.0)) + " ms";
    if (!outcome.on_faults().empty())
        out += "; when the disk failed: " + counts_of(outcome.on_faults());
    return out + "; recovery " + rounded(outcome.recovery_ms(0.5)) + " ms, p99 " +
           rounded(outcome.recovery_ms(0.99)) + " ms";
}

struct Line {
    std::string row;
    Mode mode;
    std::vector<const Cell*> cells;  // a server each; null: not asked for
};

std::vector<std::string> servers_of(const Matrix& matrix) {
    std::vector<std::string> out;
    for (const auto& cell : matrix.cells)
        if (std::ranges::find(out, cell.server) == out.end()) out.push_back(cell.server);
    return out;
}

std::vector<Line> lines_of(const Matrix& matrix, const std::vector<std::string>& servers) {
    std::vector<Line> out;
    for (const auto& cell : matrix.cells) {
        auto line = std::ranges::find_if(out, [&](const auto& one) {
            return one.row == cell.row && one.mode == cell.options.mode;
        });
        if (line == out.end()) {
            out.push_back({cell.row, cell.options.mode, {}});
            line = out.end() - 1;
            line->cells.resize(servers.size());
        }
        const auto column = std::ranges::find(servers, cell.server) - servers.begin();
        line->cells[static_cast<std::size_t>(column)] = &cell;
    }
    return out;
}

// Kernels, versions and file systems, as the reports have them.
std::vector<std::string> circumstances(const Matrix& matrix) {
    std::vector<std::string> out;
    const auto add = [&](const std::string& line) {
        if (std::ranges::find(out, line) == out.end()) out.push_back(line);
    };
    for (const auto& cell : matrix.cells)
        if (!cell.outcome.kernel.empty()) add("kernel: " + cell.outcome.kernel);
    for (const auto& cell : matrix.cells)
        if (!cell.outcome.server.empty()) add(cell.server + ": " + cell.outcome.server);
    for (const auto& cell : matrix.cells)
        if (!cell.outcome.file_system.empty()) add("file system: " + cell.outcome.file_system);
    for (const auto& cell : matrix.cells)
        for (const auto& name : cell.outcome.missing)
            add(cell.server + " does not know " + name + ", so it was left out");
    for (const auto& cell : matrix.cells)
        for (const auto& refused : cell.outcome.refused)
            add(cell.server + " answers with an error, so it was left out: " + refused);
    return out;
}

std::string seeds_of(const Cell& cell) {
    std::string out;
    for (const auto seed : cell.seeds) out += (out.empty() ? "" : ", ") + std::to_string(seed);
    return out;
}

// A cell's first violations, one line each.
std::vector<std::string> examples(const Cell& cell) {
    constexpr std::size_t kMax = 3;
    std::vector<std::string> out;
    std::set<std::string> names;
    for (const auto& found : cell.outcome.found)
        if (out.size() < kMax && names.insert(found.violation.name).second)
            out.push_back("cycle " + std::to_string(found.cycle) + ", " + found.violation.name +
                          ": " + found.violation.text);
    return out;
}

// What was said when the disk failed, once for each way to answer; and which files were damaged.
std::vector<std::string> remarks(const Cell& cell) {
    std::vector<std::string> out;
    std::set<std::string> answers;
    for (const auto& cycle : cell.outcome.cycles)
        if (!cycle.words.empty() && answers.insert(cycle.on_fault).second)
            out.push_back("cycle " + std::to_string(cycle.number) + ", " + cycle.on_fault + ": " +
                          cycle.words);
    if (!cell.outcome.files().empty()) out.push_back("damaged: " + counts_of(cell.outcome.files()));
    return out;
}

constexpr std::string_view kLegend =
    "A cell says how many cycles or damaged copies there were, and, where a promise was broken, in "
    "how many of them and how; then what was lost of what had been acknowledged, what the server "
    "did when its disk failed, and the time from spawn to the first answer (median, p99). Of "
    "damaged copies it says how many had other bytes than before.";

}  // namespace

std::string summary(const Cell& cell) {
    if (cell.outcome.cycles.empty()) return cell.wrong ? "could not run" : "not run";
    return (cell.outcome.violations() == 0 ? "held: " : "VIOLATED: ") +
           (cell.options.corrupt != 0 ? damaged_summary(cell.outcome)
                                      : killed_summary(cell.outcome));
}

std::string markdown(const Matrix& matrix) {
    const auto servers = servers_of(matrix);
    std::ostringstream out;
    out << "# " << matrix.title << "\n\n";
    if (!matrix.intro.empty()) out << matrix.intro << "\n\n";
    out << kLegend << "\n\n| what was done | mode |";
    for (const auto& server : servers) out << " " << server << " |";
    out << "\n|---|---|";
    for (std::size_t i = 0; i < servers.size(); ++i) out << "---|";
    out << "\n";
    for (const auto& line : lines_of(matrix, servers)) {
        out << "| " << line.row << " | " << name_of(line.mode) << " |";
        for (const auto* const cell : line.cells)
            out << " " << (cell == nullptr ? "" : summary(*cell)) << " |";
        out << "\n";
    }
    out << "\n## Circumstances\n\n";
    for (const auto& line : circumstances(matrix)) out << "- " << line << "\n";
    bool first = true;
    for (const auto& cell : matrix.cells) {
        const auto lines = examples(cell);
        if (lines.empty() && !cell.wrong) continue;
        if (first) out << "\n## What was found\n";
        first = false;
        out << "\n"
            << cell.server << ", " << cell.row << ", " << name_of(cell.options.mode)
            << ":\n\n```\n";
        if (cell.wrong) out << "could not run: " << *cell.wrong << "\n";
        for (const auto& line : lines) out << line << "\n";
        out << "```\n";
    }
    first = true;
    for (const auto& cell : matrix.cells) {
        const auto lines = remarks(cell);
        if (lines.empty()) continue;
        if (first) out << "\n## What was said when a disk failed, and what was damaged\n";
        first = false;
        out << "\n"
            << cell.server << ", " << cell.row << ", " << name_of(cell.options.mode)
            << ":\n\n```\n";
        for (const auto& line : lines) out << line << "\n";
        out << "```\n";
    }
    out << "\n## The command behind each cell\n\n```\n";
    for (const auto& cell : matrix.cells) {
        out << "# " << cell.server << ", " << cell.row << ", " << name_of(cell.options.mode);
        if (cell.seeds.size() > 1) out << ", seeds " << seeds_of(cell);
        out << "\n" << cell.options.command() << "\n";
    }
    out << "```\n";
    if (!matrix.notes.empty()) out << "\n" << matrix.notes << "\n";
    return out.str();
}

std::string html(const Matrix& matrix) {
    const auto servers = servers_of(matrix);
    std::ostringstream out;
    out << page_head(matrix.title) << "<h1>" << escaped(matrix.title) << "</h1>\n";
    if (!matrix.intro.empty()) out << "<p>" << escaped(matrix.intro) << "</p>\n";
    out << "<p class=\"note\">" << kLegend
        << "</p>\n<table class=\"matrix\"><tr><th>what was done</th><th>mode</th>";
    for (const auto& server : servers) out << "<th>" << escaped(server) << "</th>";
    out << "</tr>\n";
    for (const auto& line : lines_of(matrix, servers)) {
        out << "<tr><td>" << escaped(line.row) << "</td><td>" << name_of(line.mode) << "</td>";
        for (const auto* const cell : line.cells) {
            if (cell == nullptr) {
                out << "<td></td>";
                continue;
            }
            const bool ran = !cell->outcome.cycles.empty();
            out << "<td class=\""
                << (!ran                              ? "note"
                    : cell->outcome.violations() == 0 ? "held"
                                                      : "violated")
                << "\">" << escaped(summary(*cell)) << "</td>";
        }
        out << "</tr>\n";
    }
    out << "</table>\n<h2>Circumstances</h2>\n<ul>\n";
    for (const auto& line : circumstances(matrix)) out << "<li>" << escaped(line) << "</li>\n";
    out << "</ul>\n<h2>Cell by cell</h2>\n";
    for (const auto& cell : matrix.cells) {
        out << "<p><b>" << escaped(cell.server) << ", " << escaped(cell.row) << ", "
            << name_of(cell.options.mode) << "</b>: " << escaped(summary(cell)) << "</p>\n<pre>"
            << escaped(cell.options.command());
        if (cell.seeds.size() > 1) out << "\nseeds " << seeds_of(cell);
        if (cell.wrong) out << "\ncould not run: " << escaped(*cell.wrong);
        for (const auto& line : examples(cell)) out << "\n" << escaped(line);
        for (const auto& line : remarks(cell)) out << "\n" << escaped(line);
        out << "</pre>\n";
    }
    if (!matrix.notes.empty()) out << "<p>" << escaped(matrix.notes) << "</p>\n";
    out << "</body></html>\n";
    return out.str();
}

}  // namespace firnlog::crashtest
