"""rtflow record: a venue's frames onto a tape."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from reactivex import operators as ops
from rich.console import Console
from rich.live import Live
from rich.text import Text

import rtflow
from rtflow import operators as op
from rtflow.commands import _options as options
from rtflow.commands._app import app
from rtflow.commands._pipeline import Asked, feed_of, follow
from rtflow.events import Event, Frame, FrameKind, Gap, Lost, Malformed, Status
from rtflow.terminal import Terminal, counted, line_of


@app.command()
def record(
    context: typer.Context,
    venue: options.VenueName,
    tape: Annotated[
        Path, typer.Argument(help="Where to; a tape that is there is continued.", dir_okay=False)
    ],
    symbols: options.Symbols,
    trades: options.Trades = False,
    quotes: options.Quotes = False,
    book: options.Book = False,
    kind: options.Kinds = None,
    url: options.Url = None,
    feed: options.Choice = None,
    seconds: options.Seconds = None,
    retries: Annotated[
        int | None,
        typer.Option(min=0, help="How often in a row the line may fail.", show_default="for ever"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin the tape anew.")] = False,
    fsync: Annotated[bool, typer.Option("--fsync", help="Wait for the disk at each flush.")] = False,
) -> None:
    """Record a venue's frames onto a tape.

    They are kept byte for byte, as they come, with their stamps; no key is ever on a tape. What was received
    100 ms ago is in the file, so a recording that is killed loses no more. Ctrl-C ends it.

    Example: rtflow record kraken monday.tape -s BTC/USD --trades --book
    """
    asked = Asked.of(trades, quotes, book, None, kind, 10)
    provider = options.provider_of(venue, context.obj, url=url, choice=feed)
    source = feed_of(provider, asked.subscription(options.listed(symbols)))
    console = Terminal(stderr=True)
    recording = _Recording(tape, console)
    frames = source.pipe(
        rtflow.record(tape, overwrite=overwrite, fsync=fsync), op.retry_with_backoff(retries=retries)
    )
    events = frames.pipe(
        ops.do_action(recording.count), op.normalize(provider), op.only(Status, Gap, Lost, Malformed)
    )
    with suppress(KeyboardInterrupt), Live(get_renderable=recording.line, console=console, transient=True):
        follow(events, recording.hear, seconds=seconds)
    console.print(recording.line(), soft_wrap=True)


class _Recording:
    """How far it is, in a line; and what happens to the line, in lines of its own."""

    def __init__(self, tape: Path, console: Console) -> None:
        self._tape = tape
        self._console = console
        self._frames = 0
        self._gaps = 0

    def count(self, frame: Frame) -> None:
        """Another frame is on the tape."""
        self._frames += frame.kind is not FrameKind.STATUS

    def hear(self, event: Event) -> None:
        """Tell what a person should know of."""
        if isinstance(event, Gap) and event.ts_end is None:
            self._gaps += 1
        if not (isinstance(event, Status) and event.state in _QUIET):
            self._console.print(Text(line_of(event)), soft_wrap=True)

    def line(self) -> Text:
        """The whole of it in a line."""
        size = self._tape.stat().st_size if self._tape.exists() else 0
        gaps = f" · {counted(self._gaps, 'gap')}" if self._gaps else ""
        return Text(f"{self._tape}: {self._frames:,} frames · {size / 1e6:,.2f} MB{gaps}")


_QUIET = ("heartbeat", "venue", "authenticated", "unsubscribed")
