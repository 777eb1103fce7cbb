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
from rtflow.commands._verdict import LineVerdict
from rtflow.events import Event, Frame, FrameKind, Gap, Lost, Malformed, Status
from rtflow.terminal import Terminal, counted, line_of


@app.command()
def record(
    context: typer.Context,
    venue: options.VenueName,
    tape: Annotated[
        Path,
        typer.Argument(metavar="TAPE", help="Where to; a tape that is there is continued.", dir_okay=False),
    ],
    symbol: options.Named = None,
    symbols: options.Symbols = None,
    trades: options.Trades = False,
    quotes: options.Quotes = False,
    book: options.Book = False,
    kind: options.Kinds = None,
    url: options.Url = None,
    feed: options.Choice = None,
    seconds: options.Seconds = None,
    retries: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="TIMES", help="How often in a row the line may fail.", show_default="for ever"
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin the tape anew.")] = False,
    fsync: Annotated[bool, typer.Option("--fsync", help="Wait for the disk at each flush.")] = False,
) -> None:
    """Record a venue's frames onto a tape.

    They are kept byte for byte, as they come, with their stamps; no key is ever on a tape. What was received
    100 ms ago is in the file, so a recording that is killed loses no more. Ctrl-C ends it.

    Example: rtflow record kraken monday.tape BTC/USD --trades --book
    """
    asked = Asked.of(trades, quotes, book, None, kind, 10)
    provider = options.provider_of(venue, context.obj, url=url, choice=feed)
    wanted = asked.subscription(options.named(symbol, symbols))
    source = feed_of(provider, wanted)
    console = Terminal(stderr=True)
    recording, verdict = _Recording(tape, console, overwrite=overwrite), LineVerdict(provider.name, wanted)
    frames = source.pipe(
        rtflow.record(tape, overwrite=overwrite, fsync=fsync), op.retry_with_backoff(retries=retries)
    )
    events = frames.pipe(
        ops.do_action(recording.count), op.normalize(provider), op.only(Status, Gap, Lost, Malformed)
    )

    def hear(event: Event) -> None:
        recording.hear(event)
        verdict.hear(event)

    with suppress(KeyboardInterrupt), Live(get_renderable=recording.line, console=console, transient=True):
        follow(events, hear, seconds=seconds)
        verdict.over = True
    console.print(recording.line(), soft_wrap=True)
    verdict.judge()


class _Recording:
    """How far it is, in a line; and what happens to the line, in lines of its own."""

    def __init__(self, tape: Path, console: Console, *, overwrite: bool) -> None:
        self._tape = tape
        self._before = 0 if overwrite else self._size()
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
        """The whole of it in a line; of a tape that is continued, what this run added, and all of it."""
        size = self._size()
        added = f"{_told(size - self._before)} added · {_told(size)} in all" if self._before else _told(size)
        gaps = f" · {counted(self._gaps, 'gap')}" if self._gaps else ""
        return Text(f"{self._tape}: {counted(self._frames, 'frame')} · {added}{gaps}")

    def _size(self) -> int:
        return self._tape.stat().st_size if self._tape.exists() else 0


def _told(size: int) -> str:
    return f"{size / 1e6:,.2f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


_QUIET = ("heartbeat", "venue", "authenticated", "unsubscribed")
