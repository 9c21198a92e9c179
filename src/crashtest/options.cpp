#include "src/crashtest/options.hpp"

#include <charconv>
#include <random>

#include "src/crashtest/text.hpp"

namespace firnlog::crashtest {
namespace {

template <class T>
struct Named {
    std::string_view name;
    T value;
};

constexpr Named<Mode> kModes[] = {
    {"always", Mode::always}, {"everysec", Mode::everysec}, {"no", Mode::no}};
constexpr Named<KillBy> kKills[] = {{"sigkill", KillBy::sigkill}, {"power", KillBy::power}};
constexpr Named<Fault> kFaults[] = {{"none", Fault::none},
                                    {"eio-data", Fault::eio_data},
                                    {"eio-all", Fault::eio_all},
                                    {"flush-error", Fault::flush_error},
                                    {"slow-flush", Fault::slow_flush},
                                    {"enospc", Fault::enospc},
                                    {"lying", Fault::lying}};

template <class T, std::size_t N>
std::optional<T> value_of(const Named<T> (&table)[N], std::string_view name) noexcept {
    for (const auto& row : table)
        if (row.name == name) return row.value;
    return std::nullopt;
}

template <class T, std::size_t N>
std::string_view name_in(const Named<T> (&table)[N], T value) noexcept {
    for (const auto& row : table)
        if (row.value == value) return row.name;
    return "";
}

template <class T>
bool number(std::string_view text, T low, T high, T& out) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < low || value > high)
        return false;
    out = value;
    return true;
}

template <class T>
bool take(std::optional<T> found, T& out) {
    if (found) out = *found;
    return found.has_value();
}

bool load(std::string_view text, Options& options) {
    const auto parts = split(text, '-');
    constexpr std::uint32_t kMax = 600'000;
    return !parts.empty() && parts.size() <= 2 &&
           number(std::string_view(parts.front()), 0U, kMax, options.load_ms_min) &&
           number(std::string_view(parts.back()), options.load_ms_min, kMax, options.load_ms_max);
}

bool megabytes(std::string_view text, std::uint64_t& bytes) {
    std::uint64_t value = 0;
    if (!number(text, std::uint64_t{64}, std::uint64_t{1} << 20U, value)) return false;
    bytes = value << 20U;
    return true;
}

// As the shell takes it back.
std::string shell_word(std::string_view text) {
    std::string out = "'";
    for (const char byte : text)
        if (byte == '\'')
            out += "'\\''";
        else
            out += byte;
    return out + "'";
}

}  // namespace

std::optional<Mode> mode_of(std::string_view name) noexcept { return value_of(kModes, name); }
std::optional<KillBy> kill_of(std::string_view name) noexcept { return value_of(kKills, name); }
std::optional<Fault> fault_of(std::string_view name) noexcept { return value_of(kFaults, name); }
std::string_view name_of(Mode mode) noexcept { return name_in(kModes, mode); }
std::string_view name_of(KillBy kill) noexcept { return name_in(kKills, kill); }
std::string_view name_of(Fault fault) noexcept { return name_in(kFaults, fault); }

std::string Options::command() const {
    std::string out = "firnlog crashtest --start " + shell_word(start) + " --mode ";
    out.append(name_of(mode));
    if (corrupt != 0)
        out += " --corrupt " + std::to_string(corrupt);
    else
        out.append(" --kill ").append(name_of(kill)) += " --cycles " + std::to_string(cycles);
    if (fault != Fault::none) out.append(" --fault ").append(name_of(fault));
    if (needs_disk())
        out.append(" --fs ").append(name_of(fs)) +=
            " --disk-mb " + std::to_string(disk_bytes >> 20U);
    if (!admin.empty()) {
        std::string commands;
        for (const auto& command : admin) commands += (commands.empty() ? "" : ";") + command;
        out += " --admin " + shell_word(commands);
    }
    out += " --clients " + std::to_string(clients) + " --depth " + std::to_string(depth) +
           " --load-ms " + std::to_string(load_ms_min) + "-" + std::to_string(load_ms_max) +
           " --loss-ms-max " + std::to_string(loss_ms_max) + " --seed " + std::to_string(seed);
    return out;
}

std::optional<std::string> parse_options(std::vector<std::string> words, Options& options) {
    bool has_seed = false, has_loss = false, has_mode = false;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string name = words[i];
        if (name == "--resume") {
            options.resume = true;
            continue;
        }
        if (name == "--quiet") {
            options.quiet = true;
            continue;
        }
        if (++i == words.size()) return "what is behind " + name + "?";
        const std::string_view value = words[i];
        bool good = true;
        if (name == "--start")
            options.start = value;
        else if (name == "--mode")
            good = has_mode = take(mode_of(value), options.mode);
        else if (name == "--kill")
            good = take(kill_of(value), options.kill);
        else if (name == "--fault")
            good = take(fault_of(value), options.fault);
        else if (name == "--fs")
            good = take(file_system_of(value), options.fs);
        else if (name == "--cycles")
            good = number(value, 1U, 1'000'000U, options.cycles);
        else if (name == "--corrupt")
            good = number(value, 1U, 1'000'000U, options.corrupt);
        else if (name == "--admin")
            options.admin = split(value, ';');
        else if (name == "--clients")
            good = number(value, 1U, 256U, options.clients);
        else if (name == "--depth")
            good = number(value, 1U, 1000U, options.depth);
        else if (name == "--seed")
            good = has_seed = number(value, std::uint64_t{0}, ~std::uint64_t{0}, options.seed);
        else if (name == "--disk-mb")
            good = megabytes(value, options.disk_bytes);
        else if (name == "--load-ms")
            good = load(value, options);
        else if (name == "--loss-ms-max")
            good = has_loss =
                number(value, std::int64_t{-1}, std::int64_t{3'600'000}, options.loss_ms_max);
        else if (name == "--start-ms-max")
            good = number(value, 1, 3'600'000, options.start_ms_max);
        else if (name == "--dir")
            options.folder = value;
        else if (name == "--json")
            options.json = value;
        else if (name == "--html")
            options.html = value;
        else
            return "no such option: " + name;
        if (!good) return "not a value of " + name + ": " + std::string(value);
    }
    if (options.start.empty()) return "--start 'COMMAND {port} {dir}' is missing";
    if (options.start.find("{port}") == std::string::npos ||
        options.start.find("{dir}") == std::string::npos)
        return "--start needs {port} and {dir}";
    if (!has_mode) return "--mode is missing: what does the server promise?";
    if (options.resume && options.json.empty())
        return "--resume needs --json, where the run stands";
    if (options.corrupt != 0 && options.needs_disk())
        return "--corrupt damages a directory after a clean stop: neither --kill power nor --fault";
    if (options.fault == Fault::lying && options.kill != KillBy::power)
        return "--fault lying needs --kill power: a SIGKILL takes nothing of what the kernel has "
               "been "
               "handed, so a disk that lies has nothing to lose then";
    if (!has_loss) {
        constexpr std::int64_t kEverysecMs = 2000;
        options.loss_ms_max = options.mode == Mode::always     ? 0
                              : options.mode == Mode::everysec ? kEverysecMs
                                                               : -1;
    }
    if (!has_seed) {
        std::random_device entropy;
        options.seed = entropy();
    }
    return std::nullopt;
}

}  // namespace firnlog::crashtest
