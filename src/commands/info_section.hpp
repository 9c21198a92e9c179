#pragma once
// A section of INFO: a heading and "name:value" lines, told from what is known of the server.
//
//   every reactor ---> Gathered ---.
//   server, engine, config ---------+-> InfoFacts -> section -> InfoLines -> one verbatim reply
//
// A section looks and never waits: what only one thread may touch was gathered before, and all else
// are atomics or copies made under their own locks. They stand in three files, by what they tell
// of: this process, the log, the traffic; what this server has none of is in info.cpp, with the
// table.

#include <array>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "engine/engine.hpp"
#include "src/commands/info_gathered.hpp"
#include "src/commands/server.hpp"
#include "src/config.hpp"
#include "src/server.hpp"
#include "src/statistics.hpp"

namespace firnlog::server {

struct Verified;

// "name:value" lines under a heading.
class InfoLines {
  public:
    void section(std::string_view title) {
        if (!text_.empty()) text_ += "\r\n";
        text_.append("# ").append(title).append("\r\n");
    }
    void add(std::string_view name, std::string_view value) {
        text_.append(name).append(":").append(value).append("\r\n");
    }
    template <std::integral Number>
    void add(std::string_view name, Number value) {
        add(name, std::string_view(std::to_string(value)));
    }
    void add(std::string_view name, double value, int digits) {
        std::array<char, 64> text{};
        std::snprintf(text.data(), text.size(), "%.*f", digits, value);
        add(name, std::string_view(text.data()));
    }
    void bytes(std::string_view name, std::uint64_t value) {
        add(name, value);
        add(std::string(name) + "_human", human_bytes(value));
    }
    [[nodiscard]] const std::string& text() const { return text_; }

  private:
    std::string text_;
};

struct InfoFacts {
    Server& server;
    const Gathered& gathered;
    const Config& config;
    engine::Engine& engine;

    // Over all reactors.
    [[nodiscard]] std::uint64_t sum(Counter Statistics::*member) const;
};

// Of this process and the machine.
void server_section(const InfoFacts& facts, InfoLines& lines);
void memory_section(const InfoFacts& facts, InfoLines& lines);
void cpu_section(const InfoFacts& facts, InfoLines& lines);

// Of the log, and of what makes it shorter.
void persistence_section(const InfoFacts& facts, InfoLines& lines);
// Of the past: what can be opened, and what keeps it.
void history_section(const InfoFacts& facts, InfoLines& lines);
void archive_section(const InfoFacts& facts, InfoLines& lines);

// What a trial found: lines that begin with "<of>_verified_".
void add_verified(InfoLines& lines, const std::string& of, const Verified& verified);

// Of those who are connected, and of what they asked for.
void clients_section(const InfoFacts& facts, InfoLines& lines);
void stats_section(const InfoFacts& facts, InfoLines& lines);
void commandstats_section(const InfoFacts& facts, InfoLines& lines);
void errorstats_section(const InfoFacts& facts, InfoLines& lines);
void latencystats_section(const InfoFacts& facts, InfoLines& lines);

}  // namespace firnlog::server
