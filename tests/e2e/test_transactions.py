"""MULTI, EXEC, DISCARD, WATCH, UNWATCH: as Redis answers them, and atomic through SIGKILL."""

import os
import random
import threading
import time
import unittest

import harness


class Transactions(harness.PairTest):
    def script(self, *commands):
        for command in commands:
            self.same(*command.split(" "))

    def both(self, *args):
        """On a connection of its own, on both."""
        self.assertEqual(self.firnlog.ask(*args), self.redis.ask(*args), args)

    def test_queued_commands_run_in_order(self):
        self.script("MULTI", "SET a 1", "INCR a", "GET a", "APPEND a x", "GET a", "DEL a", "EXEC",
                    "GET a")

    def test_an_empty_transaction_answers_an_empty_array(self):
        self.script("MULTI", "EXEC", "EXEC", "DISCARD")

    def test_misplaced_words_are_errors_that_leave_the_transaction_alone(self):
        self.script("EXEC", "DISCARD", "MULTI", "MULTI", "WATCH a", "SET a 1", "EXEC", "GET a")

    def test_a_command_refused_while_queueing_aborts_exec(self):
        for bad in ("NOSUCH a", "SET a", "CONFIG", "CONFIG NOSUCH", "WATCH", "DISCARD x", "MULTI x"):
            with self.subTest(bad=bad):
                self.script("MULTI", "SET a 1", bad, "SET b 1", "EXEC", "EXISTS a b", "EXEC")

    def test_exec_with_arguments_aborts_at_once(self):
        self.script("MULTI", "SET a 1", "EXEC x", "EXEC", "EXISTS a", "EXEC x")

    def test_a_command_that_fails_leaves_the_others(self):
        self.script("SET s text", "HSET h f 1", "MULTI", "INCR s", "SET a 1", "GET h", "INCR h",
                    "SETRANGE a -1 x", "HGET s f", "INCR a", "EXEC", "GET a", "GET s")

    def test_discard_forgets_the_queue_and_the_watches(self):
        self.script("SET a 1", "WATCH a", "SET a 2", "MULTI", "SET a 3", "DISCARD", "GET a", "MULTI",
                    "SET a 4", "EXEC", "GET a")

    def test_select_holds_for_what_follows(self):
        self.script("MULTI", "SELECT 3", "SET q 3", "SELECT 0", "SET q 0", "SELECT 3", "GET q",
                    "EXEC", "GET q", "SELECT 0", "GET q", "MULTI", "SELECT 99", "GET q", "EXEC",
                    "GET q")

    def test_commands_not_allowed_inside_abort(self):
        self.script("MULTI", "SHUTDOWN", "EXEC", "PING")

    def test_reset_ends_a_transaction(self):
        self.script("SET a 1", "WATCH a", "MULTI", "SET a 2", "RESET", "EXEC", "SET a 3", "MULTI",
                    "GET a", "EXEC")

    def test_replies_of_all_shapes_stand_in_the_array(self):
        for protocol in (2, 3):
            self.same("HELLO", "x")
            if protocol == 3:
                self.ours.ask("HELLO", "3")
                self.theirs.ask("HELLO", "3")
            self.script("MULTI", "GET none", "HSET h f 1 g 2", "HGETALL h", "HGETALL none",
                        "MGET a b", "ECHO x", "SET k v", "SETNX k v", "HEXISTS h f", "EXEC",
                        "FLUSHALL")

    def test_hello_within_exec_changes_the_protocol_for_what_follows(self):
        self.script("MULTI", "GET none", "HELLO x", "GET none", "EXEC")

    def test_wait_does_not_block_within_exec(self):
        self.script("MULTI", "SET a 1", "WAIT 1 0", "EXEC")

    # ---- WATCH

    def test_exec_is_refused_when_a_watched_key_has_changed(self):
        changes = ["SET w 2", "APPEND w x", "DEL w", "EXPIRE w 100", "PEXPIREAT w 1", "RENAME w v",
                   "RENAME other w", "FLUSHDB", "FLUSHALL", "SWAPDB 0 1", "MOVE w 1", "GETDEL w",
                   "SETRANGE w 0 x", "SETBIT w 7 1", "GETEX w PX 100000", "COPY other w REPLACE",
                   "INCR w", "MSET w 1 x 2", "UNLINK w", "PERSIST w"]
        for protocol in ("2", "3"):
            for change in changes:
                with self.subTest(change=change, protocol=protocol):
                    for client in (self.ours, self.theirs):
                        client.ask("FLUSHALL")
                        client.ask("HELLO", protocol)
                    self.script("SET w 1 EX 1000", "SET other 5", "WATCH nothing w")
                    self.both(*change.split(" "))
                    self.script("MULTI", "SET seen 1", "EXEC", "GET seen", "MULTI", "SET seen 2",
                                "EXEC")

    def test_exec_runs_when_nothing_watched_has_changed(self):
        calm = ["GET w", "SET x 1", "EXISTS w", "TTL w", "DEL none", "SETNX w 5", "EXPIRE none 5",
                "SELECT 1", "SET w 1 NX", "GETEX w", "STRLEN w", "TYPE w", "OBJECT ENCODING w",
                "MSETNX w 1 y 1", "RENAMENX other w", "COPY other w", "INCR s", "APPEND none1 ''"]
        for change in calm:
            with self.subTest(change=change):
                for client in (self.ours, self.theirs):
                    client.ask("FLUSHALL")
                self.script("SET w 1", "SET other 5", "SET s text", "WATCH w none")
                self.both(*change.split(" "))
                self.script("MULTI", "SET seen 1", "EXEC", "GET seen")

    def test_a_hash_that_changes_is_seen(self):
        for change in ("HSET h f 2", "HSET h g 1", "HDEL h f", "HINCRBY h f 1", "DEL h",
                       "HSETNX h n 1", "HINCRBYFLOAT h f 1.5"):
            with self.subTest(change=change):
                for client in (self.ours, self.theirs):
                    client.ask("FLUSHALL")
                self.script("HSET h f 1 g 1", "WATCH h")
                self.both(*change.split(" "))
                self.script("MULTI", "HLEN h", "EXEC")
        for calm in ("HGET h f", "HDEL h none", "HSETNX h f 1", "HLEN h"):
            with self.subTest(calm=calm):
                for client in (self.ours, self.theirs):
                    client.ask("FLUSHALL")
                self.script("HSET h f 1 g 1", "WATCH h")
                self.both(*calm.split(" "))
                self.script("MULTI", "HLEN h", "EXEC")

    def test_a_watched_key_that_expires_has_changed(self):
        for active in ("0", "1"):
            with self.subTest(active=active):
                self.firnlog_debug("SET-ACTIVE-EXPIRE", active)
                self.script("SET w 1 PX 60", "WATCH w", "MULTI", "PING")
                time.sleep(0.3)
                self.script("EXEC", "EXISTS w", "MULTI", "PING", "EXEC")
                self.firnlog_debug("SET-ACTIVE-EXPIRE", "1")

    def test_a_key_that_had_expired_when_it_was_watched_has_not_changed(self):
        self.firnlog_debug("SET-ACTIVE-EXPIRE", "0")
        self.script("SET w 1 PX 30")
        time.sleep(0.1)
        self.script("WATCH w", "MULTI", "PING", "EXEC")
        self.firnlog_debug("SET-ACTIVE-EXPIRE", "1")

    def firnlog_debug(self, *args):
        for client in (self.ours, self.theirs):
            client.ask("DEBUG", *args)

    def test_a_watched_key_is_watched_in_its_database(self):
        self.script("SELECT 1", "WATCH w", "SELECT 0")
        self.both("SET", "w", "1")
        self.script("MULTI", "PING", "EXEC", "SELECT 1", "WATCH w", "SELECT 0")
        for server in (self.firnlog, self.redis):
            with server.connect() as other:
                other.ask("SELECT", 1)
                other.ask("SET", "w", 2)
        self.script("MULTI", "PING", "EXEC")

    def test_own_changes_count_too(self):
        self.script("WATCH w", "SET w 1", "MULTI", "PING", "EXEC", "WATCH w", "MULTI", "SET w 2",
                    "EXEC", "MULTI", "SET w 3", "EXEC")

    def test_unwatch_forgets(self):
        self.script("WATCH w", "SET w 1", "UNWATCH", "MULTI", "PING", "EXEC", "WATCH w w", "UNWATCH",
                    "UNWATCH", "UNWATCH x", "WATCH w", "MULTI", "UNWATCH", "SET w 2", "EXEC")

    def test_a_refused_command_wins_over_a_changed_key(self):
        self.script("WATCH w", "SET w 1", "MULTI", "NOSUCH", "EXEC", "MULTI", "PING", "EXEC")

    def test_random_sequences_answer_alike(self):
        seed = random.randrange(1 << 32)
        rng = random.Random(seed)
        keys = ["a", "b", "{a}c"]
        words = [
            lambda: "MULTI", lambda: "EXEC", lambda: "DISCARD", lambda: "UNWATCH",
            lambda: "WATCH " + " ".join(rng.sample(keys, rng.randint(1, 3))),
            lambda: "SET %s %d" % (rng.choice(keys), rng.randint(0, 9)),
            lambda: "INCR " + rng.choice(keys), lambda: "GET " + rng.choice(keys),
            lambda: "DEL " + " ".join(rng.sample(keys, 2)), lambda: "MGET a b {a}c",
            lambda: "HSET h %s %d" % (rng.choice(keys), rng.randint(0, 9)),
            lambda: "HGET a x", lambda: "SELECT %d" % rng.randint(0, 2), lambda: "FLUSHDB",
            lambda: "NOSUCH", lambda: "GET", lambda: "SWAPDB 0 1", lambda: "DBSIZE",
            lambda: "RENAME a b", lambda: "PING", lambda: "RESET",
        ]
        pairs = [(self.ours, self.theirs)] + [
            (self.firnlog.connect(), self.redis.connect()) for _ in range(2)
        ]
        for step in range(3000):
            ours, theirs = rng.choice(pairs)
            command = rng.choice(words)().split(" ")
            self.assertEqual(ours.ask(*command), theirs.ask(*command), (seed, step, command))
        for ours, theirs in pairs[1:]:
            ours.close()
            theirs.close()


