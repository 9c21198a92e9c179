"""Rows of restarts: how soon a server answers that was killed, and how well in the next minute."""

import concurrent.futures
import os
import statistics
import threading
import time

import loads
import open_loop
import peers
from measure import Measure, spread


def _forget_pages():
    """What the kernel keeps of files in memory goes. False: this may not be done here."""
    os.sync()  # pages that are not on the disk yet would stay
    try:
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as caches:
            caches.write("3")
    except OSError:
        return False
    return True


def first_get(server, key, cold=False):
    """Seconds from exec to the first GET that is answered, after a SIGKILL. None: cold, where that
    cannot be had."""
    server.kill()
    if cold and not _forget_pages():
        server.start()
        return None
    began = time.perf_counter()
    server.start()
    if server.ask("GET", key) != loads.VALUE.decode():
        raise SystemExit(f"bench: {server.name} does not have {key}")
    return time.perf_counter() - began


def until_loaded(server):
    """Waits until all of its index is in memory."""
    until = time.monotonic() + 300
    while int(server.info("index_parts_waiting")) != 0:
        if time.monotonic() > until:
            raise SystemExit("bench: the index is never loaded")
        time.sleep(0.2)


def restart(name, options, _pair):
    """From exec to the first GET, with a checkpoint or a dump and no log behind it; page cache warm,
    and then, with the more keys, cold."""
    medians, cold = {}, {}
    many = options.scaled(10_000_000)
    for keys in (options.scaled(1_000_000), many):
        took = {}
        for make, peer, more in ((peers.firnlog, "firnlog-restart", ["--save", ""]),
                                 (peers.redis, "redis-restart", ["--appendonly", "no"])):
            server = make(options, peer, "--appendfsync", "everysec", *more)
            try:
                loads.feed_keys(server, keys)
                server.save()
                key = f"key:{keys // 2:012d}"
                took[peer] = [first_get(server, key) for _ in range(3)]
                if keys == many:  # a dump of so many takes a while: once
                    cold[peer] = [first_get(server, key, cold=True)
                                  for _ in range(3 if make is peers.firnlog else 1)]
            finally:
                server.remove()
        ours, theirs = took["firnlog-restart"], took["redis-restart"]
        medians[keys] = statistics.median(ours)
        yield Measure(name, f"seconds from exec to the first GET, {keys:,} keys", f"{spread(ours)} s",
                      f"{spread(theirs)} s", medians[keys], spread(ours), at_most=True, goal=0.25)
    few, many_took = medians.values()
    yield Measure(name, "the latter, × the former", f"{many_took / few:.2f}", "", many_took / few,
                  f"{many_took / few:.2f}", at_most=True, goal=1.3)
    ours, theirs = cold["firnlog-restart"], cold["redis-restart"]
    if None in ours + theirs:
        options.skip(f"{name}, cold", "/proc/sys/vm/drop_caches needs root")
        return
    yield Measure(name, f"seconds from exec to the first GET, {many:,} keys, page cache cold",
                  f"{spread(ours)} s", f"{theirs[0]:.2f} s", statistics.median(ours), spread(ours),
                  at_most=True, goal=1)


def _scanned(server, keys):
    """How many of the keys a full SCAN gives. It gives way to the load that it runs beside."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
    given, cursor = bytearray(keys), None
    with peers.Link(server.port, 120) as link:
        while cursor != "0":
            cursor, found = link.ask("SCAN", cursor or "0", "COUNT", "1000")
            for key in found:
                given[int(key[len("key:"):])] = 1
    return sum(given)


def _minute(options, server, keys):
    """A minute of the open loop with a SCAN begun at once: p99.9 in ms, and what the SCAN gave."""
    seconds = 60 if options.scale >= 1 else 8
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        scan = beside.submit(_scanned, server, keys)
        run = open_loop.load(options, server, [], keys, seconds, warmup="0s")
        return run["latency"]["p99.9_ns"] / 1e6, scan.result()


def after_restart(name, options, _pair):
    """The minute behind a restart, while the index comes in, and the same when all of it is there."""
    keys = options.scaled(10_000_000)
    server = peers.firnlog(options, "firnlog-after", "--appendfsync", "everysec")
    try:
        loads.feed_keys(server, keys)
        server.save()
        server.kill()
        server.start()
        waiting = server.info("index_parts_waiting")
        first, given = _minute(options, server, keys)
        until_loaded(server)
        steady, _ = _minute(options, server, keys)
    finally:
        server.remove()
    yield Measure(name, f"p99.9 in the minute behind a restart, {keys:,} keys, × steady",
                  f"{first:.1f} ms, {steady:.1f} steady; {waiting} parts of the index waited", "–",
                  first / steady, f"{first / steady:.2f}", at_most=True, goal=2)
    yield Measure(name, "keys that a full SCAN begun at once gave, of all", f"{given:,} of {keys:,}",
                  "–", given / keys, f"{given / keys:.6f}", goal=1)


ROWS = {
    "restart": restart,
    "after-restart": after_restart,
}
