#include "recovery/copy_keys.hpp"

#include "engine/ops/hashes.hpp"
#include "engine/ops/strings.hpp"

namespace firnlog::recovery {
namespace {

namespace hashes = engine::hashes;
namespace strings = engine::strings;

class Copier {
  public:
    Copier(engine::Engine& source, BatchWriter* writer, const CopyWish& wish, CopyCounts& counts)
        : source_(source), writer_(writer), wish_(wish), counts_(counts) {}

    Result<void> run();

  private:
    Result<void> key(std::uint32_t database, const engine::TagMap& map, const engine::Entry& entry);
    Result<void> hash(std::uint32_t database, std::string_view name, const engine::Item& item,
                      std::int64_t expires_ms);

    Result<void> unreadable(const engine::Item& item, std::optional<std::string_view> name,
                            std::uint32_t database);

    engine::Engine& source_;
    BatchWriter* writer_;
    const CopyWish& wish_;
    CopyCounts& counts_;
};

Result<void> Copier::unreadable(const engine::Item& item, std::optional<std::string_view> name,
                                std::uint32_t database) {
    if (wish_.unreadable && wish_.unreadable(name, database)) return {};
    return fail(Error{.code = Code::damaged,
                      .offset = item.address.offset(),
                      .file = item.address.file(),
                      .doing = "read a record again"});
}

Result<void> Copier::key(std::uint32_t database, const engine::TagMap& map,
                         const engine::Entry& entry) {
    engine::Session session(source_);
    session.may_wait(true);
    engine::Item item{.type = entry.type()};
    item.address = entry.address();
    item.size_hint = entry.size_hint();
    if (item.type != engine::Type::string) {
        item.object = entry.pointer<engine::Object>();
        item.address = item.object->binding;
        item.size_hint = item.object->binding_bytes;
    }
    std::int64_t expires_ms = -1;
    if (entry.expires())
        if (const auto* expiry = map.expiry(entry.tag())) expires_ms = expiry->at_ms;
    if (expires_ms >= 0 && wish_.expiry) {
        const auto wished = wish_.expiry(expires_ms);
        if (!wished) return {};
        expires_ms = *wished;
    }
    const auto name = session.read_key(item.address, item.size_hint);
    if (!name) return unreadable(item, std::nullopt, database);
    if (wish_.wants && !wish_.wants(*name)) return {};
    if (item.type == engine::Type::hash) return hash(database, *name, item, expires_ms);
    const auto value = strings::get(session, item);
    if (!value) return unreadable(item, *name, database);
    ++counts_.keys;
    counts_.bytes += name->size() + value->size();
    if (writer_ == nullptr) return {};
    return writer_->batch(*name, database, [&](engine::Session& to) {
        return strings::set(to, *name, *value, expires_ms);
    });
}

Result<void> Copier::hash(std::uint32_t database, std::string_view name, const engine::Item& item,
                          std::int64_t expires_ms) {
    engine::Session session(source_);
    session.may_wait(true);
    const auto pairs = hashes::all(session, item);
    if (!pairs) return unreadable(item, name, database);
    ++counts_.keys;
    counts_.bytes += name.size();
    counts_.fields += pairs->size();
    std::size_t done = 0;
    while (done < pairs->size()) {
        std::size_t count = 0;
        std::size_t bytes = 0;
        for (; done + count < pairs->size() && bytes < (std::size_t{1} << 20); ++count)
            bytes += (*pairs)[done + count].field.size() + (*pairs)[done + count].value.size();
        const std::span<const hashes::Pair> some(pairs->data() + done, count);
        done += count;
        counts_.bytes += bytes;
        if (writer_ == nullptr) continue;
        auto written =
            writer_->batch(name, database, [&](engine::Session& to) -> engine::Expected<void> {
                if (auto set = hashes::set(to, name, some); !set)
                    return tl::unexpected(set.error());
                return {};
            });
        if (!written) return written;
    }
    if (writer_ == nullptr || expires_ms < 0) return {};
    // Last, and as it was written: one whose time has come is deleted by whoever looks at it.
    return writer_->batch(name, database, [&](engine::Session& to) -> engine::Expected<void> {
        if (auto room = to.reserve(name.size(), 1); !room) return room;
        to.set_expiry(name, expires_ms);
        return {};
    });
}

Result<void> Copier::run() {
    auto& keyspace = source_.keyspace();
    for (std::uint32_t database = 0; database < keyspace.databases_end(); ++database) {
        const auto* space = keyspace.find_space(database);
        if (space == nullptr) continue;
        for (std::uint32_t stripe = 0; stripe < engine::kStripes; ++stripe) {
            const auto& map = space->stripes[stripe];
            if (map.size() == 0) continue;
            Result<void> done;
            map.for_each([&](const engine::Entry& entry) {
                if (done) done = key(database, map, entry);
            });
            if (!done) return done;
        }
    }
    return {};
}

}  // namespace

BatchWriter::~BatchWriter() {
    while (!flusher_.idle() && io_.turn(true)) {
    }
}

Result<void> BatchWriter::finish() {
    auto& log = engine_.log;
    while (log.durable() != log.tail.end() || log.tail.dirty()) {
        if (log.failed() != 0)
            return fail(Error{.error = log.failed(), .doing = "write the new store"});
        log.want_durable(log.tail.end());
        if (auto turned = turn(); !turned) return turned;
    }
    return {};
}

Result<void> BatchWriter::turn() {
    while (engine_.work()) {
    }
    if (auto failure = engine_.supply.failure()) return fail(*failure);
    flusher_.kick(kSyncAgeUs);
    if (auto turned = io_.turn(engine_.log.durable() != engine_.log.tail.end()); !turned)
        return fail(turned);
    return {};
}

Result<void> copy_keys(engine::Engine& source, BatchWriter* writer, const CopyWish& wish,
                       CopyCounts& counts) {
    return Copier(source, writer, wish, counts).run();
}

}  // namespace firnlog::recovery
