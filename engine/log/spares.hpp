#pragma once
// Spares: full log files that nothing needs any more, kept so that segments made of them need no
// zeros and no room.
//
//   0000000012.log ──keep──> 0000000012.spare ──take──> 0000000047.log, made ready
//                    '─ retired, and that durable           '─ nobody else has it
//
// A file whose bytes somebody else has must never change: a backup or a restored store has it by a
// second name or shares its blocks, a reader has it open or mapped. So it leaves the log's names
// first, that none comes to it any more, and is asked for its only owner when it is to be used
// (Files::is_sole); one that never is goes. What is in it stays: its frames and records are bound
// to lsns that come never again (docs/format.md, Stale bytes). A start removes whatever is left
// here.
//
// Bounded, for it is room on the disk that nobody has any use of yet. The worker's.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "engine/address.hpp"
#include "engine/remover.hpp"
#include "io/clock.hpp"
#include "io/files.hpp"

namespace firnlog::engine {

struct Spare {
    FileNumber number = 0;
    std::uint64_t bytes = 0;
    Lsn end;  // nothing in it is of the log from here on
    io::MonoTime since;
    [[nodiscard]] std::string name() const;
};

class Spares {
  public:
    Spares(io::Files& files, io::Clock& clock, Remover& remover)
        : files_(files), clock_(clock), remover_(remover) {}
    Spares(const Spares&) = delete;
    Spares& operator=(const Spares&) = delete;

    // All of them together have at most so many bytes; what is more goes.
    void bound(std::uint64_t bytes_max);
    [[nodiscard]] bool fits(std::uint64_t bytes) const { return bytes_ + bytes <= bytes_max_; }
    // Takes the log file of that number out of the log; the name is durable after sync_dir().
    // False: it stays where it was.
    bool keep(FileNumber number, std::uint64_t bytes, Lsn end);

    struct Sizes {
        std::uint64_t min = 0;
        std::uint64_t max = 0;
    };
    struct Taken {
        Spare spare;
        int fd = -1;  // for writing
    };
    // One of such a size that nobody else has; the oldest. Nothing if there is none now.
    [[nodiscard]] std::optional<Taken> take(Sizes bytes, bool direct);

    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  private:
    void remove(const Spare& spare);

    io::Files& files_;
    io::Clock& clock_;
    Remover& remover_;
    std::deque<Spare> spares_;
    std::uint64_t bytes_ = 0;  // of them
    std::uint64_t bytes_max_ = 0;
};

}  // namespace firnlog::engine
