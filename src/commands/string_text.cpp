#include "src/commands/string_text.hpp"

#include "src/reactor.hpp"
#include "src/server.hpp"

namespace firnlog::server {

engine::Expected<StringText> StringText::open(engine::Session& session, std::string_view key,
                                              const std::optional<engine::Item>& item) {
    StringText text(session, item);
    if (!item) return text;
    if (item->type == engine::Type::big_string) {
        const auto size = engine::strings::length(session, *item);
        if (!size) return tl::unexpected(size.error());
        text.size_ = *size;
        return text;
    }
    const auto whole = engine::strings::get(session, *item, key);
    if (!whole) return tl::unexpected(whole.error());
    text.whole_ = *whole;
    text.size_ = whole->size();
    return text;
}

engine::Expected<std::string_view> StringText::part(std::size_t from, std::size_t bytes) const {
    if (from >= size_) return std::string_view{};
    if (item_->type == engine::Type::big_string)
        return engine::strings::range(*session_, *item_, from, bytes);
    return whole_.substr(from, bytes);
}

engine::Expected<void> StringText::write(resp::Writer& out, std::size_t from,
                                         std::size_t bytes) const {
    bytes = from >= size_ ? 0 : std::min(bytes, size_ - from);
    if (bytes == 0 || item_->type != engine::Type::big_string) {
        out.bulk(bytes == 0 ? std::string_view{} : whole_.substr(from, bytes));
        return {};
    }
    const auto before = out.out().size();
    const auto room = out.bulk_room(bytes);
    // Lost for want of memory: the connection ends.
    if (room.size() != bytes) return {};
    auto done = engine::strings::copy(*session_, *item_, from, room);
    if (!done) out.out().truncate(before);
    return done;
}

void count_lookup(Call& call, std::string_view key, bool found) {
    auto& statistics = call.reactor.statistics();
    if (found) {
        statistics.keyspace_hits.add();
        return;
    }
    statistics.keyspace_misses.add();
    call.notify(kNotifyMiss, "keymiss", key);
}

Flow stop_lookup(Call& call, std::string_view key, engine::Stop why) {
    if (why == engine::Stop::wrong_type) count_lookup(call, key, true);
    return call.stop(why);
}

bool anyone_listens(const Call& call) { return call.server.config().notify_keyspace_events != 0; }

bool fits_string(const Call& call, std::uint64_t offset, std::uint64_t bytes) {
    const auto bytes_max = call.server.config().proto_max_bulk_len;
    return bytes <= bytes_max && offset <= bytes_max - bytes;
}

Flow string_too_long(Call& call) {
    return call.error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
}

}  // namespace firnlog::server
