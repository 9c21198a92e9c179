"""Rows of what history costs: checkpoints, compaction and the space of old values, under load.

As in rows.py a row is a function of its name, the options and the servers that run anyway.
"""

import dataclasses
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
    for number in range(min(options.slices, 2)):
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


@dataclasses.dataclass
class Overwrites:
    """10 M SETs over 1 M keys, history off, rewrites on: what is written, kept and reached. Drawn
    evenly beside Redis; then by Zipf, which has to cost less than that."""
    value_bytes: int
    kept_goal: float
    rate_goal: float | None = None
    written_goal: float | None = None  # bytes a byte of payload; None: no more than Redis

    def _run(self, options, make, peer, drawn, *more):
        """The rate, bytes written a byte of payload, the most on the disk as a multiple of what is
        live."""
        operations, keys = options.scaled(10_000_000), options.scaled(1_000_000)
        server = make(options, peer, "--appendfsync", "everysec", *more)
        try:
            loads.feed_keys(server, keys, value=b"x" * self.value_bytes)
            watch = Watch(lambda: on_disk(server.directory), 0.2)
            try:
                before = _written(server)
                run = options.generator.run(server, 50, 16, operations, keys, loads.SET(
                    value_bytes=self.value_bytes, drawn=drawn))
                time.sleep(2)  # what is dirty reaches the disk
                os.sync()
                written = _written(server) - before
            finally:
                most = watch.end()
        finally:
            server.remove()
        record = 16 + self.value_bytes
        return run["rate"], written / (operations * record), most / (keys * record)

    def __call__(self, name, options, _pair):
        rate, written, kept = self._run(options, peers.firnlog, "firnlog-over", "uniform",
                                        "--retain", "0")
        rate_redis, written_redis, kept_redis = self._run(
            options, peers.redis, "redis-over", "uniform", "--auto-aof-rewrite-percentage", "100")
        size, ratio = f"values of {self.value_bytes} bytes", rate / rate_redis
        yield Measure(name, f"rate of overwrites, {size}, rewrites on, × Redis",
                      f"{rate / 1e3:.0f} k/s", f"{rate_redis / 1e3:.0f} k/s", ratio, f"{ratio:.2f}",
                      goal=self.rate_goal)
        if self.written_goal is None:
            ratio = written / written_redis
            yield Measure(name, f"bytes written a byte of payload, {size}, × Redis",
                          f"{written:.2f}", f"{written_redis:.2f}", ratio, f"{ratio:.2f}",
                          at_most=True, goal=1)
        else:
            yield Measure(name, f"bytes written a byte of payload, {size}", f"{written:.2f}",
                          f"{written_redis:.2f}", written, f"{written:.2f}", at_most=True,
                          goal=self.written_goal)
        yield Measure(name, f"the most on the disk, {size}, × live", f"{kept:.1f}",
                      f"{kept_redis:.1f}", kept, f"{kept:.1f}", at_most=True, goal=self.kept_goal)
        if options.generator.firnlog is None:
            options.skip(f"{name}, Zipf", "redis-benchmark draws evenly alone")
            return
        _, written_zipf, kept_zipf = self._run(options, peers.firnlog, "firnlog-zipf", "zipf:0.99",
                                               "--retain", "0")
        for what, ours, even in (("bytes written", written_zipf, written),
                                 ("the most on the disk", kept_zipf, kept)):
            yield Measure(name, f"{what}, {size}, Zipf 0.99, × those drawn evenly", f"{ours:.2f}",
                          f"{even:.2f}, drawn evenly", ours / even, f"{ours / even:.2f}",
                          at_most=True, goal=1)


def saving_memory(name, options, _pair):
    """Anonymous memory while a checkpoint of 4 M keys is taken, above what there was before."""
    server = peers.firnlog(options, "firnlog-saving", "--appendfsync", "everysec")
    try:
        loads.feed_keys(server, options.scaled(4_000_000))
        more = []
        for _ in range(min(options.slices, 3)):
            before = server.anonymous_bytes()
            watch = Watch(server.anonymous_bytes, 0.005)
            server.save()
            more.append(max(0, watch.end() - before) / MIB)
    finally:
        server.remove()
    yield Measure(name, "MiB of anonymous memory more while saving", f"{max(more):.1f} MiB", "–",
                  max(more), spread(more, 1), at_most=True, goal=64)


ROWS = {
    "calm": calm,
    "overwrites": Overwrites(100, kept_goal=4, rate_goal=1.8),
    "overwrites-512": Overwrites(512, kept_goal=3, written_goal=1.5),
    "saving-memory": saving_memory,
}
