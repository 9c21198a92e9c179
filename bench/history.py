"""Rows of what history costs: checkpoints, compaction and the space of old values, under load.

As in rows.py a row is a function of its name, the options and the servers that run anyway.
"""

import os
import random
import shutil
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


# What goes on meanwhile, and the events that are that. The first walk of a run has values to move.
CALM = (("a checkpoint is taken", "BG"),
        ("a walk moves values", "BGREWRITEAOF"),
        ("a backup is taken", "FIRN BACKUP START"))


def _calm_runs(options, server, keys, backups):
    """Open loops on it with saves, and with backups if it has them. Before each of them as many
    values as leave two fifths of the older ones in use are written at random: a walk moves these."""
    seconds, rng, runs = 30 if options.scale >= 1 else 8, random.Random(1), []
    set_of = loads.set_of(value=b"x" * open_loop.BYTES)
    for number in range(min(options.slices, 3)):
        loads.feed(server, lambda _: set_of(rng.randrange(keys)), keys * 9 // 10)
        events = [f"BGREWRITEAOF@{seconds // 6}s", f"BGSAVE@{seconds // 2}s",
                  f"BGSAVE@{seconds * 5 // 6}s"]
        if backups:
            events += [f"FIRN BACKUP START b{number}{i}@{seconds * (2 * i + 2) // 6}s"
                       for i in range(2)]
        runs.append(open_loop.load(options, server, events, keys, seconds))
    return runs


def calm(name, options, _pair):
    """Requests while something is saved, against the other ones of the same minute."""
    keys, runs, moved = options.scaled(4_000_000), {}, 0
    backups = os.path.join(options.data, "firnlog-calm-backups")
    for make, peer, *more in (
            # No walk but those that are asked for.
            (peers.firnlog, "firnlog-calm", "--retain", "0", "--save", "", "--checkpoint-log-bytes",
             "0", "--backup-dir", backups),
            (peers.redis, "redis-calm")):
        server = make(options, peer, "--appendfsync", "everysec", *more)
        try:
            loads.feed_keys(server, keys, value=b"x" * open_loop.BYTES)
            runs[peer] = _calm_runs(options, server, keys, make is peers.firnlog)
            if make is peers.firnlog:
                moved = int(server.info("relocated_records"))
        finally:
            server.remove()
            shutil.rmtree(backups, ignore_errors=True)
    for what, event in CALM:
        ours = open_loop.Seen(runs["firnlog-calm"], event)
        theirs = open_loop.Seen(runs["redis-calm"], event)
        if not ours.inside or (event == "BGREWRITEAOF" and moved == 0):
            options.skip(f"{name}, while {what}", " ".join(ours.errors) or "it moved nothing, or no "
                         "event lasted long enough to see a request")
            continue
        yield Measure(name, f"p99.9 while {what}, × outside", str(ours),
                      str(theirs) if theirs.inside else "–", statistics.median(ours.ratios),
                      spread(ours.ratios), at_most=True, goal=1.5)
        yield Measure(name, f"ms that the longest wait while {what} is above the generator's own "
                      "lateness", f"{ours.above_ms:.1f} ms",
                      f"{theirs.above_ms:.1f} ms" if theirs.inside else "–", ours.above_ms,
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
