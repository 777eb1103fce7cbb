"""rtflow book: order books as ladders."""

from __future__ import annotations

import typer

from rtflow.commands import _options as options
from rtflow.commands._app import app
from rtflow.commands._pipeline import Asked
from rtflow.commands._stream import Retries, watch


@app.command()
def book(
    context: typer.Context,
    venue: options.VenueName,
    symbol: options.Named = None,
    symbols: options.Symbols = None,
    depth: options.Depth = 10,
    url: options.Url = None,
    feed: options.Choice = None,
    seconds: options.Seconds = None,
    retries: Retries = 10,
    plain: options.Plain = False,
    json: options.Json = False,
) -> None:
    """Watch order books, a ladder each.

    They are checked as far as the venue allows, and never shown when they are not right. With --plain a line
    whenever best bid and offer change; with --json the levels too.

    Example: rtflow book kraken BTC/USD
    """
    wanted = {"books": options.named(symbol, symbols)}
    watch(
        venue,
        wanted,
        Asked(book=True, depth=depth),
        context=context,
        url=url,
        choice=feed,
        seconds=seconds,
        retries=retries,
        plain=plain,
        json=json,
    )
