#pragma once
// config_file: where a configuration touches the file system: reading, matching, replacing.
//
// Plain blocking calls, made at start and by CONFIG REWRITE. Errors are sentences for the operator.

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace firnlog::server {

// Without the blanks and line ends on both sides that Redis takes off a line.
[[nodiscard]] std::string_view trimmed(std::string_view line) noexcept;

// Whole, at most kConfigFileBytesMax; a pipe is fine, a folder is not.
[[nodiscard]] tl::expected<std::string, std::string> read_config_file(const std::string& path);
[[nodiscard]] tl::expected<std::string, std::string> read_config_stdin();

// In the order of their names.
[[nodiscard]] std::vector<std::string> matching_files(const std::string& pattern);

[[nodiscard]] std::string absolute_path(const std::string& path);

}  // namespace firnlog::server
