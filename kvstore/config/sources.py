"""Where settings come from: the command line, variables, and a file in TOML.

Law: what comes from nearer wins: the command line over variables, those over the file. A
name that is none of a setting is never passed over in silence.

This module must not know what a value means, but for its type in the file. It reads at
most the one settings file that it is told to read.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from kvstore.errors import ConfigError

LOG_FORMATS: Final = ("text", "json")
NAMES: Final = (
    "id",
    "port",
    "peers",
    "host",
    "bind",
    "data",
    "join",
    "cluster",
    "heartbeat_ms",
    "election_ms",
    "request_timeout_ms",
    "value_bytes_max",
    "log_map_bytes",
    "state_map_bytes",
    "log_kept_bytes",
    "check_every",
    "log_format",
)
_LISTS: Final = ("peers", "join")
_PREFIX: Final = "KVSTORE_"
_OF_CLIENTS: Final = ("KVSTORE_TO", "KVSTORE_TIMEOUT_MS")
_VARIABLES: Final = (
    *(_PREFIX + name.upper() for name in NAMES),
    "KVSTORE_CONFIG",
    *_OF_CLIENTS,
)
_FILE_BYTES_MAX: Final = 1 << 20
_TELLING_LETTERS: Final = 4
_SERVICE_LINK: Final = re.compile(
    r"KVSTORE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_PORT: Final = re.compile(r"KVSTORE_(\w+_)?PORT=(tcp|udp|sctp)://.*")


class Given(NamedTuple):
    """One setting as text, and where it came from (`--port`, `KVSTORE_PORT`, `port in FILE`)."""

    text: str
    source: str


class Note(NamedTuple):
    """What is told at the start. `is_warning`: somebody should look at it."""

    code: str
    text: str
    is_warning: bool


def gather(options: Mapping[str, str | None], environ: Mapping[str, str]) -> dict[str, Given]:
    """All settings that are given.

    Raises ConfigError for a file that cannot be read, and for a mistyped variable.

    An empty variable counts as not set, because that is what an unset one becomes on its
    way through scripts and containers.
    """
    _check_variables(environ)
    file_name = options.get("config") or environ.get("KVSTORE_CONFIG")
    given = _from_file(Path(file_name)) if file_name else {}
    for name in NAMES:
        variable = _PREFIX + name.upper()
        if environ.get(variable) and not _is_service_link(variable, environ):
            given[name] = Given(environ[variable], variable)
        text = options.get(name)
        if text is not None:
            given[name] = Given(text, "--" + name.replace("_", "-"))
    return given


# --- The file -----------------------------------------------------------------------------


def _from_file(path: Path) -> dict[str, Given]:
    try:
        table = tomllib.loads(_bytes_of(path).decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not a TOML file: it is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from None
    return {name: Given(_toml_text(path, name, table[name]), f"{name} in {path}") for name in table}


def _bytes_of(path: Path) -> bytes:
    """What is in the file. Raises ConfigError if it is too long to be one of settings."""
    with path.open("rb") as file:
        found = file.read(_FILE_BYTES_MAX + 1)
    if len(found) > _FILE_BYTES_MAX:
        raise ConfigError(f"{path} is no settings file: it is longer than {_FILE_BYTES_MAX} bytes")
    return found


def _toml_text(path: Path, name: str, value: object) -> str:
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(NAMES)}"
        raise ConfigError(f"{path}: there is no setting {name!r}; {hint}")
    if name in _LISTS and isinstance(value, list):
        if not all(map(_is_plain, value)):
            raise ConfigError(f"{path}: {name} must be a list of text and whole numbers")
        return ",".join(map(str, value))
    if not _is_plain(value):
        raise ConfigError(
            f"{path}: {name} must be text or a whole number, not {_toml(name, value)}"
        )
    return str(value)


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _toml(name: str, value: object) -> str:
    """A value as it stands in the file, or what kind it is."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        example = f'; write it as text: {name} = "500-1000"' if name == "election_ms" else ""
        return f"a list{example}"
    return "a table" if isinstance(value, dict) else str(value)


# --- Variables that are no settings -------------------------------------------------------


def _check_variables(environ: Mapping[str, str]) -> None:
    """Raise ConfigError for a variable whose name is nearly that of a setting."""
    for name in _strangers(environ):
        if near := _nearest_variable(name):
            raise ConfigError(
                f"there is no variable {name} for a setting: did you mean {near}? "
                "If it is meant for something else, unset it for this process"
            )


def _nearest_variable(name: str) -> str | None:
    """Letters are missing, too many or wrong, or more was said than is needed (DATA_DIR)."""
    bare = name.removeprefix(_PREFIX)
    known = [variable.removeprefix(_PREFIX) for variable in _VARIABLES]
    near = difflib.get_close_matches(bare, known, 1, cutoff=0.75)
    near += [one for one in known if len(one) >= _TELLING_LETTERS and bare.startswith(one)]
    return _PREFIX + near[0] if near else None


def notes_on(environ: Mapping[str, str]) -> list[Note]:
    """What to tell of variables that look like settings and are none."""
    notes = []
    if strangers := _strangers(environ):
        known = ", ".join(_VARIABLES)
        text = f"nobody reads {', '.join(strangers)}: the variables are {known}"
        notes.append(Note("unknown_variable", text, is_warning=True))
    if links := [name for name in environ if _is_service_link(name, environ)]:
        text = (
            f"passed over {', '.join(sorted(links))}: Kubernetes sets them beside a Service with "
            "such a name; say enableServiceLinks: false in the pod's spec to be without them"
        )
        notes.append(Note("service_links", text, is_warning=False))
    return notes


def _strangers(environ: Mapping[str, str]) -> list[str]:
    return sorted(
        name
        for name, value in environ.items()
        if name.startswith(_PREFIX)
        and value
        and name not in _VARIABLES
        and not _is_service_link(name, environ)
    )


def _is_service_link(name: str, environ: Mapping[str, str]) -> bool:
    """Whether Kubernetes has set the variable, and nobody for this node."""
    if _SERVICE_LINK.fullmatch(name):
        return True
    return _SERVICE_PORT.fullmatch(f"{name}={environ[name]}") is not None


# --- The format of the log ----------------------------------------------------------------


def wanted_log_format(words: Sequence[str], environ: Mapping[str, str]) -> str:
    """How the log is wanted by this command line, though the rest of it be wrong.

    A file is searched for it, whether it is TOML or not; a pipe is not, as it can be read once,
    and is for `gather`.
    """
    text = _last_option("--log-format", words) or environ.get("KVSTORE_LOG_FORMAT")
    file_name = _last_option("--config", words) or environ.get("KVSTORE_CONFIG")
    if not text and file_name:
        text = _format_in(Path(file_name))
    return text if text in LOG_FORMATS else LOG_FORMATS[0]


def _last_option(name: str, words: Sequence[str]) -> str | None:
    found = None
    for word, following in zip(words, (*words[1:], None), strict=True):
        if word == name:
            found = following
        elif word.startswith(f"{name}="):
            found = word.removeprefix(f"{name}=")
    return found


def _format_in(path: Path) -> str | None:
    try:
        text = _bytes_of(path).decode("utf-8", "replace") if path.is_file() else ""
    except (OSError, ConfigError):
        return None
    found = re.findall(r"""(?m)^\s*log_format\s*=\s*["'](\w+)["']""", text)
    return found[-1] if found else None
