#pragma once
// StringText: a string value as commands look at it: how long it is, and any part of it.
//
// A short value is read once and kept as a view; of a long one only the parts asked for are read,
// so that a bit of a large bitmap costs no more than a bit. A key that is not there is an empty
// text. Views live as long as the session's. Beside it: what a lookup leaves in the statistics.

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>

#include "engine/ops/strings.hpp"
#include "src/commands/command.hpp"

namespace firnlog::server {

class StringText {
  public:
    // `item` was looked up with Type::string.
    [[nodiscard]] static engine::Expected<StringText> open(engine::Session& session,
                                                           std::string_view key,
                                                           const std::optional<engine::Item>& item);

    [[nodiscard]] std::size_t size() const { return size_; }
    // What exists of [from, from + bytes).
    [[nodiscard]] engine::Expected<std::string_view> part(std::size_t from,
                                                          std::size_t bytes) const;
    // The same as a bulk; of a long value it goes straight into the reply. An error has written
    // nothing.
    engine::Expected<void> write(resp::Writer& out, std::size_t from, std::size_t bytes) const;

    // Visits all there is of [from, from + bytes), piece by piece, until `visit` returns false. A
    // piece lives until the next one. What is on disk is asked for in waves that grow, so that an
    // early end has read little and there are few waits.
    template <class Visit>
    engine::Expected<void> for_each_piece(std::size_t from, std::size_t bytes,
                                          Visit&& visit) const {
        if (from >= size_) return {};
        bytes = std::min(bytes, size_ - from);
        if (item_->type != engine::Type::big_string) {
            if (bytes != 0) visit(whole_.substr(from, bytes));
            return {};
        }
        constexpr std::size_t kPieceBytes = std::size_t{64} << 10;
        const auto buffer = session_->buffer(std::min(kPieceBytes, bytes));
        bool cold = false;
        for (auto wave = kPieceBytes, seen = std::size_t{0}; bytes > 0; seen += kPieceBytes) {
            if (seen >= wave) {
                if (cold) break;
                wave *= 2;
            }
            const auto piece = buffer.first(std::min(buffer.size(), bytes));
            const auto done = engine::strings::copy(*session_, *item_, from, piece);
            if (!done && done.error() != engine::Stop::cold) return done;
            cold = cold || !done;
            if (!cold && !visit(std::string_view(piece.data(), piece.size()))) return {};
            from += piece.size();
            bytes -= piece.size();
        }
        if (cold) return tl::unexpected(engine::Stop::cold);
        return {};
    }

  private:
    StringText(engine::Session& session, const std::optional<engine::Item>& item)
        : session_(&session), item_(item) {}

    engine::Session* session_;
    std::optional<engine::Item> item_;
    std::string_view whole_;  // of a short value
    std::size_t size_ = 0;
};

// Counts a hit or a miss, and tells of the miss. Called once the command is sure to answer, because
// one that runs again is still one.
void count_lookup(Call& call, std::string_view key, bool found);
// As call.stop(), where a key of another type is a hit as well.
Flow stop_lookup(Call& call, std::string_view key, engine::Stop why);

// Whether anybody wants keyspace notifications: if not, a command need not know whether a key is
// new.
[[nodiscard]] bool anyone_listens(const Call& call);

// "string exceeds maximum allowed size" unless `bytes` more behind `offset` are allowed.
[[nodiscard]] bool fits_string(const Call& call, std::uint64_t offset, std::uint64_t bytes);
Flow string_too_long(Call& call);

inline constexpr std::string_view kNotAnInteger = "ERR value is not an integer or out of range";

}  // namespace firnlog::server