class Bounds(unittest.TestCase):
    def test_a_queue_past_the_query_buffer_limit_is_refused(self):
        with harness.firnlog("--client-query-buffer-limit", "1mb") as server:
            with server.connect() as client:
                client.ask("MULTI")
                replies = [client.ask("SET", "k%d" % i, "x" * 100_000) for i in range(15)]
                self.assertTrue(replies[0].startswith(b"+QUEUED"))
                self.assertTrue(replies[-1].startswith(b"-ERR"), replies[-1])
                self.assertTrue(client.ask("EXEC").startswith(b"-EXECABORT"))
                self.assertEqual(client.ask("EXISTS", "k0"), b":0\r\n")

    def test_clients_that_watch_may_be_killed_within_exec(self):
        """Ending a connection takes its watches out of their stripes; EXEC holds all of them here."""
        with harness.firnlog() as server, server.connect() as client:
            victims = []
            for _ in range(3):
                victim = server.connect()
                victims.append(victim)
                victim.ask("WATCH", "k", "{k}l")
            ids = [victim.value("CLIENT", "ID") for victim in victims]
            client.pipeline([("MULTI",), ("SET", "k", 1), ("FLUSHALL",)]
                            + [("CLIENT", "KILL", "ID", number) for number in ids])
            self.assertEqual(client.value("EXEC"), [b"OK", b"OK", 1, 1, 1])
            self.assertEqual(client.ask("SET", "k", 2), b"+OK\r\n")
            for victim in victims:
                self.assertTrue(victim.closed())
                victim.close()

    def test_closed_watchers_leave_nothing_behind(self):
        with harness.firnlog("--threads", "2") as server, server.connect() as writer:
            for i in range(200):
                with server.connect() as watcher:
                    watcher.send("WATCH", "k", "l", "k")
                    if i % 2:
                        watcher.reply()
                    if i % 4 == 1:
                        watcher.ask("MULTI")
                writer.ask("SET", "k", i)
            self.assertEqual(writer.value("GET", "k"), b"199")

    def test_many_keys_are_watched_in_little_time(self):
        with harness.firnlog() as server, server.connect() as client:
            began = time.monotonic()
            keys = ["key:%d" % i for i in range(10_000)]
            self.assertEqual(client.ask("WATCH", *keys), b"+OK\r\n")
            self.assertEqual(client.ask("WATCH", *keys), b"+OK\r\n")
            self.assertEqual(server.ask("SET", keys[-1], 1), b"+OK\r\n")
            client.ask("MULTI")
            self.assertIsNone(client.value("EXEC"))
            self.assertLess(time.monotonic() - began, 20)

    def test_monitor_and_slowlog_show_what_exec_ran(self):
        with harness.firnlog() as server, server.connect() as client, server.connect() as monitor:
            client.pipeline([("CONFIG", "SET", "slowlog-log-slower-than", 0), ("SLOWLOG", "RESET")])
            monitor.ask("MONITOR")
            client.pipeline([("MULTI",), ("SET", "k", 1), ("GET", "k"), ("EXEC",)])
            shown = [monitor.reply().split(b"] ")[1].strip() for _ in range(4)]
            self.assertEqual(shown, [b'"MULTI"', b'"SET" "k" "1"', b'"GET" "k"', b'"EXEC"'])
            logged = [entry[3] for entry in client.value("SLOWLOG", "GET")]
            self.assertIn([b"SET", b"k", b"1"], logged)
            self.assertNotIn([b"EXEC"], logged)

    def test_a_large_transaction_runs_as_one(self):
        with harness.firnlog() as server, server.connect() as client:
            client.ask("MULTI")
            for i in range(200):
                client.ask("SET", "k%d" % i, "x" * 60_000)
            reply = client.value("EXEC")
            self.assertEqual(reply, [b"OK"] * 200)
            self.assertEqual(client.ask("DBSIZE"), b":200\r\n")

    def test_commands_that_write_more_than_they_bring_along_find_room(self):
        """On a new store, whose first segments are small: EXEC waits until there is room for all, so
        that none of its commands finds none in the middle."""
        with harness.firnlog() as firnlog, firnlog.connect() as client:
            fields = [word for i in range(3_000) for word in ("f%d" % i, "v" * 1_000)]
            self.assertEqual(client.ask("HSET", "h", *fields), b":3000\r\n")
            client.ask("SET", "bits", "b" * 60_000)
            commands = [("MULTI",), ("SELECT", 1), ("SET", "s", "x" * 500_000), ("SELECT", 0)]
            commands += [("COPY", "h", "h%d" % i) for i in range(4)]
            commands += [("COPY", "h3", "h", "DB", 1), ("SELECT", 1)]
            commands += [("APPEND", "s", "y" * 100_000), ("COPY", "s", "t"), ("COPY", "h", "i")]
            commands += [("BITOP", "XOR", "u", "s", "t"), ("SELECT", 0)]
            commands += [("SETBIT", "bits", 1, 0), ("RENAME", "bits", "b")]
            commands += [("SETRANGE", "hole", 9_000_000, "x"), ("COPY", "hole", "filled")]
            commands += [("SETBIT", "hole", 80_000_000, 1), ("BITOP", "NOT", "filled", "hole")]
            commands += [("BITFIELD", "hole", "SET", "u8", "#11000000", 1), ("COPY", "hole", "i")]
            commands += [("EXEC",)]
            replies = client.pipeline(commands)
            self.assertNotIn(b"-", (reply[:1] for reply in replies))
            inner = harness.parse(replies[-1])
            self.assertFalse([reply for reply in inner if isinstance(reply, harness.Error)], inner)
            before = client.ask("FIRN", "DIGEST")
            client.close()
            firnlog.kill()
            firnlog.start()
            self.assertEqual(firnlog.ask("FIRN", "DIGEST"), before)

    def test_many_small_copies_ask_for_little_room(self):
        """Each was once taken for a copy of all that the others had copied."""
        with harness.firnlog() as server, server.connect() as client:

            def on_disk():
                return sum(os.stat(os.path.join(path, name)).st_blocks * 512
                           for path, _, names in os.walk(server.folder) for name in names)

            client.ask("SET", "a", "x" * 100)
            before = on_disk()
            commands = [("RENAME", *"ab"[::1 if i % 2 == 0 else -1]) for i in range(40)]
            replies = client.pipeline([("MULTI",), *commands, ("EXEC",)])
            self.assertEqual(harness.parse(replies[-1]), [b"OK"] * 40)
            self.assertLess(on_disk() - before, 32 << 20)

    def test_transactions_of_many_connections_exclude_each_other(self):
        """Each moves an amount between two accounts; every sum read within EXEC is the same."""
        with harness.firnlog("--threads", "2") as server:
            server.ask("MSET", "a", 1000, "b", 1000)
            wrong = []

            def work(seed):
                rng = random.Random(seed)
                with server.connect() as client:
                    for _ in range(300):
                        amount = rng.randint(1, 9)
                        first, second = rng.sample(["a", "b"], 2)
                        out = client.pipeline(
                            [("MULTI",), ("DECRBY", first, amount), ("MGET", "a", "b"),
                             ("INCRBY", second, amount), ("MGET", "a", "b"), ("EXEC",)])
                        reply = harness.parse(out[-1])
                        if sum(map(int, reply[3])) != 2000 or sum(map(int, reply[1])) != 2000 - amount:
                            wrong.append(reply)

            threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(wrong, [])

    def test_optimistic_increments_are_not_lost(self):
        with harness.firnlog("--threads", "2") as server:
            server.ask("SET", "n", 0)
            done = []

            def work():
                with server.connect() as client:
                    for _ in range(100):
                        while True:
                            client.ask("WATCH", "n")
                            n = int(client.value("GET", "n"))
                            out = client.pipeline([("MULTI",), ("SET", "n", n + 1), ("EXEC",)])
                            if harness.parse(out[-1]) is not None:
                                break
                    done.append(True)

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(len(done), 4)
            self.assertEqual(server.value("GET", "n"), b"400")


