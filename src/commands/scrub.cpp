#include "src/scrub_job.hpp"

#include "recovery/moment.hpp"
#include "src/commands/past.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"

// FIRN SCRUB: the pass over the store's files that looks for what is damaged.

namespace firnlog::server {
namespace {

using text::equal_folded;

Flow status(Call& call) {
    const auto now = call.server.scrub().status();
    call.out.map(9);
    const auto number = [&](std::string_view name, std::int64_t value) {
        call.out.bulk(name);
        call.out.integer(value);
    };
    const auto text = [&](std::string_view name, std::string_view value) {
        call.out.bulk(name);
        call.out.bulk(value);
    };
    number("running", now.running ? 1 : 0);
    number("bytes_done", static_cast<std::int64_t>(now.bytes_done));
    number("bytes", static_cast<std::int64_t>(now.bytes_all));
    number("passes", static_cast<std::int64_t>(now.passes));
    text("last_pass",
         now.last_pass_us == 0 ? std::string() : recovery::text_of_time(now.last_pass_us));
    number("last_pass_usec", now.last_pass_took);
    number("faults", static_cast<std::int64_t>(now.faults));
    text("last_fault", now.last_fault);
    text("error", now.error);
    return Flow::done;
}

Flow answer(Call& call, ScrubJob::Asked asked, std::string_view done) {
    switch (asked) {
        case ScrubJob::Asked::done:
            call.out.simple(done);
            return Flow::done;
        case ScrubJob::Asked::running:
            return call.error("ERR a pass is under way already");
        case ScrubJob::Asked::resting:
            return call.error("ERR no pass is under way");
        case ScrubJob::Asked::off:
            return call.error("ERR scrub-rate is 0: nothing is read");
        case ScrubJob::Asked::no_store:
            break;
    }
    return call.error("ERR a store is scrubbed where it is served");
}

}  // namespace

Flow firn_scrub(Call& call) {
    auto& scrub = call.server.scrub();
    const auto word = call.arg(2);
    if (equal_folded(word, "start")) return answer(call, scrub.begin(), "Scrub started");
    if (equal_folded(word, "stop")) return answer(call, scrub.cancel(), "Scrub stopped");
    return equal_folded(word, "status") ? status(call) : call.syntax_error();
}

}  // namespace firnlog::server
