#pragma once
// Keys out of one store into another, each with its value and its expiry; and what writes them.

#include <functional>
#include <optional>
#include <string_view>

#include "engine/engine.hpp"
#include "engine/session.hpp"
#include "io/io.hpp"

namespace firnlog::recovery {

// BatchWriter: writes into a store that nobody serves, batch by batch, from one thread that is
// worker and reactor in one. A batch is tried again while the log waits for room.
class BatchWriter {
  public:
    BatchWriter(engine::Engine& engine, io::Io& io)
        : engine_(engine), io_(io), session_(engine), flusher_(engine.log, io, [] {}) {}
    // Waits for what is in flight: the engine's files and memory go behind it, after a failure too.
    ~BatchWriter();
    BatchWriter(const BatchWriter&) = delete;
    BatchWriter& operator=(const BatchWriter&) = delete;

    // `run` is given the session, with the key locked, and returns Expected<void>.
    template <class Run>
    Result<void> batch(std::string_view key, std::uint32_t database, Run&& run) {
        for (;;) {
            session_.begin({&key, 1}, database);
            const auto done = run(session_);
            const auto end = session_.end();
            session_.reset();
            if (done) {
                engine_.log.want_durable(end);
                flusher_.kick(kSyncAgeUs);
                return {};
            }
            if (done.error() != engine::Stop::wait)
                return fail(Error{
                    .code = done.error() == engine::Stop::no_space ? Code::no_space : Code::io,
                    .error = engine_.log.failed(),
                    .doing = "write the new store"});
            if (auto turned = turn(); !turned) return turned;
        }
    }
    // Until everything is durable.
    Result<void> finish();

  private:
    static constexpr std::int64_t kSyncAgeUs = 1'000'000;
    Result<void> turn();

    engine::Engine& engine_;
    io::Io& io_;
    engine::Session session_;
    engine::Flusher flusher_;
};

struct CopyWish {
    std::function<bool(std::string_view key)> wants;  // none: all
    // From the expiry that the key has to that of the copy, < 0: never; nothing: leave it out.
    std::function<std::optional<std::int64_t>(std::int64_t expires_ms)> expiry;  // none: as it is
    // Of a key whose value is damaged, or of one that has no name because its record is: whether to
    // go on without it. None: no.
    std::function<bool(std::optional<std::string_view> key, std::uint32_t database)> unreadable;
};

struct CopyCounts {
    std::uint64_t keys = 0;
    std::uint64_t fields = 0;  // of hashes
    std::uint64_t bytes = 0;   // of keys and values
};

// All keys of all databases, in batches of a key, or of a piece of a large hash. Without a writer
// they are only read and counted. Code::damaged with the place if bytes are not what was written.
[[nodiscard]] Result<void> copy_keys(engine::Engine& source, BatchWriter* writer,
                                     const CopyWish& wish, CopyCounts& counts);

}  // namespace firnlog::recovery
