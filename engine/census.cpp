#include "engine/census.hpp"

#include <algorithm>
#include <utility>

namespace firnlog::engine {
namespace {

// Of one step: pages that hold something, and those that hold nothing.
constexpr std::size_t kNamedMax = 16384;
constexpr std::size_t kPagesMax = 8192;

}  // namespace

void Census::count() {
    forget();
    pass_.begin();
}

void Census::find(const std::vector<FileNumber>& files) {
    finds_ = true;
    found_.clear();
    wanted_.assign(uses_.size(), false);
    std::uint64_t records = 0;
    for (const auto file : files) {
        if (file < wanted_.size()) wanted_[file] = true;
        records += of(file).records;
    }
    found_.reserve(records);
    pass_.begin();
}

bool Census::step() {
    std::size_t named_all = 0;
    for (std::size_t pages = 0; pages < kPagesMax && named_all < kNamedMax; ++pages) {
        if (!pass_.next()) return false;
        for (const auto& named : pass_.named()) note(named);
        named_all += pass_.named().size();
    }
    return true;
}

void Census::note(const Named& named) {
    const auto file = named.address.file();
    if (finds_) {
        if (file < wanted_.size() && wanted_[file]) found_.push_back(named.address);
        return;
    }
    if (uses_.size() <= file) uses_.resize(file + 1);
    uses_[file].bytes += named.bytes;
    ++uses_[file].records;
    bytes_ += named.bytes;
}

std::vector<Address> Census::take_found() {
    std::ranges::sort(found_, {}, &Address::bits);
    return std::exchange(found_, {});
}

void Census::forget() {
    finds_ = false;
    bytes_ = 0;
    uses_ = {};
    wanted_ = {};
    found_ = {};
}

}  // namespace firnlog::engine
