#pragma once
// ObjectMap: the objects whose home one stripe is, by oid.
//
// A TagMap from the oid to a pointer, so that it can be gone through piece by piece with a cursor
// that holds whatever comes and goes meanwhile. Oids are mixed first: they grow with the log, and a
// TagMap wants hashes that are spread. The mixing is one to one, so nothing ever collides.
// Guarded by the stripe's lock. Source of the mixing: D. Stafford's variant 13 of MurmurHash3's.

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/index/tag_map.hpp"
#include "engine/types/value.hpp"

namespace firnlog::engine {

class ObjectMap {
  public:
    ObjectMap() = default;
    ObjectMap(const ObjectMap&) = delete;
    ObjectMap& operator=(const ObjectMap&) = delete;
    ~ObjectMap();

    // An oid's place among all of them: what cursors count in.
    [[nodiscard]] static std::uint64_t place_of(Oid oid) {
        auto mixed = oid.value;
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
        return mixed ^ (mixed >> 31);
    }

    [[nodiscard]] Object* find(Oid oid) const;
    Object& add(std::unique_ptr<Object> object);  // not there yet
    void erase(Oid oid);                          // there
    [[nodiscard]] std::size_t size() const { return map_.size(); }
    [[nodiscard]] std::size_t memory_bytes() const { return map_.memory_bytes(); }

    template <class Visit>
    void for_each(Visit&& visit) const {
        map_.for_each([&](const Entry& entry) { visit(*entry.pointer<Object>()); });
    }
    // Some objects from a place on, in order, appended; the place to go on from, 0 after the last.
    [[nodiscard]] std::uint64_t scan(std::uint64_t from, std::size_t count,
                                     std::vector<Object*>& into) const;

  private:
    TagMap map_{0};
};

}  // namespace firnlog::engine
