"""Where Firnlog's replies may differ from Redis 7.0.15's, and why: the one place that says so.

docs/commands.md tells users the same. What stands in none of these is compared to the byte."""

# Rows that the model test does not send, with the test that does.
SKIPPED = {
    "shutdown": "ends the server: test_operations",
    "quit": "ends the connection: test_connection",
    "monitor": "changes what a connection is: test_server",
    "debug": "ours has a part of it only: test_server",
    "client|kill": "ends connections, by ids that differ: test_connection",
    "client|pause": "stops all connections: test_connection",
    "client|reply": "takes replies away: test_connection",
    "client|tracking": "says that it is off: docs/commands.md",
    "client|caching": "tracking is off: docs/commands.md",
    "config|set": "directives have their own tests: test_config",
    "config|rewrite": "the servers have no configuration file: test_config",
    "subscribe": "answers once a channel, then pushes: test_pubsub",
    "unsubscribe": "answers once a channel: test_pubsub",
    "psubscribe": "as subscribe",
    "punsubscribe": "as unsubscribe",
    "ssubscribe": "as subscribe",
    "sunsubscribe": "as unsubscribe",
    "latency|doctor": "advice in our own words",
    "memory|doctor": "advice in our own words",
    "memory|malloc-stats": "of another allocator",
    "save": "there is nothing to save: the log is the database",
    "bgsave": "as save",
    "bgrewriteaof": "as save",
    "replicaof": "replication comes later",
    "slaveof": "replication comes later",
    "waitaof": "of Redis 7.2: test_firn",
}
# Groups of Redis that are not there yet have no rows; these of ours have no peer.
SKIPPED_GROUPS = {"firn": "Firnlog's own: test_firn"}

# Errors are compared to the byte; of a success only the kind of reply: its content is the server's.
OWN_CONTENT = {
    "time": "a clock", "lastsave": "a clock", "role": "offsets", "info": "values of the server",
    "client|id": "ids", "client|info": "ids", "client|list": "ids", "hello": "the connection's id",
    "command": "the commands there are", "command|count": "the commands there are",
    "command|docs": "our own summaries", "command|list": "the commands there are",
    "command|info": "the commands there are", "config|get": "our own defaults",
    "object|idletime": "a clock", "object|freq": "decays with a clock",
    "memory|usage": "sizes of our own structures", "memory|stats": "sizes of our own structures",
    "latency|histogram": "measured", "latency|latest": "measured", "latency|history": "measured",
    "latency|graph": "measured", "latency|reset": "measured", "slowlog|get": "measured",
    "slowlog|len": "measured", "lolwut": "art",
    "acl|genpass": "random", "object|refcount": "Redis shares small numbers in its memory",
}
# Texts for people: subcommands that we lack are not listed.
OWN_CONTENT_SUFFIXES = ("|help",)

# (ours, Redis's) of OBJECT ENCODING: what BITOP or INCRBYFLOAT made keeps its form in Redis's memory
# until it is loaded again; ours says what a restart of Redis would say.
ENCODINGS = {(b"$6\r\nembstr\r\n", b"$3\r\nraw\r\n"), (b"$3\r\nint\r\n", b"$3\r\nraw\r\n"),
             (b"$3\r\nint\r\n", b"$6\r\nembstr\r\n")}

# Redis lists what lies in a hash table in the table's order.
UNORDERED = {"keys", "hgetall", "hkeys", "hvals", "pubsub|channels", "pubsub|shardchannels",
             "config|get"}
# A cursor is the server's own; what a whole scan finds is compared.
SCANS = {"scan", "hscan"}
# Random choices: as many as Redis gives, and each of them is there. Value: the command that lists
# what there is.
RANDOM = {"randomkey": [b"KEYS", b"*"], "hrandfield": [b"HGETALL"]}
# Times that a relative expiry set a moment apart; the unit in milliseconds.
CLOCKED = {"ttl": 1000, "pttl": 1, "expiretime": 1000, "pexpiretime": 1}
CLOCK_MS_MAX = 20_000
# An expiry past the year 10889 is kept as that: it has 48 bits of milliseconds.
EXPIRY_MS_MAX = (1 << 48) - 1

# Rows whose success needs what this test does not set up.
NEVER_SUCCEED = {
    "object|freq": "needs an LFU policy, which is refused",
    "latency|graph": "needs an event that took long",
}
# name -> {kind of error (coverage.py) that its grammar seems to allow: why it cannot be reached}.
UNREACHED = {"lolwut": {"syntax": "it takes any words for art"}}
