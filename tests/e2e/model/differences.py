"""Where Firnlog's replies may differ from Redis 7.0.15's, and why: the one place that says so.

docs/commands.md tells users the same. What stands in none of these is compared to the byte."""

# Rows that the model test does not send, with the test that does.
SKIPPED = {
    "shutdown": "ends the server: test_operations.test_sigint_and_shutdown_are_clean_stops_too",
    "quit": "ends the connection: test_server.test_a_password_is_asked_for_as_by_redis",
    "monitor": "changes what a connection is: test_server.test_monitor_shows_what_redis_shows",
    "debug": "ours has a part of it: test_server.test_replies_and_errors_equal_those_of_redis_to_the_byte",
    "client|kill": "ends connections: test_clients.test_kill_reaches_every_thread",
    "client|pause": "stops all connections: test_clients.test_a_pause_holds_writers_and_ends",
    "client|reply": "takes replies away: test_server.test_replies_can_be_switched_off",
    "client|tracking": "is off: test_server.test_replies_and_errors_equal_those_of_redis_to_the_byte",
    "client|caching": "is off: test_server.test_replies_and_errors_equal_those_of_redis_to_the_byte",
    "config|set": "changes the servers: test_configuration.test_values_change_and_are_written_back",
    "config|rewrite": "needs a file: test_configuration.test_values_change_and_are_written_back",
    "subscribe": "answers once a channel: test_pubsub.test_subscriptions_are_confirmed_one_by_one",
    "unsubscribe": "answers once a channel: test_pubsub.test_unsubscribing_from_all_names_each",
    "psubscribe": "as subscribe: test_pubsub.test_subscriptions_are_confirmed_one_by_one",
    "punsubscribe": "as unsubscribe: test_pubsub.test_unsubscribing_from_all_names_each",
    "ssubscribe": "as subscribe: test_pubsub.test_subscriptions_are_confirmed_one_by_one",
    "sunsubscribe": "as unsubscribe: test_pubsub.test_unsubscribing_from_all_names_each",
    "latency|doctor": "advice in our own words: test_configuration.test_slow_events_are_watched",
    "memory|doctor": "advice in our own words: test_clients.test_advice_is_given_in_our_own_words",
    "memory|malloc-stats": "another allocator's: test_clients.test_advice_is_given_in_our_own_words",
    "save": "there is no dump: test_clients.test_save_answers_when_everything_is_durable",
    "bgsave": "as save: test_clients.test_save_answers_when_everything_is_durable",
    "bgrewriteaof": "as save: test_clients.test_save_answers_when_everything_is_durable",
    "replicaof": "not yet: test_server.test_replies_and_errors_equal_those_of_redis_to_the_byte",
    "slaveof": "not yet: test_server.test_replies_and_errors_equal_those_of_redis_to_the_byte",
    "waitaof": "of Redis 7.2: test_firn.test_waitaof_waits_until_own_writes_are_durable",
}
# Groups of Redis that are not there yet have no rows; these of ours have no peer.
SKIPPED_GROUPS = {"firn": "Firnlog's own: test_firn, test_online_past, test_undo, test_asof"}

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
