"""Loads: what is put on a server. redis-benchmark for rates, a feeder for exact keys, and a probe
that asks one thing at a time and remembers how long each answer took."""

import gc
import multiprocessing
import socket
import subprocess
import time

from peers import encoded

VALUE = b"x" * 100
CHUNK = 1000


def benchmark_argv(server, connections, pipeline, operations, keys, command):
    return ["redis-benchmark", "-p", str(server.port), "-n", str(operations), "-c",
            str(connections), "-P", str(pipeline), "-r", str(keys), "--csv", *command]


def run_benchmark(server, connections, pipeline, operations, keys, command):
    """Operations a second, p50 and p99 in ms, the server's CPU µs an operation."""
    cpu = server.cpu_seconds()
    out = subprocess.run(
        benchmark_argv(server, connections, pipeline, operations, keys, command),
        capture_output=True, text=True, check=True).stdout
    cpu = server.cpu_seconds() - cpu
    # The last line; a command with quotes in its name would shift the columns from the left.
    cells = [cell.strip('"') for cell in out.strip().splitlines()[-1].rsplit(",", 7)]
    return {"rate": float(cells[1]), "p50": float(cells[4]), "p99": float(cells[6]),
            "cpu": cpu * 1e6 / operations}


def SET(prefix="key:"):
    return ["SET", f"{prefix}__rand_int__", VALUE.decode()]


def GET(prefix="key:"):
    return ["GET", f"{prefix}__rand_int__"]


def feed(server, command_of, count, every=None, window=8):
    """Sends command_of(0) … command_of(count-1), at most `window` chunks ahead of the replies,
    which are one line each. `every(done)` is called after each hundred chunks."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as link:
        owed = []
        replies = errors = 0

        def settle(leave):
            nonlocal replies, errors
            while len(owed) > leave:
                got = link.recv(1 << 20)
                if not got:
                    raise SystemExit(f"bench: {server.name} closed the connection")
                errors += got.count(b"-")
                replies += got.count(b"\n")
                while owed and replies >= owed[0]:
                    replies -= owed.pop(0)

        for begin in range(0, count, CHUNK):
            end = min(begin + CHUNK, count)
            link.sendall(b"".join([command_of(i) for i in range(begin, end)]))
            owed.append(end - begin)
            settle(window - 1)
            if every is not None and (begin // CHUNK) % 100 == 99:
                every(end)
        settle(0)
        if errors:
            raise SystemExit(f"bench: {server.name} answered with errors")


def set_of(prefix=b"key:", digits=12):
    """SET of a 16-byte key and a 100-byte value, encoded; by number."""
    head = b"*3\r\n$3\r\nSET\r\n$%d\r\n%s" % (len(prefix) + digits, prefix)
    tail = b"\r\n$%d\r\n%s\r\n" % (len(VALUE), VALUE)
    number = b"%%0%dd" % digits
    return lambda i: head + number % i + tail


def feed_keys(server, count, every=None, prefix=b"key:", digits=12):
    feed(server, set_of(prefix, digits), count, every)


def _probe(port, prefix, stop, out):
    gc.disable()
    seen = []
    with socket.create_connection(("127.0.0.1", port), timeout=120) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = 0
        while not stop.is_set():
            command = encoded("SET", f"{prefix}{number:08d}", VALUE)
            began = time.perf_counter_ns()
            link.sendall(command)
            link.recv(64)
            seen.append(time.perf_counter_ns() - began)
            number += 1
    out.put(seen)


class Probe:
    """SETs one after the other while something else goes on; what the slowest in a thousand took."""

    def __init__(self, server, prefix):
        context = multiprocessing.get_context("fork")
        self.stop, self.out = context.Event(), context.Queue()
        self.process = context.Process(target=_probe,
                                       args=(server.port, prefix, self.stop, self.out))
        self.process.start()

    def p999_ms(self):
        self.stop.set()
        seen = sorted(self.out.get(timeout=120))
        self.process.join()
        return seen[int(len(seen) * 0.999)] / 1e6
