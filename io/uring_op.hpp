#pragma once
// OpTable: the operations a ring has in flight that need more than their Completion, by Completion.
//
// It is a hash table chained through the Ops, which lie in blocks and are used again: it grows, and
// then never allocates. Ops do not move, as the kernel knows them by address. Uring's own.

#include <linux/time_types.h>
#include <sys/uio.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "io/io.hpp"

namespace firnlog::io {

enum class Kind : std::uint8_t { accept, recv, read, write, timer };

// What must outlive the call that started an operation: its restart, or memory the kernel reads
// when it is submitted. Pooled, found by its Completion when that is cancelled.
struct alignas(64) Op {
    Completion* done;
    Op* next;  // in its bucket, or among the free ones
    Kind kind;
    bool cancelled;
    int fd;
    std::uint32_t bytes;  // read, write: wanted in all
    std::int32_t result;  // read: bytes so far
    std::uint64_t offset;
    union {
        std::byte* into;
        __kernel_timespec at;
        iovec pieces[kWritePiecesMax];
    };
};
static_assert(sizeof(Op) == 192);

class OpTable {
  public:
    Op& add(Completion& done, Kind kind) {
        if (free_ == nullptr) add_block();
        Op& op = *free_;
        free_ = op.next;
        if (++count_ > buckets_.size()) rehash(buckets_.size() * 2);
        op.done = &done;
        op.kind = kind;
        op.cancelled = false;
        put(op);
        return op;
    }

    void remove(Op& op) {
        Op** link = &bucket(op.done);
        while (*link != &op) link = &(*link)->next;
        *link = op.next;
        op.next = free_;
        free_ = &op;
        --count_;
    }

    [[nodiscard]] Op* find(const Completion& done) {
        Op* op = bucket(&done);
        while (op != nullptr && op->done != &done) op = op->next;
        return op;
    }

  private:
    static constexpr std::size_t kOpsABlock = 64;

    [[nodiscard]] Op*& bucket(const Completion* done) {
        const auto key = std::bit_cast<std::uintptr_t>(done);
        // Fibonacci hashing: the multiplication carries the address's low bits into the top ones.
        const std::uint64_t hash = (key >> 3) * 0x9e3779b97f4a7c15U;
        return buckets_[(hash >> 32) & (buckets_.size() - 1)];
    }

    void put(Op& op) {
        Op*& head = bucket(op.done);
        op.next = head;
        head = &op;
    }

    void add_block() {
        blocks_.push_back(std::make_unique<Op[]>(kOpsABlock));
        for (std::size_t i = 0; i < kOpsABlock; ++i) {
            blocks_.back()[i].next = free_;
            free_ = &blocks_.back()[i];
        }
    }

    void rehash(std::size_t size) {
        std::vector<Op*> old(size);
        old.swap(buckets_);
        for (Op* op : old) {
            while (op != nullptr) {
                Op* const rest = op->next;
                put(*op);
                op = rest;
            }
        }
    }

    std::vector<std::unique_ptr<Op[]>> blocks_;
    std::vector<Op*> buckets_ = std::vector<Op*>(kOpsABlock);  // a power of two
    Op* free_ = nullptr;
    std::size_t count_ = 0;
};

}  // namespace firnlog::io
