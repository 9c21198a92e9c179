#include "io/base/result.hpp"

#include <cstring>

namespace firnlog {

Code code_of_errno(int error) noexcept {
    switch (error) {
        case ENOSPC:
        case EDQUOT:
            return Code::no_space;
        case ENOENT:
            return Code::missing;
        case EEXIST:
            return Code::exists;
        case EAGAIN:
        case EBUSY:
            return Code::busy;
        default:
            return Code::io;
    }
}

tl::unexpected<Error> fail_errno(const char* doing, int error) {
    return tl::unexpected(Error{.code = code_of_errno(error), .error = error, .doing = doing});
}

std::string Error::text() const {
    std::string text = doing;
    if (error != 0) {
        char buffer[128];
        text += ": ";
        text += ::strerror_r(error, buffer, sizeof buffer);
    }
    if (code == Code::version)
        text += " " + std::to_string(offset);
    else if (file != 0 || offset != 0)
        text += " (file " + std::to_string(file) + ", offset " + std::to_string(offset) + ")";
    return text;
}

}  // namespace firnlog
