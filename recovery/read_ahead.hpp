#pragma once
// ReadAhead: sealed files one after the other, the next one read and verified by another thread
// while this one's frames are applied.
//
// Verifying takes about as long as applying does, and neither needs the other's data. At most two
// files are in memory, and their memory is used again.

#include <cstdint>
#include <future>
#include <optional>
#include <vector>

#include "recovery/log_reader.hpp"

namespace firnlog::recovery {

class ReadAhead {
  public:
    struct File {
        LogReader reader;
        Result<void> loaded;
        std::vector<LogReader::Frame> frames;  // up to `end`, or to the first that is not valid
    };

    // launch::deferred: by whoever takes it, when it does; so too where no thread can be started.
    ReadAhead(io::Files& files, const engine::StoreId& store_id, std::launch how)
        : files_(files), store_id_(store_id), how_(how) {}

    void begin(const LogFile& file, engine::Lsn end);
    // What was begun last; what comes may be begun before this one is given back.
    [[nodiscard]] File take() { return next_.get(); }
    void give_back(File file) { spare_ = file.reader.release(); }

  private:
    // By the thread that reads.
    [[nodiscard]] File read_up_to(const LogFile& file, engine::Lsn end,
                                  std::vector<std::byte> memory) const;

    io::Files& files_;
    const engine::StoreId store_id_;
    const std::launch how_;
    std::future<File> next_;
    std::vector<std::byte> spare_;
};

}  // namespace firnlog::recovery
