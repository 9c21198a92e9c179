"""What clients are answered while the log is loaded, and who they are afterwards."""

import contextlib
import os
import re
import shutil
import socket
import tempfile
import unittest

import harness

LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"
NOAUTH = b"-NOAUTH Authentication required.\r\n"
WRONGPASS = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
OK = b"+OK\r\n"


def fields(line):
    """The fields of a line of CLIENT LIST."""
    return dict(word.split("=", 1) for word in line.decode().split())


def secured(password):
    return ("--requirepass", password) if password else ()


def without_id(reply):
    """HELLO's reply: the connection's id is the server's own."""
    return re.sub(rb"(\$2\r\nid\r\n):\d+", rb"\1:0", reply)


def connected(server):
    """A client, as soon as somebody listens."""
    clients = []

    def connects():
        try:
            clients.append(server.connect())
        except OSError:
            return False
        return True

    if not harness.eventually(connects, harness.START_SECONDS):
        raise RuntimeError("nobody listens:\n" + server.log())
    return clients[0]


class Held(unittest.TestCase):
    """Servers over one store of many segments, each held where it tells how far it is."""

    SMALL = ("--save", "", "--segment-bytes-max", "4mb")

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="firnlog-loading-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        with harness.firnlog(*cls.SMALL, folder=cls.folder) as server, server.connect() as client:
            for begin in range(0, 800, 100):
                client.pipeline([("SET", "k%d" % i, b"x" * 100_000)
                                 for i in range(begin, begin + 100)])
            client.ask("HSET", "hash", "f", "v")
            server.stop()

    @contextlib.contextmanager
    def loading(self, password=None, options=()):
        """A server that is loading, and goes on with that once loaded() is called."""
        server = harness.firnlog(*self.SMALL, *secured(password), *options,
                                 "--supervised", "systemd", folder=self.folder, start=False)
        # It tells systemd how far it is, and waits a second each time while that socket is full.
        with server, tempfile.TemporaryDirectory(prefix="firnlog-notify-") as beside, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stuffing:
            path = os.path.join(beside, "socket")
            notify.bind(path)
            stuffing.connect(path)
            stuffing.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    stuffing.send(b"stuffing")
            os.environ["NOTIFY_SOCKET"] = path
            try:
                server.start(wait=False)
            finally:
                del os.environ["NOTIFY_SOCKET"]

            def loaded():
                self.loads_still(server, password)
                notify.close()
                server.wait_ready()

            yield server, loaded

    def loads_still(self, server, password):
        with server.connect() as client:
            if password:
                self.assertEqual(client.ask("AUTH", password), OK)
            self.assertEqual(client.ask("PING"), LOADING)


