"""Where settings come from: what a file and variables may say, and who else sets variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from kvstore.address import Address
from kvstore.config.limits import Limits
from kvstore.config.settings import Settings, settings_from
from kvstore.config.sources import gather, notes_on, wanted_log_format
from kvstore.errors import ConfigError
from kvstore.raft.types import RaftSettings

from .building import build, local

SERVICE_LINKS = {
    "KVSTORE_SERVICE_HOST": "10.0.0.1",
    "KVSTORE_SERVICE_PORT": "9001",
    "KVSTORE_SERVICE_PORT_CLIENTS": "9001",
    "KVSTORE_PORT": "tcp://10.0.0.1:9001",
    "KVSTORE_PORT_9001_TCP": "tcp://10.0.0.1:9001",
    "KVSTORE_PORT_9001_TCP_PROTO": "tcp",
    "KVSTORE_PORT_9001_TCP_PORT": "9001",
    "KVSTORE_PORT_9001_TCP_ADDR": "10.0.0.1",
    "KVSTORE_CLIENTS_SERVICE_HOST": "10.0.0.2",
    "KVSTORE_CLIENTS_PORT": "tcp://10.0.0.2:9001",
}
"""What Kubernetes gives every pod beside Services named kvstore and kvstore-clients."""


def from_file(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> Settings:
    file = tmp_path / "kvstore.toml"
    file.write_text(text)
    return settings_from({"config": str(file), "id": "1"}, environ or {})


# --- Types of a file ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("heartbeat_ms = true", "heartbeat_ms must be text or a whole number, not true"),
        ("heartbeat_ms = 100.0", "heartbeat_ms must be text or a whole number, not 100.0"),
        ("data = ['a', 'b']", "data must be text or a whole number, not a list"),
        ("id = [1]", "id must be text or a whole number, not a list"),
        ("peers = [[9002], 9003]", "peers must be a list of text and whole numbers"),
        ("join = [[9002], 9003]", "join must be a list of text and whole numbers"),
        ("peers = [9002, true]", "peers must be a list of text and whole numbers"),
        ("election_ms = [500, 1000]", 'write it as text: election_ms = "500-1000"'),
        ("data = 2026-01-01", "data must be text or a whole number"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_in_the_words_of_the_file(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        from_file(tmp_path, text)


def test_whole_numbers_of_a_file_may_be_written_as_toml_has_them(tmp_path: Path) -> None:
    settings = from_file(tmp_path, "value_bytes_max = 0x100_000\nheartbeat_ms = 1_00")
    assert settings.limits.value_bytes_max == 1 << 20
    assert settings.raft.heartbeat_interval_ms == 100


# --- Variables that nobody reads ----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("KVSTORE_JOINS", "KVSTORE_JOIN"),
        ("KVSTORE_PEER", "KVSTORE_PEERS"),
        ("KVSTORE_DATA_DIR", "KVSTORE_DATA"),
        ("KVSTORE_LOGFORMAT", "KVSTORE_LOG_FORMAT"),
        ("KVSTORE_HARTBEAT_MS", "KVSTORE_HEARTBEAT_MS"),
        ("KVSTORE_CONFIG_FILE", "KVSTORE_CONFIG"),
    ],
)
def test_a_mistyped_variable_is_refused_with_what_was_meant(name: str, meant: str) -> None:
    """A node that begins with an empty directory in the wrong place has lost its own."""
    with pytest.raises(ConfigError, match=rf"{name} .*did you mean {meant}\?"):
        settings_from({"id": "1"}, {name: "x"})
    assert settings_from({"id": "1"}, {name: ""}).node_id == 1


@pytest.mark.parametrize(
    "name", ["KVSTORE_TO", "KVSTORE_TIMEOUT_MS", "KVSTORE_URL", "kvstore_peer", "PEERS"]
)
def test_a_variable_of_somebody_else_stops_no_node(name: str) -> None:
    assert settings_from({"id": "1"}, {name: "x"}).node_id == 1


def test_a_variable_that_nobody_reads_is_told() -> None:
    (note,) = notes_on({"KVSTORE_URL": "x", "KVSTORE_TO": "9001", "KVSTORE_ID": "1", "HOME": "/"})
    assert (note.code, note.is_warning) == ("unknown_variable", True)
    assert "KVSTORE_URL" in note.text
    assert "KVSTORE_PEERS" in note.text


def test_service_links_of_kubernetes_are_no_settings() -> None:
    settings = settings_from({"id": "1"}, SERVICE_LINKS)
    assert settings.address.port == 9001
    (note,) = notes_on(SERVICE_LINKS)
    assert (note.code, note.is_warning) == ("service_links", False), "they come with every start"
    for word in (*SERVICE_LINKS, "enableServiceLinks: false"):
        assert word in note.text


def test_a_port_that_is_meant_is_taken_beside_service_links() -> None:
    assert settings_from({"port": "9002"}, SERVICE_LINKS).node_id == 2
    own = {**SERVICE_LINKS, "KVSTORE_PORT": "9003"}
    assert settings_from({}, own).node_id == 3


# --- The format of the log, before anything else is known ---------------------------------


@pytest.mark.parametrize(
    ("words", "environ", "wanted"),
    [
        ("serve --log-format json --bogus", {}, "json"),
        ("serve --log-format=json", {}, "json"),
        ("serve --log-format", {}, "text"),
        ("serve --log-format xml", {}, "text"),
        ("serve --log-format json --log-format text", {}, "text"),
        ("serve", {"KVSTORE_LOG_FORMAT": "json"}, "json"),
        ("serve --log-format text", {"KVSTORE_LOG_FORMAT": "json"}, "text"),
        ("serve --config {file}", {}, "json"),
        ("serve", {"KVSTORE_CONFIG": "{file}"}, "json"),
        ("serve --config={file}", {"KVSTORE_LOG_FORMAT": "text"}, "text"),
        ("serve --config {file}.gone", {}, "text"),
    ],
)
def test_the_format_is_known_from_whatever_can_be_read(
    tmp_path: Path, words: str, environ: dict[str, str], wanted: str
) -> None:
    """The file is broken, and says all the same how it is to be told."""
    file = tmp_path / "kvstore.toml"
    file.write_text('id = \nlog_format = "json"  # for the collector\n')
    line = words.format(file=file).split()
    variables = {name: value.format(file=file) for name, value in environ.items()}
    assert wanted_log_format(line, variables) == wanted


def test_a_format_in_a_comment_is_none(tmp_path: Path) -> None:
    file = tmp_path / "kvstore.toml"
    file.write_text('# log_format = "json"\n')
    assert wanted_log_format(["--config", str(file)], {}) == "text"


def test_a_pipe_is_left_to_who_gathers_settings() -> None:
    """`--config <(...)`: what is read of a pipe is gone."""
    reader, writer = os.pipe()
    os.write(writer, b'id = 2\nlog_format = "json"\n')
    os.close(writer)
    pipe = f"/dev/fd/{reader}"
    assert wanted_log_format(["--config", pipe], {}) == "text"
    assert gather({"config": pipe}, {})["id"].text == "2"
    os.close(reader)


def test_the_file_of_the_command_line_is_read_and_no_other(tmp_path: Path) -> None:
    named, other = tmp_path / "named.toml", tmp_path / "other.toml"
    named.write_text('id = 1\nlog_format = "json"\n')
    other.write_text('id = 2\nlog_format = "text"\n')
    environ = {"KVSTORE_CONFIG": str(other)}
    assert gather({"config": str(named)}, environ)["id"].text == "1"
    assert wanted_log_format(["--config", str(named)], environ) == "json"


def test_a_file_without_an_end_is_no_settings_file() -> None:
    with pytest.raises(ConfigError, match="/dev/zero is no settings file: it is longer than"):
        gather({"config": "/dev/zero"}, {})


def test_a_file_that_is_too_long_is_searched_for_no_format(tmp_path: Path) -> None:
    file = tmp_path / "kvstore.toml"
    file.write_text('log_format = "json"\n' + "#" * (1 << 20))
    assert wanted_log_format(["--config", str(file)], {}) == "text"


# --- Where settings come from -------------------------------------------------------------


def test_command_line_beats_environment_beats_file(tmp_path: Path) -> None:
    file = tmp_path / "kvstore.toml"
    file.write_text('id = 1\nheartbeat_ms = 10\ncluster = "file"\ndata = "from-file"\n')
    environ = {"KVSTORE_HEARTBEAT_MS": "20", "KVSTORE_CLUSTER": "environment"}
    settings = build(environ, config=str(file), cluster="line")
    assert settings.cluster_id == "line"
    assert settings.raft.heartbeat_interval_ms == 20
    assert settings.data_dir == Path("from-file")
    assert settings.node_id == 1


def test_every_setting_can_come_from_the_environment() -> None:
    settings = build(
        {
            "KVSTORE_ID": "1",
            "KVSTORE_PORT": "7001",
            "KVSTORE_PEERS": "7002",
            "KVSTORE_DATA": "d",
            "KVSTORE_HOST": "h",
            "KVSTORE_BIND": "0.0.0.0:7003",
            "KVSTORE_CLUSTER": "c",
            "KVSTORE_HEARTBEAT_MS": "11",
            "KVSTORE_ELECTION_MS": "22-33",
            "KVSTORE_REQUEST_TIMEOUT_MS": "44",
            "KVSTORE_VALUE_BYTES_MAX": "55",
            "KVSTORE_LOG_FORMAT": "json",
        }
    )
    assert settings == Settings(
        node_id=1,
        members=local(7001, 7002, host="h"),
        bind=Address("0.0.0.0", 7003),
        cluster_id="c",
        data_dir=Path("d"),
        raft=RaftSettings(11, 22, 33),
        limits=Limits(value_bytes_max=55),
        request_timeout_ms=44,
        log_format="json",
    )


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "kvstore.toml"
    file.write_text("id = 3\n")
    assert build({"KVSTORE_CONFIG": str(file)}).node_id == 3


def test_an_empty_variable_counts_as_not_set() -> None:
    # Otherwise an unset shell variable would make a node that accepts writes all alone.
    settings = build({"KVSTORE_PEERS": "", "KVSTORE_PORT": ""}, id="1")
    assert settings.members == local(9001, 9002, 9003)
    assert build({"KVSTORE_PEERS": "none"}, id="1").members == local(9001)


@pytest.mark.parametrize("peers", ["[9002, 9003]", '"9002,9003"', '["9002", "9003"]'])
def test_peers_in_a_file_are_a_list_or_text(tmp_path: Path, peers: str) -> None:
    file = tmp_path / "kvstore.toml"
    file.write_text(f"port = 9001\npeers = {peers}\n")
    assert build(config=str(file)).members == local(9001, 9002, 9003)


def test_an_error_names_the_source_of_the_value(tmp_path: Path) -> None:
    file = tmp_path / "kvstore.toml"
    file.write_text("port = 99999\n")
    with pytest.raises(ConfigError, match=f"^port in {file}: '99999'"):
        build(config=str(file))
    with pytest.raises(ConfigError, match=r"^KVSTORE_PORT: 'http://10.0.0.1:9001'"):
        build({"KVSTORE_PORT": "http://10.0.0.1:9001"})
    with pytest.raises(ConfigError, match=r"^KVSTORE_PEERS: 'x'"):
        build({"KVSTORE_PEERS": "x"}, id="1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hartbeat_ms = 1", "did you mean 'heartbeat_ms'"),
        ("zzz = 1", "known are id, port"),
        ("config = 'other.toml'", "no setting 'config'"),
        ("id = true", "text or a whole number"),
        ("id = 1.0", "text or a whole number"),
        ("id = {}", "text or a whole number"),
        ("id = ", "not a TOML file"),
    ],
)
def test_a_file_with_something_else_in_it_is_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "kvstore.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        build(config=str(file), id="1")
    assert str(file) in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        build(config=str(tmp_path / "absent.toml"), id="1")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        build(config=str(binary), id="1")
