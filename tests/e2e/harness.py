"""Harness: real servers on free loopback ports, and a client that keeps the bytes of a reply.

A test asks firnlog and redis-server the same and compares what came over the wire:

    with harness.firnlog() as firnlog, harness.redis() as redis:
        with firnlog.connect() as ours, redis.connect() as theirs:
            self.assertEqual(ours.ask("PING"), theirs.ask("PING"))

Every server has a folder and a process of its own; it is ended by its pid, at the latest when this
process ends. The binary is $FIRNLOG, or build/release/firnlog.
"""

import atexit
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIRNLOG = os.environ.get("FIRNLOG") or str(ROOT / "build" / "release" / "firnlog")
# Sanitizers and a busy machine: what takes milliseconds may take seconds.
START_SECONDS = 60
REPLY_SECONDS = 60

_running = set()


def _end_all():
    for server in list(_running):
        server.kill()


atexit.register(_end_all)


def free_port():
    """A port nobody listens on; the kernel does not hand it out again at once."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def encoded(*args):
    """The RESP array of bulks that a client sends; str, bytes and numbers."""
    out = [b"*%d\r\n" % len(args)]
    for arg in args:
        word = as_bytes(arg)
        out.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(out)


def as_bytes(arg):
    if isinstance(arg, bytes):
        return arg
    return str(arg).encode()


def chosen_seed():
    """FIRNLOG_SEED replays a run; without it the choices are new."""
    return int(os.environ.get("FIRNLOG_SEED") or random.randrange(1 << 32))


def info(client, *sections):
    """INFO's fields."""
    text = client.value("INFO", *sections).decode()
    return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)


