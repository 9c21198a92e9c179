// What a walk does between walks: a key is forgotten, file by file.

#include <algorithm>

#include "engine/format/names.hpp"
#include "engine/manifest_file.hpp"
#include "engine/walk.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::engine {

bool Walk::forget(ForgetOrder order) {
    const std::lock_guard guard(mutex_);
    if (forgetting_.state == Forgetting::State::running) return false;
    forgetting_ = {.state = Forgetting::State::running, .told = {}, .error = {}};
    stop_forgetting_ = false;
    forget_ = std::move(order);
    return true;
}

void Walk::stop_forgetting() {
    const std::lock_guard guard(mutex_);
    stop_forgetting_ = true;
}

Walk::Forgetting Walk::forgetting() const {
    const std::lock_guard guard(mutex_);
    return forgetting_;
}

// Under mutex_. A walk that is due comes first, but not two of them in a row; on a full disk each
// does, for nothing can be copied there.
bool Walk::forgets_now() const {
    if (phase_ != Phase::idle || (!forget_ && !forgetter_.busy())) return false;
    if (!forgetter_.is_between_files() || log_.failed() != 0) return true;
    return !due() || (forgets_next_ && !is_full());
}

bool Walk::step_forgetting() {
    const auto now = clock_.mono();
    if (now < next_) return false;
    auto more = Result<bool>(true);
    try {
        more = forget_some();
    } catch (const std::bad_alloc&) {
        more = fail_errno("forget", ENOMEM);
    }
    if (!more) end_forgetting(Forgetting::State::failed, more.error());
    if (forgetter_.is_between_files()) forgets_next_ = false;
    rest_since(now);
    return !more || *more;
}

// False: nothing can be done now.
Result<bool> Walk::forget_some() {
    bool stop = false;
    {
        const std::lock_guard guard(mutex_);
        stop = stop_forgetting_;
        if (forget_ && !stop) forgetter_.begin(*std::exchange(forget_, std::nullopt));
    }
    if (stop) {
        end_forgetting(Forgetting::State::stopped, {});
        return true;
    }
    if (log_.failed() != 0)
        return fail(Error{.error = log_.failed(), .doing = "forget a key: the log has failed"});
    manifest_.adopted = still_aside();
    // What a stripe waits for, or is made anew from, stays as it is until then.
    if (!keyspace_.whole()) return false;
    const auto step = forgetter_.step();
    if (!step) return fail(step);
    if (*step == Forgetter::Step::waits) {
        log_.want_durable(forgetter_.order().durable);
        return false;
    }
    if (*step == Forgetter::Step::exchange) {
        auto outcome = Forgetter::Outcome::of_no_use;
        const auto made = make(forgetter_.exchange(), outcome);
        forgetter_.settled(outcome);
        if (!made) return fail(made);
    }
    {
        const std::lock_guard guard(mutex_);
        forgetting_.told = forgetter_.told();
    }
    if (*step == Forgetter::Step::done) end_forgetting(Forgetting::State::done, {});
    return true;
}

void Walk::end_forgetting(Forgetting::State state, std::optional<Error> error) {
    forgetter_.abandon();
    // Nor does what was given back and lies ready to be used again keep any of it.
    if (state == Forgetting::State::done) {
        (void)supply_.give_spares_up();
        bound_supply();
    }
    const std::lock_guard guard(mutex_);
    forget_.reset();
    forgetting_.told = forgetter_.told();
    forgetting_.state = state;
    forgetting_.error = error;
}

// Those that count, and could not be given their names yet.
std::vector<FileNumber> Walk::still_aside() {
    auto aside = manifest_.adopted;
    std::erase_if(aside, [&](FileNumber number) {
        const auto renamed = files_.rename(names::new_log_file(number), names::log_file(number));
        return renamed || renamed.error().code == Code::missing;
    });
    return aside;
}

Result<std::unique_ptr<Segment>> Walk::open_copy(const Segment& old, const Exchange& exchange) {
    const auto name =
        old.packed ? names::packed_file(exchange.to) : names::new_log_file(exchange.to);
    const auto fd = files_.open(name, io::Open::read);
    if (!fd) return fail(fd);
    auto map = files_.map(*fd);
    if (!map) {
        files_.close(*fd);
        return fail(map);
    }
    const auto bytes = (*map)->bytes().size();
    auto segment = std::make_unique<Segment>(
        exchange.to, old.base, bytes, *fd, old.packed ? Segment::Kind::packed : Segment::Kind::log);
    segment->end = bytes;
    segment->read_from((*map)->bytes().data(), false);
    segment->map = std::move(*map);
    return segment;
}

// The manifest says that the copy counts; from then on everything leads there.
Result<void> Walk::make(const Exchange& exchange, Forgetter::Outcome& outcome) {
    using What = Exchange::What;
    const auto [what, from, to, bytes] = exchange;
    auto next = manifest_;
    std::unique_ptr<Segment> copy;
    if (what == What::image) {
        bool is_there = false;
        for (auto* entries : {&next.checkpoints, &next.kept})
            for (auto& entry : *entries) {
                if (entry.number != from) continue;
                entry.number = to;
                entry.bytes = bytes;
                is_there = true;
            }
        if (!is_there) return {};
    } else {
        const auto* old = segments_.find(from);
        if (old == nullptr || old->number != from) return {};
        auto opened = open_copy(*old, exchange);
        if (!opened) return fail(opened);
        copy = std::move(*opened);
        // An image to come names it as the index does.
        add_move(next.moves, {.from = from, .to = to});
        if (what == What::packed) {
            std::erase(next.packed, from);
            next.packed.insert(std::ranges::upper_bound(next.packed, to), to);
        }
    }
    next.adopted = still_aside();
    if (what == What::log) next.adopted.push_back(to);
    next.retired = limbo_;
    next.retired.push_back(from);
    complete(next);
    outcome = Forgetter::Outcome::unknown;
    if (planted("forget_counts_before_its_copy")) (void)remove_file(from);
    if (auto written = write_manifest(files_, next); !written) {
        if (copy != nullptr) files_.close(copy->fd);
        manifest_.sequence = next.sequence;
        limbo_.push_back(to);
        return fail(written);
    }
    outcome = Forgetter::Outcome::counts;
    manifest_ = std::move(next);
    if (what == What::log) manifest_.adopted = still_aside();
    if (copy != nullptr) departed_.add(segments_.replace(from, std::move(copy)), retire_);
    limbo_.push_back(from);
    std::erase_if(limbo_, [&](FileNumber number) { return remove_file(number); });
    if (!files_.sync_dir()) limbo_ = manifest_.retired;
    measure();
    publish();
    return {};
}

}  // namespace firnlog::engine
