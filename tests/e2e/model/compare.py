"""Compares one reply with the other under the rules of differences.py."""

import re
import time

import harness
from model import differences, wire

CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def same(row, words, ours, theirs, listed):
    """Whether the reply is Redis's. `listed`: the reply to the row's listing, for random choices.

    row None: a command of our own making, whose elements may come in any order."""
    if ours == theirs:
        return True
    if ours[:1] == b"-" or theirs[:1] == b"-":
        return _errors(words, ours, theirs)
    if row is None:
        return ours[:1] == theirs[:1] and _multiset(ours, "") == _multiset(theirs, "")
    name = row.name
    if name in differences.OWN_CONTENT or name.endswith(differences.OWN_CONTENT_SUFFIXES):
        return ours[:1] == theirs[:1]
    if (ours, theirs) in differences.ENCODINGS and name == "object|encoding":
        return True
    if name in differences.CLOCKED:
        return _clocked(name, ours, theirs)
    if name in differences.UNORDERED:
        return ours[:1] == theirs[:1] and _multiset(ours, name) == _multiset(theirs, name)
    if name in differences.SCANS:
        return _scan(words, ours, theirs)
    if name in differences.RANDOM:
        return _random(name, ours, theirs, listed)
    return False


def _errors(words, ours, theirs):
    """Control characters of the command are not echoed as they came."""
    if ours[:1] != theirs[:1] or not any(CONTROL.search(word) for word in words):
        return False
    return ours.split(b"'")[0] == theirs.split(b"'")[0]


def _clocked(name, ours, theirs):
    if ours[:1] != b":" or theirs[:1] != b":":
        return False
    ours, theirs = int(ours[1:]), int(theirs[1:])
    if ours < 0 or theirs < 0:
        return False
    limit = differences.EXPIRY_MS_MAX
    if name in ("ttl", "pttl"):
        limit -= int(time.time() * 1000)
    theirs = min(theirs, limit // differences.CLOCKED[name])
    return abs(ours - theirs) * differences.CLOCKED[name] <= differences.CLOCK_MS_MAX


def _multiset(reply, name):
    found = wire.elements(reply)
    if found is None:
        return reply
    if name == "hgetall":
        found = list(zip(found[::2], found[1::2]))
    return sorted(found)


def _scan(words, ours, theirs):
    ours, theirs = wire.elements(ours), wire.elements(theirs)
    if ours is None or theirs is None or len(ours) != len(theirs):
        return False
    # Only a scan that both began and ended at once has seen everything.
    whole = words[-1 if words[0].upper() == b"SCAN" and len(words) == 2 else 1]
    cursor = words[2] if words[0].upper() == b"HSCAN" else whole
    if ours[0] == theirs[0] == b"$1\r\n0\r\n" and cursor == b"0":
        return sorted(wire.elements(ours[1])) == sorted(wire.elements(theirs[1]))
    return ours[1][:1] == theirs[1][:1]


def _random(name, ours, theirs, listed):
    """`listed` is the reply to the same listing on our server, just before."""
    if ours[:1] != theirs[:1] or not listed:
        return ours[:1] == theirs[:1]
    found, expected = wire.elements(ours), wire.elements(theirs)
    if found is None:
        return ours in (wire.elements(listed) or [])
    if len(found) != len(expected):
        return False
    known = harness.parse(listed)
    if not isinstance(known, dict):
        known = dict(zip(known[::2], known[1::2]))
    values = harness.parse(ours)
    flat = []
    for value in values:  # RESP3 gives pairs, RESP2 a flat list
        flat.extend(value) if isinstance(value, list) else flat.append(value)
    if any(isinstance(value, list) for value in values):
        return all(known.get(k) == v for k, v in zip(flat[::2], flat[1::2]))
    fields_only = all(value in known for value in flat)
    return fields_only or all(known.get(k) == v for k, v in zip(flat[::2], flat[1::2]))
