#pragma once
// Worker: one thread of a load: its ring, its connections, and the loop that keeps them busy.
//
//   turn:  replies are counted, latencies recorded -> what is due leaves, one send a connection
//          -> one io_uring_enter for it all, asleep until a reply comes or the next request is due
//
// The generator's own lateness is what it may have added to a latency: from when a request could
// have left (it was due, and its connection had room) until it left, and how long its reply may
// have waited for us to look. Both are told as the most they can be: between two looks everything
// that was not sleep is ours, be it work or waiting for a core (OwnTime); a thread that was stopped
// altogether finds out from its own timer, which then fires late. What it cannot see is how long
// the kernel takes to wake a sleeping thread on an idle core.
//
// Owned by its thread once started; what it measures is handed over slot by slot.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/io.hpp"
#include "src/bench/load.hpp"
#include "src/bench/own_time.hpp"
#include "src/bench/reply_counter.hpp"
#include "src/bench/schedule.hpp"

namespace firnlog::bench {

class Worker {
  public:
    // Takes over the descriptors: connections turn, turn + threads, … of the load.
    Worker(const LoadPlan& plan, LoadShared& shared, unsigned turn, std::vector<int> descriptors);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    void run();  // its thread, from start to end

    // Afterwards.
    struct Totals {
        std::uint64_t errors = 0;
        std::uint64_t nulls = 0;
        std::string first_error;
    };
    struct Outcome {
        std::string failure;  // empty: it worked
        std::vector<Totals> operations;
        std::vector<Histogram> inside;
        Histogram outside;
        std::uint64_t answered = 0;
        std::uint64_t unanswered = 0;
        std::uint64_t connections_lost = 0;
        std::uint64_t last_answer_ns = 0;
        std::uint64_t stopped_ns = 0;  // end of the measured part, if it was ended early
        double busy = 0;
    };
    [[nodiscard]] const Outcome& outcome() const { return outcome_; }

  private:
    struct Connection;
    struct Hook : io::Completion {
        Connection* connection = nullptr;
        Worker* worker = nullptr;
    };
    // A request on its way.
    struct Pending {
        std::uint64_t from_ns = 0;  // its latency counts from here
        std::uint64_t sent_ns = 0;
        std::uint64_t late_ns = 0;
        std::uint32_t operation = 0;
        std::uint16_t replies_missing = 0;
        Reply worst = Reply::ok;
    };
    struct Connection {
        Hook receiving;
        Hook sending;
        int fd = -1;
        std::uint64_t number = 0;  // among all of the load
        std::uint64_t due = 0;     // open loop: how many should have left
        std::uint64_t sent = 0;
        std::uint64_t answered = 0;
        std::uint64_t roomy_ns = 0;  // since when there is room for one more
        bool send_in_flight = false;
        bool listed = false;  // in ready_
        bool dead = false;
        std::size_t out_sent = 0;
        server::resp::Buffer out;
        ReplyCounter replies;
        std::vector<Pending> pending;  // a ring: request n at n mod pipeline
    };

    void begin();
    void take_due();
    void fill_ready();
    void fill(Connection& connection);
    [[nodiscard]] std::uint64_t room_for(const Connection& connection) const;
    [[nodiscard]] std::uint32_t draw_operation();
    void turn();
    [[nodiscard]] bool finished() const;

    void look();
    void received(Connection& connection, std::int32_t result);
    void replied(Connection& connection, Reply reply, std::string_view error);
    struct Measured {
        std::uint32_t operation;
        std::uint64_t from_ns;
        std::uint64_t until_ns;
        std::uint64_t late_ns;
    };
    void record(const Pending& pending, std::uint64_t until_ns, std::uint64_t late_ns);
    void put_down(const Measured& measured);
    void sent(Connection& connection, std::int32_t result);
    void lose(Connection& connection);
    void list(Connection& connection);

    void keep_time();
    void hand_over();
    void count_unanswered();

    // Constant after construction.
    const LoadPlan& plan_;
    LoadShared& shared_;
    const std::uint64_t turn_;
    std::vector<std::uint64_t> thresholds_;  // of 2^32, cumulative: which operation
    const std::uint64_t early_ns_;
    std::vector<std::unique_ptr<Connection>> connections_;
    Source source_;

    // Set when it starts.
    io::Io* io_ = nullptr;  // lives on the thread's stack
    std::uint64_t measured_ns_ = 0;
    std::uint64_t end_ns_ = 0;
    Schedule schedule_;
    std::uint64_t scheduled_ = 0;  // open loop: how many requests the whole load has
    std::uint64_t budget_ = 0;     // closed loop: how many measured ones are left to send

    ThreadSchedule upcoming_;
    std::vector<Connection*> ready_;
    std::vector<Pending*> leaving_;  // open loop: encoded in this turn
    std::uint64_t in_flight_ = 0;
    std::size_t alive_ = 0;
    Hook timer_;
    bool timer_armed_ = false;
    std::uint64_t timer_ns_ = 0;
    OwnTime own_time_;
    std::uint64_t now_ns_ = 0;   // when this turn's replies were found
    std::uint64_t kept_ns_ = 0;  // at most so much sooner they would have been, had we only waited
    bool looked_ = false;
    bool slept_ = false;            // in this turn, and from then on …
    std::uint64_t before_ns_ = 0;   // … it is this time,
    std::uint64_t own_before_ = 0;  // … and our own time
    std::uint64_t drain_ns_ = 0;    // what is on its way by then is given up

    std::uint64_t slot_ = 0;
    std::vector<Histogram> latency_;  // of this slot, by operation
    Histogram lateness_;
    std::uint64_t slot_answered_ = 0;
    std::vector<std::uint64_t> slot_errors_;
    double cpu_at_measured_ = -1;
    double cpu_at_end_ = -1;
    Outcome outcome_;
};

}  // namespace firnlog::bench
