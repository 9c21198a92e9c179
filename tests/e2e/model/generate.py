"""Words for a row: such as its arguments ask for, or wrong in one of the ways a client is wrong.

Numbers stay where both servers stay quick and alike: no expiry falls into the time of a run, no
offset makes a value of many megabytes, no count asks for millions of replies."""

import time

KEYS = {"string": b"s", "number": b"n", "hash": b"h", "any": b"x"}
KEYS_OF_KIND = 8
FIELDS = [b"f%d" % i for i in range(12)] + [b"", b"field with spaces", b"\x00\xff"]
TEXTS = [b"", b"a", b"hello world", b"0", b"1", b"-1", b"10", b"3.5", b"-0.25", b"1e3", b"007",
         b" 1", b"9223372036854775807", b"-9223372036854775808", b"\xff\x00\x80", b"ohmytext",
         b"mynewtext", b"x" * 43, b"x" * 44, b"x" * 45, b"y" * 64, b"y" * 65, b"\r\n", b"z" * 700]
PATTERNS = [b"*", b"s*", b"h?", b"[a-m]*", b"[^s]?", b"*1", b"\\*", b"", b"none", b"f*", b"*a*b*"]
SMALL = [0, 1, 2, 3, 5, 7, 8, 10, 31, 64, 100, -1, -2, -3, -100]
# Each is refused or harmless where a count, an offset or an index stands.
HUGE = [b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808",
        b"-9223372036854775809", b"8589934592", b"18446744073709551616", b"9" * 23]
BAD_NUMBERS = HUGE + [b"abc", b"", b"1.5", b" 1", b"1 ", b"0x10", b"+1", b"01", b"1e400", b"nan",
                      b"inf", b"-inf", b"-", b"1\x00"]
STRAY_WORDS = [b"EX", b"px", b"NX", b"XX", b"GT", b"KEEPTTL", b"foo", b"MATCH", b"COUNT", b"BIT",
               b"BYTE", b"WITHVALUES", b"", b"*", b"\xff", b"GET", b"LEN", b"IDX", b"DB",
               b"REPLACE", b"ASYNC"]
BIT_TYPES = [b"u1", b"u8", b"u16", b"u32", b"u63", b"i1", b"i8", b"i16", b"i32", b"i64", b"i5"]
BAD_BIT_TYPES = [b"u64", b"i65", b"u0", b"i0", b"8", b"x8", b"u", b"i-1"]
WAYS = (["plain"] * 9 + ["arity"] * 3 + ["number"] * 4 + ["type"] * 4 + ["syntax"] * 3 +
        ["wild"] * 2)
# Words for arguments by name; others go by their type.
BY_NAME = {
    "field": FIELDS, "operation": [b"AND", b"OR", b"XOR", b"NOT", b"and"], "encoding": BIT_TYPES,
    "bit": [b"0", b"1"], "db": [b"0", b"1", b"2", b"3"], "index": [b"0", b"1", b"2", b"3"],
    "index1": [b"0", b"1", b"2"], "index2": [b"0", b"1", b"2"],
    "destination-db": [b"0", b"1", b"2"],
    "cursor": [b"0", b"0", b"0", b"1", b"17", b"255"],
    "count": [b"0", b"1", b"2", b"5", b"10", b"1000", b"-1", b"-5", b"-20"],
    "protover": [b"2", b"3"], "username": [b"default", b"nobody"], "password": [b"", b"secret"],
    "clientname": [b"tester", b"another"], "connection-name": [b"tester", b"a b", b""],
    "channel": [b"news", b"weather"], "shardchannel": [b"news", b"weather"],
    "numreplicas": [b"0"], "numlocal": [b"0"], "timeout": [b"1", b"2"],
    "type": [b"string", b"hash", b"list", b"HASH", b"none", b"stream"],
    "len": [b"0", b"1", b"2", b"4"], "section": [b"server", b"keyspace", b"all", b"none"],
    "command-name": [b"get", b"set", b"nosuch", b"client|list", b"hset"],
    "command": [b"get", b"mset", b"hset"], "arg": [b"a", b"b", b"c"],
    "event": [b"command", b"fork"], "parameter": [b"appendfsync", b"hz", b"max*"],
    "client-id": [b"0", b"99999999"], "message": TEXTS, "newkey": None,
}


