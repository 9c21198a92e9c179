#include "src/logger.hpp"

#include <fcntl.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>

namespace firnlog::server::logger {
namespace {

std::mutex opening;
std::string opened_path;
spdlog::level::level_enum level_of(LogLevel level) {
    switch (level) {
        case LogLevel::debug:
        case LogLevel::verbose:
            return spdlog::level::debug;
        case LogLevel::notice:
            return spdlog::level::info;
        case LogLevel::warning:
            return spdlog::level::warn;
    }
    return spdlog::level::info;
}

void dress(spdlog::logger& logger) {
    logger.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        "%Y-%m-%dT%H:%M:%S.%eZ %P %-7l %v", spdlog::pattern_time_type::utc));
    logger.flush_on(spdlog::level::debug);
}

// Until a log file is opened.
std::shared_ptr<spdlog::logger> first() {
    auto made = spdlog::stderr_logger_mt("firnlog");
    dress(*made);
    return made;
}

std::shared_ptr<spdlog::logger> current = first();

}  // namespace

Result<void> open(const std::string& path, LogLevel level) {
    const std::lock_guard guard(opening);
    opened_path = path;
    if (!path.empty()) {
        // spdlog would make the directories of a mistyped path.
        const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0) return fail_errno("open the log file");
        ::close(fd);
    }
    try {
        const auto sink = path.empty()
                              ? spdlog::sink_ptr(std::make_shared<spdlog::sinks::stderr_sink_mt>())
                              : std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
        auto made = std::make_shared<spdlog::logger>("firnlog", sink);
        made->set_level(level_of(level));
        dress(*made);
        std::atomic_store(&current, made);
    } catch (const spdlog::spdlog_ex&) {
        return fail_errno("open the log file", errno == 0 ? EIO : errno);
    }
    return {};
}

void set_level(LogLevel level) { std::atomic_load(&current)->set_level(level_of(level)); }

void reopen() {
    const auto old = std::atomic_load(&current);
    std::string path;
    {
        const std::lock_guard guard(opening);
        path = opened_path;
    }
    if (path.empty()) return;
    const auto level = old->level() == spdlog::level::debug  ? LogLevel::debug
                       : old->level() == spdlog::level::warn ? LogLevel::warning
                                                             : LogLevel::notice;
    if (auto opened = open(path, level); !opened)
        old->warn("cannot reopen {}: {}", path, opened.error().text());
}

void debug(std::string_view text) { std::atomic_load(&current)->debug("{}", text); }
void notice(std::string_view text) { std::atomic_load(&current)->info("{}", text); }
void warning(std::string_view text) { std::atomic_load(&current)->warn("{}", text); }

}  // namespace firnlog::server::logger
