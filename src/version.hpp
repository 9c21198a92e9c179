#pragma once
// The version of this program, of the store's format, and the version of Redis whose replies it
// gives.

#include <string_view>

namespace firnlog::server {

inline constexpr std::string_view kVersion = "0.1.0";
inline constexpr int kFormat = 1;
inline constexpr std::string_view kRedisVersion = "7.0.15";

}  // namespace firnlog::server
