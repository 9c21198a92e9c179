#pragma once
// Uring: Io over one io_uring ring (Linux 6.1 or newer), a ring for each reactor.
//
//   start ──> submission queue ──turn()──> kernel ──> completion queue ──turn()──> run
//                                    one io_uring_enter a turn
//
// The ring belongs to the thread that makes it (IORING_SETUP_SINGLE_ISSUER): make_uring, every call
// but post(), and the destruction happen on that thread; ensure() watches over it. Received bytes
// lie in a ring of buffers shared by all connections, so that an idle connection costs none. A recv
// that ran out of them is started again unseen: a caller never gets -ENOBUFS, and data always comes
// with `more` true. accept() goes on in the same way. Destroying it cancels what is in flight and
// waits until the kernel points at no memory of ours: a write under way is waited for, however
// long. Nothing is run any more then. Source: io_uring(7), io_uring_setup(2), io_uring_enter(2).

#include <memory>

#include "io/base/result.hpp"
#include "io/io.hpp"

namespace firnlog::io {

class Grace;

struct UringOptions {
    unsigned submissions = 1024;    // started between two enters; more of them cost an enter each
    unsigned completions = 8192;    // waiting to be run; the kernel keeps what does not fit
    unsigned buffers = 256;         // of recv, a power of two; 64 sufficed for 500 connections
    unsigned buffer_bytes = 16384;  // at most this much is received at once
    // The owner becomes a reader of it: quiescent when a turn begins, asleep while it waits in one.
    Grace* grace = nullptr;
};

// Whether this kernel lets us have what Uring needs; the error's text says what is in the way and
// what an operator can do about it.
[[nodiscard]] Result<void> probe_uring();

[[nodiscard]] Result<std::unique_ptr<Io>> make_uring(UringOptions options = {});

}  // namespace firnlog::io
