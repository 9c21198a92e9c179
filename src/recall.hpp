#pragma once
// Recall: the past is read for clients on threads of its own, never on a reactor.
//
//   command ──park──> durable up to here ──> queue (bounded) ──> job: files read ──post──> reply
//   reactor                                                      lane's thread             reactor
//
// A job waits until what its client could have seen is durable, so that it finds it in the files.
// While one runs that reads it nothing of the past goes (Walk::pin). Its reply is written here as a
// whole and only copied on the reactor; a client that has gone meanwhile is missed. There are two
// lanes with a thread each, so that who asks for one key does not wait for who restores all of
// them.
//
// ask() belongs to reactors, stop() to whoever ends the server; `mutex_` guards the queues.

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <tl/expected.hpp>

#include "io/files.hpp"
#include "src/commands/command.hpp"
#include "src/resp/writer.hpp"

namespace firnlog::server {

class Recall {
  public:
    explicit Recall(Server& server) : server_(server) {}
    ~Recall();
    Recall(const Recall&) = delete;
    Recall& operator=(const Recall&) = delete;

    // Where the store lies; before the first turn. Without it every asker is refused.
    void reads(io::Files& files) { files_ = &files; }

    static constexpr std::string_view kNoThread =
        "OOM there is no memory for a thread that reads the past";

    // Writes a reply, or tells the text of the error that is the reply. It looks at stopping() now
    // and then.
    using Job = std::function<tl::expected<void, std::string>(io::Files&, resp::Writer&)>;
    enum class Lane : std::uint8_t { brief, lengthy };
    struct Kind {
        Lane lane = Lane::brief;
        bool pins = true;  // what it reads of the store stays until it has ended
        // What becomes of the client when its reply, which is no error, is written.
        std::function<void(Connection&)> at_reply = {};
    };
    // Parks the client until the job has run; the flow is the command's.
    Flow ask(Call& call, Job job, Kind kind);
    Flow ask(Call& call, Job job) { return ask(call, std::move(job), Kind{}); }

    // A job that nobody waits for; no bound refuses it. False: there is no thread for it.
    using Errand = std::function<void(io::Files&)>;
    enum class Pins : bool { no, yes };
    [[nodiscard]] bool begin(Reactor& home, Errand errand, Lane lane, Pins pins = Pins::yes);

    // Lets the jobs under way come to their ends early, forgets the others, and joins. The reactors
    // are there still.
    void stop();
    [[nodiscard]] bool stopping() const { return stopping_.load(std::memory_order_relaxed); }

  private:
    struct Asked {
        Reactor* home = nullptr;
        std::uint64_t client = 0;
        std::uint64_t blocked = 0;
        resp::Protocol protocol = resp::Protocol::resp2;
        Job job;
        Kind kind;
        Errand errand;  // in the place of all of these
    };
    struct Queue {
        std::condition_variable filled;
        std::deque<Asked> asked;
        std::thread thread;  // from the first job on
    };
    void queue(Asked asked);
    // Whether a thread works there, after one was started where there was none; under the mutex.
    [[nodiscard]] bool staffed(Queue& queue);
    void work(Queue& queue);
    [[nodiscard]] bool wait_for_one(Queue& queue, Asked& asked);
    void run(const Asked& asked);

    Server& server_;
    io::Files* files_ = nullptr;
    std::atomic<bool> stopping_{false};
    std::mutex mutex_;
    std::array<Queue, 2> queues_;  // by lane
};

}  // namespace firnlog::server
