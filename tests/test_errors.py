"""What every error carries, and what its code and its `retryable` promise."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import kvstore
from kvstore import api, errors

RETRYABLE = {
    "NOTLEADER",
    "NOLEADER",
    "BUSY",
    "NOSPACE",
    "NOHEIR",
    "NOCHANGE",
    "STALE",
    "FULL",
    "FORKED",
}


def kinds(of: type[errors.KvstoreError] = errors.KvstoreError) -> Iterator[type]:
    yield of
    for kind in of.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield from kinds(kind)


SAMPLES = [
    errors.ConfigError("c"),
    errors.StorageError("s"),
    errors.StorageUnavailableError("s"),
    errors.DirectoryRefusedError("d"),
    errors.DamagedError("d"),
    errors.DamagedStateError("d"),
    errors.DamagedSnapshotError("d"),
    errors.SnapshotRefusedError("s"),
    errors.DiskWriteError("d"),
    errors.MapFullError("m"),
    errors.ProtocolError("p"),
    errors.RefusedError("r"),
    errors.RefusedError("BUSY b", "BUSY"),
    errors.NotLeaderError("n", "127.0.0.1:9001"),
    errors.CompactedError("c", 7),
    errors.GuardFailedError(b"k", 3, 5),
    errors.TransactionFailedError(["version of 'k' = 0: it is 2"], 5),
    errors.OutcomeUnknownError("u"),
    errors.UnreachableError("u"),
]


def test_each_kind_of_error_has_a_sample() -> None:
    roots = {errors.KvstoreError, errors.RequestError}
    assert {type(error) for error in SAMPLES} == set(kinds()) - roots


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: f"{type(error).__name__} {error.code}")
def test_an_error_keeps_all_that_it_says_on_its_way_to_another_process(
    error: errors.KvstoreError,
) -> None:
    assert error.code.isalpha()
    assert error.code.isupper()
    assert error.code != errors.KvstoreError.code
    assert isinstance(error.retryable, bool)
    other = pickle.loads(pickle.dumps(error))
    assert type(other) is type(error)
    assert (str(other), vars(other)) == (str(error), vars(error))
    assert (other.code, other.retryable) == (error.code, error.retryable)


@pytest.mark.parametrize(
    "code", sorted({*map(str, api.FailureCode), *RETRYABLE, "INSIDE", "GUARD"})
)
def test_what_says_nothing_against_the_request_may_be_tried_again(code: str) -> None:
    assert errors.RefusedError("text", code).retryable is (code in RETRYABLE)


def test_only_what_certainly_changed_nothing_is_worth_another_try() -> None:
    retryable = {type(error) for error in SAMPLES if error.retryable}
    assert retryable == {errors.RefusedError, errors.NotLeaderError, errors.UnreachableError}


def test_a_setting_that_is_wrong_is_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="timeout"):
        kvstore.Client(timeout_ms=0)


README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_readme_tells_of_each_error_what_is_so() -> None:
    _, _, rest = README.read_text().partition("<!-- errors -->")
    told: dict[tuple[str, str], bool] = {}
    for row in rest.partition("\n\n")[0].splitlines()[3:]:
        _, names, codes, retryable, *_ = row.split("|")
        (name,) = re.findall(r"`(\w+)`", names)
        told.update({(name, code): "yes" in retryable for code in re.findall(r"`(\w+)`", codes)})
    sent = set(map(str, api.FailureCode)) - {"UNKNOWN", "NOTLEADER", "COMPACTED"}
    refused = [errors.RefusedError("r", code) for code in sent | RETRYABLE - {"NOTLEADER"}]
    samples = [*refused, errors.RefusedError("r", "INSIDE"), *SAMPLES]
    assert told == {
        (type(error).__name__, error.code): error.retryable
        for error in samples
        if type(error).__name__ in kvstore.__all__
    }


# --- What the package offers --------------------------------------------------------------


def test_the_package_offers_what_its_methods_give_and_raise() -> None:
    for name in kvstore.__all__:
        assert getattr(kvstore, name).__name__ == name
        assert name in dir(kvstore)
    inside = {"Failure", "GuardFailed", "BackupPiece"}
    given = {kind.__name__ for kind in api.RESULTS} - inside
    given = {name for name in given if not name.startswith("Watch")}  # A watch gives batches.
    assert given | {"KeyValue"} <= set(kvstore.__all__)
    assert {kind.__name__ for kind in kinds(errors.RequestError)} <= set(kvstore.__all__)
