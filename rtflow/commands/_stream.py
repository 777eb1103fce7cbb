"""rtflow stream: a venue's data, live."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from rtflow import operators as op
from rtflow.commands import _options as options
from rtflow.commands._app import app
from rtflow.commands._pipeline import Asked, feed_of, follow
from rtflow.commands._verdict import LineVerdict
from rtflow.terminal import Item, Screen

Retries = Annotated[
    int, typer.Option("--retries", min=0, metavar="TIMES", help="How often in a row the line may fail.")
]


@app.command()
def stream(
    context: typer.Context,
    venue: options.VenueName,
    symbol: options.Named = None,
    symbols: options.Symbols = None,
    trades: options.Trades = False,
    quotes: options.Quotes = False,
    book: options.Book = False,
    bars: options.Bars = None,
    kind: options.Kinds = None,
    depth: options.Depth = 10,
    url: options.Url = None,
    feed: options.Choice = None,
    seconds: options.Seconds = None,
    retries: Retries = 10,
    plain: options.Plain = False,
    json: options.Json = False,
) -> None:
    """Watch trades, quotes, books and bars.

    What happens to the line is shown, too. A lost line comes back by itself; what may be missing is said as
    a Gap. Ctrl-C ends it.

    Example: rtflow stream kraken BTC/USD ETH/USD --trades --bars 1s
    """
    asked = Asked.of(trades, quotes, book, bars, kind, depth)
    watch(
        venue,
        asked.subscription(options.named(symbol, symbols)),
        asked,
        context=context,
        url=url,
        choice=feed,
        seconds=seconds,
        retries=retries,
        plain=plain,
        json=json,
    )


def watch(
    venue: options.Venue,
    wanted: dict[str, list[str]],
    asked: Asked,
    *,
    context: typer.Context,
    url: str | None,
    choice: str | None,
    seconds: float | None,
    retries: int,
    plain: bool,
    json: bool,
) -> None:
    """The live pipeline that ``stream`` and ``book`` are."""
    provider = options.provider_of(venue, context.obj, url=url, choice=choice)
    feed = feed_of(provider, wanted)
    symbols = [symbol for each in wanted.values() for symbol in each]
    view = options.view_of(provider.name, feed.counters, asked.shows, symbols=symbols, plain=plain, json=json)
    events = feed.pipe(op.retry_with_backoff(retries=retries), op.normalize(provider, counters=feed.counters))
    every = 0.1 if isinstance(view, Screen) else "top"  # an eye sees ten books a second
    items = asked.made_of(events, feed.counters, resync=feed.resync, book_every=every)
    verdict = LineVerdict(provider.name, wanted)

    def show(item: Item) -> None:
        view.show(item)
        verdict.hear(item)

    with suppress(KeyboardInterrupt), view.on():
        follow(items, show, seconds=seconds)
        verdict.over = True
    if isinstance(view, Screen):
        typer.echo(view.tally.summary(feed.counters, feed.epoch))
    verdict.judge()
