#pragma once
// Digests: what each full file of a store is, noted when it was sealed.
//
//   sealed, or named by a manifest ──add──> due ──step: read, piece by piece──> summed
//                                                  all of it durable ──step──> the file `digests`
//
// A backup that links files need not read them then. At that moment they lie in the page cache, so
// that a digest costs a copy and a checksum. Files from before the start get none here: who needs
// theirs reads them. A failure is none of anybody's: that digest is not noted.
//
// Worker thread; read() is anybody's, beside a server that runs.

#include <deque>
#include <vector>

#include "engine/format/digests.hpp"
#include "engine/format/manifest.hpp"
#include "engine/log/segments.hpp"
#include "io/files.hpp"

namespace firnlog::engine {

class Digests {
  public:
    Digests(io::Files& files, const StoreId& store_id, const Manifest& manifest);
    ~Digests();
    Digests(const Digests&) = delete;
    Digests& operator=(const Digests&) = delete;

    // A log segment that takes nothing any more.
    void add(const Segment& sealed);
    // Packed segments and checkpoints that it names and the last one did not.
    void follow(const Manifest& manifest);
    // A piece of work; false if there is none. `durable`: of the log.
    bool step(Lsn durable);

    // What was noted of the store whose directory that is; the last of a number counts. Of files
    // that have gone, too.
    [[nodiscard]] static Result<std::vector<StoredFile>> read(io::Files& files,
                                                              const StoreId& store_id);

  private:
    struct Due {
        StoredFile file;
        Lsn end;  // it is durable when the log is up to there
    };
    void follow(StoredKind kind, FileNumber number, Lsn lsn);
    bool sum_piece();
    void close_summed();
    void note(const StoredFile& file);
    Result<void> append(const StoredFile& file);
    Result<void> begin_file();
    void close_file();

    io::Files& files_;
    const StoreId store_id_;
    std::uint64_t followed_ = 0;     // the manifest's sequence
    std::vector<FileNumber> named_;  // by it, ascending: none of these is due
    std::deque<Due> due_;
    int summed_ = -1;  // the descriptor of the first of them
    std::vector<std::byte> piece_;
    std::deque<Due> done_;  // and not noted
    int file_ = -1;
    std::uint64_t bytes_ = 0;  // of it
    std::uint64_t bytes_at_begin_ = 0;
};

}  // namespace firnlog::engine
