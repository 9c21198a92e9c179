#include "src/archive_job.hpp"

#include <algorithm>
#include <chrono>
#include <new>

#include "engine/engine.hpp"
#include "io/base/thread.hpp"
#include "src/archive_command.hpp"
#include "src/logger.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"

namespace firnlog::server {
namespace {

using recovery::Archiver;
using recovery::Opening;

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr auto kLook = std::chrono::milliseconds(100);
constexpr std::int64_t kRetryUsMax = 30 * kSecondUs;
// An archive that fails is told of so often.
constexpr std::int64_t kTellUs = 60 * kSecondUs;
// A sync that takes longer is not waited for: what is durable by then is brought.
constexpr std::int64_t kDurablePatienceUs = 2 * kSecondUs;
constexpr std::int64_t kEndPatienceUs = 10 * kSecondUs;
constexpr std::int64_t kDirectoryTimeoutS = 1;
constexpr std::int64_t kCommandTimeoutS = 60;
constexpr std::size_t kLooksMax = 4096;

}  // namespace

ArchiveJob::~ArchiveJob() { stop(); }

void ArchiveJob::archives(io::Files& store, std::unique_ptr<io::Files> dir) {
    store_ = &store;
    dir_ = std::move(dir);
    status_.mode = Mode::directory;
    server_.engine().walk.unarchived({});
}

void ArchiveJob::archives(io::Files& store, std::string command) {
    store_ = &store;
    command_ = std::move(command);
    status_.mode = Mode::command;
    server_.engine().walk.unarchived({});
}

Result<void> ArchiveJob::begin() {
    if (store_ == nullptr) return {};
    recovery::ArchiverOptions options{.to = dir_.get(),
                                      .command = {},
                                      .going = [this] { return going(); },
                                      .durable = [this] { return server_.engine().log.durable(); },
                                      .tail_due = [this] { return tail_due(); }};
    if (dir_ == nullptr)
        options.command = [this](const std::string& name) { return run_command(name); };
    archiver_ = std::make_unique<Archiver>(*store_, std::move(options));
    reactors_ = true;
    safe_us_ = server_.clock().mono().us;
    auto thread = start_thread([this] { work(); });
    if (!thread) return fail(thread);
    thread_ = std::move(*thread);
    return {};
}

void ArchiveJob::let_go_of_reactors() {
    const std::lock_guard guard(mutex_);
    reactors_ = false;
}

void ArchiveJob::stop() {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard guard(mutex_);
        reactors_ = false;
        stopping_.store(true, std::memory_order_relaxed);
        stopped_.notify_all();
    }
    thread_.join();
}

ArchiveJob::Status ArchiveJob::status() const {
    const auto& log = server_.engine().log;
    const std::lock_guard guard(mutex_);
    auto status = status_;
    if (status.mode != Mode::off && status.archived < log.written())
        status.rpo_us = std::max<std::int64_t>(server_.clock().mono().us - safe_us_, 1);
    return status;
}

std::int64_t ArchiveJob::timeout_us() const {
    const auto seconds = server_.config().archive_timeout;
    if (seconds != 0) return seconds * kSecondUs;
    return (dir_ ? kDirectoryTimeoutS : kCommandTimeoutS) * kSecondUs;
}

bool ArchiveJob::tail_due() const { return server_.clock().mono().us - tail_us_ >= timeout_us(); }

// Asked for on the thread, again and again: what is under way when the server stops is cut short,
// and the rest is brought until its time has passed.
bool ArchiveJob::going() const {
    if (!stopping_.load(std::memory_order_relaxed)) return true;
    return ends_ && server_.clock().mono().us < until_us_;
}

// How far replies were by now.
void ArchiveJob::look() {
    const auto now_us = server_.clock().mono().us;
    const auto written = server_.engine().log.written();
    const std::lock_guard guard(mutex_);
    if (!looks_.empty() && looks_.back().written == written)
        looks_.back().mono_us = now_us;
    else
        looks_.push_back({.mono_us = now_us, .written = written});
    if (looks_.size() > kLooksMax) {
        std::size_t kept = 0;
        for (std::size_t i = 0; i < looks_.size(); i += 2) looks_[kept++] = looks_[i];
        looks_.resize(kept);
    }
    if (begun_) {
        status_.archived = archiver_->position();
        status_.has_base = archiver_->has_base();
        status_.counts = archiver_->counts();
        status_.gap = archiver_->gap();
    }
    while (!looks_.empty() && looks_.front().written <= status_.archived) {
        safe_us_ = std::max(safe_us_, looks_.front().mono_us);
        looks_.pop_front();
    }
}

void ArchiveJob::rest() {
    std::unique_lock guard(mutex_);
    if (!stopping_.load(std::memory_order_relaxed)) stopped_.wait_for(guard, kLook);
}

