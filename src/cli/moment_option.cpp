#include "src/cli/moment_option.hpp"

#include "io/system_clock.hpp"

namespace firnlog::server::cli {

std::optional<std::string_view> moment_word(std::string_view option) {
    if (option == "--at") return "AT";
    if (option == "--before") return "BEFORE";
    if (option == "--lsn") return "LSN";
    if (option == "--mark") return "MARK";
    return std::nullopt;
}

std::string wrong_option(std::string_view option, std::string_view value, std::string_view why) {
    std::string text(option);
    text.append(" ").append(value).append(": ").append(why);
    return text;
}

tl::expected<void, std::string> take_moment(std::optional<recovery::Moment>& moment,
                                            std::string_view option, std::string_view value) {
    if (moment) return tl::unexpected(wrong_option(option, value, "one moment is enough"));
    auto parsed = recovery::parse_moment(*moment_word(option), value, io::SystemClock().wall().us);
    if (!parsed) return tl::unexpected(wrong_option(option, value, parsed.error()));
    moment = std::move(*parsed);
    return {};
}

}  // namespace firnlog::server::cli
