#include "engine/ops/strings.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/engine.hpp"

namespace firnlog::engine::strings {
namespace {

constexpr std::size_t kChunk = BigString::kChunkBytes;
// A string that is changed in place and longer than this becomes an object: below, a whole new
// record is hardly dearer than a patch and the memory of an object.
constexpr std::size_t kPatchedInlineMax = 4096;

// The name of a chunk as the record's key.
struct ChunkName {
    explicit ChunkName(std::size_t number) { store(bytes, std::uint64_t{number}); }
    [[nodiscard]] std::string_view view() const { return as_text(bytes); }
    std::byte bytes[8];
};

// Bytes [from, from + out.size()) of a big string; all of them exist. Goes on past what is cold, so
// that all of it is known at once and comes with one wait.
Expected<void> copy_out(Session& session, const BigString& big, std::size_t from,
                        std::span<char> out) {
    bool cold = false;
    const auto take = [&](const BigString::Piece& piece, std::size_t chunk_begin,
                          bool is_patch) -> Expected<void> {
        const auto begin = std::max(from, chunk_begin + piece.offset);
        const auto end = std::min(from + out.size(), chunk_begin + piece.offset + piece.bytes);
        if (begin >= end) return {};
        const auto record = session.pass(piece.address, piece.record_bytes);
        if (!record && record.error() == Stop::cold) {
            cold = true;
            return {};
        }
        if (!record) return tl::unexpected(record.error());
        auto bytes = record->value;
        if (is_patch) {
            const auto patch = BigString::patch_value(bytes);
            if (!patch) return tl::unexpected(Stop::corrupt);
            bytes = patch->bytes;
        }
        if (bytes.size() != piece.bytes) return tl::unexpected(Stop::corrupt);
        std::memcpy(out.data() + (begin - from),
                    bytes.data() + (begin - chunk_begin - piece.offset), end - begin);
        return {};
    };
    std::ranges::fill(out, '\0');
    if (out.empty()) return {};
    for (auto number = from / kChunk; number <= (from + out.size() - 1) / kChunk; ++number) {
        const auto* chunk = big.chunk(number);
        if (chunk == nullptr) break;
        const auto chunk_begin = number * kChunk;
        const auto begin = std::max(from, chunk_begin) - chunk_begin;
        const auto end = std::min(from + out.size() - chunk_begin, kChunk);
        // What lies below a patch that has all of it need not be read.
        auto first = chunk->patches.size();
        while (first > 0) {
            const auto& patch = chunk->patches[first - 1];
            if (patch.offset <= begin && end <= std::size_t{patch.offset} + patch.bytes) break;
            --first;
        }
        if (first == 0 && chunk->base.address)
            if (auto done = take(chunk->base, chunk_begin, false); !done) return done;
        for (auto i = first == 0 ? 0 : first - 1; i < chunk->patches.size(); ++i)
            if (auto done = take(chunk->patches[i], chunk_begin, true); !done) return done;
    }
    if (cold) return tl::unexpected(Stop::cold);
    return {};
}

const BigString& big_of(const Item& item) { return std::get<BigString>(item.object->body); }

// A new big string; room is reserved.
void set_big(Session& session, std::string_view key, std::string_view value,
             std::int64_t expires_ms) {
    const auto oid = session.make_oid(key);
    session.bind(key, oid, Type::big_string, expires_ms);
    for (std::size_t at = 0; at < value.size(); at += kChunk)
        session.put_element(oid, ChunkName(at / kChunk).view(), value.substr(at, kChunk));
}

// A write within one chunk.
struct Write {
    std::size_t chunk = 0;
    std::size_t begin = 0;  // within the chunk
    std::string_view bytes;
    bool whole = false;  // all there is of the chunk

