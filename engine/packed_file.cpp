#include "engine/packed_file.hpp"

#include "engine/format/names.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::engine {

Result<void> PackedWriter::begin(FileNumber number, std::uint64_t room) {
    header_ = {.store_id = store_id_, .number = number};
    return file_.begin(names::packed_file(number), kPackedHeaderBytes, room);
}

Result<std::uint64_t> PackedWriter::add(Lsn lsn, Bytes record) {
    const auto offset = bytes() + kPackedLeadBytes;
    auto& pending = file_.pending();
    const auto at = pending.size();
    pending.resize(at + kPackedLeadBytes);
    store(pending.data() + at, lsn.value);
    pending.insert(pending.end(), record.begin(), record.end());
    ++header_.records;
    if (auto done = file_.write_some(); !done) return fail(done);
    return offset;
}

Result<void> PackedWriter::finish() {
    header_.end = bytes();
    std::vector<std::byte> block(kPackedHeaderBytes);
    encode_packed_header(header_, block.data());
    return file_.finish(block, !planted("survivors_not_synced"));
}

}  // namespace firnlog::engine
