#pragma once
// Recovery: what most files of this layer include, read once instead of by each, in the builds that
// `./dev` makes with b_pch. No file may depend on it: the release build compiles without.

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.hpp"
#include "engine/format/names.hpp"
#include "engine/manifest_file.hpp"
#include "recovery/open.hpp"
#include "recovery/survey.hpp"
