"""What a program asked of the file system, as strace saw it, in the order it was done.

Law: nothing is left out that could differ after a power cut: every change of a name,
every change of a file, and every sync, those of the engine below Python too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_SYNCS = ("fsync", "fdatasync")
_WRITES = ("write", "writev", "pwrite64", "pwritev", "pwritev2")
_CALLS = (
    *("open", "openat", "creat", "mkdir", "mkdirat", "link", "linkat", "symlink", "symlinkat"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir"),
    *("lseek", "truncate", "ftruncate", "fallocate", "copy_file_range", "sendfile"),
    *("msync", "sync", "syncfs", "sync_file_range", *_SYNCS, *_WRITES),
)
_LINE = re.compile(r"\d+ +(\w+)\((.*)\) += (-?\d+)(.*)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_PATH = re.compile(r'(?:(?:\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>, )?"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR = re.compile(r"\d+<((?:\\x[0-9a-f]{2})*)>")
_NUMBER = re.compile(r", (\d+)(?=,|$)")


@dataclass(frozen=True)
class Made:
    """A name that was not there: of a new directory, or of a file (which `open` may find there)."""

    path: str
    is_directory: bool


@dataclass(frozen=True)
class Linked:
    """A second name."""

    old: str
    new: str


@dataclass(frozen=True)
class Renamed:
    """A name that became another one, in whose place something may have been."""

    old: str
    new: str


@dataclass(frozen=True)
class Removed:
    """A name that is gone."""

    path: str


@dataclass(frozen=True)
class Wrote:
    """Bytes of a file; `is_durable`: the call returned when the disk had them."""

    path: str
    offset: int
    data: bytes
    is_durable: bool


@dataclass(frozen=True)
class Resized:
    """A file was given another length."""

    path: str
    size: int
    only_grows: bool


@dataclass(frozen=True)
class Synced:
    """A file or a directory was made durable as it was."""

    path: str


@dataclass(frozen=True)
class Said:
    """A line on standard output: what the program holds to be durable by then."""

    line: str


Call = Made | Linked | Renamed | Removed | Wrote | Resized | Synced | Said


def record(program: Path, *arguments: str, trace: Path) -> list[Call]:
    """Run a Python program that has one thread to its end, and tell what it did."""
    options = ["-y", "-f", "-xx", "-s", "4000000", "-e", f"trace={','.join(_CALLS)}"]
    command = [sys.executable, "-B", str(program), *arguments]
    done = subprocess.run(
        ["strace", *options, "-o", str(trace), *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with trace.open() as lines:
        calls = list(_Reader().read(lines))
    trace.unlink()
    return calls


class _Reader:
    """Follows descriptors from call to call."""

    def __init__(self) -> None:
        self._durable: set[str] = set()
        self._positions: dict[str, int] = {}

    def read(self, lines: Iterable[str]) -> Iterator[Call]:
        for line in lines:
            match = _LINE.match(line)
            if match is None or int(match[3]) < 0:
                continue
            name, arguments, result, rest = match.groups()
            if name in ("open", "openat", "creat"):
                yield from self._opened(arguments, f"{result}{rest.strip()}")
            elif name == "lseek":
                self._positions[_descriptor(arguments)] = int(result)
            elif name in _WRITES:
                yield from self._wrote(name, arguments, int(result))
            else:
                yield from _changed(name, arguments)

    def _opened(self, arguments: str, descriptor: str) -> Iterator[Call]:
        is_durable = re.search(r"O_D?SYNC", arguments) is not None
        (self._durable.add if is_durable else self._durable.discard)(_number(descriptor))
        self._positions[descriptor] = 0
        (path,) = _paths(arguments)
        if "O_CREAT" in arguments:
            yield Made(path, is_directory=False)
        if "O_TRUNC" in arguments:
            yield Resized(path, 0, only_grows=False)

    def _wrote(self, name: str, arguments: str, size: int) -> Iterator[Call]:
        data = b"".join(map(_bytes, _TEXT.findall(arguments)))[:size]
        if arguments.startswith("1<"):
            yield from (Said(line) for line in data.decode().splitlines())
            return
        descriptor = _descriptor(arguments)
        if name.startswith("pwrite"):
            offset = int(arguments.rpartition(", ")[2])
        else:
            offset = self._positions.get(descriptor, 0)
            self._positions[descriptor] = offset + size
        yield Wrote(_target(descriptor), offset, data, _number(descriptor) in self._durable)


def _changed(name: str, arguments: str) -> Iterator[Call]:
    numbers = [int(number) for number in _NUMBER.findall(arguments)]
    if name.startswith("mkdir"):
        yield Made(_paths(arguments)[0], is_directory=True)
    elif name.startswith("link"):
        yield Linked(*_paths(arguments))
    elif name.startswith("rename"):
        yield Renamed(*_paths(arguments))
    elif name in ("rmdir", "unlink", "unlinkat"):
        yield Removed(_paths(arguments)[0])
    elif name in _SYNCS:
        yield Synced(_target(_descriptor(arguments)))
    elif name == "truncate":
        yield Resized(_paths(arguments)[0], numbers[-1], only_grows=False)
    elif name == "ftruncate":
        yield Resized(_target(_descriptor(arguments)), numbers[-1], only_grows=False)
    elif name == "fallocate":
        size = numbers[-2] + numbers[-1]
        yield Resized(_target(_descriptor(arguments)), size, only_grows=True)
    else:
        raise AssertionError(f"what {name} does to a file system is not known here")


def _number(descriptor: str) -> str:
    """Without the path, which a rename of what is above it changes."""
    return descriptor.partition("<")[0]


def _paths(arguments: str) -> list[str]:
    """The paths among the arguments; each may be relative to the descriptor before it."""
    return [
        os.path.join(_bytes(directory or "").decode(), _bytes(text).decode())
        for directory, text in _PATH.findall(arguments)
    ]


def _descriptor(arguments: str) -> str:
    return arguments.partition(",")[0]


def _target(descriptor: str) -> str:
    match = _DESCRIPTOR.fullmatch(descriptor)
    return _bytes(match[1]).decode() if match else ""


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