// Bytes go only once they are durable. Where nobody else waits for that we do.
void ArchiveJob::wait_for_durable() {
    auto& log = server_.engine().log;
    const auto written = log.written();
    const auto until_us = server_.clock().mono().us + kDurablePatienceUs;
    while (log.durable() < written && log.failed() == 0 && server_.clock().mono().us < until_us) {
        log.want_durable(written);
        {
            const std::lock_guard guard(mutex_);
            // Its turn sees to it.
            if (!reactors_) return;
            server_.reactors().front()->post([](Reactor&) {});
        }
        constexpr auto kWait = std::chrono::milliseconds(2);
        std::this_thread::sleep_for(kWait);
    }
}

Opening<void> ArchiveJob::run_command(const std::string& name) {
    const auto& config = server_.config();
    const auto path = config.dir + "/" + std::string(recovery::kArchiveFolder) + "/" + name;
    const auto done = run_archive_command({.line = command_,
                                           .path = path,
                                           .name = name,
                                           .seconds_max = config.archive_command_timeout},
                                          server_.clock(), [this] {
                                              look();
                                              return going();
                                          });
    if (!done) return recovery::refuse({.code = Code::io, .doing = "archive"}, done.error());
    return {};
}

Opening<void> ArchiveJob::bring(bool all) {
    if (!begun_) {
        if (auto begun = archiver_->begin(); !begun) return begun;
        begun_ = true;
    }
    const bool tail = all || tail_due();
    if (tail) wait_for_durable();
    using Bring = Archiver::Bring;
    const auto began_us = server_.clock().mono().us;
    auto brought = archiver_->round(all ? Bring::log : (tail ? Bring::all : Bring::full));
    server_.engine().walk.unarchived(archiver_->needs());
    if (brought && tail) tail_us_ = began_us;
    return brought;
}

void ArchiveJob::note(const Opening<void>& brought) {
    look();
    const auto wall_us = server_.clock().wall().us;
    const auto mono_us = server_.clock().mono().us;
    const std::lock_guard guard(mutex_);
    if (archiver_->last_name() != status_.last_name) status_.last_us = wall_us;
    status_.last_name = archiver_->last_name();
    status_.failing = !brought;
    if (brought) {
        status_.failures_in_row = 0;
        return;
    }
    ++status_.failures;
    ++status_.failures_in_row;
    status_.error = brought.error().text;
    // What was acknowledged before this start waits, too.
    if (const auto commit_us = archiver_->next_commit_us(); begun_ && commit_us)
        safe_us_ = std::min(safe_us_, mono_us - std::max<std::int64_t>(wall_us - *commit_us, 0));
}

void ArchiveJob::tell(const Opening<void>& brought) {
    const auto now_us = server_.clock().mono().us;
    const auto& counts = archiver_->counts();
    if (counts.gaps != gaps_told_) {
        gaps_told_ = counts.gaps;
        logger::warning("archive: gap: from_lsn=" + std::to_string(archiver_->gap()->from.value) +
                        " to_lsn=" + std::to_string(archiver_->gap()->to.value) +
                        ": the disk's bound let go of log that was not archived; no moment in it "
                        "can be restored from the archive");
    }
    const auto failures = status().failures_in_row;
    if (!brought) {
        if (failures != 1 && now_us - told_us_ < kTellUs) return;
        told_us_ = now_us;
        logger::warning("archive: " + brought.error().text +
                        "; failures=" + std::to_string(failures) +
                        " archived_lsn=" + std::to_string(archiver_->position().value));
        return;
    }
    if (told_us_ == 0) return;
    told_us_ = 0;
    logger::notice("archive: goes on at lsn=" + std::to_string(archiver_->position().value));
}

void ArchiveJob::work() {
    std::int64_t pause_us = kSecondUs;
    const auto bring_some = [&](bool all) -> Opening<void> {
        try {
            return bring(all);
        } catch (const std::bad_alloc&) {
            return recovery::refuse({.code = Code::io, .error = ENOMEM, .doing = "archive"},
                                    "no memory");
        }
    };
    while (!stopping_.load(std::memory_order_relaxed)) {
        look();
        if (server_.clock().mono().us >= next_us_) {
            const auto brought = bring_some(false);
            if (!brought && stopping_.load(std::memory_order_relaxed)) break;
            note(brought);
            tell(brought);
            pause_us = brought ? kSecondUs : std::min(2 * pause_us, kRetryUsMax);
            next_us_ = server_.clock().mono().us + (brought ? kSecondUs : pause_us / 2);
            // Whatever is wrong with it, it may be another one by then.
            begun_ = brought.has_value();
        }
        rest();
    }
    ends_ = true;
    until_us_ = server_.clock().mono().us + kEndPatienceUs;
    const auto& log = server_.engine().log;
    for (;;) {
        const auto brought = bring_some(true);
        note(brought);
        begun_ = brought.has_value();
        if (brought && archiver_->position() >= log.durable()) return;
        if (server_.clock().mono().us >= until_us_) break;
        std::this_thread::sleep_for(kLook);
    }
    logger::warning("archive: stopped before everything was there: archived_lsn=" +
                    std::to_string(archiver_->position().value) +
                    " durable_lsn=" + std::to_string(log.durable().value) + ": " + status().error);
}

}  // namespace firnlog::server
