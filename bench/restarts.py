"""Rows of restarts: how soon a server answers that was killed."""

import statistics
import time

import loads
import peers
from measure import Measure, spread


def first_get(server, key):
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
                took[peer] = [first_get(server, f"key:{keys // 2:012d}") for _ in range(3)]
            finally:
                server.remove()
        ours, theirs = took["firnlog-restart"], took["redis-restart"]
        medians[keys] = statistics.median(ours)
        yield Measure(name, f"seconds from exec to the first GET, {keys:,} keys", f"{spread(ours)} s",
                      f"{spread(theirs)} s", medians[keys], spread(ours), at_most=True, goal=0.25)
    few, many = medians.values()
    yield Measure(name, "the latter, × the former", f"{many / few:.2f}", "", many / few,
                  f"{many / few:.2f}", at_most=True, goal=1.3)


ROWS = {
    "restart": restart,
}