class Crashes(unittest.TestCase):
    def test_a_transaction_is_all_or_nothing_through_sigkill(self):
        """Writers set groups of keys to one number each time; after SIGKILL every group holds one
        number, at least the last acknowledged one."""
        rng = random.Random()
        with harness.firnlog("--appendfsync", "everysec") as server:
            acked = {}
            for round_number in range(4):
                stop = threading.Event()
                failures = []

                def work(group):
                    n = acked.get(group, 0)
                    try:
                        with server.connect() as client:
                            while not stop.is_set():
                                n += 1
                                commands = [("MULTI",)]
                                commands += [("SET", "g%d:%d" % (group, i), n) for i in range(8)]
                                commands += [("HSET", "h%d" % group, "n", n, "m", n), ("EXEC",)]
                                out = client.pipeline(commands)
                                if not out[-1].startswith(b"*9"):
                                    failures.append(out[-1])
                                    return
                                acked[group] = n
                    except (OSError, harness.Closed):
                        pass

                threads = [threading.Thread(target=work, args=(group,)) for group in range(3)]
                for thread in threads:
                    thread.start()
                time.sleep(rng.uniform(0.1, 0.4))
                server.kill()
                stop.set()
                for thread in threads:
                    thread.join()
                self.assertEqual(failures, [])
                server.start()
                with server.connect() as client:
                    for group in range(3):
                        found = client.value("MGET", *["g%d:%d" % (group, i) for i in range(8)])
                        found += client.value("HMGET", "h%d" % group, "n", "m")
                        self.assertEqual(len(set(found)), 1, (round_number, group, found))
                        if group in acked:
                            self.assertGreaterEqual(int(found[0]), acked[group])
                            acked[group] = int(found[0])


if __name__ == "__main__":
    unittest.main()
