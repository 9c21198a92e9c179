#include "src/crashtest/damage.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

namespace firnlog::crashtest {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSector = 512, kPage = 4096;

constexpr std::string_view kNames[] = {
    "bit flipped",     "byte changed", "sector zeroed", "page zeroed",      "sector garbled",
    "sectors swapped", "truncated",    "emptied",       "garbage appended", "file missing"};

struct File {
    fs::path path;
    std::uint64_t bytes;
};

std::vector<File> files_of(const std::string& folder) {
    std::vector<File> out;
    std::error_code ignored;
    for (const auto& entry : fs::recursive_directory_iterator(folder, ignored))
        if (entry.is_regular_file(ignored) && entry.file_size(ignored) != 0)
            out.push_back({entry.path(), entry.file_size(ignored)});
    // The order of a directory is the file system's; a seed means the same everywhere.
    std::ranges::sort(out, {}, &File::path);
    return out;
}

// A stretch of the file, read, changed by `change`, and written back.
template <class Change>
void rewrite(const File& file, std::uint64_t offset, std::uint64_t bytes, Change change) {
    const int fd = ::open(file.path.c_str(), O_RDWR | O_CLOEXEC);
    std::vector<unsigned char> content(std::min(bytes, file.bytes - offset));
    const auto at = static_cast<off_t>(offset);
    if (fd >= 0 &&
        ::pread(fd, content.data(), content.size(), at) == static_cast<ssize_t>(content.size())) {
        change(content);
        static_cast<void>(::pwrite(fd, content.data(), content.size(), at));
    }
    if (fd >= 0) ::close(fd);
}

void garble(std::vector<unsigned char>& content, Random& random) {
    for (auto& byte : content) byte = static_cast<unsigned char>(random.next());
}

}  // namespace

std::string_view name_of(Damage damage) noexcept {
    return kNames[static_cast<std::size_t>(damage)];
}

std::optional<std::string> inflict(Damage damage, const std::string& folder, Random random) {
    const auto files = files_of(folder);
    if (files.empty()) return std::nullopt;
    const bool whole = damage == Damage::emptied || damage == Damage::file_missing ||
                       damage == Damage::garbage_appended || damage == Damage::truncated;
    std::uint64_t bytes = 0;
    for (const auto& file : files) bytes += file.bytes;
    auto place = random.below(bytes);
    auto chosen = files.begin();
    if (whole)
        chosen += static_cast<std::ptrdiff_t>(random.below(files.size()));
    else
        for (; place >= chosen->bytes; ++chosen) place -= chosen->bytes;
    const auto& file = *chosen;
    const auto zero = [](auto& content) { std::ranges::fill(content, 0); };
    const auto sector = place / kSector * kSector;
    std::error_code failed;
    switch (damage) {
        case Damage::bit_flipped: {
            const auto bit = random.below(8);
            rewrite(file, place, 1, [&](auto& content) {
                content[0] = static_cast<unsigned char>(content[0] ^ 1U << bit);
            });
            break;
        }
        case Damage::byte_changed:
            rewrite(file, place, 1, [&](auto& content) {
                content[0] = static_cast<unsigned char>(content[0] + random.between(1, 255));
            });
            break;
        case Damage::sector_zeroed:
            rewrite(file, sector, kSector, zero);
            break;
        case Damage::page_zeroed:
            rewrite(file, place / kPage * kPage, kPage, zero);
            break;
        case Damage::sector_garbled:
            rewrite(file, sector, kSector, [&](auto& content) { garble(content, random); });
            break;
        case Damage::sectors_swapped:
            rewrite(file, sector, 2 * kSector, [&](auto& content) {
                const auto half = static_cast<std::ptrdiff_t>(content.size() / 2);
                std::rotate(content.begin(), content.begin() + half, content.end());
            });
            break;
        case Damage::truncated:
            place = random.below(file.bytes);
            fs::resize_file(file.path, place, failed);
            break;
        case Damage::emptied:
            place = 0;
            fs::resize_file(file.path, 0, failed);
            break;
        case Damage::garbage_appended: {
            place = file.bytes;
            std::vector<unsigned char> garbage(random.between(1, kPage));
            garble(garbage, random);
            const int fd = ::open(file.path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
            if (fd >= 0) {
                static_cast<void>(::write(fd, garbage.data(), garbage.size()));
                ::close(fd);
            }
            break;
        }
        case Damage::file_missing:
            place = 0;
            fs::remove(file.path, failed);
            break;
    }
    return std::string(name_of(damage)) + " in " +
           fs::relative(file.path, folder, failed).string() + " at " + std::to_string(place) +
           " of " + std::to_string(file.bytes);
}

}  // namespace firnlog::crashtest
