#include "src/crashtest/damage.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <tuple>
#include <utility>
#include <vector>

#include "src/crashtest/text.hpp"

namespace firnlog::crashtest {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSector = 512, kPage = 4096;

constexpr std::string_view kNames[] = {
    "bit flipped",     "byte changed", "sector zeroed", "page zeroed",      "sector garbled",
    "sectors swapped", "truncated",    "emptied",       "garbage appended", "file missing"};

struct File {
    fs::path path;
    std::uint64_t bytes = 0;
    std::uint64_t bytes_set = 0;  // those that are not zero
};

struct Fd {
    int value;
    explicit Fd(const fs::path& path, int flags) : value(::open(path.c_str(), flags | O_CLOEXEC)) {}
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() {
        if (value >= 0) ::close(value);
    }
};

using Bytes = std::vector<unsigned char>;

// Less than asked for where the file ends.
Bytes read_at(int file, std::uint64_t offset, std::uint64_t bytes) {
    Bytes out(bytes);
    const auto got = ::pread(file, out.data(), out.size(), static_cast<off_t>(offset));
    out.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return out;
}

bool is_set(unsigned char byte) { return byte != 0; }

// What `look` makes of the file, piece after piece, until it says that it has seen enough.
template <class Look>
void look_through(const fs::path& path, const Look& look) {
    constexpr std::uint64_t kPiece = std::uint64_t{1} << 20U;
    const Fd opened(path, O_RDONLY);
    for (std::uint64_t at = 0;; at += kPiece) {
        const auto piece = read_at(opened.value, at, kPiece);
        if (piece.empty() || look(at, piece)) return;
    }
}

// Who holds the directory stands there, and no server reads what an earlier one wrote.
bool is_lock(const fs::path& path) {
    const auto name = lower(path.filename().string());
    return name == "lock" || name.ends_with(".lock") || name.ends_with(".pid");
}

std::vector<File> files_of(const std::string& folder) {
    std::vector<File> out;
    std::error_code ignored;
    for (const auto& entry : fs::recursive_directory_iterator(folder, ignored)) {
        if (!entry.is_regular_file(ignored) || is_lock(entry.path())) continue;
        File file{.path = entry.path(), .bytes = entry.file_size(ignored)};
        look_through(file.path, [&](std::uint64_t, const Bytes& piece) {
            file.bytes_set += static_cast<std::uint64_t>(std::ranges::count_if(piece, is_set));
            return false;
        });
        if (file.bytes_set != 0) out.push_back(std::move(file));
    }
    // The order of a directory is the file system's; a seed means the same everywhere.
    std::ranges::sort(out, {}, &File::path);
    return out;
}

// Where the file's byte of that number is, of those that are not zero.
std::uint64_t place_of(const File& file, std::uint64_t number) {
    std::uint64_t place = 0, seen = 0;
    look_through(file.path, [&](std::uint64_t at, const Bytes& piece) {
        for (std::size_t i = 0; i < piece.size(); ++i)
            if (is_set(piece[i]) && seen++ == number) {
                place = at + i;
                return true;
            }
        return false;
    });
    return place;
}

// A stretch of the file, read, changed by `change`, and written back. False: it was like that.
template <class Change>
bool rewrite(const File& file, std::uint64_t offset, std::uint64_t bytes, Change change) {
    const Fd opened(file.path, O_RDWR);
    const auto before = read_at(opened.value, offset, std::min(bytes, file.bytes - offset));
    auto after = before;
    if (!after.empty()) change(after);
    return after != before &&
           ::pwrite(opened.value, after.data(), after.size(), static_cast<off_t>(offset)) ==
               static_cast<ssize_t>(after.size());
}

void garble(Bytes& content, Random& random) {
    for (auto& byte : content) byte = static_cast<unsigned char>(random.next());
}

// A file and a place in it, each byte of all files that is not zero as likely as any other.
std::pair<const File*, std::uint64_t> draw_place(const std::vector<File>& files, Random& random) {
    std::uint64_t bytes_set = 0;
    for (const auto& file : files) bytes_set += file.bytes_set;
    auto number = random.below(bytes_set);
    const auto* chosen = &files.front();
    for (; number >= chosen->bytes_set; ++chosen) number -= chosen->bytes_set;
    return {chosen, place_of(*chosen, number)};
}

// False: it changed nothing.
bool change(Damage damage, const File& file, std::uint64_t place, Random& random) {
    const auto zero = [](auto& content) { std::ranges::fill(content, 0); };
    const auto sector = place / kSector * kSector;
    std::error_code failed;
    switch (damage) {
        case Damage::bit_flipped: {
            const auto bit = random.below(8);
            return rewrite(file, place, 1, [&](auto& content) {
                content[0] = static_cast<unsigned char>(content[0] ^ 1U << bit);
            });
        }
        case Damage::byte_changed:
            return rewrite(file, place, 1, [&](auto& content) {
                content[0] = static_cast<unsigned char>(content[0] + random.between(1, 255));
            });
        case Damage::sector_zeroed:
            return rewrite(file, sector, kSector, zero);
        case Damage::page_zeroed:
            return rewrite(file, place / kPage * kPage, kPage, zero);
        case Damage::sector_garbled:
            return rewrite(file, sector, kSector, [&](auto& content) { garble(content, random); });
        case Damage::sectors_swapped:
            return rewrite(file, sector, 2 * kSector, [&](auto& content) {
                const auto half = static_cast<std::ptrdiff_t>(content.size() / 2);
                std::rotate(content.begin(), content.begin() + half, content.end());
            });
        case Damage::truncated:
            fs::resize_file(file.path, place, failed);
            return !failed;
        case Damage::emptied:
            fs::resize_file(file.path, 0, failed);
            return !failed;
        case Damage::garbage_appended: {
            Bytes garbage(random.between(1, kPage));
            garble(garbage, random);
            const Fd opened(file.path, O_WRONLY | O_APPEND);
            return ::write(opened.value, garbage.data(), garbage.size()) ==
                   static_cast<ssize_t>(garbage.size());
        }
        case Damage::file_missing:
            return fs::remove(file.path, failed);
    }
    return false;
}

std::string kind_of(const std::string& name) {
    std::string out;
    for (const char byte : name)
        if (std::isdigit(static_cast<unsigned char>(byte)) == 0)
            out += byte;
        else if (!out.ends_with('#'))
            out += '#';
    return out;
}

}  // namespace

std::string_view name_of(Damage damage) noexcept {
    return kNames[static_cast<std::size_t>(damage)];
}

std::optional<Inflicted> inflict(Damage damage, const std::string& folder, Random random) {
    constexpr int kTries = 100;
    const auto files = files_of(folder);
    if (files.empty()) return std::nullopt;
    const bool whole = damage == Damage::emptied || damage == Damage::file_missing ||
                       damage == Damage::garbage_appended || damage == Damage::truncated;
    for (int i = 0; i < kTries; ++i) {
        const File* file = nullptr;
        std::uint64_t place = 0;
        if (whole) {
            file = &files[random.below(files.size())];
            if (damage == Damage::truncated) place = place_of(*file, random.below(file->bytes_set));
            if (damage == Damage::garbage_appended) place = file->bytes;
        } else {
            std::tie(file, place) = draw_place(files, random);
        }
        if (!change(damage, *file, place, random)) continue;
        const auto name = file->path.lexically_relative(folder).string();
        return Inflicted{.text = std::string(name_of(damage)) + " in " + name + " at " +
                                 std::to_string(place) + " of " + std::to_string(file->bytes),
                         .file = kind_of(name)};
    }
    return std::nullopt;
}

}  // namespace firnlog::crashtest
