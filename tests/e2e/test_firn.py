"""FIRN's own commands, and durability by connection, by command and by WAITAOF."""

import threading
import time
import unittest

import harness


def lsn(client):
    reply = client.value("FIRN", "LSN")
    if isinstance(reply, dict):
        return reply
    return dict(zip(reply[::2], reply[1::2]))


class Lsn(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = harness.firnlog()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def setUp(self):
        self.client = self.server.connect()

    def tearDown(self):
        self.client.close()

    def ask(self, *args):
        return self.client.ask(*args)

    def value(self, *args):
        return self.client.value(*args)

    def test_the_fields_stand_in_order(self):
        names = [b"timeline", b"tail", b"written", b"durable", b"archived"]
        self.assertEqual(self.value("FIRN", "LSN")[::2], names)
        self.ask("HELLO", 3)
        self.assertTrue(self.ask("FIRN", "LSN").startswith(b"%5\r\n"))
        self.assertEqual(list(self.value("FIRN", "LSN")), names)

    def test_each_is_at_least_the_next(self):
        for i in range(50):
            self.ask("SET", "k", "x" * i)
            now = lsn(self.client)
            self.assertGreaterEqual(now[b"tail"], now[b"written"])
            self.assertGreaterEqual(now[b"written"], now[b"durable"])
            self.assertGreaterEqual(now[b"durable"], now[b"archived"])

    def test_a_write_moves_the_tail_and_a_read_does_not(self):
        self.ask("SET", "k", "1")
        before = lsn(self.client)[b"tail"]
        self.ask("GET", "k")
        self.assertEqual(lsn(self.client)[b"tail"], before)
        self.ask("SET", "k", "x" * 1000)
        self.assertGreaterEqual(lsn(self.client)[b"tail"], before + 1000)

    def test_a_reply_in_always_comes_when_its_write_is_durable(self):
        self.assertEqual(self.ask("FIRN", "DURABILITY", "always"), b"+OK\r\n")
        for i in range(20):
            # The writes of one turn stand before FIRN LSN's reply in the same pipeline, but only the
            # reply tells that they are durable.
            self.ask("SET", "k", "x" * 500)
            with self.server.connect() as other:
                now = lsn(other)
            self.assertEqual(now[b"durable"], now[b"tail"])

    def test_a_command_wrapped_in_always_comes_when_it_is_durable(self):
        self.ask("FIRN", "DURABILITY", "no")
        self.ask("SET", "k", "1")
        self.assertEqual(self.ask("FIRN", "DURABLE", "always", "SET", "k", "x" * 500), b"+OK\r\n")
        now = lsn(self.client)
        self.assertEqual(now[b"durable"], now[b"tail"])

    def test_a_read_wrapped_in_always_waits_for_what_it_read(self):
        self.ask("SET", "k", "x" * 500)
        tail = lsn(self.client)[b"tail"]
        self.assertEqual(len(self.value("FIRN", "DURABLE", "always", "GET", "k")), 500)
        self.assertGreaterEqual(lsn(self.client)[b"durable"], tail)

    def test_no_does_not_wait_for_the_sync(self):
        """Not a proof, but of many acknowledged writes some are seen before they are durable."""
        self.ask("FIRN", "DURABILITY", "no")
        seen = 0
        for i in range(200):
            self.ask("SET", "k", "x" * 100)
            now = lsn(self.client)
            seen += now[b"durable"] < now[b"tail"]
            self.assertGreaterEqual(now[b"written"], now[b"tail"])
        self.assertGreater(seen, 0)

    # ---- DURABILITY

    def test_the_connection_tells_its_own_durability(self):
        self.assertEqual(self.value("FIRN", "DURABILITY"),
                         [b"connection", b"default", b"effective", b"no"])
        for policy in ("always", "EverySec", "no"):
            self.assertEqual(self.ask("FIRN", "DURABILITY", policy), b"+OK\r\n")
            self.assertEqual(self.value("FIRN", "DURABILITY")[1], policy.lower().encode())
            self.assertEqual(self.value("FIRN", "DURABILITY")[3], policy.lower().encode())
        with self.server.connect() as other:
            self.assertEqual(other.value("FIRN", "DURABILITY")[1], b"default")
        self.assertEqual(self.ask("FIRN", "DURABILITY", "default"), b"+OK\r\n")
        self.assertEqual(self.value("FIRN", "DURABILITY")[1], b"default")
        self.ask("FIRN", "DURABILITY", "always")
        self.assertEqual(self.ask("RESET"), b"+RESET\r\n")
        self.assertEqual(self.value("FIRN", "DURABILITY")[1], b"default")

    def test_what_is_no_durability_is_refused(self):
        self.assertTrue(self.ask("FIRN", "DURABILITY", "sometimes").startswith(b"-ERR"))
        self.assertEqual(self.ask("FIRN", "DURABILITY", "no", "x"), b"-ERR syntax error\r\n")
        self.assertEqual(self.value("FIRN", "DURABILITY")[1], b"default")

    # ---- DURABLE

    def test_the_inner_command_answers_for_itself(self):
        self.assertEqual(self.ask("FIRN", "DURABLE", "no", "SET", "k", "v"), b"+OK\r\n")
        self.assertEqual(self.ask("firn", "durable", "ALWAYS", "get", "k"), b"$1\r\nv\r\n")
        self.assertEqual(self.ask("FIRN", "DURABLE", "everysec", "INCR", "k"),
                         b"-ERR value is not an integer or out of range\r\n")
        self.assertEqual(self.ask("FIRN", "DURABLE", "no", "GET"),
                         b"-ERR wrong number of arguments for 'get' command\r\n")
        self.assertEqual(self.ask("FIRN", "DURABLE", "no", "NOSUCH", "a", "b"),
                         b"-ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' \r\n")
        self.assertEqual(self.ask("FIRN", "DURABLE", "no", "CONFIG", "NOSUCH"),
                         b"-ERR unknown subcommand 'NOSUCH'. Try CONFIG HELP.\r\n")

    def test_what_cannot_be_wrapped_is_refused(self):
        self.assertEqual(self.ask("FIRN", "DURABLE", "no"),
                         b"-ERR wrong number of arguments for 'firn|durable' command\r\n")
        for command in ("maybe GET k", "no FIRN DURABLE no GET k", "no SUBSCRIBE a", "no PSUBSCRIBE a",
                        "no SSUBSCRIBE a", "no UNSUBSCRIBE", "no MONITOR", "no WAIT 1 0",
                        "no WAITAOF 1 0 0"):
            with self.subTest(command=command):
                self.assertTrue(self.ask("FIRN", "DURABLE", *command.split()).startswith(b"-ERR FIRN"))
                self.assertEqual(self.ask("PING"), b"+PONG\r\n")

    def test_inside_multi_only_exec_is_wrapped(self):
        self.ask("MULTI")
        self.ask("SET", "k", "1")
        self.assertTrue(self.ask("FIRN", "DURABLE", "no", "SET", "k", "2").startswith(b"-ERR FIRN"))
        self.assertTrue(self.ask("EXEC").startswith(b"-EXECABORT"))
        self.ask("MULTI")
        self.ask("SET", "k", "x" * 300)
        self.assertEqual(self.value("FIRN", "DURABLE", "always", "EXEC"), [b"OK"])
        now = lsn(self.client)
        self.assertEqual(now[b"durable"], now[b"tail"])
        self.assertEqual(self.ask("FIRN", "DURABLE", "always", "EXEC"), b"-ERR EXEC without MULTI\r\n")

    def test_replies_stay_in_order_whatever_they_wait_for(self):
        commands = []
        for i in range(200):
            policy = ("always", "no", "everysec")[i % 3]
            commands.append(("FIRN", "DURABLE", policy, "SET", "k", i))
            commands.append(("FIRN", "DURABLE", ("no", "always")[i % 2], "GET", "k"))
            commands.append(("ECHO", i))
        replies = self.client.pipeline(commands)
        for i in range(200):
            self.assertEqual(replies[3 * i], b"+OK\r\n")
            self.assertEqual(harness.parse(replies[3 * i + 1]), str(i).encode())
            self.assertEqual(harness.parse(replies[3 * i + 2]), str(i).encode())

    def test_keys_and_statistics_are_those_of_the_inner_command(self):
        self.assertEqual(self.value("COMMAND", "GETKEYS", "FIRN", "DURABLE", "no", "MSET", "a", "1",
                                    "b", "2"), [b"a", b"b"])
        self.ask("CONFIG", "RESETSTAT")
        self.ask("FIRN", "DURABLE", "no", "STRLEN", "k")
        stats = self.value("INFO", "commandstats")
        self.assertIn(b"cmdstat_strlen:calls=1", stats)
        self.assertNotIn(b"cmdstat_firn|durable", stats)
        self.ask("CONFIG", "SET", "slowlog-log-slower-than", "0")
        self.ask("SLOWLOG", "RESET")
        self.ask("FIRN", "DURABLE", "no", "STRLEN", "k")
        self.assertIn([b"STRLEN", b"k"], [entry[3] for entry in self.value("SLOWLOG", "GET")])
        self.ask("CONFIG", "SET", "slowlog-log-slower-than", "10000")
        with self.server.connect() as monitor:
            monitor.ask("MONITOR")
            self.ask("FIRN", "DURABLE", "no", "STRLEN", "k")
            self.assertTrue(monitor.reply().endswith(b'"STRLEN" "k"\r\n'))

    # ---- MARK, CLOCK, HELP, DIGEST

    def test_a_mark_is_a_write(self):
        before = lsn(self.client)[b"tail"]
        self.assertEqual(self.ask("FIRN", "MARK", "before the move"), b"+OK\r\n")
        self.assertGreater(lsn(self.client)[b"tail"], before)
        self.assertTrue(self.ask("FIRN", "MARK", "").startswith(b"-ERR"))
        self.assertTrue(self.ask("FIRN", "MARK", "x" * 256).startswith(b"-ERR"))

    def test_the_clock_is_calm(self):
        reply = self.value("FIRN", "CLOCK", "STATUS")
        self.assertEqual(reply[::2], [b"now_ms", b"expiry_suspended", b"jump_ms"])
        self.assertAlmostEqual(reply[1] / 1000, time.time(), delta=60)
        self.assertEqual(reply[3], 0)
        self.assertEqual(self.ask("FIRN", "CLOCK", "CONFIRM"), b"+OK\r\n")
        self.assertEqual(self.ask("FIRN", "CLOCK", "x"), b"-ERR syntax error\r\n")

    def test_help_names_every_subcommand(self):
        lines = b"\n".join(self.value("FIRN", "HELP"))
        for name in (b"CLOCK", b"DIGEST", b"DURABILITY", b"DURABLE", b"LSN", b"MARK"):
            self.assertIn(b"\n" + name, lines)
        self.assertEqual(self.ask("FIRN"), b"-ERR wrong number of arguments for 'firn' command\r\n")
        self.assertEqual(self.ask("FIRN", "NOSUCH"),
                         b"-ERR unknown subcommand 'NOSUCH'. Try FIRN HELP.\r\n")

    def test_the_digest_sees_values_and_expiry(self):
        self.ask("FLUSHALL")
        empty = self.ask("FIRN", "DIGEST")
        self.assertEqual(self.ask("FIRN", "DIGEST"), empty)
        self.ask("SET", "k", "v")
        plain = self.ask("FIRN", "DIGEST")
        self.assertNotEqual(plain, empty)
        self.ask("PEXPIREAT", "k", 4102444800000)
        expiring = self.ask("FIRN", "DIGEST")
        self.assertNotEqual(expiring, plain)
        self.ask("PEXPIREAT", "k", 4102444800001)
        self.assertNotEqual(self.ask("FIRN", "DIGEST"), expiring)
        self.ask("PERSIST", "k")
        self.assertEqual(self.ask("FIRN", "DIGEST"), plain)
        self.ask("FLUSHALL")

    # ---- WAIT, WAITAOF

    def test_waitaof_waits_until_own_writes_are_durable(self):
        self.ask("FIRN", "DURABILITY", "no")
        for i in range(50):
            self.ask("SET", "k", "x" * 200)
            tail = lsn(self.client)[b"tail"]
            self.assertEqual(self.ask("WAITAOF", 1, 0, 0), b"*2\r\n:1\r\n:0\r\n")
            self.assertGreaterEqual(lsn(self.client)[b"durable"], tail)

    def test_waitaof_behind_writes_in_one_pipeline(self):
        self.ask("FIRN", "DURABILITY", "no")
        commands = []
        for i in range(100):
            commands += [("SET", "k", i), ("WAITAOF", 1, 0, 0), ("GET", "k")]
        replies = self.client.pipeline(commands)
        for i in range(100):
            self.assertEqual(replies[3 * i : 3 * i + 2], [b"+OK\r\n", b"*2\r\n:1\r\n:0\r\n"])
            self.assertEqual(harness.parse(replies[3 * i + 2]), str(i).encode())

    def test_waitaof_without_writes_answers_at_once(self):
        self.assertEqual(self.ask("WAITAOF", 1, 0, 0), b"*2\r\n:1\r\n:0\r\n")
        self.assertEqual(self.ask("WAITAOF", 0, 0, 0), b"*2\r\n:1\r\n:0\r\n")

    def test_waitaof_gives_up_on_replicas_at_the_time_out(self):
        began = time.monotonic()
        self.assertEqual(self.ask("WAITAOF", 0, 1, 200), b"*2\r\n:1\r\n:0\r\n")
        self.assertGreaterEqual(time.monotonic() - began, 0.15)
        self.ask("SET", "k", "v")
        self.assertEqual(self.ask("WAITAOF", 1, 3, 200), b"*2\r\n:1\r\n:0\r\n")

    def test_waitaof_within_exec_does_not_wait(self):
        replies = self.client.pipeline([("MULTI",), ("WAITAOF", 1, 1, 0), ("EXEC",)])
        self.assertEqual(replies[-1], b"*1\r\n*2\r\n:1\r\n:0\r\n")

    def test_waitaof_refuses_as_redis_does(self):
        for args, reply in (
            (("x", 0, 0), b"-ERR value is not an integer or out of range\r\n"),
            ((2, 0, 0), b"-ERR value is out of range, value must between 0 and 1\r\n"),
            ((-1, 0, 0), b"-ERR value is out of range, value must between 0 and 1\r\n"),
            ((1, "x", 0), b"-ERR value is not an integer or out of range\r\n"),
            ((1, -1, 0), b"-ERR value is out of range, must be positive\r\n"),
            ((1, 0, "x"), b"-ERR timeout is not an integer or out of range\r\n"),
            ((1, 0, -1), b"-ERR timeout is negative\r\n"),
            ((1, 0), b"-ERR wrong number of arguments for 'waitaof' command\r\n"),
        ):
            self.assertEqual(self.ask("WAITAOF", *args), reply, args)

    def test_a_client_that_waits_goes_on_with_what_it_sent_meanwhile(self):
        self.client.send("WAIT", 1, 150)
        self.client.send("PING")
        self.assertTrue(self.client.silent(0.05))
        self.assertEqual(self.client.reply(), b":0\r\n")
        self.assertEqual(self.client.reply(), b"+PONG\r\n")

    def test_a_client_that_waits_can_be_unblocked(self):
        number = self.client.value("CLIENT", "ID")
        for words, reply in (((), b":0\r\n"), (("TIMEOUT",), b":0\r\n"),
                             (("ERROR",), b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n")):
            self.client.send("WAIT", 1, 0)
            self.assertTrue(self.client.silent(0.05))
            self.assertEqual(self.server.ask("CLIENT", "UNBLOCK", number, *words), b":1\r\n")
            self.assertEqual(self.client.reply(), reply)
            self.assertEqual(self.ask("PING"), b"+PONG\r\n")

    def test_a_client_that_waits_for_ever_may_leave(self):
        other = self.server.connect()
        other.send("WAIT", 1, 0)
        self.assertTrue(other.silent(0.1))
        other.close()
        self.assertEqual(self.ask("PING"), b"+PONG\r\n")


class AsRedis(harness.PairTest):
    def test_wait_answers_as_redis_does(self):
        for args in ("0 0", "-1 0", "x 0", "0 x", "0 -1", "x x", "0 1.5", "0 9223372036854775807",
                     "0", "1 1", "1 60"):
            self.same("WAIT", *args.split(" "))


class Always(unittest.TestCase):
    def test_always_is_the_default_and_changes_at_run_time(self):
        with harness.firnlog("--appendfsync", "always") as server, server.connect() as client:
            self.assertEqual(client.value("FIRN", "DURABILITY")[3], b"always")
            client.ask("SET", "k", "x" * 300)
            now = lsn(client)
            self.assertEqual(now[b"durable"], now[b"tail"])
            client.ask("CONFIG", "SET", "appendfsync", "everysec")
            self.assertEqual(client.value("FIRN", "DURABILITY")[3], b"everysec")

    def test_an_everysec_write_is_durable_soon_after(self):
        with harness.firnlog("--appendfsync", "everysec") as server, server.connect() as client:
            client.ask("SET", "k", "v")
            tail = lsn(client)[b"tail"]
            until = time.monotonic() + 5
            while lsn(client)[b"durable"] < tail:
                self.assertLess(time.monotonic(), until)
                time.sleep(0.02)

    def test_what_each_policy_acknowledged_is_there_after_sigkill(self):
        with harness.firnlog("--appendfsync", "everysec") as server:
            acked = {}

            def work(policy):
                try:
                    with server.connect() as client:
                        client.ask("FIRN", "DURABILITY", policy)
                        for n in range(1 << 30):
                            if client.ask("SET", policy, n) == b"+OK\r\n":
                                acked[policy] = n
                except (OSError, harness.Closed):
                    pass

            threads = [threading.Thread(target=work, args=(policy,))
                       for policy in ("always", "everysec", "no")]
            for thread in threads:
                thread.start()
            time.sleep(0.5)
            server.kill()
            for thread in threads:
                thread.join()
            server.start()
            self.assertEqual(len(acked), 3)
            for policy, n in acked.items():
                self.assertGreaterEqual(int(server.value("GET", policy)), n, policy)

    def test_the_digest_is_the_same_after_a_restart(self):
        with harness.firnlog() as server, server.connect() as client:
            for i in range(200):
                client.ask("SET", "s%d" % i, "x" * i, *(("PX", 10_000_000) if i % 3 else ()))
                client.ask("HSET", "h%d" % (i % 20), "f%d" % i, i)
            client.ask("SELECT", 3)
            client.ask("SET", "other", 1)
            client.ask("SWAPDB", 3, 5)
            client.ask("RENAME", "h1", "moved")
            digest = client.ask("FIRN", "DIGEST")
            server.restart()
            self.assertEqual(server.ask("FIRN", "DIGEST"), digest)
            server.kill()
            server.start()
            self.assertEqual(server.ask("FIRN", "DIGEST"), digest)

    def test_lsn_and_timeline_over_restarts(self):
        with harness.firnlog() as server:
            server.ask("SET", "k", "v")
            with server.connect() as client:
                before = lsn(client)
            server.kill()
            server.start()
            with server.connect() as client:
                after = lsn(client)
            self.assertGreater(after[b"timeline"], before[b"timeline"])
            self.assertGreaterEqual(after[b"tail"], before[b"tail"])
            self.assertEqual(server.restart(), server)
            with server.connect() as client:
                clean = lsn(client)
            self.assertEqual(clean[b"timeline"], after[b"timeline"])
            self.assertEqual(server.value("GET", "k"), b"v")


if __name__ == "__main__":
    unittest.main()
