"""Any moment of a long history is what it was: restored, read beside the live server, out of a backup, and
out of an archive whose store is gone.

The history is a million operations in `./dev prove` and 40,000 in CI: strings, hashes, values too large
for one record, MULTI, expiry, FLUSHALL and what takes it back, SWAPDB, RENAME, checkpoints, clean stops
and SIGKILL amid writes. Moments are noted while it is made, between two replies of a pipeline as well;
what FIRN DIGEST has to be there says a model that knows nothing of Firnlog (history_model.py).
"""

# e2e: measures no time

import datetime
import os
import pathlib
import random
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import harness
import history_model
from test_online_past import maps
from test_undo import at_lsn

PROVE = bool(os.environ.get("FIRNLOG_PROVE"))
OPERATIONS = 1_000_000 if PROVE else 40_000
MOMENTS = 200 if PROVE else 20
CRASHES = 12 if PROVE else 4
NOISE = random.Random(1).randbytes(1 << 20)
YEAR_MS = 365 * 24 * 3600 * 1000


def now_ms():
    return time.time_ns() // 1_000_000


def micros(text):
    """Of 2026-11-26T04:10:00.500000Z."""
    moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return since // datetime.timedelta(microseconds=1)


class Moment:
    """How it is asked for (`--lsn` and so on), what was there then, and the bounds of its lsn. `expiry_us`
    is what expiry goes by where that is not the time of the commit."""

    def __init__(self, what, name, state, after, until, expiry_us=None):
        self.what, self.name, self.state = what, name, state
        self.after, self.until, self.expiry_us = after, until, expiry_us

    def options(self):
        return "--" + self.what, self.name

    def words(self):
        return self.what.upper(), self.name

    def __repr__(self):
        return "%s %s" % (self.what, self.name)


