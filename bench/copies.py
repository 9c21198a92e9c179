"""Rows of copies: a backup of a store that is served, and a store restored of it."""

import os
import re
import shutil
import statistics
import subprocess
import time

import loads
import open_loop
import peers
from measure import Measure, spread
from watch import MIB, own_on_disk


def _seconds_until_over(server, field, *words):
    """From a command until what it began in the background is over."""
    began = time.perf_counter()
    if (reply := server.ask(*words)).startswith("ERR"):
        raise SystemExit(f"bench: {server.name}: {reply}")
    while server.info(field) != "0":
        time.sleep(0.002)
    return time.perf_counter() - began


def _back_up(server, backup):
    took = _seconds_until_over(server, "backup_in_progress", "FIRN", "BACKUP", "START", backup)
    if server.info("backup_error") or server.info("backup_last_name") != backup:
        raise SystemExit(f"bench: no backup {backup}: {server.info('backup_error')}")
    return took


def _bytes_of(options, backups, backup):
    told = subprocess.run([options.firnlog, "backup", "list", backups], capture_output=True,
                          text=True, check=True).stdout
    return int(re.search(rf"^{backup} .* (\d+) bytes$", told, re.M)[1])


def _redis_save(options, keys, value):
    server = peers.redis(options, "redis-backup", "--appendonly", "no")
    try:
        loads.feed_keys(server, keys, value=value)
        return _seconds_until_over(server, "rdb_bgsave_in_progress", "BGSAVE")
    finally:
        server.remove()


def backup(name, options, _pair):
    """5 GB backed up by links: alone, again when one key in a hundred has changed, and beside an open
    loop; redis-server's copy is a BGSAVE."""
    keys, value = options.scaled(5_000_000), b"x" * 1024
    backups = os.path.join(options.data, "firnlog-backups")
    server = peers.firnlog(options, "firnlog-backup", "--appendfsync", "everysec", "--backup-dir",
                           backups)
    try:
        loads.feed_keys(server, keys, value=value)
        server.save()
        server.ask("FIRN", "WALK", "PAUSE")  # what is moved is moved by backups alone
        took = []
        for number in range(3):
            if number:
                server.ask("FIRN", "BACKUP", "DELETE", "first")
            took.append(_back_up(server, "first"))
        first = own_on_disk(backups, server.directory)
        set_of = loads.set_of(value=value)
        loads.feed(server, lambda i: set_of(i * 100), keys // 100)
        again = _back_up(server, "second")
        moved = own_on_disk(backups, server.directory) - first
        copied = int(server.info("backup_last_bytes_copied"))
        all_ = _bytes_of(options, backups, "second")
        for each in ("first", "second"):
            server.ask("FIRN", "BACKUP", "DELETE", each)
        # Each of them is a first one: the one before is deleted half way to the next.
        seconds, count = (40, 6) if options.scale >= 1 else (8, 3)
        period = seconds * 1000 // count
        events = [f"FIRN BACKUP {verb} b{i}@{period * (4 * i + quarter) // 4}ms"
                  for i in range(count) for verb, quarter in (("START", 1), ("DELETE", 3))]
        runs = [open_loop.load(options, server, events, keys, seconds)
                for _ in range(min(options.slices, 2))]
    finally:
        server.remove()
        shutil.rmtree(backups, ignore_errors=True)
    redis = _redis_save(options, keys, value)
    size = f"{all_ / 1e9:.1f} GB"
    yield Measure(name, f"seconds for a backup of {size} by links", f"{spread(took)} s",
                  f"{redis:.1f} s (BGSAVE)", statistics.median(took), spread(took), at_most=True,
                  goal=1)
    seen = open_loop.Seen(runs, "FIRN BACKUP START")
    if seen.inside and not seen.errors:
        yield Measure(name, "p99.9 while a backup is taken, × outside", str(seen), "–",
                      statistics.median(seen.ratios), spread(seen.ratios), at_most=True, goal=1.5)
        yield Measure(name, "ms that the longest wait is above the generator's own lateness",
                      f"{seen.above_ms:.1f} ms", "–", seen.above_ms, f"{seen.above_ms:.1f}",
                      at_most=True, goal=15)
    else:
        options.skip(f"{name}, beside an open loop", " ".join(seen.errors) or "no backup lasted long "
                     "enough to see a request")
    yield Measure(name, f"moved by a second backup, 1 % of the keys changed, of {size}",
                  f"{moved / MIB:.1f} MiB, {copied / MIB:.1f} copied as it tells, in {again:.2f} s",
                  "all", moved / all_, f"{moved / all_:.4f}", at_most=True, goal=0.03)


def _restored(options, source, moment, key, value, *more):
    """Seconds until a store of that moment is there and served: its first GET."""
    target = os.path.join(options.data, "firnlog-restored")
    began = time.perf_counter()
    told = subprocess.run([options.firnlog, "restore", "--from", source, "--to", target, "--lsn",
                           moment, *more], capture_output=True, text=True, check=True).stdout
    if not re.search(r"^took +[1-9]\d* linked", told, re.M):
        raise SystemExit(f"bench: nothing was linked: {told}")
    server = peers.Server("firnlog-restored", [options.firnlog, "serve"], target)
    try:
        if (reply := server.ask("GET", key)) != value:
            raise SystemExit(f"bench: {key} was not {reply}")
        return time.perf_counter() - began
    finally:
        server.remove()


def restore(name, options, _pair):
    """A store of 10 M keys as it was 10 M operations ago, made by links and served."""
    keys = options.scaled(10_000_000)
    server = peers.firnlog(options, "firnlog-source", "--appendfsync", "everysec", "--retain-bytes",
                           "16gb")
    try:
        loads.feed_keys(server, keys)
        server.ask("SET", "key:then", "then")
        moment = server.info("log_tail_lsn")
        server.ask("SET", "key:then", "now")
        options.generator.run(server, 50, 16, keys, keys, loads.SET())
        time.sleep(2)  # everysec: all of it is on the disk
        for what, *more in (("no digest made", "--no-digest"), ("and its digest made",)):
            took = [_restored(options, server.directory, moment, "key:then", "then", *more)
                    for _ in range(min(options.slices, 3))]
            yield Measure(name, f"seconds until a moment {keys:,} operations back is restored by links "
                          f"and serves, {what}", f"{spread(took)} s", "–", statistics.median(took),
                          spread(took), at_most=True, goal=5)
    finally:
        server.remove()


ROWS = {
    "backup": backup,
    "restore": restore,
}
