"""Text becomes settings, or an error that says how to mend it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from kvstore.address import Address, parse_address, parse_addresses
from kvstore.cli.serve import serve
from kvstore.config.limits import MAP_BYTES_CEILING, VALUE_BYTES_CEILING, Limits
from kvstore.config.members import Made
from kvstore.config.settings import Settings, check, default_cluster_id, settings_from
from kvstore.config.sources import NAMES
from kvstore.errors import ConfigError
from kvstore.raft.types import RaftSettings


def build(environ: Mapping[str, str] = {}, /, **options: str) -> Settings:
    return settings_from(options, environ)


def local(*ports: int, host: str = "127.0.0.1") -> dict[int, Address]:
    return {rank: Address(host, port) for rank, port in enumerate(ports, start=1)}


# --- Who the members are ------------------------------------------------------------------


def test_id_alone_means_the_local_cluster_of_three() -> None:
    settings = build(id="2")
    assert settings.node_id == 2
    assert settings.members == local(9001, 9002, 9003)
    assert settings.address == Address("127.0.0.1", 9002)
    assert settings.data_dir == Path("data/n2")


def test_port_alone_names_a_node_of_the_local_cluster() -> None:
    assert build(port="9003").node_id == 3


def test_rank_among_all_sorted_ports_is_the_id() -> None:
    settings = build(port="9200", peers="9300,9100")
    assert settings.node_id == 2
    assert settings.members == local(9100, 9200, 9300)


def test_bare_ports_are_sorted_as_numbers_and_not_as_text() -> None:
    assert build(port="10001", peers="9001,9002").node_id == 3


def test_bare_ports_are_on_the_given_host() -> None:
    settings = build(port="9001", peers="9002", host="Node.Example")
    assert settings.members == local(9001, 9002, host="node.example")


def test_the_port_of_an_id_is_9000_plus_the_id() -> None:
    assert build(id="1", peers="9002,9003").address.port == 9001


@pytest.mark.parametrize("peers", ["", " ", "none"])
def test_explicitly_no_peers_is_a_cluster_of_one(peers: str) -> None:
    settings = build(peers=peers)
    assert settings.members == local(9001)
    assert build(id="3", port="7000", peers=peers).members == {3: Address("127.0.0.1", 7000)}


def test_peers_with_ids_may_be_anywhere() -> None:
    settings = build(id="1", port="9001", host="10.0.0.1", peers="3=db-3:9001, 2=[2001:DB8::1]:7")
    assert settings.members == {
        1: Address("10.0.0.1", 9001),
        2: Address("2001:db8::1", 7),
        3: Address("db-3", 9001),
    }


def test_peers_with_ids_on_this_machine_need_no_host() -> None:
    settings = build(id="1", peers="2=localhost:9002,3=[::1]:9003,4=127.0.0.4:9004")
    assert settings.address == Address("127.0.0.1", 9001)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ["say which node this is", "--id 1"]),
        ({"peers": "9002,9003"}, ["say which node this is", "--port"]),
        ({"id": "4"}, ["9004", "9001,9002,9003", "--peers"]),
        ({"id": "1", "port": "9005"}, ["9005", "--peers"]),
        ({"id": "2", "port": "9001"}, ["--id 1"]),
        ({"id": "2", "port": "9001", "peers": "9002,9003"}, ["this is node 1", "--id 1", "2=host"]),
        ({"port": "9001", "peers": "9001,9002"}, ["own", "leave it out"]),
        ({"port": "9001", "peers": "9002,9002"}, ["twice"]),
        ({"port": "9001", "peers": "9002,3=127.0.0.1:9003"}, ["give --id"]),
        ({"id": "1", "peers": "9002,3=127.0.0.1:9003"}, ["'9002'", "2=host:port"]),
        ({"id": "1", "peers": "2=127.0.0.1:9002,2=127.0.0.1:9003"}, ["id 2", "twice"]),
        ({"id": "1", "peers": "2=127.0.0.1:9002,3=127.0.0.1:9002"}, ["127.0.0.1:9002", "twice"]),
        ({"id": "1", "peers": "1=127.0.0.1:9002"}, ["own id"]),
        ({"id": "1", "peers": "2=9002"}, ["host:9002"]),
        ({"id": "1", "peers": "2=localhost"}, ["port"]),
        ({"id": "1", "peers": "2=::1:9002"}, ["[::1:9002]:port"]),
        ({"id": "1", "peers": "2=10.0.0.2:9002"}, ["10.0.0.2:9002", "--host"]),
        ({"id": "1", "peers": "2=0.0.0.0:9002", "host": "h"}, ["every interface"]),
        ({"port": "9001", "peers": "9002,,9003"}, ["''", "port"]),
        ({"port": "9001", "peers": "127.0.0.1:9002"}, ["2=host:port", "bare ports"]),
        ({"port": "9001", "peers": "9002 9003"}, ["port"]),
        ({"port": "1", "peers": "2,3,4,5,6,7,8"}, ["1 to 7"]),
        ({"id": "0"}, ["--id", "1 to 65535"]),
        ({"id": "60000", "peers": "none"}, ["--port"]),
        ({"port": "0"}, ["--port", "1 to 65535"]),
        ({"port": "65536"}, ["--port"]),
        ({"port": "+9001"}, ["--port"]),
        ({"port": "9_001"}, ["--port"]),
        ({"port": "٩٠٠١"}, ["--port"]),
    ],
)
def test_members_that_do_not_hold_together_are_refused(
    options: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        build(**options)
    for word in words:
        assert word in str(caught.value)


def test_one_to_seven_nodes_are_accepted_odd_or_even() -> None:
    for size in range(1, 8):
        ports = [9001 + rank for rank in range(size)]
        peers = ",".join(map(str, ports[1:]))
        assert build(port="9001", peers=peers).members == local(*ports)


# --- Hosts and addresses ------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "0:0:0:0:0:0:0:0"])
def test_a_host_that_means_every_interface_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=r"--host: .*every interface"):
        build(id="1", host=host)


@pytest.mark.parametrize(
    "host", ["", "0", "127.1", "a b", "a:1", "http://a", "*", "x" * 254, "a..b", ".a", "x" * 64]
)
def test_a_host_that_nobody_can_connect_to_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=r"--host: .*not a host name or IP address"):
        build(id="1", host=host)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("9002", "127.0.0.1", 9002),
        ("db", "db", 9001),
        ("db:7", "db", 7),
        ("10.0.0.1", "10.0.0.1", 9001),
        ("[::1]", "::1", 9001),
        (" [::1]:7 ", "::1", 7),
    ],
)
def test_every_form_of_address_is_read(text: str, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port)
    assert parse_address(str(Address(host, port))) == Address(host, port)


@pytest.mark.parametrize("text", ["", ":9001", "db:", "db:x", "::1", "[::1", "[::1]9", "a:1:2"])
def test_what_is_not_an_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_address(text)


def test_a_list_of_addresses_keeps_its_order() -> None:
    assert parse_addresses("9003, db:1") == [Address("127.0.0.1", 9003), Address("db", 1)]
    with pytest.raises(ConfigError):
        parse_addresses("")


# --- Where it listens ---------------------------------------------------------------------


def test_a_node_listens_where_the_others_reach_it_unless_told_otherwise() -> None:
    assert build(id="1").listens_at == Address("127.0.0.1", 9001)


@pytest.mark.parametrize(
    ("bind", "host", "port"),
    [
        ("0.0.0.0", "0.0.0.0", 7001),
        ("0.0.0.0:9", "0.0.0.0", 9),
        ("::", "::", 7001),
        ("[::]", "::", 7001),
        ("[::]:9", "::", 9),
        ("10.0.0.9", "10.0.0.9", 7001),
        ("eth0.node-1:9", "eth0.node-1", 9),
        ("[::1]:9", "::1", 9),
    ],
)
def test_bind_is_a_host_or_an_address(bind: str, host: str, port: int) -> None:
    settings = build(id="1", host="node-1", port="7001", peers="2=node-2:7001", bind=bind)
    assert settings.listens_at == Address(host, port)
    assert settings.address == Address("node-1", 7001), "the others are told what --host says"
    plain = build(id="1", host="node-1", port="7001", peers="2=node-2:7001")
    assert settings.cluster_id == plain.cluster_id


@pytest.mark.parametrize("bind", ["", "9001", "*", ":9001", "*:9001", "0.0.0.0:x", "a b", "::1"])
def test_what_cannot_be_bound_is_refused(bind: str) -> None:
    with pytest.raises(ConfigError, match=r"^--bind: "):
        build(id="1", bind=bind)


# --- The name of the cluster --------------------------------------------------------------


def test_nodes_of_one_cluster_derive_the_same_name_and_other_clusters_another() -> None:
    first = build(port="9001", peers="9002,9003")
    second = build(port="9002", peers="9003,9001")
    other = build(port="9001", peers="9002,9004")
    assert first.cluster_id == second.cluster_id
    assert first.cluster_id != other.cluster_id
    assert first.cluster_id.startswith("kvstore-")
    assert len(first.cluster_id) == len("kvstore-") + 8


def test_the_derived_name_depends_on_which_id_has_which_address() -> None:
    a, b = Address("h", 1), Address("h", 2)
    assert default_cluster_id({1: a, 2: b}) == default_cluster_id({2: b, 1: a})
    assert default_cluster_id({1: a, 2: b}) != default_cluster_id({1: b, 2: a})


def test_the_name_can_be_chosen() -> None:
    assert build(id="1", cluster="Prod_1.eu-west").cluster_id == "Prod_1.eu-west"
    assert build(id="1", cluster="x" * 64).cluster_id == "x" * 64


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "a/b", "ä", "a\n"])
def test_a_name_with_other_characters_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="--cluster"):
        build(id="1", cluster=name)


# --- Times, sizes, formats ----------------------------------------------------------------


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


# --- Who joins, and whose directory has been made ------------------------------------------


def test_a_node_that_joins_has_an_id_and_an_address_and_knows_no_members() -> None:
    settings = build(id="4", join="9001,db-2:9002", host="10.0.0.4")
    assert settings.join == (Address("127.0.0.1", 9001), Address("db-2", 9002))
    assert (settings.node_id, settings.address) == (4, Address("10.0.0.4", 9004))
    assert (settings.members, settings.cluster_id) == ({}, "")
    assert settings.data_dir == Path("data/n4")
    assert build(id="4", join="9001", cluster="name").cluster_id == "name"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"join": "9001", "port": "9004"}, "give --id"),
        ({"join": "9001", "id": "4", "peers": "9001"}, "--peers: .* leave the peers out"),
        ({"join": "h:0", "id": "4"}, "--join: 'h:0'|--join: '0'"),
        ({"join": "", "id": "4"}, "no address given"),
    ],
)
def test_who_joins_in_a_wrong_way_is_told(wrong: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        build(**wrong)


def test_a_directory_that_has_been_made_says_who_the_node_is() -> None:
    """A supervisor repeats what it was told first, though the members are others by now."""

    def made(data_dir: Path) -> Made | None:
        return Made(4, "kv") if data_dir == Path("d") else None

    for told in (
        {},
        {"id": "4"},
        {"id": "4", "join": "9001"},
        {"port": "9004", "peers": "9001,9002"},
        {"id": "4", "port": "9004", "peers": "2=h:1"},
    ):
        settings = settings_from({**told, "data": "d"}, {}, made)
        assert (settings.node_id, settings.cluster_id, settings.join) == (4, "kv", ())
        assert (settings.address, settings.members) == (Address("127.0.0.1", 9004), {})
    settings = settings_from({"id": "5", "cluster": "other", "data": "d"}, {}, made)
    assert (settings.node_id, settings.cluster_id) == (5, "other"), "whoever opens it compares"


def test_a_directory_where_it_is_looked_for_is_found_by_id_or_rank() -> None:
    def made(data_dir: Path) -> Made | None:
        return Made(2, "kv") if data_dir == Path("data/n2") else None

    for told in ({"id": "2"}, {"port": "9002", "peers": "9001,9003"}, {"id": "2", "join": "9001"}):
        assert settings_from(told, {}, made).cluster_id == "kv"


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
