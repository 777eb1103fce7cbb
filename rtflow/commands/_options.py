"""What every command that reads a venue is asked, and what comes of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import typer

from rtflow import settings
from rtflow import time as stamps
from rtflow.commands._failures import Code, Failure, arguments
from rtflow.counters import Counters
from rtflow.provider import Provider
from rtflow.terminal import Lines, Screen, Terminal, View, json_of

_Choice = TypeVar("_Choice", bound=StrEnum)


class Venue(StrEnum):
    """The venues."""

    ALPACA = "alpaca"
    ANGELONE = "angelone"
    BINANCE = "binance"
    COINBASE = "coinbase"
    COINBASE_EXCHANGE = "coinbase_exchange"
    IBKR = "ibkr"
    KRAKEN = "kraken"
    POLYGON = "polygon"


def _websocket(url: str | None) -> str | None:
    parts = urlsplit(url or "wss://localhost")
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise typer.BadParameter("an address is ws://host… or wss://host…")  # not quoted: it may hold a key
    return url


def one_of(choices: Iterable[str]) -> str:
    """What there is to choose from, as a sentence."""
    return f"One of {', '.join(choices)}."


def chosen(name: str, choices: type[_Choice], refusal: str) -> _Choice:
    """What a person named; BadParameter, with what may be meant, where there is no such choice."""
    try:
        return choices(name)
    except ValueError:
        told = f"{name!r} {refusal}.{meant(name, choices)} {one_of(choices)}"
        raise typer.BadParameter(told) from None


VENUES = one_of(Venue)


def venue_of(name: str) -> Venue:
    """The venue that a person named; BadParameter where there is none."""
    return chosen(name, Venue, "is not a venue")


def meant(name: str, choices: Iterable[str]) -> str:
    """A question for who has mistyped one of the ``choices``."""
    close = get_close_matches(name.lower(), list(choices), n=1)
    return f" Did you mean {close[0]}?" if close else ""


VenueName = Annotated[
    Venue,
    typer.Argument(
        parser=venue_of,
        metavar="VENUE",
        help=f"Whose data. {VENUES}",
        show_default=False,
        show_choices=False,
    ),
]
Named = Annotated[
    list[str] | None,
    typer.Argument(metavar="SYMBOL", help="As the venue spells them.", show_default=False),
]
Symbols = Annotated[
    list[str] | None,
    typer.Option(
        "--symbols",
        "-s",
        metavar="SYMBOLS",
        help="The same by an option: commas between, or again.",
        show_default=False,
    ),
]
Trades = Annotated[bool, typer.Option("--trades", "-t", help="Trades; what you get if you name nothing.")]
Quotes = Annotated[bool, typer.Option("--quotes", "-q", help="Best bid and offer.")]
Book = Annotated[bool, typer.Option("--book", "-b", help="Order books, kept and checked here.")]
Bars = Annotated[
    str | None,
    typer.Option("--bars", metavar="LENGTH", help="Bars made of the trades: 500ms, 1s, 5m, 1h, 1d."),
]
Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", metavar="KIND", help="What else the venue has: see `rtflow providers`."),
]
Depth = Annotated[int, typer.Option(min=1, metavar="LEVELS", help="Levels a side of a book that are shown.")]
Url = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", callback=_websocket, help="Instead of the venue's address: a twin's, say."
    ),
]
Choice = Annotated[
    str | None,
    typer.Option(
        "--feed",
        metavar="FEED",
        help="Which of its feeds: Alpaca's feed, Polygon's cluster, Binance's market.",
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option("--seconds", min=0.1, metavar="SECONDS", help="Stop after so long, not at Ctrl-C."),
]
Plain = Annotated[bool, typer.Option("--plain", help="One line per item; unasked where nobody watches.")]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON per item, stamps as whole nanoseconds.")]


def named(by_position: list[str] | None, by_option: list[str] | None) -> list[str]:
    """The symbols of a command that needs some, in the order they were named; Failure without."""
    return listed([*(by_position or []), *(by_option or [])] or [""])


def listed(symbols: list[str]) -> list[str]:
    """Symbols one by one, in order, each once; Failure where there is nothing but commas."""
    each = [symbol.strip() for part in symbols for symbol in part.split(",") if symbol.strip()]
    if symbols and not each:
        raise Failure("no symbol is named: say which, as the venue spells them", Code.USAGE)
    return list(dict.fromkeys(each))


def provider_of(
    venue: Venue, environ: Mapping[str, str], *, url: str | None = None, choice: str | None = None
) -> Provider:
    """The provider as the command line and the environment describe it.

    A twin on this machine admits anybody, so no key need be set for one. Raises Failure for what cannot be
    chosen, and where a key would travel unencrypted to another machine.
    """
    options, keyless = _options(venue, choice), False
    if url is not None:
        options["url"] = url
        parts = urlsplit(url)
        host = parts.hostname or ""
        keyed = any(settings.sources(venue.value, environ=environ).values())
        if parts.scheme == "ws":
            here = host in ("localhost", "::1") or host.startswith("127.")
            if keyed and not here:
                raise Failure(
                    f"{host} would be sent your key unencrypted: say wss://, or unset the key", Code.USAGE
                )
            keyless = here and not keyed
            if venue is Venue.BINANCE:
                options["rest_url"] = f"http://{parts.netloc}"  # a twin's snapshots are its own
    with arguments():
        return settings.provider(venue.value, environ=environ, keyless=keyless, **options)


def reader_of(venue: Venue, *, choice: str | None = None) -> Provider:
    """A provider that reads tapes: nobody need admit it."""
    with arguments():
        return settings.provider(venue.value, keyless=True, **_options(venue, choice))


def _options(venue: Venue, choice: str | None) -> dict[str, Any]:
    check_choice(venue, choice)
    return {} if choice is None else {settings.VENUES[venue.value].choice: choice}


def check_choice(venue: Venue, choice: str | None) -> None:
    """Raises Failure where there is nothing to choose."""
    if choice is not None and not settings.VENUES[venue.value].choice:
        raise Failure(f"{venue.value} has one feed only, so --feed has nothing to choose", Code.USAGE)


def view_of(
    title: str,
    counters: Counters,
    shows: list[str],
    *,
    symbols: list[str] | None = None,
    plain: bool,
    json: bool,
    live: bool = True,
) -> View:
    """Lines of JSON or of text as asked, or where nobody watches; else a screen."""
    if plain and json:
        raise Failure("--plain and --json exclude each other: say one", Code.USAGE)
    console = Terminal()
    if json:
        return Lines(console, json_of)
    if plain or not live or not sys.stdout.isatty():
        return Lines(console)
    return Screen(console, title, counters, shows, symbols=symbols or ())


def moment(text: str | None) -> int | None:
    """The stamp that a person wrote: RFC 3339, a day, or whole nanoseconds; Failure for anything else."""
    if text is None:
        return None
    if text.isdecimal():
        return int(text)
    try:
        if len(text) == len("2026-09-25"):
            return stamps.from_datetime(datetime.fromisoformat(text).replace(tzinfo=UTC))
        return stamps.parse(text)
    except ValueError:
        raise Failure(
            f"a moment is 2026-09-25, 2026-09-25T17:48:26Z or nanoseconds, not {text!r}", Code.USAGE
        ) from None
