"""rtflow bars: a tape, or a table of trades, to a file of bars."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import reactivex
import typer
from reactivex import Observable
from reactivex import operators as ops
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

import rtflow
from rtflow import operators as op
from rtflow import tape as tapes
from rtflow.commands import _options as options
from rtflow.commands._app import app
from rtflow.commands._failures import Code, Failure, arguments
from rtflow.commands._pipeline import follow
from rtflow.commands._replay import Since, Until
from rtflow.commands._tables import SUFFIXES, BarsFile, Trades
from rtflow.commands._verdict import TapeVerdict
from rtflow.counters import Counters
from rtflow.errors import DamagedTape
from rtflow.events import Bar, Event, Lost
from rtflow.kernel import Operator
from rtflow.terminal import Terminal, counted


@app.command()
def bars(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", exists=True, dir_okay=False, help="A tape, or trades as .csv or .parquet."
        ),
    ],
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", dir_okay=False, help="Bars as .csv or .parquet.")
    ],
    venue: Annotated[
        options.Venue | None,
        typer.Option(
            "--venue",
            parser=options.venue_of,
            metavar="VENUE",
            help=f"Whose tape it is. {options.VENUES}",
            show_default=False,
        ),
    ] = None,
    every: Annotated[str | None, typer.Option(metavar="LENGTH", help="500ms, 1s, 5m, 1h, 1d.")] = None,
    ticks: Annotated[int | None, typer.Option(metavar="COUNT", help="Or: so many trades a bar.")] = None,
    volume: Annotated[float | None, typer.Option(metavar="AMOUNT", help="Or: so much volume a bar.")] = None,
    value: Annotated[float | None, typer.Option(metavar="AMOUNT", help="Or: so much money a bar.")] = None,
    feed: options.Choice = None,
    since: Since = None,
    until: Until = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Make bars of a tape, or of a table of trades.

    A table has the columns symbol, ts_event, price and size, and side, if known. Rows are taken in the order
    they stand in. The file appears when it is whole.

    Example: rtflow bars monday.tape monday.parquet --venue kraken --every 1m
    """
    if target.suffix not in SUFFIXES:
        raise Failure(f"{target}: bars go into a file named .csv or .parquet", Code.USAGE)
    if target.exists() and not overwrite:
        raise Failure(f"{target} is there already: choose another name, or say --overwrite", Code.USAGE)
    counters = Counters()
    rule = {"every": every, "ticks": ticks, "volume": volume, "value": value}
    chosen: dict[str, Any] = {name: each for name, each in rule.items() if each is not None}
    with arguments():
        make: Any = op.window_to_bar  # one of its rules, by its name
        maker: Operator[Event, Bar] = make(**chosen, counters=counters)
    console = Terminal(stderr=True)
    with _progress(console) as progress:
        if source.suffix in SUFFIXES:
            events = _of_table(source, progress)
        elif venue is None:
            raise Failure(f"{source} is taken for a tape: say whose with --venue", Code.USAGE)
        else:
            events = _of_tape(source, venue, feed, since, until, counters, progress)
        with BarsFile(target) as file:
            follow(events.pipe(maker), file.add)
    told = sorted((name.replace("_", " "), count) for name, count in counters.items() if count)
    beside = "".join(f", {count:,} {name}" for name, count in told)
    console.print(f"{target}: {counted(file.count, 'bar')}{beside}", soft_wrap=True, markup=False)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _of_table(source: Path, progress: Progress) -> Observable[Event]:
    trades = Trades(source)
    told = _telling(progress, source.name, trades.total, lambda _: trades.done)
    rows: Iterable[Event] = trades
    return reactivex.from_iterable(rows).pipe(ops.do_action(told))


def _of_tape(
    source: Path,
    venue: options.Venue,
    feed: str | None,
    since: str | None,
    until: str | None,
    counters: Counters,
    progress: Progress,
) -> Observable[Event]:
    total = 0
    with suppress(DamagedTape):  # the replay says so, after what is whole
        for block in tapes.blocks(source):
            total = block.index + block.count
    told = _telling(progress, source.name, total, lambda frames: frames)
    frames = rtflow.replay(source, since=options.moment(since), until=options.moment(until))
    provider = options.reader_of(venue, choice=feed)

    verdict = TapeVerdict(venue.value, counters)

    def note(event: Event) -> None:
        verdict.hear(event)
        if isinstance(event, Lost):  # in the recording, or by a tape that is cut
            counters.add("frames lost", event.count)

    judged = ops.do_action(note, on_completed=verdict.judge)
    return frames.pipe(ops.do_action(told), op.normalize(provider, counters=counters), judged)


def _telling(
    progress: Progress, name: str, total: int, done: Callable[[int], int]
) -> Callable[[object], None]:
    """What to do with each item so that the bar moves: little, and seldom."""
    task = progress.add_task(name, total=total)
    passed = 0

    def tell(_: object) -> None:
        nonlocal passed
        passed += 1
        if passed % _SELDOM == 0:
            progress.update(task, completed=done(passed))

    return tell


_SELDOM = 4096
