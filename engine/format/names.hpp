#pragma once
// Names of the files in a store's directory, and what a name says. Pure.
//
//   manifest          which timelines, cuts and files there are; replaced by rename
//   0000000012.ckpt   a checkpoint
//   0000000012.pack   a packed segment: records that survived their log file
//   0000000012.side   the sidecar of 0000000012.log: where its records lie; of no use without it
//   digests           of full files, made when they were sealed; of no use without them
//   lock              held by the one writer
//   reserve           room for a walk on a full disk; of no content
//   0000000012.log    a log segment, or one made ready and not used yet
//   0000000012.spare  a log segment that nothing needs; the next one may be made of it
//   0000000012.log.new  a segment written aside by recovery; counts once the manifest adopts it
//   quarantine/…      bytes cut off by recovery, kept for a person to look at

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "engine/address.hpp"

namespace firnlog::engine::names {

inline constexpr std::string_view kManifest = "manifest";
inline constexpr std::string_view kManifestNew = "manifest.new";
inline constexpr std::string_view kLock = "lock";
inline constexpr std::string_view kReserve = "reserve";
inline constexpr std::string_view kDigests = "digests";
inline constexpr std::string_view kDigestsNew = "digests.new";
inline constexpr std::string_view kQuarantine = "quarantine";
inline constexpr std::string_view kLogSuffix = ".log";
inline constexpr std::string_view kNewSuffix = ".new";  // being built; ours to remove at a start

inline constexpr std::string_view kCheckpointSuffix = ".ckpt";
inline constexpr std::string_view kPackedSuffix = ".pack";
inline constexpr std::string_view kSpareSuffix = ".spare";
inline constexpr std::string_view kSidecarSuffix = ".side";

[[nodiscard]] inline std::string numbered(FileNumber number, std::string_view suffix) {
    std::string digits = std::to_string(number);
    digits.insert(0, digits.size() < 10 ? 10 - digits.size() : 0, '0');
    return digits + std::string(suffix);
}

[[nodiscard]] inline std::string log_file(FileNumber number) {
    return numbered(number, kLogSuffix);
}
[[nodiscard]] inline std::string new_log_file(FileNumber number) {
    return log_file(number) + std::string(kNewSuffix);
}
[[nodiscard]] inline std::string checkpoint_file(FileNumber number) {
    return numbered(number, kCheckpointSuffix);
}

[[nodiscard]] inline std::string packed_file(FileNumber number) {
    return numbered(number, kPackedSuffix);
}

[[nodiscard]] inline std::string spare_file(FileNumber number) {
    return numbered(number, kSpareSuffix);
}

[[nodiscard]] inline std::string sidecar_file(FileNumber number) {
    return numbered(number, kSidecarSuffix);
}

[[nodiscard]] inline std::optional<FileNumber> number_of(std::string_view name,
                                                         std::string_view suffix) {
    if (name.size() != 10 + suffix.size() || !name.ends_with(suffix)) return {};
    FileNumber number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + 10, number);
    if (error != std::errc{} || end != name.data() + 10) return {};
    if (number == 0 || number > kFileNumberMax) return {};
    return number;
}

[[nodiscard]] inline std::optional<FileNumber> log_number(std::string_view name) {
    return number_of(name, kLogSuffix);
}
[[nodiscard]] inline std::optional<FileNumber> checkpoint_number(std::string_view name) {
    return number_of(name, kCheckpointSuffix);
}
[[nodiscard]] inline std::optional<FileNumber> packed_number(std::string_view name) {
    return number_of(name, kPackedSuffix);
}
[[nodiscard]] inline std::optional<FileNumber> spare_number(std::string_view name) {
    return number_of(name, kSpareSuffix);
}
// Of the log file that it is the sidecar of.
[[nodiscard]] inline std::optional<FileNumber> sidecar_number(std::string_view name) {
    return number_of(name, kSidecarSuffix);
}
// Of whatever kind, but for sidecars, which have no number of their own.
[[nodiscard]] inline std::optional<FileNumber> any_number(std::string_view name) {
    if (const auto number = log_number(name)) return number;
    if (const auto number = packed_number(name)) return number;
    if (const auto number = spare_number(name)) return number;
    return checkpoint_number(name);
}

}  // namespace firnlog::engine::names
