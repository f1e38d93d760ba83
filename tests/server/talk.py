"""One client's whole conversation, with the replies that a simple model of the server gives.

Law: the client has keys of its own, so what it must be told follows from what it said
alone, however the bytes are cut, whoever else is served, and whatever has to wait.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from kvstore import api
from kvstore.wire import resp, typed
from kvstore.wire.commands import COMMANDS

VALUE_BYTES_MAX = 2_000
REQUEST_BYTES_MAX = 20_000
_NO_INTEGER = b"-ERR value is not an integer"
_READS = (b"GET", b"MGET", b"EXISTS", b"STRLEN")
_DATA = (*COMMANDS, b"KV", b"SCAN")
"""What is refused after a MULTI."""
_WORD = re.compile(rb"[a-z0-9:]+", re.IGNORECASE)

Expected: TypeAlias = bytes | bool | list[bytes | None]
"""A reply; the beginning of an error; whether a typed put wrote; the values of a typed get."""


class Wanted(NamedTuple):
    """The reply to a request; a read may be refused as BUSY instead."""

    reply: Expected
    is_read: bool = False


Said: TypeAlias = tuple[tuple[bytes, ...], Callable[[], Expected]]
"""The words of a request, and what it does and is told if it is not refused before."""


class Talk:
    """What one client sends, at random, and the replies that it must get.

    * `expected` are the replies to all of `sent`, in order.
    """

    def __init__(self, rng: random.Random, own: bytes, session_number: int) -> None:
        self._rng = rng
        self._keys = [own + b":%d" % n for n in range(4)]
        self._number = session_number
        self._values: dict[bytes, bytes] = {}
        self._version = 2
        self._name = b""
        self._refuses = False
        """After a MULTI."""
        self.sent = b""
        self.expected: list[Wanted] = []
        requests: list[Callable[[], Said]] = [
            *(self._get, self._put, self._put_if, self._delete, self._exists, self._get_many),
            *(self._put_many, self._increment, self._length, self._echo, self._hello),
            *(self._bad_hello, self._client, self._transaction, self._mistake, self._typed_get),
            *(self._typed_put, self._get, self._put),
        ]
        for _ in range(rng.randrange(1, 60)):
            if rng.random() < 0.1:
                self._say_what_is_dropped()
            else:
                self._say(*rng.choice(requests)())
        self._end()

    def _say(self, words: tuple[bytes, ...], told: Callable[[], Expected]) -> None:
        name = words[0]
        self.sent += self._encoded(words)
        if self._refuses and name in _DATA:
            self.expected.append(Wanted(b"-ERR MULTI is not supported"))
            return
        reply = told()
        self.expected.append(Wanted(reply, name in _READS or isinstance(reply, list)))

    def _encoded(self, words: tuple[bytes, ...]) -> bytes:
        name = self._rng.choice((words[0], words[0].lower()))
        if all(map(_WORD.fullmatch, words)) and self._rng.random() < 0.2:
            return b" ".join((name, *words[1:])) + b"\r\n"
        return resp.command(name, *words[1:])

    def _say_what_is_dropped(self) -> None:
        """Nothing at all, or what is refused as it comes in: for that, no MULTI counts."""
        long = bytes(VALUE_BYTES_MAX * 2)
        sent, told = self._rng.choice(
            (
                (b"*0\r\n", None),
                (b"\r\n", None),
                (resp.command(b"ECHO", bytes(9_000)), b"-ERR value has 9000 bytes"),
                (resp.command(b"MSET", *[self._keys[0], long] * 6), b"-ERR the request has 2"),
            )
        )
        self.sent += sent
        if told is not None:
            self.expected.append(Wanted(told))

    def _end(self) -> None:
        end = self._rng.randrange(4)
        if end == 0:
            self._say((b"QUIT",), lambda: resp.OK)
            self.sent += resp.command(b"PING")
        elif end == 1:
            self.sent += b"*1\r\n$x\r\n" + resp.command(b"PING")
            self.expected.append(Wanted(b"-ERR Protocol error"))
        elif end == 2:
            self.sent += b"*2\r\n$4\r\nECHO\r\n$10\r\nhalf"

    # --- Data -------------------------------------------------------------------------------

    def _key(self) -> bytes:
        return self._rng.choice(self._keys)

    def _some_keys(self, most: int = 5) -> list[bytes]:
        return [self._key() for _ in range(self._rng.randrange(1, most))]

    def _value(self) -> bytes:
        number = b"%d" % self._rng.randrange(-9, 99)
        return self._rng.choice((b"", b"a\r\nb", number, number, self._rng.randbytes(1_500)))

    def _found(self, key: bytes) -> bytes:
        value = self._values.get(key)
        return resp.null(self._version) if value is None else resp.bulk(value)

    def _get(self) -> Said:
        key = self._key()
        return (b"GET", key), lambda: self._found(key)

    def _put(self) -> Said:
        key, value = self._key(), self._value()

        def told() -> bytes:
            self._values[key] = value
            return resp.OK

        return (b"SET", key, value), told

    def _put_if(self) -> Said:
        key, value, expected = self._key(), self._value(), self._value()
        option = self._rng.choice(((b"NX",), (b"XX",), (b"IFEQ", expected), ()))
        gets = self._rng.choice(((), (b"GET",)))

        def told() -> bytes:
            found, old = self._found(key), self._values.get(key)
            holds = {
                (b"NX",): old is None,
                (b"XX",): old is not None,
                (b"IFEQ", expected): old == expected,
                (): True,
            }[option]
            if holds:
                self._values[key] = value
            written = resp.OK if holds else resp.null(self._version)
            return found if gets else written

        return (b"SET", key, value, *option, *gets), told

    def _delete(self) -> Said:
        keys = self._some_keys()
        return (b"DEL", *keys), lambda: resp.integer(
            sum(self._values.pop(key, None) is not None for key in keys)
        )

    def _exists(self) -> Said:
        keys = self._some_keys()
        return (b"EXISTS", *keys), lambda: resp.integer(sum(key in self._values for key in keys))

    def _get_many(self) -> Said:
        keys = self._some_keys(most=self._rng.choice((5, 90)))
        return (b"MGET", *keys), lambda: resp.array([*map(self._found, keys)])

    def _put_many(self) -> Said:
        pairs = [(key, self._value()) for key in self._some_keys(most=4)]

        def told() -> bytes:
            if sum(len(key) + len(value) for key, value in pairs) > VALUE_BYTES_MAX:
                return b"-ERR the pairs have"
            self._values.update(pairs)
            return resp.OK

        return (b"MSET", *(word for pair in pairs for word in pair)), told

    def _increment(self) -> Said:
        key, by = self._key(), self._rng.randrange(-5, 5)

        def told() -> bytes:
            old = api.parse_integer(self._values.get(key, b"0"))
            if old is None:
                return _NO_INTEGER
            self._values[key] = b"%d" % (old + by)
            return resp.integer(old + by)

        return (b"INCRBY", key, b"%d" % by), told

    def _length(self) -> Said:
        key = self._key()
        return (b"STRLEN", key), lambda: resp.integer(len(self._values.get(key, b"")))

    def _typed_get(self) -> Said:
        keys = self._some_keys()
        call = typed.encode_call(api.Call(api.Get(tuple(keys))))
        return self._words(call), lambda: [self._values.get(key) for key in keys]

    def _typed_put(self) -> Said:
        put = api.Put(self._key(), self._value(), api.When.ABSENT)

        def told() -> bool:
            is_absent = put.key not in self._values
            self._values.setdefault(put.key, put.value)
            return is_absent

        return self._words(typed.encode_call(api.Call(put))), told

    @staticmethod
    def _words(frame: bytes) -> tuple[bytes, ...]:
        parser = resp.RequestParser(resp.Bounds(9, REQUEST_BYTES_MAX, REQUEST_BYTES_MAX, b""))
        parser.feed(frame)
        words = parser.next_command()
        assert words is not None
        return tuple(words)

    # --- The connection ---------------------------------------------------------------------

    def _echo(self) -> Said:
        text = self._rng.choice((b"a", self._rng.randbytes(4_000)))
        return (b"ECHO", text), lambda: resp.bulk(text)

    def _hello(self) -> Said:
        version = self._rng.choice((2, 3))

        def told() -> bytes:
            self._version = version
            facts = {b"server": b"kvstore", b"version": b"7.4.0", b"proto": version}
            facts |= {b"id": self._number, b"mode": b"standalone", b"role": b"master"}
            pairs = [
                (resp.bulk(k), resp.integer(v) if isinstance(v, int) else resp.bulk(v))
                for k, v in facts.items()
            ]
            return resp.mapping([*pairs, (resp.bulk(b"modules"), resp.array([]))], version)

        return (b"HELLO", b"%d" % version), told

    def _bad_hello(self) -> Said:
        named = self._rng.choice(((), (b"SETNAME", b"never")))
        bad, told = self._rng.choice(
            (
                ((b"AUTH", b"user", b"secret"), b"-ERR this server has no users"),
                ((b"NONSENSE",), b"-ERR Syntax error in HELLO"),
                ((b"SETNAME", b"a b"), b"-ERR Client names"),
            )
        )
        version = self._rng.choice((b"2", b"3"))
        return (b"HELLO", version, *named, *bad), lambda: told

    def _client(self) -> Said:
        name = self._rng.choice((b"", b"worker", b"a b"))

        def told() -> bytes:
            if b" " in name:
                return b"-ERR Client names"
            self._name = name
            return resp.OK

        def name_or_null() -> bytes:
            return resp.bulk(self._name) if self._name else resp.null(self._version)

        return self._rng.choice(
            (
                ((b"CLIENT", b"SETNAME", name), told),
                ((b"CLIENT", b"GETNAME"), name_or_null),
                ((b"CLIENT", b"ID"), lambda: resp.integer(self._number)),
            )
        )

    def _transaction(self) -> Said:
        def begins() -> bytes:
            self._refuses = True
            return b"-ERR MULTI is not supported"

        def ends(done: bytes) -> bytes:
            was_refused, self._refuses = self._refuses, False
            return done if was_refused else b"-ERR "

        return self._rng.choice(
            (
                ((b"MULTI",), begins),
                ((b"EXEC",), lambda: ends(b"-EXECABORT nothing was done")),
                ((b"DISCARD",), lambda: ends(resp.OK)),
                ((b"EXEC",), lambda: ends(b"-EXECABORT nothing was done")),
            )
        )

    def _mistake(self) -> Said:
        key = self._key()
        words, told = self._rng.choice(
            (
                ((b"NOSUCH", key), b"-ERR unknown command"),
                ((b"GET",), b"-ERR wrong number of arguments"),
                ((b"SET", key, b"v", b"EX", b"5"), b"-ERR EX is not supported"),
                ((b"SET", key, bytes(VALUE_BYTES_MAX + 1)), b"-ERR value has 2001 bytes"),
                ((b"SET", b"k" * 481, b"v"), b"-ERR key has 481 bytes"),
                ((b"INCRBY", key, b"x"), _NO_INTEGER),
                ((b"SELECT", b"1"), b"-ERR DB index"),
                ((b"RAFT", b"HELLO", b"x"), b"-ERR "),
                ((b"SCAN", b"x"), b"-ERR invalid cursor"),
            )
        )
        return words, lambda: told


# --- Replies ------------------------------------------------------------------------------


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole replies, and what is left."""
    replies, position = [], 0
    while (end := _end_of(data, position)) is not None:
        replies.append(data[position:end])
        position = end
    return replies, data[position:]


