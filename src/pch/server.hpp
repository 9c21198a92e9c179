#pragma once
// Server: what most files of this layer include, read once instead of by each, in the builds that
// `./dev` makes with b_pch. No file may depend on it: the release build compiles without.

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.hpp"
#include "recovery/open.hpp"
#include "src/commands/command_table.hpp"
#include "src/commands/replies.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"
