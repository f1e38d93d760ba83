"""Every limit: bounds of sizes, counts and times.

Law: each has its unit last in its name. This module must not know where a limit is kept to.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kvstore.api.base import KEYS_MAX

MEMBERS_MAX: Final = 7
RECOVER_BUMP: Final = 1 << 40
"""By so much a recovery raises the revision: more than a cluster writes in a hundred days at
100,000 writes a second."""
RESTORE_BUMP: Final = 1 << 44
"""That of sixteen recoveries, which the old cluster may have gone through since its backup."""
BUMP_MAX: Final = 1 << 60
VALUE_BYTES_CEILING: Final = 4 << 20
"""The most that `Limits.value_bytes_max` may be raised to.

A conditional write carries two, and no turn that handles them may be long enough to cost
an election; `tests/process/test_values.py` holds it to that.
"""
TIME_MS_CEILING: Final = 3_600_000
"""The longest time that any setting may ask for: one hour."""
MAP_BYTES_FLOOR: Final = 24 << 20
"""The smallest map: in less, nothing could be written beside what is kept free."""
MAP_BYTES_CEILING: Final = 32 << 40
"""The largest map: two of them, and all else, fit into the 128 TiB of a process on x86-64."""
MAP_BYTES: Final = 64 << 30
"""A map, unless told otherwise."""
CHECK_EVERY_MS: Final = 86_400_000
"""The data of all nodes are compared once a day, unless told otherwise."""
CHECK_EVERY_MS_CEILING: Final = 366 * 86_400_000
LOG_KEPT_BYTES: Final = 32 << 20
"""Of the log, unless told otherwise: some 100,000 writes of 256 bytes."""
LOG_KEPT_BYTES_FLOOR: Final = 64 << 10
"""Less than the log store drops at once would keep nothing."""
_REQUEST_MARGIN_BYTES: Final = 1 << 20


def _frame_bytes(value_bytes_max: int) -> int:
    """Of what carries a conditional put, which has two values, or the reply to one."""
    return 2 * value_bytes_max + _REQUEST_MARGIN_BYTES


class Limits(msgspec.Struct, frozen=True):
    """Bounds on what one peer or client may cost."""

    value_bytes_max: int = 1 << 20
    """A value, and the pairs of one MSET together."""
    request_bytes_max: int = 8 << 20
    """One whole request of a client; a longer one is read to its end and refused."""
    request_keys_max: int = KEYS_MAX
    """Keys that one request reads or writes."""
    txn_operations_max: int = 128
    """Operations of a branch of a transaction, and its comparisons."""
    request_arguments_max: int = 1 + 2 * KEYS_MAX
    """Arguments of one request, its name included."""
    connections_max: int = 4_096
    """Of clients; fewer, where the system allows this process fewer descriptors."""
    newcomers_max: int = 32
    """Connections beyond that, which may turn out to be peers if they say so within 2 s."""
    pipeline_requests_max: int = 4_096
    """Unanswered requests of one connection; further bytes wait unread."""
    turn_steps_max: int = 20_000
    """Work for all clients in one turn, in steps of about a microsecond (`server/load.py`);
    what is more waits for the next turn, that of peers comes before."""
    slice_steps_max: int = 1_000
    """The same for one connection, before others have theirs."""
    pinned_steps_max: int = 20_000
    """Work for reads before which no further entry may be applied."""
    clients_input_bytes_max: int = 32 << 20
    """Unfinished requests of all clients; beyond it each may hold 4 KiB, and who sends a
    longer one gets BUSY."""
    clients_output_bytes_max: int = 112 << 20
    """Unsent replies of all clients, places of those to come, their unfinished requests, and their
    watches with what these were not told yet. One connection may hold replies for an eighth of what
    is free; then its requests wait, and its reads too: as long as the client has something to read,
    otherwise for `request_timeout_ms`."""
    peer_message_bytes_max: int = _frame_bytes(VALUE_BYTES_CEILING)
    """One message of a peer, which may have been told to take the longest values."""
    peer_backlog_bytes_max: int = 2 << 20
    """Unsent messages to one peer with which it gets no further entries, only heartbeats."""
    peer_output_bytes_max: int = 16 << 20
    """Unsent messages to one peer; further ones are dropped, as a network may."""
    apply_steps_per_turn_max: int = 10_000
    """Work of applying in one turn: a long replay must not keep a node from its peers."""
    pending_writes_max: int = 65_536
    """Entries of the log that wait for a majority; further writes get BUSY."""
    pending_bytes_max: int = 48 << 20
    """Recent entries that the log keeps in memory. Beyond half of it, who has requests under way is
    left unread for `request_timeout_ms` at most; beyond all of it, writes get BUSY too."""
    headroom_bytes: int = 16 << 20
    """Room on disk or in a map that clients' writes leave, or get NOSPACE; followers leave half."""
    held_log_bytes_min: int = 8 << 20
    """Of its log a leader holds four times `log_kept_bytes` for others, this at least, or what a
    snapshot has, if that is more; who needs older entries gets a snapshot."""
    reply_bytes_max: int = 16 << 20
    """Values read for one reply; a scan ends its page there, a larger MGET or EXISTS is refused."""
    scan_keys_max: int = 10_000
    """Keys of one page of a scan."""
    scan_cursors_max: int = 8_192
    """SCAN positions remembered for all clients; who has most of them loses one first."""
    pinned_bytes_max: int = 256 << 20
    """A backup, a comparison, or a snapshot that is being written, ends when the data's file has
    grown so far because what it reads is not used again; sooner, if writes are close to NOSPACE."""
    backups_max: int = 4
    """Backups that a node gives at once. While one is given, the file of the data may grow."""
    backup_idle_ms: int = 10_000
    """A backup ends if nobody asks for its next piece for so long,"""
    backup_grace_ms: int = 60_000
    """or if it takes longer than this, and longer than what it has given takes at"""
    backup_pace_bytes: int = 1 << 20
    """a second."""
    check_ms: int = 1_800_000
    """A node gives up a digest of its data that takes longer. While it is being taken, the file of
    the data may grow."""

    watches_max: int = 20_000
    """Watches on one node; further ones get BUSY."""
    watches_of_client_max: int = 10_000
    """The same on one connection."""
    watch_queue_bytes_max: int = 2 << 20
    """What one connection has not taken of what its watches are told. Then it is read again from
    history, when there is somebody who takes it."""
    watch_bytes_max: int = 8 << 20
    """The same for all together; beyond it, who took nothing for longest reads it again."""
    watch_steps_per_turn_max: int = 2_000
    """Work of reading history for watches in one turn."""

    @classmethod
    def for_values(cls, value_bytes_max: int) -> Limits:
        """The default limits, and a request as long as such values need it; whatever else these
        pass on their way has room for the longest.
        """
        request_bytes = max(cls().request_bytes_max, _frame_bytes(value_bytes_max))
        return cls(value_bytes_max=value_bytes_max, request_bytes_max=request_bytes)
