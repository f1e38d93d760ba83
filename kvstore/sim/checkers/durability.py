"""What a node takes for durable is on its disk.

Law: when a turn is over, the log as the node knows it, up to where it takes it for durable,
ends on its disk with the same entry; and so is the term in which it speaks. The disk may be
ahead of what the node has heard of it, and never behind.
"""

from __future__ import annotations

from kvstore.sim.checkers.checker import Checker, Watched


class Durability(Checker):
    """Looks at each node when its turn is over."""

    theorem = "what is taken for durable is on the disk"

    def turned(self, host: Watched) -> None:
        raft, disk = host.running.raft, host.disk.log
        index = raft.log.durable_index
        term = disk.terms.get(index)
        # Of what a log begins after nothing is taken for anything.
        first = max(disk.terms.start, raft.log.start.index)
        if index > first and term != raft.log.term(index):
            self.fail(
                f"node {host.id} takes entry {index} of term {raft.log.term(index)} for durable,"
                f" its disk holds {'none' if term is None else f'one of term {term}'}"
            )
        taken, held = raft.durable_hard_state, disk.hard_state
        if taken.current_term > held.current_term or taken.admitted_at > held.admitted_at:
            self.fail(f"node {host.id} takes {taken} for durable, its disk holds {held}")
        if taken.current_term == held.current_term and taken.voted_for not in (
            None,
            held.voted_for,
        ):
            self.fail(f"node {host.id} takes {taken} for durable, its disk holds {held}")
