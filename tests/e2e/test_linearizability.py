"""T8: histories of concurrent clients, with kills in them, are those of one client after the other.

Clients write and read the same few keys on connections of their own, some commands ahead of the
replies, and note when each command left and when its reply was there. The server is killed amid
that, again and again, also while it takes a checkpoint. linearizability.py then says whether an
order exists that explains every reply, and whether half of a transaction was ever seen.

FIRNLOG_SEED replays the choices; how commands meet stays the machine's. FIRNLOG_PROVE=1: twenty
million commands.
"""

import os
import random
import threading
import time
import unittest

import harness
import linearizability
from linearizability import Append, Op, Read, Txn

SEED = harness.chosen_seed()
PROVE = bool(os.environ.get("FIRNLOG_PROVE"))
COMMANDS = 20_000_000 if PROVE else 50_000
CLIENTS = 6
LIVES = 3  # of the server, with the same keys
COMMANDS_A_LIFE = 700
MODES = (("always", 1), ("always", 3), ("everysec", 1), ("everysec", 3), ("no", 3))


def now():
    return time.monotonic_ns() // 1000


def text(reply):
    """A reply, parsed, as linearizability.py has it."""
    if reply is None:
        return linearizability.NIL
    return reply.decode() if isinstance(reply, bytes) else reply


class Worker(threading.Thread):
    """One connection. What it sent and was not answered is in `open`."""

    def __init__(self, server, number, keys, commands):
        super().__init__()
        self.server = server
        self.number = number
        self.keys = keys
        self.left = commands
        self.rng = random.Random("%d %d" % (SEED, number))
        self.ops = []   # (key, Op)
        self.txns = []
        self.open = []  # (key, name, args, invoked), or (None, steps, None, invoked)
        self.failure = None
        self.written = 0

    def run(self):
        try:
            with self.server.connect() as client:
                while self.left > 0:
                    if self.rng.random() < 0.4:
                        self.transact(client)
                    else:
                        self.register(client)
        except (harness.Closed, OSError):
            pass  # killed
        except Exception as failure:  # of the test; told by whoever joins
            self.failure = failure

    def value(self):
        self.written += 1
        return "v%d.%d" % (self.number, self.written)

    def command(self):
        rng = self.rng
        if rng.random() < 0.3:
            key = "counter%d%s" % (rng.randrange(2), self.keys)
            name = rng.choices(("INCR", "GET", "DEL"), (6, 3, 1))[0]
            return key, name, ()
        key = "register%d%s" % (rng.randrange(4), self.keys)
        name = rng.choices(("SET", "GET", "SETNX", "GETSET", "DEL"), (4, 6, 2, 2, 2))[0]
        return key, name, (self.value(),) if name in ("SET", "SETNX", "GETSET") else ()

    def register(self, client):
        asked = [self.command() for _ in range(self.rng.choice((1, 1, 2, 5)))]
        invoked = now()
        self.open = [asked_for + (invoked,) for asked_for in asked]
        client.send_raw(b"".join(harness.encoded(name, key, *args) for key, name, args in asked))
        for key, name, args in asked:
            reply = text(harness.parse(client.reply()))
            if isinstance(reply, harness.Error):
                raise AssertionError("%s %s: %s" % (name, key, reply))
            self.ops.append((key, Op(self.number, name, args, reply, invoked, now())))
            self.open.pop(0)
            self.left -= 1

    def step(self):
        key = "list%d%s" % (self.rng.randrange(5), self.keys)
        if self.rng.random() < 0.5:
            return Append(key, self.value(), None)
        return Read(key, None)

    def transact(self, client):
        steps = tuple(self.step() for _ in range(self.rng.choice((1, 2, 3))))
        words = [("APPEND", step.key, step.token + ";") if isinstance(step, Append)
                 else ("GET", step.key) for step in steps]
        if len(words) > 1:
            words = [("MULTI",), *words, ("EXEC",)]
        invoked = now()
        self.open = [(None, steps, None, invoked)]
        client.send_raw(b"".join(harness.encoded(*word) for word in words))
        replies = [harness.parse(client.reply()) for _ in words]
        returned = now()
        results = replies if len(replies) == 1 else replies[-1]
        if isinstance(results, harness.Error) or len(results) != len(steps):
            raise AssertionError("%s: %s" % (words, replies))
        seen = tuple(step._replace(length=result) if isinstance(step, Append)
                     else step._replace(text="" if result is None else result.decode())
                     for step, result in zip(steps, results))
        self.txns.append(Txn(self.number, seen, invoked, returned, False))
        self.open = []
        self.left -= len(steps)


