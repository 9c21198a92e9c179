#pragma once
// Operation: one thing asked of the simulated world, numbered from 1; and what is kept of it.
//
// Every operation is a point at which the world may crash (before it takes effect) or a fault may
// strike. The trace keeps the newest as aligned lines, its digest all of them; the tally counts
// them by phase and kind, so that a harness can show that it went everywhere.

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/inode.hpp"

namespace firnlog::sim {

enum class Kind : std::uint8_t {
    open,
    create,
    read,
    write,       // blocking, or of a ring without a sync
    write_sync,  // of a ring: the write; its sync follows as an `fsync` of its own
    fsync,       // of a ring
    sync,        // blocking
    truncate,
    allocate,
    size,
    map,
    rename,
    link,
    unlink,
    make_dir,
    list,
    sync_dir,
    lock,
    free_bytes,
    accept,
    recv,
    send,
};
inline constexpr std::size_t kKinds = static_cast<std::size_t>(Kind::send) + 1;
[[nodiscard]] const char* text(Kind kind) noexcept;
// True for those after which a crash leaves another disk than before them.
[[nodiscard]] bool changes_disk(Kind kind) noexcept;

// In which ways an operation of a kind can fail for who asks for it. io::Files and io::Io begin
// again what a signal cut short, so EINTR reaches nobody but of a sync, whose pages may be lost,
// and of what a ring writes. EAGAIN is of a ring alone, where the kernel lacks memory. They go on
// with a read that was short: it then means the end of the file, and a file that ends too early is
// damaged (corruption_test.cpp).
struct WayToFail {
    int error = 0;
    bool is_short = false;
    [[nodiscard]] std::string told() const;
};
[[nodiscard]] std::vector<WayToFail> ways_to_fail(Kind kind);

struct Operation {
    std::uint64_t number = 0;
    Kind kind = Kind::open;
    std::uint8_t phase = 0;       // index of World::phases()
    std::array<char, 26> file{};  // the end of its name, 0-terminated
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
};

// Lets the nth matching operation from now on fail, and if `sticky` all behind it too.
//
//   read, recv            error, or fewer bytes          write…   error or short, some of it landed
//   fsync, sync           error: pages clean, data lost  others   error, nothing happened
//   EINTR, EAGAIN         of a write: nothing landed. Files swallows EINTR, but of a sync
struct Fault {
    int error = EIO;
    bool is_short = false;  // instead of the error: read, recv, write, send of a part
    bool any = false;       // strikes whatever the kind
    Kind kind = Kind::write;
    std::string file = {};   // only files whose name begins so; empty: all
    std::string phase = {};  // only in this phase; empty: all
    std::uint64_t nth = 1;
    bool sticky = false;
    Landed landed = Landed::seed;
    std::uint64_t seen = 0;  // counted by the world
};

class Trace {
  public:
    struct Line {
        std::int64_t us = 0;
        const char* what = "";
        Operation operation;
        std::int64_t result = 0;
    };

    explicit Trace(std::size_t lines = 64) : ring_(lines) {}

    // `what`: "" for an operation's end, else a word: "begin", "crash", "deliver"…
    void add(std::int64_t us, const char* what, const Operation& operation, std::int64_t result);
    // The newest, of those behind the first `from`.
    void print(std::FILE* to, const std::vector<std::string>& phases, std::uint64_t from = 0) const;
    static void print_heads(std::FILE* to);
    static void print_line(std::FILE* to, const Line& line, const std::vector<std::string>& phases);
    [[nodiscard]] std::uint64_t digest() const noexcept { return digest_; }
    [[nodiscard]] std::uint64_t lines() const noexcept { return count_; }

  private:
    std::vector<Line> ring_;
    std::uint64_t count_ = 0;
    std::uint64_t digest_ = 0;
};

// Counts by phase and kind; adds up over many worlds.
class Tally {
  public:
    void count(std::string_view phase, Kind kind, std::uint64_t times = 1);
    void add(const Tally& other);
    [[nodiscard]] std::uint64_t of(std::string_view phase, Kind kind) const;
    [[nodiscard]] std::uint64_t of(Kind kind) const;
    [[nodiscard]] std::uint64_t total() const;
    // A row a kind, a column a phase; kinds never seen are left out.
    void print(std::FILE* to, const char* title) const;
    // A line a phase, for a report: "<title>, <phase>: create 4, write 12".
    void print_lines(std::FILE* to, std::string_view title) const;

  private:
    std::map<std::string, std::array<std::uint64_t, kKinds>, std::less<>> phases_;
};

}  // namespace firnlog::sim
