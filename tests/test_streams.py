"""stream_trades and its neighbours: a venue's events in one line, whichever venue it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from rtflow import operators as op
from rtflow import providers
from rtflow.book import BookState
from rtflow.errors import Disconnected, Unsupported
from rtflow.events import Gap, OrderBookUpdate, Quote, Status, Trade
from rtflow.providers import (
    Alpaca,
    AngelOne,
    Binance,
    Coinbase,
    CoinbaseExchange,
    InteractiveBrokers,
    Kraken,
    Polygon,
)
from rtflow.streams import Stream, Streams
from rtflow.twin import Twin
from rtflow.twin.ibkr import conid
from tests.watching import Watch, left_over

NAMES = {"AAPL": str(conid("AAPL"))}
VENUES: dict[str, Any] = {
    "Alpaca": ("alpaca", {}, "AAPL", lambda twin: Alpaca("key", "secret", url=twin.url)),
    "AngelOne": (
        "angelone",
        {},
        "nse_cm:3045",
        lambda twin: AngelOne("jwt", "key", "client", "feed", url=twin.url),
    ),
    "Binance": ("binance", {}, "BTCUSDT", lambda twin: Binance(url=twin.url, rest_url=twin.rest_url)),
    "Coinbase": ("coinbase", {}, "BTC-USD", lambda twin: Coinbase(url=twin.url)),
    "CoinbaseExchange": (
        "coinbase",
        {"feed": "exchange"},
        "BTC-USD",
        lambda twin: CoinbaseExchange(url=twin.url),
    ),
    "InteractiveBrokers": (
        "ibkr",
        {},
        "AAPL",
        lambda twin: InteractiveBrokers("session", url=twin.url, names=NAMES),
    ),
    "Kraken": ("kraken", {}, "BTC/USD", lambda twin: Kraken(url=twin.url)),
    "Polygon": ("polygon", {}, "AAPL", lambda twin: Polygon("key", url=twin.url)),
}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert left_over() == []


def first(stream: Stream, kind: type[Any], symbol: str) -> Any:
    """The first of its kind that comes."""
    watch = Watch()
    with stream.subscribe(watch.on_next, watch.on_error):
        watch.until(lambda: watch.of(kind, symbol) or watch.error)
    assert watch.error is None
    return watch.of(kind, symbol)[0]


def test_every_venue_has_them() -> None:
    assert {*VENUES} == {*providers.__all__}
    assert all(issubclass(getattr(providers, name), Streams) for name in providers.__all__)


@pytest.mark.parametrize("name", VENUES)
def test_trades_quotes_and_books_of_every_venue_in_one_line(name: str) -> None:
    venue, options, symbol, make = VENUES[name]
    with ExitStack() as stack:
        twin = stack.enter_context(Twin(venue, seed=5, **options))
        provider = make(twin)
        for kind, open_stream, event in (
            ("trades", provider.stream_trades, Trade),
            ("quotes", provider.stream_quotes, Quote),
            ("books", provider.stream_orderbook, OrderBookUpdate),
        ):
            if kind in provider.kinds and not (name == "CoinbaseExchange" and kind == "books"):
                assert first(open_stream([symbol]), event, symbol).symbol == symbol


def test_what_a_venue_lacks_is_a_not_implemented_error_that_names_it() -> None:
    with pytest.raises(NotImplementedError, match="alpaca") as caught:
        Alpaca("key", "secret").stream_orderbook(["AAPL"])
    assert isinstance(caught.value, Unsupported)


def test_a_stream_says_everything_and_comes_back() -> None:
    watch, books = Watch(), Watch()
    with Twin("kraken", symbols=["BTC/USD"]) as twin:
        stream = Kraken(url=twin.url).stream_orderbook("BTC/USD")
        shared = stream.pipe(op.broadcast())
        told = shared.pipe(op.book_apply(resync=stream.feed.resync)).subscribe(books.on_next)
        with shared.subscribe(watch.on_next, watch.on_error), told:
            watch.until(lambda: books.of(BookState))
            twin.disconnect(1001)  # goodbye is said: the next connection needs no wait
            watch.until(lambda: len(watch.of(Gap)) == 2)
            stream.feed.add(trades=["BTC/USD"])
            watch.until(lambda: watch.of(Trade))
    assert {"open", "subscribed", "closed", "retrying"} <= {each.state for each in watch.of(Status)}
    assert "syncing" in {each.status for each in books.of(BookState)}


def test_an_error_that_no_retry_cures_ends_it() -> None:
    watch = Watch()
    with Twin("kraken", symbols=["BTC/USD"]) as twin:
        kraken = Kraken(url=twin.url_of("/nowhere"))
        kraken.stream_trades(["BTC/USD"]).subscribe(watch.on_next, watch.on_error)
        watch.until(lambda: watch.error)
    assert not isinstance(watch.error, Disconnected)
    assert "404" in str(watch.error)
