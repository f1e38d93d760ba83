"""`make chaos`: every nemesis in random order for a given time, and a verdict.

Law: the exit code is 0 only if everything that was started was healed, judged and found
sound. What a finding can be understood from is kept, in a directory that is named.
"""

from __future__ import annotations

import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from .afterwards import back_up, check_backup, check_recovery, held_by
from .cluster import ChaosCluster, abilities
from .judge import judge, keep
from .nemeses import NEMESES, Nemesis
from .stage import Stage
from .workload import Chatter

FINDINGS_SHOWN = 10


@click.command()
@click.option("--seconds", default=120.0, help="How long nemeses act.")
@click.option("--seed", type=int, help="Decides who is struck, by what, in which order.")
@click.option("--nodes", default=3, help="Size of the cluster.")
@click.option("--only", type=click.Choice([one.__name__ for one in NEMESES]), multiple=True)
def main(seconds: float, seed: int | None, nodes: int, only: tuple[str, ...]) -> None:
    """Real nodes, every fault that this machine can make, and a verdict."""
    # Ended politely, it cleans up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    click.echo(f"chaos with seed {seed}, for {seconds:g} s, on {nodes} nodes")
    click.echo("\n".join(abilities()))
    nemeses = [one for one in NEMESES if not only or one.__name__ in only]
    with tempfile.TemporaryDirectory(prefix="kvstore-chaos-") as directory:
        cluster = ChaosCluster(Path(directory), nodes)
        chatter = Chatter(cluster, seed)
        stage = Stage(cluster, chatter, seed, _narrator(chatter))
        with cluster.running():
            findings = _findings(stage, nemeses, seconds, Path(directory))
            click.echo(chatter.history.summary)
            if findings:
                cluster.close()
                place = Path(tempfile.gettempdir()) / f"kvstore-chaos-{seed}-{int(time.time())}"
                keep(cluster, chatter.history, findings, place)
    if findings:
        click.echo("\n".join(findings[:FINDINGS_SHOWN]))
        click.echo(f"BROKEN  {len(findings)} findings with seed {seed}; all is kept in {place}")
        sys.exit(1)
    click.echo(f"SOUND  nothing wrong, with seed {seed}")


def _findings(
    stage: Stage, nemeses: Sequence[Nemesis], seconds: float, directory: Path
) -> list[str]:
    """Let the nemeses act, and judge. What a nemesis itself finds ends the run."""
    cluster, history = stage.cluster, stage.chatter.history
    try:
        with stage.chatter.running():
            _perform(stage, nemeses, seconds)
            stage.rng = random.Random(stage.seed)
            saved = back_up(stage, directory / "backup")
        cluster.wait_for_leader()
        held = held_by(cluster)
        findings = judge(cluster, history)
        survivor = stage.rng.choice(list(cluster.nodes))
        stage.say(f"restores the backup, and recovers from {survivor}")
        findings += check_backup(saved, held, history, directory / "restored")
        return findings + check_recovery(cluster, survivor, held, directory / "recovered")
    except AssertionError as error:
        return [str(error)]


def _perform(stage: Stage, nemeses: Sequence[Nemesis], seconds: float) -> None:
    """Each once in random order, and again, until the time is up."""
    stage.prepare()
    until = time.monotonic() + seconds
    for nemesis, rng in drawn(nemeses, stage.seed):
        if time.monotonic() > until:
            return
        stage.rng = rng
        nemesis(stage)
        stage.recover()


def drawn(nemeses: Sequence[Nemesis], seed: int) -> Iterator[tuple[Nemesis, random.Random]]:
    """Who strikes, in which order, each with chance of its own: by the seed, and nothing else."""
    rng = random.Random(seed)
    while True:
        for nemesis in rng.sample(nemeses, len(nemeses)):
            yield nemesis, random.Random(rng.getrandbits(64))


def _narrator(chatter: Chatter) -> Callable[[str], None]:
    """Prints what is done, when, and what the clients have been told so far."""
    began = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - began:6.1f} s  {text:<60} {chatter.history.summary}")

    return say


if __name__ == "__main__":
    main()
