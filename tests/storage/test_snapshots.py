"""A snapshot: equal for equal states, whole or refused, and never in memory as a whole."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
from pathlib import Path

import msgspec
import pytest
from crc32c import crc32c
from founding import founders
from hypothesis import given, settings
from hypothesis import strategies as st
from process.trace import why_strace_cannot_run

from kvstore.errors import DamagedError, DamagedSnapshotError, DiskWriteError, SnapshotRefusedError
from kvstore.kv.view import Applied
from kvstore.storage import snapshot_format
from kvstore.storage.memory import MemoryState
from kvstore.storage.records import encode_value
from kvstore.storage.snapshot_file import SnapshotReader
from kvstore.storage.snapshot_format import (
    Header,
    SnapshotDecoder,
    SnapshotEncoder,
)
from kvstore.storage.snapshot_stream import SnapshotStream
from kvstore.storage.tables import TABLES, counts_of
from kvstore.storage.whole_file import UNFINISHED, WholeFile
from storage import saving_child
from storage.filesystem_calls import Said, record
from storage.power_cut import Disk
from storage.samples import IDENTITY, StateOnDisk, counts
from storage.saving_child import AFTER, BEFORE

VOTERS = founders((1, 2, 3))


def pair(stored, record):
    return stored, encode_value(stored, record)


def snapshot_of(pairs=(), *, blocks=1, applied=Applied(7, 5, 900)):  # noqa: B008 - frozen
    """The bytes of a snapshot of these records, in so many blocks."""
    of_each = tuple(sum(stored.startswith(row.prefix) for stored, _ in pairs) for row in TABLES)
    header = Header("c1", 3, applied, VOTERS, of_each)
    encoder = SnapshotEncoder(header)
    parts = [encoder.begin()]
    size = -(-len(pairs) // blocks) or 1
    parts += [encoder.block(pairs[at : at + size]) for at in range(0, len(pairs), size)]
    return b"".join((*parts, encoder.end()))


PAIRS = [
    pair(b"ka", b"1"),
    pair(b"kb", b"the value of b"),
    pair(b"s12345678", b"a session"),
]
SNAPSHOT = snapshot_of(PAIRS, blocks=2)


def read(data, slice_bytes=1 << 20):
    """All records of a snapshot, which must be whole."""
    decoder = SnapshotDecoder()
    pairs = []
    for at in range(0, len(data), slice_bytes):
        pairs += decoder.feed(data[at : at + slice_bytes])
    decoder.finish()
    return decoder, pairs


# --- The bytes ----------------------------------------------------------------------------


def test_the_bytes_of_a_snapshot_do_not_change_between_releases():
    preamble, header, block, trailer = frames_of(snapshot_of([pair(b"ka", b"1")]))
    assert preamble.hex() == "4b56534e41500d0a" + "00000002" + "a95c3b30"
    assert header.hex() == (
        "01000000efd84d41a974504df985aa636c75737465725f6964a26331a47465726d03a76170706c"
        "69656485ac6c6173745f6170706c69656407a87265766973696f6e05a774696d655f6d73cd0384"
        "af636c75737465725f76657273696f6e02a47061737485a5666c6f6f7200a5627974657300a76b"
        "6565705f6d73ce0036ee80aa6b6565705f6279746573ce04000000aa6c6976655f627974657300"
        "ad636f6e66696775726174696f6e81a76d656d62657273939401ae3132372e302e302e313a3930"
        "303100a09402ae3132372e302e302e313a3930303200a09403ae3132372e302e302e313a393030"
        "3300a0a6636f756e74739700000000010000"
    )
    assert block.hex() == "020000000dce638435fc14f235" + "000200000005" + "6b61" + "c58c51c231"
    assert trailer.hex() == (
        "0300000041706a12128017fa2b83a6636f756e74739700000000010000a6626c6f636b7301a664"
        "6967657374c4205e8d57c092a9a957d91262dbe852c6c15971f457b9ae5ada82dc849b29a9b288"
    )


def test_a_snapshot_comes_back_as_it_was():
    decoder, pairs = read(SNAPSHOT)
    assert pairs == PAIRS
    assert decoder.header == Header("c1", 3, Applied(7, 5, 900), VOTERS, counts(keys=2, sessions=1))
    assert decoder.header.index == 7
    assert (decoder.trailer.counts, decoder.trailer.blocks) == (counts(keys=2, sessions=1), 2)
    assert decoder.records == 3


def test_an_empty_state_has_a_snapshot_too():
    header = Header("c1", 0, Applied(), VOTERS, counts())
    encoder = SnapshotEncoder(header)
    decoder, pairs = read(encoder.begin() + encoder.end())
    assert (pairs, decoder.header) == ([], header)


@pytest.mark.parametrize("slice_bytes", [1, 2, 13, 50])
def test_it_may_come_in_any_pieces(slice_bytes):
    _, pairs = read(SNAPSHOT, slice_bytes)
    assert pairs == PAIRS


PREFIXES = st.sampled_from([row.prefix for row in TABLES])
RECORDS = st.dictionaries(
    st.builds(bytes.__add__, PREFIXES, st.binary(max_size=6)),
    st.binary(max_size=300),
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(RECORDS, st.integers(1, 4), st.data())
def test_every_byte_that_is_flipped_missing_or_too_many_is_noticed(records, blocks, data):
    whole = snapshot_of([pair(*one) for one in sorted(records.items())], blocks=blocks)
    at = data.draw(st.integers(0, len(whole) - 1))
    mask = data.draw(st.integers(1, 255))
    flipped = bytearray(whole)
    flipped[at] ^= mask
    inserted = whole[:at] + bytes((mask,)) + whole[at:]
    for damaged in (bytes(flipped), whole[:at], whole[:at] + whole[at + 1 :], inserted):
        with pytest.raises((DamagedError, SnapshotRefusedError)):
            read(damaged, data.draw(st.sampled_from([7, 1 << 20])))


def test_every_flipped_byte_and_every_cut_of_one_snapshot_is_noticed():
    for at in range(len(SNAPSHOT)):
        flipped = bytearray(SNAPSHOT)
        flipped[at] ^= 0x10
        with pytest.raises(DamagedError):
            read(bytes(flipped))
        with pytest.raises(DamagedError, match="cut short"):
            read(SNAPSHOT[:at])


def test_whatever_stands_behind_the_end_is_noticed():
    for behind in (b"\0", SNAPSHOT, SNAPSHOT[16:]):
        with pytest.raises(DamagedError, match="behind its end"):
            read(SNAPSHOT + behind)
    decoder = SnapshotDecoder()
    decoder.feed(SNAPSHOT)
    with pytest.raises(DamagedError, match="behind its end"):
        decoder.feed(b"x")


def frames_of(data):
    """The preamble, and each frame."""
    at, found = 16, [data[:16]]
    while at < len(data):
        end = at + 13 + int.from_bytes(data[at + 1 : at + 5], "big")
        found.append(data[at:end])
        at = end
    return found


def frame(kind, body):
    head = bytes((kind,)) + len(body).to_bytes(4, "big") + crc32c(body).to_bytes(4, "big")
    return head + crc32c(head).to_bytes(4, "big") + body


def test_whole_parts_in_another_order_or_number_are_noticed():
    """Each of them is sound by its own checksum."""
    preamble, header, one, two, trailer = frames_of(SNAPSHOT)
    for parts in (
        (preamble, header, two, one, trailer),
        (preamble, header, one, trailer),
        (preamble, header, one, one, two, trailer),
        (preamble, header, one, two, two, trailer),
        (preamble, header, header, one, two, trailer),
        (preamble, one, two, trailer),
        (preamble, trailer),
        (preamble, header, trailer),
        (preamble, header, one, two, trailer, trailer),
        (preamble, header, one, two),
        (preamble, header, one, two, frame(9, b""), trailer),
        (header, one, two, trailer),
    ):
        with pytest.raises(DamagedError):
            read(b"".join(parts))


@pytest.mark.parametrize(
    "header",
    [
        Header("c1", -3, Applied(7, 5, 900), VOTERS, counts()),
        Header("c1", 3, Applied(-7, 5, 900), VOTERS, counts()),
        Header("c1", 3, Applied(7, -5, 900), VOTERS, counts()),
        Header("c1", 3, Applied(7, 5, -900), VOTERS, counts()),
        Header("c1", 3, Applied(7, 5, 900), VOTERS, (-1, 0)),
        Header("c1", 3, Applied(7, 5, 900), VOTERS, (0, -1)),
        Header("c1", 3, Applied(), VOTERS, counts()),
        Header("c1", 0, Applied(7, 5, 900), VOTERS, counts()),
    ],
    ids=str,
)
def test_a_header_that_can_be_of_no_state_is_damage_whatever_its_checksum(header):
    with pytest.raises(DamagedSnapshotError):
        SnapshotDecoder().feed(SnapshotEncoder(header).begin())


def test_records_in_another_order_are_noticed_at_once():
    with pytest.raises(ValueError, match="not in order"):
        snapshot_of([PAIRS[1], PAIRS[0]])
    preamble, header, one, two, _ = frames_of(SNAPSHOT)
    decoder = SnapshotDecoder()
    with pytest.raises(DamagedError, match="not in order"):
        decoder.feed(b"".join((preamble, header, two, one)))


def test_a_snapshot_with_parts_of_another_one_is_noticed():
    """As of the same index, with the same counts: only the digest tells."""
    _, _, one, two, trailer = frames_of(snapshot_of([pair(b"ka", b"2"), *PAIRS[1:]], blocks=2))
    preamble, header, *_ = frames_of(SNAPSHOT)
    with pytest.raises(DamagedError, match="not those that its end tells of"):
        read(b"".join((preamble, header, one, two, frames_of(SNAPSHOT)[-1])))
    assert trailer != frames_of(SNAPSHOT)[-1]


def test_counts_that_were_announced_must_have_come():
    preamble, _, one, two, _ = frames_of(SNAPSHOT)
    announced = Header("c1", 3, Applied(7, 5, 900), VOTERS, counts(keys=3, sessions=1))
    header = frame(1, msgspec.msgpack.encode(announced))
    body = b"".join((preamble, header, one, two))
    digest = hashlib.blake2b(body, digest_size=32).digest()
    came = snapshot_format.Trailer(counts(keys=2, sessions=1), 2, digest)
    trailer = frame(3, msgspec.msgpack.encode(came))
    with pytest.raises(DamagedError, match="3 keys, 0 leases, 1 sessions are announced"):
        read(body + trailer)


def test_a_record_that_was_damaged_before_it_was_checksummed_is_noticed():
    """A block is sound whose writer had bad memory; the record's own checksum tells."""
    stored, value = pair(b"ka", b"1")
    with pytest.raises(DamagedError, match=r"b'a': its crc32c does not match"):
        read(snapshot_of([(stored, value[:-1] + b"2")]))


