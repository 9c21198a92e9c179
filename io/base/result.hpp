#pragma once
// Result: a value, or how the world erred.
//
// Error is trivially copyable: a code to act on, the errno behind it, a position where one is known
// and a literal that says what was being done. Whoever can act on it logs it, once.

#include <cerrno>
#include <cstdint>
#include <string>
#include <tl/expected.hpp>

namespace firnlog {

enum class Code : std::uint8_t {
    io,        // the kernel refused or failed an operation; `error` says how
    no_space,  // the disk is full
    busy,      // somebody else holds it
    missing,   // it is not there
    exists,    // it is there already
    damaged,   // bytes are not what was written; `offset` says where
    version,   // made by a version this build cannot read; `offset` is what it would need
    usage,     // what was asked for makes no sense
};

struct Error {
    Code code = Code::io;
    int error = 0;             // errno, or 0
    std::uint64_t offset = 0;  // within the file being handled, where that is known
    std::uint32_t file = 0;    // file number of a segment, or 0
    const char* doing = "";    // a literal: "open the segment"

    // "open the segment: No space left on device"
    [[nodiscard]] std::string text() const;
};

template <class T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(Error error) { return tl::unexpected(error); }

template <class T>
[[nodiscard]] tl::unexpected<Error> fail(const Result<T>& result) {
    return tl::unexpected(result.error());
}

// The error of the system call that just failed.
[[nodiscard]] tl::unexpected<Error> fail_errno(const char* doing, int error = errno);

[[nodiscard]] Code code_of_errno(int error) noexcept;

}  // namespace firnlog
