#include "recovery/map_segment.hpp"

#include "engine/format/names.hpp"

namespace firnlog::recovery {

Result<std::unique_ptr<engine::Segment>> map_segment(io::Files& files, const LogFile& file,
                                                     std::uint64_t end) {
    auto fd = files.open(engine::names::log_file(file.number), io::Open::read);
    if (!fd) return fail(fd);
    auto map = files.map(*fd);
    if (!map) {
        files.close(*fd);
        return fail(map);
    }
    auto segment =
        std::make_unique<engine::Segment>(file.number, file.base(), (*map)->bytes().size(), *fd);
    segment->end = end;
    segment->read_from((*map)->bytes().data(), false);
    segment->map = std::move(*map);
    return segment;
}

}  // namespace firnlog::recovery
