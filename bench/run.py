#!/usr/bin/python3
"""Firnlog beside redis-server, in the same minutes: every row of the table of goals.

    ./dev bench                                       everything, some three quarters of an hour
    ./dev bench --rows set-always-p16,get-p16 --slices 3
    ./dev bench --rows get-beside-slow-fsync --slow-dir DIR
    ./dev bench --generator redis-benchmark           the load by Redis's own program
    ./dev bench --markdown FILE                       also writes the table there
    ./dev bench --list                                names the rows

What compares, alternates: the servers run at the same time on directories of one file system, one
of them under load at a time, slice by slice. A ratio is Firnlog's figure divided by the peer's of the same
slice; given are the median and, in brackets, the smallest and the largest. CPU is the server's user
and system time from /proc. Machines are noisy: trust ratios, repeat.

The exit code is 0 when everything asked for was measured, whatever the verdicts; 1 otherwise.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile

import loads
import rates
import rows

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEAD = ["| row | measured | Firnlog | beside | value | goal (stretch) | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- |"]


class Options:
    """What was asked for, where the data lies, and which rows could not be measured."""

    def __init__(self, arguments):
        self.firnlog, self.slices = arguments.firnlog, arguments.slices
        self.scale, self.slow_dir = arguments.scale, arguments.slow_dir
        self.generator = loads.Generator(
            arguments.firnlog if arguments.generator == "firnlog" else None)
        self.data = None
        self.skipped = []

    def scaled(self, count):
        return max(int(count * self.scale), 1000)

    def skip(self, row, why):
        self.skipped.append(row)
        print(f"skipped {row}: {why}", flush=True)


def measure(options, names):
    pair = rates.Pair()
    try:
        for name in names:
            for it in rows.ROWS[name](name, options, pair):
                print(f"{name:22} {it.what}: {it.text}   goal {it.goals()}   {it.verdict()}\n"
                      f"{'':22} {it.ours}   beside {it.peer}", flush=True)
                yield (f"| {it.row} | {it.what} | {it.ours} | {it.peer} | {it.text} |"
                       f" {it.goals()} | {it.verdict()} |")
    finally:
        pair.remove()


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--firnlog", default=os.path.join(ROOT, "build/release/firnlog"))
    parser.add_argument("--rows", help="comma-separated; default: all")
    parser.add_argument("--slices", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0,
                        help="of all counts: 0.01 shows that a row runs, and nothing else")
    parser.add_argument("--dir", help="where the servers' data lies (a real disk; default: bench/)")
    parser.add_argument("--slow-dir", help="a directory on a disk whose fsync takes 10 ms")
    parser.add_argument("--generator", choices=["firnlog", "redis-benchmark"], default="firnlog",
                        help="what puts the load on both servers (default: firnlog bench)")
    parser.add_argument("--markdown", help="write the table to this file")
    parser.add_argument("--list", action="store_true", help="name the rows")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(rows.ROWS))
        return 0
    names = arguments.rows.split(",") if arguments.rows else list(rows.ROWS)
    if unknown := [name for name in names if name not in rows.ROWS]:
        raise SystemExit(f"bench: no such row: {', '.join(unknown)}; --list names them")
    if not os.access(arguments.firnlog, os.X_OK):
        raise SystemExit(f"bench: there is no {arguments.firnlog} (./dev build makes it)")
    options = Options(arguments)
    options.data = tempfile.mkdtemp(prefix="bench-data-",
                                    dir=arguments.dir or os.path.join(ROOT, "bench"))
    try:
        lines = [*HEAD, *measure(options, names)]
    finally:
        shutil.rmtree(options.data, ignore_errors=True)
    if arguments.markdown:
        with open(arguments.markdown, "w", encoding="utf-8") as table:
            table.write("\n".join(lines) + "\n")
    return 1 if options.skipped else 0


if __name__ == "__main__":
    # Ended from outside it ends its servers all the same.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    sys.exit(main())
