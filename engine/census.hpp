#pragma once
// Census: what of each file is in use, and where in chosen ones.
//
//   count   the index, page by page ──> bytes and records in use, by file
//   find    the same once more      ──> the addresses that lead into the files it is asked about
//
// So a walk knows what is dead as it begins, chooses by that, and reads no more of a victim than
// what it moves. What changes between the passes and behind them is not known here: an address that
// nothing leads to any more is found out when it is moved; one that leads to a victim and was not
// found keeps that file, for the image names it. Eight bytes of memory for each address; so files
// are asked about in rounds. Worker thread.

#include <cstdint>
#include <vector>

#include "engine/index_pass.hpp"

namespace firnlog::engine {

class Census {
  public:
    Census(Keyspace& keyspace, const Tail& tail) : pass_(keyspace, tail, PageTaker::What::names) {}

    struct Use {
        std::uint64_t bytes = 0;
        std::uint64_t records = 0;
    };

    void count();
    void find(const std::vector<FileNumber>& files);
    // One piece of work of what was begun last; false: it is done.
    bool step();
    [[nodiscard]] bool finds() const { return finds_; }

    [[nodiscard]] Use of(FileNumber file) const {
        return file < uses_.size() ? uses_[file] : Use{};
    }
    // Of all files.
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    // What was found, in the order of files and offsets; it is the caller's then.
    [[nodiscard]] std::vector<Address> take_found();
    // Gives memory back.
    void forget();

  private:
    void note(const Named& named);

    IndexPass pass_;
    bool finds_ = false;
    std::vector<Use> uses_;  // by file number
    std::uint64_t bytes_ = 0;
    std::vector<bool> wanted_;  // the same
    std::vector<Address> found_;
};

}  // namespace firnlog::engine
