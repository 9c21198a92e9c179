#include <string>

#include "src/commands/past.hpp"
#include "src/connection.hpp"
#include "src/forget.hpp"
#include "src/reactor.hpp"
#include "src/recall.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"

// FIRN FORGET: a key's history goes; see src/forget.hpp.

namespace firnlog::server {
namespace {

using text::equal_folded;

void write_number(resp::Writer& out, std::string_view name, std::uint64_t value) {
    out.bulk(name);
    out.integer(static_cast<std::int64_t>(value));
}

void write_names(resp::Writer& out, std::string_view name, const std::vector<std::string>& names) {
    out.bulk(name);
    out.array(names.size());
    for (const auto& text : names) out.bulk(text);
}

void write_told(resp::Writer& out, const ForgetTold& told) {
    const auto& erased = told.erased;
    out.map(13);
    out.bulk("state");
    out.bulk(name_of(told.state));
    write_number(out, "records", erased.records);
    write_number(out, "files", erased.files);
    write_number(out, "images", erased.images);
    write_number(out, "files_seen", erased.files_seen);
    write_number(out, "files_all", erased.files_all);
    out.bulk("damaged");
    out.array(erased.damaged.size());
    for (const auto number : erased.damaged) out.bulk(std::to_string(number));
    // Keys that had the same object, which stays for them.
    write_names(out, "shared", erased.names);
    write_names(out, "backups", told.backups);
    write_names(out, "backups_unread", told.backups_unread);
    out.bulk("archive");
    out.bulk(name_of(told.archive));
    write_number(out, "usec", static_cast<std::uint64_t>(told.took_us));
    out.bulk("error");
    if (told.error.empty())
        out.null();
    else
        out.bulk(told.error);
}

}  // namespace

Flow firn_forget(Call& call) {
    if (call.argc() == 2) {
        write_told(call.out, call.server.forget().told());
        return Flow::done;
    }
    const bool with_live =
        call.argc() == 5 && equal_folded(call.arg(3), "with") && equal_folded(call.arg(4), "live");
    if (call.argc() != 3 && !with_live) return call.syntax_error();
    const ForgetWish wish{.key = std::string(call.arg(2)),
                          .database = call.client.who.database,
                          .with_live = with_live};
    return call.server.recall().ask(
        call,
        [&forget = call.server.forget(), home = &call.reactor, wish](
            io::Files&, resp::Writer& out) -> tl::expected<void, std::string> {
            const auto told = forget.run(*home, wish);
            if (!told) return tl::unexpected(told.error());
            write_told(out, *told);
            return {};
        },
        {.lane = Recall::Lane::lengthy, .pins = false});
}

}  // namespace firnlog::server
