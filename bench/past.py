"""Rows of the past: what is asked of a moment that is gone, and what is brought back from it."""

import random
import re
import statistics
import time

import loads
import peers
from measure import Measure
from watch import MIB


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


def flushall(name, options, _pair):
    """FLUSHALL of 10 M keys, and its undo, until each answers."""
    keys, took, undo = options.scaled(10_000_000), {}, None
    for make, peer in ((peers.firnlog, "firnlog-flush"), (peers.redis, "redis-flush")):
        server = make(options, peer, "--appendfsync", "everysec")
        try:
            loads.feed_keys(server, keys)
            before = re.search(r"log_tail_lsn:(\d+)", server.ask("INFO", "persistence"))
            began = time.perf_counter()
            server.ask("FLUSHALL", seconds=120)
            took[peer] = (time.perf_counter() - began) * 1e3
            if peer != "firnlog-flush":
                continue
            began = time.perf_counter()
            server.ask("FIRN", "RESTORE", "MATCH", "*", "LSN", before[1], "ALLDBS", seconds=120)
            undo = (time.perf_counter() - began) * 1e3
            if int(server.ask("DBSIZE")) != keys:
                raise SystemExit("bench: not all keys are back")
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
    "flushall": flushall,
}
