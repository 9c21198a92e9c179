"""Every error that a row of Redis 7.0.15 has, and for those that chance seldom meets a way to it.

A text here is one that coverage.kind_of() gives: what the client sent is cut out of it. The model
test fails if a row answers an error that does not stand here, or one here is not met often enough.
"""

ARITY = "ERR wrong number of arguments for '...' command"
TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
INT = "ERR value is not an integer or out of range"
RANGE = "ERR value is out of range, value must between -2147483648 and 2147483647"
POSITIVE = "ERR value is out of range, must be positive"
DATABASE = "ERR DB index is out of range"
FLOAT = "ERR value is not a valid float"
SYNTAX = "ERR syntax error"
EXPIRE = "ERR invalid expire time in '...' command"
OVERFLOW = "ERR increment or decrement would overflow"
INFINITE = "ERR increment would produce NaN or Infinity"
BIT_OFFSET = "ERR bit offset is not an integer or out of range"
BIT = "ERR bit is not an integer or out of range"
BIT_TYPE = ("ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but "
            "i64 is.")
CURSOR = "ERR invalid cursor"
SAME = "ERR source and destination objects are the same"
NO_KEY = "ERR no such key"
TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
OFFSET = "ERR offset is out of range"
TIMEOUT = "ERR timeout is not an integer or out of range"
NEGATIVE_TIMEOUT = "ERR timeout is negative"
WRONGPASS = "WRONGPASS invalid username-password pair or user is disabled."
ONE_WAY = "ERR NX and XX, GT or LT options at the same time are not compatible"
GT_LT = "ERR GT and LT options at the same time are not compatible"
OPTION = "ERR Unsupported option ..."
UNKNOWN_WORD = "ERR unknown subcommand or wrong number of arguments for '...'. Try %s HELP."

# What a row may answer besides, too seldom to be asked for: a word behind COMMAND that chance makes the
# name of one of its subcommands.
SELDOM = {"command": {ARITY}}

MOST = b"9223372036854775807"
LEAST = b"-9223372036854775808"


def ask(*commands):
    """Commands as lines; the last one is to fail."""
    return [[word if isinstance(word, bytes) else word.encode() for word in
             (command.split(" ") if isinstance(command, str) else command)] for command in commands]


def on_string(*words):
    return ask("SET e:s value", words)


def on_hash(*words):
    return ask("DEL e:h", "HSET e:h f 1", words)


def _expire(name, huge):
    return {ARITY: None, INT: None, EXPIRE: on_string(name, "e:s", huge),
            OPTION: None, ONE_WAY: on_string(name, "e:s", "100", "NX", "GT"),
            GT_LT: on_string(name, "e:s", "100", "GT", "LT")}


def _add(name, *more):
    return {ARITY: None, TYPE: on_hash(name, "e:h", *more), INT: ask("SET e:s x", [name, "e:s", *more]),
            OVERFLOW: ask(["SET", "e:s", LEAST if "DECR" in name else MOST], [name, "e:s", *more])}


def _named(name):
    return {UNKNOWN_WORD % name: None}


