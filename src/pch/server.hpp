// As engine/pch/engine.hpp.
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
