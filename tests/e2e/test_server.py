"""Connection and server commands: replies and errors beside redis-server, and what is our own."""

import re
import unittest

import harness
from harness import info

# One line a command; both servers give the same bytes, in both protocols.
ALIKE = """
PING
PING hello
PING a b
ECHO x
ECHO
SELECT 1
SELECT 16
SELECT -1
SELECT x
SELECT 99999999999
SELECT 99999999999999999999
SELECT 0
HELLO 4
HELLO x
HELLO 1
HELLO 2 AUTH
HELLO 3 AUTH a
HELLO 2 AUTH a b
HELLO 2 SETNAME
HELLO 3 FOO bar
HELLO 3 AUTH x y SETNAME
HELLO 3 SETNAME na\u00efve
AUTH x
AUTH default x
AUTH foo x
AUTH a b c
AUTH
CLIENT
CLIENT FOO
CLIENT ID x
CLIENT GETNAME
CLIENT SETNAME foo
CLIENT GETNAME
CLIENT GETREDIR
CLIENT TRACKINGINFO
CLIENT TRACKING OFF
CLIENT TRACKING x
CLIENT TRACKING OFF BCAST
CLIENT TRACKING OFF FOO
CLIENT TRACKING OFF REDIRECT
CLIENT TRACKING OFF REDIRECT x
CLIENT TRACKING OFF PREFIX
CLIENT TRACKING OFF PREFIX x NOLOOP
CLIENT TRACKING x FOO
CLIENT CACHING YES
CLIENT CACHING x
CLIENT NO-EVICT on
CLIENT NO-EVICT off
CLIENT NO-EVICT x
CLIENT REPLY x
CLIENT REPLY ON
CLIENT PAUSE x
CLIENT PAUSE -1
CLIENT PAUSE 1
CLIENT PAUSE 0 FOO
CLIENT PAUSE 0 WRITE x
CLIENT PAUSE x FOO
CLIENT PAUSE 100000 WRITE
CLIENT UNPAUSE
CLIENT UNBLOCK x
CLIENT UNBLOCK 99
CLIENT UNBLOCK 99 FOO
CLIENT UNBLOCK 99 TIMEOUT x
CLIENT UNBLOCK 99 ERROR
CLIENT KILL 1.2.3.4:5
CLIENT KILL ID
CLIENT KILL ID x
CLIENT KILL ID 0
CLIENT KILL ID 1000
CLIENT KILL ID 1000 TYPE
CLIENT KILL ID 1000 TYPE foo
CLIENT KILL TYPE replica
CLIENT KILL TYPE master
CLIENT KILL TYPE pubsub
CLIENT KILL USER foo
CLIENT KILL USER default ID 1000
CLIENT KILL SKIPME foo
CLIENT KILL SKIPME yes ID 1000
CLIENT KILL FOO bar
CLIENT KILL FOO bar baz
CLIENT KILL LADDR 1.2.3.4:1
CLIENT LIST TYPE foo
CLIENT LIST TYPE master
CLIENT LIST TYPE replica
CLIENT LIST TYPE
CLIENT LIST ID
CLIENT LIST ID x
CLIENT LIST ID 999
CLIENT LIST ID 999 1000
CLIENT LIST foo
CLIENT LIST foo bar
CLIENT INFO x
CONFIG
CONFIG FOO
CONFIG GET
CONFIG GET timeout
CONFIG GET *xyz*
CONFIG SET
CONFIG SET a
CONFIG SET a b
CONFIG SET a b c
CONFIG SET timeout x
CONFIG SET timeout 0
CONFIG SET timeout 0 timeout 1
CONFIG SET maxclients 0
CONFIG SET loglevel foo
CONFIG SET appendfsync foo
CONFIG SET databases 5
CONFIG REWRITE
CONFIG REWRITE x
CONFIG RESETSTAT
CONFIG RESETSTAT x
TIME x
LASTSAVE x
ROLE
ROLE x
SAVE
SAVE x
BGSAVE x
BGSAVE SCHEDULE x
SHUTDOWN x
SHUTDOWN SAVE NOSAVE
SHUTDOWN ABORT NOW
SHUTDOWN ABORT
LOLWUT VERSION x
REPLICAOF NO ONE
REPLICAOF a b
REPLICAOF a
SLAVEOF no one
MEMORY
MEMORY FOO
MEMORY USAGE
MEMORY USAGE nokey
MEMORY USAGE nokey SAMPLES
MEMORY USAGE nokey SAMPLES x
MEMORY USAGE nokey SAMPLES -1
MEMORY USAGE nokey SAMPLES 1
MEMORY USAGE nokey FOO 1
MEMORY PURGE
MEMORY DOCTOR x
SLOWLOG
SLOWLOG FOO
SLOWLOG GET x
SLOWLOG GET -2
SLOWLOG GET 1 2
SLOWLOG RESET
LATENCY
LATENCY FOO
LATENCY LATEST
LATENCY LATEST x
LATENCY HISTORY foo
LATENCY HISTORY
LATENCY GRAPH foo
LATENCY RESET
LATENCY RESET foo bar
LATENCY HISTOGRAM foo
DEBUG
DEBUG FOO
DEBUG SLEEP 0
DEBUG SLEEP
DEBUG OBJECT nokey
DEBUG DIGEST
DEBUG DIGEST x
DEBUG DIGEST-VALUE
DEBUG DIGEST-VALUE a b
DEBUG ERROR foo
DEBUG ERROR
DEBUG LOG x
DEBUG PROTOCOL string
DEBUG PROTOCOL integer
DEBUG PROTOCOL double
DEBUG PROTOCOL null
DEBUG PROTOCOL array
DEBUG PROTOCOL set
DEBUG PROTOCOL map
DEBUG PROTOCOL attrib
DEBUG PROTOCOL push
DEBUG PROTOCOL true
DEBUG PROTOCOL false
DEBUG PROTOCOL verbatim
DEBUG PROTOCOL bignum
DEBUG PROTOCOL foo
DEBUG SET-ACTIVE-EXPIRE 0
DEBUG SET-ACTIVE-EXPIRE 1
DEBUG SET-ACTIVE-EXPIRE
DEBUG CHANGE-REPL-ID
DEBUG POPULATE x
DEBUG POPULATE 3
SET foo:3 mine
SET foo:4 mine
DEBUG POPULATE 5 foo 10
DEBUG DIGEST
GET foo:0
GET foo:3
GET foo:4
DBSIZE
GET foo:1
GET key:1
FLUSHALL
ACL
ACL FOO
ACL WHOAMI
ACL WHOAMI x
ACL USERS
ACL LIST
ACL GETUSER default
ACL GETUSER foo
ACL GETUSER
ACL CAT foo
ACL CAT
ACL CAT a b
ACL GENPASS x
ACL GENPASS 0
ACL GENPASS 5000
COMMAND FOO
COMMAND COUNT x
COMMAND GETKEYS
COMMAND GETKEYS get
COMMAND GETKEYS get a
COMMAND GETKEYS get a b
COMMAND GETKEYS foo a
COMMAND GETKEYS ping a
COMMAND GETKEYS mset a b c d
COMMAND GETKEYS mset a b c
COMMAND GETKEYS memory usage a
COMMAND GETKEYS client foo a
COMMAND GETKEYSANDFLAGS set a b
COMMAND GETKEYSANDFLAGS set a b get
COMMAND GETKEYSANDFLAGS rename a b
COMMAND GETKEYSANDFLAGS bitfield a get u8 0
COMMAND GETKEYSANDFLAGS bitfield a set u8 0 1
COMMAND GETKEYSANDFLAGS bitfield a get u8
COMMAND GETKEYSANDFLAGS bitfield a overflow sat get u8 0
COMMAND GETKEYSANDFLAGS bitfield a foo
COMMAND GETKEYSANDFLAGS bitop and a b c
COMMAND GETKEYSANDFLAGS del a b c
COMMAND GETKEYSANDFLAGS spublish a b
COMMAND LIST FILTERBY
COMMAND LIST x
COMMAND LIST FILTERBY ACLCAT nope
COMMAND LIST FILTERBY MODULE nope
COMMAND LIST FILTERBY FOO nope
COMMAND DOCS nope
COMMAND INFO nope
COMMAND INFO nope nope2
COMMAND HELP x
RESET x
NOSUCH a b
"""


