#include "recovery/map_segment.hpp"

#include "engine/format/names.hpp"
#include "engine/record_scan.hpp"

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

Result<std::unique_ptr<engine::Segment>> map_packed(io::Files& files,
                                                    const engine::StoreId& store_id,
                                                    engine::FileNumber number) {
    // It looks at the header.
    if (auto scan = engine::RecordScan::packed(files, store_id, number); !scan) return fail(scan);
    auto fd = files.open(engine::names::packed_file(number), io::Open::read);
    if (!fd) return fail(fd);
    auto map = files.map(*fd);
    if (!map) {
        files.close(*fd);
        return fail(map);
    }
    auto segment = std::make_unique<engine::Segment>(number, engine::Lsn{}, (*map)->bytes().size(),
                                                     *fd, engine::Segment::Kind::packed);
    segment->end = segment->bytes;
    segment->read_from((*map)->bytes().data(), false);
    segment->map = std::move(*map);
    return segment;
}

MappedSegments::~MappedSegments() {
    if (segments_ == nullptr) return;
    for (const auto* segment : segments_->all()) files_.close(segment->fd);
}

}  // namespace firnlog::recovery
