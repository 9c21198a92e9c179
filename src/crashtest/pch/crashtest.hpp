#pragma once
// Crashtest: what most files of this layer include, read once instead of by each, in the builds
// that `./dev` makes with b_pch. No file may depend on it: the release build compiles without.

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "src/crashtest/run.hpp"
