#pragma once
// Dispatcher: from parsed arguments to a reply in the outbox.
//
//   unwrap FIRN DURABLE -> row -> arity -> may it? -> queue (MULTI) or run:
//   keys from the row -> session.begin -> handler -> session.end = gate -> outbox
//
// The handler never sees a lock and never a gate. One per reactor, used on its thread alone.

#include <span>
#include <string_view>
#include <vector>

#include "engine/log/log.hpp"
#include "engine/session.hpp"
#include "src/commands/command.hpp"
#include "src/commands/command_table.hpp"
#include "src/notifications.hpp"

namespace firnlog::server {

class Dispatcher {
  public:
    Dispatcher(Server& server, Reactor& reactor);

    // Runs one command of a connection. Flow::again: the caller keeps the arguments and calls
    // again; session_of(client).cold() tells what to read first.
    Flow dispatch(Connection& client, std::span<const std::string_view> args);

    // Runs the commands that MULTI queued, in order, each answering into `exec.out`; EXEC's handler
    // calls it when the watches have held. Their keys are locked, and it is all one batch.
    void run_queued(Call& exec);

    [[nodiscard]] engine::Session& session() { return session_; }
    // The one that the connection's commands run in: of the store, or of the moment it is in.
    [[nodiscard]] engine::Session& session_of(Connection& client);
    // Around commands that are run one behind the other: where one has ended the next begins, and
    // the clock is read once for both. It ends before the bytes of what was looked at ahead go
    // away.
    void begin_burst() { in_burst_ = true; }
    void end_burst() {
        end_group();
        session_.forget_ahead();
        in_burst_ = false;
        ended_ns_ = 0;
    }
    // Looks at what the connection has sent from the command on that is parsed next, and fetches
    // what these commands will touch. Returns for how many commands that was. Where several of them
    // seem to write they are made a group, which ends at the latest with the burst.
    std::size_t look_ahead(Connection& client);
    // Appends what its commands changed; their replies, which waited for it, get their gate. Comes
    // before whatever is answered on that connection and is no command, before stripes are locked
    // otherwise, and before others are told of what they changed.
    void end_group();

    // By Call::error: for errorstats and rejected calls.
    void note_error(std::string_view text);
    // Publishes `events` and what is left of the session's own; called between commands.
    void publish_events();

    // What commands want told when the session has ended; see Call::notify.
    std::vector<KeyspaceEvent> events;
    // Puts keys that the session has found expired in line behind what is in `events`.
    void line_up_expired();

    // Ends the reply that was written to the client's outbox, or takes it back where CLIENT REPLY
    // wants none. Without a policy that of the connection holds.
    void finish(Connection& client, std::optional<engine::Durability> policy, engine::Lsn gate);

    // How often each error code was answered (errorstats), by its first word.
    struct ErrorCount {
        std::string code;
        std::uint64_t count = 0;
    };
    [[nodiscard]] const std::vector<ErrorCount>& errors() const { return errors_; }
    void reset_errors() { errors_.clear(); }

  private:
    // The text of such an error; EXEC's own refusal ends the transaction.
    [[nodiscard]] std::string refusal(Connection& client, const Command& command,
                                      std::string_view why);
    // Whether an error was answered that keeps the command from running. If not, keys_ are its.
    [[nodiscard]] bool refuse(Connection& client, resp::Writer& out, const Command& command,
                              std::span<const std::string_view> args);
    Flow queue(Connection& client, resp::Writer& out, const Command& command,
               std::span<const std::string_view> args);
    // The handler, and an error instead of what it has replied if there is no memory for it.
    Flow answer(Call& call);
    Flow run(Connection& client, resp::Writer& out, const Command& command,
             std::span<const std::string_view> args, std::optional<engine::Durability> policy);
    void begin_session(engine::Session& session, Connection& client, const Command& command);
    void begin_exec(engine::Session& session, Connection& client);
    void count(const Command& command, std::int64_t nanoseconds);
    void note_for_monitors(const Connection& client, const Command& command,
                           std::span<const std::string_view> args);
    void note_slow(Connection& client, const Command& command,
                   std::span<const std::string_view> args, std::int64_t nanoseconds);

    Server& server_;
    Reactor& reactor_;
    engine::Session session_;
    std::vector<KeyPlace> places_;
    std::vector<std::string_view> keys_;
    bool in_burst_ = false;
    Connection* grouped_ = nullptr;  // whose commands are a group
    bool replies_wait_ = false;      // for the group's gate
    std::int64_t ended_ns_ = 0;      // when the last command did; 0: not in this burst
    std::vector<ErrorCount> errors_;
    std::vector<std::string> monitor_lines_;  // of the command running now
    bool failed_ = false;                     // the command running now answered an error
};

// "ERR unknown command 'foo', with args beginning with: 'a' 'b' "
[[nodiscard]] std::string unknown_command_text(std::span<const std::string_view> args);
[[nodiscard]] std::string unknown_subcommand_text(std::string_view command,
                                                  std::string_view subcommand);
[[nodiscard]] std::string wrong_arity_text(const Command& command);

}  // namespace firnlog::server
