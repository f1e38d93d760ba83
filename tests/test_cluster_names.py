"""Names of clusters that are made of other ones."""

from __future__ import annotations

import pytest

from kvstore.cluster_names import CHARACTERS_MAX, STEM_CHARACTERS_MAX, is_meant, successor_of


@pytest.mark.parametrize("name", ["kvstore-4e2070a5", "prod", "c" * STEM_CHARACTERS_MAX])
def test_who_names_the_first_cluster_means_each_one_that_comes_of_it(name: str) -> None:
    seen = {name}
    found = name
    for generation in range(20):
        found = successor_of(found, b"%d" % generation)
        assert len(found) <= CHARACTERS_MAX
        assert is_meant(name, found)
        assert found not in seen
        seen.add(found)


def test_a_name_without_room_for_a_mark_is_cut_and_not_meant() -> None:
    name = "c" * (STEM_CHARACTERS_MAX + 1)
    found = successor_of(name, b"")
    assert len(found) == CHARACTERS_MAX
    assert not is_meant(name, found)
    assert is_meant(name[:-1], found)
