"""What the ``rtflow`` command can do, one function each."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from rtflow import demo as demonstration

app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False)


class Venue(StrEnum):
    """The venues that have a twin."""

    ALPACA = "alpaca"
    KRAKEN = "kraken"


@app.callback()
def rtflow() -> None:
    """Real-time market data as one typed stream that recovers by itself and says what it lost."""


@app.command()
def demo(
    seconds: Annotated[float, typer.Option(min=2.0, max=3600.0, help="How long to run.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Which market: the same seed trades the same.")] = 1,
    venue: Annotated[Venue, typer.Option(help="Whose wire protocol the feed speaks.")] = Venue.KRAKEN,
    plain: Annotated[bool, typer.Option("--plain", help="One line per item, for pipes and CI.")] = False,
) -> None:
    """Watch trades, one-second bars and an order book from a venue's twin on this machine.

    No key and no internet: a seeded market is served over a real WebSocket on loopback, in the venue's own
    protocol. Half way the connection is cut; watch it come back, and read what was lost.
    """
    console = Console(highlight=False)
    plain = plain or not sys.stdout.isatty()
    demonstration.run(venue.value, seconds=seconds, seed=seed, plain=plain, console=console)
