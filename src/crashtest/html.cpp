#include "src/crashtest/html.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <sstream>

#include "src/crashtest/report.hpp"

namespace firnlog::crashtest {
namespace {

constexpr double kWidth = 900, kHeight = 240, kLeft = 64, kBottom = 34, kTop = 14;

constexpr std::string_view kStyle = R"(
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2733; background: #fff; margin: 2rem auto;
       max-width: 960px; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
code, pre { font: 13px/1.45 ui-monospace, monospace; background: #f2f5f8; }
pre { padding: .7rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.held { color: #0b6e4f; } .violated { color: #b3261e; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #e3e8ee;
         vertical-align: top; } td:last-child { overflow-wrap: anywhere; }
table.matrix td { max-width: 22rem; }
table.timeline { border-collapse: collapse; } table.timeline td { border: 0; padding: .1rem .5rem; }
table.timeline td.n { width: 7rem; white-space: nowrap; color: #51606f; }
table.timeline td.dot { width: 1rem; padding: .1rem 0; border-left: 1px solid #c4ccd4; }
table.timeline tr.cut td { border-top: 1px dashed #b3261e; color: #b3261e; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; display: block; } svg text { font: 12px system-ui, sans-serif;
       fill: #51606f; } p.note { color: #51606f; font-size: 13px; margin: .2rem 0; }
)";

std::string number(double value, int digits = 1) {
    char text[32];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}

// 1, 2 or 5 times a power of ten, at or above.
double round_up(double value) {
    if (value <= 0) return 1;
    const double power = std::pow(10, std::floor(std::log10(value)));
    for (const double step : {1.0, 2.0, 5.0, 10.0})
        if (value <= step * power) return step * power;
    return value;
}

struct Point {
    double x;
    double y;
    bool bad;
    std::string title;
};

// Dots over the cycles, with an optional line at `limit`.
std::string dots(const std::vector<Point>& points, std::string_view unit, double limit) {
    double x_max = 1, y_max = limit;
    for (const auto& point : points) {
        x_max = std::max(x_max, point.x);
        y_max = std::max(y_max, point.y);
    }
    y_max = round_up(y_max * 1.02);
    const auto x_of = [&](double x) {
        return kLeft + (kWidth - kLeft - 12) * (x - 1) / std::max(x_max - 1, 1.0);
    };
    const auto y_of = [&](double y) {
        return kHeight - kBottom - (kHeight - kBottom - kTop) * y / y_max;
    };
    std::ostringstream out;
    out << "<svg viewBox=\"0 0 " << kWidth << " " << kHeight << "\" role=\"img\">";
    for (int i = 0; i <= 4; ++i) {
        const double y = y_max * i / 4;
        out << "<line x1=\"" << kLeft << "\" x2=\"" << kWidth - 12 << "\" y1=\"" << y_of(y)
            << "\" y2=\"" << y_of(y) << "\" stroke=\"#e3e8ee\"/><text x=\"" << kLeft - 8
            << "\" y=\"" << y_of(y) + 4 << "\" text-anchor=\"end\">"
            << number(y, y_max < 10 ? 1 : 0) << "</text>";
    }
    out << "<text x=\"" << kLeft << "\" y=\"" << kHeight - 8 << "\">cycle 1</text><text x=\""
        << kWidth - 12 << "\" y=\"" << kHeight - 8 << "\" text-anchor=\"end\">cycle "
        << number(x_max, 0) << "</text><text x=\"4\" y=\"" << kTop + 4 << "\">" << unit
        << "</text>";
    if (limit > 0)
        out << "<line x1=\"" << kLeft << "\" x2=\"" << kWidth - 12 << "\" y1=\"" << y_of(limit)
            << "\" y2=\"" << y_of(limit)
            << "\" stroke=\"#b3261e\" stroke-dasharray=\"5 4\"/><text x=\"" << kWidth - 16
            << "\" y=\"" << y_of(limit) - 5 << "\" text-anchor=\"end\">allowed</text>";
    for (const auto& point : points)
        out << "<circle cx=\"" << number(x_of(point.x)) << "\" cy=\"" << number(y_of(point.y))
            << "\" r=\"3.5\" fill=\"" << (point.bad ? "#b3261e" : "#1f6feb")
            << "\" fill-opacity=\".75\"><title>" << escaped(point.title) << "</title></circle>";
    out << "</svg>\n";
    return out.str();
}

std::string_view color_of(const std::string& ended) {
    if (ended == "held" || ended == "exact") return "#0b6e4f";
    if (ended == "less, told") return "#d9a400";
    if (ended == "refused") return "#7a8794";
    return "#b3261e";
}

using Rows = std::map<std::string, std::map<std::string, std::uint32_t>>;

// For each way of killing or damaging, how often it ended how.
Rows rows_by_kind(const Options& options, const Outcome& outcome) {
    Rows rows;
    for (const auto& cycle : outcome.cycles) {
        auto how = cycle.how;
        if (options.fault != Fault::none) how.append(", ").append(name_of(options.fault));
        if (!cycle.admin.empty()) how += ", in " + cycle.admin;
        // When it is killed a refused start is no answer that is allowed.
        const bool bad = options.corrupt == 0 && cycle.ended == "refused";
        ++rows[how][bad ? "refused to start" : cycle.ended];
    }
    return rows;
}

Rows rows_by_file(const Outcome& outcome) {
    Rows rows;
    for (const auto& cycle : outcome.cycles)
        if (!cycle.file.empty()) ++rows[cycle.file][cycle.ended];
    return rows;
}

// A bar for each row, its parts the outcomes.
std::string bars(const Rows& rows) {
    constexpr double kBar = 22, kGap = 10, kLabel = 260;
    const double height = static_cast<double>(rows.size()) * (kBar + kGap) + kGap;
    std::ostringstream out;
    out << "<svg viewBox=\"0 0 " << kWidth << " " << height << "\" role=\"img\">";
    double y = kGap;
    for (const auto& [how, ends] : rows) {
        std::uint32_t all = 0;
        for (const auto& [ended, count] : ends) all += count;
        out << "<text x=\"" << kLabel - 8 << "\" y=\"" << y + 15 << "\" text-anchor=\"end\">"
            << escaped(how) << " (" << all << ")</text>";
        double x = kLabel;
        for (const auto& [ended, count] : ends) {
            const double width = (kWidth - kLabel - 12) * count / all;
            out << "<rect x=\"" << number(x) << "\" y=\"" << y << "\" width=\"" << number(width)
                << "\" height=\"" << kBar << "\" fill=\"" << color_of(ended) << "\"><title>"
                << escaped(ended) << ": " << count << "</title></rect>";
            if (width > 80)
                out << "<text x=\"" << number(x + 6) << "\" y=\"" << y + 15
                    << "\" style=\"fill:#fff\">" << escaped(ended) << " " << count << "</text>";
            x += width;
        }
        y += kBar + kGap;
    }
    out << "</svg>\n";
    return out.str();
}

// Of what kind a moment is, by how it is told.
std::string_view color_of(const Moment& moment) {
    const auto& what = moment.what;
    if (what.starts_with("came back")) return "#b3261e";
    if (what.starts_with("the disk") || what.starts_with("the server")) return "#d9a400";
    if (what.find("acknowledged") != std::string::npos) return "#0b6e4f";
    return what.starts_with("write") && what.find(" sent: ") == std::string::npos ? "#7a4fb5"
                                                                                  : "#1f6feb";
}

// What was sent and acknowledged, what was done to the disk, what it had at the kill, what came
// back. Zero is the kill. A table, for its lines may be long.
std::string timeline(const Found& found, std::string_view kill) {
    std::ostringstream out;
    out << "<table class=\"timeline\">\n";
    const auto row = [&](std::string_view style, const std::string& when, std::string_view color,
                         std::string_view what) {
        out << "<tr" << style << "><td class=\"n\">" << when
            << "</td><td class=\"dot\"><svg viewBox=\"0 0 12 12\" style=\"width:12px\">"
            << "<circle cx=\"6\" cy=\"6\" r=\"5\" fill=\"" << color << "\"/></svg></td><td>"
            << escaped(what) << "</td></tr>\n";
    };
    bool killed = found.killed_us == 0;
    for (const auto& moment : found.violation.timeline) {
        if (!killed && moment.at_us > found.killed_us) {
            row(" class=\"cut\"", "0", "#b3261e", kill);
            killed = true;
        }
        const auto ms = static_cast<double>(moment.at_us - found.killed_us) / 1000;
        row("", moment.at_us == 0 ? "" : number(ms) + " ms", color_of(moment), moment.what);
    }
    if (!killed) row(" class=\"cut\"", "0", "#b3261e", kill);
    out << "</table>\n";
    return out.str();
}

// How the server of that cycle ended, and what the disk did.
std::string circumstances(const Options& options, const Cycle& cycle) {
    std::string out = "<p class=\"note\">";
    if (options.corrupt == 0) {
        out.append("Killed by ").append(escaped(cycle.how));
        if (!cycle.admin.empty()) out.append(" in ").append(escaped(cycle.admin));
        out += cycle.how.starts_with("power") ? ". The disk: "
                                              : ". What the kernel had been handed was not lost. ";
    }
    out += escaped(cycle.note);
    if (!cycle.on_fault.empty())
        out += "When the disk failed the server " + cycle.on_fault +
               (cycle.words.empty() ? "." : ": " + escaped(cycle.words));
    return out + "</p>\n";
}

std::string table(const Outcome& outcome) {
    constexpr std::size_t kRowsMax = 400;
    std::ostringstream out;
    out << "<table><tr><th class=\"n\">cycle</th><th>how</th><th>in</th><th>ended</th>"
           "<th class=\"n\">acknowledged</th><th class=\"n\">lost</th><th class=\"n\">oldest "
           "loss, ms</th><th class=\"n\">recovery, ms</th><th>note</th></tr>\n";
    std::size_t rows = 0;
    for (const auto& cycle : outcome.cycles) {
        // All that is wrong, and of the rest the first ones.
        if (cycle.violations == 0 && rows >= kRowsMax) continue;
        ++rows;
        out << "<tr><td class=\"n\">" << cycle.number << "</td><td>" << escaped(cycle.how)
            << "</td><td>" << escaped(cycle.admin) << "</td><td class=\""
            << (cycle.violations == 0 ? "held" : "violated") << "\">" << escaped(cycle.ended)
            << "</td><td class=\"n\">" << cycle.acks << "</td><td class=\"n\">" << cycle.lost
            << "</td><td class=\"n\">" << number(cycle.loss_ms) << "</td><td class=\"n\">"
            << number(cycle.recovery_ms) << "</td><td>" << escaped(cycle.note.substr(0, 300))
            << "</td></tr>\n";
    }
    out << "</table>\n";
    if (rows < outcome.cycles.size())
        out << "<p class=\"note\">" << outcome.cycles.size() - rows
            << " more cycles held; the JSON report has them.</p>\n";
    return out.str();
}

}  // namespace

std::string escaped(std::string_view text) {
    std::string out;
    for (const char byte : text) {
        if (byte == '<')
            out += "&lt;";
        else if (byte == '>')
            out += "&gt;";
        else if (byte == '&')
            out += "&amp;";
        else if (byte == '"')
            out += "&quot;";
        else
            out += byte;
    }
    return out;
}

std::string page_head(std::string_view title) {
    return "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" +
           escaped(title) + "</title><style>" + std::string(kStyle) + "</style></head><body>\n";
}

std::string html(const Options& options, const Outcome& outcome) {
    const bool held = outcome.violations() == 0;
    std::ostringstream out;
    out << page_head("Crash test: " + options.start) << "<h1>"
        << "Crash test: <span class=\"" << (held ? "held\">held" : "violated\">violated")
        << "</span></h1>\n<p>" << escaped(verdict(options, outcome)) << "</p>\n<pre>"
        << escaped(options.command()) << "</pre>\n<p class=\"note\">" << escaped(outcome.server)
        << " &middot; kernel " << escaped(outcome.kernel) << " &middot; "
        << escaped(outcome.file_system) << "</p>\n";

    if (!outcome.found.empty()) {
        out << "<h2>The first violation</h2>\n<p class=\"violated\">cycle "
            << outcome.found.front().cycle << ": " << escaped(outcome.found.front().violation.name)
            << "</p><p>" << escaped(outcome.found.front().violation.text) << "</p>\n";
        // The first that has one up to its end, for some are found where no single key is to blame.
        auto told = std::ranges::find_if(outcome.found, [](const auto& found) {
            return std::ranges::any_of(found.violation.timeline, [](const auto& moment) {
                return moment.what.starts_with("came back");
            });
        });
        if (told == outcome.found.end())
            told = std::ranges::find_if(
                outcome.found, [](const auto& found) { return !found.violation.timeline.empty(); });
        if (told != outcome.found.end()) {
            if (told != outcome.found.begin())
                out << "<p>The first with a history, cycle " << told->cycle << ", "
                    << escaped(told->violation.name) << ": " << escaped(told->violation.text)
                    << "</p>\n";
            out << timeline(*told, options.kill == KillBy::power ? "the power cut" : "the kill");
        }
        const auto number = (told != outcome.found.end() ? *told : outcome.found.front()).cycle;
        for (const auto& cycle : outcome.cycles)
            if (cycle.number == number) out << circumstances(options, cycle);
    }
    out << "<h2>Outcomes</h2>\n" << bars(rows_by_kind(options, outcome));
    if (const auto rows = rows_by_file(outcome); !rows.empty())
        out << "<h2>Outcomes by the file that was changed</h2>\n" << bars(rows);
    std::vector<Point> recoveries, losses;
    for (const auto& cycle : outcome.cycles) {
        const auto title = "cycle " + std::to_string(cycle.number) + ", " + cycle.how;
        const bool bad = cycle.violations != 0;
        if (cycle.recovery_ms > 0)
            recoveries.push_back({static_cast<double>(cycle.number), cycle.recovery_ms, bad,
                                  title + ": " + number(cycle.recovery_ms) + " ms"});
        losses.push_back({static_cast<double>(cycle.number), cycle.loss_ms, bad,
                          title + ": " + number(cycle.loss_ms) + " ms, " +
                              std::to_string(cycle.lost) + " lost"});
    }
    out << "<h2>Recovery, from spawn to the first answer</h2>\n" << dots(recoveries, "ms", 0);
    if (options.corrupt == 0)
        out << "<h2>Age of the oldest acknowledged write that was lost</h2>\n"
            << dots(losses, "ms",
                    options.loss_ms_max > 0 ? static_cast<double>(options.loss_ms_max) : 0)
            << "<p class=\"note\">0: nothing acknowledged was lost.</p>\n";
    if (outcome.found.size() > 1) {
        out << "<h2>Violations</h2>\n<table><tr><th class=\"n\">cycle</th><th>what</th><th></th>"
               "</tr>\n";
        for (const auto& found : outcome.found)
            out << "<tr><td class=\"n\">" << found.cycle << "</td><td>"
                << escaped(found.violation.name) << "</td><td>" << escaped(found.violation.text)
                << "</td></tr>\n";
        out << "</table>\n";
    }
    out << "<h2>Cycles</h2>\n" << table(outcome) << "</body></html>\n";
    return out.str();
}

}  // namespace firnlog::crashtest
