#include "engine/format/archive.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

#include "engine/format/segment.hpp"
#include "io/base/bytes.hpp"

namespace firnlog::engine {
namespace {

constexpr std::uint64_t kBlock = 4096;

enum class Field : std::uint8_t { timeline, from, to, base, number, sequence, bytes, tag };

struct Shape {
    ArchivedKind kind;
    std::string_view word;
    std::array<Field, 6> fields;
    std::size_t count;
};

using enum Field;
constexpr std::array kShapes{
    Shape{ArchivedKind::segment, "segment", {timeline, from, to, base, number, tag}, 6},
    Shape{ArchivedKind::log, "log", {timeline, from, to, base, number, tag}, 6},
    Shape{ArchivedKind::checkpoint, "checkpoint", {timeline, from, bytes, number, tag}, 5},
    Shape{ArchivedKind::packed, "packed", {timeline, bytes, number, tag}, 4},
    Shape{ArchivedKind::manifest, "manifest", {timeline, sequence, bytes, tag}, 4},
};

constexpr std::size_t digits_of(Field field) {
    switch (field) {
        case timeline:
            return 8;
        case number:
            return 10;
        case tag:
        case sequence:
            return 16;
        case from:
        case to:
        case base:
        case bytes:
            break;
    }
    return 13;
}

// File numbers are decimal, as in a store.
constexpr int radix_of(Field field) { return field == number ? 10 : 16; }

std::uint64_t value_of(const Archived& file, Field field) {
    switch (field) {
        case timeline:
            return file.timeline;
        case from:
            return file.from.value;
        case to:
            return file.to.value;
        case base:
            return file.base.value;
        case number:
            return file.number;
        case sequence:
            return file.sequence;
        case bytes:
            return file.bytes;
        case tag:
            break;
    }
    return file.tag;
}

void set(Archived& file, Field field, std::uint64_t value) {
    switch (field) {
        case timeline:
            file.timeline = static_cast<Timeline>(value);
            break;
        case from:
            file.from = {value};
            break;
        case to:
            file.to = {value};
            break;
        case base:
            file.base = {value};
            break;
        case number:
            file.number = static_cast<FileNumber>(value);
            break;
        case sequence:
            file.sequence = value;
            break;
        case bytes:
            file.bytes = value;
            break;
        case tag:
            file.tag = value;
            break;
    }
}

void append(std::string& text, std::uint64_t value, Field field) {
    std::array<char, 20> digits{};
    const auto end =
        std::to_chars(digits.data(), digits.data() + digits.size(), value, radix_of(field)).ptr;
    const auto count = static_cast<std::size_t>(end - digits.data());
    text += '-';
    text.append(digits_of(field) - std::min(digits_of(field), count), '0');
    text.append(digits.data(), count);
}

// Takes "-0000002a" off the front.
std::optional<std::uint64_t> take(std::string_view& text, Field field) {
    const auto digits = digits_of(field);
    if (text.size() < 1 + digits || text.front() != '-') return {};
    std::uint64_t value = 0;
    const auto* begin = text.data() + 1;
    const auto [end, error] = std::from_chars(begin, begin + digits, value, radix_of(field));
    if (error != std::errc{} || end != begin + digits) return {};
    text.remove_prefix(1 + digits);
    return value;
}

}  // namespace

std::uint64_t archived_bytes(ArchivedKind kind, Lsn from, Lsn to) {
    const auto bytes = kSegmentHeaderBytes + (to - from);
    return kind == ArchivedKind::segment ? align_up(bytes, kBlock) : bytes;
}

std::string Archived::name() const {
    const auto& shape = *std::ranges::find(kShapes, kind, &Shape::kind);
    std::string text(shape.word);
    for (const auto field : std::span(shape.fields).first(shape.count))
        append(text, value_of(*this, field), field);
    return text;
}

std::optional<Archived> archived_named(std::string_view name) {
    const auto word = name.substr(0, name.find('-'));
    const auto shape = std::ranges::find(kShapes, word, &Shape::word);
    if (shape == kShapes.end()) return {};
    Archived file{.kind = shape->kind};
    auto rest = name.substr(word.size());
    for (const auto field : std::span(shape->fields).first(shape->count)) {
        const auto value = take(rest, field);
        if (!value) return {};
        set(file, field, *value);
    }
    // Each has one name: no capital letters, no number that is too large.
    if (!rest.empty() || file.name() != name || file.number > kFileNumberMax) return {};
    if (!file.is_log()) return file;
    if (file.from >= file.to || file.base > file.from) return {};
    if (file.kind == ArchivedKind::segment && file.base != file.from) return {};
    file.bytes = archived_bytes(file.kind, file.from, file.to);
    return file;
}

}  // namespace firnlog::engine
