"""A small RESP server that breaks one promise, chosen by name: what the crash test is tested on.

    python3 faulty_server.py PORT DIR FAULT

Without a fault it keeps all of them under SIGKILL: every write is handed to the kernel before its
reply, a batch in one piece. Each fault is a few lines below, marked with its name.
"""

import collections
import os
import pickle
import random
import selectors
import signal
import socket
import struct
import sys
import time
import zlib

FAULTS = {
    "none": "keeps its promises",
    "acks-early": "replies before it writes",
    "loses-order": "writes some entries long after later ones",
    "orders-by-connection": "keeps the order of each connection, but not across them",
    "resurrects": "forgets deletions when it restarts",
    "tears-batches": "writes a transaction in two pieces",
    "torn-values": "serves the first half of long values after a restart",
    "swaps-values": "serves the values of other keys after a restart",
    "forgets-expiry": "keys that expire live for ever after a restart",
    "invents-keys": "has a key after a restart that nobody wrote",
    "reads-stale": "answers GET with an older value",
    "dies": "dies under load",
    "answers-errors": "answers every write with an error",
    "refuses": "does not start again",
    "refuses-silently": "does not start again, and says nothing",
    "hangs": "starts again, and does not answer",
    "crashes": "starts again, and dies by a signal when asked",
    "serves-garbage": "never looks whether its bytes are whole",
    "says-nothing": "drops what is damaged, and says nothing",
    "needs-password": "answers every command with an error, for nobody has said who he is",
    "refuses-hashes": "does not let this user write hashes",
    "syncs": "syncs before it replies, and ends with an error when that fails",
    "refuses-clearly": "syncs; when that fails it says so, and takes no more writes",
    "refuses-vaguely": "the same, and says nothing of the reason",
    "ends-silently": "syncs; when that fails it ends as if all were well",
    "ignores-errors": "syncs, and does not look whether that fails",
}
SYNCS = ("syncs", "refuses-clearly", "refuses-vaguely", "ends-silently", "ignores-errors")
# Of those that refuse writes once a sync has failed: what they say.
REFUSALS = {
    "refuses-clearly": b"-IOERR the log cannot be synced: Input/output error\r\n",
    "refuses-vaguely": b"-ERR no\r\n",
}


