"""Bytes on a client's socket, for what no client library would ever send."""

from __future__ import annotations

import socket

REPLY_TIMEOUT_S = 15.0


def dial(port: int, timeout_s: float = REPLY_TIMEOUT_S, host: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection((host, port), timeout_s)


def encode(*words: bytes) -> bytes:
    """One command as RESP frames it."""
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
    return b"".join(parts)


def read_line(connection: socket.socket) -> str:
    """One line without its end; what came before the end of the stream, if it ended."""
    line = b""
    while not line.endswith(b"\r\n"):
        byte = connection.recv(1)
        if not byte:
            break
        line += byte
    return line.rstrip(b"\r\n").decode()


def ask(connection: socket.socket, *words: bytes) -> str:
    """Send one command; the first line of its reply."""
    connection.sendall(encode(*words))
    return read_line(connection)


def ask_for_text(connection: socket.socket, *words: bytes) -> str:
    """Send one command that is answered by a bulk string."""
    return ask_for_bulk(connection, encode(*words)).decode()


def ask_for_bulk(connection: socket.socket, command: bytes) -> bytes:
    """Send one command, framed, that is answered by a bulk string."""
    connection.sendall(command)
    header = read_line(connection)
    if not header.startswith("$"):
        raise ConnectionError(f"unexpected reply {header!r}")
    data, size = b"", int(header[1:]) + 2
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise ConnectionError("the connection ended in the middle of a reply")
        data += chunk
    return data[:-2]
