#pragma once
// Moves: files whose bytes lie in another file now, at the same offsets.
//
// A start after a crash writes the log's tail anew, and a checkpoint taken before it names the old
// file. Whoever reads such a checkpoint asks here where an address leads today.

#include <algorithm>
#include <vector>

#include "engine/address.hpp"

namespace firnlog::engine {

struct Move {
    FileNumber from = 0;
    FileNumber to = 0;
    bool operator==(const Move&) const = default;
};

// One more: what led to where it begins leads to where it ends now.
inline void add_move(std::vector<Move>& moves, Move added) {
    for (auto& move : moves)
        if (move.to == added.from) move.to = added.to;
    moves.push_back(added);
}

class Moves {
  public:
    Moves() = default;
    explicit Moves(std::vector<Move> moves) : moves_(std::move(moves)) {}

    [[nodiscard]] FileNumber operator()(FileNumber file) const {
        for (const auto& move : moves_)
            if (move.from == file) return move.to;
        return file;
    }
    [[nodiscard]] Address operator()(Address address) const {
        if (moves_.empty() || !address) return address;
        return {(*this)(address.file()), address.offset()};
    }

  private:
    std::vector<Move> moves_;
};

}  // namespace firnlog::engine
