"""What the ``rtflow`` command can do, one function each."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rtflow import comparison
from rtflow import demo as demonstration

app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False)


class Venue(StrEnum):
    """The venues whose twins the demo can watch."""

    ALPACA = "alpaca"
    BINANCE = "binance"
    COINBASE = "coinbase"
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


@app.command()
def providers(
    markdown: Annotated[bool, typer.Option("--markdown", help="As README shows it.")] = False,
) -> None:
    """Compare the venues: what each speaks, offers, numbers, checks and limits."""
    if markdown:
        typer.echo(comparison.markdown(), nl=False)
        return
    console = Console(highlight=False)
    for name, profile in comparison.profiles().items():
        console.print(f"[bold]{name}[/]  {profile.title}", soft_wrap=True)
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for column, cell in zip(comparison.COLUMNS, comparison.cells(profile), strict=True):
            table.add_row(column, cell)
        console.print(table)
        console.print(f"  {profile.documents}\n", style="dim", soft_wrap=True)
