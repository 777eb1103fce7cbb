"""rtflow demo: everything at once, with no key and no internet."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from rtflow import demo as demonstration
from rtflow.commands._app import app
from rtflow.commands._options import chosen, one_of
from rtflow.terminal import Terminal


class Watched(StrEnum):
    """The venues whose twins the demo can watch."""

    ALPACA = "alpaca"
    BINANCE = "binance"
    COINBASE = "coinbase"
    KRAKEN = "kraken"


def _watched(name: str) -> Watched:
    return chosen(name, Watched, "has no demo")


@app.command()
def demo(
    seconds: Annotated[
        float, typer.Option(min=2.0, max=3600.0, metavar="SECONDS", help="How long to run.")
    ] = 20.0,
    seed: Annotated[
        int, typer.Option(metavar="NUMBER", help="Which market: the same seed trades the same.")
    ] = 1,
    venue: Annotated[
        Watched,
        typer.Option(
            parser=_watched, metavar="VENUE", help=f"Whose wire protocol the feed speaks. {one_of(Watched)}"
        ),
    ] = Watched.KRAKEN,
    plain: Annotated[bool, typer.Option("--plain", help="One line per item, for pipes and CI.")] = False,
) -> None:
    """See it work, with no key and no internet.

    Trades, one-second bars and an order book come from a venue's twin on this machine: a seeded market is
    served over a real WebSocket on loopback, in the venue's own protocol. Half way the connection is cut;
    watch it come back, and read what was lost.
    """
    console = Terminal()
    plain = plain or not sys.stdout.isatty()
    demonstration.run(venue.value, seconds=seconds, seed=seed, plain=plain, console=console)
