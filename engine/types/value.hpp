#pragma once
// Value: the closed list of object types, and the concept each fulfils.
//
// A type is a body with `apply(record, address, bytes, tag)`, the only mutator, used by commands
// and by replay alike; `for_each`, the only visitor;
// `move`, by which the walk says that a record lies elsewhere; `size`; and what the walk needs:
// `save` writes down a piece of it from a position on, `load` takes such a piece in, and `position`
// tells which piece a record belongs to. A new type is a body, a line in Body and one in
// make_object. `tag` is of the record's key; `bytes` is the record's size in the log.

#include <concepts>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "engine/index/tag_map.hpp"
#include "engine/types/big_string.hpp"
#include "engine/types/hash.hpp"
#include "engine/types/moves.hpp"

namespace firnlog::engine {

template <class B>
concept ObjectBody = requires(B body, const B& constant, const Record& record) {
    body.apply(record, Address{}, std::size_t{}, Tag{});
    { constant.size() } -> std::convertible_to<std::size_t>;
    { constant.memory_bytes() } -> std::convertible_to<std::size_t>;
    constant.for_each([](const auto&) {});
    { body.move(Tag{}, std::uint64_t{}, Address{}, Address{}) } -> std::same_as<bool>;
    // Appends a piece; returns the position that the next one begins at, 0: that was the last.
    {
        constant.save(std::uint64_t{}, std::declval<std::vector<std::byte>&>())
        } -> std::same_as<std::uint64_t>;
    // Into a body that holds nothing at these positions; false if the bytes make no sense.
    { body.load(Bytes{}, Moves{}) } -> std::same_as<bool>;
    { B::position(record, Tag{}) } -> std::same_as<std::uint64_t>;
};

using Body = std::variant<BigString, HashBody>;

static_assert(ObjectBody<BigString> && ObjectBody<HashBody>);

// A collection or big string, in its home stripe for ever; bound to one key, or being built aside.
// While a checkpoint's log is replayed two keys may lead to it for a moment: one from a page that
// was imaged before a RENAME, one from a page imaged behind it.
struct Object {
    Oid oid;
    Type type = Type::hash;
    std::uint32_t keys = 0;  // entries that lead here
    std::uint32_t binding_bytes = 0;
    Address binding;  // of the newest bind record
    Lsn binding_lsn;
    // Of the key it is bound to: Tag::check. Nothing if its record has not been read yet.
    std::optional<std::uint32_t> key_check;
    Lsn last_change;  // of its elements: what a count or a miss depends on
    Body body;

    [[nodiscard]] bool bound() const { return keys != 0; }
};

// Null for a type this build does not have.
[[nodiscard]] inline std::unique_ptr<Object> make_object(Oid oid, Type type) {
    auto object = std::make_unique<Object>();
    object->oid = oid;
    object->type = type;
    switch (type) {
        case Type::big_string:
            object->body.emplace<BigString>();
            return object;
        case Type::hash:
            object->body.emplace<HashBody>();
            return object;
        default:
            return nullptr;
    }
}

}  // namespace firnlog::engine