class Operations:
    """Random commands. What they find does not matter here: the model says what they do."""

    def __init__(self, dice):
        self.dice = dice
        self.database = 0

    def noise(self, size):
        at = int(self.dice.random() * (len(NOISE) - size))
        return NOISE[at:at + size]

    def plain(self):
        """One command whose keys do not come due."""
        dice, roll = self.dice, self.dice.random()
        key = b"key:%d" % int(dice.random() * 1500)
        if roll < 0.30:
            return (b"SET", key, self.noise(int(dice.random() * 150)))
        if roll < 0.38:
            return (b"APPEND", key, self.noise(1 + int(dice.random() * 30)))
        if roll < 0.48:
            return (b"DEL", key, b"key:%d" % dice.randrange(1500))
        if roll < 0.53:
            return (b"INCRBY", b"count:%d" % dice.randrange(20), b"%d" % dice.randrange(-99, 99))
        if roll < 0.66:
            hashed = b"wide:%d" % dice.randrange(4) if roll < 0.58 else key
            return (b"HSET", hashed, b"f%d" % int(dice.random() * 3000), self.noise(20),
                    b"g%d" % int(dice.random() * 3000), self.noise(int(dice.random() * 60)))
        if roll < 0.70:
            return (b"HDEL", b"wide:%d" % dice.randrange(4), b"f%d" % dice.randrange(3000))
        if roll < 0.74:
            return (b"HINCRBY", b"tally:%d" % dice.randrange(5), b"n%d" % dice.randrange(9),
                    b"%d" % dice.randrange(-99, 99))
        other = b"key:%d" % int(dice.random() * 1500)
        if roll < 0.81:
            return (b"RENAME", key, other) if key != other else (b"GETDEL", key)
        if roll < 0.85:
            return (b"COPY", key, other, b"REPLACE") if key != other else (b"GETDEL", key)
        if roll < 0.88:
            return (b"PEXPIREAT", key, b"%d" % (now_ms() + YEAR_MS + dice.randrange(YEAR_MS)))
        if roll < 0.90:
            return (b"PERSIST", key)
        if roll < 0.92:
            return (b"GETDEL", key)
        if roll < 0.94:
            return (b"MSET", key, self.noise(9), other, self.noise(99), b"key:0", b"")
        if roll < 0.96:
            number = (self.database + 1 + dice.randrange(history_model.DATABASES - 1))
            return (b"MOVE", key, b"%d" % (number % history_model.DATABASES))
        if roll < 0.97:
            return (b"SET", key, self.noise(5), b"KEEPTTL")
        return self.large()

    def large(self):
        dice, roll = self.dice, self.dice.random()
        key = b"large:%d" % dice.randrange(4)
        if roll < 0.55:
            return (b"SETRANGE", key, b"%d" % dice.randrange(250_000), self.noise(1 + dice.randrange(400)))
        if roll < 0.70:
            return (b"APPEND", key, self.noise(dice.randrange(3000)))
        if roll < 0.73:
            return (b"SET", key, self.noise(dice.randrange(300_000)))
        if roll < 0.80:
            return (b"RENAME", key, b"large:4")
        if roll < 0.83:
            return (b"COPY", key, b"large:5", b"REPLACE")
        if roll < 0.86:
            return (b"HSET", b"wide:%d" % dice.randrange(4), b"long:%d" % dice.randrange(3),
                    self.noise(dice.randrange(200_000)))
        if roll < 0.93:
            return (b"RENAME", b"wide:%d" % dice.randrange(2), b"wide:%d" % (2 + dice.randrange(2)))
        if roll < 0.97:
            return (b"DEL", b"wide:%d" % dice.randrange(4))
        return (b"DEL", key)

    def scene(self):
        """One that turns whole databases."""
        dice, roll = self.dice, self.dice.random()
        numbers = [b"%d" % dice.randrange(history_model.DATABASES) for _ in range(2)]
        if roll < 0.5:
            self.database = int(numbers[0])
            return (b"SELECT", numbers[0])
        if roll < 0.97:
            return (b"SWAPDB", *numbers)
        return (b"FLUSHDB",) if roll < 0.99 else (b"FLUSHALL",)

    def brief(self):
        """One whose keys may come due at any time, and those keys."""
        dice, roll = self.dice, self.dice.random()
        key, other = (b"~%d" % number for number in dice.sample(range(60), 2))
        soon = b"%d" % (now_ms() + dice.randrange(100, 4000))
        if roll < 0.35:
            return (b"SET", key, self.noise(30), b"PXAT", soon), (key,)
        if roll < 0.50:
            return (b"APPEND", key, self.noise(10)), (key,)
        if roll < 0.65:
            return (b"PEXPIREAT", key, soon), (key,)
        if roll < 0.70:
            return (b"PERSIST", key), (key,)
        if roll < 0.75:
            return (b"SET", key, self.noise(5), b"KEEPTTL"), (key,)
        if roll < 0.80:
            return (b"DEL", key), (key,)
        if roll < 0.90:
            return (b"RENAME", key, other), (key, other)
        return (b"COPY", key, other, b"REPLACE"), (key, other)


