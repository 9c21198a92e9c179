"""Rows of what history costs: checkpoints, compaction and the space of old values, under load.

As in rows.py a row is a function of its name, the options and the servers that run anyway.
"""

import json
import os
import random
import re
import statistics
import subprocess
import tempfile
import threading
import time

import loads
import peers
from measure import Measure, spread

MIB = 1 << 20


def _written(server):
    """Bytes it has handed to the disk, all of them."""
    with open(f"/proc/{server.process.pid}/io", encoding="ascii") as io:
        return next(int(line.split()[1]) for line in io if line.startswith("write_bytes"))


def _on_disk(directory):
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.stat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


class _Watch:
    """The largest that something becomes while other things go on."""

    def __init__(self, look, seconds):
        self.look, self.seconds, self.most = look, seconds, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.over.wait(self.seconds):
            self.most = max(self.most, self.look())

    def end(self):
        self.over.set()
        self.thread.join()
        return self.most


def _open_loop(options, server, events, keys, seconds):
    """10 k/s, half GET and half SET of 512 bytes, on a schedule; what `firnlog bench` saw."""
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        subprocess.run([options.firnlog, "bench", "-p", str(server.port), "-c", "50", "--rate",
                        "10000", "-r", str(keys), "-d", "512", "--ratio", "1:1", "--warmup", "2s",
                        "--duration", f"{seconds}s", "--key-prefix", "key:", "--events",
                        ";".join(events), "--quiet", "--json", result.name],
                       stdout=subprocess.DEVNULL, check=True)
        return json.load(result)["runs"][0]


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
            runs = [_open_loop(options, server, events, keys, seconds)
                    for _ in range(min(options.slices, 3))]
        finally:
            server.remove()
        inside = [event for run in runs for event in run["events"] if event["requests"]]
        if not inside:
            options.skip(name, f"no event of {peer} lasted long enough to see a request")
            return
        quiet = statistics.median(run["outside_events"]["latency"]["p99.9_ns"] for run in runs)
        late = max(run["lateness"]["max_ns"] for run in runs) / 1e6
        seen[peer] = {
            "ratios": [event["latency"]["p99.9_ns"] / quiet for event in inside],
            "p99.9": statistics.median(e["latency"]["p99.9_ns"] for e in inside) / 1e6,
            "quiet": quiet / 1e6,
            "above": max(0.0, max(e["latency"]["max_ns"] for e in inside) / 1e6 - late),
        }
    ours, theirs = seen["firnlog-calm"], seen["redis-calm"]
    yield Measure(name, "p99.9 while a checkpoint is taken, × outside",
                  f"{ours['p99.9']:.1f} ms, {ours['quiet']:.1f} outside",
                  f"{theirs['p99.9']:.1f} ms, {theirs['quiet']:.1f} outside",
                  statistics.median(ours["ratios"]), spread(ours["ratios"]), at_most=True, goal=1.5)
    yield Measure(name, "ms that the longest wait is above the generator's own lateness",
                  f"{ours['above']:.1f} ms", f"{theirs['above']:.1f} ms", ours["above"],
                  f"{ours['above']:.1f}", at_most=True, goal=15)


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
            watch = _Watch(lambda it=server: _on_disk(it.directory), 0.2)
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
            watch = _Watch(server.anonymous_bytes, 0.005)
            server.ask("SAVE")
            more.append(max(0, watch.end() - before) / MIB)
    finally:
        server.remove()
    yield Measure(name, "MiB of anonymous memory more while saving", f"{max(more):.1f} MiB", "–",
                  max(more), spread(more, 1), at_most=True, goal=64)


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


def _first_get(server, key):
    """Seconds from exec to the first GET that is answered, after a SIGKILL."""
    server.kill()
    began = time.perf_counter()
    server.start()
    if server.ask("GET", key) != loads.VALUE.decode():
        raise SystemExit(f"bench: {server.name} does not have {key}")
    return time.perf_counter() - began


def restart(name, options, _pair):
    """From exec to the first GET, with a checkpoint or a dump and no log behind it; page cache warm."""
    medians = {}
    for keys in (options.scaled(1_000_000), options.scaled(10_000_000)):
        took = {}
        for make, peer, more in ((peers.firnlog, "firnlog-restart", ["--save", ""]),
                                 (peers.redis, "redis-restart", ["--appendonly", "no"])):
            server = make(options, peer, "--appendfsync", "everysec", *more)
            try:
                loads.feed_keys(server, keys)
                server.ask("SAVE", seconds=300)
                took[peer] = [_first_get(server, f"key:{keys // 2:012d}") for _ in range(3)]
            finally:
                server.remove()
        ours, theirs = took["firnlog-restart"], took["redis-restart"]
        medians[keys] = statistics.median(ours)
        yield Measure(name, f"seconds from exec to the first GET, {keys:,} keys", f"{spread(ours)} s",
                      f"{spread(theirs)} s", medians[keys], spread(ours), at_most=True, goal=0.25)
    few, many = medians.values()
    yield Measure(name, "the latter, × the former", f"{many / few:.2f}", "", many / few,
                  f"{many / few:.2f}", at_most=True, goal=1.3)


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


ROWS = {
    "past-get": past_get,
    "calm": calm,
    "overwrites": overwrites,
    "saving-memory": saving_memory,
    "flushall": flushall,
    "restart": restart,
}
