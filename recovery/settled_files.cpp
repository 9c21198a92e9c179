#include "recovery/settled_files.hpp"

#include <algorithm>

#include "engine/format/names.hpp"

namespace firnlog::recovery {

namespace names = engine::names;

Result<std::string> SettledFiles::settled_name(std::string_view name) {
    const auto number = names::log_number(name);
    if (number && std::ranges::count(manifest_.adopted, *number) != 0) {
        auto aside = names::new_log_file(*number);
        const auto fd = files_.open(aside, io::Open::read);
        if (fd) {
            files_.close(*fd);
            return aside;
        }
        if (fd.error().code != Code::missing) return fail(fd);
    }
    return std::string(name);
}

Result<int> SettledFiles::open(std::string_view name, io::Open how, bool) {
    if (how != io::Open::read) return refuse();
    const auto there = settled_name(name);
    if (!there) return fail(there);
    return files_.open(*there, how);
}

Result<io::Given> SettledFiles::give(std::string_view name, io::Files& to,
                                     std::string_view to_name) {
    const auto there = settled_name(name);
    if (!there) return fail(there);
    return files_.give(*there, to, to_name);
}

Result<std::size_t> SettledFiles::read(int fd, std::uint64_t offset, MutableBytes into) {
    constexpr std::size_t kBlock = 4096;
    auto done = files_.read(fd, offset, into);
    if (done || done.error().code != Code::io) return done;
    const auto size = files_.size(fd);
    if (!size) return fail(size);
    const auto there = std::min<std::uint64_t>(into.size(), *size - std::min(*size, offset));
    for (std::size_t at = 0; at < there; at += kBlock) {
        const auto part = into.subspan(at, std::min<std::size_t>(kBlock, there - at));
        if (!files_.read(fd, offset + at, part)) std::ranges::fill(part, std::byte{0});
    }
    return static_cast<std::size_t>(there);
}

Result<std::vector<io::FileInfo>> SettledFiles::list(std::string_view dir) {
    auto listed = files_.list(dir);
    if (!listed || !dir.empty()) return listed;
    std::vector<io::FileInfo> settled;
    for (auto& info : *listed) {
        const auto number = names::log_number(info.name);
        if (number && (std::ranges::count(manifest_.retired, *number) != 0)) continue;
        if (number && std::ranges::count(manifest_.adopted, *number) != 0 &&
            std::ranges::any_of(*listed, [&](const auto& other) {
                return other.name == names::new_log_file(*number);
            }))
            continue;
        for (const auto adopted : manifest_.adopted)
            if (info.name == names::new_log_file(adopted)) info.name = names::log_file(adopted);
        settled.push_back(std::move(info));
    }
    std::ranges::sort(settled, {}, &io::FileInfo::name);
    return settled;
}

}  // namespace firnlog::recovery
