"""Rows of what history costs: checkpoints, compaction and the space of old values, under load.

As in rows.py a row is a function of its name, the options and the servers that run anyway.
"""

import os
import statistics
import time

import loads
import open_loop
import peers
from measure import Measure, spread
from watch import MIB, Watch, on_disk


def _written(server):
    """Bytes it has handed to the disk, all of them."""
    with open(f"/proc/{server.process.pid}/io", encoding="ascii") as io:
        return next(int(line.split()[1]) for line in io if line.startswith("write_bytes"))


def calm(name, options, _pair):
    """Requests while a checkpoint is taken, against the other ones of the same minute."""
    keys, seconds = options.scaled(4_000_000), 40 if options.scale >= 1 else 8
    events = [f"BGSAVE@{seconds // 5}s", f"BGREWRITEAOF@{seconds // 2}s",
              f"BGSAVE@{seconds * 4 // 5}s"]
    seen = {}
    for make, peer, *more in ((peers.firnlog, "firnlog-calm", "--retain", "0"),
                              (peers.redis, "redis-calm")):
        server = make(options, peer, "--appendfsync", "everysec", *more)
        try:
            loads.feed_keys(server, keys)
            runs = [open_loop.load(options, server, events, keys, seconds)
                    for _ in range(min(options.slices, 3))]
        finally:
            server.remove()
        seen[peer] = open_loop.Seen(runs, "BG")
        if not seen[peer].inside:
            options.skip(name, f"no event of {peer} lasted long enough to see a request")
            return
    ours, theirs = seen["firnlog-calm"], seen["redis-calm"]
    yield Measure(name, "p99.9 while a checkpoint is taken, × outside", str(ours), str(theirs),
                  statistics.median(ours.ratios), spread(ours.ratios), at_most=True, goal=1.5)
    yield Measure(name, "ms that the longest wait is above the generator's own lateness",
                  f"{ours.above_ms:.1f} ms", f"{theirs.above_ms:.1f} ms", ours.above_ms,
                  f"{ours.above_ms:.1f}", at_most=True, goal=15)


def overwrites(name, options, _pair):
    """10 M SETs over 1 M keys, history off, rewrites on: what is written, kept and reached."""
    operations, keys = options.scaled(10_000_000), options.scaled(1_000_000)
    payload, rates, written, kept = operations * 116, {}, {}, {}
    for make, peer, *more in (
            (peers.firnlog, "firnlog-over", "--retain", "0"),
            (peers.redis, "redis-over", "--auto-aof-rewrite-percentage", "100")):
        server = make(options, peer, "--appendfsync", "everysec", *more)
        try:
            loads.feed_keys(server, keys)
            watch = Watch(lambda it=server: on_disk(it.directory), 0.2)
            before = _written(server)
            run = options.generator.run(server, 50, 16, operations, keys, loads.SET())
            time.sleep(2)  # what is dirty reaches the disk
            os.sync()
            written[peer] = (_written(server) - before) / payload
            kept[peer] = watch.end() / (keys * 116)
            rates[peer] = run["rate"]
        finally:
            server.remove()
    ratio = rates["firnlog-over"] / rates["redis-over"]
    yield Measure(name, "rate of overwrites, rewrites on, × Redis",
                  f"{rates['firnlog-over'] / 1e3:.0f} k/s", f"{rates['redis-over'] / 1e3:.0f} k/s",
                  ratio, f"{ratio:.2f}", goal=1.8)
    yield Measure(name, "bytes written a byte of payload, × Redis",
                  f"{written['firnlog-over']:.2f}", f"{written['redis-over']:.2f}",
                  written["firnlog-over"] / written["redis-over"],
                  f"{written['firnlog-over'] / written['redis-over']:.2f}", at_most=True, goal=1)
    yield Measure(name, "the most on the disk, × live", f"{kept['firnlog-over']:.1f}",
                  f"{kept['redis-over']:.1f}", kept["firnlog-over"], f"{kept['firnlog-over']:.1f}",
                  at_most=True, goal=4)


def saving_memory(name, options, _pair):
    """Anonymous memory while a checkpoint of 4 M keys is taken, above what there was before."""
    server = peers.firnlog(options, "firnlog-saving", "--appendfsync", "everysec")
    try:
        loads.feed_keys(server, options.scaled(4_000_000))
        more = []
        for _ in range(min(options.slices, 3)):
            before = server.anonymous_bytes()
            watch = Watch(server.anonymous_bytes, 0.005)
            server.ask("SAVE")
            more.append(max(0, watch.end() - before) / MIB)
    finally:
        server.remove()
    yield Measure(name, "MiB of anonymous memory more while saving", f"{max(more):.1f} MiB", "–",
                  max(more), spread(more, 1), at_most=True, goal=64)


ROWS = {
    "calm": calm,
    "overwrites": overwrites,
    "saving-memory": saving_memory,
}
