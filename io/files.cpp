#include "io/files.hpp"

#include <algorithm>

namespace firnlog::io {

Result<Given> Files::give(std::string_view name, Files& to, std::string_view to_name) {
    constexpr std::uint64_t kPiece = std::uint64_t{1} << 20;
    const auto from_fd = open(name, Open::read);
    if (!from_fd) return fail(from_fd);
    const auto to_fd = to.open(to_name, Open::create);
    if (!to_fd) {
        close(*from_fd);
        return fail(to_fd);
    }
    const auto copy = [&]() -> Result<void> {
        const auto bytes = size(*from_fd);
        if (!bytes) return fail(bytes);
        std::vector<std::byte> piece(std::min(kPiece, *bytes));
        for (std::uint64_t at = 0; at < *bytes;) {
            const auto wanted =
                MutableBytes(piece).first(std::min<std::uint64_t>(piece.size(), *bytes - at));
            const auto got = read(*from_fd, at, wanted);
            if (!got) return fail(got);
            // It was cut meanwhile; what reads the copy will say so.
            if (*got == 0) break;
            if (auto put = to.write(*to_fd, at, wanted.first(*got)); !put) return put;
            at += *got;
        }
        return to.sync(*to_fd);
    };
    const auto copied = copy();
    close(*from_fd);
    to.close(*to_fd);
    if (!copied) return fail(copied);
    return Given::copied;
}

}  // namespace firnlog::io
