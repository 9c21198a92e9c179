#pragma once
// Refusal: why a store is not opened, or a moment of it not found, told to a person.
//
// An Error is for whoever acts on it; who reads a refusal has a damaged store before him and wants
// the place in words, and how much lies behind it.

#include <cstdint>
#include <string>
#include <utility>

#include "io/base/result.hpp"

namespace firnlog::recovery {

struct Refusal {
    Error error;
    std::string text;                  // one line, with file, offset and lsn where they are known
    std::uint64_t records_behind = 0;  // records that are whole but cannot be reached
    [[nodiscard]] int exit_code() const { return error.code == Code::damaged ? 3 : 1; }
};

template <class T>
using Opening = tl::expected<T, Refusal>;

[[nodiscard]] inline tl::unexpected<Refusal> refuse(Error error, std::string text) {
    return tl::unexpected(Refusal{.error = error, .text = std::move(text)});
}

// The error says it all.
[[nodiscard]] inline tl::unexpected<Refusal> refuse(const Error& error) {
    return refuse(error, error.text());
}

}  // namespace firnlog::recovery
