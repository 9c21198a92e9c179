#include "engine/index/object_map.hpp"

namespace firnlog::engine {

ObjectMap::~ObjectMap() {
    for_each([](Object& object) { delete &object; });
}

Object* ObjectMap::find(Oid oid) const {
    const auto* entry = map_.find({.high = place_of(oid)});
    return entry == nullptr ? nullptr : entry->pointer<Object>();
}

Object& ObjectMap::add(std::unique_ptr<Object> object) {
    auto& added = *object;
    map_.insert({.high = place_of(added.oid)}).point_at(added.type, object.release());
    return added;
}

void ObjectMap::erase(Oid oid) {
    const Tag tag{.high = place_of(oid)};
    auto* entry = map_.find(tag);
    ensure(entry != nullptr, "an object that goes is there");
    delete entry->pointer<Object>();
    map_.erase(tag);
}

std::uint64_t ObjectMap::scan(std::uint64_t from, std::size_t count,
                              std::vector<Object*>& into) const {
    std::vector<Entry*> entries;
    const auto next = map_.scan(from, count, entries);
    for (const auto* entry : entries) into.push_back(entry->pointer<Object>());
    return next;
}

}  // namespace firnlog::engine