class AsRedis(harness.PairTest):
    FIRNLOG_OPTIONS = ("--enable-debug-command", "yes")

    def test_replies_and_errors_equal_those_of_redis_to_the_byte(self):
        for protocol in (2, 3):
            for client in (self.ours, self.theirs):
                client.ask("HELLO", protocol)
            for line in ALIKE.split("\n"):
                if line:
                    with self.subTest(protocol=protocol, command=line):
                        self.same(*line.split(" "))
                        if line == "DEBUG PROTOCOL push" and protocol == 3:
                            # The push was the first of two replies.
                            self.assertEqual(self.ours.reply(), self.theirs.reply())

    def test_a_command_is_described_as_by_redis(self):
        def described(command):
            name, arity, flags, first, last, step, categories, tips, keys, subcommands = command
            specs = []
            for spec in keys:
                pairs = dict(zip(spec[::2], spec[1::2]))
                pairs.pop(b"notes", None)  # sentences of Redis's
                specs.append(pairs)
            return {
                "row": (name, arity, flags, first, last, step, categories, tips, specs),
                "subcommands": {each[0]: described(each) for each in subcommands},
            }

        ours = {row[0]: described(row) for row in self.ours.value("COMMAND")}
        theirs = {row[0]: described(row) for row in self.theirs.value("COMMAND")}
        own = {b"firn", b"waitaof"}
        self.assertEqual(set(ours) - set(theirs), own)
        for name in set(ours) - own:
            with self.subTest(command=name):
                self.assertEqual(ours[name]["row"], theirs[name]["row"])
                for sub in ours[name]["subcommands"]:
                    self.assertEqual(
                        ours[name]["subcommands"][sub], theirs[name]["subcommands"][sub]
                    )

    def test_what_is_missing_of_redis_is_missing_on_purpose(self):
        self.theirs.ask("HELLO", 3)
        docs = self.theirs.value("COMMAND", "DOCS")
        ours = {row[0] for row in self.ours.value("COMMAND")}
        later = {b"list", b"set", b"sorted-set", b"stream", b"geo", b"hyperloglog"}
        later |= {b"scripting", b"cluster"}
        missing = {n for n, doc in docs.items() if n not in ours and doc[b"group"] not in later}
        self.assertEqual(
            missing,
            set(
                b"dump restore restore-asking migrate sort sort_ro failover psync sync replconf "
                b"module".split()
            ),
        )

    def test_acl_cat_and_command_list_name_the_same_commands(self):
        ours = set(self.ours.value("COMMAND", "LIST"))
        for category in self.ours.value("ACL", "CAT"):
            theirs = set(self.theirs.value("ACL", "CAT", category)) & ours
            own = {n for n in self.ours.value("ACL", "CAT", category)}
            self.assertEqual({n for n in own if not n.startswith((b"firn", b"waitaof"))}, theirs)
            filtered = self.ours.value("COMMAND", "LIST", "FILTERBY", "ACLCAT", category)
            self.assertEqual(set(filtered), own)
        for pattern in ("get*", "client|*", "*"):
            theirs = set(self.theirs.value("COMMAND", "LIST", "FILTERBY", "PATTERN", pattern))
            own = set(self.ours.value("COMMAND", "LIST", "FILTERBY", "PATTERN", pattern))
            self.assertEqual(own & theirs, theirs & ours)

    def test_docs_name_group_and_version_as_redis_and_arguments(self):
        for client in (self.ours, self.theirs):
            client.ask("HELLO", 3)
        ours = self.ours.value("COMMAND", "DOCS")
        theirs = self.theirs.value("COMMAND", "DOCS")
        for name in set(ours) & set(theirs):
            with self.subTest(command=name):
                for field in (b"since", b"group"):
                    self.assertEqual(ours[name][field], theirs[name][field])
                self.assertTrue(ours[name][b"summary"])
                if name not in (b"debug", b"object"):
                    self.assertEqual(b"arguments" in ours[name], b"arguments" in theirs[name])

    def test_a_password_is_asked_for_as_by_redis(self):
        with harness.firnlog("--requirepass", "pw") as firnlog:
            with harness.redis("--requirepass", "pw") as redis:
                with firnlog.connect() as ours, redis.connect() as theirs:
                    for line in (
                        "PING",
                        "HELLO 3",
                        "HELLO 3 AUTH default no",
                        "HELLO",
                        "AUTH no",
                        "AUTH default no",
                        "AUTH other pw",
                        "GET a",
                        "NOSUCH",
                        "GET",
                        "RESET",
                        "AUTH default pw",
                        "PING",
                        "ACL LIST",
                        "ACL GETUSER default",
                        "RESET",
                        "PING",
                        "HELLO 2 AUTH default pw SETNAME me",
                        "CLIENT GETNAME",
                        "SET a 1",
                        "CONFIG SET requirepass other",
                        "GET a",
                        "RESET",
                        "GET a",
                        "AUTH pw",
                        "AUTH other",
                        "QUIT",
                    ):
                        with self.subTest(command=line):
                            said = [
                                re.sub(rb"id\r\n:\d+", b"id", client.ask(*line.split()))
                                for client in (ours, theirs)
                            ]
                            self.assertEqual(*said)
                    self.assertTrue(ours.closed())

    def test_replies_can_be_switched_off(self):
        for client in (self.ours, self.theirs):
            client.send("CLIENT", "REPLY", "SKIP")
            client.send("PING")
            self.assertEqual(client.ask("ECHO", 1), b"$1\r\n1\r\n")
            client.send("CLIENT", "REPLY", "OFF")
            client.send("PING")
            client.send("CLIENT", "REPLY", "SKIP")
            self.assertEqual(client.ask("CLIENT", "REPLY", "ON"), b"+OK\r\n")
            client.send("CLIENT", "REPLY", "OFF")
            self.assertEqual(client.ask("RESET"), b"+RESET\r\n")
            self.assertEqual(client.ask("PING"), b"+PONG\r\n")
            # Also those that come later than the command.
            client.send("CLIENT", "REPLY", "SKIP")
            client.send("WAIT", 1, 1)
            self.assertEqual(client.ask("ECHO", 2), b"$1\r\n2\r\n")
            client.send("CLIENT", "REPLY", "OFF")
            client.send("WAIT", 1, 1)
            self.assertEqual(client.ask("CLIENT", "REPLY", "ON"), b"+OK\r\n")

    def test_a_digest_is_that_of_redis(self):
        def fill(client):
            for db in (0, 3, 15):
                client.ask("SELECT", db)
                for i in range(200):
                    client.ask("SET", "s%d" % i, b"\x00\xff" * i)
                    client.ask("SET", "n%d" % i, i * 7)
                    client.ask("HSET", "h%d" % (i % 7), "f%d" % i, "v" * i, i, i)
                client.ask("SET", "big", b"x" * 300000)
                client.ask("SETRANGE", "big", 100000, "y")
                client.ask("APPEND", "grown", "a" * 70000)
                client.ask("PEXPIRE", "s3", 1 << 40)
                client.ask("EXPIRE", "h3", 1000000 + db)
                client.ask("DEL", "s7", "h5")
            client.ask("SELECT", 0)

        for client in (self.ours, self.theirs):
            fill(client)
        self.same("DEBUG", "DIGEST")
        self.same("DEBUG", "DIGEST-VALUE", "s3", "h3", "big", "n4", "nokey", "h1", "grown")
        before = self.ours.ask("DEBUG", "DIGEST")
        self.ours.ask("SET", "one more", "key")
        self.assertNotEqual(self.ours.ask("DEBUG", "DIGEST"), before)
        self.ours.ask("DEL", "one more")
        self.assertEqual(self.ours.ask("DEBUG", "DIGEST"), before)

    def test_monitor_shows_what_redis_shows(self):
        watching = [self.firnlog.connect(), self.redis.connect()]
        seen = []
        for server, client in zip((self.ours, self.theirs), watching):
            self.assertEqual(client.ask("MONITOR"), b"+OK\r\n")
            for line in (
                'SET a b"\x01',
                "AUTH x",
                "HELLO 2 AUTH default secret",
                "CONFIG SET timeout 0",
                "MULTI",
                "SET a 1",
                "INCR a",
                "EXEC",
                "GET",
                "NOSUCH",
                "SELECT 3",
                "MULTI",
                "SELECT 1",
                "SET a 1",
                "EXEC",
                "SWAPDB 1 2",
                "RESET",
                "AUTH secret",
                "GET nokey",
            ):
                server.ask(*line.split())
            lines = []
            while b'"nokey"' not in (lines[-1] if lines else b""):
                lines.append(client.reply())
            seen.append([re.sub(rb"^\+[0-9.]+ (\[\d+) 127.0.0.1:\d+\]", rb"\1", x) for x in lines])
        self.assertEqual(*seen)
        for client in watching:
            client.close()

    def test_the_slow_log_keeps_what_redis_keeps(self):
        kept = []
        for client in (self.ours, self.theirs):
            client.ask("CONFIG", "SET", "slowlog-log-slower-than", 0)
            client.ask("SLOWLOG", "RESET")
            client.ask("SET", "a", "x" * 300)
            client.ask("MSET", *range(80))
            client.ask("AUTH", "secret")
            client.ask("CONFIG", "SET", "requirepass", "")
            client.ask("MULTI")
            client.ask("GET", "a")
            client.ask("EXEC")
            entries = client.value("SLOWLOG", "GET", -1)
            kept.append([entry[3] for entry in entries])
            self.assertEqual([entry[0] for entry in entries], sorted(
                (entry[0] for entry in entries), reverse=True))
            self.assertEqual(len(client.value("SLOWLOG", "GET", 2)), 2)
            client.ask("CONFIG", "SET", "slowlog-max-len", 3)
            client.ask("PING")
            self.assertEqual(client.value("SLOWLOG", "LEN"), 3)
            client.ask("CONFIG", "SET", "slowlog-log-slower-than", 10000, "slowlog-max-len", 128)
        self.assertEqual(*kept)

    def test_commands_kept_from_transactions_and_allowed_in_them(self):
        for line in ("MULTI", "SHUTDOWN", "SAVE", "PING", "EXEC"):
            self.same(*line.split())
        for line in ("MULTI", "MONITOR", "CLIENT LIST ID 9999", "ROLE", "CONFIG GET timeout",
                     "DEBUG DIGEST", "COMMAND GETKEYS get a", "EXEC"):
            self.same(*line.split())
        self.ours.ask("MULTI")
        self.ours.ask("SET", "a", 1)
        self.ours.ask("INFO")
        self.ours.ask("CLIENT", "LIST")
        self.ours.ask("MEMORY", "STATS")
        self.ours.ask("DEBUG", "DIGEST")
        replies = self.ours.value("EXEC")
        self.assertIn(b"redis_version:7.0.15", replies[1])
        self.assertIn(b"cmd=", replies[2])

    def test_memory_stats_has_every_field_of_redis(self):
        for client in (self.ours, self.theirs):
            client.ask("HELLO", 3)
            client.ask("SET", "a", 1, "EX", 1000)
        ours, theirs = (client.value("MEMORY", "STATS") for client in (self.ours, self.theirs))
        self.assertEqual(set(theirs) - set(ours), set())
        self.assertEqual(set(ours[b"db.0"]), set(theirs[b"db.0"]))
        for name in theirs:
            self.assertEqual(type(ours[name]), type(theirs[name]), name)

    def test_info_has_every_field_of_redis(self):
        ours, theirs = info(self.ours, "everything"), info(self.theirs, "everything")
        counted = ("cmdstat_", "latency_", "errorstat_", "db")
        self.assertEqual({n for n in theirs if n not in ours and not n.startswith(counted)}, set())
        self.assertEqual(ours["redis_version"], "7.0.15")
        self.assertRegex(ours["firnlog_version"], r"^\d+\.\d+\.\d+$")
        self.assertEqual(ours["aof_enabled"], "1")


if __name__ == "__main__":
    unittest.main()
