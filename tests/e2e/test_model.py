"""Random commands, made from the rows of the server under test, asked of it and of redis-server side
by side: every reply equal to the byte (model/differences.py lists where not), the digest equal in
the end and unchanged by restarts, every row answering well and with each of its errors.

FIRNLOG_SEED replays a run, FIRNLOG_MODEL_COMMANDS sets how many, FIRNLOG_PROVE=1 asks 50 million.
"""

# e2e: measures no time

import collections
import os
import random
import unittest

import harness
from model import compare, differences, generate, rows, shrink, wire
from model.coverage import Coverage

SEED = harness.chosen_seed()
COMMANDS = int(os.environ.get("FIRNLOG_MODEL_COMMANDS") or
               (50_000_000 if os.environ.get("FIRNLOG_PROVE") else 240_000))
CONNECTIONS = 3  # the last one speaks RESP3
BATCH = 100
EPOCH = 4_000  # commands between two comparisons of the digests; then all begins anew
LEAST = 50  # how often a row must answer well, and with each of its errors
FAILURES_MAX = int(os.environ.get("FIRNLOG_MODEL_FAILURES") or 8)
Step = collections.namedtuple("Step", "connection row words probe inline", defaults=(False,))


class Side:
    """One server's connections."""

    def __init__(self, server):
        self.server = server
        self.wires = []

    def begin(self):
        """New connections to an empty server."""
        self.close()
        self.wires = [wire.Wire(self.server.port) for _ in range(CONNECTIONS)]
        self.wires[0].ask("FLUSHALL")
        self.wires[-1].ask("HELLO", 3)

    def close(self):
        for connection in self.wires:
            connection.close()
        self.wires = []


class Pairing:
    """Compares the replies to one connection's steps in order, those within EXEC one by one."""

    def __init__(self):
        self.queued = None
        self.listed = b""

    def differs(self, step, ours, theirs, count):
        """None, or (ours, theirs) of the reply or of the element of EXEC's reply that differs."""
        name = step.row.name if step.row else ""
        if self.queued is not None and theirs == b"+QUEUED\r\n":
            self.queued.append(step)
            return None if ours == theirs else (ours, theirs)
        if self.queued is not None and name == "exec" and theirs[:1] == b"*":
            queued, self.queued = self.queued, None
            inner_ours, inner_theirs = wire.elements(ours), wire.elements(theirs)
            if inner_ours is None or len(inner_ours) != len(inner_theirs):
                return ours, theirs
            count(step.row, theirs)
            for inner, one, other in zip(queued, inner_ours, inner_theirs):
                if found := self._one(inner, one, other, count):
                    return found
            return None
        if name == "multi" and theirs == b"+OK\r\n":
            self.queued = []
        elif name in ("exec", "discard", "reset") and theirs[:1] != b"-" or (
                name == "exec" and theirs.startswith(b"-EXECABORT")):
            self.queued = None
        return self._one(step, ours, theirs, count)

    def _one(self, step, ours, theirs, count):
        if step.probe:
            self.listed = ours
        if step.row is not None:
            count(step.row, theirs)
        if compare.same(step.row, step.words, ours, theirs, self.listed):
            return None
        return ours, theirs


