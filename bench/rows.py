"""Rows: each line of the table of goals, as something that can be measured.

A row is a function of its name, the options and the servers that run anyway; it yields Measures, or
says why it could not be measured here.
"""

import os
import random
import statistics
import subprocess
import time

import copies
import history
import loads
import one_tag
import past
import peers
import restarts
from measure import Measure, spread
from rates import KEYS, Rate

MIB = 1 << 20


def fdatasync_ms(directory):
    """What making a small write durable takes there; the median of twenty."""
    path = os.path.join(directory, "bench-fsync")
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    took = []
    for number in range(20):
        os.pwrite(fd, b"x" * 4096, 4096 * number)
        began = time.perf_counter()
        os.fdatasync(fd)
        took.append((time.perf_counter() - began) * 1e3)
    os.close(fd)
    os.unlink(path)
    return statistics.median(took)


def get_beside_slow_fsync(name, options, _pair):
    """GETs of keys nobody writes, with and without 50 writers whose every write waits for an fsync
    of ten milliseconds."""
    if options.slow_dir is None:
        options.skip(name, "it needs --slow-dir DIR on a disk whose fsync takes 10 ms")
        return
    slow = fdatasync_ms(options.slow_dir)
    if not 8 <= slow <= 30:
        options.skip(name, f"an fsync takes {slow:.1f} ms in {options.slow_dir}, not 10")
        return
    server = peers.Server("firnlog-slow", [options.firnlog, "serve"],
                          os.path.join(options.slow_dir, "bench-firnlog"))
    try:
        keys = options.scaled(100_000)
        loads.feed_keys(server, keys)
        reads = (10, 1, options.scaled(100_000), keys, loads.GET())
        options.generator.run(server, *reads)
        alone, beside = [], []
        for _ in range(options.slices):
            alone.append(options.generator.run(server, *reads)["p99"])
            writers = subprocess.Popen(
                options.generator.argv(server, 50, 1, 100_000_000, keys, loads.SET("own:")),
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                time.sleep(0.3)
                beside.append(options.generator.run(server, *reads)["p99"])
                if writers.poll() is not None:
                    raise SystemExit("bench: the writers beside the GETs have died")
            finally:
                writers.kill()
                writers.wait()
        ratios = [b / a for b, a in zip(beside, alone)]
        yield Measure(name, f"p99 of GET, × without writers (fsync {slow:.1f} ms)",
                      f"{statistics.median(beside):.3f} ms beside",
                      f"{statistics.median(alone):.3f} ms alone", statistics.median(ratios),
                      spread(ratios), at_most=True, goal=2, stretch=1.2)
    finally:
        server.remove()


def _grow(options, keys, prefix, digits, probe_prefix):
    """Loads `keys` keys; the largest anonymous memory a key from half of them on, at every hundred
    thousand, and the p99.9 of single SETs meanwhile."""
    server = peers.firnlog(options, "firnlog-grow", "--appendfsync", "everysec")
    try:
        empty = server.anonymous_bytes()
        worst = at = 0

        def look(done):
            nonlocal worst, at
            if done * 2 >= keys:
                a_key = (server.anonymous_bytes() - empty) / int(server.ask("DBSIZE"))
                if a_key > worst:
                    worst, at = a_key, done

        probe = loads.Probe(server, probe_prefix)
        loads.feed_keys(server, keys, look, prefix, digits)
        p999 = probe.p999_ms()
        look(keys)
        return worst, at, p999
    finally:
        server.remove()


def memory_a_key(name, options, _pair):
    worst, at, p999 = _grow(options, options.scaled(16_000_000), b"key:", 12, "own:")
    yield Measure(name, "bytes of RAM a key, the most from 8 to 16 M", f"{worst:.1f} at {at:,} keys",
                  f"p99.9 of SET {p999:.2f} ms", worst, f"{worst:.1f}", at_most=True, goal=24,
                  stretch=20)


def memory_one_tag(name, options, _pair):
    """The same number of keys twice: spread over the stripes, and all of them in one."""
    keys = options.scaled(10_000_000)
    _, _, p999_spread = _grow(options, keys, b"key:", 12, "own:")
    worst, at, p999 = _grow(options, keys, b"{t}:", 12, "{t}o:")
    yield Measure(name, "bytes of RAM a key under one hash tag, the most from 5 to 10 M",
                  f"{worst:.1f} at {at:,} keys", "–", worst, f"{worst:.1f}", at_most=True,
                  goal=24, stretch=20)
    # "As without": a quarter is what two equal runs differ by on a shared machine.
    yield Measure(name, "p99.9 of SET meanwhile, × without the tag", f"{p999:.2f} ms",
                  f"{p999_spread:.2f} ms without", p999 / p999_spread, f"{p999 / p999_spread:.2f}",
                  at_most=True, goal=1.25)


def log_bytes(name, options, pair):
    firnlog, redis = pair.get(options, "firnlog"), pair.get(options, "redis")
    operations, figures = options.scaled(1_000_000), []
    for server, field in ((firnlog, "log_tail_lsn"), (redis, "aof_current_size")):
        server.ask("CONFIG", "SET", "appendfsync", "always")
        before = int(server.info(field))
        options.generator.run(server, 50, 16, operations, options.scaled(KEYS), loads.SET())
        figures.append((int(server.info(field)) - before) / (operations * 116))
    yield Measure(name, "bytes of log a byte of payload (16 + 100, pipeline 16)",
                  f"{figures[0]:.3f}", f"{figures[1]:.3f}", figures[0], f"{figures[0]:.3f}",
                  at_most=True, goal=1.15)


def setbits(name, options, pair):
    server = pair.get(options, "firnlog")
    server.ask("CONFIG", "SET", "appendfsync", "everysec")
    rng = random.Random(1)
    server.ask("DEL", "bits")
    value = rng.randbytes(64 * MIB)
    server.ask("SET", "bits", value)
    operations, before = options.scaled(1_000_000), int(server.info("log_tail_lsn"))
    head = b"*4\r\n$6\r\nSETBIT\r\n$4\r\nbits\r\n"
    bits = 64 * MIB * 8

    def setbit(_):  # each of them changes its bit
        at = rng.randrange(bits)
        offset, bit = b"%d" % at, value[at >> 3] >> (7 - at & 7) & 1
        return head + b"$%d\r\n%s\r\n$1\r\n%d\r\n" % (len(offset), offset, 1 - bit)

    began = time.perf_counter()
    loads.feed(server, setbit, operations)
    took = time.perf_counter() - began
    megabytes = (int(server.info("log_tail_lsn")) - before) / 1e6
    server.ask("DEL", "bits")
    yield Measure(name, f"MB of log, {operations:,} SETBITs on 64 MiB",
                  f"{megabytes:.1f} MB, {operations / took / 1e3:.0f} k/s", "–", megabytes,
                  f"{megabytes:.1f}", at_most=True, goal=200)


def replay(name, options, _pair):
    """Kill -9, start, first PONG; Redis loads its AOF of the same commands in the same minutes."""
    records, rates = options.scaled(10_000_000), {}
    # All of the log, as if there had never been a checkpoint.
    for make, peer, *more in ((peers.firnlog, "firnlog-replay", "--checkpoint-log-bytes", "0"),
                              (peers.redis, "redis-replay")):
        server = make(options, peer, "--appendfsync", "everysec", *more)
        try:
            loads.feed_keys(server, records)
            time.sleep(2.5)  # everysec: everything is on the disk
            took = []
            for _ in range(min(options.slices, 3)):
                server.kill()
                server.start()
                if int(server.ask("DBSIZE")) != records:
                    raise SystemExit(f"bench: {peer} lost keys over kill -9")
                took.append(server.seconds_to_ready)
            if make is peers.firnlog and int(server.info("recovery_records")) < records:
                options.skip(name, "a checkpoint spared it the replay of "
                             f"{records - int(server.info('recovery_records')):,} records")
                return
            rates[peer] = [records / t / 1e6 for t in took]
        finally:
            server.remove()
    ours, theirs = rates["firnlog-replay"], rates["redis-replay"]
    yield Measure(name, f"M records/s, {records:,} records, spawn to PONG",
                  f"{statistics.median(ours):.2f} M/s", f"{statistics.median(theirs):.2f} M/s (AOF)",
                  statistics.median(ours), spread(ours), goal=3, stretch=5)


def start_empty(name, options, _pair):
    times, sizes = [], []
    for number in range(max(options.slices, 5)):
        server = peers.firnlog(options, f"firnlog-empty-{number}")
        times.append(server.seconds_to_ready * 1e3)
        sizes.append(server.resident_bytes() / MIB)
        server.remove()
    redis = peers.redis(options, "redis-empty")
    beside = redis.seconds_to_ready * 1e3, redis.resident_bytes() / MIB
    redis.remove()
    yield Measure(name, "ms from exec to the first PONG, empty store",
                  f"{statistics.median(times):.0f} ms", f"{beside[0]:.0f} ms",
                  statistics.median(times), spread(times, 0), at_most=True, goal=50)
    yield Measure(name, "MiB resident, empty store", f"{statistics.median(sizes):.1f} MiB",
                  f"{beside[1]:.1f} MiB", statistics.median(sizes), spread(sizes, 1), at_most=True,
                  goal=30)


P16, P1 = 1_500_000, 200_000
ROWS = {
    "set-always-p16": Rate("always", loads.SET(), 50, 16, P16, 2.5, 3.0, off_stretch=1.5),
    "set-always-c500-p16": Rate("always", loads.SET(), 500, 16, P16, 3.0, 3.5),
    "set-always-p1": Rate("always", loads.SET(), 50, 1, P1, 1.25, 1.4, 0.75, 0.65),
    "set-everysec-p16": Rate("everysec", loads.SET(), 50, 16, P16, 2.0, 2.5),
    "set-everysec-p1": Rate("everysec", loads.SET(), 50, 1, P1, 1.0, None, 0.85),
    "get-p16": Rate("everysec", loads.GET(), 50, 16, 2_000_000, 1.8, 2.2, 0.5),
    "set-always-c1-p1": Rate("always", loads.SET(), 1, 1, 12_000, 1.35, 1.6),
    "get-beside-slow-fsync": get_beside_slow_fsync,
    "memory-a-key": memory_a_key,
    "memory-one-tag": memory_one_tag,
    "log-bytes": log_bytes,
    "setbits": setbits,
    "replay": replay,
    "start-empty": start_empty,
    **history.ROWS,
    **past.ROWS,
    **restarts.ROWS,
    **copies.ROWS,
    **one_tag.ROWS,
}