class Histories(unittest.TestCase):
    def setUp(self):
        self.rng = random.Random(SEED)
        self.kills = self.commands = self.unknown = self.transactions = self.clients = 0

    def live(self, server, keys, ops, txns, dies):
        """What a life of the server leaves is added to `ops` (by key) and `txns`."""
        workers = []
        for _ in range(CLIENTS):
            self.clients += 1
            workers.append(Worker(server, self.clients, keys, COMMANDS_A_LIFE // CLIENTS))
        for worker in workers:
            worker.start()
        killed = None
        if dies:
            # Amid the commands, however fast they go on this machine.
            goal = self.rng.randrange(COMMANDS_A_LIFE)
            while any(worker.is_alive() for worker in workers) and \
                    sum(COMMANDS_A_LIFE // CLIENTS - worker.left for worker in workers) < goal:
                time.sleep(0.001)
            if self.rng.random() < 0.4:
                try:
                    server.ask("BGSAVE")
                except (harness.Closed, OSError):
                    pass
            server.kill()
            killed = now()
            self.kills += 1
        for worker in workers:
            worker.join()
            if worker.failure is not None:
                raise worker.failure
            for key, op in worker.ops:
                ops.setdefault(key, []).append(op)
            txns.extend(worker.txns)
            self.commands += len(worker.ops) + sum(len(txn.steps) for txn in worker.txns)
            self.transactions += sum(len(txn.steps) > 1 for txn in worker.txns)
            for key, name, args, invoked in worker.open:
                self.assertIsNotNone(killed, "a connection ended, and nobody killed the server")
                if invoked >= killed:
                    continue  # to nobody
                self.unknown += 1
                if key is None:
                    txns.append(Txn(worker.number, name, invoked, killed, True))
                else:
                    ops.setdefault(key, []).append(
                        Op(worker.number, name, args, None, invoked, killed))

    def look(self, server, ops, txns):
        """Everything once more, when all is over; and then whether there is an order."""
        with server.connect() as client:
            for key, known in ops.items():
                invoked = now()
                known.append(Op(0, "GET", (), text(client.value("GET", key)), invoked, now()))
            lists = {step.key for txn in txns for step in txn.steps}
            final = {key: (client.value("GET", key) or b"").decode() for key in sorted(lists)}
        for key, known in ops.items():
            said = linearizability.violation(known)
            self.assertIsNone(said, "%s: %s" % (key, said))
        self.assertEqual(linearizability.faults_of(txns, final), [])

    def test_every_reply_is_one_of_some_order(self):
        epoch = 0
        try:
            while self.commands < COMMANDS:
                mode, threads = MODES[epoch % len(MODES)]
                with harness.firnlog("--appendfsync", mode, "--threads", threads,
                                     "--save", "") as server:
                    for _ in range(3):
                        epoch += 1
                        ops, txns = {}, []
                        for life in range(LIVES):
                            dies = life + 1 < LIVES
                            self.live(server, ":%d" % epoch, ops, txns, dies)
                            if dies:
                                server.kill_and_start()
                        self.look(server, ops, txns)
                        if self.commands >= COMMANDS:
                            break
        finally:
            print("report: linearizability: seed %d, %d commands, %d transactions, %d kills, %d "
                  "without a reply" % (SEED, self.commands, self.transactions, self.kills,
                                       self.unknown))
        self.assertGreater(self.unknown, 0)


class Checker(unittest.TestCase):
    """It finds what is wrong, and nothing in what is right."""

    def has(self, *ops):
        return linearizability.violation(
            [Op(client, name, args, result, invoked, returned)
             for client, name, args, result, invoked, returned in ops])

    def test_registers(self):
        self.assertIsNone(self.has((1, "SET", ("a",), "OK", 0, 10), (2, "GET", (), "a", 5, 8)))
        self.assertIsNone(self.has((1, "SET", ("a",), "OK", 0, 10), (2, "GET", (), "nil", 5, 8)))
        stale = ((1, "SET", ("a",), "OK", 0, 10), (2, "GET", (), "nil", 11, 12))
        self.assertIn("GET", self.has(*stale))
        back = ((1, "SET", ("a",), "OK", 0, 20), (2, "GET", (), "a", 5, 8),
                (3, "GET", (), "nil", 9, 12))
        self.assertIsNotNone(self.has(*back))
        twice = ((1, "SETNX", ("a",), 1, 0, 10), (2, "SETNX", ("b",), 1, 5, 12))
        self.assertIsNotNone(self.has(*twice))
        self.assertIsNotNone(self.has((1, "INCR", (), 1, 0, 10), (2, "INCR", (), 1, 5, 12)))
        self.assertIsNone(self.has((1, "INCR", (), 2, 0, 10), (2, "INCR", (), 1, 5, 12)))
        self.assertIsNotNone(self.has((1, "DEL", (), 1, 0, 1)))

    def test_a_connections_commands_are_in_its_order(self):
        self.assertIsNotNone(self.has((1, "GET", (), "a", 0, 10), (1, "SET", ("a",), "OK", 0, 10)))
        self.assertIsNone(self.has((1, "GET", (), "a", 0, 10), (2, "SET", ("a",), "OK", 0, 10)))

    def test_what_nobody_knows_has_happened_or_not_but_no_later_than_the_kill(self):
        lost = (1, "SET", ("a",), None, 0, 10)
        self.assertIsNone(self.has(lost, (2, "GET", (), "a", 11, 12)))
        self.assertIsNone(self.has(lost, (2, "GET", (), "nil", 11, 12)))
        self.assertIsNotNone(self.has(lost, (2, "GET", (), "nil", 11, 12),
                                      (2, "GET", (), "a", 13, 14)))

    def test_an_acknowledged_write_that_a_kill_took_is_found(self):
        self.assertIsNotNone(self.has((1, "SET", ("a",), "OK", 0, 1), (1, "SET", ("b",), "OK", 2, 3),
                                      (2, "GET", (), "a", 9, 10)))

    def faults(self, final, *txns):
        return " ".join(linearizability.faults_of(
            [Txn(client, tuple(steps), invoked, returned, unknown)
             for client, steps, invoked, returned, unknown in txns], final))

    def test_transactions(self):
        both = (1, [Append("x", "a", 2), Append("y", "b", 2)], 0, 10, False)
        self.assertEqual(self.faults({"x": "a;", "y": "b;"}, both), "")
        self.assertIn("half", self.faults({"x": "a;", "y": ""}, both))
        self.assertIn("lost", self.faults({"x": "", "y": ""}, both))
        self.assertIn("twice", self.faults({"x": "a;a;", "y": "b;"}, both))
        self.assertIn("never written", self.faults({"x": "a;c;", "y": "b;"}, both))
        # Of a command that died, half is as wrong; nothing of it is not.
        died = (1, [Append("x", "a", None), Append("y", "b", None)], 0, 10, True)
        self.assertEqual(self.faults({"x": "", "y": ""}, died), "")
        self.assertIn("half", self.faults({"x": "a;", "y": ""}, died))
        self.assertIn("said to end", self.faults(
            {"x": "a;c;"}, (1, [Append("x", "a", 4)], 0, 1, False),
            (2, [Append("x", "c", 4)], 0, 1, False)))
        self.assertIn("no beginning", self.faults(
            {"x": "a;c;"}, (1, [Append("x", "a", 2)], 0, 1, False),
            (2, [Append("x", "c", 4)], 0, 1, False), (3, [Read("x", "c;")], 0, 1, False)))

    def test_cycles(self):
        one = (1, [Append("x", "a", 2)], 0, 1, False)
        two = (2, [Append("y", "b", 2)], 2, 3, False)
        final = {"x": "a;", "y": "b;"}
        # Seen the later one and not the earlier one: in one transaction, or one after the other.
        self.assertIn("circle", self.faults(
            final, one, two, (3, [Read("y", "b;"), Read("x", "")], 0, 9, False)))
        self.assertIn("circle", self.faults(
            final, one, two, (3, [Read("y", "b;")], 2, 3, False), (3, [Read("x", "")], 4, 5, False)))
        self.assertEqual(self.faults(
            final, one, two, (3, [Read("x", "a;"), Read("y", "")], 0, 9, False)), "")
        # A write that two others came between.
        self.assertIn("circle", self.faults(
            {"x": "a;c;", "y": "b;d;"},
            (1, [Append("x", "a", 2), Append("y", "d", 4)], 0, 9, False),
            (2, [Append("y", "b", 2), Append("x", "c", 4)], 0, 9, False),
            (3, [Read("x", "a;"), Read("y", "b;")], 0, 9, False)))


if __name__ == "__main__":
    unittest.main()
