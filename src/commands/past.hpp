#pragma once
// The verbs of FIRN that read the past. None of them does so here: see src/recall.hpp.

#include "src/commands/command.hpp"

namespace firnlog::server {

Flow firn_log(Call& call);
Flow firn_history(Call& call);
Flow firn_get(Call& call);

}  // namespace firnlog::server
