#include "recovery/read_ahead.hpp"

#include <utility>

namespace firnlog::recovery {

void ReadAhead::begin(const LogFile& file, engine::Lsn end) {
    next_ = std::async(how_, [this, file, end, memory = std::exchange(spare_, {})]() mutable {
        File read{.reader = LogReader(store_id_, file), .loaded = {}, .frames = {}};
        read.loaded = read.reader.load(files_, std::move(memory));
        if (!read.loaded) return read;
        while (read.reader.end() < end) {
            const auto frame = read.reader.next();
            if (!frame) break;
            read.frames.push_back(*frame);
        }
        return read;
    });
}

}  // namespace firnlog::recovery
