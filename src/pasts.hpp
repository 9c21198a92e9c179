#pragma once
// Pasts: the moments of the store that are open, few, each shared by all who read there.
//
//   FIRN GET, RESTORE ──open──> OpenPast <──Asof── connections in the past
//                                  │ nobody reads there any more, or nothing was read for long
//                                  ╰──tend──> closed, on a job's thread: it may hold gigabytes
//
// An open moment pins the past, so that nothing it leads into is given back. The bound on what the
// past may take outranks that, and so does a disk that is short of space: connections are put out
// of the past then, and answered -ASOFGONE, and so are those that ask for nothing for too long.
//
// open() and tend() belong to the jobs' threads, `mutex_` guards the list. Whoever holds an
// OpenPast holds it by shared_ptr: connections of several reactors do, and reads in flight.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "engine/session.hpp"
#include "recovery/past_of_key.hpp"

namespace firnlog::server {

class Connection;
class Server;

class OpenPast {
  public:
    OpenPast(Server& server, std::unique_ptr<recovery::Past> past, recovery::Moment asked);
    ~OpenPast();
    OpenPast(const OpenPast&) = delete;
    OpenPast& operator=(const OpenPast&) = delete;

    const recovery::Moment asked;
    [[nodiscard]] recovery::Past& past() { return *past_; }
    [[nodiscard]] const recovery::Place& place() const { return past_->facts().place; }
    // All of it is in memory: whoever reads it meets no damage in the index.
    [[nodiscard]] bool whole() { return past_->engine().keyspace().whole(); }
    // Some of it could not be brought in as it was touched.
    [[nodiscard]] bool damaged() { return past_->engine().keyspace().lost() != 0; }

    // Monotonic; any thread that reads there.
    std::atomic<std::int64_t> used_us{0};
    // Connections that are there.
    std::atomic<std::uint32_t> connections{0};

  private:
    Server& server_;
    std::unique_ptr<recovery::Past> past_;
};

// A connection's stay in the past. Shared with its reads in flight, whose files it keeps open.
struct Asof {
    explicit Asof(std::shared_ptr<OpenPast> where);
    ~Asof();
    Asof(const Asof&) = delete;
    Asof& operator=(const Asof&) = delete;

    std::shared_ptr<OpenPast> past;
    engine::Session session;
};

class Pasts {
  public:
    explicit Pasts(Server& server) : server_(server) {}

    enum class Stay : std::uint8_t {
        passing,  // a job's: where there is no room it has the moment for itself; all of it is
                  // brought in first
        lasting,  // a connection's: what nobody touches may stay in the checkpoint
    };
    // The error is a reply.
    [[nodiscard]] tl::expected<std::shared_ptr<OpenPast>, std::string> open(
        io::Files& files, const recovery::PastOptions& options, Stay stay);
    // The same for one key alone, by sidecars; the moment is opened where that does not do.
    [[nodiscard]] tl::expected<std::shared_ptr<OpenPast>, std::string> open_for_key(
        io::Files& files, recovery::PastOptions options, const recovery::KeyWish& wish);
    // Closes what nobody needs, and puts connections out where that is due. Now and then, while
    // any() says that something is open.
    void tend();
    [[nodiscard]] bool any() const { return told().open != 0; }
    // Nobody goes on reading what was open so far: connections are put out.
    void close_all();

    struct Told {
        std::size_t open = 0;
        std::size_t connections = 0;
        std::uint64_t gone = 0;  // moments that connections were put out of
    };
    [[nodiscard]] Told told() const;

  private:
    // One that is open and good for that.
    [[nodiscard]] std::shared_ptr<OpenPast> find(const recovery::Moment& asked, Stay stay) const;
    [[nodiscard]] std::shared_ptr<OpenPast> find(const recovery::Place& place, Stay stay) const;
    // False: all are in use. What was closed for it goes when the list is not locked any more.
    [[nodiscard]] bool make_room(std::shared_ptr<OpenPast>& closing);
    void put_out(const std::shared_ptr<OpenPast>& past);

    Server& server_;
    mutable std::mutex mutex_;
    std::vector<std::shared_ptr<OpenPast>> open_;
    // Connections are being put out of these; closed when the last has gone.
    std::vector<std::shared_ptr<OpenPast>> leaving_;
    std::uint64_t gone_ = 0;
};

}  // namespace firnlog::server
