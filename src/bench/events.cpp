#include "src/bench/events.hpp"

#include <algorithm>
#include <chrono>

#include "src/bench/options.hpp"
#include "src/bench/time.hpp"
#include "src/text/quote.hpp"

namespace firnlog::bench {
namespace {

using Failure = tl::unexpected<std::string>;

// Often enough to know an end to a hundredth of a second, seldom enough not to be a load itself.
constexpr std::chrono::milliseconds kLookEvery{10};

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

}  // namespace

tl::expected<std::vector<Event>, std::string> parse_events(std::string_view text) {
    std::vector<Event> events;
    while (!text.empty()) {
        const auto end = std::min(text.find(';'), text.size());
        const auto piece = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (piece.empty()) continue;
        const auto at = piece.rfind('@');
        const auto wrong = [&](const char* why) {
            return Failure("'" + std::string(piece) + "': " + why);
        };
        if (at == piece.npos) return wrong("when? COMMAND@TIME is wanted, as BGSAVE@10s");
        const auto time = parse_duration_ns(trimmed(piece.substr(at + 1)));
        if (!time) return wrong("what stands behind @ is no time");
        Event event{.text = std::string(trimmed(piece.substr(0, at))), .at_ns = *time};
        auto words = server::text::split_arguments(event.text);
        if (!words || words->empty()) return wrong("there is no command");
        event.words = std::move(*words);
        events.push_back(std::move(event));
    }
    if (events.empty()) return Failure("there is no event");
    std::ranges::stable_sort(events, {}, &Event::at_ns);
    return events;
}

std::vector<std::string> in_progress(std::string_view info) {
    std::vector<std::string> names;
    while (!info.empty()) {
        const auto end = std::min(info.find('\n'), info.size());
        const auto line = info.substr(0, end);
        info.remove_prefix(std::min(end + 1, info.size()));
        const auto colon = line.find(':');
        if (colon == line.npos) continue;
        const auto value = line.substr(colon + 1);
        if (value.empty() || value.front() < '1' || value.front() > '9') continue;
        const auto name = line.substr(0, colon);
        if (name.ends_with("_in_progress") || name.ends_with("_scheduled"))
            names.emplace_back(name);
    }
    return names;
}

EventRunner::EventRunner(std::vector<Event> events, Link link, Windows& windows,
                         std::uint64_t measured_from_ns)
    : windows_(windows),
      measured_from_ns_(measured_from_ns),
      link_(std::move(link)),
      events_(std::move(events)),
      thread_([this] { run(); }) {}

void EventRunner::run() {
    while (!stopping_) {
        const auto now = now_ns();
        for (std::size_t i = 0; i < events_.size() && firing_ && !stopping_; ++i)
            if (!events_[i].fired && now >= measured_from_ns_ + events_[i].at_ns) fire(i);
        watch();
        std::this_thread::sleep_for(kLookEvery);
    }
}

// The texts and words of events never change, `fired` and `over` are written by this thread alone:
// it may look at them without the lock.
void EventRunner::fire(std::size_t at) {
    Event& event = events_[at];
    const auto info = link_.ask({"INFO", "persistence"});
    if (info && !info->error) event.before = in_progress(info->text);
    {
        const auto now = now_ns();
        windows_.begin(at, now);
        const std::lock_guard guard(mutex_);
        event.fired = true;
        event.begin_ns = now - measured_from_ns_;
    }
    const auto answer = link_.ask(event.words);
    if (!answer && stopping_) return;
    if (!answer)
        set_over(at, answer.error());
    else if (answer->error)
        set_over(at, answer->text);
}

void EventRunner::watch() {
    const auto is_watched = [](const Event& event) { return event.fired && !event.over; };
    if (stopping_ || std::ranges::none_of(events_, is_watched)) return;
    const auto info = link_.ask({"INFO", "persistence"});
    if (!info && stopping_) return;
    for (std::size_t i = 0; i < events_.size(); ++i) {
        if (!is_watched(events_[i])) continue;
        if (!info) {
            set_over(i, info.error());
            continue;
        }
        auto going_on = info->error ? std::vector<std::string>() : in_progress(info->text);
        std::erase_if(going_on, [&](const auto& name) {
            return std::ranges::find(events_[i].before, name) != events_[i].before.end();
        });
        if (going_on.empty()) set_over(i);
    }
}

void EventRunner::set_over(std::size_t at, std::string error) {
    const auto now = now_ns();
    windows_.end(at, now);
    const std::lock_guard guard(mutex_);
    events_[at].over = true;
    events_[at].end_ns = now - measured_from_ns_;
    events_[at].error = std::move(error);
}

std::string EventRunner::under_way() const {
    const std::lock_guard guard(mutex_);
    std::string names;
    for (const auto& event : events_)
        if (event.fired && !event.over) names += (names.empty() ? "" : ", ") + event.text;
    return names;
}

std::vector<Event> EventRunner::stop() {
    stopping_ = true;
    if (thread_.joinable()) {
        link_.interrupt();
        thread_.join();
    }
    return events_;
}

}  // namespace firnlog::bench