def eventually(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def outer_address():
    """An IPv4 address of this machine that is not loopback; or the test is skipped."""
    told = subprocess.run(["hostname", "-I"], stdout=subprocess.PIPE, check=False).stdout.decode()
    for address in told.split():
        if ":" not in address and not address.startswith("127."):
            return address
    raise unittest.SkipTest("this machine has no address but loopback")


class Closed(Exception):
    """The server closed the connection before the reply was whole."""


class Push(list):
    """A RESP3 push, parsed."""


class Error(str):
    """An error reply, parsed: its text without the minus."""


class Client:
    """One connection. ask() gives the reply's own bytes, value() what they mean."""

    def __init__(self, port=None, path=None, seconds=REPLY_SECONDS):
        if path is not None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(path)
        else:
            self.socket = socket.create_connection(("127.0.0.1", port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(seconds)
        self.unread = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, *args):
        self.send_raw(encoded(*args))

    def send_raw(self, data):
        self.socket.sendall(data)

    def ask(self, *args):
        """Sends one command; the bytes of its reply."""
        self.send(*args)
        return self.reply()

    def ask_inline(self, line):
        self.send_raw(as_bytes(line) + b"\r\n")
        return self.reply()

    def pipeline(self, commands):
        """Sends all of them at once; the bytes of each reply."""
        self.send_raw(b"".join(encoded(*command) for command in commands))
        return [self.reply() for _ in commands]

    def value(self, *args):
        """Sends one command; its reply parsed (see parse)."""
        return parse(self.ask(*args))

    def reply(self, seconds=None):
        """The bytes of the next whole reply (or push), nested elements included."""
        if seconds is not None:
            before = self.socket.gettimeout()
            self.socket.settimeout(seconds)
            try:
                return self.reply()
            finally:
                self.socket.settimeout(before)
        pieces = []
        self._one(pieces)
        return b"".join(pieces)

    def silent(self, seconds=0.2):
        """True if nothing more arrives within `seconds`."""
        if self.unread:
            return False
        self.socket.settimeout(seconds)
        try:
            more = self.socket.recv(65536)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(REPLY_SECONDS)
        self.unread += more
        return False

    def closed(self, seconds=REPLY_SECONDS):
        """True if the server closes the connection within `seconds`, sending nothing before."""
        self.socket.settimeout(seconds)
        try:
            return not self.unread and self.socket.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def rest(self):
        """Everything up to the close."""
        while True:
            try:
                self._fill()
            except Closed:
                data, self.unread = self.unread, b""
                return data

    def _fill(self):
        try:
            more = self.socket.recv(1 << 20)
        except ConnectionError as error:
            raise Closed(str(error)) from error
        if not more:
            raise Closed("closed after %r" % self.unread[-200:])
        self.unread += more

    def _line(self):
        while True:
            end = self.unread.find(b"\r\n")
            if end >= 0:
                line, self.unread = self.unread[: end + 2], self.unread[end + 2 :]
                return line
            self._fill()

    def _one(self, pieces):
        line = self._line()
        pieces.append(line)
        kind = line[:1]
        if kind in b"$=!":
            size = int(line[1:])
            if size >= 0:
                while len(self.unread) < size + 2:
                    self._fill()
                pieces.append(self.unread[: size + 2])
                self.unread = self.unread[size + 2 :]
        elif kind in b"*~>":
            for _ in range(max(int(line[1:]), 0)):
                self._one(pieces)
        elif kind in b"%|":
            for _ in range(2 * int(line[1:])):
                self._one(pieces)
            if kind == b"|":
                self._one(pieces)  # an attribute goes before the reply it tells about


def parse(reply):
    """What a reply means: bytes, int, float, bool, None, list, dict, set, Error, Push."""
    value, rest = _parse(reply)
    assert not rest, rest
    return value


def _parse(data):
    end = data.index(b"\r\n")
    kind, head, rest = data[:1], data[1:end], data[end + 2 :]
    if kind == b"+":
        return head, rest
    if kind == b"-":
        return Error(head.decode("latin-1")), rest
    if kind == b":":
        return int(head), rest
    if kind == b",":
        return float(head), rest
    if kind == b"#":
        return head == b"t", rest
    if kind == b"(":
        return int(head), rest
    if kind == b"_":
        return None, rest
    if kind in b"$=!":
        size = int(head)
        if size < 0:
            return None, rest
        body, rest = rest[:size], rest[size + 2 :]
        return (body[4:] if kind == b"=" else body), rest
    count = int(head)
    if count < 0:
        return None, rest
    items = []
    for _ in range(count * (2 if kind in b"%|" else 1)):
        item, rest = _parse(rest)
        items.append(item)
    if kind == b"|":
        return _parse(rest)
    if kind == b"%":
        return {_hashable(k): v for k, v in zip(items[::2], items[1::2])}, rest
    if kind == b"~":
        return {_hashable(item) for item in items}, rest
    return (Push(items) if kind == b">" else items), rest


def _hashable(item):
    if isinstance(item, (list, tuple)):
        return tuple(_hashable(part) for part in item)
    if isinstance(item, dict):
        return tuple((key, _hashable(part)) for key, part in item.items())
    return frozenset(item) if isinstance(item, set) else item


def unordered(reply):
    """A reply whose elements may come in any order, as something that compares equal then."""
    value = parse(reply)
    if isinstance(value, list):
        return sorted(value, key=repr)
    return value


class Server:
    """A server process with a folder and a port of its own."""

    def __init__(self, argv, port, folder, own_folder, log):
        self.argv = argv
        self.port = port
        self.folder = folder
        self._own_folder = own_folder
        self._log = log
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def pid(self):
        return self.process.pid

    def start(self, wait=True):
        """Starts it (again), in the same folder and on the same port."""
        with open(self._log, "ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        _running.add(self)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        """Until it answers PING; an error reply will do, LOADING not, and NOAUTH only where the
        password is not known here: it hides whether everything is loaded."""
        password = dict(zip(self.argv, self.argv[1:])).get("--requirepass")
        until = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(
                    "%s ended with %d:\n%s" % (self.argv[0], self.process.returncode, self.log())
                )
            try:
                with self.connect() as client:
                    if password:
                        client.ask("AUTH", password)
                    if not client.ask("PING").startswith(b"-LOADING"):
                        return
            except (OSError, Closed):
                pass
            if time.monotonic() > until:
                raise RuntimeError("%s is not ready:\n%s" % (self.argv[0], self.log()))
            time.sleep(0.01)

    def connect(self, seconds=REPLY_SECONDS):
        return Client(self.port, seconds=seconds)

    def ask(self, *args):
        """One command on a connection of its own."""
        with self.connect() as client:
            return client.ask(*args)

    def value(self, *args):
        return parse(self.ask(*args))

    def log(self):
        return pathlib.Path(self._log).read_text(errors="replace")

    def wait(self, seconds=START_SECONDS):
        """Until it has ended; its exit status."""
        status = self.process.wait(seconds)
        _running.discard(self)
        return status

    def stop(self):
        """A clean stop; its exit status."""
        if self.process is None or self.process.poll() is not None:
            _running.discard(self)
            return self.process and self.process.returncode
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self, wait=True):
        """SIGKILL. A dead ring's sockets are closed a moment after its process has gone: waits for it."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            until = time.monotonic() + START_SECONDS
            while wait and not self._port_is_free() and time.monotonic() < until:
                time.sleep(0.005)
        _running.discard(self)

    def kill_and_start(self):
        """SIGKILL and a start. The kernel closes a dead process's sockets when it has taken its ring
        apart, which is a little later than its end."""
        self.kill()
        until = time.monotonic() + 10
        while True:
            try:
                return self.start()
            except RuntimeError as error:
                if "in use" not in str(error).splitlines()[-1] or time.monotonic() > until:
                    raise
            time.sleep(0.02)

    def _port_is_free(self):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
                probe.listen()
            except OSError:
                return False
            return True

    def restart(self):
        self.stop()
        return self.start()

    def close(self):
        self.kill()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def _server(argv, port, folder, options):
    own_folder = folder is None
    if own_folder:
        folder = tempfile.mkdtemp(prefix="firnlog-e2e-")
    argv = argv + ["--port", str(port), "--dir", str(folder)] + [str(word) for word in options]
    # The log stands in the folder's parent's place of logs: the store's folder is the store's own.
    handle, log = tempfile.mkstemp(prefix="firnlog-e2e-", suffix=".log")
    os.close(handle)
    atexit.register(lambda: os.path.exists(log) and os.unlink(log))
    return Server(argv, port, str(folder), own_folder, log)


def firnlog(*options, folder=None, start=True, port=None):
    """`firnlog serve` with these options: firnlog("--appendfsync", "no", "--threads", 2).

    Tests ask for `always` themselves where they mean it: an fsync for every reply takes its time."""
    server = _server(
        [FIRNLOG, "serve"], port or free_port(), folder, ("--appendfsync", "no") + options
    )
    return _started(server, start)


def redis(*options, folder=None, start=True, port=None):
    """redis-server with these options, keeping nothing. Skips the test where there is none."""
    program = shutil.which("redis-server")
    if program is None:
        raise unittest.SkipTest("redis-server is not installed")
    quiet = ("--save", "", "--appendonly", "no", "--enable-debug-command", "yes")
    server = _server([program], port or free_port(), folder, quiet + options)
    return _started(server, start)


def _started(server, start):
    if start:
        try:
            server.start()
        except BaseException:
            server.close()
            raise
    return server


class PairTest(unittest.TestCase):
    """Both servers side by side; same() asks both and compares to the byte.

    FIRNLOG_OPTIONS and REDIS_OPTIONS are for subclasses."""

    FIRNLOG_OPTIONS = ()
    REDIS_OPTIONS = ()

    @classmethod
    def setUpClass(cls):
        cls.redis = redis(*cls.REDIS_OPTIONS)
        try:
            cls.firnlog = firnlog(*cls.FIRNLOG_OPTIONS)
        except BaseException:
            cls.redis.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.firnlog.close()
        cls.redis.close()

    def setUp(self):
        self.ours = self.firnlog.connect()
        self.theirs = self.redis.connect()
        for client in (self.ours, self.theirs):
            client.ask("FLUSHALL")

    def tearDown(self):
        self.ours.close()
        self.theirs.close()

    def script(self, *commands):
        """Asks both these commands, whose words have spaces between them."""
        for command in commands:
            self.same(*command.split(" "))

    def both(self, *args):
        """Asks both and does not compare."""
        return self.ours.value(*args), self.theirs.value(*args)

    def same(self, *args):
        """Asks both; the replies are equal to the byte. Returns ours."""
        theirs = self.theirs.ask(*args)
        ours = self.ours.ask(*args)
        self.assertEqual(ours, theirs, args)
        return ours

    def same_unordered(self, *args):
        theirs = self.theirs.ask(*args)
        ours = self.ours.ask(*args)
        self.assertEqual(unordered(ours), unordered(theirs), args)
        return ours
