"""The main job on real input: Debian's word list and package index, SIGKILL at random moments, and
every acknowledged write found again.

Each writer has a connection and keys of its own and sends a stream of steps (a command, or a
transaction) ahead of the replies it reads. What must hold after a restart follows: the state of a
writer's keys is the state after some prefix of its steps, no shorter than what was acknowledged and
no longer than what was sent. Lost writes, holes, halves of transactions and resurrections all break
that. SIGKILL takes nothing from the kernel, so it holds under every appendfsync.

FIRNLOG_SEED replays the choices; the moment of a kill stays the machine's. FIRNLOG_PROVE=1: many
more.
"""

import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from model import wire

SEED = harness.chosen_seed()
PROVE = bool(os.environ.get("FIRNLOG_PROVE"))
KILLS = 10_000 if PROVE else 40
SECONDS_MAX = 24 * 3600 if PROVE else 60  # a busy machine kills less often
WORDS = pathlib.Path("/usr/share/dict/words")
MODES = ("always", "everysec", "no")


def setUpModule():
    print("report: crash: seed %d" % SEED)


def words():
    if not WORDS.exists():
        raise unittest.SkipTest("%s is missing (Debian: wamerican)" % WORDS)
    return list(dict.fromkeys(WORDS.read_bytes().split()))


def packages(count):
    """(name, [field, value, ...]) of `apt-cache dumpavail`, the first `count` of them."""
    if shutil.which("apt-cache") is None:
        raise unittest.SkipTest("apt-cache is missing")
    found = {}
    apt = subprocess.Popen(["apt-cache", "dumpavail"], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL)
    with apt:
        fields = {}
        for line in apt.stdout:
            if line == b"\n":
                if b"Package" in fields:
                    found[fields[b"Package"]] = fields
                fields = {}
                if len(found) >= count:
                    break
            elif line[:1] != b" ":
                name, _, value = line.rstrip(b"\n").partition(b": ")
                fields[name] = value
        apt.kill()
    if not found:
        raise unittest.SkipTest("apt-cache dumpavail lists no packages")
    return [(name, [word for pair in fields.items() for word in pair])
            for name, fields in found.items()]


class Stream:
    """The steps of one writer and the state they lead to.

    state: key -> bytes, or dict for a hash. A step is (bytes to send, replies, {key: after})."""

    def __init__(self, prefix, vocabulary, entries, seed):
        self.prefix = prefix
        self.vocabulary = vocabulary
        self.entries = entries
        self.rng = random.Random("%d %s" % (SEED, seed))
        self.state = {}
        self.counter = 0

    def steps(self):
        """Endless; self.state runs ahead with what has been generated."""
        while True:
            if self.rng.random() < 0.15:
                commands = [self._command() for _ in range(self.rng.randint(2, 12))]
                words_of = [(b"MULTI",)] + [words for words, _ in commands] + [(b"EXEC",)]
                after = {}
                for _, effects in commands:
                    after.update(effects)
                yield b"".join(harness.encoded(*w) for w in words_of), len(words_of), after
            else:
                command, effects = self._command()
                yield harness.encoded(*command), 1, effects

    def _command(self):
        rng = self.rng
        self.counter += 1
        word = self.prefix + rng.choice(self.vocabulary)
        kind = rng.random()
        if kind < 0.45:
            return self._effect((b"SET", word, b"%d:%s" % (self.counter, word)), word,
                                b"%d:%s" % (self.counter, word))
        if kind < 0.52:
            return self._effect((b"DEL", word), word, None)
        if kind < 0.60:
            tail = b".%d" % self.counter
            old = self.state.get(word) or b""
            if len(old) < 2000:
                return self._effect((b"APPEND", word, tail), word, old + tail)
        if kind < 0.66:
            keys = list(dict.fromkeys(self.prefix + rng.choice(self.vocabulary) for _ in range(5)))
            pairs = [(key, b"m%d" % self.counter) for key in keys]
            self.state.update(pairs)
            return (b"MSET", *[part for pair in pairs for part in pair]), dict(pairs)
        if kind < 0.70:
            value = rng.randbytes(rng.choice((300, 5_000, 70_000)))
            return self._effect((b"SET", word, value), word, value)
        name, fields = rng.choice(self.entries)
        key = b"%spackage:%s" % (self.prefix, name)
        if kind < 0.74:
            return self._effect((b"DEL", key), key, None)
        if kind < 0.84:
            old = dict(self.state.get(key) or {})
            if old:
                field = rng.choice(list(old))
                del old[field]
                return self._effect((b"HDEL", key, field), key, old or None)
        hash_ = dict(self.state.get(key) or {})
        if kind < 0.90 or not fields:
            fields = [b"Seen", b"%d" % self.counter]
        hash_.update(zip(fields[::2], fields[1::2]))
        return self._effect((b"HSET", key, *fields), key, hash_)

    def _effect(self, command, key, value):
        self.state[key] = value
        return command, {key: value}


