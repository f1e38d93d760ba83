"""`make etcd`: more sequences than the suite has time for, played to a real etcd.

Law: the exit code is 0 only if all answers were alike.
"""

from __future__ import annotations

import sys
import time

import click

from .comparing import story
from .drawing import sequence
from .etcd import etcd_running
from .voices import as_far_as_it_is_there, beside_etcd, beside_the_model


@click.command()
@click.option("--sequences", default=1_000, help="How many.")
@click.option("--first", default=0, help="The seed of the first one.")
def main(sequences: int, first: int) -> None:
    """Play random sequences to etcd, and compare all answers."""
    began = time.monotonic()
    with etcd_running() as etcd:
        for seed in range(first, first + sequences):
            steps = sequence(seed)
            told = story(beside_etcd(etcd), steps, f"seed {seed}")
            told = told or story(beside_the_model(), as_far_as_it_is_there(steps), f"seed {seed}")
            if told is not None:
                click.echo(told)
                sys.exit(1)
    took_s = time.monotonic() - began
    click.echo(f"{sequences} sequences were answered alike by all ({took_s:.0f} s)")


main()
