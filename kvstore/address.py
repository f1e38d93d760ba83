"""Where nodes are, from text.

Law: what comes from outside is checked here, and refused with a `ConfigError` that says
how to mend it. It must not know sockets: a name is not looked up.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

import msgspec

from kvstore.errors import ConfigError

PORT_MAX: Final = 65_535
BASE_PORT: Final = 9_000
"""Node N of the local cluster listens on this port plus N, unless told otherwise."""
LOCAL_PORTS: Final = tuple(BASE_PORT + node_id for node_id in (1, 2, 3))
LOCAL_CLUSTER: Final = ",".join(map(str, LOCAL_PORTS))
"""Its nodes: whom clients ask who are told no others."""
_LABEL: Final = r"[A-Za-z0-9_-]{1,63}"
_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z)(?=.*[A-Za-z]){_LABEL}(?:\.{_LABEL})*\.?")
"""What a resolver can be asked for; for other names Python's raises what is no OSError."""

_ZONE: Final = re.compile(r"[A-Za-z0-9._-]{1,15}")
"""The interface behind the % of an IPv6 address, as Linux names them."""
_QUOTED_MAX: Final = 80


class Address(msgspec.Struct, frozen=True):
    """A host, by name or IP address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, default_port: int | None = BASE_PORT + 1) -> Address:
    """Read `9001` (on 127.0.0.1), `host`, `host:port`, `[::1]` or `[::1]:9001`.

    With `default_port` None both host and port must be there. Raises ConfigError.
    """
    text = text.strip()
    if text.isdecimal():
        if default_port is None:
            raise ConfigError(f"{quoted(text)} has no host: write host:{text}")
        return Address("127.0.0.1", parse_port(text))
    if "://" in text:
        where = re.sub(r"[/?#].*|[^/?#]*@", "", text.partition("://")[2]) or "host:port"
        raise ConfigError(f"{quoted(text)} is no address, as a node has no URL: write {where}")
    match = re.fullmatch(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[^:]*))?", text)
    if match is None:
        hint = f"write [{text}]:port" if text.count(":") > 1 else "write host:port"
        raise ConfigError(f"{quoted(text)} is not an address: {hint}")
    host, port = match["host"], match["port"]
    if port is None and default_port is None:
        raise ConfigError(f"{quoted(text)} has no port: write {text}:port")
    return Address(parse_host(host), default_port or 0 if port is None else parse_port(port))


def parse_bind(text: str, port: int) -> Address:
    """Read what to listen at: `host`, `host:port`, `0.0.0.0` or `[::]:9001`; else at `port`."""
    text = text.strip()
    for every in ("0.0.0.0", "[::]", "::"):  # noqa: S104 - the operator says so
        if text == every:
            return Address(every.strip("[]"), port)
        if text.startswith(f"{every}:") and every != "::":
            return Address(every.strip("[]"), parse_port(text.removeprefix(f"{every}:")))
    if text.isdecimal() or text.startswith(("*", ":")):
        raise ConfigError(
            f"{quoted(text)} is no address to bind: write host or host:port, as 0.0.0.0"
        )
    return parse_address(text, default_port=port)


def parse_addresses(text: str, source: str | None = None) -> list[Address]:
    """Read a list of addresses with commas between them, from `source` if it is told.

    Raises ConfigError.
    """
    try:
        items = items_of(text)
        if "" in items and any(items):
            raise ConfigError(f"{quoted(text)} has a comma with no address beside it: take it out")
        addresses = [parse_address(item) for item in items]
        if not addresses:
            raise ConfigError(f"no address given: say for instance {LOCAL_CLUSTER}")
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}" if source else str(error)) from None
    return addresses


def parse_host(text: str) -> str:
    """Read a host name or IP address that others can connect to. Raises ConfigError."""
    host = text.strip().removeprefix("[").removesuffix("]")
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        # A name of digits and dots only would be read by the resolver as an odd IPv4
        # address: `0` is 0.0.0.0 and `127.1` is 127.0.0.1.
        if _NAME.fullmatch(host):
            return host.lower()
        raise ConfigError(f"{quoted(text)} is not a host name or IP address") from None
    if ip.is_unspecified:
        raise ConfigError(
            f"{quoted(text)} means every interface, and a node cannot tell others to connect "
            "there: give the one name or IP address by which the others reach it, and this one to "
            "--bind"
        )
    if not _ZONE.fullmatch(getattr(ip, "scope_id", None) or "-"):
        raise ConfigError(f"{quoted(text)} is not a host name or IP address")
    return str(ip)


def parse_port(text: str) -> int:
    """Read a port. Raises ConfigError."""
    return parse_int(text, 1, PORT_MAX, "a port")


def items_of(text: str) -> list[str]:
    """The items of a list, which are separated by commas."""
    return [item.strip() for item in text.split(",")] if text.strip() else []


def parse_int(text: str, low: int, high: int, what: str) -> int:
    """A whole number from `low` to `high`; `what` it should be, for the refusal."""
    # int() would also take '+1', '1_000' and digits of other scripts.
    if not re.fullmatch(r"[0-9]{1,19}", text.strip()) or not low <= int(text) <= high:
        raise ConfigError(f"{quoted(text)} is not {what}: give a whole number from {low} to {high}")
    return int(text)


def quoted(text: str) -> str:
    """Text as it is told back to whom gave it: what is too long for a line is cut."""
    return repr(text if len(text) <= _QUOTED_MAX else f"{text[:_QUOTED_MAX]}...")
