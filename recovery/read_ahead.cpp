#include "recovery/read_ahead.hpp"

#include <system_error>
#include <utility>

namespace firnlog::recovery {

void ReadAhead::begin(const LogFile& file, engine::Lsn end) {
    try {
        next_ = std::async(how_, [this, file, end, memory = std::exchange(spare_, {})]() mutable {
            return read_up_to(file, end, std::move(memory));
        });
    } catch (const std::system_error&) {
        // There is no other thread to be had.
        next_ = std::async(std::launch::deferred,
                           [this, file, end] { return read_up_to(file, end, {}); });
    }
}

ReadAhead::File ReadAhead::read_up_to(const LogFile& file, engine::Lsn end,
                                      std::vector<std::byte> memory) const {
    File read{.reader = LogReader(store_id_, file), .loaded = {}, .frames = {}};
    read.loaded = read.reader.load(files_, std::move(memory));
    if (!read.loaded) return read;
    while (read.reader.end() < end) {
        const auto frame = read.reader.next();
        if (!frame) break;
        read.frames.push_back(*frame);
    }
    return read;
}

}  // namespace firnlog::recovery
