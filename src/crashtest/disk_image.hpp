#pragma once
// DiskImage: the bytes of a disk that has a volatile cache, kept in memory.
//
//   write 1 | write 2 | flush | write 3 | write 4 | freeze | write 5
//   `------ durable ------'   `------ pending ----'          `- kept by no cut
//
// `view_` is what a reader sees, `durable_` what a power cut cannot take. A cut keeps what was
// flushed and, as the drive pleases, none, all, a prefix or any subset of the pending writes, each
// of them possibly torn between two sectors of 512 bytes. The choice is the seed's.
//
// Memory is mapped without reserve: pages never written cost nothing. No locks: FuseDisk has one.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "io/base/result.hpp"

namespace firnlog::crashtest {

enum class Keep : std::uint8_t { none, all, prefix, subset };

[[nodiscard]] std::optional<Keep> keep_of(std::string_view name) noexcept;

struct Cut {
    std::uint64_t pending = 0;  // writes that no flush had covered
    std::uint64_t kept = 0;     // of them, whole
    std::uint64_t torn = 0;     // in part
    std::uint64_t bytes_lost = 0;
};

// What became of bytes that were written.
enum class Trace : std::uint8_t { unseen, lost, durable };

[[nodiscard]] std::string_view name_of(Trace trace) noexcept;

class DiskImage {
  public:
    static constexpr std::uint64_t kSectorBytes = 512;

    [[nodiscard]] static Result<DiskImage> make(std::uint64_t bytes);
    DiskImage(DiskImage&& other) noexcept;
    DiskImage& operator=(DiskImage&& other) = delete;
    ~DiskImage();

    [[nodiscard]] std::uint64_t size() const noexcept { return bytes_; }
    [[nodiscard]] std::uint64_t pending() const noexcept { return pending_.size(); }

    // Within the size; the caller has looked.
    void read(std::uint64_t offset, std::span<std::byte> to) const noexcept;
    void write(std::uint64_t offset, std::span<const std::byte> from);
    void zero(std::uint64_t offset, std::uint64_t bytes);

    // What has been written before a mark is what a flush that starts there covers.
    [[nodiscard]] std::uint64_t mark() const noexcept { return flushed_ + pending_.size(); }
    void flush(std::uint64_t mark);

    // The moment the power goes: what is written from now on is seen until `cut` and then gone.
    void freeze() noexcept;
    // The power is back: the view is what the drive has.
    Cut cut(Keep keep, std::uint64_t seed);

    // Whether these bytes are, in one piece, in what no power cut can take; or among what the last
    // one took.
    [[nodiscard]] Trace find(std::string_view bytes) const;

  private:
    struct Write {
        std::uint64_t offset;
        std::uint64_t bytes;
        std::vector<std::byte> content;  // empty: zeros
    };

    static constexpr std::uint64_t kChunk = std::uint64_t{1} << 20U;

    DiskImage(std::byte* view, std::byte* durable, std::uint64_t bytes)
        : view_(view), durable_(durable), bytes_(bytes), has_come_(bytes / kChunk + 1) {}

    void apply(const Write& write, std::uint64_t from, std::uint64_t to);

    std::byte* view_;
    std::byte* durable_;
    std::uint64_t bytes_;
    std::vector<Write> pending_;
    std::vector<Write> lost_;     // by the last cut, as a whole or in part
    std::vector<bool> has_come_;  // for each kChunk of `durable_`: something was written there
    std::uint64_t flushed_ = 0;   // writes flushed so far
    std::optional<std::size_t> frozen_at_;  // of pending_
};

}  // namespace firnlog::crashtest
