// As engine/pch/engine.hpp.
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