class Loading(Held):
    def test_who_a_client_is_goes_along_with_it(self):
        with self.loading("secret") as (server, loaded), connected(server) as client:
            replies = client.pipeline([("AUTH", "secret"), ("SELECT", 5), ("SET", "chosen", 1),
                                       ("CLIENT", "SETNAME", "me"), ("CLIENT", "GETNAME")])
            self.assertEqual(replies, [OK, OK, LOADING, OK, b"$2\r\nme\r\n"])
            number = client.value("CLIENT", "ID")
            # One command more, whose end comes later.
            command = harness.encoded("SET", "chosen", 2)
            client.send_raw(command[:-5])
            loaded()
            client.send_raw(command[-5:])
            self.assertEqual(client.reply(), OK)
            told = fields(client.value("CLIENT", "INFO"))
            self.assertEqual((told["id"], told["db"], told["name"], told["resp"]),
                             (str(number), "5", "me", "2"))
            with server.connect() as other:
                other.ask("AUTH", "secret")
                self.assertEqual(other.ask("GET", "chosen"), b"$-1\r\n")
                other.ask("SELECT", 5)
                self.assertEqual(other.ask("GET", "chosen"), b"$1\r\n2\r\n")
                other.ask("DEL", "chosen")

    def test_hello_chooses_the_protocol_for_then_and_afterwards(self):
        with self.loading("secret") as (server, loaded), connected(server) as client:
            told = client.value("HELLO", 3, "AUTH", "default", "secret", "SETNAME", "three")
            self.assertEqual((told[b"proto"], told[b"role"]), (3, b"master"))
            self.assertRegex(client.ask("INFO"), rb"^=\d+\r\ntxt:# Server\r\n")
            self.assertEqual(client.ask("GET", "k1"), LOADING)
            loaded()
            self.assertEqual(client.ask("HGETALL", "hash"), b"%1\r\n$1\r\nf\r\n$1\r\nv\r\n")
            self.assertEqual(client.value("CLIENT", "ID"), told[b"id"])
            self.assertEqual(client.value("CLIENT", "GETNAME"), b"three")

    def test_without_the_password_nothing_is_told(self):
        with self.loading("secret") as (server, loaded), connected(server) as client:
            for words in (("INFO",), ("PING",), ("GET", "k1"), ("CONFIG", "GET", "requirepass"),
                          ("SELECT", 1), ("CLIENT", "ID"), ("CLIENT", "SETNAME", "me")):
                self.assertEqual(client.ask(*words), NOAUTH, words)
            for words in (("AUTH", "wrong"), ("AUTH", "default", "wrong"),
                          ("AUTH", "other", "secret"), ("HELLO", 3, "AUTH", "default", "wrong")):
                self.assertEqual(client.ask(*words), WRONGPASS, words)
            self.assertTrue(client.ask("HELLO", 3).startswith(b"-NOAUTH HELLO must be called"))
            self.assertEqual(client.ask("INFO"), NOAUTH)
            with connected(server) as right:
                self.assertEqual(right.ask("AUTH", "secret"), OK)
                told = harness.info(right)
                self.assertEqual((told["loading"], told["redis_version"]), ("1", "7.0.15"))
                self.assertEqual(right.ask("RESET"), b"+RESET\r\n")
                self.assertEqual(right.ask("INFO"), NOAUTH)
                loaded()
                # Neither has become more by waiting.
                self.assertEqual(client.ask("GET", "k1"), NOAUTH)
                self.assertEqual(right.ask("GET", "k1"), NOAUTH)
            self.assertEqual(client.ask("AUTH", "secret"), OK)
            self.assertEqual(client.ask("EXISTS", "k1"), b":1\r\n")

    def test_protected_mode_refuses_other_machines(self):
        address = harness.outer_address()
        with self.loading(options=("--bind", "*")) as (server, _), connected(server) as client:
            self.assertEqual(client.ask("PING"), LOADING)
            with socket.create_connection((address, server.port), timeout=10) as outside:
                outside.sendall(b"PING\r\n")
                self.assertTrue(outside.recv(1000).startswith(b"-DENIED"))

    def test_no_id_is_given_twice(self):
        with self.loading() as (server, loaded):
            with connected(server) as stays:
                ids = [stays.value("CLIENT", "ID")]
                for _ in range(5):
                    with connected(server) as goes:
                        ids.append(goes.value("CLIENT", "ID"))
                loaded()
                self.assertEqual(stays.value("CLIENT", "ID"), ids[0])
                with server.connect() as comes:
                    ids.append(comes.value("CLIENT", "ID"))
                self.assertEqual(ids, sorted(set(ids)))

    def test_who_is_not_authenticated_may_send_little(self):
        with self.loading("secret") as (server, _):
            long = b"x" * 20_000
            with connected(server) as client:
                client.send("AUTH", long)
                self.assertEqual(client.rest(),
                                 b"-ERR Protocol error: unauthenticated bulk length\r\n")
            with connected(server) as client:
                # Unfinished, and more than is kept of one who is unknown.
                client.send_raw(b"*10\r\n" + b"".join(
                    b"$%d\r\n%s\r\n" % (16 << 10, b"x" * (16 << 10)) for _ in range(9)))
                self.assertTrue(client.closed())
            with connected(server) as client:
                self.assertEqual(client.pipeline([("AUTH", "secret"), ("SET", "k", long * 20)]),
                                 [OK, LOADING])
                self.assertEqual(client.ask("RESET"), b"+RESET\r\n")
                client.send("AUTH", long)
                self.assertEqual(client.rest(),
                                 b"-ERR Protocol error: unauthenticated bulk length\r\n")


SCRIPT = """
PING
NOSUCH a b
GET
GET a
SET a 1
HELLO 4
HELLO x
HELLO 3 SETNAME
HELLO 3 AUTH default
HELLO 2 SETNAME one
CLIENT GETNAME
HELLO 3 SETNAME two
CLIENT GETNAME
HELLO
CONFIG GET requirepass
CONFIG GET
HELLO 2
CONFIG GET requirepass
CONFIG
CLIENT
CLIENT NOSUCH
CLIENT ID more
CLIENT SETNAME
CLIENT SETNAME \x01
CLIENT SETNAME three
CLIENT GETNAME
SELECT
SELECT x
SELECT 16
SELECT -1
SELECT 4294967296
SELECT 15
RESET now
RESET
CLIENT GETNAME
AUTH
AUTH a b c
AUTH wrong
AUTH default wrong
AUTH other secret
HELLO 3 AUTH default wrong SETNAME four
CLIENT GETNAME
AUTH secret
PING
AUTH default secret
CLIENT GETNAME
HELLO 3 AUTH default secret SETNAME five
CLIENT GETNAME
RESET
HELLO 3
GET a
QUIT
"""


class AsRedis(Held):
    """The same, asked of a redis-server that loads too: every reply is the same to the byte."""

    def test_without_a_password(self):
        self.compare()

    def test_with_a_password(self):
        self.compare("secret")

    @contextlib.contextmanager
    def redis_loading(self, password):
        """Four milliseconds for each of many keys."""
        folder = tempfile.mkdtemp(prefix="firnlog-redis-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        with harness.redis(folder=folder) as redis, redis.connect() as client:
            client.pipeline([("SET", "k%d" % i, b"x" * 100) for i in range(5000)])
            self.assertEqual(client.ask("SAVE"), OK)
        with harness.redis("--key-load-delay", 4000, "--loading-process-events-interval-bytes",
                           1024, *secured(password), folder=folder, start=False) as redis:
            redis.start(wait=False)
            yield redis

    def compare(self, password=None):
        with self.redis_loading(password) as redis, self.loading(password) as (server, loaded), \
                connected(redis) as theirs, connected(server) as ours:
            for line in SCRIPT.strip("\n").split("\n"):
                words = line.split(" ")
                self.assertEqual(without_id(ours.ask(*words)), without_id(theirs.ask(*words)), line)
            self.assertTrue(ours.closed() and theirs.closed())
            self.loads_still(redis, password)
            loaded()


if __name__ == "__main__":
    unittest.main()
