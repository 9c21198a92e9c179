"""Publish/subscribe and keyspace notifications, in RESP2 and RESP3, as Redis sends them."""

import random
import threading
import time
import unittest

import harness


class PubSub(harness.PairTest):
    FIRNLOG_OPTIONS = ("--enable-debug-command", "yes")

    def setUp(self):
        super().setUp()
        self.others = []

    def tearDown(self):
        for client in self.others:
            client.close()
        super().tearDown()

    def pair(self, protocol=2):
        ours, theirs = self.firnlog.connect(), self.redis.connect()
        self.others += [ours, theirs]
        if protocol == 3:
            for client in (ours, theirs):
                client.ask("HELLO", 3)
        return ours, theirs

    def same_replies(self, pair, command, count=1):
        """Sends it to both, and reads so many replies from both: equal to the byte."""
        got = []
        for client in pair:
            client.send(*command.split(" "))
            got.append([client.reply() for _ in range(count)])
        self.assertEqual(got[0], got[1], command)
        return got[0]

    def same_pushes(self, pair, count=1):
        got = [[client.reply() for _ in range(count)] for client in pair]
        self.assertEqual(got[0], got[1])
        return got[0]

    def same_pushes_unordered(self, pair, count):
        got = [sorted(client.reply() for _ in range(count)) for client in pair]
        self.assertEqual(got[0], got[1])

    def both_silent(self, pair):
        for client in pair:
            self.assertTrue(client.silent(0.05), client.unread)

    def test_subscriptions_are_confirmed_one_by_one(self):
        for protocol in (2, 3):
            with self.subTest(protocol=protocol):
                pair = self.pair(protocol)
                self.same_replies(pair, "SUBSCRIBE a b a", 3)
                self.same_replies(pair, "PSUBSCRIBE x* y* x*", 3)
                self.same_replies(pair, "SSUBSCRIBE s t s", 3)
                self.same_replies(pair, "UNSUBSCRIBE a none", 2)
                self.same_replies(pair, "PUNSUBSCRIBE x* none", 2)
                self.same_replies(pair, "SUNSUBSCRIBE s none", 2)
                self.same_replies(pair, "UNSUBSCRIBE")
                self.same_replies(pair, "PUNSUBSCRIBE")
                self.same_replies(pair, "SUNSUBSCRIBE")
                self.same_replies(pair, "UNSUBSCRIBE")
                self.same_replies(pair, "PUNSUBSCRIBE")
                self.same_replies(pair, "SUNSUBSCRIBE")
                self.same_replies(pair, "GET a")

    def test_unsubscribing_from_all_names_each(self):
        for protocol in (2, 3):
            pair = self.pair(protocol)
            self.same_replies(pair, "SUBSCRIBE a b c", 3)
            names = []
            for client in pair:
                client.send("UNSUBSCRIBE")
                replies = [harness.parse(client.reply()) for _ in range(3)]
                self.assertEqual([reply[2] for reply in replies], [2, 1, 0])
                names.append(sorted(reply[1] for reply in replies))
            self.assertEqual(names[0], names[1])

    def test_messages_reach_channels_patterns_and_shards(self):
        for protocol in (2, 3):
            with self.subTest(protocol=protocol):
                pair = self.pair(protocol)
                self.same_replies(pair, "SUBSCRIBE news")
                self.same_replies(pair, "PSUBSCRIBE n?ws")
                self.same("PUBLISH", "news", "hello")
                self.same_pushes(pair, 2)
                self.same("PUBLISH", "naws", b"\x00\r\n binary")
                self.same_pushes(pair)
                self.same("PUBLISH", "other", "x")
                self.same("SPUBLISH", "news", "x")
                self.same_replies(pair, "SSUBSCRIBE news")
                self.same("SPUBLISH", "news", "")
                self.same_pushes(pair)
                self.same("PUBLISH", "news", "")
                self.same_pushes(pair, 2)
                self.both_silent(pair)
                for client in pair:
                    client.close()
                self.until_unsubscribed("news")

    def until_unsubscribed(self, channel):
        for server in (self.firnlog, self.redis):
            until = time.monotonic() + 10
            while server.value("PUBSUB", "NUMSUB", channel)[1] != 0:
                self.assertLess(time.monotonic(), until)
                time.sleep(0.005)

    def test_several_patterns_each_bring_the_message(self):
        pair = self.pair()
        self.same_replies(pair, "PSUBSCRIBE a* *b ab [a]? c", 5)
        self.same("PUBLISH", "ab", "x")
        self.same_pushes_unordered(pair, 4)

    def test_a_resp2_subscriber_may_only_change_its_subscriptions(self):
        pair = self.pair()
        for subscribe, unsubscribe in (("SUBSCRIBE a", "UNSUBSCRIBE a"),
                                       ("PSUBSCRIBE a", "PUNSUBSCRIBE a"),
                                       ("SSUBSCRIBE a", "SUNSUBSCRIBE a")):
            self.same_replies(pair, subscribe)
            for command in ("GET a", "CLIENT LIST", "CLIENT NOSUCH", "NOSUCH x", "GET", "MULTI",
                            "EXEC", "PUBLISH a b", "HELLO", "PING", "PING hi", "PING a b", "ECHO x",
                            "PUBSUB CHANNELS", "WATCH a"):
                self.same_replies(pair, command)
            self.same_replies(pair, unsubscribe)
            self.same_replies(pair, "GET a")
            self.same_replies(pair, "PING")
        self.same_replies(pair, "SUBSCRIBE a")
        self.same_replies(pair, "RESET")
        self.same_replies(pair, "GET a")
        self.same("PUBLISH", "a", "x")
        self.same_replies(pair, "SUBSCRIBE a")
        self.same_replies(pair, "QUIT")
        for client in pair:
            self.assertTrue(client.closed())

    def test_a_resp3_subscriber_may_do_everything(self):
        pair = self.pair(3)
        self.same_replies(pair, "SUBSCRIBE a")
        for command in ("SET k 1", "GET k", "PING", "PING hi", "ECHO x"):
            self.same_replies(pair, command)
        self.same_replies(pair, "PUBLISH a self", 2)
        self.same_replies(pair, "PSUBSCRIBE a*")
        self.same_replies(pair, "PUBLISH a self", 3)
        self.same_replies(pair, "SSUBSCRIBE a")
        self.same_replies(pair, "SPUBLISH a self", 2)
        self.both_silent(pair)

    def test_silenced_replies_do_not_silence_pushes(self):
        pair = self.pair(3)
        for client in pair:
            client.send("CLIENT", "REPLY", "OFF")
        self.same_replies(pair, "SUBSCRIBE x")
        for client in pair:
            client.send("SET", "k", "1")
        self.same_replies(pair, "PUBLISH x hello")
        self.both_silent(pair)
        self.same_replies(pair, "CLIENT REPLY ON")
        self.same_replies(pair, "UNSUBSCRIBE x")
        for client in pair:
            client.send("CLIENT", "REPLY", "SKIP")
        self.same_replies(pair, "SUBSCRIBE x y", 2)
        self.same_replies(pair, "PING")

    def test_transactions_subscribe_and_publish(self):
        listener = self.pair()
        self.same_replies(listener, "SUBSCRIBE a b", 2)
        for protocol in (2, 3):
            pair = self.pair(protocol)
            for command in ("MULTI", "PUBLISH a 1", "SET k 1", "SPUBLISH none 2", "PUBLISH none 2",
                            "PUBLISH b 3", "SSUBSCRIBE q", "EXEC"):
                self.same_replies(pair, command)
            self.same_pushes(listener, 2)
        pair = self.pair()
        for command in ("MULTI", "SUBSCRIBE q r", "UNSUBSCRIBE q", "PSUBSCRIBE z", "UNSUBSCRIBE none"):
            self.same_replies(pair, command)
        got = []
        for client in pair:
            client.send("EXEC")
            client.send("PING")
            data = b""
            while not data.endswith(b"$4\r\npong\r\n$0\r\n\r\n"):
                data += client.unread or client.socket.recv(65536)
                client.unread = b""
            got.append(data)
        self.assertEqual(got[0], got[1])

    def test_pubsub_tells_who_listens(self):
        self.same("PUBSUB")
        self.same("PUBSUB", "NOSUCH")
        self.same("PUBSUB", "HELP")
        self.same("PUBSUB", "HELP", "x")
        self.same("PUBSUB", "NUMPAT", "x")
        self.same("PUBSUB", "CHANNELS", "a", "b")
        self.same("PUBSUB", "ShardChannels", "a", "b")
        one, two = self.pair(), self.pair(3)
        self.same_replies(one, "SUBSCRIBE pt:a pt:b", 2)
        self.same_replies(two, "SUBSCRIBE pt:b pt:c", 2)
        self.same_replies(one, "PSUBSCRIBE pt:x* pt:y*", 2)
        self.same_replies(two, "PSUBSCRIBE pt:x*")
        self.same_replies(two, "SSUBSCRIBE pt:s")
        self.same_unordered("PUBSUB", "CHANNELS", "pt:*")
        self.same_unordered("PUBSUB", "CHANNELS")
        self.same_unordered("PUBSUB", "CHANNELS", "pt:[bc]")
        self.same("PUBSUB", "CHANNELS", "")
        self.same("PUBSUB", "NUMSUB", "pt:a", "pt:b", "none", "pt:s")
        self.same("PUBSUB", "NUMSUB")
        self.same("PUBSUB", "NUMPAT")
        self.same_unordered("PUBSUB", "SHARDCHANNELS")
        self.same_unordered("PUBSUB", "SHARDCHANNELS", "pt:a")
        self.same("PUBSUB", "SHARDNUMSUB", "pt:s", "pt:a")
        self.same("PUBLISH", "pt:b", "x")
        for command in ("PUBLISH", "PUBLISH a", "PUBLISH a b c", "SPUBLISH a", "SUBSCRIBE",
                        "PSUBSCRIBE", "SSUBSCRIBE"):
            self.same(*command.split(" "))

    # ---- Keyspace notifications

    EVENTS = ["SET k 1", "SET k 1 EX 100", "GETSET k 2", "INCR k", "APPEND k x", "SETRANGE k 0 y",
              "SETBIT k 1 1", "EXPIRE k 100", "PERSIST k", "RENAME k l", "COPY l m", "MSET a 1 b 2",
              "DEL a b none", "UNLINK l", "GETDEL m", "HSET h f 1", "HSET h f 2 g 3", "HDEL h f",
              "HINCRBY h g 1", "HINCRBYFLOAT h g 0.5", "HDEL h g", "HSETNX h f 1", "DEL h",
              "SET k 1 PX 100000", "GETEX k PERSIST", "PEXPIREAT k 1", "SETEX k 10 v", "SETNX n 1",
              "SETNX n 1", "MSETNX p 1 q 1", "INCRBYFLOAT p 1.5", "DECR q", "BITOP NOT r p",
              "BITOP AND r none none", "BITFIELD q SET u8 0 1", "MOVE q 1", "GET none", "HGET none f",
              "FLUSHALL"]

    def test_keyspace_events_are_those_of_redis(self):
        for flags in ("KEA", "Kg$", "Ehx", "KEAnm", "KE", "A", "Em"):
            with self.subTest(flags=flags):
                pair = self.pair()
                self.same("CONFIG", "SET", "notify-keyspace-events", flags)
                self.same_replies(pair, "PSUBSCRIBE __key*")
                for command in self.EVENTS:
                    self.same(*command.split(" "))
                self.same("PUBLISH", "__key_end", "x")
                got = []
                for client in pair:
                    messages = []
                    while not messages or messages[-1][2] != b"__key_end":
                        messages.append(harness.parse(client.reply()))
                    got.append(messages)
                self.assertEqual(got[0], got[1])
                for client in pair:
                    client.close()
        self.same("CONFIG", "SET", "notify-keyspace-events", "")

    def test_an_expiry_is_told_before_what_follows(self):
        self.same("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        pair = self.pair()
        self.same("CONFIG", "SET", "notify-keyspace-events", "KEA")
        self.same("SET", "k", "1", "PX", "30")
        self.same_replies(pair, "PSUBSCRIBE __keyevent*")
        time.sleep(0.1)
        self.same("SET", "k", "2")
        self.same_pushes(pair, 2)
        self.both_silent(pair)
        for client in (self.ours, self.theirs):
            client.ask("DEBUG", "SET-ACTIVE-EXPIRE", "1")
        self.same("SET", "k", "1", "PX", "30")
        self.same_pushes(pair, 3)
        self.same("CONFIG", "SET", "notify-keyspace-events", "")

    def test_each_of_several_expired_keys_is_told_in_its_turn(self):
        """Redis looks at one key after the other; here all are looked at before the first effect."""
        self.same("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        pair = self.pair()
        self.same("CONFIG", "SET", "notify-keyspace-events", "KEAn")
        self.same_replies(pair, "PSUBSCRIBE __keyevent*")
        for commands in (["DEL a b c d"], ["UNLINK b a c"], ["MSET a 1 b 2 d 3 c 4"],
                         ["MSETNX b 2 c 4"],
                         ["MULTI", "SET a 1", "GET b", "SET d 1", "SET c 1", "EXEC"],
                         ["RENAME a b"], ["COPY a b"], ["MGET a b c"], ["DEL b a b"]):
            with self.subTest(commands=commands):
                self.same("FLUSHALL")
                self.same("MSET", "a", "1", "b", "1", "c", "1", "d", "1")
                for key in "bc":
                    self.same("PEXPIRE", key, "30")
                time.sleep(0.06)
                self.same("PUBLISH", "__keyevent", "begin")
                for command in commands:
                    self.same(*command.split(" "))
                self.same("PUBLISH", "__keyevent", "end")
                told = [[], []]
                for client, events in zip(pair, told):
                    while not events or events[-1][-1] != b"end":
                        events.append(harness.parse(client.reply()))
                self.assertEqual(*told)
        self.same("DEBUG", "SET-ACTIVE-EXPIRE", "1")
        self.same("CONFIG", "SET", "notify-keyspace-events", "")

    def test_events_of_a_transaction_keep_their_order(self):
        pair = self.pair()
        self.same("CONFIG", "SET", "notify-keyspace-events", "KEA")
        self.same_replies(pair, "PSUBSCRIBE __key*")
        self.same_replies(pair, "SUBSCRIBE c")
        for command in ("MULTI", "SET k 3", "PUBLISH c x", "DEL k", "SELECT 3", "SET z 1",
                        "PUBLISH c y", "EXEC", "SELECT 0"):
            self.same(*command.split(" "))
        self.same_pushes(pair, 8)
        self.both_silent(pair)
        self.same("CONFIG", "SET", "notify-keyspace-events", "")


class ManyReactors(unittest.TestCase):
    def test_every_subscriber_gets_all_messages_in_the_publishers_order(self):
        with harness.firnlog("--threads", "2") as server:
            subscribers = [server.connect() for _ in range(6)]
            for i, client in enumerate(subscribers):
                client.ask("SUBSCRIBE", "c")
                if i % 2:
                    client.ask("PSUBSCRIBE", "c*")

            def publish(who):
                with server.connect() as client:
                    for n in range(0, 300, 10):
                        client.pipeline([("PUBLISH", "c", "%d:%d" % (who, n + i)) if i % 3
                                         else ("SET", "k", "x") for i in range(10)])

            threads = [threading.Thread(target=publish, args=(who,)) for who in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            wanted = [n for n in range(300) if n % 10 % 3]
            for i, client in enumerate(subscribers):
                count = len(wanted) * 3 * (2 if i % 2 else 1)
                got = {"message": {}, "pmessage": {}}
                for _ in range(count):
                    message = harness.parse(client.reply())
                    who, n = message[-1].split(b":")
                    got[message[0].decode()].setdefault(int(who), []).append(int(n))
                for kind in ("message", "pmessage") if i % 2 else ("message",):
                    self.assertEqual(got[kind], {who: wanted for who in range(3)})
                self.assertTrue(client.silent(0.05))
                client.close()

    def test_closing_and_subscribing_while_others_publish(self):
        with harness.firnlog("--threads", "2") as server:
            stop = threading.Event()

            def churn(seed):
                rng = random.Random(seed)
                while not stop.is_set():
                    with server.connect() as client:
                        client.ask("HELLO", 3)
                        client.pipeline([("SUBSCRIBE", "c%d" % rng.randint(0, 3)),
                                         ("PSUBSCRIBE", "c*"), ("SSUBSCRIBE", "c1")])
                        if rng.random() < 0.5:
                            client.send("RESET")
                            client.reply()

            threads = [threading.Thread(target=churn, args=(seed,)) for seed in range(4)]
            for thread in threads:
                thread.start()
            with server.connect() as client:
                until = time.monotonic() + 1.5
                while time.monotonic() < until:
                    client.pipeline([("PUBLISH", "c%d" % (i % 4), "x" * 100) for i in range(50)])
                    client.ask("SPUBLISH", "c1", "x")
            stop.set()
            for thread in threads:
                thread.join()
            until = time.monotonic() + 10
            while server.value("PUBSUB", "NUMPAT") != 0 or server.value("PUBSUB", "CHANNELS"):
                self.assertLess(time.monotonic(), until)
                time.sleep(0.01)

    def test_a_subscriber_that_does_not_read_is_cut_off(self):
        limit = ("--client-output-buffer-limit", "pubsub", "1mb", "512kb", "60")
        with harness.firnlog(*limit) as server:
            slow, publisher = server.connect(), server.connect()
            slow.ask("SUBSCRIBE", "c")
            for _ in range(400):
                if publisher.value("PUBLISH", "c", "x" * 100_000) == 0:
                    break
            else:
                self.fail("it is still there")
            self.assertEqual(publisher.ask("PING"), b"+PONG\r\n")
            slow.close()
            publisher.close()


if __name__ == "__main__":
    unittest.main()