def test_a_part_that_says_it_is_huge_is_not_waited_for():
    head = b"\x02" + (1 << 30).to_bytes(4, "big") + b"1234"
    with pytest.raises(DamagedError, match="is announced"):
        SnapshotDecoder().feed(SNAPSHOT[:16] + head + crc32c(head).to_bytes(4, "big"))


@pytest.mark.parametrize(
    ("version", "advice"), [(3, "use the kvstore release that made it, or a later one"), (0, "")]
)
def test_a_snapshot_of_another_version_is_refused_whatever_follows(version, advice):
    raw = version.to_bytes(4, "big")
    newer = b"KVSNAP\r\n" + raw + crc32c(raw).to_bytes(4, "big") + b"nobody knows"
    with pytest.raises(SnapshotRefusedError, match=f"has format version {version}.*{advice}"):
        SnapshotDecoder().feed(newer)


@pytest.mark.parametrize("other", [b"PK\x03\x04 a zip", b"K", b"KVSNAP\n\n" + b"\0" * 20])
def test_another_file_is_no_snapshot(other):
    with pytest.raises(DamagedError):
        read(other)


def test_who_failed_takes_nothing_more():
    decoder = SnapshotDecoder()
    with pytest.raises(DamagedError):
        decoder.feed(b"nonsense")
    with pytest.raises(ValueError, match="damaged"):
        decoder.feed(SNAPSHOT)
    with pytest.raises(DamagedError):
        decoder.finish()


