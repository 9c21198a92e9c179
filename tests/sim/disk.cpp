#include "tests/sim/disk.hpp"

#include <algorithm>
#include <cerrno>
#include <unordered_map>
#include <utility>

#include "io/base/crc32c.hpp"
#include "io/base/ensure.hpp"

namespace firnlog::sim {

Disk::Disk() : root_(std::make_shared<Dir>()) {}

int Disk::place(std::string_view name, Place& found) const {
    found = {root_, name};
    const std::size_t slash = name.find('/');
    if (slash != std::string_view::npos) {
        const auto at = root_->now.find(name.substr(0, slash));
        if (at == root_->now.end()) return ENOENT;
        if (at->second.dir == nullptr) return ENOTDIR;
        found = {at->second.dir, name.substr(slash + 1)};
    }
    if (found.name.empty() || found.name == "." || found.name == ".." ||
        found.name.find('/') != std::string_view::npos)
        return EINVAL;
    return found.name.size() > 255 ? ENAMETOOLONG : 0;
}

void Disk::apply(Entries& entries, const DirChange& change) {
    if (!change.removed.empty()) entries.erase(change.removed);
    if (!change.added.empty()) entries.insert_or_assign(change.added, change.entry);
}

void Disk::change(Dir& dir, std::string_view removed, std::string_view added, const Entry& entry) {
    dir.changes.push_back({.number = ++changes_,
                           .removed = std::string{removed},
                           .added = std::string{added},
                           .entry = entry,
                           .peer = nullptr});
    apply(dir.now, dir.changes.back());
}

void Disk::drop_name(Dir& dir, std::string_view name) {
    const auto at = dir.now.find(name);
    if (at != dir.now.end() && at->second.file != nullptr) --at->second.file->links;
}

int Disk::find(std::string_view name, InodeRef& file) const {
    Place at;
    if (const int error = place(name, at); error != 0) return error;
    const auto entry = at.dir->now.find(at.name);
    if (entry == at.dir->now.end()) return ENOENT;
    if (entry->second.file == nullptr) return EISDIR;
    file = entry->second.file;
    return 0;
}

int Disk::create(std::string_view name, InodeRef& file) {
    Place at;
    if (const int error = place(name, at); error != 0) return error;
    if (at.dir->now.contains(at.name)) return EEXIST;
    file = std::make_shared<Inode>(++inodes_, name);
    file->links = 1;
    ever_.push_back(file);
    change(*at.dir, {}, at.name, {file, nullptr});
    return 0;
}

int Disk::rename(std::string_view from, std::string_view to) {
    Place source;
    Place target;
    if (const int error = place(from, source); error != 0) return error;
    if (const int error = place(to, target); error != 0) return error;
    const auto at = source.dir->now.find(source.name);
    if (at == source.dir->now.end()) return ENOENT;
    const Entry moved = at->second;
    const auto old = target.dir->now.find(target.name);
    if (old != target.dir->now.end()) {
        if (moved.dir != nullptr || old->second.dir != nullptr)
            return old->second.dir != nullptr ? EISDIR : ENOTDIR;
        if (old->second.file == moved.file) return 0;  // rename(2): two names of one file both stay
    }
    if (moved.dir != nullptr && target.dir != root_) return EINVAL;
    drop_name(*target.dir, target.name);
    if (moved.file != nullptr) moved.file->name(to);
    if (source.dir == target.dir) {
        change(*source.dir, source.name, target.name, moved);
        return 0;
    }
    change(*target.dir, {}, target.name, moved);
    change(*source.dir, source.name, {}, {});
    target.dir->changes.back().peer = source.dir;
    source.dir->changes.back().peer = target.dir;
    source.dir->changes.back().number = target.dir->changes.back().number;
    return 0;
}

int Disk::link(std::string_view from, std::string_view to) {
    Place source;
    Place target;
    if (const int error = place(from, source); error != 0) return error;
    if (const int error = place(to, target); error != 0) return error;
    const auto at = source.dir->now.find(source.name);
    if (at == source.dir->now.end()) return ENOENT;
    if (at->second.file == nullptr) return EPERM;
    if (target.dir->now.contains(target.name)) return EEXIST;
    const Entry entry = at->second;
    ++entry.file->links;
    change(*target.dir, {}, target.name, entry);
    return 0;
}

int Disk::unlink(std::string_view name) {
    Place at;
    if (const int error = place(name, at); error != 0) return error;
    const auto entry = at.dir->now.find(at.name);
    if (entry == at.dir->now.end()) return ENOENT;
    if (entry->second.file == nullptr) return EISDIR;
    drop_name(*at.dir, at.name);
    change(*at.dir, at.name, {}, {});
    return 0;
}

int Disk::make_dir(std::string_view name) {
    if (name.find('/') != std::string_view::npos) return EINVAL;
    Place at;
    if (const int error = place(name, at); error != 0) return error;
    const auto old = root_->now.find(name);
    if (old != root_->now.end()) return old->second.dir != nullptr ? 0 : EEXIST;
    change(*root_, {}, name, {nullptr, std::make_shared<Dir>()});
    return 0;
}

int Disk::list(std::string_view dir, std::vector<InodeRef>& files,
               std::vector<std::string>& names) const {
    const Dir* from = root_.get();
    if (!dir.empty()) {
        const auto at = root_->now.find(dir);
        if (at == root_->now.end()) return ENOENT;
        if (at->second.dir == nullptr) return ENOTDIR;
        from = at->second.dir.get();
    }
    for (const auto& [name, entry] : from->now) {
        if (entry.file == nullptr) continue;
        files.push_back(entry.file);
        names.push_back(name);
    }
    return 0;
}

// Makes durable what the folder went through up to `number`, and of the other folder of a rename
// between two what came before it: an atomic rename is never half durable.
void Disk::flush(Dir& dir, std::uint64_t number) {
    const auto end =
        std::ranges::find_if(dir.changes, [&](const DirChange& c) { return c.number > number; });
    std::vector<DirChange> due{dir.changes.begin(), end};
    dir.changes.erase(dir.changes.begin(), end);
    for (const DirChange& change : due) apply(dir.durable, change);
    for (const DirChange& change : due)
        if (change.peer != nullptr) flush(*change.peer, change.number);
}

int Disk::sync_dir(std::string_view dir) {
    Dir* which = root_.get();
    if (!dir.empty()) {
        const auto at = root_->now.find(dir);
        if (at == root_->now.end()) return ENOENT;
        if (at->second.dir == nullptr) return ENOTDIR;
        which = at->second.dir.get();
    }
    flush(*which, changes_);
    return 0;
}

int Disk::write(Inode& file, std::uint64_t offset, std::span<const Bytes> pieces,
                std::uint64_t length, std::uint64_t& done) {
    done = 0;
    if (offset + length > kFileBytesMax) return EFBIG;
    std::uint64_t fitting = length;
    if (capacity_ != 0) {
        const std::uint64_t spare = free_bytes() / kBlockBytes;
        if (file.blocks_missing(offset, length) > spare) fitting = file.fits(offset, length, spare);
    }
    if (fitting != 0) file.write(++changes_, offset, pieces, fitting);
    done = fitting;
    return fitting == length ? 0 : ENOSPC;
}

int Disk::resize(Inode& file, std::uint64_t size) {
    if (size > kFileBytesMax) return EFBIG;
    file.resize(++changes_, size);
    return 0;
}

int Disk::allocate(Inode& file, std::uint64_t size) {
    if (size > kFileBytesMax) return EFBIG;
    if (capacity_ != 0 && file.blocks_missing(0, size) > free_bytes() / kBlockBytes) return ENOSPC;
    file.take_blocks(0, size);
    if (size > file.size()) file.resize(++changes_, size);
    return 0;
}

std::uint64_t Disk::used_blocks() const {
    std::erase_if(ever_, [](const std::weak_ptr<Inode>& file) { return file.expired(); });
    std::uint64_t blocks = 0;
    for (const auto& weak : ever_) {
        const InodeRef file = weak.lock();
        if (file->links != 0 || file->opens != 0) blocks += file->blocks();
    }
    return blocks;
}

std::uint64_t Disk::free_bytes() const {
    if (capacity_ == 0) return 1ULL << 40;
    const std::uint64_t used = used_blocks() * kBlockBytes;
    return used < capacity_ ? capacity_ - used : 0;
}

std::vector<Disk::DirRef> Disk::all_dirs() const {
    std::vector<DirRef> dirs{root_};
    for (const Entries* entries : {&root_->now, &root_->durable})
        for (const auto& [name, entry] : *entries)
            if (entry.dir != nullptr && std::ranges::find(dirs, entry.dir) == dirs.end())
                dirs.push_back(entry.dir);
    return dirs;
}

std::vector<InodeRef> Disk::all_files() const {
    std::vector<InodeRef> files;
    for (const DirRef& dir : all_dirs()) {
        for (const auto& [name, entry] : dir->now)
            if (entry.file != nullptr) files.push_back(entry.file);
        for (const auto& [name, entry] : dir->durable)
            if (entry.file != nullptr) files.push_back(entry.file);
        // A name made and taken again since the last sync_dir is in neither, and may come back.
        for (const DirChange& change : dir->changes)
            if (change.entry.file != nullptr) files.push_back(change.entry.file);
    }
    std::ranges::sort(files, {}, [](const InodeRef& file) { return file->id(); });
    const auto twice = std::ranges::unique(files);
    files.erase(twice.begin(), twice.end());
    return files;
}

InodeRef Disk::by_id(std::uint32_t id) const {
    for (const auto& weak : ever_)
        if (InodeRef file = weak.lock(); file != nullptr && file->id() == id) return file;
    return nullptr;
}

bool Disk::share_a_name(const DirChange& a, const DirChange& b) {
    const auto is_of_b = [&](const std::string& name) {
        return !name.empty() && (name == b.removed || name == b.added);
    };
    return is_of_b(a.removed) || is_of_b(a.added);
}

// What came true of what each folder went through. Changes of one name come in order, and a rename
// between two folders comes in both or in neither.
std::vector<std::vector<bool>> Disk::kept_changes(Cut cut, const std::vector<DirRef>& dirs,
                                                  Rng& rng) {
    std::vector<std::vector<bool>> kept;
    for (const DirRef& dir : dirs) {
        const std::size_t count = dir->changes.size();
        const std::size_t first = cut == Cut::none  ? 0
                                  : cut == Cut::all ? count
                                                    : rng.below(count + 1);
        kept.emplace_back(count);
        std::fill_n(kept.back().begin(), first, true);
        if (cut != Cut::random || rng.chance(50)) continue;
        for (auto&& change : kept.back()) change = rng.chance(50);
    }
    const auto has_peer = [&](const DirChange& change) {
        const auto peer = std::ranges::find(dirs, change.peer);
        if (peer == dirs.end()) return false;
        const auto& others = change.peer->changes;
        const auto other = std::ranges::find(others, change.number, &DirChange::number);
        const auto& its = kept[static_cast<std::size_t>(peer - dirs.begin())];
        return other != others.end() && its[static_cast<std::size_t>(other - others.begin())];
    };
    const auto can_stay = [&](std::size_t d, std::size_t c) {
        const DirChange& change = dirs[d]->changes[c];
        for (std::size_t before = 0; before < c; ++before)
            if (!kept[d][before] && share_a_name(dirs[d]->changes[before], change)) return false;
        return change.peer == nullptr || has_peer(change);
    };
    for (bool settled = false; !settled;) {
        settled = true;
        for (std::size_t d = 0; d < dirs.size(); ++d)
            for (std::size_t c = 0; c < kept[d].size(); ++c)
                if (kept[d][c] && !can_stay(d, c)) {
                    kept[d][c] = false;
                    settled = false;
                }
    }
    return kept;
}

Disk Disk::after_cut(Cut cut, std::vector<Flying> flying, Rng& rng) const {
    ensure(cut != Cut::kill, "a kill leaves the page cache: copy()");
    const std::vector<InodeRef> files = all_files();
    Keep keep{.cut = cut};
    if (cut == Cut::none) flying.clear();
    if (cut == Cut::random) {
        constexpr unsigned kPercents[] = {5, 50, 95};
        keep.percent = kPercents[rng.below(3)];
        keep.whole = rng.chance(50);
        std::erase_if(flying, [&](const Flying&) { return rng.chance(50); });
    }
    for (std::size_t i = flying.size(); i > 1; --i) std::swap(flying[i - 1], flying[rng.below(i)]);
    for (std::size_t i = 0; i < flying.size(); ++i) flying[i].number = changes_ + 1 + i;
    if (cut == Cut::prefix) {
        std::vector<std::uint64_t> numbers;
        for (const InodeRef& file : files)
            for (const Change& change : file->changes()) numbers.push_back(change.number);
        for (const Flying& write : flying) numbers.push_back(write.number);
        std::ranges::sort(numbers);
        if (!numbers.empty()) keep.number = numbers[rng.below(numbers.size())];
    }

    const std::vector<DirRef> dirs = all_dirs();
    const auto kept = kept_changes(cut, dirs, rng);

    Disk image;
    image.changes_ = changes_;
    image.inodes_ = inodes_;
    image.capacity_ = capacity_;
    std::unordered_map<const Inode*, InodeRef> images;
    for (const InodeRef& file : files) {
        auto& copy = images[file.get()];
        copy = file->after_cut(keep, flying, rng);
        image.ever_.push_back(copy);
    }
    const auto rebuild = [&](std::size_t d, Dir& to) {
        Entries entries = dirs[d]->durable;
        for (std::size_t c = 0; c < kept[d].size(); ++c)
            if (kept[d][c]) apply(entries, dirs[d]->changes[c]);
        for (auto& [name, entry] : entries)
            if (entry.file != nullptr) {
                entry.file = images.at(entry.file.get());
                ++entry.file->links;
            }
        to.now = std::move(entries);
    };
    rebuild(0, *image.root_);
    for (auto& [name, entry] : image.root_->now) {
        if (entry.dir == nullptr) continue;
        const auto at = std::ranges::find(dirs, entry.dir);
        entry.dir = std::make_shared<Dir>();
        if (at == dirs.end()) continue;
        rebuild(static_cast<std::size_t>(at - dirs.begin()), *entry.dir);
        entry.dir->durable = entry.dir->now;
    }
    image.root_->durable = image.root_->now;
    return image;
}

Disk Disk::copy() const {
    Disk other;
    other.changes_ = changes_;
    other.inodes_ = inodes_;
    other.capacity_ = capacity_;
    std::unordered_map<const Inode*, InodeRef> copies;
    for (const InodeRef& file : all_files()) {
        auto& copy = copies[file.get()];
        copy = file->copy();
        copy->links = file->links;
        other.ever_.push_back(copy);
    }
    const std::vector<DirRef> dirs = all_dirs();
    std::unordered_map<const Dir*, DirRef> dir_copies;
    for (const DirRef& dir : dirs) dir_copies[dir.get()] = std::make_shared<Dir>(*dir);
    const auto translate = [&](Entry& entry) {
        if (entry.file != nullptr) entry.file = copies.at(entry.file.get());
        if (entry.dir != nullptr) entry.dir = dir_copies.at(entry.dir.get());
    };
    for (auto& [from, dir] : dir_copies) {
        for (auto& [name, entry] : dir->now) translate(entry);
        for (auto& [name, entry] : dir->durable) translate(entry);
        for (DirChange& change : dir->changes) {
            translate(change.entry);
            if (change.peer != nullptr) change.peer = dir_copies.at(change.peer.get());
        }
    }
    other.root_ = dir_copies.at(root_.get());
    return other;
}

bool Disk::has(std::string_view name) const {
    InodeRef file;
    return find(name, file) == 0;
}

InodeRef Disk::must_find(std::string_view name) const {
    InodeRef file;
    ensure(find(name, file) == 0, "a test names a file that exists");
    return file;
}

std::string Disk::content(std::string_view name) const {
    const InodeRef file = must_find(name);
    std::string content(file->size(), '\0');
    file->read(0, std::as_writable_bytes(std::span{content}));
    return content;
}

void Disk::put(std::string_view name, std::string_view content) {
    const std::size_t slash = name.find('/');
    if (slash != std::string_view::npos) ensure(make_dir(name.substr(0, slash)) == 0);
    if (has(name)) ensure(unlink(name) == 0);
    InodeRef file;
    ensure(create(name, file) == 0, "a test puts a file under a good name");
    const Bytes bytes = as_bytes(content);
    std::uint64_t done = 0;
    ensure(write(*file, 0, {&bytes, 1}, bytes.size(), done) == 0, "a test's file fits");
    file->sync(mark());
    sync_dir("");
    if (slash != std::string_view::npos) sync_dir(name.substr(0, slash));
}

void Disk::flip(std::string_view name, std::uint64_t offset, std::byte mask) {
    must_find(name)->flip(offset, mask);
}

void Disk::spoil(std::string_view name, std::uint64_t offset, std::uint64_t length) {
    must_find(name)->spoil(offset, length);
}

void Disk::drop_caches() {
    for (const InodeRef& file : all_files()) file->drop_cache();
}

std::vector<std::string> Disk::names() const {
    std::vector<std::string> names;
    for (const auto& [name, entry] : root_->now) {
        if (entry.file != nullptr) names.push_back(name);
        if (entry.dir == nullptr) continue;
        for (const auto& [inner, file] : entry.dir->now) names.push_back(name + "/" + inner);
    }
    return names;
}

std::uint64_t Disk::digest() const {
    std::uint64_t digest = 0;
    for (const std::string& name : names()) {
        const std::string content = this->content(name);
        const std::uint64_t part =
            (std::uint64_t{crc32c(as_bytes(name))} << 32) |
            crc32c(as_bytes(content), static_cast<std::uint32_t>(content.size()));
        digest = (digest ^ part) * 0x9e3779b97f4a7c15ULL;
    }
    return digest;
}

}  // namespace firnlog::sim
