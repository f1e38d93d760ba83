"""Random worlds: loss, duplication, reordering, crashes at any point of a turn; then peace.

Law: a seed says everything about its run. The safety phase checks, the liveness
phase removes all faults and requires progress.
"""

from __future__ import annotations

import random

import pytest

from kvstore.raft.reads import ReadReady
from kvstore.raft.types import LogStart, RaftSettings, Role

from .harness import World

SEEDS = 250
STEPS = 400
BATCH = 25
STARTS = (LogStart(), LogStart(1, 1), LogStart(1_000_000_000, 7))
"""Where the logs of a world begin."""
ROUNDS_TO_CALM = 100
"""Of 50 ms: several elections' worth, should the first ones split the vote. Time passes in steps
for all nodes alike, so two that draw the same step split it, and may do so again."""
PEACE = STEPS + 1
"""The read that is asked when all is calm."""


class Storm:
    """One random run."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        small = RaftSettings(
            append_bytes_max=4,
            append_entries_max=2,
            catch_up_work_max=1,
            inflight_messages_max=2,
            cached_bytes_max=6,
        )
        self.world = World(
            self.chance.choice([1, 2, 3, 3, 3, 4, 5, 5]),
            seed=seed,
            start=random.Random(f"start of {seed}").choice(STARTS),
            settings=self.chance.choice([RaftSettings(), small]),
        )
        self.proposed = 0
        self.asked = 0
        acts = [self.deliver] * 30 + [self.tick] * 8 + [self.propose] * 5 + [self.stand] * 1
        acts += (
            [self.read] * 5
            + [self.several] * 3
            + [self.restart] * 3
            + [self.lose] * 2
            + [self.duplicate] * 2
        )
        acts += [self.crash, self.crash_in_a_turn, self.keep_state, self.partition, self.crowd]
        self.acts = acts
        self._compaction = random.Random(f"compaction of {seed}")
        self._compacts = self._compaction.random() < 0.5
        self.compacted = 0

    def run(self) -> None:
        for _ in range(STEPS):
            self.chance.choice(self.acts)()
            if self._compacts and self._compaction.random() < 0.4:
                self.compact()

    # --- Acts -----------------------------------------------------------------------------

    def someone(self) -> int | None:
        return self.chance.choice(self.world.alive) if self.world.alive else None

    def pick(self) -> int | None:
        """Position of a message: mostly an old one, sometimes any."""
        if not self.world.bag:
            return None
        if self.chance.random() < 0.6:
            return 0
        return self.chance.randrange(len(self.world.bag))

    def deliver(self) -> None:
        position = self.pick()
        if position is not None:
            message = self.world.bag.pop(position)
            if message.recipient in self.world.alive:
                self.world.hand(message)

    def several(self) -> None:
        """A turn that reads several messages, and may start an election on top."""
        node_id = self.someone()
        if node_id is not None:
            self.world.hand_in_one_turn(node_id, *self.world.take_sent(to=node_id))

    def tick(self) -> None:
        node_id = self.someone()
        if node_id is not None:
            self.world.tick(node_id, self.chance.choice([50, 100, 300]))

    def stand(self) -> None:
        """Someone's patience ends now."""
        node_id = self.someone()
        if node_id is not None and self.world.raft(node_id).role is not Role.LEADER:
            self.world.time_out(node_id)

    def propose(self) -> None:
        leaders = self.world.leaders
        if leaders:
            self.proposed += 1
            self.world.propose(self.chance.choice(leaders), f"{self.proposed}")

    def read(self) -> None:
        """Ask anybody who believes to lead, rightly or not; the harness holds the answer to §8."""
        leaders = self.world.leaders
        if leaders:
            self.asked += 1
            self.world.read(self.chance.choice(leaders), self.asked)

    def lose(self) -> None:
        position = self.pick()
        if position is not None:
            del self.world.bag[position]

    def duplicate(self) -> None:
        position = self.pick()
        if position is not None:
            self.world.bag.append(self.world.bag[position])

    def crash(self) -> None:
        node_id = self.someone()
        if node_id is not None:
            self.world.crash(node_id)

    def crash_in_a_turn(self) -> None:
        """After the early messages, or after the write, but before anything else left."""
        node_id = self.someone()
        if node_id is None:
            return
        if self.world.raft(node_id).role is Role.LEADER:
            self.world.act(node_id, lambda raft: raft.propose(b"torn"))
        for message in self.world.take_sent(to=node_id):
            self.world.act(node_id, lambda raft, message=message: raft.step(message))
        effects = self.world.take(node_id)
        if self.chance.random() < 0.5:
            self.world.write(node_id, effects)
        self.world.crash(node_id)

    def restart(self) -> None:
        down = sorted(set(self.world.nodes) - set(self.world.alive))
        if down:
            self.world.restart(self.chance.choice(down))

    def compact(self) -> None:
        """Somebody drops what it may and all hold, or a part; nobody here fetches a snapshot.

        Drawn by itself, so the rest is as it was.
        """
        if not self.world.alive:
            return
        node_id = self._compaction.choice(self.world.alive)
        raft, node = self.world.raft(node_id), self.world.nodes[node_id]
        last = min(raft.droppable_index, node.last_applied)
        first = raft.log.start.index + 1
        while first <= last and not self.is_held_by_all(last, raft.log.term(last)):
            last -= 1
        if first <= last:
            self.compacted += 1
            self.world.compact(node_id, self._compaction.choice((last, last, first)))

    def is_held_by_all(self, index: int, term: int) -> bool:
        """Whether the entry of this name, and so all before it, is on every disk, or was."""
        for node in self.world.nodes.values():
            disk = node.disk
            at = disk.before(index)
            if index > disk.start.index and not (at < len(disk.log) and disk.log[at].term == term):
                return False
        return True

    def keep_state(self) -> None:
        """The key space of a node reaches its disk, as far as it is applied."""
        node = self.world.nodes[self.chance.choice(sorted(self.world.nodes))]
        if node.raft is not None:
            node.disk.last_applied = node.last_applied

    def partition(self) -> None:
        if self.chance.random() < 0.5:
            self.world.heal()
        elif self.chance.random() < 0.5:
            self.world.isolate(self.chance.choice(sorted(self.world.nodes)))
        else:
            one, two = self.chance.choices(sorted(self.world.nodes), k=2)
            self.world.cut.add((one, two))

    def crowd(self) -> None:
        """The link to somebody fills up, or they all are free again."""
        someone = self.chance.choice(sorted(self.world.nodes))
        self.world.crowded = {someone} if self.chance.random() < 0.5 else set()