    [[nodiscard]] std::size_t end() const { return begin + bytes.size(); }
};

std::vector<Write> split(std::span<const Patch> patches) {
    std::vector<Write> writes;
    for (const auto& patch : patches) {
        for (std::size_t at = 0; at < patch.bytes.size();) {
            const auto place = patch.offset + at;
            const auto size = std::min(patch.bytes.size() - at, kChunk - place % kChunk);
            writes.push_back({.chunk = place / kChunk,
                              .begin = place % kChunk,
                              .bytes = patch.bytes.substr(at, size)});
            at += size;
        }
    }
    return writes;
}

// How much of a chunk exists in a string of `size` bytes.
std::size_t known_of(std::size_t chunk, std::size_t size) {
    return size > chunk * kChunk ? std::min(kChunk, size - chunk * kChunk) : 0;
}

void emit(Session& session, Oid oid, const Write& write) {
    const ChunkName name(write.chunk);
    if (write.whole)
        session.put_element(oid, name.view(), write.bytes);
    else
        session.patch_element(oid, name.view(), write.begin, write.bytes);
}

// Whether reading a chunk that takes these writes too would be dear: it becomes whole again.
bool is_worn(const BigString::Chunk& chunk, std::span<const Write> writes) {
    std::size_t bytes = 0;
    for (const auto& patch : chunk.patches) bytes += patch.bytes;
    for (const auto& write : writes) bytes += write.bytes.size();
    return chunk.patches.size() + writes.size() > BigString::kPatchesMax || bytes > kChunk;
}

// All there is of a chunk when the writes are done.
Expected<Write> whole_of(Session& session, const BigString& big, std::span<const Write> writes) {
    const auto chunk = writes.front().chunk;
    const auto known = known_of(chunk, big.size());
    const auto text = session.buffer(std::max(known, writes.back().end()));
    if (auto read = copy_out(session, big, chunk * kChunk, text.first(known)); !read)
        return tl::unexpected(read.error());
    std::ranges::fill(text.subspan(known), '\0');
    for (const auto& write : writes)
        std::ranges::copy(write.bytes, text.begin() + static_cast<std::ptrdiff_t>(write.begin));
    return Write{.chunk = chunk, .bytes = {text.data(), text.size()}, .whole = true};
}

Expected<std::size_t> patch_big(Session& session, std::string_view key, const Item& item,
                                std::span<const Patch> patches) {
    const auto& big = big_of(item);
    const auto oid = item.object->oid;
    const auto writes = split(patches);
    std::vector<Write> planned;
    std::size_t bytes = 0;
    bool cold = false;
    for (std::size_t at = 0, next = 0; at < writes.size(); at = next) {
        while (next < writes.size() && writes[next].chunk == writes[at].chunk) ++next;
        const auto group = std::span(writes).subspan(at, next - at);
        const auto& first = group.front();
        const auto* chunk = big.chunk(first.chunk);
        if (first.begin == 0 && first.end() >= known_of(first.chunk, big.size()) &&
            group.size() == 1) {
            planned.push_back(first);
            planned.back().whole = true;
        } else if (chunk != nullptr && is_worn(*chunk, group)) {
            const auto whole = whole_of(session, big, group);
            if (!whole && whole.error() != Stop::cold) return tl::unexpected(whole.error());
            if (whole)
                planned.push_back(*whole);
            else
                cold = true;
        } else {
            planned.insert(planned.end(), group.begin(), group.end());
        }
    }
    if (cold) return tl::unexpected(Stop::cold);
    for (const auto& write : planned) bytes += sizeof(ChunkName) + write.bytes.size();
    if (auto room = session.reserve(bytes, planned.size()); !room)
        return tl::unexpected(room.error());
    for (const auto& write : planned) emit(session, oid, write);
    session.touch_key(key);
    return big.size();
}

// A string that was one record (or was not there) becomes an object. Chunks that are neither in the
// old value nor written are zeros and take no room.
Expected<std::size_t> patch_into_big(Session& session, std::string_view key, std::string_view old,
                                     std::int64_t expires_ms, std::span<const Patch> patches) {
    auto writes = split(patches);
    std::vector<Write> planned;
    std::size_t at = 0;
    const auto old_chunks = (old.size() + kChunk - 1) / kChunk;
    for (std::size_t chunk = 0; chunk < old_chunks; ++chunk) {
        const auto known = known_of(chunk, old.size());
        auto next = at;
        while (next < writes.size() && writes[next].chunk == chunk) ++next;
        const bool covered = next - at == 1 && writes[at].begin == 0 && writes[at].end() >= known;
        if (covered)
            writes[at].whole = true;
        else
            planned.push_back(
                {.chunk = chunk, .bytes = old.substr(chunk * kChunk, known), .whole = true});
        while (at < next) planned.push_back(writes[at++]);
    }
    for (; at < writes.size(); ++at) {
        // The first write from a chunk's begin is all there is of it.
        writes[at].whole = writes[at].begin == 0;
        planned.push_back(writes[at]);
    }
    std::size_t bytes = key.size() + 1;
    for (const auto& write : planned) bytes += sizeof(ChunkName) + write.bytes.size();
    if (auto room = session.reserve(bytes, planned.size() + 1); !room)
        return tl::unexpected(room.error());
    const auto oid = session.make_oid(key);
    session.bind(key, oid, Type::big_string, expires_ms);
    for (const auto& write : planned) emit(session, oid, write);
    return std::max(old.size(), patches.back().offset + patches.back().bytes.size());
}

}  // namespace

Expected<std::size_t> length(Session& session, const Item& item) {
    if (item.type == Type::big_string) {
        session.saw(item.object->last_change);
        return big_of(item).size();
    }
    const auto record = session.read(item.address, item.size_hint);
    if (!record) return tl::unexpected(record.error());
    return record->value.size();
}

Expected<std::string_view> get(Session& session, const Item& item) {
    if (item.type == Type::big_string) return range(session, item, 0, big_of(item).size());
    const auto record = session.read(item.address, item.size_hint);
    if (!record) return tl::unexpected(record.error());
    return record->value;
}

Expected<std::string_view> get(Session& session, const Item& item, std::string_view key) {
    if (item.type == Type::big_string) return get(session, item);
    const auto record = session.read(item.address, item.size_hint);
    if (!record) return tl::unexpected(record.error());
    if (record->key != key) return tl::unexpected(Stop::corrupt);
    return record->value;
}

Expected<std::string_view> range(Session& session, const Item& item, std::size_t from,
                                 std::size_t bytes) {
    if (item.type != Type::big_string) {
        const auto whole = get(session, item);
        if (!whole) return whole;
        return from >= whole->size() ? std::string_view{} : whole->substr(from, bytes);
    }
    const auto& big = big_of(item);
    session.saw(item.object->last_change);
    if (from >= big.size()) return std::string_view{};
    bytes = std::min(bytes, big.size() - from);
    const auto out = session.buffer(bytes);
    if (auto read = copy_out(session, big, from, out); !read) return tl::unexpected(read.error());
    return std::string_view(out.data(), out.size());
}

Expected<void> copy(Session& session, const Item& item, std::size_t from, std::span<char> out) {
    session.saw(item.object->last_change);
    return copy_out(session, big_of(item), from, out);
}

Expected<std::optional<std::string_view>> get(Session& session, std::string_view key) {
    const auto item = session.look(key, Type::string);
    if (!item) return tl::unexpected(item.error());
    if (!*item) return std::nullopt;
    const auto value = get(session, **item, key);
    if (!value) return tl::unexpected(value.error());
    return *value;
}

Expected<std::size_t> length(Session& session, std::string_view key) {
    const auto item = session.look(key, Type::string);
    if (!item) return tl::unexpected(item.error());
    if (!*item) return 0;
    return length(session, **item);
}

Expected<std::string_view> range(Session& session, std::string_view key, std::size_t from,
                                 std::size_t bytes) {
    const auto item = session.look(key, Type::string);
    if (!item) return tl::unexpected(item.error());
    if (!*item) return std::string_view{};
    return range(session, **item, from, bytes);
}

Cost cost_of_set(std::string_view key, std::size_t value_bytes) {
    const auto chunks = value_bytes > BigString::kInlineMax ? value_bytes / kChunk + 1 : 0;
    return {.bytes = key.size() + value_bytes + chunks * sizeof(ChunkName) + 1,
            .records = chunks + 1};
}

void set_reserved(Session& session, std::string_view key, std::string_view value,
                  std::int64_t expires_ms) {
    if (value.size() <= BigString::kInlineMax)
        session.put(key, value, expires_ms);
    else
        set_big(session, key, value, expires_ms);
}

Expected<void> set(Session& session, std::string_view key, std::string_view value,
                   std::int64_t expires_ms) {
    const auto cost = cost_of_set(key, value.size());
    const auto room = cost.records == 1 ? session.reserve_only(cost.bytes)
                                        : session.reserve(cost.bytes, cost.records);
    if (!room) return room;
    set_reserved(session, key, value, expires_ms);
    return {};
}

Expected<std::size_t> patch(Session& session, std::string_view key,
                            std::span<const Patch> patches) {
    ensure(!patches.empty(), "no patch is no effect");
    for (std::size_t i = 0; i < patches.size(); ++i) {
        ensure(!patches[i].bytes.empty(), "an empty patch is no effect");
        ensure(i == 0 || patches[i - 1].offset + patches[i - 1].bytes.size() <= patches[i].offset,
               "patches ascend and do not overlap");
    }
    const auto item = session.look(key, Type::string);
    if (!item) return tl::unexpected(item.error());
    if (*item && (*item)->type == Type::big_string) return patch_big(session, key, **item, patches);
    std::string_view old;
    std::int64_t expires_ms = -1;
    if (*item) {
        const auto value = get(session, **item, key);
        if (!value) return tl::unexpected(value.error());
        old = *value;
        expires_ms = (*item)->expires_ms;
    }
    const auto size = std::max(old.size(), patches.back().offset + patches.back().bytes.size());
    if (size > kPatchedInlineMax) return patch_into_big(session, key, old, expires_ms, patches);
    const auto whole = session.buffer(size);
    std::ranges::copy(old, whole.begin());
    std::ranges::fill(whole.subspan(old.size()), '\0');
    for (const auto& patch : patches)
        std::ranges::copy(patch.bytes, whole.begin() + static_cast<std::ptrdiff_t>(patch.offset));
    if (auto done = set(session, key, {whole.data(), size}, expires_ms); !done)
        return tl::unexpected(done.error());
    return size;
}

Expected<std::size_t> patch(Session& session, std::string_view key, std::size_t offset,
                            std::string_view bytes) {
    const Patch one{.offset = offset, .bytes = bytes};
    return patch(session, key, std::span(&one, 1));
}

}  // namespace firnlog::engine::strings
