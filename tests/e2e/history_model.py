"""An independent model of what a history of commands leaves, and of FIRN DIGEST at any of its moments.

What a command does is written down here a second time, from Redis's manual; the digest from its
definition (src/digest.hpp). The digest of a key is made anew only where the key has changed, so that a
moment costs what was written since the last one.

Keys whose names begin with `~` may come due while the history is made. Whether one is still there is
the server's clock's to say, so the history asks (EXISTS, in the same transaction) and tells the model.
At a moment they are kept apart: State.digest() decides by the time of the moment. All others expire in
a year, or never.
"""

from hashlib import sha1

DATABASES = 4
_STRING, _HASH = (0).to_bytes(4, "big"), (4).to_bytes(4, "big")


def _sum(data):
    return int.from_bytes(sha1(data).digest(), "big")


def _mix(digest, data):
    return _sum((digest ^ _sum(data)).to_bytes(20, "big"))


_EXPIRES = _sum(b"!!expire!!")


def is_brief(name):
    return name[:1] == b"~"


class Value:
    """A string (bytearray) or a hash (dict); `elements` is what the fields of a hash add up to."""

    __slots__ = ("content", "elements", "at")

    def __init__(self, content, elements=0, at=None):
        self.content, self.elements, self.at = content, elements, at

    def copy(self):
        return Value(self.content.copy(), self.elements, self.at)

    def is_hash(self):
        return isinstance(self.content, dict)

    def key_digest(self, name):
        digest = _mix(_mix(0, name), _HASH if self.is_hash() else _STRING)
        digest = digest ^ self.elements if self.is_hash() else _mix(digest, self.content)
        if self.at is not None:
            digest ^= _EXPIRES ^ _sum(b"%d" % self.at)
        return _sum(digest.to_bytes(20, "big"))


def _element(field, value):
    return _sum(_mix(_mix(0, field), value).to_bytes(20, "big"))


class Space:
    """One database. `total` is the sum of `sums`; what is in `changed` is not right there yet."""

    def __init__(self):
        self.keys, self.brief = {}, {}
        self.sums, self.total, self.changed = {}, 0, set()

    def of(self, name):
        return self.brief if is_brief(name) else self.keys

    def settle(self):
        for name in self.changed:
            self.total ^= self.sums.pop(name, 0)
            value = self.keys.get(name)
            if value is not None:
                self.sums[name] = value.key_digest(name)
                self.total ^= self.sums[name]
        self.changed.clear()


class State:
    """What there was at a moment."""

    def __init__(self, spaces):
        self.spaces = []
        for space in spaces:
            space.settle()
            brief = [(value.at, value.key_digest(name)) for name, value in space.brief.items()]
            self.spaces.append((bool(space.keys), space.total, brief))

    def digest(self, now_ms):
        store = 0
        for number, (any_keys, total, brief) in enumerate(self.spaces):
            alive = [digest for at, digest in brief if at is None or at > now_ms]
            if any_keys or alive:
                store = _mix(store, number.to_bytes(4, "big")) ^ total
                for digest in alive:
                    store ^= digest
        return "%040x" % store

    def times(self):
        return {at for _, _, brief in self.spaces for at, _ in brief if at is not None}


class WrongType(Exception):
    pass


class NoKey(Exception):
    pass


