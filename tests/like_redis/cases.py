"""What is played to this store and to Redis: scripts, and what is wanted of them.

Law: a script is told in one of four ways. `same`: both reply alike. `alike`: in type only, as
the values are each server's own. `since`: as Redis does from some version on. A `Difference`:
they differ, for a reason that the README gives. Nothing else is allowed, so that no
difference goes unnoticed.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .replies import View

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')


@dataclass(frozen=True)
class Case:
    """One script, played on a connection of its own to servers without keys.

    * `script`: commands with `; ` between them, or bytes to be sent as they are.
    * `reason`: why the replies differ from those of Redis.
    * `in_cluster`: it is played to a Redis in cluster mode, which is one node with all slots.
    * `replies`: what is wanted, as text; `version` is the first Redis that gives them.
    """

    script: str | bytes
    view: View = View.VALUES
    reason: str = ""
    version: str = ""
    replies: str = ""
    in_cluster: bool = False

    @property
    def data(self) -> bytes:
        """What is sent."""
        if isinstance(self.script, bytes):
            return self.script
        return b"".join(_encoded(command) for command in self.script.split("; "))

    def __str__(self) -> str:
        text = self.script if isinstance(self.script, str) else repr(self.script)[1:]
        text = re.sub(r"(.)\1{50,}", lambda run: f"{run[1]}{{{len(run[0])}}}", text)
        text = text if len(text) < 90 else f"{text[:60]}...{len(text)}"
        return f"{text} in a cluster" if self.in_cluster else text


def _encoded(command: str) -> bytes:
    words = [
        bare.encode() if bare else _unescaped(quoted) for quoted, bare in _WORD.findall(command)
    ]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)


def same(*scripts: str | bytes, view: View = View.VALUES) -> list[Case]:
    """Both reply alike."""
    return [Case(script, view) for script in _each(scripts)]


def same_bytes(text: str) -> list[Case]:
    """Both reply alike to each of these bytes, written with escapes."""
    return same(*sent(text))


def alike(*scripts: str | bytes) -> list[Case]:
    """Both reply with the same types, each with values of its own."""
    return same(*scripts, view=View.SHAPES)


def same_in_cluster(*scripts: str, view: View = View.VALUES) -> list[Case]:
    """This store and a Redis in cluster mode reply alike."""
    return [Case(script, view, in_cluster=True) for script in _each(scripts)]


def since(version: str, wanted: Mapping[str, str]) -> list[Case]:
    """This store replies as Redis does since `version`: an older one is not asked."""
    return [Case(script, version=version, replies=replies) for script, replies in wanted.items()]


@dataclass(frozen=True)
class Difference:
    """Why this store replies differently, as the README says it."""

    reason: str

    def shown_by(self, *scripts: str | bytes, view: View = View.VALUES) -> list[Case]:
        """They reply differently to each of these."""
        return [Case(script, view, self.reason) for script in _each(scripts)]


def _each(scripts: Iterable[str | bytes]) -> Iterator[str | bytes]:
    for script in scripts:
        if isinstance(script, bytes):
            yield script
        else:
            yield from parts(script)


def parts(text: str) -> list[str]:
    """What stands in lines, and with ` | ` between that of one line."""
    return [part.strip() for part in re.split(r" \| |\n", text) if part.strip()]


def sent(text: str) -> list[bytes]:
    """The parts of a text, as bytes that are written with escapes."""
    return [_unescaped(part) for part in parts(text)]


def _unescaped(text: str) -> bytes:
    return codecs.escape_decode(text)[0]  # type: ignore[attr-defined,no-any-return]