class Writer(threading.Thread):
    """Sends steps until the connection breaks (or stop() is called) and counts replies."""

    AHEAD = 48

    def __init__(self, server, steps):
        super().__init__(daemon=True)
        self.server = server
        self.steps = steps
        self.sent = []  # replies and effects of each step
        self.acked = 0  # steps
        self.wrong = None
        self.ending = threading.Event()

    def run(self):
        try:
            with self.server.connect() as client:
                self._send(client)
                while not self.ending.is_set():
                    self._send(client)
                    self._receive(client, len(self.sent) - self.AHEAD)
                self._receive(client, len(self.sent))
        except (OSError, harness.Closed):
            pass  # the kill

    def _send(self, client):
        data = []
        for _ in range(self.AHEAD):
            step, replies, effects = next(self.steps)
            data.append(step)
            self.sent.append((replies, effects))
        client.send_raw(b"".join(data))

    def _receive(self, client, until):
        while self.acked < until:
            for _ in range(self.sent[self.acked][0]):
                reply = client.reply()
                if reply[:1] == b"-":
                    self.wrong = reply
                    return
            self.acked += 1


def read_all(server, keys):
    """What the server holds under these keys: bytes, dict or None."""
    found = {}
    client = wire.Wire(server.port)
    for at in range(0, len(keys), 500):
        some = keys[at:at + 500]
        hashes = [key for key in some if b"package:" in key]
        plain = [key for key in some if b"package:" not in key]
        if plain:
            client.send("MGET", *plain)
            found.update(zip(plain, map(harness.parse, wire.elements(client.receive(1)[0]))))
        client.send_raw(b"".join(harness.encoded("HGETALL", key) for key in hashes))
        for key, reply in zip(hashes, client.receive(len(hashes))):
            flat = harness.parse(reply)
            found[key] = dict(zip(flat[::2], flat[1::2])) or None
    client.close()
    return found


def prefix_found(base, sent, acked, found):
    """The length of the prefix of `sent` after which the state is `found`; None if there is none.

    base: the state before `sent`; it becomes the state after the prefix."""
    for _, effects in sent[:acked]:
        base.update(effects)
    different = {key for key in found if base.get(key) != found[key]}
    for length in range(acked, len(sent) + 1):
        if not different:
            return length
        if length < len(sent):
            for key, value in sent[length][1].items():
                base[key] = value
                different.discard(key)
                if found[key] != value:
                    different.add(key)
    return None