class Model:
    """apply() does what the command does, and says whether its reply is an error."""

    def __init__(self):
        self.spaces = [Space() for _ in range(DATABASES)]
        self.database = 0
        self._verbs = {name.encode(): getattr(self, "_" + name.lower()) for name in (
            "SET", "MSET", "DEL", "APPEND", "SETRANGE", "GETDEL", "INCRBY", "HSET", "HDEL", "HINCRBY",
            "RENAME", "COPY", "MOVE", "PEXPIREAT", "PERSIST", "FLUSHDB", "FLUSHALL", "SWAPDB", "SELECT")}

    def apply(self, words):
        try:
            self._verbs[words[0]](*words[1:])
        except (WrongType, NoKey):
            return True
        return False

    def state(self):
        return State(self.spaces)

    def has(self, name):
        return name in self._space().of(name)

    def expiry(self, name):
        return self._space().of(name)[name].at

    def forget(self, name):
        """A brief key's time has come."""
        del self._space().brief[name]

    def _space(self):
        return self.spaces[self.database]

    def _put(self, name, value, space=None):
        space = space or self._space()
        if is_brief(name):
            space.brief[name] = value
        else:
            space.keys[name] = value
            space.changed.add(name)

    def _take(self, name, space=None):
        space = space or self._space()
        space.changed.add(name)
        return space.of(name).pop(name, None)

    def _change(self, name, kind, new):
        """The value to be changed in place; a new one where there is none and `new` is asked for."""
        space = self._space()
        value = space.of(name).get(name)
        if value is None and new:
            value = Value(kind())
            space.of(name)[name] = value
        elif value is not None and not isinstance(value.content, kind):
            raise WrongType
        space.changed.add(name)
        return value

    def _set(self, name, content, *more):
        before = self._space().of(name).get(name)
        at = None
        if more and more[0] == b"PXAT":
            at = int(more[1])
        elif more and before is not None:  # KEEPTTL
            at = before.at
        self._put(name, Value(bytearray(content), at=at))

    def _mset(self, *pairs):
        for name, content in zip(pairs[::2], pairs[1::2]):
            self._set(name, content)

    def _del(self, *names):
        for name in names:
            self._take(name)

    def _append(self, name, more):
        self._change(name, bytearray, True).content.extend(more)

    def _setrange(self, name, offset, piece):
        content, offset = self._change(name, bytearray, True).content, int(offset)
        content.extend(bytes(max(0, offset - len(content))))
        content[offset:offset + len(piece)] = piece

    def _getdel(self, name):
        if self._change(name, bytearray, False) is not None:
            self._take(name)

    def _incrby(self, name, more):
        value = self._change(name, bytearray, True)
        value.content = bytearray(b"%d" % (int(value.content or b"0") + int(more)))

    def _hset(self, name, *pairs):
        value = self._change(name, dict, True)
        for field, content in zip(pairs[::2], pairs[1::2]):
            before = value.content.get(field)
            if before is not None:
                value.elements ^= _element(field, before)
            value.content[field] = content
            value.elements ^= _element(field, content)

    def _hdel(self, name, *fields):
        value = self._change(name, dict, False)
        for field in fields if value else ():
            before = value.content.pop(field, None)
            if before is not None:
                value.elements ^= _element(field, before)
        if value and not value.content:
            self._take(name)

    def _hincrby(self, name, field, more):
        value = self._change(name, dict, True)
        self._hset(name, field, b"%d" % (int(value.content.get(field, b"0")) + int(more)))

    def _rename(self, source, target):
        value = self._take(source)
        if value is None:
            raise NoKey
        self._take(target)
        self._put(target, value)

    def _copy(self, source, target, *_):  # REPLACE
        value = self._space().of(source).get(source)
        if value is not None:
            self._put(target, value.copy())

    def _move(self, name, database):
        target = self.spaces[int(database)]
        if name in self._space().of(name) and name not in target.of(name):
            self._put(name, self._take(name), target)

    def _pexpireat(self, name, at):
        value = self._space().of(name).get(name)
        if value is not None:
            value.at = int(at)
            self._space().changed.add(name)

    def _persist(self, name):
        value = self._space().of(name).get(name)
        if value is not None:
            value.at = None
            self._space().changed.add(name)

    def _flushdb(self):
        self.spaces[self.database] = Space()

    def _flushall(self):
        self.spaces = [Space() for _ in range(DATABASES)]

    def _swapdb(self, one, other):
        one, other = int(one), int(other)
        self.spaces[one], self.spaces[other] = self.spaces[other], self.spaces[one]

    def _select(self, database):
        self.database = int(database)
