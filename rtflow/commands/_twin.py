"""rtflow twin: a venue on this machine, for the other commands to talk to."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Annotated, Any, NamedTuple

import typer

from rtflow.commands import _options as options
from rtflow.commands._app import app
from rtflow.commands._failures import Failure
from rtflow.scheduler import wait
from rtflow.twin import Listing, Twin
from rtflow.twin.ibkr import conid


class _Dialect(NamedTuple):
    """How a venue's twin is asked for, and how that venue spells what is listed there."""

    twin: str
    spelled: Callable[[str], str] = str
    choice: str = ""  # the twin's option that is --feed, and what it is by default
    default: str = ""


def _joined(symbol: str) -> str:
    return symbol.replace("/", "")


def _dashed(symbol: str) -> str:
    return symbol.replace("/", "-")


def _numbered(symbol: str) -> str:
    return str(conid(symbol))


_DIALECTS = {
    "alpaca": _Dialect("alpaca", choice="feed", default="iex"),
    "angelone": _Dialect("angelone"),
    "binance": _Dialect("binance", _joined, choice="kind", default="spot"),
    "coinbase": _Dialect("coinbase", _dashed),
    "coinbase_exchange": _Dialect("coinbase", _dashed, choice="feed", default="exchange"),
    "ibkr": _Dialect("ibkr", _numbered),
    "kraken": _Dialect("kraken"),
    "polygon": _Dialect("polygon", _dashed, choice="cluster", default="stocks"),
}
_WARMUP = 5.0  # seconds of market that nobody saw; enough to fill the books
_STOCKS = ("iex", "sip", "delayed_sip", "boats", "overnight", "stocks")


@app.command()
def twin(
    venue: options.VenueName,
    feed: options.Choice = None,
    seconds: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How long it serves.")] = 3600.0,
    seed: Annotated[
        int, typer.Option(metavar="NUMBER", help="Which market: the same seed trades the same.")
    ] = 1,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Where; 0 is any that is free.")
    ] = 0,
) -> None:
    """Serve a venue on this machine, to try things on.

    A twin is a seeded market in the venue's own protocol, open to any key. The first line is its address.
    Nobody but this machine can reach it. Ctrl-C ends it.
    """
    dialect = _DIALECTS[venue.value]
    chosen = feed or dialect.default
    options.check_choice(venue, feed)
    choice: dict[str, Any] = {dialect.choice: chosen} if chosen else {}
    details: dict[str, Any] = {"seed": seed, "port": port, "lifetime": seconds, "warmup": _WARMUP, **choice}
    with _advising(port), Twin(dialect.twin, **details) as served:
        symbols = _symbols(served, dialect, chosen)
        typer.echo(served.url)
        typer.echo(f"symbols: {' '.join(symbols)}")
        flag = f" --feed {feed}" if feed else ""
        typer.echo(f"try: rtflow stream {venue.value}{flag} --url {served.url} --symbols {symbols[0]}")
        with suppress(KeyboardInterrupt):
            wait(threading.Event(), seconds)


@contextmanager
def _advising(port: int) -> Generator[None]:
    """Where somebody else listens at ``port`` already, say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise Failure(f"port {port} is in use: choose another --port, or 0 for any that is free") from None


def _symbols(served: Twin, dialect: _Dialect, chosen: str) -> list[str]:
    """What can be asked for, as the venue spells it."""
    listings = served.market.listings.values()
    return [dialect.spelled(each.symbol) for each in listings if _listed(each, dialect, chosen)]


def _listed(listing: Listing, dialect: _Dialect, chosen: str) -> bool:
    """Whether ``chosen`` serves it; where there are stocks and coins, a feed has either."""
    if dialect.twin not in ("alpaca", "polygon", "kraken", "coinbase"):
        return True
    return listing.stock == (chosen in _STOCKS)
