#include "src/crashtest/evidence.hpp"

#include <algorithm>
#include <filesystem>

#include "src/crashtest/execute.hpp"

namespace firnlog::crashtest {

bool any_file_holds(const std::string& folder, std::string_view bytes) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, ignored))
        if (entry.is_regular_file(ignored) &&
            read_file(entry.path().string()).find(bytes) != std::string::npos)
            return true;
    return false;
}

void add_evidence(std::vector<Moment>& timeline, std::int64_t killed_us,
                  const std::function<std::string(const std::string& mark)>& find) {
    std::vector<Moment> found;
    for (const auto& moment : timeline)
        if (!moment.mark.empty())
            found.push_back({killed_us + 1, moment.write + ": " + find(moment.mark)});
    add_moments(timeline, found);
}

void add_moments(std::vector<Moment>& timeline, const std::vector<Moment>& moments) {
    timeline.insert(timeline.end(), moments.begin(), moments.end());
    std::ranges::stable_sort(timeline, {}, &Moment::at_us);
}

}  // namespace firnlog::crashtest