def test_an_encoder_does_not_end_what_it_did_not_write():
    encoder = SnapshotEncoder(Header("c1", 3, Applied(7), VOTERS, counts(keys=1)))
    encoder.begin()
    with pytest.raises(ValueError, match="does not end"):
        encoder.end()


# --- Of a reading, and to a file ----------------------------------------------------------


def fill(state, count=500):
    for number in range(count):
        state.put(b"key %03d" % number, b"x" * (number * 7 % 900))
    state.put(b"large", b"y" * 200_000)
    state.sessions.put(b"12345678", b"a session")
    state.commit(Applied(count, count))
    return state


def stream_of(state):
    return SnapshotStream(state.reading(), "c1", 4, VOTERS)


def drained(stream, bytes_max):
    pieces = []
    while piece := stream.read(bytes_max):
        pieces.append(piece)
    return pieces


def test_equal_states_make_equal_bytes_whatever_holds_them_and_however_asked(tmp_path):
    memory, disk = fill(MemoryState(IDENTITY)), StateOnDisk(tmp_path)
    fill(disk.state)
    one, two = drained(stream_of(memory), 1_000), drained(stream_of(disk.state), 77_777)
    disk.state.close()
    assert b"".join(one) == b"".join(two)
    assert {len(piece) for piece in one[:-1]} == {1_000}


def test_a_stream_tells_how_far_it_is_and_closes_its_reading_at_the_end():
    state = fill(MemoryState(IDENTITY))
    reading = state.reading()
    stream = SnapshotStream(reading, "c1", 4, VOTERS)
    assert (stream.done, stream.total) == (0, 502)
    stream.read(100_000)
    assert 0 < stream.done < 502
    assert reading.is_open
    drained(stream, 1 << 20)
    assert stream.done == 502
    assert stream.is_over
    assert not reading.is_open
    assert stream.read(10) == b""


