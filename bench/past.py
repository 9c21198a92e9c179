"""Rows of the past: what is asked of a moment that is gone, and what is brought back from it."""

import random
import re
import statistics
import time

import loads
import peers
from measure import Measure
from watch import MIB


def past_get(name, options, _pair):
    """What a key was at a random moment of ten million writes, every moment of which is kept; one
    asker, who asks for no moment twice."""
    keys, records = options.scaled(1_000_000), options.scaled(10_000_000)
    server = peers.firnlog(options, "firnlog-past", "--appendfsync", "everysec",
                           "--retain-bytes", "8gb")
    try:
        rng = random.Random(1)
        begin = int(server.info("log_tail_lsn"))
        for _ in range(records // keys):
            loads.feed_keys(server, keys)
        end = int(server.info("log_tail_lsn"))
        # Sidecars are made behind the log.
        until = time.monotonic() + 300
        while int(server.info("sidecar_missing")) != 0 or int(server.info("sidecar_files")) == 0:
            if time.monotonic() > until:
                raise SystemExit("bench: the sidecars are never there")
            time.sleep(0.5)
        time.sleep(2)
        loads.feed_keys(server, options.scaled(50_000))
        took = {"GET": [], "HISTORY": []}
        for _ in range(200):
            key = f"key:{rng.randrange(keys):012d}"
            for verb, *more in (("GET", "LSN", rng.randrange(begin + (end - begin) // 20, end)),
                                ("HISTORY",)):
                began = time.perf_counter()
                reply = server.ask("FIRN", verb, key, *more)
                took[verb].append((time.perf_counter() - began) * 1e3)
                if verb == "GET" and reply not in (loads.VALUE.decode(), ""):
                    raise SystemExit(f"bench: {key} was never {reply}")
        segments, bytes_ = server.info("sidecar_files"), int(server.info("sidecar_bytes"))
    finally:
        server.remove()
    for verb, goal in (("GET", 50), ("HISTORY", None)):
        seen = sorted(took[verb])
        p99 = seen[int(len(seen) * 0.99)]
        yield Measure(name, f"ms for FIRN {verb}, p99, {records:,} records of history",
                      f"p50 {statistics.median(seen):.1f}, max {seen[-1]:.1f} ms; {segments} "
                      f"sidecars, {bytes_ / MIB:.0f} MiB", "–", p99, f"{p99:.1f}", at_most=True,
                      goal=goal)


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
    "flushall": flushall,
}
