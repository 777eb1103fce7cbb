"""rtflow replay: a tape as the stream it was: at once, paced, or step by step."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from reactivex import Observable
from reactivex import operators as ops

import rtflow
from rtflow import operators as op
from rtflow import tape as tapes
from rtflow.commands import _options as options
from rtflow.commands._app import app
from rtflow.commands._failures import Code, Failure, arguments
from rtflow.commands._pipeline import Asked, follow
from rtflow.commands._verdict import TapeVerdict
from rtflow.counters import Counters
from rtflow.provider import Subscription, check_kinds
from rtflow.scheduler import NanoScheduler
from rtflow.terminal import Item, Screen, View

Since = Annotated[
    str | None,
    typer.Option(metavar="MOMENT", help="From then on: 2026-09-25T17:48:26Z, a day, or nanoseconds."),
]
Until = Annotated[str | None, typer.Option(metavar="MOMENT", help="Up to then.")]


@app.command()
def replay(
    venue: options.VenueName,
    tape: Annotated[
        Path,
        typer.Argument(metavar="TAPE", exists=True, dir_okay=False, help="What `rtflow record` made."),
    ],
    trades: options.Trades = False,
    quotes: options.Quotes = False,
    book: options.Book = False,
    bars: options.Bars = None,
    kind: options.Kinds = None,
    depth: options.Depth = 10,
    feed: options.Choice = None,
    speed: Annotated[
        float | None,
        typer.Option(metavar="TIMES", help="So many times as fast as it was.", show_default="at once"),
    ] = None,
    step: Annotated[
        bool, typer.Option("--step", help="Wait for Enter after each moment that says something.")
    ] = False,
    since: Since = None,
    until: Until = None,
    plain: options.Plain = False,
    json: options.Json = False,
) -> None:
    """Replay a tape.

    The same items come in the same order as they did live, gaps and all.

    Example: rtflow replay kraken monday.tape --bars 1m --json
    """
    if step and speed is not None:
        raise Failure("--step and --speed exclude each other: say one", Code.USAGE)
    asked = Asked.of(trades, quotes, book, bars, kind, depth)
    provider, counters = options.reader_of(venue, choice=feed), Counters()
    with arguments():
        check_kinds(provider, Subscription.of(**dict.fromkeys(asked.kinds, "*")))
        frames = rtflow.replay(tape, speed=speed, since=options.moment(since), until=options.moment(until))
    view = options.view_of(
        f"{tape.name}", counters, asked.shows, plain=plain, json=json, live=speed is not None
    )
    verdict = TapeVerdict(provider.name, counters)
    events = frames.pipe(op.normalize(provider, counters=counters), ops.do_action(verdict.hear))
    every = 0.1 if isinstance(view, Screen) else "top"
    items = asked.made_of(events, counters, book_every=every)
    with view.on():
        if step:
            _step_through(items, view, tape)
        else:
            follow(items, view.show)
    verdict.judge()


def _step_through(items: Observable[Item], view: View, tape: Path) -> None:
    """Time stands still until Enter moves it to the next stamp at which something is said."""
    clock, failures = NanoScheduler(), list[Exception]()
    subscription = items.subscribe(view.show, failures.append, scheduler=clock)
    said = 0
    try:
        for frame in tapes.read(tape):
            clock.advance_to(max(clock.now_ns, frame.ts_recv))
            if failures:
                raise failures[0]
            if view.tally.items > said:
                said = view.tally.items
                if not _wanted_on():
                    break
    finally:
        subscription.dispose()


def _wanted_on() -> bool:
    """Whether the person wants the next one: Enter does; q, or the end of what is typed, does not."""
    if sys.stdin.isatty():
        typer.echo("-- Enter: on · q: leave -- ", nl=False, err=True)
    typed = sys.stdin.readline()
    return bool(typed) and typed.strip().lower() != "q"
