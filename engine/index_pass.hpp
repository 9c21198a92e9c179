#pragma once
// IndexPass: all pages of the index, one after the other, beside a server that changes it.
//
//   begin ──> keys, space by space ──> objects; a long one in pieces ──> next() is false
//
// Each page is as it was for one moment, and each at another one: whoever makes an image of them
// writes their stamps down, whoever counts has counted what was there about then. The catalog is
// not among them. One thread; a stripe's lock is held for as long as its page is copied.

#include <vector>

#include "engine/index/image.hpp"

namespace firnlog::engine {

class IndexPass {
  public:
    IndexPass(Keyspace& keyspace, const Tail& tail, PageTaker::What what)
        : keyspace_(keyspace), taker_(keyspace, tail, what) {}

    void begin();
    // Takes the next page, which may be empty; false: there is none.
    bool next();
    [[nodiscard]] bool at_objects() const { return kid_ == kids_.size(); }

    // Of the page taken last: what it is, itself, and every address in it.
    [[nodiscard]] const BlobEntry& what() const { return what_; }
    [[nodiscard]] const PageImage& page() const { return page_; }
    [[nodiscard]] const std::vector<Named>& named() const { return taker_.named(); }
    [[nodiscard]] PageTaker& taker() { return taker_; }

  private:
    void next_keys();
    void next_objects();

    Keyspace& keyspace_;
    PageTaker taker_;
    std::vector<Kid> kids_;
    std::size_t kid_ = 0;       // where in kids_
    std::uint32_t stripe_ = 0;  // where in the keyspace
    std::uint64_t from_ = 0;    // where in the stripe
    Oid large_;                 // an object in pieces
    std::uint64_t part_from_ = 0;
    BlobEntry what_;
    PageImage page_;
};

}  // namespace firnlog::engine