class Model(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.redis = harness.redis()
        cls.addClassCleanup(cls.redis.close)
        options = ("--appendfsync", "no", "--enable-debug-command", "yes")
        cls.firnlog = harness.firnlog(*options)
        cls.addClassCleanup(cls.firnlog.close)

    def rows_to_ask(self):
        """The rows of ours that Redis has too, less those in differences.SKIPPED."""
        with self.firnlog.connect() as client:
            ours = rows.read(client)
        with self.redis.connect() as client:
            theirs = rows.read(client)
        asked, left_out = {}, []
        for name, row in ours.items():
            if name in differences.SKIPPED or row.group in differences.SKIPPED_GROUPS:
                left_out.append(name)
            elif name not in theirs:
                self.assertIn(name, differences.SKIPPED, "Redis has no such row")
            else:
                asked[name] = row
        print("report: model: seed %d, %d rows of %d; left out: %s" %
              (SEED, len(asked), len(ours), " ".join(sorted(left_out))))
        return asked

    def test_what_is_left_out_is_tested_elsewhere(self):
        for name, why in differences.SKIPPED.items():
            module, _, test = why.rpartition(": ")[2].partition(".")
            with self.subTest(row=name):
                text = (harness.ROOT / "tests" / "e2e" / (module + ".py")).read_text()
                self.assertIn("def %s(" % test, text)

    def test_replies_and_digests_equal_those_of_redis(self):
        asked = self.rows_to_ask()
        self.rng = random.Random(SEED)
        self.coverage = Coverage(asked)
        self.least = max(1, min(LEAST, LEAST * COMMANDS // 200_000))
        self.generator = generate.Generator(self.rng, asked)
        self.ours, self.theirs = Side(self.firnlog), Side(self.redis)
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)
        failures, done, epochs = [], 0, 0
        while done < COMMANDS and len(failures) < FAILURES_MAX:
            history = []
            failure = self.epoch(history)
            done += len(history)
            epochs += 1
            if failure:
                failures.append(self.told(history, failure))
                # One example of each row is enough; the others deserve to be asked.
                if history[-1].row is not None:
                    self.generator.leave_out(history[-1].row.name)
        print("report: model: %d commands, %d epochs, %d differences" %
              (done, epochs, len(failures)))
        for line in self.coverage.lines():
            print("report: model: " + line)
        if failures:
            self.fail("\n\n" + "\n\n".join(failures))
        missing = list(self.coverage.missing(self.least))
        if missing:
            self.fail("\n" + "\n".join(missing))

    def epoch(self, history):
        """Asks EPOCH commands of both; None, or (ours, theirs, what) of history's last step."""
        self.ours.begin()
        self.theirs.begin()
        pairings = [Pairing() for _ in range(CONNECTIONS)]
        while len(history) < EPOCH:
            connection = self.rng.randrange(CONNECTIONS)
            steps = self.batch(connection, pairings[connection].queued is not None)
            if failure := self.ask(steps, pairings, history, self.coverage.count):
                return failure
        digests = [self.digest(side.server) for side in (self.ours, self.theirs)]
        if digests[0] != digests[1]:
            return digests[0], digests[1], "digest"
        if self.rng.random() < 0.2:
            for end in (self.firnlog.kill, self.firnlog.stop):
                end()
                self.firnlog.start()
                self.assertEqual(self.digest(self.firnlog), digests[1], "after a restart")
        return None

    def batch(self, connection, queueing):
        steps = [Step(connection, None, words, False) for words in self.generator.refill()]
        while len(steps) < BATCH:
            if self.rng.random() < 0.02 and self.rare():
                row, way = self.rng.choice(self.rare())
                steps += [Step(connection, self.row_of(words), words, False) for words in way]
                queueing = queueing or any(words[0] == b"MULTI" for words in way)
                continue
            row = self.generator.row()
            if queueing and self.rng.random() < 0.12:
                ending = self.rng.choice(("exec", "exec", "exec", "discard"))
                row = self.coverage.rows.get(ending, row)
            queueing = row.name == "multi" or queueing and row.name not in ("exec", "discard")
            words = self.generator.words(row)
            if row.name in differences.RANDOM and len(words) <= 4:
                listing = list(differences.RANDOM[row.name])
                listing += words[1:2] if row.name != "randomkey" else []
                steps.append(Step(connection, None, listing, True))
            inline = self.rng.random() < 0.03 and sum(map(len, words)) < 8_000
            steps.append(Step(connection, row, words, False, inline))
        return steps

    def rare(self):
        """Errors that have not been met often enough yet, and the ways to them."""
        return list(self.coverage.rare(self.least))

    def row_of(self, words):
        name = words[0].decode().lower()
        sub = "%s|%s" % (name, words[1].decode("latin-1").lower() if len(words) > 1 else "")
        return self.coverage.rows.get(sub) or self.coverage.rows.get(name)

    def ask(self, steps, pairings, history, count):
        """Asks the steps of one connection of both; the first difference ends it."""
        data = b"".join(wire.line(step.words) if step.inline else harness.encoded(*step.words)
                        for step in steps)
        wires = [side.wires[steps[0].connection] for side in (self.ours, self.theirs)]
        for one in wires:
            one.send_raw(data)
        theirs = wires[1].receive(len(steps))
        try:
            ours = wires[0].receive(len(steps))
        except (harness.Closed, OSError) as error:
            history += steps
            return b"", b"", "%s; log: %s" % (error, self.firnlog.log()[-3000:])
        pairing = pairings[steps[0].connection]
        for step, one, other in zip(steps, ours, theirs):
            history.append(step)
            if found := pairing.differs(step, one, other, count):
                return *found, "reply"
        return None

    def digest(self, server):
        reply = server.ask("DEBUG", "DIGEST")
        self.assertEqual(reply[:1], b"+", reply)
        return reply

    def told(self, history, failure):
        """What to print of a difference: what differs, and the shortest history that still does."""
        if self.firnlog.process.poll() is not None:
            self.firnlog.start()

        def fails(candidate):
            self.ours.begin()
            self.theirs.begin()
            pairings = [Pairing() for _ in range(CONNECTIONS)]
            for at in range(0, len(candidate)):
                found = self.ask(candidate[at:at + 1], pairings, [], lambda *_: None)
                if found and self.firnlog.process.poll() is not None:
                    self.firnlog.start()
                    return True
                if found and failure[2] != "digest":
                    return at == len(candidate) - 1
            return failure[2] == "digest" and (
                self.digest(self.ours.server) != self.digest(self.theirs.server))

        short = shrink.shrink(history, fails) if fails(history) else history[-20:]
        lines = ["%d: %s" % (step.connection, " ".join(
            word.decode() if word.isalnum() else repr(word)[1:] for word in step.words)[:400])
                 for step in short]
        return "seed %d, %s: ours %r, Redis's %r, after\n  %s" % (
            SEED, failure[2], failure[0][:500], failure[1][:500], "\n  ".join(lines))


if __name__ == "__main__":
    unittest.main()
