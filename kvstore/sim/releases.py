"""The releases of a world in which nodes are upgraded one by one, and put back.

Law: what a release speaks is all that makes it another: its code is this one. Of a request that
only the newer ones have, an older one knows nothing.

It must not know who runs which, nor when.
"""

from __future__ import annotations

import random
from typing import Final

import msgspec

from kvstore import api
from kvstore.raft.versions import FIRST_VERSION, SPOKEN, Versions
from kvstore.server.cluster_version import Release

_FIRST: Final = FIRST_VERSION
_LADDERS: Final = (
    (Versions(_FIRST, _FIRST), Versions(_FIRST, _FIRST + 1)),
    (Versions(_FIRST, _FIRST), Versions(_FIRST, _FIRST + 1), Versions(_FIRST, _FIRST + 2)),
    (Versions(_FIRST, _FIRST), Versions(_FIRST, _FIRST + 1), Versions(_FIRST + 1, _FIRST + 2)),
)
"""What the releases of a world speak, oldest first. With the last one, some pairs do not talk."""
_NEWER: Final[tuple[type[api.Write], ...]] = (api.PutMany, api.Delete)
"""Requests that may be younger than the others, and without which a world has enough to do."""


class Releases(msgspec.Struct, frozen=True):
    """Those of a world, oldest first: all begin with the first, and end with the last.

    * `since`: by the tag of a request, the version since which there is one, for those that not
      all of the releases have.
    """

    speak: tuple[Versions, ...] = (SPOKEN,)
    since: dict[str, int] = {}

    def since_of(self, command: api.Command) -> int:
        """As a row says it, where these releases differ from this one."""
        if isinstance(command, api.Once):
            return max(self._since(command), self._since(command.write))
        return self._since(command)

    def _since(self, command: api.Command) -> int:
        return self.since.get(str(command.__struct_config__.tag), api.since_of(command))

    @property
    def programs(self) -> tuple[Release, ...]:
        """What nodes run."""
        return tuple(Release(versions, self.since_of) for versions in self.speak)


def several(rng: random.Random) -> Releases:
    """Two or three releases, of which only the newer ones have some request."""
    speak = rng.choice(_LADDERS)
    newer = rng.sample(_NEWER, rng.randint(1, len(_NEWER)))
    since = {str(one.__struct_config__.tag): rng.choice(speak[1:]).newest for one in newer}
    return Releases(speak, since)
