"""Loads: what is put on a server. A generator for rates, a feeder for exact keys, and a probe that
asks one thing at a time and remembers how long each answer took."""

import dataclasses
import gc
import json
import multiprocessing
import socket
import subprocess
import tempfile
import time

from peers import encoded

VALUE = b"x" * 100
CHUNK = 1000


@dataclasses.dataclass(frozen=True)
class Command:
    """SET or GET of one of many keys, drawn evenly or as `firnlog bench --dist` says."""
    name: str
    prefix: str = "key:"
    value_bytes: int = len(VALUE)
    drawn: str = "uniform"  # redis-benchmark knows no other


class Generator:
    """The program that puts the load on. `firnlog bench` needs half of a core where redis-benchmark
    needs a whole one, which on two cores is what both servers would wait for."""

    def __init__(self, firnlog):
        self.firnlog = firnlog  # the binary; None: redis-benchmark

    def argv(self, server, connections, pipeline, operations, keys, command):
        shape = ["-p", str(server.port), "-n", str(operations), "-c", str(connections), "-P",
                 str(pipeline), "-r", str(keys)]
        if self.firnlog is None:
            value = ["x" * command.value_bytes] if command.name == "SET" else []
            return ["redis-benchmark", *shape, "--csv", command.name,
                    f"{command.prefix}__rand_int__", *value]
        value = " {value}" if command.name == "SET" else ""
        return [self.firnlog, "bench", *shape, "--quiet", "--warmup", "0s", "--value",
                str(command.value_bytes), "--key-prefix", command.prefix, "--dist", command.drawn,
                "--command", f"{command.name} {{key}}{value}"]

    def run(self, server, connections, pipeline, operations, keys, command):
        """Operations a second, p50 and p99 in ms, the server's CPU µs an operation."""
        argv = self.argv(server, connections, pipeline, operations, keys, command)
        cpu = server.cpu_seconds()
        if self.firnlog is None:
            out = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
            # The last line; a command with quotes in its name would shift the columns from the left.
            cells = [cell.strip('"') for cell in out.strip().splitlines()[-1].rsplit(",", 7)]
            rate, p50, p99 = float(cells[1]), float(cells[4]), float(cells[6])
        else:
            with tempfile.NamedTemporaryFile(suffix=".json") as result:
                subprocess.run([*argv, "--json", result.name], stdout=subprocess.DEVNULL, check=True)
                seen = json.load(result)["runs"][0]
            misses = sum(command["misses"] for command in seen["commands"])
            if seen["errors"] or seen["unanswered"] or seen["connections_lost"] or misses:
                raise SystemExit(f"bench: {server.name} did not answer everything well")
            rate, latency = seen["rate"], seen["latency"]
            p50, p99 = latency["p50_ns"] / 1e6, latency["p99_ns"] / 1e6
        return {"rate": rate, "p50": p50, "p99": p99,
                "cpu": (server.cpu_seconds() - cpu) * 1e6 / operations}


def SET(prefix="key:", **shape):
    return Command("SET", prefix, **shape)


def GET(prefix="key:"):
    return Command("GET", prefix)


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


def set_of(prefix=b"key:", digits=12, value=VALUE):
    """SET of a 16-byte key and a value, encoded; by number."""
    head = b"*3\r\n$3\r\nSET\r\n$%d\r\n%s" % (len(prefix) + digits, prefix)
    tail = b"\r\n$%d\r\n%s\r\n" % (len(value), value)
    number = b"%%0%dd" % digits
    return lambda i: head + number % i + tail


def feed_keys(server, count, every=None, prefix=b"key:", digits=12, value=VALUE):
    feed(server, set_of(prefix, digits, value), count, every)


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
