"""Who the members are, where they are, and what their cluster is called, of text."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvstore.address import Address, parse_address, parse_addresses
from kvstore.config.members import Made
from kvstore.config.settings import default_cluster_id, settings_from
from kvstore.errors import ConfigError

from .building import build, local

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