class Generator:
    def __init__(self, rng, rows):
        self.rng = rng
        self.rows = rows
        self.names = sorted(rows)
        self.weights = [RARE.get(name, 1.0) for name in self.names]
        self.far = int(time.time()) + 10_000_000

    def leave_out(self, name):
        self.weights[self.names.index(name)] = 0

    def row(self):
        return self.rows[self.rng.choices(self.names, self.weights)[0]]

    def key(self, kind):
        kind = kind if self.rng.random() < 0.9 else "any"
        return b"%s%d" % (KEYS[kind], self.rng.randrange(KEYS_OF_KIND))

    def words(self, row):
        """The whole command, a list of bytes."""
        rng = self.rng
        way = rng.choice(WAYS)
        kind = self._kind(row)
        if way == "type":
            kind = "string" if kind == "hash" else "hash"
        words, types = list(row.words), ["name"] * len(row.words)
        for argument in row.arguments:
            self._argument(row, argument, kind, words, types)
        head = len(row.words)
        if way == "arity":
            # Below the least, or (fixed arity) above: otherwise whatever comes of it.
            if row.arity > 0 and rng.random() < 0.5:
                words += [rng.choice(STRAY_WORDS) for _ in range(rng.randint(1, 2))]
            else:
                del words[max(head, rng.randint(head, max(head, abs(row.arity) - 1))):]
        elif way == "number":
            places = [i for i, t in enumerate(types) if t in ("integer", "double", "unix-time")]
            if places:
                words[rng.choice(places)] = rng.choice(BAD_NUMBERS)
            elif len(words) > head:
                words[-1] = rng.choice(BAD_NUMBERS)
        elif way == "syntax":
            stray = [rng.choice(STRAY_WORDS) for _ in range(rng.randint(1, 2))]
            at = rng.choice((len(words), rng.randint(head, len(words))))
            words[at:at] = stray
        elif way == "wild" and len(words) > head:
            place = rng.randrange(head, len(words))
            words[place] = rng.choice(rng.choice((TEXTS, BAD_NUMBERS, STRAY_WORDS, BAD_BIT_TYPES)))
        if rng.random() < 0.1:
            words[0] = words[0].lower()
        words = self._tamed(row, words)
        if row.name in ON_LONG and len(words) > 1 and rng.random() < 0.05:
            words[1] = b"long%d" % rng.randrange(2)
            if row.name in ON_LONG_AT and len(words) > 2 and rng.random() < 0.7:
                words[2] = b"%d" % (ON_LONG_AT[row.name] * (65_536 + rng.randint(-12, 12)))
        return words

    def refill(self):
        """Commands that give a few keys the types their names say."""
        rng = self.rng
        for kind in ("string", "number", "hash"):
            key = b"%s%d" % (KEYS[kind], rng.randrange(KEYS_OF_KIND))
            if kind == "hash":
                yield [b"DEL", key]
                fields = rng.sample(FIELDS, 4)
                if rng.random() < 0.03:
                    fields += [b"g%d" % i for i in range(150)]
                yield [b"HSET", key] + [w for field in fields for w in (field, rng.choice(TEXTS))]
            elif kind == "number":
                yield [b"SET", key, b"%d" % rng.randint(-1000, 1000)]
            else:
                yield [b"SET", key, rng.choice(TEXTS)]
        if rng.random() < 0.05:
            yield [b"SET", b"long%d" % rng.randrange(2), rng.randbytes(8) * 9_000]
        if rng.random() < 0.05:  # a value in pieces
            key = b"%s%d" % (KEYS["hash"], rng.randrange(KEYS_OF_KIND))
            yield [b"HSET", key, rng.choice(FIELDS), rng.randbytes(8) * rng.randint(8_000, 9_000)]

    def _kind(self, row):
        if row.group == "hash":
            return "hash"
        if row.group in ("string", "bitmap"):
            return "number" if "cr" in row.name else "string"
        return self.rng.choice(("string", "number", "hash", "any"))

    def _argument(self, row, argument, kind, words, types):
        rng = self.rng
        if argument.optional and rng.random() < 0.55:
            return
        for turn in range(rng.choice((1, 1, 2, 3)) if argument.multiple else 1):
            if argument.token and (turn == 0 or argument.multiple_token):
                words.append(argument.token if rng.random() < 0.9 else argument.token.lower())
                types.append("token")
            if argument.type == "pure-token":
                continue
            if argument.type == "oneof":
                self._argument(row, rng.choice(argument.parts), kind, words, types)
            elif argument.type == "block":
                for part in argument.parts:
                    self._argument(row, part, kind, words, types)
            else:
                words.append(self._value(row, argument, kind))
                types.append(argument.type)

    def _value(self, row, argument, kind):
        rng = self.rng
        name, type_ = argument.name, argument.type
        if type_ == "key" or name in ("key", "newkey", "destkey", "source", "destination"):
            return self.key(kind)
        if name in ("seconds", "milliseconds"):
            unit = 1000 if name == "milliseconds" else 1
            return b"%d" % rng.choice((0, -1, -100) if rng.random() < 0.1 else
                                      (unit * rng.randrange(1_000_000, 900_000_000),))
        if type_ == "unix-time" or name.startswith("unix-time"):
            unit = 1000 if "milli" in name else 1
            return b"%d" % rng.choice((0, 1, -5) if rng.random() < 0.1 else
                                      (unit * (self.far + rng.randrange(900_000_000)),))
        if name == "value" and row.group == "bitmap" and rng.random() < 0.8:
            return rng.choice((b"0", b"1"))
        if BY_NAME.get(name):
            return rng.choice(BY_NAME[name])
        if name == "offset":
            mark = b"#" if row.name.startswith("bitfield") else b""
            return rng.choice((b"%d" % rng.randrange(300), b"%d" % rng.randrange(9_000),
                               mark + b"%d" % rng.randrange(9)))
        if type_ == "integer":
            return b"%d" % rng.choice(SMALL)
        if type_ == "double":
            return rng.choice((b"1.5", b"-0.1", b"3", b"1e2", b"0.1", b"-7", b"1e-3"))
        if type_ == "pattern":
            return rng.choice(PATTERNS)
        return rng.choice(TEXTS)

    def _tamed(self, row, words):
        """Moves away what would expire during the run or make a giant of a value."""
        for at in range(1, len(words)):
            before = words[at - 1].upper()
            if before in (b"EX", b"PX") or (row.name in SOON_AT_2 and at == 2):
                if _number(words[at], 1, 100_000_000):
                    words[at] = b"%d" % self.rng.randrange(1_000_000_000, 2_000_000_000)
            # SET lets a key be that has expired already; DBSIZE then depends on when it is swept.
            if row.name == "set" and before in (b"EXAT", b"PXAT"):
                far = self.far * (1000 if before == b"PXAT" else 1)
                if _number(words[at], 1, far):
                    words[at] = b"%d" % far
            if row.name in ("setrange", "setbit", "bitfield"):
                if _number(words[at].lstrip(b"#"), 20_000, 1 << 33):
                    words[at] = b"20"
        return words


