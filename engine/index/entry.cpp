#include "engine/index/entry.hpp"

#include <algorithm>
#include <bit>

namespace firnlog::engine {

std::uint64_t Entry::class_of_size(std::size_t bytes) {
    const std::size_t units = (bytes + 7) / 8;
    if (units < 128) return units;
    const auto shift = static_cast<std::size_t>(std::bit_width(units)) - 4;
    auto eighths = (units + (std::size_t{1} << shift) - 1) >> shift;  // 8 … 16
    const auto size_class = 128 + (shift - 4) * 8 + (eighths - 8);
    return std::min<std::size_t>(size_class, 255);
}

std::size_t Entry::size_of_class(std::uint64_t size_class) {
    if (size_class < 128) return size_class * 8;
    const auto step = (size_class - 128) / 8;
    return ((size_class - 128) % 8 + 8) << (step + 4 + 3);
}

}  // namespace firnlog::engine
