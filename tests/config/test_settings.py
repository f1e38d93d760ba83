"""Times, sizes and formats: text becomes settings, or an error that says how to mend it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from kvstore.cli.serve import serve
from kvstore.config.limits import MAP_BYTES_CEILING, VALUE_BYTES_CEILING, Limits
from kvstore.config.settings import Settings, check
from kvstore.config.sources import NAMES
from kvstore.errors import ConfigError
from kvstore.raft.types import RaftSettings

from .building import build, local


def test_defaults_are_those_of_the_structs() -> None:
    settings = build(id="1")
    assert settings == Settings(
        node_id=1,
        members=local(9001, 9002, 9003),
        cluster_id=settings.cluster_id,
        data_dir=Path("data/n1"),
    )


def test_times_and_sizes_are_taken_over() -> None:
    settings = build(
        id="1",
        heartbeat_ms="20",
        election_ms="100-200",
        request_timeout_ms="900",
        value_bytes_max="4096",
        log_format="json",
        data="/var/lib/kv",
    )
    assert settings.raft.heartbeat_interval_ms == 20
    assert settings.raft.election_timeout_min_ms == 100
    assert settings.raft.election_timeout_max_ms == 200
    assert settings.request_timeout_ms == 900
    assert settings.limits.value_bytes_max == 4096
    assert settings.log_format == "json"
    assert settings.data_dir == Path("/var/lib/kv")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"heartbeat_ms": "0"}, "--heartbeat-ms"),
        ({"heartbeat_ms": "3600001"}, "--heartbeat-ms"),
        ({"heartbeat_ms": "1.5"}, "--heartbeat-ms"),
        ({"election_ms": "500"}, "500-1000"),
        ({"election_ms": "500-"}, "--election-ms"),
        ({"election_ms": "1000-500"}, "backwards"),
        ({"election_ms": "100-500"}, "longer than the heartbeat"),
        ({"heartbeat_ms": "500"}, "longer than the heartbeat"),
        ({"request_timeout_ms": "0"}, "--request-timeout-ms"),
        ({"value_bytes_max": "0"}, "--value-bytes-max"),
        ({"value_bytes_max": str(VALUE_BYTES_CEILING + 1)}, "--value-bytes-max"),
        ({"log_format": "xml"}, "text or json"),
        ({"data": ""}, "data/n1"),
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(id="1", **options)


def test_equal_election_bounds_are_accepted() -> None:
    assert build(id="1", election_ms="300-300").raft.election_timeout_max_ms == 300


def test_the_longest_value_fits_twice_into_every_buffer_on_its_way() -> None:
    limits = build(id="1", value_bytes_max=str(VALUE_BYTES_CEILING)).limits
    assert limits.value_bytes_max == VALUE_BYTES_CEILING
    smallest = min(
        limits.request_bytes_max,
        limits.clients_input_bytes_max,
        limits.clients_output_bytes_max,
        limits.peer_message_bytes_max,
        limits.peer_output_bytes_max,
    )
    assert smallest > 2 * VALUE_BYTES_CEILING


def test_settings_made_by_hand_are_checked_too() -> None:
    good = build(id="1")
    check(good)
    check(msgspec.structs.replace(good, joined_at=0))
    for bad in (
        msgspec.structs.replace(good, node_id=4),
        msgspec.structs.replace(good, members={}),
        msgspec.structs.replace(good, members={1: good.address, 2: good.address}),
        msgspec.structs.replace(good, request_timeout_ms=0),
        msgspec.structs.replace(good, joined_at=-1),
        msgspec.structs.replace(good, limits=Limits(connections_max=0)),
        msgspec.structs.replace(good, limits=Limits(value_bytes_max=VALUE_BYTES_CEILING + 1)),
        msgspec.structs.replace(good, raft=RaftSettings(inflight_messages_max=-1)),
    ):
        with pytest.raises(ConfigError):
            check(bad)


def test_every_option_of_serve_is_a_setting() -> None:
    """One that nobody reads would be ignored without a word."""
    offered = {parameter.name for parameter in serve.params}
    assert offered - {"config"} == set(NAMES)


@pytest.mark.parametrize("name", ["log_map_bytes", "state_map_bytes"])
def test_the_room_of_each_store_is_taken_over(name: str) -> None:
    assert getattr(build(id="1", **{name: "25165824"}), name) == 25165824


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("25165824", 24 << 20),
        ("24576KiB", 24 << 20),
        ("24MiB", 24 << 20),
        ("8GiB", 8 << 30),
        (" 8 GiB ", 8 << 30),
        ("2TiB", 2 << 40),
        ("2199023255552", 2 << 40),
        ("32TiB", MAP_BYTES_CEILING),
    ],
)
def test_a_size_is_a_number_of_bytes_or_has_a_unit(tmp_path: Path, text: str, size: int) -> None:
    assert build(id="1", log_map_bytes=text).log_map_bytes == size
    file = tmp_path / "kvstore.toml"
    file.write_text(f'state_map_bytes = "{text}"\n')
    assert build(id="1", config=str(file)).state_map_bytes == size


def test_so_much_of_the_log_is_kept_as_is_said_or_as_its_map_allows() -> None:
    assert build(id="1").log_kept_bytes == 32 << 20
    assert build(id="1", log_kept_bytes="64KiB").log_kept_bytes == 64 << 10
    assert build(id="1", log_kept_bytes="15GiB").log_kept_bytes == 15 << 30
    assert build(id="1", log_map_bytes="24MiB").log_kept_bytes == 2 << 20


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"log_kept_bytes": "65535"}, "from 64KiB"),
        ({"log_kept_bytes": "16GiB"}, "raise --log-map-bytes"),
        ({"log_kept_bytes": "3MiB", "log_map_bytes": "24MiB"}, "no more than 2097152 can be kept"),
    ],
)
def test_a_log_that_keeps_too_little_or_more_than_its_map_holds_is_refused(
    given: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        build(id="1", **given)


@pytest.mark.parametrize(
    ("text", "period_ms"),
    [
        ("1s", 1_000),
        ("90m", 5_400_000),
        ("12 h", 43_200_000),
        ("366d", 366 * 86_400_000),
        ("never", None),
    ],
)
def test_how_often_replicas_are_compared_has_a_unit(text: str, period_ms: int | None) -> None:
    assert build(id="1").check_every_ms == 86_400_000
    assert build(id="1", check_every=text).check_every_ms == period_ms


@pytest.mark.parametrize("text", ["0s", "1", "", "1w", "367d", "-1h", "1.5h", "9999999999d"])
def test_a_period_that_is_none_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a period: give a number with its unit"):
        build(id="1", check_every=text)


def test_a_longest_value_may_have_a_unit_too() -> None:
    assert build(id="1", value_bytes_max="4MiB").limits.value_bytes_max == VALUE_BYTES_CEILING


@pytest.mark.parametrize("text", ["8GB", "8G", "8gib", "1.5GiB", "-1", "", "GiB", "8 G iB", "٨GiB"])
def test_what_is_no_size_is_refused_with_the_units(text: str) -> None:
    with pytest.raises(ConfigError, match="plain or in KiB, MiB, GiB, TiB"):
        build(id="1", log_map_bytes=text)


@pytest.mark.parametrize("text", ["25165823", "24575KiB", "1MiB", "33TiB", "9" * 19])
def test_a_map_of_another_size_is_refused_with_a_range_that_is_allowed(text: str) -> None:
    with pytest.raises(ConfigError, match="from 24MiB to 32TiB"):
        build(id="1", state_map_bytes=text)
    assert build(id="1", state_map_bytes="24MiB", log_map_bytes="32TiB")
