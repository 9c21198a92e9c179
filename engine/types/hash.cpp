#include "engine/types/hash.hpp"

#include <algorithm>

namespace firnlog::engine {

void HashBody::apply(const Record& record, Address address, std::size_t bytes, Tag tag) {
    if (record.kind == Kind::element_gone) {
        if (fields_.find(tag) != nullptr) fields_.erase(tag);
        return;
    }
    if (record.kind != Kind::element) return;
    auto* entry = fields_.find(tag);
    if (entry == nullptr) entry = &fields_.insert(tag);
    entry->point_at(Type::string, address, bytes);
    longest_ = std::max({longest_, static_cast<std::uint32_t>(record.key.size()),
                         static_cast<std::uint32_t>(record.value.size())});
}

}  // namespace firnlog::engine
