"""Rates: one load on several servers by turns, slice by slice.

A ratio is Firnlog's figure divided by the peer's of the same slice, and the median of the ratios is
judged: what the machine does to a minute it does to both.
"""

import dataclasses
import statistics

import loads
import peers
from measure import Measure, spread

KEYS = 1_000_000


class Pair:
    """The servers of the rows about rates: started with the first of them, loaded with the same
    keys, and left running: only one is under load at a time."""

    def __init__(self):
        self.servers = {}

    def get(self, options, name):
        if name not in self.servers:
            make = {"firnlog": lambda: peers.firnlog(options),
                    "redis": lambda: peers.redis(options),
                    "redis-off": lambda: peers.redis(options, "redis-off", "--appendonly", "no"),
                    }[name]
            self.servers[name] = make()
            loads.feed_keys(self.servers[name], options.scaled(KEYS))
        return self.servers[name]

    def remove(self):
        for server in self.servers.values():
            server.remove()
        self.servers.clear()


@dataclasses.dataclass
class Rate:
    """One load on Firnlog and Redis by turns, under one policy."""
    policy: str
    command: loads.Command
    connections: int
    pipeline: int
    operations: int
    goal: float | None = None
    stretch: float | None = None
    cpu_goal: float | None = None
    cpu_stretch: float | None = None
    off_stretch: float | None = None  # against Redis without persistence

    def __call__(self, name, options, pair):
        names = ["firnlog", "redis"] + (["redis-off"] if self.off_stretch else [])
        servers = [pair.get(options, n) for n in names]
        operations, keys = options.scaled(self.operations), options.scaled(KEYS)
        load = (self.connections, self.pipeline)
        for server in servers:
            server.ask("CONFIG", "SET", "appendfsync", self.policy)
            options.generator.run(server, *load, max(operations // 5, 1000), keys, self.command)
        seen = {n: [] for n in names}
        for number in range(options.slices):
            for server in servers if number % 2 == 0 else reversed(servers):
                seen[server.name].append(
                    options.generator.run(server, *load, operations, keys, self.command))
        yield self._compared(name, seen, "redis", "rate", self.goal, self.stretch)
        yield self._compared(name, seen, "redis", "cpu", self.cpu_goal, self.cpu_stretch)
        if self.off_stretch:
            yield self._compared(name, seen, "redis-off", "rate", None, self.off_stretch)

    @staticmethod
    def _figure(slices, key):
        middle = {k: statistics.median(s[k] for s in slices) for k in slices[0]}
        if key == "cpu":
            return f"{middle['cpu']:.2f} µs an op"
        rate = middle["rate"]
        return (f"{rate / 1e3:.{0 if rate >= 1e5 else 1}f} k/s, p50 {middle['p50']:.2f},"
                f" p99 {middle['p99']:.2f} ms")

    def _compared(self, name, seen, peer, key, goal, stretch):
        ratios = [ours[key] / theirs[key]
                  for ours, theirs in zip(seen["firnlog"], seen[peer]) if theirs[key] > 0]
        what = {"rate": "rate", "cpu": "server CPU an op"}[key]
        beside = "Redis" if peer == "redis" else "Redis without persistence"
        if not ratios:  # a slice too short for the clock of /proc
            ratios = [float("nan")]
        return Measure(name, f"{what}, × {beside}", self._figure(seen["firnlog"], key),
                       self._figure(seen[peer], key), statistics.median(ratios), spread(ratios),
                       at_most=key == "cpu", goal=goal, stretch=stretch)
