#pragma once
// Value: the closed list of object types, and the concept each fulfils.
//
// A type is a body with `apply(record, address, bytes, tag)`, the only mutator, used by commands
// and by replay alike; `for_each`, the only visitor; and `size`. A new type is a body, a line in
// Body and one in make_object. `tag` is of the record's key; `bytes` is the record's size in the
// log.

#include <concepts>
#include <memory>
#include <variant>

#include "engine/index/tag_map.hpp"
#include "engine/types/big_string.hpp"
#include "engine/types/hash.hpp"

namespace firnlog::engine {

template <class B>
concept ObjectBody = requires(B body, const B& constant, const Record& record) {
    body.apply(record, Address{}, std::size_t{}, Tag{});
    { constant.size() } -> std::convertible_to<std::size_t>;
    { constant.memory_bytes() } -> std::convertible_to<std::size_t>;
    constant.for_each([](const auto&) {});
};

using Body = std::variant<BigString, HashBody>;

static_assert(ObjectBody<BigString> && ObjectBody<HashBody>);

// A collection or big string, in its home stripe for ever; bound to one key, or being built aside.
struct Object {
    Oid oid;
    Type type = Type::hash;
    bool bound = false;
    Address binding;  // of the bind record
    std::uint32_t binding_bytes = 0;
    Lsn last_change;  // of its elements: what a count or a miss depends on
    Body body;
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
