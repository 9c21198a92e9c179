#include "src/crashtest/report.hpp"

#include <charconv>
#include <cstdio>
#include <map>
#include <sstream>

#include "src/crashtest/text.hpp"

namespace firnlog::crashtest {
namespace {

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char byte : text) {
        const auto code = static_cast<unsigned char>(byte);
        if (byte == '"' || byte == '\\') {
            out += '\\';
            out += byte;
        } else if (code < 0x20 || code > 0x7e) {
            char escaped[8];
            std::snprintf(escaped, sizeof escaped, "\\u%04x", code);
            out += escaped;
        } else {
            out += byte;
        }
    }
    return out + "\"";
}

std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", value);
    return text;
}

// The text that begins behind the quote at `begin`, which moves to the quote at its end.
std::string unquoted(std::string_view line, std::size_t& begin) {
    std::string out;
    std::size_t i = begin + 1;
    for (; i < line.size() && line[i] != '"'; ++i) {
        const bool is_escape = line[i] == '\\' && i + 1 < line.size();
        if (is_escape) ++i;
        const bool is_code = is_escape && line[i] == 'u' && i + 5 <= line.size();
        unsigned code = static_cast<unsigned char>(line[i]);
        if (is_code) {
            std::from_chars(line.data() + i + 1, line.data() + i + 5, code, 16);
            i += 4;
        }
        out += static_cast<char>(code);
    }
    begin = i;
    return out;
}

// The value behind `"name": ` on a line that this file wrote.
std::optional<std::string> field(std::string_view line, std::string_view name) {
    const auto label = "\"" + std::string(name) + "\": ";
    const auto at = line.find(label);
    if (at == line.npos) return std::nullopt;
    auto begin = at + label.size();
    if (line.substr(begin).starts_with('"')) return unquoted(line, begin);
    const auto rest = line.substr(begin);
    return std::string(rest.substr(0, rest.find_first_of(",}]")));
}

template <class T>
void take(std::string_view line, std::string_view name, T& out) {
    const auto text = field(line, name);
    if (text) std::from_chars(text->data(), text->data() + text->size(), out);
}

void take(std::string_view line, std::string_view name, std::string& out) {
    if (auto text = field(line, name)) out = std::move(*text);
}

std::string json_of(const Cycle& cycle) {
    std::ostringstream out;
    out << "{\"cycle\": " << cycle.number << ", \"how\": " << quoted(cycle.how)
        << ", \"admin\": " << quoted(cycle.admin) << ", \"ended\": " << quoted(cycle.ended)
        << ", \"acks\": " << cycle.acks << ", \"errors\": " << cycle.errors
        << ", \"lost\": " << cycle.lost << ", \"loss_ms\": " << number(cycle.loss_ms)
        << ", \"recovery_ms\": " << number(cycle.recovery_ms)
        << ", \"back_ms\": " << number(cycle.back_ms)
        << ", \"on_fault\": " << quoted(cycle.on_fault) << ", \"words\": " << quoted(cycle.words)
        << ", \"file\": " << quoted(cycle.file) << ", \"violations\": " << cycle.violations
        << ", \"note\": " << quoted(cycle.note) << "}";
    return out.str();
}

std::string json_of(const Found& found) {
    std::ostringstream out;
    out << "{\"in_cycle\": " << found.cycle << ", \"killed_us\": " << found.killed_us
        << ", \"name\": " << quoted(found.violation.name)
        << ", \"text\": " << quoted(found.violation.text) << ", \"timeline\": [";
    const char* comma = "";
    for (const auto& moment : found.violation.timeline) {
        out << comma << "{\"at_us\": " << moment.at_us << ", \"what\": " << quoted(moment.what)
            << "}";
        comma = ", ";
    }
    out << "]}";
    return out.str();
}

Cycle cycle_of(std::string_view line) {
    Cycle out;
    take(line, "cycle", out.number);
    take(line, "how", out.how);
    take(line, "admin", out.admin);
    take(line, "ended", out.ended);
    take(line, "acks", out.acks);
    take(line, "errors", out.errors);
    take(line, "lost", out.lost);
    take(line, "loss_ms", out.loss_ms);
    take(line, "recovery_ms", out.recovery_ms);
    take(line, "back_ms", out.back_ms);
    take(line, "on_fault", out.on_fault);
    take(line, "words", out.words);
    take(line, "file", out.file);
    take(line, "violations", out.violations);
    take(line, "note", out.note);
    return out;
}

Found found_of(std::string_view line) {
    Found out;
    take(line, "in_cycle", out.cycle);
    take(line, "killed_us", out.killed_us);
    take(line, "name", out.violation.name);
    take(line, "text", out.violation.text);
    constexpr std::string_view kMoment = "{\"at_us\": ";
    for (auto at = line.find(kMoment); at != line.npos; at = line.find(kMoment, at + 1)) {
        Moment moment{};
        take(line.substr(at), "at_us", moment.at_us);
        take(line.substr(at), "what", moment.what);
        out.violation.timeline.push_back(std::move(moment));
    }
    return out;
}

// What stands in quotes behind the bracket of a list.
std::vector<std::string> texts_of(std::string_view line) {
    std::vector<std::string> out;
    const auto bracket = line.find('[');
    for (auto at = line.find('"', bracket); at != line.npos; at = line.find('"', at + 1))
        out.push_back(unquoted(line, at));
    return out;
}

std::string list_of(const std::vector<std::string>& texts) {
    std::string out;
    for (const auto& text : texts) out.append(out.empty() ? "" : ", ").append(quoted(text));
    return "[" + out + "]";
}

