#!/usr/bin/python3
"""How Firnlog's throughput grows with its reactors, on a machine with cores for it.

    bench/scale.py                              1, 2, 4 and 8 reactors, and redis-server beside them
    bench/scale.py --reactors 1,2 --slices 5
    bench/scale.py --markdown FILE              also writes the table there

One half of the cores is the server's, the other the generator's (`firnlog bench`, a thread for each of
its cores), so that neither takes what the other is measured by. Each number of reactors has a server
of its own with a million keys of 100 bytes; all run at the same time, one under load, slice by slice.
Given are medians, the smallest and the largest, and the server's CPU an operation from /proc.

The exit code is 0 when everything was measured; 1 otherwise.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import peers
from measure import spread

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GET, SET = "GET {key}", "SET {key} {value}"
#       what, policy, connections, pipeline, command
LOADS = [("GET, pipeline 16", "always", 128, 16, GET),
         ("GET, pipeline 64", "always", 64, 64, GET),
         ("GET, unpipelined", "always", 128, 1, GET),
         ("SET, `always`, pipeline 16", "always", 128, 16, SET),
         ("SET, `always`, unpipelined", "always", 128, 1, SET),
         ("SET, `everysec`, pipeline 16", "everysec", 128, 16, SET)]
KEYS = 1_000_000


class Machine:
    """Which cores are the server's and which the generator's."""

    def __init__(self, reactors_max):
        cores = sorted(os.sched_getaffinity(0))
        half = len(cores) // 2
        if half < reactors_max:
            raise SystemExit(f"scale: {reactors_max} reactors need {2 * reactors_max} cores, here "
                             f"are {len(cores)}")
        self.servers = ",".join(map(str, cores[:half]))
        self.generators = ",".join(map(str, cores[half:]))
        self.threads = len(cores) - half


def load(options, machine, server, connections, pipeline, command, *more):
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        subprocess.run(["taskset", "-c", machine.generators, options.firnlog, "bench", "-p",
                        str(server.port), "--threads", str(machine.threads), "-c", str(connections),
                        "-P", str(pipeline), "-r", str(KEYS), "--value", "100", "--quiet",
                        "--duration", f"{options.seconds}s", "--warmup", "500ms", "--json",
                        result.name, "--command", command, *more],
                       stdout=subprocess.DEVNULL, check=True)
        seen = json.load(result)["runs"][0]
    if seen["errors"] or seen["unanswered"] or seen["connections_lost"]:
        raise SystemExit(f"scale: {server.name} did not answer everything well")
    return seen["rate"], seen["server_process"]["cpu_us_a_request"]


def servers_of(options, machine):
    pinned = ["taskset", "-c", machine.servers]
    for reactors in options.reactors:
        yield peers.Server(f"{reactors} reactor" + "s" * (reactors > 1),
                           [*pinned, options.firnlog, "serve", "--threads", str(reactors)],
                           os.path.join(options.data, f"firnlog-{reactors}"))
    for threads in options.redis:
        yield peers.Server("redis" if threads == 1 else f"redis, {threads} io-threads",
                           [*pinned, options.redis_server, "--save", "", "--appendonly", "yes",
                            "--auto-aof-rewrite-percentage", "0", "--io-threads", str(threads),
                            "--io-threads-do-reads", "yes"],
                           os.path.join(options.data, f"redis-{threads}"))


def measure(options, machine, servers):
    for server in servers:
        load(options, machine, server, 64, 16, GET, "--load")
    for what, policy, connections, pipeline, command in LOADS:
        seen = {server.name: [] for server in servers}
        for server in servers:
            server.ask("CONFIG", "SET", "appendfsync", policy)
        for _ in range(options.slices):
            for server in servers:
                seen[server.name].append(
                    load(options, machine, server, connections, pipeline, command))
        base = statistics.median(rate for rate, _ in seen[servers[0].name])
        for name, figures in seen.items():
            rates = [rate for rate, _ in figures]
            row = (f"| {what} | {name} | {spread([rate / 1e3 for rate in rates], 0)} "
                   f"| {statistics.median(rates) / base:.2f} "
                   f"| {spread([cpu for _, cpu in figures])} |")
            print(row, flush=True)
            yield row


def numbers(text):
    return [int(part) for part in text.split(",") if part]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--firnlog", default=os.path.join(ROOT, "build/release/firnlog"))
    parser.add_argument("--redis-server", default="redis-server")
    parser.add_argument("--reactors", type=numbers, default=[1, 2, 4, 8])
    parser.add_argument("--redis", type=numbers, default=[1, 8],
                        help="io-threads of redis-servers beside them (1,8; '' for none)")
    parser.add_argument("--slices", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--dir", default=os.path.join(ROOT, "bench"),
                        help="where the servers' data lies (a real disk; default: bench/)")
    parser.add_argument("--markdown", help="write the table to this file")
    options = parser.parse_args()
    machine = Machine(max([*options.reactors, *options.redis]))
    options.data = tempfile.mkdtemp(prefix="bench-data-", dir=options.dir)
    servers = []
    try:
        for server in servers_of(options, machine):
            servers.append(server)
        lines = ["| load | server | k/s | × | CPU an operation, µs |", "| --- | --- | --- | --- | --- |"]
        print("\n".join(lines), flush=True)
        lines += measure(options, machine, servers)
    finally:
        for server in servers:
            server.remove()
        shutil.rmtree(options.data, ignore_errors=True)
    if options.markdown:
        with open(options.markdown, "w", encoding="utf-8") as out:
            print("\n".join(lines), file=out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