def _number(word, least, most):
    try:
        return least <= int(word) <= most
    except ValueError:
        return False


# Commands that are asked of strings past 64 KiB too, which are kept in pieces. Not LCS: it needs
# memory for the product of the lengths.
ON_LONG = {"append", "setrange", "getrange", "substr", "setbit", "getbit", "bitcount", "bitpos",
           "bitfield", "bitfield_ro", "strlen", "get", "getex", "getdel", "del", "expireat",
           "persist", "type", "exists"}
# Bits or bytes: the unit of the offset behind the key, for offsets near 64 KiB.
ON_LONG_AT = {"setrange": 1, "getrange": 1, "substr": 1, "setbit": 8, "getbit": 8}
SOON_AT_2 = {"expire", "pexpire", "setex", "psetex"}
# They take everything away or answer with a book: seldom enough that there is something to take,
# and time for the others.
RARE = {"command": 0.1, "command|docs": 0.12, "command|info": 0.3, "command|list": 0.6, "info": 0.3,
        "memory|stats": 0.4, "lolwut": 0.4, "object|help": 0.4,
        "flushall": 0.35, "flushdb": 0.35, "swapdb": 0.6, "reset": 0.4, "multi": 2.0,
        "exec": 0.7, "discard": 0.4, "hgetall": 1.5}
