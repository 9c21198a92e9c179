#pragma once
// The verbs of FIRN that read the past, and the words that they share. None of them reads it where
// it was called: see src/recall.hpp.

#include <string>
#include <tl/expected.hpp>

#include "recovery/moment.hpp"
#include "recovery/refusal.hpp"
#include "src/commands/command.hpp"

namespace firnlog::server {

Flow firn_backup(Call& call);
Flow firn_log(Call& call);
Flow firn_history(Call& call);
Flow firn_get(Call& call);
Flow firn_asof(Call& call);
Flow firn_restore(Call& call);
Flow firn_forget(Call& call);
Flow firn_scrub(Call& call);

// Reads a moment at args[at]: AT, BEFORE, LSN or MARK and a value, or a time alone. `at` is behind
// it then. The error is a reply.
[[nodiscard]] tl::expected<recovery::Moment, std::string> take_moment(const Call& call,
                                                                      std::size_t& at);
// As a reply.
[[nodiscard]] std::string text_of_refusal(const recovery::Refusal& refusal);
// "1:4096"
[[nodiscard]] std::string text_of_lsn(engine::Timeline timeline, engine::Lsn lsn);

}  // namespace firnlog::server
