#include "src/commands/command.hpp"

#include "src/commands/replies.hpp"
#include "src/dispatcher.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"

namespace firnlog::server {

std::string_view text_of(engine::Stop why) {
    switch (why) {
        case engine::Stop::wrong_type:
            return kWrongType;
        case engine::Stop::corrupt:
            return kCorruptValue;
        case engine::Stop::no_space:
            return "NOSPACE the next segment of the log cannot be made (see INFO persistence): "
                   "only what frees space is taken";
        case engine::Stop::io_error:
            return "IOERR writing or syncing the log failed, it takes no more writes until a "
                   "restart";
        case engine::Stop::loading:
            return "LOADING a damaged page of the index is made anew from the log, try again later";
        case engine::Stop::lost:
            return "CORRUPT a page of the index is damaged and could not be made anew, see the log "
                   "and firnlog repair";
        case engine::Stop::no_memory:
            return kNoMemory;
        case engine::Stop::too_big:
            return "ERR the command's effects are larger than one batch may be";
        case engine::Stop::cold:
        case engine::Stop::wait:
            break;
    }
    ensure(false, "who is cold or waits runs again");
    return {};
}

Flow Call::stop(engine::Stop why) {
    using engine::Stop;
    ensure(why != Stop::cold || !in_exec, "within EXEC cold bytes are read at once");
    if (why == Stop::cold || (why == Stop::wait && !in_exec)) return Flow::again;
    // EXEC has seen to room for all of its commands, unless the disk was full then; that it has
    // become less full meanwhile helps the next one.
    if (why == Stop::wait) why = Stop::no_space;
    if (why == Stop::io_error && session.engine().options.past) return error(kPastIsReadOnly);
    return error(text_of(why));
}

Flow Call::error(std::string_view text) {
    out.error(text);
    reactor.dispatcher().note_error(text);
    return Flow::done;
}

Flow Call::ok() {
    out.ok();
    return Flow::done;
}

Flow Call::integer(std::int64_t value) {
    out.integer(value);
    return Flow::done;
}

void Call::notify(std::uint32_t kind, std::string_view event, std::string_view key) const {
    notify(kind, event, key, session.database());
}

void Call::notify(std::uint32_t kind, std::string_view event, std::string_view key,
                  std::uint32_t database) const {
    if ((server.config().notify_keyspace_events & kind) == 0) return;
    // What the command has found expired on its way comes first.
    reactor.dispatcher().line_up_expired();
    reactor.dispatcher().events.push_back(
        {.kind = kind, .event = event, .key = std::string(key), .database = database});
}

}  // namespace firnlog::server