ERRORS = {
    # ---- Strings.
    "get": {ARITY: None, TYPE: on_hash("GET", "e:h")},
    "set": {ARITY: None, SYNTAX: None, INT: ask("SET e:s v EX x"), EXPIRE: ask("SET e:s v PX 0"),
            TYPE: on_hash("SET", "e:h", "v", "GET")},
    "setnx": {ARITY: None},
    "setex": {ARITY: None, INT: None, EXPIRE: ask("SETEX e:s 0 v")},
    "psetex": {ARITY: None, INT: None, EXPIRE: ask("PSETEX e:s 0 v")},
    "getset": {ARITY: None, TYPE: on_hash("GETSET", "e:h", "v")},
    "getdel": {ARITY: None, TYPE: on_hash("GETDEL", "e:h")},
    "getex": {ARITY: None, SYNTAX: None, TYPE: on_hash("GETEX", "e:h"),
              INT: on_string("GETEX", "e:s", "EX", "x"), EXPIRE: on_string("GETEX", "e:s", "EX", "0")},
    "mget": {ARITY: None},
    "mset": {ARITY: None},
    "msetnx": {ARITY: None},
    "append": {ARITY: None, TYPE: on_hash("APPEND", "e:h", "v")},
    "strlen": {ARITY: None, TYPE: on_hash("STRLEN", "e:h")},
    "getrange": {ARITY: None, INT: None, TYPE: on_hash("GETRANGE", "e:h", "0", "1")},
    "substr": {ARITY: None, INT: None, TYPE: on_hash("SUBSTR", "e:h", "0", "1")},
    "setrange": {ARITY: None, INT: None, TYPE: on_hash("SETRANGE", "e:h", "0", "v"),
                 OFFSET: ask("SETRANGE e:s -1 v"), TOO_LONG: ask("SETRANGE e:s 536870912 v")},
    "incr": _add("INCR"),
    "decr": _add("DECR"),
    "incrby": _add("INCRBY", "5"),
    "decrby": _add("DECRBY", "5") | {"ERR decrement would overflow": ask(["DECRBY", "e:s", LEAST])},
    "incrbyfloat": {ARITY: None, FLOAT: None, TYPE: on_hash("INCRBYFLOAT", "e:h", "1"),
                    INFINITE: ask("DEL e:s", "INCRBYFLOAT e:s inf")},
    "lcs": {ARITY: None, SYNTAX: None, INT: None,
            "ERR The specified keys must contain string values": on_hash("LCS", "e:h", "e:s"),
            "ERR If you want both the length and indexes, please just use IDX.":
                ask("LCS e:s e:t LEN IDX")},
    # ---- Bits.
    "setbit": {ARITY: None, BIT_OFFSET: None, BIT: None, TYPE: on_hash("SETBIT", "e:h", "1", "1")},
    "getbit": {ARITY: None, BIT_OFFSET: None, TYPE: on_hash("GETBIT", "e:h", "1")},
    "bitcount": {ARITY: None, INT: on_string("BITCOUNT", "e:s", "x", "1"),
                 SYNTAX: on_string("BITCOUNT", "e:s", "1"), TYPE: on_hash("BITCOUNT", "e:h")},
    "bitpos": {ARITY: None, INT: None, SYNTAX: on_string("BITPOS", "e:s", "1", "0", "1", "BITE"),
               TYPE: on_hash("BITPOS", "e:h", "1"),
               "ERR The bit argument must be 1 or 0.": ask("BITPOS e:s 2")},
    "bitop": {ARITY: None, SYNTAX: ask("BITOP NAND e:t e:s"), TYPE: on_hash("BITOP", "OR", "e:t", "e:h"),
              "ERR BITOP NOT must be called with a single source key.": ask("BITOP NOT e:t e:s e:s")},
    "bitfield": {ARITY: None, SYNTAX: None, BIT_OFFSET: ask("BITFIELD e:s GET u8 -1"),
                 TYPE: on_hash("BITFIELD", "e:h", "GET", "u8", "0"),
                 INT: ask("BITFIELD e:s SET u8 0 x"), BIT_TYPE: ask("BITFIELD e:s GET u64 0"),
                 "ERR Invalid OVERFLOW type specified": ask("BITFIELD e:s OVERFLOW never")},
    "bitfield_ro": {ARITY: None, SYNTAX: None, BIT_OFFSET: ask("BITFIELD_RO e:s GET u8 -1"),
                    TYPE: on_hash("BITFIELD_RO", "e:h", "GET", "u8", "0"),
                    BIT_TYPE: ask("BITFIELD_RO e:s GET i65 0"),
                    INT: ask("BITFIELD_RO e:s SET u8 0 x"),
                    "ERR Invalid OVERFLOW type specified": ask("BITFIELD_RO e:s OVERFLOW never"),
                    "ERR BITFIELD_RO only supports the GET subcommand":
                        ask("BITFIELD_RO e:s SET u8 0 1")},
    # ---- Hashes.
    "hset": {ARITY: None, TYPE: on_string("HSET", "e:s", "f", "v")},
    "hmset": {ARITY: None, TYPE: on_string("HMSET", "e:s", "f", "v")},
    "hsetnx": {ARITY: None, TYPE: on_string("HSETNX", "e:s", "f", "v")},
    "hget": {ARITY: None, TYPE: on_string("HGET", "e:s", "f")},
    "hmget": {ARITY: None, TYPE: on_string("HMGET", "e:s", "f")},
    "hgetall": {ARITY: None, TYPE: on_string("HGETALL", "e:s")},
    "hdel": {ARITY: None, TYPE: on_string("HDEL", "e:s", "f")},
    "hlen": {ARITY: None, TYPE: on_string("HLEN", "e:s")},
    "hstrlen": {ARITY: None, TYPE: on_string("HSTRLEN", "e:s", "f")},
    "hexists": {ARITY: None, TYPE: on_string("HEXISTS", "e:s", "f")},
    "hkeys": {ARITY: None, TYPE: on_string("HKEYS", "e:s")},
    "hvals": {ARITY: None, TYPE: on_string("HVALS", "e:s")},
    "hincrby": {ARITY: None, INT: None, TYPE: on_string("HINCRBY", "e:s", "f", "1"),
                OVERFLOW: ask("DEL e:h", ["HSET", "e:h", "f", MOST], "HINCRBY e:h f 1"),
                "ERR hash value is not an integer": ask("DEL e:h", "HSET e:h f x", "HINCRBY e:h f 1")},
    "hincrbyfloat": {ARITY: None, FLOAT: None, TYPE: on_string("HINCRBYFLOAT", "e:s", "f", "1"),
                     "ERR value is NaN or Infinity": ask("HINCRBYFLOAT e:h f inf"),
                     "ERR hash value is not a float":
                         ask("DEL e:h", "HSET e:h f x", "HINCRBYFLOAT e:h f 1"),
                     INFINITE: ask("DEL e:h", "HSET e:h f inf", "HINCRBYFLOAT e:h f 1")},
    "hrandfield": {ARITY: None, INT: None, SYNTAX: ask("HRANDFIELD e:h 1 NOW"),
                   TYPE: on_string("HRANDFIELD", "e:s"),
                   "ERR value is out of range, value must between -9223372036854775807 and "
                   "9223372036854775807": ask(["HRANDFIELD", "e:h", LEAST]),
                   "ERR value is out of range": ask(["HRANDFIELD", "e:h", MOST, "WITHVALUES"])},
    "hscan": {ARITY: None, CURSOR: None, TYPE: on_string("HSCAN", "e:s", "0"),
              SYNTAX: on_hash("HSCAN", "e:h", "0", "COUNT", "0"),
              INT: on_hash("HSCAN", "e:h", "0", "COUNT", "x")},
    # ---- Keys.
    "del": {ARITY: None}, "unlink": {ARITY: None}, "exists": {ARITY: None}, "touch": {ARITY: None},
    "type": {ARITY: None}, "persist": {ARITY: None}, "ttl": {ARITY: None}, "pttl": {ARITY: None},
    "expiretime": {ARITY: None}, "pexpiretime": {ARITY: None}, "keys": {ARITY: None},
    "randomkey": {ARITY: None}, "dbsize": {ARITY: None},
    "expire": _expire("EXPIRE", MOST), "pexpire": _expire("PEXPIRE", MOST),
    "expireat": _expire("EXPIREAT", MOST),
    # There is no absolute millisecond that is too large to be one.
    "pexpireat": {kind: way for kind, way in _expire("PEXPIREAT", MOST).items() if kind != EXPIRE},
    "rename": {ARITY: None, NO_KEY: None},
    "renamenx": {ARITY: None, NO_KEY: None},
    "copy": {ARITY: None, SYNTAX: None, INT: None, SAME: ask("COPY e:s e:s"),
             RANGE: ask("COPY e:s e:t DB 3000000000"), DATABASE: ask("COPY e:s e:t DB 16")},
    "move": {ARITY: None, INT: None, SAME: ask("SELECT 1", "MOVE e:s 1"), RANGE: ask("MOVE e:s 3000000000"),
             DATABASE: ask("MOVE e:s -1")},
    "scan": {ARITY: None, CURSOR: None, SYNTAX: None, INT: ask("SCAN 0 COUNT x")},
    "object|encoding": {ARITY: None}, "object|idletime": {ARITY: None}, "object|refcount": {ARITY: None},
    "object|help": {ARITY: None},
    "object|freq": {ARITY: None, "ERR An LFU maxmemory policy is not selected, access frequency not "
                                 "tracked. Please note that when switching between policies at runtime "
                                 "LRU and LFU data will take some time to adjust.":
                    on_string("OBJECT", "FREQ", "e:s")},
    "memory|usage": {ARITY: None, INT: on_string("MEMORY", "USAGE", "e:s", "SAMPLES", "x"), SYNTAX: None},
    # ---- Databases.
    "select": {ARITY: None, INT: None, RANGE: ask("SELECT 3000000000"), DATABASE: ask("SELECT 16")},
    "swapdb": {ARITY: None, "ERR invalid first DB index": ask("SWAPDB x 0"),
               "ERR invalid second DB index": ask("SWAPDB 0 x"), DATABASE: ask("SWAPDB 0 16")},
    "flushdb": {SYNTAX: None}, "flushall": {SYNTAX: None},
    # ---- Transactions.
    "multi": {ARITY: None, "ERR MULTI calls can not be nested": ask("MULTI", "MULTI")},
    "exec": {"ERR EXEC without MULTI": None,
             "EXECABORT Transaction discarded because of previous errors.": None,
             "EXECABORT Transaction discarded because of: wrong number of arguments for '...' command":
                 None},
    "discard": {ARITY: None, "ERR DISCARD without MULTI": None},
    "watch": {ARITY: None, "ERR WATCH inside MULTI is not allowed": None},
    "unwatch": {ARITY: None},
    # ---- Connections.
    "ping": {ARITY: None}, "echo": {ARITY: None}, "reset": {ARITY: None}, "wait": {
        ARITY: None, INT: None, TIMEOUT: None, NEGATIVE_TIMEOUT: ask("WAIT 0 -1")},
    "auth": {ARITY: None, SYNTAX: None, WRONGPASS: None,
             "ERR AUTH <password> called without any password configured for the default user. Are you "
             "sure your configuration is correct?": None},
    "hello": {WRONGPASS: None, "ERR Protocol version is not an integer or out of range": None,
              "ERR Syntax error in HELLO option '...'": ask("HELLO 2 NOW"),
              "NOPROTO unsupported protocol version": ask("HELLO 4"),
              "ERR Client names cannot contain spaces, newlines or special characters.":
                  ask(["HELLO", "2", "SETNAME", "a b"])},
    "client|getname": {ARITY: None}, "client|getredir": {ARITY: None}, "client|help": {ARITY: None},
    "client|id": {ARITY: None}, "client|info": {ARITY: None}, "client|trackinginfo": {ARITY: None},
    "client|unpause": {ARITY: None},
    "client|list": {SYNTAX: None, "ERR Invalid client ID": None,
                    "ERR Unknown client type '...'": ask("CLIENT LIST TYPE x")},
    "client|no-evict": {ARITY: None, SYNTAX: None},
    "client|setname": {ARITY: None,
                       "ERR Client names cannot contain spaces, newlines or special characters.": None},
    "client|unblock": _named("CLIENT") | {
        ARITY: None, INT: None,
        "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR": ask("CLIENT UNBLOCK 1 NOW")},
    # ---- Publish/subscribe.
    "publish": {ARITY: None}, "spublish": {ARITY: None},
    "pubsub|help": {ARITY: None}, "pubsub|numpat": {ARITY: None}, "pubsub|numsub": {},
    "pubsub|shardnumsub": {}, "pubsub|channels": _named("PUBSUB"), "pubsub|shardchannels": _named("PUBSUB"),
    # ---- The server.
    "acl|cat": _named("ACL") | {"ERR Unknown category '...'": None},
    "acl|genpass": _named("ACL") | {
        INT: None,
        "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number "
        "up to 4096": ask("ACL GENPASS 0")},
    "acl|getuser": {ARITY: None}, "acl|help": {ARITY: None}, "acl|list": {ARITY: None},
    "acl|users": {ARITY: None}, "acl|whoami": {ARITY: None},
    "command": {"ERR unknown subcommand '...'. Try COMMAND HELP.": ask("COMMAND NOSUCH")},
    "command|count": {ARITY: None}, "command|help": {ARITY: None}, "command|docs": {}, "command|info": {},
    "command|list": {SYNTAX: None},
    "config|get": {ARITY: None}, "config|help": {ARITY: None}, "config|resetstat": {ARITY: None},
    "info": {}, "lastsave": {ARITY: None}, "role": {ARITY: None}, "time": {ARITY: None},
    "latency|graph": {ARITY: None, "ERR No samples available for event '...'": None},
    "latency|help": {ARITY: None}, "latency|history": {ARITY: None}, "latency|latest": {ARITY: None},
    "latency|histogram": {}, "latency|reset": {},
    "lolwut": {INT: ask("LOLWUT VERSION 5 x")},
    "memory|help": {ARITY: None}, "memory|purge": {ARITY: None}, "memory|stats": {ARITY: None},
    "slowlog|get": _named("SLOWLOG") | {
        "ERR count should be greater than or equal to -1": None},
    "slowlog|help": {ARITY: None}, "slowlog|len": {ARITY: None}, "slowlog|reset": {ARITY: None},
}
for _name in ("command|getkeys", "command|getkeysandflags"):
    _words = _name.upper().split("|")
    ERRORS[_name] = {ARITY: None, "ERR Invalid command specified": ask(_words + ["nosuch", "x"]),
                     "ERR Invalid number of arguments specified for command": None,
                     "ERR The command has no key arguments": ask(_words + ["echo", "x"])}
