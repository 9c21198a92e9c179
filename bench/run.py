#!/usr/bin/python3
"""Firnlog beside redis-server, in the same minutes: alternated slices, medians, spread, ratios.

    bench/run.py                     every row, about ten minutes
    bench/run.py --rows set-always-p16,get-p16 --slices 3
    bench/run.py --markdown FILE     also writes the table there

Both servers run at the same time on data directories of the same file system; only one is under load
at a time. The load is redis-benchmark's. CPU an operation is the server's user and system time from
/proc. A ratio is Firnlog's figure divided by Redis's, slice by slice; the median is given, and the
smallest and largest in brackets. Machines are noisy: trust ratios, repeat.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KEYS = 1_000_000
VALUE = 100
TICKS = os.sysconf("SC_CLK_TCK")

# name, policy, command, connections, pipeline, operations a slice, goal, stretch
ROWS = [
    ("set-always-p16", "always", "set", 50, 16, 1_500_000, 2.5, 3.0),
    ("set-always-c500-p16", "always", "set", 500, 16, 1_500_000, 3.0, 3.5),
    ("set-always-p1", "always", "set", 50, 1, 200_000, 1.25, 1.4),
    ("set-always-c1-p1", "always", "set", 1, 1, 12_000, 1.35, 1.6),
    ("set-everysec-p16", "everysec", "set", 50, 16, 1_500_000, 2.0, 2.5),
    ("set-everysec-p1", "everysec", "set", 50, 1, 200_000, 1.0, None),
    ("get-p16", "everysec", "get", 50, 16, 2_000_000, 1.8, 2.2),
    ("get-p1", "everysec", "get", 50, 1, 200_000, None, None),
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, name, argv, port):
        self.name, self.port = name, port
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                if self.ask("PING") == "PONG":
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise SystemExit(f"{name} does not answer")

    def ask(self, *words):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as link:
            link.sendall(b"*%d\r\n" % len(words)
                         + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
            return link.recv(65536).decode(errors="replace").lstrip("+").strip()

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return {m[1]: int(m[2]) * 1024
                    for m in re.finditer(r"(Vm\w+|Rss\w+):\s+(\d+) kB", status.read())}

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def load(server, command, connections, pipeline, operations, keys=KEYS):
    """One slice: operations a second, p50 and p99 in ms, server CPU µs an operation."""
    cpu = server.cpu_seconds()
    out = subprocess.run(
        ["redis-benchmark", "-p", str(server.port), "-t", command, "-n", str(operations),
         "-c", str(connections), "-P", str(pipeline), "-d", str(VALUE), "-r", str(keys), "--csv"],
        capture_output=True, text=True, check=True).stdout
    cpu = server.cpu_seconds() - cpu
    row = [cell.strip('"') for cell in out.strip().splitlines()[-1].split(",")]
    return {"rate": float(row[1]), "p50": float(row[4]), "p99": float(row[6]),
            "cpu": cpu * 1e6 / operations}


def spread(values, digits=2):
    middle = statistics.median(values)
    return f"{middle:.{digits}f} [{min(values):.{digits}f}–{max(values):.{digits}f}]"


def run_row(row, firnlog, redis, slices):
    name, policy, command, connections, pipeline, operations, goal, stretch = row
    servers = [firnlog, redis]
    for server in servers:
        server.ask("CONFIG", "SET", "appendfsync", policy)
        load(server, command, connections, pipeline, max(operations // 5, 1000))  # warm
    results = {server.name: [] for server in servers}
    for number in range(slices):
        for server in servers if number % 2 == 0 else reversed(servers):
            results[server.name].append(load(server, command, connections, pipeline, operations))
    pairs = list(zip(results["firnlog"], results["redis"]))
    ratios = [ours["rate"] / theirs["rate"] for ours, theirs in pairs]
    cpus = [ours["cpu"] / theirs["cpu"] for ours, theirs in pairs if theirs["cpu"] > 0]
    median = {name: {key: statistics.median(s[key] for s in slices_of) for key in slices_of[0]}
              for name, slices_of in results.items()}
    verdict = "–" if goal is None else "met" if statistics.median(ratios) >= goal else "missed"
    if stretch is not None and statistics.median(ratios) >= stretch:
        verdict = "stretch"
    print(f"{name:22} {median['firnlog']['rate']/1e3:8.1f} k/s {median['redis']['rate']/1e3:8.1f} k/s"
          f"  x {spread(ratios)}  cpu x {spread(cpus)}  goal {goal or '–'}  {verdict}", flush=True)
    return (f"| {name} | {median['firnlog']['rate']/1e3:.0f} k/s, p99 {median['firnlog']['p99']:.2f} ms,"
            f" {median['firnlog']['cpu']:.2f} µs | {median['redis']['rate']/1e3:.0f} k/s, p99"
            f" {median['redis']['p99']:.2f} ms, {median['redis']['cpu']:.2f} µs | {spread(ratios)} |"
            f" {spread(cpus)} | {goal or '–'} | {verdict} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--firnlog", default=os.path.join(ROOT, "build/release/firnlog"))
    parser.add_argument("--rows", help="comma-separated; default: all")
    parser.add_argument("--slices", type=int, default=5)
    parser.add_argument("--dir", help="where the servers' data lies (a real disk; default: bench/)")
    parser.add_argument("--markdown", help="write the table to this file")
    options = parser.parse_args()
    rows = [row for row in ROWS if not options.rows or row[0] in options.rows.split(",")]
    if not rows or not os.access(options.firnlog, os.X_OK):
        raise SystemExit("bench: no such row, or no binary (./dev build first)")
    data = tempfile.mkdtemp(prefix="bench-data-", dir=options.dir or os.path.join(ROOT, "bench"))
    servers = []
    lines = ["| row | Firnlog | Redis | rate × | CPU an op × | goal | verdict |",
             "| --- | --- | --- | --- | --- | --- | --- |"]
    try:
        for name in ("firnlog", "redis"):
            os.mkdir(os.path.join(data, name))
        port = free_port()
        firnlog = Server("firnlog", [options.firnlog, "serve", "--port", str(port), "--dir",
                                     os.path.join(data, "firnlog")], port)
        servers.append(firnlog)
        port = free_port()
        redis = Server("redis", ["redis-server", "--port", str(port), "--dir",
                                 os.path.join(data, "redis"), "--appendonly", "yes", "--save", "",
                                 "--auto-aof-rewrite-percentage", "0"], port)
        servers.append(redis)
        for server in servers:
            load(server, "set", 50, 16, KEYS * 2)
        for row in rows:
            lines.append(run_row(row, firnlog, redis, options.slices))
        for server in servers:
            memory = server.memory()
            print(f"{server.name}: keys {server.ask('DBSIZE')} RssAnon {memory['RssAnon'] >> 20} MiB"
                  f" VmRSS {memory['VmRSS'] >> 20} MiB")
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(data, ignore_errors=True)
    if options.markdown:
        with open(options.markdown, "w", encoding="utf-8") as table:
            table.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
