"""Peers: the servers under measurement, their processes as /proc tells of them, and a plain client.

Every server has a directory of its own and takes a free port. It is ended by its pid.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def encoded(*words):
    parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


class Link:
    """A connection with one command at a time on its way. What is null is empty, an error its text."""

    def __init__(self, port, seconds=60):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.replies = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.replies.close()
        self.socket.close()

    def ask(self, *words):
        self.socket.sendall(encoded(*words))
        return self._reply()

    def _reply(self):
        line = self.replies.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("closed")
        kind, text = line[:1], line[1:-2].decode(errors="replace")
        if kind == b"*":
            return [self._reply() for _ in range(int(text))]
        if kind != b"$":
            return text
        if int(text) < 0:
            return ""
        return self.replies.read(int(text) + 2)[:-2].decode(errors="replace")


class Server:
    """A process that answers PING. `seconds_to_ready` is from spawn to the first PONG."""

    def __init__(self, name, argv, directory, patience=120):
        os.makedirs(directory, exist_ok=True)
        self.name, self.directory, self.port = name, directory, free_port()
        self.argv = [*argv, "--port", str(self.port), "--dir", directory]
        self.patience = patience
        self.start()

    def start(self):
        began = time.perf_counter()
        with open(os.path.join(self.directory, "..", f"{self.name}.log"), "ab") as log:
            self.process = subprocess.Popen(self.argv, stdout=log, stderr=log)
        while not self._ready():
            if self.process.poll() is not None or time.perf_counter() - began > self.patience:
                self.kill()
                raise SystemExit(f"bench: {self.name} does not start: {' '.join(self.argv)}")
            time.sleep(0.001)
        self.seconds_to_ready = time.perf_counter() - began

    def _ready(self):
        try:
            return self.ask("PING") == "PONG"
        except OSError:
            return False

    def ask(self, *words, seconds=60):
        """One command on a connection of its own."""
        with Link(self.port, seconds) as link:
            return link.ask(*words)

    def save(self):
        """SAVE, behind a save that has begun by itself, which would have it refused."""
        while (reply := self.ask("SAVE", seconds=300)) != "OK":
            if "already in progress" not in reply:
                raise SystemExit(f"bench: {self.name} does not save: {reply}")
            time.sleep(0.01)

    def info(self, field):
        found = re.search(rf"^{field}:(.*)\r$", self.ask("INFO", "everything"), re.M)
        if found is None:
            raise SystemExit(f"bench: {self.name} has no {field} in INFO")
        return found[1]

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_bytes(self, field="VmRSS"):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(rf"{field}:\s+(\d+) kB", status.read())[1]) * 1024

    def anonymous_bytes(self):
        """Anonymous memory less the tail's: the images of segments are left out of core dumps,
        and that flag (dd) tells them from everything else."""
        total = tail = anonymous = 0
        with open(f"/proc/{self.process.pid}/smaps", encoding="ascii") as maps:
            for line in maps:
                if line.startswith("Anonymous:"):
                    anonymous = int(line.split()[1]) * 1024
                elif line.startswith("VmFlags:"):
                    total += anonymous
                    tail += anonymous if " dd" in line else 0
        return total - tail

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def remove(self):
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def firnlog(options, name="firnlog", *extra):
    return Server(name, [options.firnlog, "serve", *extra], os.path.join(options.data, name))


def redis(options, name="redis", *extra):
    argv = ["redis-server", "--save", "", "--auto-aof-rewrite-percentage", "0"]
    persistent = [] if "--appendonly" in extra else ["--appendonly", "yes"]
    return Server(name, [*argv, *persistent, *extra], os.path.join(options.data, name))
