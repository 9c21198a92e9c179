"""Bits and bitfields, as Redis answers to the byte."""

# e2e: measures no time

import os
import random
import unittest

import harness
from test_strings import compare_rows

OFFSETS = ("0", "1", "7", "8", "100", "-1", "x", "", "#1", "4294967295", "4294967296", "524288",
           "9223372036854775807", "-9223372036854775808", "01", " 1")
VALUES = (None, b"", b"\x00", b"\xff", b"\x00\xff\x00", b"\xff\xff\xff", b"foobar",
          b"\x00" * 30, b"\xff" * 30, b"\xff\xf0\x00" * 9, b"\x00\x00\x01" * 11)
PLACES = ("0", "1", "2", "5", "8", "9", "30", "-1", "-2", "-8", "-9", "-100", "100", "x",
          "9223372036854775807", "-9223372036854775808")


class Bits(harness.PairTest):
    def put(self, key, value):
        self.same("DEL", key)
        if value is not None:
            self.same("SET", key, value)

    def test_setbit_and_getbit(self):
        for offset in OFFSETS:
            for bit in ("0", "1", "2", "-1", "x", "", "00", "9223372036854775808"):
                for value in (None, b"", b"\xa5"):
                    self.put("k", value)
                    self.same("SETBIT", "k", offset, bit)
                    self.same("STRLEN", "k")
                    self.same("GETBIT", "k", offset)
                    self.same("GETRANGE", "k", 0, 20)
                    self.same("EXISTS", "k")

    def test_bitcount_of_every_range(self):
        for value in VALUES:
            self.put("k", value)
            self.same("BITCOUNT", "k")
            self.same("BITCOUNT", "k", "0")
            self.same("BITCOUNT", "k", "0", "1", "BYTE", "x")
            for first in PLACES:
                for last in PLACES:
                    self.same("BITCOUNT", "k", first, last)
                    for unit in ("BIT", "byte", "junk"):
                        self.same("BITCOUNT", "k", first, last, unit)

    def test_bitpos_of_every_range(self):
        for value in VALUES:
            self.put("k", value)
            for bit in ("0", "1"):
                self.same("BITPOS", "k", bit)
                self.same("BITPOS", "k", bit, "0", "1", "BYTE", "x")
                for first in PLACES:
                    self.same("BITPOS", "k", bit, first)
                    for last in PLACES:
                        self.same("BITPOS", "k", bit, first, last)
                        for unit in ("bit", "BYTE", "junk"):
                            self.same("BITPOS", "k", bit, first, last, unit)
            for bit in ("2", "-1", "x", "", "junk"):
                self.same("BITPOS", "k", bit)
                self.same("BITPOS", "k", bit, "x", "y", "z")

    def test_bitop_of_every_kind(self):
        texts = [value for value in VALUES if value != b""] + [b"x" * 100, b"\x55\xaa" * 3]
        for i, value in enumerate(texts):
            self.put("k%d" % i, value)
        keys = ["k%d" % i for i in range(len(texts))] + ["missing"]
        for operation in ("AND", "or", "XOR", "NOT", "junk", ""):
            for key in keys:
                self.same("BITOP", operation, "d", key)
                self.same("GET", "d")
                for other in keys:
                    self.same("BITOP", operation, "d", key, other)
                    self.same("GET", "d")
            self.same("BITOP", operation, "d", *keys)
            self.same("GET", "d")
            self.same("BITOP", operation, "d", "missing", "missing")
            self.same("EXISTS", "d")
        self.same("SET", "d", "v", "EX", 100)
        self.same("BITOP", "AND", "d", "d", "k1")
        self.same("TTL", "d")
        self.same("HSET", "h", "f", "v")
        self.same("BITOP", "OR", "d", "k1", "h", "missing")
        self.same("BITOP", "NOT", "h", "k3")
        self.same("TYPE", "h")
        self.same("HSET", "h2", "f", "v")
        self.same("BITOP", "OR", "h2", "missing")
        self.same("EXISTS", "h2")

    def test_bitop_of_random_texts(self):
        dice = random.Random(3)
        for _ in range(100):
            count = dice.randrange(1, 5)
            for i in range(count):
                self.same("SET", "k%d" % i, dice.randbytes(dice.choice((0, 1, 7, 8, 33, 5000, 80000))))
            keys = ["k%d" % i for i in range(count)]
            self.same("BITOP", dice.choice(("AND", "OR", "XOR")), "d", *keys)
            self.same("GET", "d")
            self.same("BITOP", "NOT", "d", "d")
            self.same("GET", "d")

    def test_wrong_types_and_counts(self):
        self.same("HSET", "h", "f", "v")
        for command in ("SETBIT h 0 1", "SETBIT h x 1", "SETBIT h 0 x", "GETBIT h 0", "BITCOUNT h",
                        "BITCOUNT h x y", "BITPOS h 1", "BITPOS h 2", "BITPOS h 1 x", "BITFIELD h",
                        "BITFIELD h GET u8 0", "BITFIELD h GET u99 0", "BITFIELD h SET u8 0 1",
                        "BITFIELD_RO h", "BITFIELD_RO h GET u8 0", "BITFIELD_RO h SET u8 0 1",
                        "BITFIELD_RO k SET u8 0 x", "BITFIELD k", "BITFIELD_RO k",
                        "BITFIELD h OVERFLOW SAT"):
            self.same(*command.split())
        for command in "SETBIT GETBIT BITCOUNT BITPOS BITOP BITFIELD BITFIELD_RO".split():
            for count in range(8):
                self.same(command, *["x"] * count)

    def test_bitfield_words(self):
        lines = ("GET", "GET u8", "GET u8 0", "get U8 0", "GET i64 0", "GET u64 0", "GET i65 0",
                 "GET u0 0", "GET 8 0", "GET u 0", "GET u08 0", "GET u8 #1", "GET u8 #", "GET u8 -1",
                 "GET u8 x", "SET u8 0", "SET u8 0 x", "SET u8 0 256", "SET u8 0 -1", "SET i8 0 -129",
                 "SET u8 4294967288 1", "SET u8 4294967296 1", "GET u63 4294967295",
                 "GET u8 #536870911", "GET u8 #536870912", "GET u8 #9223372036854775807",
                 "OVERFLOW", "OVERFLOW junk", "OVERFLOW WRAP", "OVERFLOW FAIL INCRBY u8 0 300",
                 "OVERFLOW fail INCRBY u8 0 300 GET u8 0 OVERFLOW sat INCRBY u8 0 300",
                 "OVERFLOW SAT INCRBY i5 3 -100 OVERFLOW WRAP INCRBY i5 3 -100",
                 "INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1", "junk", "SET u8 0 1 junk",
                 "SET u8 0 1 GET", "OVERFLOW FAIL SET u8 800 300", "SET i64 0 9223372036854775807",
                 "SET i64 0 -9223372036854775808 INCRBY i64 0 -1", "INCRBY u63 0 9223372036854775807",
                 "SET u63 0 -1", "SET u1 5 1 SET u1 5 0 SET u1 5 1", "SET i1 0 1", "SET i1 0 -1",
                 "GET u8 1000 SET u8 0 65")
        for value in (None, b"", b"\x00", b"\xff" * 20, b"The quick brown fox"):
            for line in lines:
                for command in ("BITFIELD", "BITFIELD_RO"):
                    self.put("k", value)
                    self.same(command, "k", *line.split())
                    self.same("STRLEN", "k")
                    self.same("GETRANGE", "k", 0, 200)
                    self.same("EXISTS", "k")

    def test_random_bitfields(self):
        seed = int(os.environ.get("SEED", "1"))
        dice = random.Random(seed)
        edges = [0, 1, -1, 2, 127, 128, 255, 256, -128, -129, (1 << 31), -(1 << 31), (1 << 62),
                 (1 << 63) - 1, -(1 << 63)]
        for turn in range(3000):
            if turn % 50 == 0:
                self.put("k", None if turn % 100 else dice.randbytes(dice.randrange(60)))
            words = []
            for _ in range(dice.randrange(1, 6)):
                signed = dice.random() < 0.5
                bits = dice.choice((1, 2, 5, 8, 16, 31, 32, 33, 62, 63, 64 if signed else 63))
                kind = ("i%d" if signed else "u%d") % bits
                offset = ("#%d" if dice.random() < 0.2 else "%d") % dice.randrange(60)
                if dice.random() < 0.3:
                    words += ["OVERFLOW", dice.choice(("WRAP", "SAT", "FAIL"))]
                operand = dice.choice(edges + [dice.randrange(-(1 << 63), 1 << 63)])
                what = dice.randrange(3)
                if what == 0:
                    words += ["GET", kind, offset]
                else:
                    words += [("SET", "INCRBY")[what - 1], kind, offset, operand]
            self.same("BITFIELD", "k", *words)
            self.same("GET", "k")

    def test_bits_of_long_values(self):
        size = 300000
        value = bytearray(size)
        value[200000] = 0x10
        self.same("SET", "k", bytes(value))
        for first in (0, 131072, 200000, 200001, -1, -100000):
            for bit in (0, 1):
                self.same("BITPOS", "k", bit, first)
                self.same("BITPOS", "k", bit, first, -1)
                self.same("BITPOS", "k", bit, first * 8 + 1, -1, "BIT")
            self.same("BITCOUNT", "k", first, -1)
            self.same("BITCOUNT", "k", first, 200000)
        self.same("SET", "k", b"\xff" * size)
        self.same("BITPOS", "k", 0)
        self.same("BITPOS", "k", 0, 5, -1)
        self.same("BITCOUNT", "k", 3, -3, "BIT")
        self.same("BITFIELD", "k", "SET", "u33", 131071, 5, "SET", "u63", 1048569, 9, "GET", "u16", 24,
                  "INCRBY", "i9", size * 8 - 3, 1)
        self.same("GET", "k")

    def test_the_farthest_bits(self):
        self.same("SETBIT", "k", 4294967295, 1)
        self.same("STRLEN", "k")
        self.same("BITFIELD", "k", "SET", "u63", 4294967295, 7)
        self.same("STRLEN", "k")
        self.same("GETRANGE", "k", -12, -1)
        self.same("BITCOUNT", "k", 536870000, -1)
        self.same("APPEND", "k", "x")
        self.same("DEL", "k")

    def test_what_the_table_says_is_what_redis_says(self):
        for command in "setbit getbit bitcount bitpos bitop bitfield bitfield_ro".split():
            compare_rows(self, command)


if __name__ == "__main__":
    unittest.main()
