#include "src/cold_read.hpp"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace firnlog::server {
namespace {

constexpr std::uint64_t kBlock = 4096;

// Its own owner until it has completed.
struct ColdRead : io::Completion {
    engine::Address address;
    engine::Segment* segment = nullptr;  // pinned
    std::vector<std::byte> block;
    std::size_t skip = 0;  // of the block, before the record
    std::size_t bytes = 0;
    std::function<void(engine::Warm)> done;

    void completed(std::int32_t result) {
        segment->pins.fetch_sub(1, std::memory_order_release);
        engine::Warm warm{.address = address, .bytes = {}};
        if (result > 0)
            warm.bytes.assign(block.begin() + static_cast<std::ptrdiff_t>(skip),
                              block.begin() + static_cast<std::ptrdiff_t>(skip + bytes));
        done(std::move(warm));
    }
};

}  // namespace

bool read_record(engine::Engine& engine, io::Io& io, const engine::Session::Cold& cold,
                 std::function<void(engine::Warm)> done) {
    auto* segment = engine.segments().find(cold.address.file());
    if (segment == nullptr) return false;
    segment->pins.fetch_add(1, std::memory_order_relaxed);
    auto read = std::make_unique<ColdRead>();
    read->segment = segment;
    read->address = cold.address;
    read->bytes = cold.bytes + segment->lead();
    read->done = std::move(done);
    const auto offset = cold.address.offset() - segment->lead();
    const auto begin = align_down(offset, kBlock);
    const auto end = std::min(align_up(offset + read->bytes, kBlock), segment->bytes);
    read->block.resize(end - begin + kBlock);
    auto* base = read->block.data();
    auto* aligned = reinterpret_cast<std::byte*>(
        align_up(reinterpret_cast<std::uintptr_t>(base), std::uintptr_t{kBlock}));
    read->skip = static_cast<std::size_t>(aligned - base) + (offset - begin);
    read->run = [](io::Completion& self, std::int32_t result, bool) {
        const std::unique_ptr<ColdRead> completed(&static_cast<ColdRead&>(self));
        completed->completed(result);
    };
    engine.counters.cold_reads.fetch_add(1, std::memory_order_relaxed);
    io.read(segment->fd, begin, {aligned, end - begin}, *read.release());
    return true;
}

}  // namespace firnlog::server
