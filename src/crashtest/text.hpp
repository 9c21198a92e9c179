#pragma once
// text: what came back as bytes, made fit for a line that a person reads; and words of a line.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace firnlog::crashtest {

// Bytes beyond ASCII as dots, long ones cut, with how many they were.
[[nodiscard]] std::string printable(std::string_view bytes, std::size_t bytes_max = 60);

// The parts between the separators; empty ones are left out.
[[nodiscard]] std::vector<std::string> split(std::string_view text, char at);

[[nodiscard]] std::string lower(std::string_view text);

// "1 cycle", "1,234 cycles", "2 copies".
[[nodiscard]] std::string plural(std::uint64_t number, std::string_view noun);
// 1234567 as 1,234,567.
[[nodiscard]] std::string grouped(std::uint64_t number);

// Of digits alone.
[[nodiscard]] std::optional<std::uint64_t> number_of(std::string_view text);

}  // namespace firnlog::crashtest
