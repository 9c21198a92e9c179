#include "src/verified.hpp"

#include <array>
#include <cstring>
#include <span>

#include "io/base/crc32c.hpp"
#include "src/text/numbers.hpp"

namespace firnlog::server {
namespace {

constexpr std::string_view kFirstLine = "firnlog verified 1\n";
constexpr std::string_view kNewName = "verified.new";
constexpr std::size_t kBytesMax = 4096;

Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string encode(const Verified& verified) {
    std::string text(kFirstLine);
    const auto add = [&](std::string_view name, std::string_view value) {
        text.append(name).append(" ").append(value).append("\n");
    };
    add("name", verified.name);
    add("timeline", std::to_string(verified.timeline));
    add("lsn", std::to_string(verified.lsn.value));
    add("commit_us", std::to_string(verified.commit_us));
    add("keys", std::to_string(verified.keys));
    add("digest", verified.digest);
    add("took_us", std::to_string(verified.took_us));
    add("us", std::to_string(verified.us));
    add("crc32c", std::to_string(crc32c(bytes_of(text))));
    return text;
}

// The value in the line of that name; empty if there is none.
std::string_view value_of(std::string_view note, std::string_view name) {
    const auto at = note.find("\n" + std::string(name) + " ");
    if (at == std::string_view::npos) return {};
    const auto from = at + name.size() + 2;
    return note.substr(from, note.find('\n', from) - from);
}

std::int64_t number_of(std::string_view note, std::string_view name) {
    return text::parse_i64(value_of(note, name)).value_or(0);
}

// Whatever is read of what is not a note, it is told by not being the same when written again.
std::optional<Verified> decode(std::string_view note) {
    const Verified verified{.name = std::string(value_of(note, "name")),
                            .timeline = static_cast<engine::Timeline>(number_of(note, "timeline")),
                            .lsn = {static_cast<std::uint64_t>(number_of(note, "lsn"))},
                            .commit_us = number_of(note, "commit_us"),
                            .keys = number_of(note, "keys"),
                            .digest = std::string(value_of(note, "digest")),
                            .took_us = number_of(note, "took_us"),
                            .us = number_of(note, "us")};
    if (encode(verified) != note) return std::nullopt;
    return verified;
}

}  // namespace

Result<void> write_verified(io::Files& dir, const Verified& verified) {
    if (auto gone = dir.unlink(kNewName); !gone && gone.error().code != Code::missing) return gone;
    auto fd = dir.open(kNewName, io::Open::create);
    if (!fd) return fail(fd);
    auto done = dir.write(*fd, 0, bytes_of(encode(verified)));
    if (done) done = dir.sync(*fd);
    dir.close(*fd);
    if (done) done = dir.rename(kNewName, kVerifiedFile);
    return done ? dir.sync_dir() : done;
}

std::optional<Verified> read_verified(io::Files& dir) {
    const auto fd = dir.open(kVerifiedFile, io::Open::read);
    if (!fd) return std::nullopt;
    std::array<std::byte, kBytesMax> bytes{};
    const auto read = dir.read(*fd, 0, bytes);
    dir.close(*fd);
    if (!read) return std::nullopt;
    return decode({reinterpret_cast<const char*>(bytes.data()), *read});
}

}  // namespace firnlog::server
