#pragma once
// Run: load, kill, restart, look; again and again in one directory that accumulates.
//
//   start -> wait until it serves -> clients write -> (fault) -> (admin command) -> kill or cut
//     ^                                                                                |
//     `-- rebase <- judge <- look at every key <- wait until it serves <- start <------'
//
// Half of the kills come while an admin command runs, where there are any. A power cut freezes the
// disk first, so that nothing is acknowledged after it. A server that does not come back is a
// violation; its directory is kept, and the run goes on in a new one. Damaged copies are the other
// way to run: run_damaged.cpp.

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "src/crashtest/disk_control.hpp"
#include "src/crashtest/options.hpp"
#include "src/crashtest/outcome.hpp"
#include "src/crashtest/random.hpp"
#include "src/crashtest/subject.hpp"
#include "src/crashtest/workload.hpp"

namespace firnlog::crashtest {

class Run {
  public:
    // `interrupted` is looked at between steps. `tell` is called after each cycle.
    Run(const Options& options, const std::atomic<bool>& interrupted,
        std::function<void(const Outcome&)> tell);
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;
    ~Run();

    // Goes on behind the cycles that `outcome` already has. Fails with what kept it from running.
    [[nodiscard]] std::optional<std::string> go(Outcome& outcome);

    [[nodiscard]] const std::string& folder() const noexcept { return folder_; }

  private:
    [[nodiscard]] std::optional<std::string> prepare();
    [[nodiscard]] std::optional<std::string> renew(const std::string& why);
    [[nodiscard]] std::optional<std::string> serve();
    [[nodiscard]] std::optional<std::string> one_cycle(std::uint32_t number);
    [[nodiscard]] std::optional<std::string> one_damage(std::uint32_t number, Random random);
    [[nodiscard]] std::optional<std::string> populate(Random random);
    void begin_load();
    void end_load();
    void suffer(Cycle& cycle, Random& random);
    void send_admin(Cycle& cycle, Random& random);
    [[nodiscard]] std::optional<std::string> cut(Cycle& cycle, Random& random,
                                                 std::int64_t& killed_us);
    void judge_answer(Cycle& cycle, const std::optional<Exit>& exit, std::uint64_t failed);
    void judge(Cycle& cycle, std::int64_t killed_us);
    [[nodiscard]] std::int64_t acknowledging_until(std::int64_t killed_us) const;
    void judge_damaged(Cycle& cycle);
    void judge_exit(Cycle& cycle, const Exit& exit);
    void count(Cycle& cycle, std::vector<Violation> violations, std::int64_t killed_us);
    void tell_more(std::int64_t killed_us);
    void end_cycle(Cycle cycle);
    [[nodiscard]] std::string disk_wrong(const std::string& what) const;
    [[nodiscard]] std::uint64_t failed_on_disk() const;
    [[nodiscard]] std::string where_is(const std::string& mark) const;
    [[nodiscard]] std::optional<std::string> nothing_acknowledged() const;
    void wait(std::uint64_t ms) const;
    [[nodiscard]] bool too_full() const;
    [[nodiscard]] std::string last_words() const;
    [[nodiscard]] bool complains() const;
    [[nodiscard]] std::uint64_t errors_of_all() const;
    [[nodiscard]] std::uint64_t acks_of_all() const;
    [[nodiscard]] bool fails() const;  // the disk answers with errors

    const Options options_;
    const std::atomic<bool>& interrupted_;
    const std::function<void(const Outcome&)> tell_;
    Outcome* outcome_ = nullptr;
    std::string folder_;
    bool own_folder_ = false;
    std::string store_;  // the server's directory
    std::uint32_t stores_ = 0;
    std::unique_ptr<DiskControl> disk_;
    std::unique_ptr<Subject> subject_;
    Features features_;
    std::vector<std::string> admin_;
    std::vector<std::unique_ptr<Client>> clients_;
    std::vector<std::thread> threads_;
    std::atomic<bool> stop_{false};
    Connection admin_connection_;
    std::int64_t shared_base_ = 0;
    std::vector<Found> found_;       // in the cycle that runs
    std::vector<Moment> moments_;    // of it: what was done to the disk and the server
    bool has_acknowledged_ = false;  // anything, ever
    int told_ = 0;                   // violations of which was told what the disk had
    std::string refusal_;            // what some write was answered with
    std::string said_when_well_;     // at a start on a directory that is in order
    bool keep_ = false;
};

}  // namespace firnlog::crashtest