class History(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="firnlog-e2e-million-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.seed = harness.chosen_seed()
        self.dice = random.Random(self.seed)
        self.operations = Operations(self.dice)
        self.model = history_model.Model()
        self.moments = []
        self.lsn = 0  # noted last
        self.done = self.marks = 0
        self.backups = []  # name, how many moments it has

    # ---- Writing.

    def ask(self, *words):
        """With nothing else under way, and no error."""
        reply = self.client.value(*words)
        self.assertNotIsInstance(reply, harness.Error, words)
        return reply

    def command(self, words):
        """Sent and read: the reply is what the model expects."""
        self.client.send(*words)
        self.meet(words, self.client.reply())

    def meet(self, words, reply):
        wrong = self.model.apply(words)
        self.assertEqual(reply[:1] == b"-", wrong, (self.seed, self.done, words[:2], reply[:100]))
        self.done += 1

    def chunk(self, size):
        """A pipeline of some `size` operations: alone, in MULTI, and moments between them."""
        steps, sent = [], []
        while len(steps) < size:
            roll = self.dice.random()
            if roll < 0.93:
                steps.append(("plain", self.operations.plain()))
            elif roll < 0.955:
                steps.append(("multi", [self.operations.plain()
                                        for _ in range(self.dice.randrange(2, 8))]))
            elif roll < 0.985:
                steps.append(("brief", self.operations.brief()))
            elif roll < 0.997 or self.done < 1000:
                steps.append(("plain", self.operations.scene()))
            else:
                self.marks += 1
                steps.append((self.dice.choice(("lsn", "lsn", "mark", "amid")), "m%d" % self.marks))
        for kind, what in steps:
            sent += self.sent(kind, what)
        self.client.send_raw(b"".join(harness.encoded(*words) for words in sent))
        for kind, what in steps:
            getattr(self, "read_" + kind)(what)

    def sent(self, kind, what):
        if kind == "plain":
            return [what]
        if kind == "multi":
            return [("MULTI",), *what, ("EXEC",)]
        if kind == "brief":
            there = [("EXISTS", key) for key in what[1]]
            return [("MULTI",), *there, what[0], *there, ("EXEC",)]
        if kind == "lsn":
            return [("FIRN", "LSN")]
        if kind == "mark":
            return [("FIRN", "MARK", what), ("FIRN", "LSN")]
        # Amid a transaction: nothing of it is there yet.
        return [("MULTI",), ("SET", "amid", "1"), ("FIRN", "LSN"), ("SET", "amid", "2"), ("EXEC",)]

    def executed(self, count):
        """The replies of a transaction's commands."""
        for _ in range(count + 1):
            self.client.reply()
        return harness.parse(self.client.reply())

    def read_plain(self, words):
        self.meet(words, self.client.reply())

    def read_multi(self, commands):
        for words, reply in zip(commands, self.executed(len(commands))):
            self.meet(words, b"-" if isinstance(reply, harness.Error) else b"+")

    def read_brief(self, what):
        words, keys = what
        replies = self.executed(2 * len(keys) + 1)
        self.come_due(keys, replies[:len(keys)])
        self.meet(words, b"-" if isinstance(replies[len(keys)], harness.Error) else b"+")
        self.come_due(keys, replies[len(keys) + 1:])

    def come_due(self, keys, there):
        """What is not there although nobody has deleted it has come due."""
        for key, exists in zip(keys, there):
            if exists:
                self.assertTrue(self.model.has(key), (self.seed, self.done, key))
            elif self.model.has(key):
                at = self.model.expiry(key)
                self.assertTrue(at is not None and at <= now_ms(), (self.seed, self.done, key, at))
                self.model.forget(key)

    def read_lsn(self, _):
        self.note(harness.parse(self.client.reply()))

    def read_mark(self, name):
        after = self.lsn
        self.assertEqual(self.client.reply(), b"+OK\r\n")
        told = maps(harness.parse(self.client.reply()))
        self.lsn = told[b"tail"]
        self.moments.append(Moment("mark", name, self.model.state(), after, self.lsn))

    def read_amid(self, _):
        told = self.executed(3)[1]
        self.note(told)
        for content in (b"1", b"2"):
            self.model.apply((b"SET", b"amid", content))

    def note(self, told):
        told, after = maps(told), self.lsn
        self.lsn = told[b"tail"]
        name = "%d:%d" % (told[b"timeline"], told[b"tail"])
        self.moments.append(Moment("lsn", name, self.model.state(), after, self.lsn))

    def note_time(self):
        """Nothing is under way: what is there now is there at this time."""
        time.sleep(0.002)
        us = time.time_ns() // 1000
        time.sleep(0.002)
        # Keys that come due are deleted at any time: some of that may lie before this moment.
        after, self.lsn = self.lsn, maps(self.ask("FIRN", "LSN"))[b"tail"]
        name = "@%d.%06d" % divmod(us, 1_000_000)
        self.moments.append(Moment(self.dice.choice(("at", "before")), name, self.model.state(), after,
                                   self.lsn, us))

    def flush_and_undo(self):
        """FLUSHALL, and all of it back as it was: at once while it is parked, else key by key."""
        self.ask("CONFIG", "SET", "flush-undo", self.dice.choice((0, 300)))
        before, state = at_lsn(self.client), self.model.state()
        self.moments.append(Moment("lsn", before, state, self.lsn, int(before.split(":")[1])))
        spaces = self.model.spaces
        self.command((b"FLUSHALL",))
        self.note(self.ask("FIRN", "LSN"))
        told = maps(self.ask("FIRN", "RESTORE", "MATCH", "*", "LSN", before, "ALLDBS", "DELETE-NEW", "TTL",
                             "keep"))
        self.assertEqual((told[b"damaged"], told[b"too_large"]), (0, 0))
        self.model.spaces = spaces
        self.note(self.ask("FIRN", "LSN"))

    def crash(self):
        """SIGKILL with commands under way. Each of them says in its transaction which it is, so that the
        store tells afterwards which of them are in it."""
        if self.dice.random() < 0.5:
            self.ask("BGSAVE", "SCHEDULE")
        begun = self.done
        commands = [self.operations.plain() for _ in range(self.dice.randrange(20, 300))]
        raw = []
        for number, words in enumerate(commands):
            turns = [("MULTI",), words, ("SET", "ticker", begun + number), ("EXEC",)]
            raw += [harness.encoded(*turn) for turn in turns]
        self.command((b"SET", b"ticker", b"%d" % (begun - 1)))
        self.client.send_raw(b"".join(raw))
        answered = 0
        for _ in range(self.dice.randrange(len(commands))):
            self.executed(2)
            answered += 1
        time.sleep(self.dice.random() * 0.002)
        self.server.kill()
        self.client.close()
        self.server.start()
        self.client = self.server.connect()
        self.ask("SELECT", self.model.database)
        reached = int(self.ask("GET", "ticker")) - begun + 1
        self.assertGreaterEqual(reached, answered, self.seed)
        for words in commands[:reached]:
            self.model.apply(words)
            self.done += 1
        self.model.apply((b"SET", b"ticker", b"%d" % (begun + reached - 1)))
        self.assert_live()

    def assert_now(self, client, state):
        """Some of it may come due while it is asked."""
        begin = now_ms()
        told, end = client.value("FIRN", "DIGEST").decode(), now_ms()
        times = {begin, end} | {at for at in state.times() if begin <= at <= end}
        self.assertIn(told, {state.digest(at) for at in times}, (self.seed, self.done))

    def assert_live(self):
        self.assert_now(self.client, self.model.state())

    def backup(self):
        name = "b%d" % len(self.backups)
        self.run_verb("backup", "--from", self.server.folder, "--to", self.folder / "backups", "--name", name)
        self.backups.append((name, len(self.moments)))

    def make(self):
        crashes = {OPERATIONS * (2 * i + 1) // (2 * CRASHES) for i in range(CRASHES)}
        others = {"stop": 3, "backup": 3, "flush_and_undo": 8, "look": MOMENTS // 10}
        plan = [(at, "crash") for at in crashes]
        plan += [(self.dice.randrange(OPERATIONS), what) for what, count in others.items()
                 for _ in range(count)]
        plan.sort(reverse=True)
        while self.done < OPERATIONS:
            self.chunk(self.dice.randrange(1, 1000))
            if self.dice.random() < 0.2:
                self.note_time()
            if self.dice.random() < 0.05:
                self.ask("SAVE")
            while plan and plan[-1][0] <= self.done:
                getattr(self, plan.pop()[1])()
        for _, what in plan:
            getattr(self, what)()
        self.assert_live()

    def stop(self):
        self.client.close()
        self.assertEqual(self.server.stop(), 0)
        self.server.start()
        self.client = self.server.connect()
        self.ask("SELECT", self.model.database)
        self.assert_live()

    def look(self):
        """Into the past, while it is made."""
        if self.moments:
            self.asof(self.dice.choice(self.moments))

    # ---- Looking.

    def run_verb(self, *args):
        done = subprocess.run([harness.FIRNLOG, *map(str, args)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=600)
        self.assertEqual(done.returncode, 0, (self.seed, args, done))
        return done.stdout

    def judge(self, moment, lsn, us, digest):
        where = (self.seed, moment, lsn, us)
        self.assertTrue(moment.after <= lsn <= moment.until, (where, moment.after, moment.until))
        self.assertEqual(digest, moment.state.digest(us // 1000), where)

    def asof(self, moment):
        with self.server.connect() as past:
            place = maps(past.value("FIRN", "ASOF", *moment.words()))
            lsn = int(place[b"lsn"].split(b":")[1])
            self.judge(moment, lsn, micros(place[b"time"].decode()),
                       past.value("FIRN", "DIGEST").decode())

    def restored(self, source, moment, *options):
        told = self.run_verb("restore", "--from", source, *moment.options(), *options)
        place = re.search(r"^moment +lsn \d+:(\d+), (\S+)$", told, re.M)
        digest = re.search(r"^digest +(\w+)$", told, re.M)
        us = moment.expiry_us or micros(place[2])
        self.judge(moment, int(place[1]), us, digest[1])

    def restore_each(self, source, moments):
        """Every other one in earnest, and of these one in five is served."""
        for number, moment in enumerate(moments):
            with self.subTest(source=source, moment=moment, seed=self.seed):
                if number % 2:
                    self.restored(source, moment, "--dry-run")
                    continue
                target = self.folder / "restored"
                try:
                    self.restored(source, moment, "--to", target, "--ttl", "keep")
                    if number % 10 == 0:
                        with harness.firnlog(folder=target) as second:
                            self.assert_now(second, moment.state)
                finally:
                    shutil.rmtree(target, ignore_errors=True)

    def drawn(self, moments):
        return self.dice.sample(moments, min(MOMENTS, len(moments)))

    def test_any_moment_of_a_long_history_is_what_it_was(self):
        store, archive = self.folder / "store", self.folder / "archive"
        archive.mkdir()
        begun = time.monotonic()
        took = {}

        def section(name):
            nonlocal begun
            took[name], begun = time.monotonic() - begun, time.monotonic()

        with harness.firnlog("--appendfsync", "everysec", "--threads", 1, "--segment-bytes-max", "4mb",
                             "--retain-bytes", "16gb", "--archive-dir", archive, folder=store) as server:
            self.server, self.client = server, server.connect()
            self.make()
            section("write")
            self.assertGreaterEqual(len(self.moments), MOMENTS)
            # Each crash has begun a timeline, and no clean stop has.
            self.assertEqual(maps(self.ask("FIRN", "LSN"))[b"timeline"], 1 + CRASHES)
            self.backup()
            for moment in self.drawn(self.moments):
                with self.subTest(source="asof", moment=moment, seed=self.seed):
                    self.asof(moment)
            section("asof")
            # Beside the server, and while it has something to do.
            self.client.send("BGSAVE")
            self.restore_each(store, self.drawn(self.moments))
            section("restore")
            self.client.close()
            self.assertEqual(server.stop(), 0)
        shutil.rmtree(store)
        for name, count in self.backups:
            share = MOMENTS if name == self.backups[-1][0] else MOMENTS // 10
            moments = self.drawn(self.moments[:count])[:share]
            self.restore_each(self.folder / "backups" / name, moments)
        section("backup")
        self.restore_each(archive, self.drawn(self.moments))
        section("archive")
        print("report: %d operations, %d moments noted, %d looked at each way, seed %d: %s" % (
            self.done, len(self.moments), MOMENTS, self.seed,
            ", ".join("%s %.0f s" % item for item in took.items())))


if __name__ == "__main__":
    unittest.main()
