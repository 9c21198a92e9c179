#pragma once
// Feeder: what a stream of bytes leads to, fed to a parser in any pieces and either way.

#include <boost/test/unit_test.hpp>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "src/resp/parser.hpp"
#include "src/resp/receive_buffer.hpp"
#include "src/text/quote.hpp"
#include "tests/sim/rng.hpp"

namespace firnlog::server::resp {

using Command = std::vector<std::string>;

// Everything a stream of bytes led to.
struct Outcome {
    std::vector<Command> commands;
    Status end = Status::need_more;
    std::string error;

    bool operator==(const Outcome&) const = default;
};

inline std::ostream& operator<<(std::ostream& to, const Outcome& outcome) {
    for (const Command& command : outcome.commands) {
        for (const std::string& argument : command) {
            to << text::quoted(std::string_view(argument).substr(0, 80)) << ' ';
        }
        to << "| ";
    }
    return to << "end " << static_cast<int>(outcome.end) << ' ' << outcome.error;
}

// How the bytes reach the parser: copied, or lent and settled behind every packet.
enum class Way : bool { copied, lent };

class Feeder {
  public:
    explicit Feeder(Way way, Parser::Limits limits = {}) : way_(way) { parser_.limit(limits); }

    // The packet lies in memory of its own that is gone afterwards, so that a sanitizer sees a view
    // that lives too long.
    void feed(std::string_view bytes) {
        const std::vector<char> packet(bytes.begin(), bytes.end());
        const std::string_view view(packet.data(), packet.size());
        BOOST_REQUIRE(way_ == Way::lent ? buffer_.receive(view) : buffer_.append(view));
        Status status = Status::need_more;
        while ((status = parser_.next(buffer_)) == Status::command) {
            const auto arguments = parser_.arguments();
            outcome_.commands.emplace_back(arguments.begin(), arguments.end());
        }
        outcome_.end = status;
        outcome_.error = parser_.error();
        BOOST_REQUIRE(buffer_.settle());
    }

    [[nodiscard]] const Outcome& outcome() const { return outcome_; }
    [[nodiscard]] const ReceiveBuffer& buffer() const { return buffer_; }
    [[nodiscard]] const Parser& parser() const { return parser_; }

  private:
    Way way_;
    ReceiveBuffer buffer_;
    Parser parser_;
    Outcome outcome_;
};

inline Outcome parse(std::string_view bytes, Parser::Limits limits = {}) {
    Feeder feeder(Way::copied, limits);
    feeder.feed(bytes);
    return feeder.outcome();
}

inline std::string random_bytes(sim::Rng& rng, std::size_t size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(rng.next());
    return bytes;
}

}  // namespace firnlog::server::resp
