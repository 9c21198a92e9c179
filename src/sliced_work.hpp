#pragma once
// SlicedWork: work on the store that a job's thread has to do, done on a reactor for it, a slice a
// turn, so that clients wait no longer than for a command.
//
//   job's thread   start ─────────────────────────────────────────> wait
//   reactor          ╰──> unit, unit, … ──turn──> unit, … ──turn──> done
//                              ╰ cold: read through the ring, the unit runs again
//
// Only reactors have sessions on a store that is served: the log's memory and the segments are
// given back by their turns. A unit begins and ends the session, and is one batch; one that was
// stopped has changed nothing. The unit owns all it touches, for nobody may be waiting any more.
//
// start() and wait() belong to the job's thread, slices to the reactor's; `mutex_` guards what says
// that it is over.

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/session.hpp"
#include "src/notifications.hpp"

namespace firnlog::server {

class Reactor;

class SlicedWork : public std::enable_shared_from_this<SlicedWork> {
  public:
    // True: there is more. What is to be told to others when the session has ended goes into the
    // list.
    using Unit =
        std::function<engine::Expected<bool>(engine::Session&, std::vector<KeyspaceEvent>&)>;
    [[nodiscard]] static std::shared_ptr<SlicedWork> start(Reactor& home, Unit unit);

    // Until no unit is left, or one was stopped for good. Nothing: `give_up` said so first.
    [[nodiscard]] std::optional<engine::Expected<void>> wait(const std::function<bool()>& give_up);

    SlicedWork(Reactor& home, Unit unit);

  private:
    void post();
    void slice();
    engine::Expected<bool> run(std::vector<KeyspaceEvent>& events);
    void tell(std::vector<KeyspaceEvent>& events);
    void read_cold();
    void end(engine::Expected<void> how);

    Reactor& home_;
    // The reactor's.
    const Unit unit_;
    engine::Session session_;
    std::vector<engine::Warm> warm_;
    std::size_t reads_in_flight_ = 0;

    std::mutex mutex_;
    std::condition_variable ended_;
    std::optional<engine::Expected<void>> how_;
};

}  // namespace firnlog::server
