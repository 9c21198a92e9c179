#pragma once
// Image: pages of the index taken out of a running keyspace, and put into an empty one.
//
//   take_…   stripe locked ── page copied, stamped ── unlocked ── encoded   (one page's memcpy)
//   load_…   decoded, looked at, put in                                   (nobody else is there
//   yet)
//
// The stamp is the end of the last whole batch, read under the stripe's lock. A batch holds all its
// locks from before its first lsn to behind its end, so everything below the stamp that concerns
// the page is in it, and nothing from the stamp on.
//
// Encoded, a page of keys is: entries · flags · expiry times · bindings, the count of each before
// it (docs/format.md). An entry is as in memory, but that an object's place is the address of its
// bind record.

#include <optional>
#include <span>
#include <vector>

#include "engine/format/checkpoint.hpp"
#include "engine/index/keyspace.hpp"
#include "engine/log/tail.hpp"
#include "engine/types/moves.hpp"

namespace firnlog::engine {

// What a page was taken of: told with every address in it, so that files can be kept, or counted.
struct Named {
    Address address;
    std::size_t bytes = 0;
};

// One page as encoded bytes.
struct PageImage {
    std::vector<std::byte> bytes;  // empty: there is nothing
    Lsn stamp;
    std::uint64_t count = 0;  // entries or objects
    // Of the keys: those that expire, and those that lead to an object of another stripe.
    std::uint32_t expires = 0;
    std::uint32_t strays = 0;
    std::uint64_t next = 0;  // where the next one begins; 0: there is none
};

class PageTaker {
  public:
    // Whole pages; or of keys the names alone, which cost no encoding.
    enum class What : std::uint8_t { pages, names };
    PageTaker(Keyspace& keyspace, const Tail& tail, What what = What::pages)
        : keyspace_(keyspace), tail_(tail), what_(what) {}

    // The keys of a stripe from a hash on; nothing if no database points at the kid any more.
    [[nodiscard]] std::optional<PageImage> keys(Kid kid, Stripe stripe, std::uint64_t from);

    // Whole objects of a stripe from a place on. It ends before one that has more than one piece,
    // which is told in `large`, unless it begins with that.
    struct Objects {
        PageImage page;
        Oid large;  // taken piece by piece with part(); then go on behind it
    };
    [[nodiscard]] Objects objects(Stripe stripe, std::uint64_t from);
    // A piece of one object; empty bytes if it is gone.
    struct Part {
        PageImage page;
        Type type = Type::hash;
    };
    [[nodiscard]] Part part(Oid oid, std::uint64_t from);

    struct Catalog {
        PageImage page;
        std::vector<Keyspace::Pointing> pointings;
    };
    [[nodiscard]] Catalog catalog();

    // Every address in the page taken last.
    [[nodiscard]] const std::vector<Named>& named() const { return named_; }

  private:
    struct Binding {
        Oid oid;
        Lsn lsn;
        std::uint32_t bytes = 0;
    };
    Keyspace& keyspace_;
    const Tail& tail_;
    const What what_;
    std::vector<Entry> entries_;
    std::vector<Expiry> expiries_;
    std::vector<Binding> bindings_;
    std::vector<Object*> objects_;
    std::vector<Named> named_;
};

// False: the bytes make no sense. Addresses are looked at when they are read. Under the stripe's
// lock, where others are there.
class PageLoader {
  public:
    // `counts`: what is put in counts as keys of its space; else it is counted already.
    PageLoader(Keyspace& keyspace, Moves moves, bool counts)
        : keyspace_(keyspace), moves_(std::move(moves)), counts_(counts) {}

    [[nodiscard]] bool catalog(Bytes blob);
    // A page; keys of a kid that no database points at are left out.
    [[nodiscard]] bool page(Bytes blob, BlobKind kind, Kid kid, Stripe stripe) {
        return kind == BlobKind::keys ? keys(blob, kid, stripe) : objects(blob, stripe);
    }

  private:
    [[nodiscard]] bool keys(Bytes blob, Kid kid, Stripe stripe);
    [[nodiscard]] bool objects(Bytes blob, Stripe stripe);

    Keyspace& keyspace_;
    const Moves moves_;
    const bool counts_;
};

}  // namespace firnlog::engine