def _end_of(data: bytes, position: int) -> int | None:
    """Where the reply ends that begins there, None if it is not whole."""
    line = data.find(b"\r\n", position)
    if line < 0:
        return None
    kind, end = data[position : position + 1], line + 2
    if kind in (b"+", b"-", b":", b"_"):
        return end
    size = int(data[position + 1 : line])
    if kind == b"$":
        end += max(size, 0) + 2 * (size >= 0)
        return end if end <= len(data) else None
    for _ in range(max(size, 0) * (2 if kind == b"%" else 1)):
        inner = _end_of(data, end)
        if inner is None:
            return None
        end = inner
    return end


def agrees(reply: bytes, wanted: Wanted) -> bool:
    """Whether a reply is the one that was wanted."""
    expected = wanted.reply
    if isinstance(expected, bytes):
        is_busy = wanted.is_read and reply.startswith(b"-BUSY ")
        is_same = reply.startswith(expected) if expected[:1] == b"-" else reply == expected
        return is_busy or is_same
    result = typed.decode_reply(reply.split(b"\r\n", 1)[1][:-2]).result
    if isinstance(result, api.Failure):
        return wanted.is_read and result.code is api.FailureCode.BUSY
    if isinstance(expected, bool):
        return isinstance(result, api.PutResult) and result.written is expected
    assert isinstance(result, api.GetResult)
    return [item and item.value for item in result.items] == expected