class Store:
    def __init__(self, folder, fault):
        self.path = os.path.join(folder, "log")
        self.fault = fault
        self.writes = 0
        self.failed = False
        self.values = {}
        self.expires = {}
        self.older = {}
        self.held = collections.defaultdict(list)  # connection -> [(due, bytes)]
        self.made = os.path.join(folder, "made")
        self.again = os.path.exists(self.path) or os.path.exists(self.made)
        if self.again:
            self.replay()
        self.file = open(self.path, "ab", buffering=0)
        self.mark("a log was made here")

    def mark(self, text):
        """Beside the log: that there is one, and after a clean stop how long it is."""
        with open(self.made, "w", encoding="ascii") as file:
            file.write(text)

    def say(self, *words):
        if self.fault != "says-nothing":
            print(*words, flush=True)

    def replay(self):
        data = b""
        if os.path.exists(self.path):
            with open(self.path, "rb") as file:
                data = file.read()
        mark = b""
        if os.path.exists(self.made):
            with open(self.made, "rb") as file:
                mark = file.read()
        if mark not in (b"a log was made here", b"clean: %d bytes" % len(data)):
            self.say("the log is missing, truncated or longer than its mark says")
        at, good = 0, 0
        while at + 8 <= len(data):
            size, check = struct.unpack("<II", data[at:at + 8])
            body = data[at + 8:at + 8 + size]
            at += 8 + size
            if self.fault == "serves-garbage":
                self.apply_garbage(body)
                continue
            if len(body) < size or not size or zlib.crc32(body) != check:
                self.say("the log is damaged at", good, "and is cut there")
                break
            for effect in pickle.loads(body):
                self.apply(*effect)
            good = at
        if data and self.fault != "serves-garbage":
            os.truncate(self.path, good)
        self.spoil()

    def apply_garbage(self, body):
        try:
            for effect in pickle.loads(body):
                self.apply(*effect)
        except Exception:  # whatever the bytes make of pickle
            pass

    def spoil(self):
        """The faults of a restart."""
        strings = [key for key, value in self.values.items() if isinstance(value, bytes)]
        if self.fault == "torn-values":
            for key in strings:
                if len(self.values[key]) > 100:
                    self.values[key] = self.values[key][: len(self.values[key]) // 2]
        if self.fault == "swaps-values" and len(strings) > 1:
            stamped = [key for key in strings if self.values[key].startswith(b"ct1|")]
            if len(stamped) > 1:
                one, other = stamped[:2]
                self.values[one], self.values[other] = self.values[other], self.values[one]
        if self.fault == "forgets-expiry":
            self.expires = {}
        if self.fault == "invents-keys":
            self.values[b"ct:0:zombie"] = b"x"

    def apply(self, key, value, expires_ms):
        if value is None:
            if self.fault == "resurrects" and self.again and not hasattr(self, "file"):
                return
            self.values.pop(key, None)
            self.expires.pop(key, None)
            return
        self.older.setdefault(key, value)
        self.values[key] = value
        self.expires.pop(key, None)
        if expires_ms:
            self.expires[key] = expires_ms

    def log(self, effects, connection):
        body = pickle.dumps(effects)
        entry = struct.pack("<II", len(body), zlib.crc32(body)) + body
        now = time.monotonic()
        if self.fault == "acks-early":
            self.held[0].append((now + 0.3, entry))
        elif self.fault == "loses-order" and random.random() < 0.05:
            self.held[0].append((now + 0.5, entry))
        elif self.fault == "orders-by-connection":
            wait = 0.3 if connection % 2 else 0.0
            self.held[connection].append((now + wait, entry))
            self.tick()
        elif self.fault == "tears-batches" and len(effects) > 1:
            for number, effect in enumerate(effects):
                piece = pickle.dumps([effect])
                piece = struct.pack("<II", len(piece), zlib.crc32(piece)) + piece
                if number == 0:
                    self.held[0].append((now + 0.3, piece))
                else:
                    self.file.write(piece)
        else:
            self.file.write(entry)
        if self.fault in SYNCS:
            self.sync()

    def sync(self):
        try:
            os.fsync(self.file.fileno())
        except OSError:
            if self.fault == "syncs":
                raise
            if self.fault == "ends-silently":
                os._exit(0)
            self.failed = self.fault in REFUSALS

    def stop(self, *_):
        """A clean stop: the log is written anew, without what is over, so that every byte counts."""
        self.file.close()
        self.file = open(self.path + ".new", "wb")
        for key, value in self.values.items():
            body = pickle.dumps([(key, value, self.expires.get(key, 0))])
            self.file.write(struct.pack("<II", len(body), zlib.crc32(body)) + body)
        self.file.close()
        os.rename(self.path + ".new", self.path)
        self.mark("clean: %d bytes" % os.path.getsize(self.path))
        sys.exit(0)

    def tick(self):
        now = time.monotonic()
        for queue in self.held.values():
            while queue and queue[0][0] <= now:
                self.file.write(queue.pop(0)[1])

    def get(self, key):
        ends = self.expires.get(key)
        if ends and ends <= time.time() * 1000:
            self.values.pop(key, None)
            self.expires.pop(key, None)
        return self.values.get(key)


class Peer:
    def __init__(self, sock, number):
        self.sock = sock
        self.number = number
        self.unread = b""
        self.queued = None  # commands of a MULTI


def bulk(value):
    return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


def run(store, words, effects):
    """One command: its reply; what it changes goes to `effects`."""
    verb = words[0].upper()
    key = words[1] if len(words) > 1 else None

    def change(name, value, ends=0):
        effects.append((name, value, ends))
        store.apply(name, value, ends)

    if verb == b"SET":
        ends = int(time.time() * 1000) + int(words[4]) if len(words) > 4 else 0
        change(key, words[2], ends)
        return b"+OK\r\n"
    if verb == b"GET":
        value = store.get(key)
        if store.fault == "reads-stale" and random.random() < 0.05:
            value = store.older.get(key, value)
        if isinstance(value, dict):
            return b"-WRONGTYPE a hash\r\n"
        return bulk(value)
    if verb == b"DEL":
        existed = store.get(key) is not None
        change(key, None)
        return b":%d\r\n" % existed
    if verb in (b"INCR", b"INCRBY"):
        step = int(words[2]) if verb == b"INCRBY" else 1
        value = int(store.get(key) or 0) + step
        change(key, b"%d" % value)
        return b":%d\r\n" % value
    if verb == b"MSET":
        for name, value in zip(words[1::2], words[2::2]):
            change(name, value)
        return b"+OK\r\n"
    if verb == b"HSET":
        fields = dict(store.get(key) or {})
        fields.update(zip(words[2::2], words[3::2]))
        change(key, fields)
        return b":1\r\n"
    if verb == b"HDEL":
        fields = dict(store.get(key) or {})
        found = fields.pop(words[2], None)
        change(key, fields or None)
        return b":%d\r\n" % (found is not None)
    if verb == b"HGETALL":
        fields = store.get(key) or {}
        return b"*%d\r\n" % (2 * len(fields)) + b"".join(
            bulk(name) + bulk(value) for name, value in fields.items())
    if verb == b"PTTL":
        if store.get(key) is None:
            return b":-2\r\n"
        ends = store.expires.get(key)
        return b":%d\r\n" % (max(0, int(ends - time.time() * 1000)) if ends else -1)
    if verb == b"SCAN":
        names = [name for name in list(store.values) if store.get(name) is not None]
        return b"*2\r\n$1\r\n0\r\n*%d\r\n" % len(names) + b"".join(map(bulk, names))
    return b"-ERR unknown command\r\n"


def obey(store, peer, words):
    verb = words[0].upper()
    if store.fault == "needs-password":
        return b"-NOAUTH Authentication required.\r\n"
    if verb == b"MULTI":
        peer.queued = []
        return b"+OK\r\n"
    effects = []
    if store.fault == "refuses-hashes" and verb == b"HSET":
        return b"-NOPERM this user has no permissions to run the 'hset' command\r\n"
    if verb == b"EXEC":
        replies = [run(store, queued, effects) for queued in peer.queued]
        peer.queued = None
        reply = b"*%d\r\n" % len(replies) + b"".join(replies)
    elif peer.queued is not None:
        peer.queued.append(words)
        return b"+QUEUED\r\n"
    else:
        reply = run(store, words, effects)
    if effects and store.fault == "answers-errors":
        return b"-READONLY this is a faulty server\r\n"
    if effects:
        if not store.failed:
            store.log(effects, peer.number)
        if store.failed:
            return REFUSALS[store.fault]
        store.writes += 1
        if store.fault == "dies" and store.writes == 300:
            sys.exit("enough")
    return reply


def commands(peer):
    """The whole commands at the front of what has arrived."""
    while peer.unread.startswith(b"*"):
        at = peer.unread.find(b"\r\n")
        if at < 0:
            return
        count, at, words = int(peer.unread[1:at]), at + 2, []
        for _ in range(count):
            end = peer.unread.find(b"\r\n", at)
            if end < 0:
                return
            size = int(peer.unread[at + 1:end])
            if len(peer.unread) < end + 2 + size + 2:
                return
            words.append(peer.unread[end + 2:end + 2 + size])
            at = end + 2 + size + 2
        peer.unread = peer.unread[at:]
        yield words


def serve(store, port):
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", port))
    selector.register(listener, selectors.EVENT_READ)
    numbers = 0
    while True:
        for ready, _ in selector.select(0.01):
            if ready.fileobj is listener:
                numbers += 1
                sock, _ = listener.accept()
                selector.register(sock, selectors.EVENT_READ, Peer(sock, numbers))
                continue
            peer = ready.data
            try:
                data = peer.sock.recv(1 << 16)
            except ConnectionError:
                data = b""
            if not data:
                selector.unregister(peer.sock)
                peer.sock.close()
                continue
            peer.unread += data
            if store.again and store.fault == "crashes":
                os.abort()
            if store.again and store.fault == "hangs":
                continue
            replies = b"".join(obey(store, peer, words) for words in commands(peer))
            try:
                peer.sock.sendall(replies)
            except ConnectionError:
                pass
        store.tick()


def main():
    port, folder, fault = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    assert fault in FAULTS, fault
    again = os.path.exists(os.path.join(folder, "made"))
    if again and fault == "refuses":
        sys.exit("the log is damaged")
    if again and fault == "refuses-silently":
        sys.exit(1)
    store = Store(folder, fault)
    signal.signal(signal.SIGTERM, store.stop)
    serve(store, port)


if __name__ == "__main__":
    main()
