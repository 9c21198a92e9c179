#pragma once
// Stage: records of a group of commands that are made, and neither appended nor applied.
//
//   bytes_ | key | value | key | value | …            staged_ [ record, what is known of it ] …
//
// Taking the tail costs a reactor about a microsecond when others want it, appending a record some
// tens of nanoseconds. So commands of one pipeline put their records aside here, and the session
// appends all of them in one hold of the tail. Key and value are copied: the views that a handler
// has may end before that.
//
// Memory is taken by open(), and nothing asks for more: where a command answers, its record is
// safe. Owned by one session.

#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/format/record.hpp"
#include "engine/index/keyspace.hpp"

namespace firnlog::engine {

class Stage {
  public:
    struct Staged {
        Record record;
        Keyspace::Known known;
        std::uint32_t database = 0;
        Keyspace::Place place;  // once it is appended
    };

    // Room for so many records, of so many bytes of keys and values in all; nothing is staged.
    void open(std::size_t bytes, std::size_t records) {
        ensure(staged_.empty(), "what is staged is appended before");
        staged_.reserve(records);
        if (bytes > capacity_) {
            bytes_ = std::make_unique_for_overwrite<char[]>(bytes);
            capacity_ = bytes;
        }
        next_ = bytes_.get();
        bytes_left_ = bytes;
        records_left_ = records;
    }
    // Whether there is room for one more.
    [[nodiscard]] bool fits(std::size_t bytes) const {
        return bytes <= bytes_left_ && records_left_ != 0;
    }

    void add(const Record& record, const Keyspace::Known& known, std::uint32_t database) noexcept {
        ensure(fits(record.key.size() + record.value.size()), "a record has the room it asked for");
        --records_left_;
        staged_.push_back({.record = record, .known = known, .database = database, .place = {}});
        staged_.back().record.key = keep(record.key);
        staged_.back().record.value = keep(record.value);
    }

    [[nodiscard]] bool empty() const { return staged_.empty(); }
    // Whether one of them changes this stripe: then its keys are not what they seem.
    [[nodiscard]] bool changes(Stripe stripe) const {
        for (const auto& staged : staged_)
            if (staged.known.stripe == stripe) return true;
        return false;
    }
    [[nodiscard]] std::span<Staged> staged() { return staged_; }
    // They are applied. Their room is not had again before open().
    void clear() { staged_.clear(); }

  private:
    std::string_view keep(std::string_view text) noexcept {
        auto* at = next_;
        if (!text.empty()) std::memcpy(at, text.data(), text.size());
        next_ += text.size();
        bytes_left_ -= text.size();
        return {at, text.size()};
    }

    std::unique_ptr<char[]> bytes_;
    std::size_t capacity_ = 0;
    char* next_ = nullptr;
    std::size_t bytes_left_ = 0;
    std::size_t records_left_ = 0;
    std::vector<Staged> staged_;
};

}  // namespace firnlog::engine