std::string joined(const std::vector<std::string>& texts, std::string_view between) {
    std::string out;
    for (const auto& text : texts) out.append(out.empty() ? "" : between).append(text);
    return out;
}

}  // namespace

std::string verdict(const Options& options, const Outcome& outcome) {
    std::ostringstream out;
    const auto violations = outcome.violations();
    const auto asked = options.corrupt != 0 ? options.corrupt : options.cycles;
    const auto noun = options.corrupt != 0 ? "damaged copy" : "cycle";
    if (outcome.interrupted && outcome.cycles.empty())
        return "nothing was tried: interrupted before the first of " + plural(asked, noun) +
               ", seed " + std::to_string(options.seed);
    out << (violations == 0 ? "held: " : "VIOLATED: ");
    if (violations != 0)
        // Of very many only the first ones are kept.
        out << plural(violations, "violation") << " ("
            << (violations > outcome.found.size() ? "the first of them: " : "")
            << counts_of(outcome.names()) << "); ";
    out << plural(outcome.cycles.size(), noun);
    if (options.corrupt != 0) {
        std::map<std::string, std::uint32_t> ends;
        std::uint32_t changed = 0;
        for (const auto& cycle : outcome.cycles) ++ends[cycle.ended];
        for (const auto& [name, count] : outcome.files()) changed += count;
        out << ", changed " << changed << " (" << counts_of(outcome.files()) << "), "
            << counts_of(ends);
    } else {
        out << ", " << outcome.acks() << " acknowledged, " << outcome.lost() << " lost";
        if (outcome.lost() != 0)
            out << " (oldest " << number(outcome.loss_ms_max()) << " ms before the kill)";
        if (!outcome.on_faults().empty())
            out << ", when the disk failed: " << counts_of(outcome.on_faults());
    }
    out << ", recovery p50 " << number(outcome.recovery_ms(0.5)) << " ms p99 "
        << number(outcome.recovery_ms(0.99)) << " ms, seed " << options.seed;
    if (outcome.interrupted) out << ", interrupted: " << grouped(asked) << " were asked for";
    if (options.fault == Fault::lying && violations == 0)
        out << "; but the disk lied and nothing was found, so this test does not bite";
    if (!outcome.missing.empty())
        out << "; left out, for the server does not know them: " << joined(outcome.missing, ", ");
    if (!outcome.refused.empty())
        out << "; left out, for it answers with an error: " << joined(outcome.refused, ", ");
    return out.str();
}

std::string json(const Options& options, const Outcome& outcome) {
    std::ostringstream out;
    out << "{\"command\": " << quoted(options.command())
        << ",\n\"server\": " << quoted(outcome.server) << ", \"kernel\": " << quoted(outcome.kernel)
        << ", \"file_system\": " << quoted(outcome.file_system)
        << ",\n\"mode\": " << quoted(name_of(options.mode))
        << ", \"kill\": " << quoted(name_of(options.kill))
        << ", \"fault\": " << quoted(name_of(options.fault)) << ", \"seed\": " << options.seed
        << ",\n\"verdict\": " << quoted(verdict(options, outcome))
        << ",\n\"held\": " << (outcome.violations() == 0 ? "true" : "false")
        << ", \"interrupted\": " << (outcome.interrupted ? "true" : "false")
        << ", \"acks\": " << outcome.acks() << ", \"lost\": " << outcome.lost()
        << ", \"loss_ms_max\": " << number(outcome.loss_ms_max())
        << ", \"recovery_ms_p50\": " << number(outcome.recovery_ms(0.5))
        << ", \"recovery_ms_p99\": " << number(outcome.recovery_ms(0.99))
        << ",\n\"missing\": " << list_of(outcome.missing)
        << ",\n\"refused\": " << list_of(outcome.refused);
    out << ",\n\"cycles\": [";
    const char* comma = "\n";
    for (const auto& cycle : outcome.cycles) {
        out << comma << json_of(cycle);
        comma = ",\n";
    }
    out << "\n],\n\"found\": [";
    comma = "\n";
    for (const auto& found : outcome.found) {
        out << comma << json_of(found);
        comma = ",\n";
    }
    out << "\n]}\n";
    return out.str();
}

std::optional<std::string> read_json(const std::string& text, const Options& options,
                                     Outcome& outcome) {
    std::istringstream lines(text);
    std::string line;
    if (!std::getline(lines, line)) return "it is empty";
    auto command = field(line, "command").value_or("");
    // More cycles of the same run are the same run.
    const auto without_count = [](std::string words) {
        for (const std::string_view name : {" --cycles ", " --corrupt "}) {
            const auto at = words.find(name);
            if (at == words.npos) continue;
            const auto end = words.find(' ', at + name.size());
            words.erase(at + name.size(), end - at - name.size());
        }
        return words;
    };
    if (without_count(command) != without_count(options.command()))
        return "it is of another run: " + command;
    while (std::getline(lines, line)) {
        if (line.starts_with("\"server\": ")) {
            take(line, "server", outcome.server);
            take(line, "kernel", outcome.kernel);
            take(line, "file_system", outcome.file_system);
        }
        if (line.starts_with("\"missing\": [")) outcome.missing = texts_of(line);
        if (line.starts_with("\"refused\": [")) outcome.refused = texts_of(line);
        if (line.starts_with("{\"cycle\": ")) outcome.cycles.push_back(cycle_of(line));
        if (line.starts_with("{\"in_cycle\": ")) outcome.found.push_back(found_of(line));
    }
    return std::nullopt;
}

}  // namespace firnlog::crashtest
