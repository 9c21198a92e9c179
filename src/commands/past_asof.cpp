#include <string>

#include "src/commands/past.hpp"
#include "src/commands/transactions.hpp"
#include "src/connection.hpp"
#include "src/pasts.hpp"
#include "src/recall.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"

// FIRN ASOF: a connection goes into the past, and comes back. What it asks for there runs as ever,
// on the moment's own engine: see Dispatcher.

namespace firnlog::server {

Flow firn_asof(Call& call) {
    auto& client = call.client;
    if (call.argc() == 3 && text::equal_folded(call.arg(2), "off")) {
        client.asof.reset();
        client.asof_gone = false;
        return call.ok();
    }
    std::size_t at = 2;
    auto moment = take_moment(call, at);
    if (!moment) return call.error(moment.error());
    if (at != call.argc()) return call.syntax_error();
    auto& recall = call.server.recall();
    const recovery::PastOptions options{
        .moment = std::move(*moment),
        .now_us = call.server.clock().wall().us,
        .databases = static_cast<std::uint32_t>(call.server.config().databases),
        .progress = {},
        .give_up = [&recall] { return recall.stopping(); }};
    const auto opened = std::make_shared<std::shared_ptr<OpenPast>>();
    // Nothing changes there that could be watched, and what is watched here is none of its keys.
    discard(call.server.engine().keyspace(), client);
    return recall.ask(call,
                      [&pasts = call.server.pasts(), options, opened](
                          io::Files& files, resp::Writer& out) -> tl::expected<void, std::string> {
                          auto past = pasts.open(files, options, Pasts::Stay::lasting);
                          if (!past) return tl::unexpected(std::move(past.error()));
                          const auto& place = (*past)->place();
                          out.map(2);
                          out.bulk("lsn");
                          out.bulk(text_of_lsn(place.timeline, place.lsn));
                          out.bulk("time");
                          out.bulk(recovery::text_of_time(place.us));
                          *opened = std::move(*past);
                          return {};
                      },
                      {.at_reply = [opened](Connection& to) {
                          to.asof = std::make_shared<Asof>(std::move(*opened));
                          to.asof_gone = false;
                      }});
}

}  // namespace firnlog::server
