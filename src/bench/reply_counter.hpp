#pragma once
// ReplyCounter: how many replies a stream of bytes holds, of RESP2 or RESP3, split anywhere.
//
// A reply is not read, only measured: a bulk is skipped by its length, an aggregate counts what is
// missing in it. Told apart are errors, with their text, and nulls, which is what a miss looks
// like. Pushes of RESP3 are no replies; an attribute belongs to the reply behind it. Keeps a line
// that is cut off and otherwise copies nothing. One for each connection.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace firnlog::bench {

enum class Reply : std::uint8_t { ok, null, error };

class ReplyCounter {
  public:
    // Calls each(Reply, text of an error) at the end of every reply. False when this is not RESP:
    // nothing behind it can be understood.
    template <class Each>
    [[nodiscard]] bool feed(std::string_view bytes, Each&& each) {
        while (!bytes.empty()) {
            if (skip_ != 0) {
                const std::size_t skipped = skip_ < bytes.size() ? skip_ : bytes.size();
                skip_ -= skipped;
                bytes.remove_prefix(skipped);
                if (skip_ == 0) element_ended(each);
                continue;
            }
            const std::size_t end = bytes.find('\n');
            if (end == bytes.npos) {
                line_.append(bytes);
                return line_.size() <= kLineBytesMax;
            }
            bool understood = false;
            if (line_.empty()) {
                understood = line_ended(bytes.substr(0, end), each);
            } else {
                line_.append(bytes.substr(0, end));
                understood = line_ended(line_, each);
                line_.clear();
            }
            if (!understood) return false;
            bytes.remove_prefix(end + 1);
        }
        return true;
    }

    // Between two replies.
    [[nodiscard]] bool idle() const noexcept {
        return skip_ == 0 && line_.empty() && open_.empty();
    }

  private:
    static constexpr std::size_t kLineBytesMax = std::size_t{64} << 10;
    // An aggregate that has begun, and what its end means.
    struct Open {
        std::uint64_t missing;
        enum class Kind : std::uint8_t { aggregate, attribute, push } kind;
    };
    enum class Seen : std::uint8_t { nonsense, element, error, null, opened, skipping };

    [[nodiscard]] Seen look(std::string_view line);

    template <class Each>
    [[nodiscard]] bool line_ended(std::string_view line, Each&& each) {
        switch (look(line)) {
            case Seen::nonsense:
                return false;
            case Seen::error:
                // Inside an aggregate (EXEC) an error is an error of the whole.
                if (open_.empty())
                    each(Reply::error, line.substr(1, line.size() - 2));
                else {
                    worst_ = Reply::error;
                    worst_text_ = line.substr(1, line.size() - 2);
                    element_ended(each);
                }
                return true;
            case Seen::null:
                if (open_.empty())
                    each(Reply::null, std::string_view{});
                else
                    element_ended(each);
                return true;
            case Seen::element:
                element_ended(each);
                return true;
            case Seen::opened:
            case Seen::skipping:
                return true;
        }
        return false;
    }

    template <class Each>
    void element_ended(Each&& each) {
        while (!open_.empty()) {
            if (--open_.back().missing != 0) return;
            const auto kind = open_.back().kind;
            open_.pop_back();
            if (kind == Open::Kind::attribute) return;
            if (kind == Open::Kind::push && open_.empty()) return;
        }
        each(worst_, std::string_view(worst_text_));
        worst_ = Reply::ok;
        worst_text_.clear();
    }

    std::uint64_t skip_ = 0;  // bytes of a bulk still to come, its line end included
    Reply worst_ = Reply::ok;
    std::string worst_text_;
    std::string line_;
    std::vector<Open> open_;
};

}  // namespace firnlog::bench
