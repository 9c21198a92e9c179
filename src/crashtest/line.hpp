#pragma once
// line: one command a line, one line of answer, over a stream socket.

#include <optional>
#include <string>

namespace firnlog::crashtest {

// Without its end. Nothing: the other side has gone before there was one.
[[nodiscard]] std::optional<std::string> read_line(int from);
// False: the other side has gone.
[[nodiscard]] bool send_line(int to, const std::string& line);
// The answer to that command. Nothing: nobody answers.
[[nodiscard]] std::optional<std::string> ask_line(int socket, const std::string& command);

// To a socket that lies in the file system; -1, and errno, where nobody listens.
[[nodiscard]] int connect_to(const std::string& path);

}  // namespace firnlog::crashtest
