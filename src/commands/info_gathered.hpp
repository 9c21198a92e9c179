#pragma once
// Gathered: what only a reactor's own thread may look at, told by each and added up.
//
// The answers travel as text because gather() carries text: a number a line, in the order of the
// struct, then a line for each kind of error.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace firnlog::server {

class Reactor;

struct Gathered {
    std::uint64_t connections = 0;
    std::uint64_t blocked = 0;
    std::uint64_t pubsub = 0;
    std::uint64_t watching = 0;
    std::uint64_t input_max = 0;
    std::uint64_t output_max = 0;
    std::uint64_t memory = 0;
    std::map<std::string, std::uint64_t> errors;
};

// On the reactor's thread.
[[nodiscard]] std::string gathered_text(Reactor& reactor);

// Sums, and of the maxima the largest.
[[nodiscard]] Gathered add_up(const std::vector<std::string>& answers);

}  // namespace firnlog::server
