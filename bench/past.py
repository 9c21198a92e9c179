"""Rows of the past: what is asked of a moment that is gone, and what is brought back from it."""

import random
import statistics
import time

import loads
import peers
from measure import Measure, spread
from watch import MIB, Watch


def _until_sidecars(server):
    """Sidecars are made behind the log."""
    until = time.monotonic() + 300
    while int(server.info("sidecar_missing")) != 0 or int(server.info("sidecar_files")) == 0:
        if time.monotonic() > until:
            raise SystemExit("bench: the sidecars are never there")
        time.sleep(0.5)
    time.sleep(2)


def past_get(name, options, _pair, *more, value=loads.VALUE, segments_goal=0):
    """What a key was at a random moment of ten million writes, every moment of which is kept; one
    asker, who asks for no moment twice. Some of the keys were written once, before all others: to
    find such a one takes a look at all the log between."""
    keys, records, once = options.scaled(1_000_000), options.scaled(10_000_000), 1000
    server = peers.firnlog(options, "firnlog-past", "--appendfsync", "everysec",
                           "--retain-bytes", "16gb", *more)
    try:
        rng = random.Random(1)
        loads.feed_keys(server, once, prefix=b"once:", digits=11, value=value)
        begin = int(server.info("log_tail_lsn"))
        for _ in range(records // keys):
            loads.feed_keys(server, keys, value=value)
        end = int(server.info("log_tail_lsn"))
        _until_sidecars(server)
        loads.feed_keys(server, options.scaled(50_000), value=value)
        took = {"GET": [], "GET, a key written once": [], "HISTORY": []}

        def ask(what, *words):
            began = time.perf_counter()
            reply = server.ask("FIRN", *words)
            took[what].append((time.perf_counter() - began) * 1e3)
            return reply

        for _ in range(200):
            key = f"key:{rng.randrange(keys):012d}"
            moment = rng.randrange(begin + (end - begin) // 20, end)
            if (reply := ask("GET", "GET", key, "LSN", moment)) not in (value.decode(), ""):
                raise SystemExit(f"bench: {key} was never {reply}")
            ask("HISTORY", "HISTORY", key)
            key = f"once:{rng.randrange(once):011d}"
            reply = ask("GET, a key written once", "GET", key, "LSN", moment - 1)
            if reply != value.decode():
                raise SystemExit(f"bench: {key} was not {reply}")
        segments, bytes_ = int(server.info("sidecar_files")), int(server.info("sidecar_bytes"))
    finally:
        server.remove()
    if segments < segments_goal * options.scale:
        options.skip(name, f"{segments} segments are too few")
        return
    for what, goal in (("GET", 50), ("GET, a key written once", 50), ("HISTORY", None)):
        seen = sorted(took[what])
        p99 = seen[int(len(seen) * 0.99)]
        yield Measure(name, f"ms for FIRN {what}, p99, {records:,} records of history",
                      f"p50 {statistics.median(seen):.1f}, max {seen[-1]:.1f} ms; {segments} "
                      f"sidecars, {bytes_ / MIB:.0f} MiB", "–", p99, f"{p99:.1f}", at_most=True,
                      goal=goal)


def past_get_many(name, options, pair):
    """The same in 5 GB of log in files as small as they may be, all of them behind the base: no
    checkpoint is taken."""
    yield from past_get(name, options, pair, "--segment-bytes-max", "4mb", "--sidecar-rate", "1gb",
                        "--save", "", "--checkpoint-log-bytes", "0", value=b"x" * 512,
                        segments_goal=1000)


def into_past(server, moment, key, value):
    """Seconds from FIRN ASOF until the first GET is answered, as of a moment when the key had that
    value."""
    with peers.Link(server.port, 300) as link:
        began = time.perf_counter()
        link.ask("FIRN", "ASOF", "LSN", moment)
        if (reply := link.ask("GET", key)) != value:
            raise SystemExit(f"bench: {key} was not {reply}")
        took = time.perf_counter() - began
        link.ask("FIRN", "ASOF", "OFF")
    while int(server.info("pasts_open")) != 0:
        time.sleep(0.1)
    return took


def moment_behind(options, server, operations, keys, prefix="key:"):
    """That many random SETs later: the moment, and what is asked there, a key with its value."""
    key, value = f"{prefix}then", f"behind {operations}"
    options.generator.run(server, 50, 16, operations, keys, loads.SET(prefix))
    server.ask("SET", key, value)
    moment = server.info("log_tail_lsn")
    server.ask("SET", key, "now")
    time.sleep(2)  # everysec: all of it is on the disk
    return moment, key, value


def asof(name, options, _pair):
    """A connection goes into the past of 10 M keys, few and many operations behind its base."""
    keys = options.scaled(10_000_000)
    for operations, memory_goal in ((options.scaled(100_000), 64),
                                    (options.scaled(10_000_000), None)):
        # Each has a server of its own: memory that a past let go of is used for the next one.
        server = peers.firnlog(options, "firnlog-asof", "--appendfsync", "everysec",
                               "--retain-bytes", "16gb")
        try:
            loads.feed_keys(server, keys)
            server.save()
            server.ask("FIRN", "WALK", "PAUSE")  # that stays the base
            there = moment_behind(options, server, operations, keys)
            # Nothing is written meanwhile: the tail's images stay what they are.
            before = server.resident_bytes("RssAnon")
            watch = Watch(lambda it=server: it.resident_bytes("RssAnon"), 0.01)
            try:
                took = [into_past(server, *there)]
            finally:
                more = max(0, watch.end() - before) / MIB
            took += [into_past(server, *there) for _ in range(min(options.slices, 3) - 1)]
        finally:
            server.remove()
        behind = f"{keys:,} keys, {operations:,} operations since the base"
        yield Measure(name, f"seconds from FIRN ASOF to the first GET, {behind}", f"{spread(took)} s",
                      "–", statistics.median(took), spread(took), at_most=True, goal=5)
        yield Measure(name, f"MiB of anonymous memory more, {behind}", f"{more:.1f} MiB", "–", more,
                      f"{more:.1f}", at_most=True, goal=memory_goal)


def _flush(server):
    began = time.perf_counter()
    server.ask("FLUSHALL", seconds=120)
    return (time.perf_counter() - began) * 1e3


def flush_and_undo(server, keys):
    """ms for FLUSHALL, and until all keys are back."""
    before = server.info("log_tail_lsn")
    flushed = _flush(server)
    began = time.perf_counter()
    server.ask("FIRN", "RESTORE", "MATCH", "*", "LSN", before, "ALLDBS", seconds=120)
    undone = (time.perf_counter() - began) * 1e3
    if int(server.ask("DBSIZE")) != keys:
        raise SystemExit("bench: not all keys are back")
    return flushed, undone


def flushall(name, options, _pair):
    """FLUSHALL of 10 M keys, and its undo, until each answers."""
    keys, took, undo = options.scaled(10_000_000), {}, None
    for make, peer in ((peers.firnlog, "firnlog-flush"), (peers.redis, "redis-flush")):
        server = make(options, peer, "--appendfsync", "everysec")
        try:
            loads.feed_keys(server, keys)
            if make is peers.firnlog:
                took[peer], undo = flush_and_undo(server, keys)
            else:
                took[peer] = _flush(server)
        finally:
            server.remove()
    yield Measure(name, f"ms until a FLUSHALL of {keys:,} keys is undone", f"{undo:.1f} ms", "–", undo,
                  f"{undo:.1f}", at_most=True, goal=50)
    yield Measure(name, f"ms for FLUSHALL of {keys:,} keys", f"{took['firnlog-flush']:.1f} ms",
                  f"{took['redis-flush']:.0f} ms", took["firnlog-flush"],
                  f"{took['firnlog-flush']:.1f}", at_most=True, goal=50)


ROWS = {
    "past-get": past_get,
    "past-get-many": past_get_many,
    "asof": asof,
    "flushall": flushall,
}