class Kills(unittest.TestCase):
    def test_every_acknowledged_write_survives_sigkill_at_random_moments(self):
        rng = random.Random(SEED)
        vocabulary = words()
        rng.shuffle(vocabulary)
        entries = packages(1000)
        writers = 3
        share = 1000  # words each: few enough that most are overwritten again and again
        streams = [Stream(b"w%d:" % i, vocabulary[i * share:(i + 1) * share], entries, i)
                   for i in range(writers)]
        sources = [stream.steps() for stream in streams]
        states = [{} for _ in streams]
        counts = dict.fromkeys(MODES + ("in recovery", "clean stops", "acked", "unacked kept"), 0)
        kills = 0
        folder = tempfile.mkdtemp(prefix="firnlog-crash-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        cycles = 0
        until = time.monotonic() + SECONDS_MAX
        while kills < KILLS and (time.monotonic() < until or cycles < len(MODES)):
            mode = MODES[cycles % len(MODES)]
            cycles += 1
            threads = rng.choice((1, 1, 2))
            server = harness.firnlog("--appendfsync", mode, "--threads", threads, folder=folder,
                                     start=False)
            self.addCleanup(server.close)
            for _ in range(rng.choice((0, 0, 1, 2))):
                # Killed while it recovers, up to twice in a row: the next start has the same work.
                server.start(wait=False)
                time.sleep(rng.uniform(0, 0.06))
                server.kill()
                kills += 1
                counts["in recovery"] += 1
            server.start()
            at_work = [Writer(server, source) for source in sources]
            for writer in at_work:
                writer.start()
            time.sleep(rng.uniform(0.02, 0.4))
            if rng.random() < 0.15:
                self.assertEqual(server.stop(), 0, server.log())
                counts["clean stops"] += 1
            else:
                server.kill()
                kills += 1
                counts[mode] += 1
            for writer in at_work:
                writer.ending.set()
                writer.join()
                self.assertIsNone(writer.wrong, server.log())
            server.start()
            self.compare(server, rng, at_work, streams, states, counts)
            if rng.random() < 0.5:
                self.assertEqual(server.stop(), 0, server.log())
            else:
                server.kill()
        print("report: crash: " + ", ".join("%s %d" % item for item in counts.items()))
        for name in MODES + ("in recovery", "acked"):
            self.assertGreater(counts[name], 0, name)

    def compare(self, server, rng, at_work, streams, states, counts):
        with server.connect() as client:
            for i, writer in enumerate(at_work):
                keys = list(set(states[i]).union(*(effects for _, effects in writer.sent)))
                found = read_all(server, keys)
                length = prefix_found(states[i], writer.sent, writer.acked, found)
                if length is None:
                    wrong = [key for key in keys if states[i].get(key) != found[key]][:5]
                    self.fail("seed %d, writer %d: the state is after no prefix of its steps from "
                              "%d acknowledged to %d sent; for example %r" %
                              (SEED, i, writer.acked, len(writer.sent),
                               [(key, str(found[key])[:80]) for key in wrong]))
                counts["acked"] += writer.acked
                counts["unacked kept"] += length - writer.acked
                # The stream goes on from what was found, not from what had been sent.
                streams[i].state.clear()
                streams[i].state.update(states[i])
            alive = sum(value is not None for state in states for value in state.values())
            self.assertEqual(client.value("DBSIZE"), alive, "seed %d" % SEED)


class Corpus(unittest.TestCase):
    """The whole word list as strings and packages as hashes, through redis-cli --pipe."""

    def setUp(self):
        if shutil.which("redis-cli") is None:
            self.skipTest("redis-cli is not installed")
        self.rng = random.Random(SEED)

    def pipe(self, server, data):
        """redis-cli --pipe reading `data`, not waited for."""
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.seek(0)
            return subprocess.Popen(["redis-cli", "-p", str(server.port), "--pipe"], stdin=file,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def test_the_corpus_is_whole_after_kill_and_clean_stop_and_again(self):
        strings = {word: b"%d" % number for number, word in enumerate(words())}
        hashes = {b"package:" + name: dict(zip(fields[::2], fields[1::2]))
                  for name, fields in packages(5000 if not PROVE else 1 << 30)}
        data = b"".join(harness.encoded(b"SET", *item) for item in strings.items())
        data += b"".join(
            harness.encoded(b"HSET", key, *[word for pair in fields.items() for word in pair])
            for key, fields in hashes.items())
        everything = {**strings, **hashes}
        with harness.firnlog("--appendfsync", "everysec") as server:
            loading = self.pipe(server, data)
            output = loading.communicate(timeout=120)[0]
            self.assertEqual(loading.returncode, 0, output)
            self.assertIn(b"errors: 0, replies: %d" % len(everything), output)
            digest = None
            for end in ("kill", "stop", "stop", "kill"):
                if end == "kill":
                    server.kill()
                else:
                    self.assertEqual(server.stop(), 0, server.log())
                server.start()
                with server.connect() as client:
                    self.assertEqual(client.value("DBSIZE"), len(everything))
                    now = client.ask("FIRN", "DIGEST")
                    self.assertNotEqual(now[:1], b"-", now)
                    if digest is None:
                        found = read_all(server, list(everything))
                        self.assertEqual(len(found), len(everything))
                        for key, value in everything.items():
                            self.assertEqual(found[key], value, key)
                    else:
                        self.assertEqual(now, digest, "after " + end)
                    digest = now

    def test_a_load_killed_in_its_middle_leaves_a_prefix_and_can_be_repeated(self):
        vocabulary = words()
        data = b"".join(harness.encoded("SET", word, number)
                        for number, word in enumerate(vocabulary))
        for mode in MODES:
            with self.subTest(mode), harness.firnlog("--appendfsync", mode) as server:
                loading = self.pipe(server, data)
                time.sleep(self.rng.uniform(0.1, 0.6))
                server.kill()
                loading.communicate(timeout=60)
                server.start()
                with server.connect() as client:
                    size = client.value("DBSIZE")
                    found = read_all(server, vocabulary)
                    for number, word in enumerate(vocabulary):
                        self.assertEqual(found[word], b"%d" % number if number < size else None,
                                         (SEED, size))
                    again = self.pipe(server, data)
                    output = again.communicate(timeout=120)[0]
                    self.assertIn(b"errors: 0, replies: %d" % len(vocabulary), output)
                    self.assertEqual(client.value("DBSIZE"), len(vocabulary))


if __name__ == "__main__":
    unittest.main()
