#pragma once
// Remover: files that nobody needs any more give their blocks back, a piece at a time.
//
//   unlink ──> held open ── nobody else has it ──> a MiB shorter, and shorter ──> closed
//                        └─ somebody has it, by another name or open ──> closed: it is his
//
// A file system that is mounted with `discard` tells the disk of every block it frees, with the
// next commit; and a disk that is told of 64 MiB at once lets the log's writes wait for ten
// milliseconds and more. Of a MiB each time nobody hears (docs/adr/0021).
//
// The name is gone at once, as with unlink(), and what a crash leaves has no name either. Whoever
// has opened the file before keeps it whole: what is cut short is the remover's alone (is_last).
// Worker thread.

#include <deque>
#include <string_view>

#include "io/clock.hpp"
#include "io/files.hpp"

namespace firnlog::engine {

class Remover {
  public:
    Remover(io::Files& files, io::Clock& clock) : files_(files), clock_(clock) {}
    ~Remover() { hurry(); }
    Remover(const Remover&) = delete;
    Remover& operator=(const Remover&) = delete;

    // As Files::unlink.
    Result<void> remove(std::string_view name);
    // A piece; false if there is none to give back now.
    bool step();
    // What is left goes at once: space is short.
    void hurry();
    // That are not given back yet.
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  private:
    struct Going {
        int fd = -1;
        std::uint64_t bytes = 0;
        io::MonoTime since;
    };
    void close_first();

    io::Files& files_;
    io::Clock& clock_;
    std::deque<Going> going_;
    std::uint64_t bytes_ = 0;  // of them
    io::MonoTime next_;        // not before
};

}  // namespace firnlog::engine
