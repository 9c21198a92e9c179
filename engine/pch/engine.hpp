// Read once instead of by every file, in the builds that `./dev` makes with b_pch: what most of the
// folder includes. No file may depend on it; the release build compiles without.
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
#include "engine/format/layouts.hpp"
#include "engine/format/names.hpp"
#include "engine/session.hpp"