def test_a_stream_that_is_no_longer_wanted_closes_its_reading():
    reading = fill(MemoryState(IDENTITY)).reading()
    SnapshotStream(reading, "c1", 4, VOTERS).close()
    assert not reading.is_open


def test_a_snapshot_is_read_from_a_file_slice_by_slice(tmp_path):
    state = fill(MemoryState(IDENTITY))
    file = WholeFile(tmp_path / "snapshot")
    for piece in drained(stream_of(state), 10_000):
        file.write(piece)
    assert not (tmp_path / "snapshot").exists()
    file.finish()
    with (tmp_path / "snapshot").open("rb") as opened:
        reader = SnapshotReader(opened, "snapshot")
        assert (reader.header.index, counts_of(reader.header.counts)["keys"]) == (500, 501)
        slices = list(reader.slices())
    assert len(slices) > 1
    reading = state.reading()
    assert [one for some in slices for one in some] == reading.read(1 << 30)
    assert len(reader.digest) == 64


def test_a_file_that_is_cut_short_gives_slices_but_never_an_end():
    whole = b"".join(drained(stream_of(fill(MemoryState(IDENTITY))), 1 << 20))
    for cut in (0, 8, 20, 300_000, len(whole) - 1):
        with pytest.raises(DamagedError, match="the file: the snapshot is cut short"):
            list(SnapshotReader(io.BytesIO(whole[:cut]), "the file").slices())


def test_memory_does_not_grow_with_the_snapshot():
    def peak_of(count):
        state = MemoryState(IDENTITY)
        for number in range(count):
            state.put(b"%06d" % number, b"x" * 1_000)
        state.commit(Applied(1, 1))
        reading = state.reading()
        tracemalloc.start()
        stream = SnapshotStream(reading, "c1", 4, VOTERS)
        decoder = SnapshotDecoder()
        while piece := stream.read(64 << 10):
            decoder.feed(piece)
        decoder.finish()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak_of(4_000) < 1.5 * peak_of(1_000) < 3 << 20


# --- Files that are there when they are whole ---------------------------------------------


def test_a_file_that_is_abandoned_leaves_nothing_and_keeps_what_was_there(tmp_path):
    path = tmp_path / "backup"
    path.write_bytes(b"of yesterday")
    file = WholeFile(path)
    file.write(b"half")
    assert path.read_bytes() == b"of yesterday"
    file.abandon()
    assert path.read_bytes() == b"of yesterday"
    assert list(tmp_path.iterdir()) == [path]


def test_a_finished_file_takes_the_place_of_the_one_before_and_is_private(tmp_path):
    path = tmp_path / "backup"
    path.write_bytes(b"of yesterday")
    (tmp_path / ("backup" + UNFINISHED)).write_bytes(b"what a kill left, and it is longer")
    file = WholeFile(path)
    file.write(b"of today")
    file.finish()
    file.abandon()
    assert path.read_bytes() == b"of today"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(why_strace_cannot_run() is not None, reason=str(why_strace_cannot_run()))
def test_a_file_that_is_finished_outlasts_a_power_cut_and_one_that_is_not_is_the_one_before(
    tmp_path,
):
    """After each call to the file system, all that the disk may hold is looked at."""
    work = tmp_path / "work"
    work.mkdir()
    calls = record(Path(saving_child.__file__), "save", str(work), trace=tmp_path / "trace")
    disk, finished = Disk(work), 0
    may_be = [(None, BEFORE), (BEFORE, AFTER), (AFTER,)]
    for call in calls:
        disk.apply(call)
        finished += isinstance(call, Said)
        for tree in (disk.now(), *disk.after_a_cut()):
            file = dict(tree).get("backup")
            assert (file.data if file else None) in may_be[finished]
    assert finished == 2


def test_of_two_that_write_the_same_file_one_is_refused_and_harms_nothing(tmp_path):
    one = WholeFile(tmp_path / "backup")
    one.write(b"whole")
    with pytest.raises(DiskWriteError, match="another process is writing it"):
        WholeFile(tmp_path / "backup")
    one.finish()
    assert (tmp_path / "backup").read_bytes() == b"whole"


def test_a_file_where_none_can_be_is_refused_at_once(tmp_path):
    with pytest.raises(DiskWriteError, match="No such file"):
        WholeFile(tmp_path / "missing" / "backup")
    for path in (tmp_path, Path("/"), Path()):
        with pytest.raises(DiskWriteError, match="is no file that could be replaced"):
            WholeFile(path)
