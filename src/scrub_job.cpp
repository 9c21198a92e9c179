#include "src/scrub_job.hpp"

#include <algorithm>
#include <chrono>
#include <new>

#include "io/base/thread.hpp"
#include "src/logger.hpp"
#include "src/server.hpp"

namespace firnlog::server {
namespace {

// A start has its own reading to do.
constexpr std::int64_t kFirstUs = 60'000'000;
// Of passes one upon the other: a store may have next to nothing to read.
constexpr std::int64_t kRestUs = 1'000'000;
// The clock is looked at again so often, whatever it was said to be.
constexpr std::int64_t kNapUs = 60'000'000;

}  // namespace

Result<void> ScrubJob::reads(io::Files& store) {
    files_ = &store;
    // As if the last pass had begun so long ago that the next one is due soon.
    began_us_ =
        server_.clock().mono().us + kFirstUs - server_.config().scrub_interval_s * 1'000'000;
    auto started = start_thread([this] { work(); });
    if (!started) {
        files_ = nullptr;
        return fail(started);
    }
    thread_ = std::move(*started);
    return {};
}

void ScrubJob::stop() {
    {
        const std::lock_guard guard(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

ScrubJob::Asked ScrubJob::begin() {
    const std::lock_guard guard(mutex_);
    if (files_ == nullptr) return Asked::no_store;
    if (server_.config().scrub_rate == 0) return Asked::off;
    if (status_.running || asked_) return Asked::running;
    asked_ = true;
    changed_.notify_all();
    return Asked::done;
}

ScrubJob::Asked ScrubJob::cancel() {
    const std::lock_guard guard(mutex_);
    if (!status_.running && !asked_) return Asked::resting;
    cancelled_ = status_.running;
    asked_ = false;
    changed_.notify_all();
    return Asked::done;
}

void ScrubJob::wake() {
    // Not between its thread's look at the configuration and its sleep.
    const std::lock_guard guard(mutex_);
    changed_.notify_all();
}

ScrubJob::Status ScrubJob::status() const {
    const std::lock_guard guard(mutex_);
    auto status = status_;
    status.running = status.running || asked_;
    status.faults = faults_.size();
    return status;
}

// False: the server stops.
bool ScrubJob::sleep(Guard& guard, std::int64_t us) {
    if (!stopping_) changed_.wait_for(guard, std::chrono::microseconds(std::min(us, kNapUs)));
    return !stopping_;
}

// False: the server stops.
bool ScrubJob::wait_for_pass(Guard& guard) {
    while (!stopping_ && !asked_) {
        const auto& config = server_.config();
        const auto due_us = began_us_ + std::max(kRestUs, config.scrub_interval_s * 1'000'000);
        const auto left_us = due_us - server_.clock().mono().us;
        const bool on = config.scrub_rate != 0;
        if (on && left_us <= 0) break;
        if (!sleep(guard, on ? left_us : kNapUs)) return false;
    }
    asked_ = false;
    return !stopping_;
}

void ScrubJob::work() {
    give_way();
    Guard guard(mutex_);
    while (wait_for_pass(guard)) {
        began_us_ = server_.clock().mono().us;
        next_us_ = began_us_;
        cancelled_ = false;
        status_.running = true;
        status_.bytes_done = 0;
        status_.bytes_all = 0;
        guard.unlock();
        pass();
        guard.lock();
        status_.running = false;
    }
}

// So many bytes may be read, once those before them have had their time.
bool ScrubJob::pace(std::uint64_t bytes, std::uint64_t bytes_all) {
    Guard guard(mutex_);
    status_.bytes_all = bytes_all;
    for (;;) {
        if (stopping_ || cancelled_) return false;
        const auto rate = server_.config().scrub_rate;
        const auto now_us = server_.clock().mono().us;
        if (rate != 0 && next_us_ <= now_us) {
            const auto takes_us = static_cast<std::int64_t>(bytes * 1'000'000 / rate);
            // What was not used is lost: no burst follows a pause.
            next_us_ = std::max(next_us_, now_us - takes_us) + takes_us;
            status_.bytes_done += bytes;
            return true;
        }
        (void)sleep(guard, rate == 0 ? kNapUs : next_us_ - now_us);
    }
}

void ScrubJob::pass() {
    const recovery::ScrubOptions options{
        .pace = [this](std::uint64_t bytes, std::uint64_t all) { return pace(bytes, all); },
        .fault =
            [this](const recovery::Fault& fault) {
                logger::warning("scrub: damaged: " + fault.line());
                const std::lock_guard guard(mutex_);
                faults_[fault.file] = fault.line();
                status_.last_fault = fault.line();
            }};
    auto scrubbed = [&]() -> recovery::Opening<recovery::Scrubbed> {
        try {
            return recovery::scrub(*files_, options);
        } catch (const std::bad_alloc&) {
            return recovery::refuse({.code = Code::busy, .doing = "scrub a store"}, "no memory");
        }
    }();
    const auto now_us = server_.clock().mono().us;
    {
        const std::lock_guard guard(mutex_);
        const bool ended = stopping_ || cancelled_;
        status_.error = scrubbed || ended ? std::string() : scrubbed.error().text;
        if (ended) return;
        if (scrubbed) {
            ++status_.passes;
            status_.bytes_done = status_.bytes_all;
            status_.last_pass_us = server_.clock().wall().us;
            status_.last_pass_took = now_us - began_us_;
            faults_.clear();
            for (const auto& fault : scrubbed->faults) faults_[fault.file] = fault.line();
        }
    }
    if (!scrubbed) return logger::warning("scrub: " + scrubbed.error().text);
    logger::notice("scrub: files=" + std::to_string(scrubbed->files) + " bytes=" +
                   std::to_string(scrubbed->bytes) + " gone=" + std::to_string(scrubbed->gone) +
                   " faults=" + std::to_string(scrubbed->faults.size()) +
                   " ms=" + std::to_string((now_us - began_us_) / 1000));
}

}  // namespace firnlog::server
