#include "src/commands/replies.hpp"

#include "src/commands/command_table.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"

namespace firnlog::server {
namespace {

constexpr std::size_t kEchoMax = 128;

std::string upper(std::string_view name) {
    std::string text(name);
    for (auto& letter : text)
        if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
    return text;
}

// "client" of "client|list".
std::string_view container_of(const Command& command) {
    return command.name.substr(0, command.name.find('|'));
}

}  // namespace

Flow subcommand_help(Call& call) {
    const auto* const container = CommandTable::get().find(call.arg(0));
    ensure(container != nullptr && !container->subcommands.empty(), "HELP belongs to a container");
    const auto& rows = container->subcommands;
    call.out.array(2 * rows.size() + 1);
    call.out.simple(upper(container->name) +
                    " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    const Command* help = nullptr;
    const auto describe = [&](const Command& row) {
        auto line = upper(row.name.substr(container->name.size() + 1));
        if (!row.syntax.empty()) line.append(" ").append(row.syntax);
        call.out.simple(line);
        call.out.simple("    " + std::string(row.summary) + ".");
    };
    for (const auto& row : rows) {
        if (row.name.ends_with("|help"))
            help = &row;
        else
            describe(row);
    }
    if (help != nullptr) describe(*help);
    return Flow::done;
}

Flow subcommand_syntax_error(Call& call) {
    auto given = call.arg(1).substr(0, kEchoMax);
    given = given.substr(0, given.find('\0'));
    return call.error("ERR unknown subcommand or wrong number of arguments for '" +
                      std::string(given) + "'. Try " + upper(container_of(call.command)) +
                      " HELP.");
}

Flow gather(Call& call, GatherJob job, GatherReply reply) {
    auto& server = call.server;
    if (server.reactors().size() == 1) {
        reply(call.client, call.out, {job(call.reactor)});
        return Flow::done;
    }
    if (call.in_exec)
        return call.error("ERR " + upper(call.command.name.substr(0, call.command.name.find('|'))) +
                          " asks all threads and cannot run inside a transaction when there are "
                          "several");
    const auto client = call.client.id;
    const auto blocked = call.reactor.block(call.client);
    server.gather(call.reactor, std::move(job),
                  [client, blocked, reply = std::move(reply)](
                      Reactor& home, const std::vector<std::string>& answers) {
                      home.unblock(client, blocked, [&](Connection& to, resp::Writer& out) {
                          reply(to, out, answers);
                      });
                  });
    return Flow::blocked;
}

}  // namespace firnlog::server
