"""SCAN reads pages of keys, and shows those that match."""

from __future__ import annotations

import pytest

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.wire.commands import CommandError
from kvstore.wire.scan import PATTERN_BYTES_MAX, ScanArguments, parse_scan

LIMITS = Limits(scan_keys_max=100)


def parse(line: str) -> ScanArguments:
    return parse_scan(line.encode().split(b" "), LIMITS)


def page(*keys: bytes) -> api.ScanResult:
    return api.ScanResult(1, tuple(api.KeyValue(key, b"", 1, 1, 1) for key in keys), None)


def test_without_options_ten_keys_are_read_from_where_the_cursor_stands() -> None:
    scan = parse("SCAN 7")
    assert scan.cursor == 7
    assert scan.request(b"start") == api.Scan(b"start", b"", 10, with_values=False)


def test_the_reply_is_the_next_cursor_and_the_keys() -> None:
    reply = parse("SCAN 0").render(page(b"a", b"\r\n"), 42)
    assert reply == b"*2\r\n$2\r\n42\r\n*2\r\n$1\r\na\r\n$2\r\n\r\n\r\n"


def test_an_empty_page_is_an_empty_array() -> None:
    assert parse("SCAN 0").render(page(), 0) == b"*2\r\n$1\r\n0\r\n*0\r\n"


def test_the_pattern_is_part_of_the_request() -> None:
    assert parse("scan 0 match u:?").request(b"").pattern == b"u:?"
    assert parse("scan 0").request(b"").pattern is None


def test_the_literal_prefix_of_the_pattern_narrows_the_scan() -> None:
    assert parse("SCAN 0 MATCH user:*").request(b"").prefix == b"user:"


def test_a_prefix_longer_than_any_key_is_still_a_valid_scan() -> None:
    request = parse("SCAN 0 MATCH " + "x" * 500).request(b"")
    assert api.complaint_about(request, LIMITS) is None


def test_every_key_is_a_string_and_nothing_is_of_another_type() -> None:
    assert b"$1\r\na\r\n" in parse("SCAN 0 TYPE STRING").render(page(b"a"), 0)
    assert parse("SCAN 0 TYPE hash").render(page(b"a"), 0) == b"*2\r\n$1\r\n0\r\n*0\r\n"


def test_options_come_in_any_order_and_the_last_of_a_kind_counts() -> None:
    scan = parse("SCAN 3 COUNT 5 TYPE string MATCH a* COUNT 6 MATCH b*")
    assert scan.request(b"") == api.Scan(b"", b"b", 6, with_values=False, pattern=b"b*")


def test_a_count_beyond_the_limit_is_cut_to_it() -> None:
    assert parse("SCAN 0 COUNT 9223372036854775807").count == 100


@pytest.mark.parametrize("cursor", ["x", "", "-1", "1.5", "+1", "1_0", "1" * 30])
def test_a_cursor_that_is_no_number_is_refused(cursor: str) -> None:
    with pytest.raises(CommandError, match=r"^ERR invalid cursor$"):
        parse(f"SCAN {cursor}")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("MATCH", "ERR syntax error"),
        ("MATCH a COUNT", "ERR syntax error"),
        ("FOO bar", "ERR syntax error"),
        ("COUNT 0", "ERR syntax error"),
        ("COUNT -1", "ERR syntax error"),
        ("COUNT x", "ERR value is not an integer or out of range"),
        ("COUNT 9223372036854775808", "ERR value is not an integer or out of range"),
        ("MATCH " + "x" * (PATTERN_BYTES_MAX + 1), "ERR a pattern has at most 512 bytes"),
    ],
)
def test_wrong_options_are_refused_in_redis_words(options: str, text: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse(f"SCAN 0 {options}")
    assert str(caught.value) == text
