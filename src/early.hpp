#pragma once
// Early: a client that came while the log was loaded, on its way from Loading to a reactor.

#include <cstdint>
#include <string>

#include "src/identity.hpp"

namespace firnlog::server {

struct Early {
    int fd = -1;
    std::uint64_t id = 0;  // the connection's for good
    Identity who;
    std::string unread;  // sent, and not answered
};

}  // namespace firnlog::server