def require_progress(world: World) -> None:
    """With all faults gone, someone leads and stays, and everyone applies what it is given."""
    world.heal()
    world.crowded = set()
    for node_id in sorted(set(world.nodes) - set(world.alive)):
        world.restart(node_id)
    for _ in range(ROUNDS_TO_CALM):
        world.tick_all(50)
        world.settle()
    (leader,) = world.leaders
    index = world.propose(leader, "peace")
    world.settle()
    world.heartbeat(leader)
    world.answered(leader)
    world.read(leader, PEACE)
    world.settle()
    assert world.answered(leader) == [ReadReady(leader, PEACE, index)]
    for node in world.nodes.values():
        assert node.last_applied == index
        assert node.applied == world.nodes[leader].applied
    assert world.leaders == [leader]


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_safety_in_a_storm_and_progress_in_peace(first: int) -> None:
    """Raft Figure 3 in every step (the harness checks), and §5.6 after the last fault."""
    for seed in range(first, first + BATCH):
        storm = Storm(seed)
        try:
            storm.run()
            require_progress(storm.world)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise


def test_storms_elect_commit_and_overwrite() -> None:
    """A storm in which nothing happens would prove nothing."""
    terms, committed, rolled_back, asked, answered, compacted = 0, 0, 0, 0, 0, 0
    for seed in range(60):
        storm = Storm(seed)
        storm.run()
        terms += len(storm.world.safety.leaders)
        committed += len(storm.world.safety.committed)
        asked += storm.asked
        compacted += storm.compacted
        answered += storm.world.safety.reads_answered
        for node_id in storm.world.nodes:
            lines = storm.world.lines(node_id)
            rolled_back += sum(line.startswith("rolled back") for line in lines)
    assert terms > 100
    assert committed > 200
    assert rolled_back > 5
    assert compacted > 40
    assert 100 < answered < asked
