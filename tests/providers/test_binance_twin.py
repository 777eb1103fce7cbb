"""Binance's provider and its twin, over real sockets: everything the market did arrives, whatever happens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from reactivex import Subject
from reactivex.disposable import CompositeDisposable

from rtflow.book import BookState
from rtflow.events import Bar, Event, Gap, OrderBookUpdate, Quote, ReferencePrice, Trade
from rtflow.operators._book_apply import book_apply
from rtflow.operators._normalize import normalize
from rtflow.operators._retry_with_backoff import retry_with_backoff
from rtflow.providers.binance import Binance
from rtflow.transport import Feed, connect
from rtflow.twin import Twin
from rtflow.twin.market import Ladder, decimal
from tests.watching import PATIENCE, Watch, left_over

START = 1_790_358_500_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")
KINDS = pytest.mark.parametrize("kind", ["spot", "usdm"])


def binance(twin: Twin, kind: str, **options: Any) -> Binance:
    return Binance("usdm" if kind == "usdm" else "spot", url=twin.url, rest_url=twin.rest_url, **options)


def watched(feed: Feed, provider: Binance, watch: Watch, retries: int | None = None) -> CompositeDisposable:
    """Events and books of a feed that comes back."""
    events: Subject[Event] = Subject()
    books = events.pipe(book_apply(resync=feed.resync))
    told = [each.subscribe(watch.on_next, watch.on_error) for each in (events, books)]
    frames = feed.pipe(retry_with_backoff(base=0.05, cap=0.1, jitter=None, retries=retries))
    return CompositeDisposable(*told, frames.pipe(normalize(provider)).subscribe(events))


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert left_over() == []


def side(ladder: Ladder, price_places: int, size_places: int) -> list[tuple[float, float]]:
    return [
        (float(decimal(price, price_places)), float(decimal(size, size_places)))
        for price, size in ladder.levels(20)
    ]


def agrees(twin: Twin, book: BookState | None) -> bool:
    """Whether a book is the twin's own, as far as twenty levels down."""
    if book is None or book.status != "live":
        return False
    listing = next(
        each for each in twin.market.listings.values() if each.symbol.replace("/", "") == book.symbol
    )
    places = listing.price_precision, listing.size_precision
    bids, asks = (side(ladder, *places) for ladder in twin.market.book(listing.symbol))
    return list(book.levels("bid", 20)) == bids and list(book.levels("ask", 20)) == asks


def truth(twin: Twin) -> list[tuple[str, str, float, float, int]]:
    listings = twin.market.listings
    return sorted(
        (
            fill.symbol.replace("/", ""),
            str(fill.id),
            float(decimal(fill.price, listings[fill.symbol].price_precision)),
            float(decimal(fill.size, listings[fill.symbol].size_precision)),
            fill.side,
        )
        for fill in twin.trades
        if fill.symbol in ("BTC/USDT", "ETH/USDT")
    )


def test_every_trade_comes_once_and_every_quote_is_a_touch() -> None:
    watch = Watch()
    with Twin("binance", seed=5, start=START, pace=0.0, messages=100) as twin:
        provider = binance(twin, "spot")
        feed = connect(provider, trades=SYMBOLS, quotes="BTCUSDT")
        subscription = watched(feed, provider, watch)
        watch.subscribed(3)
        twin.advance(3.0)
        expected = truth(twin)
        watch.until(lambda: len(watch.of(Trade)) == len(expected))
        touches = [move for move in twin.moves if move.symbol == "BTC/USDT" and move.touched]
        watch.until(lambda: len(watch.of(Quote)) == len(touches))
        subscription.dispose()
    assert (
        sorted((each.symbol, each.id, each.price, each.size, each.side) for each in watch.of(Trade))
        == expected
    )
    assert len(expected) > 20
    assert [(each.bid, each.ask_size) for each in watch.of(Quote)] == [
        (move.bid / 100, move.ask_size / 10**5) for move in touches
    ]
    assert {each.venue for each in watch.of(Trade)} == {"binance"}


def test_everything_else_that_usdm_serves_at_its_other_address() -> None:
    watch = Watch()
    with Twin("binance", seed=5, start=START, pace=0.0, messages=100, kind="usdm") as twin:
        provider = binance(twin, "usdm")
        feed = connect(provider, aggregate_trades=SYMBOLS, bars="BTCUSDT", mark_prices="BTCUSDT")
        subscription = watched(feed, provider, watch)
        watch.subscribed(4)
        twin.advance(61.0)
        expected = [(symbol, price, size, side) for symbol, _, price, size, side in truth(twin)]
        watch.until(lambda: len(watch.of(Trade)) == len(expected))
        watch.until(lambda: len(watch.of(ReferencePrice)) == 61)
        watch.until(lambda: [bar for bar in watch.of(Bar) if bar.final])
        subscription.dispose()
    told = [(each.symbol, each.price, each.size, int(each.side)) for each in watch.of(Trade)]
    assert sorted(told) == sorted(expected)
    [bar] = [bar for bar in watch.of(Bar) if bar.final]
    within = [
        each for each in watch.of(Trade) if each.symbol == "BTCUSDT" and bar.start <= each.ts_event < bar.end
    ]
    assert bar.end - bar.start == 60_000_000_000
    assert bar.close == within[-1].price
    assert bar.count >= len(within) > 0


@KINDS
@pytest.mark.parametrize("midway", [False, True])
@pytest.mark.parametrize("speed", [100, None])
def test_books_are_the_venues_own_across_a_lost_line(kind: str, midway: bool, speed: int | None) -> None:
    watch = Watch()
    with Twin("binance", seed=7, start=START, pace=0.0, messages=100, kind=kind, midway=midway) as twin:
        provider = binance(twin, kind, speed=speed or {"spot": 1000, "usdm": 250}[kind])
        feed = connect(provider, books=SYMBOLS)
        subscription = watched(feed, provider, watch)
        for epoch in (1, 2):
            watch.subscribed(2, epoch)
            twin.advance(0.33)
            watch.until(lambda: all(watch.snapshots(symbol) >= epoch for symbol in SYMBOLS))  # noqa: B023
            twin.advance(5.0 - 0.33)
            watch.until(lambda: all(agrees(twin, watch.book(symbol)) for symbol in SYMBOLS))
            if epoch == 1:
                twin.disconnect()
                watch.until(lambda: watch.of(Gap))
        subscription.dispose()
    assert "suspect" not in {each.status for each in watch.of(BookState)}
    assert [gap.ts_end is None for gap in watch.of(Gap)] == [True, False]


@KINDS
def test_a_missing_difference_costs_one_book_one_snapshot(kind: str) -> None:
    watch = Watch()
    with Twin("binance", seed=7, start=START, pace=0.0, messages=100, kind=kind) as twin:
        provider = binance(twin, kind)
        feed = connect(provider, books=SYMBOLS)
        subscription = watched(feed, provider, watch)
        watch.until(lambda: all(watch.snapshots(symbol) for symbol in SYMBOLS))
        twin.advance(1.0)
        watch.until(lambda: all(agrees(twin, watch.book(symbol)) for symbol in SYMBOLS))
        twin.provoke("repeated_difference")
        twin.provoke("missing_difference")
        twin.advance(1.0)
        watch.until(lambda: sum(watch.snapshots(symbol) for symbol in SYMBOLS) == 3)
        twin.advance(1.0)
        watch.until(lambda: all(agrees(twin, watch.book(symbol)) for symbol in SYMBOLS))
        subscription.dispose()
        assert twin.accepted == 1
    suspects = [each for each in watch.of(BookState) if each.status == "suspect"]
    assert len(suspects) == 1
    assert "came after" in suspects[0].reason


def test_an_old_snapshot_is_taken_anew() -> None:
    watch = Watch()
    with Twin("binance", seed=7, start=START, pace=0.0, messages=100) as twin:
        twin.provoke("old_snapshot", symbol="BTCUSDT")
        twin.advance(1.0)
        provider = binance(twin, "spot")
        feed = connect(provider, books="BTCUSDT")
        subscription = watched(feed, provider, watch)
        watch.until(lambda: watch.snapshots("BTCUSDT") == 1)
        twin.advance(1.0)
        watch.until(lambda: watch.snapshots("BTCUSDT") == 2)
        twin.advance(1.0)
        watch.until(lambda: agrees(twin, watch.book("BTCUSDT")))
        subscription.dispose()


@pytest.mark.parametrize("status", [503, 429, 418])
def test_a_document_that_does_not_come_is_said_and_asked_for_again(status: int) -> None:
    watch = Watch()
    with Twin("binance", seed=7, start=START, pace=0.0, messages=100) as twin:
        twin.provoke("rest_failure", status=status, retry_after=1)
        provider = binance(twin, "spot")
        feed = connect(provider, books="BTCUSDT")
        subscription = watched(feed, provider, watch)
        watch.until(lambda: watch.snapshots("BTCUSDT") == 1)
        twin.advance(1.0)
        watch.until(lambda: agrees(twin, watch.book("BTCUSDT")))
        subscription.dispose()
    [missed] = watch.statuses("unfetched")
    assert missed.text.startswith(f"depth BTCUSDT: HTTP {status}")


def test_a_symbol_that_is_not_listed_is_refused_as_a_book_and_the_rest_goes_on() -> None:
    watch = Watch()
    with Twin("binance", seed=7, start=START, pace=0.0, messages=100) as twin:
        provider = binance(twin, "spot")
        feed = connect(provider, books=["NOPE", "BTCUSDT"], trades="NOPE")
        subscription = watched(feed, provider, watch)
        watch.until(lambda: watch.statuses("rejected") and watch.snapshots("BTCUSDT"))
        watch.subscribed(2)
        twin.advance(1.0)
        watch.until(lambda: agrees(twin, watch.book("BTCUSDT")))
        subscription.dispose()
    [refused] = watch.statuses("rejected")
    assert (refused.symbol, refused.kind) == ("NOPE", "books")
    assert feed.wanted.topics == {("books", "BTCUSDT"), ("trades", "NOPE")}


@pytest.mark.parametrize("fault", ["server_shutdown", "day_over"])
def test_an_end_that_was_announced_is_followed_by_a_new_connection_at_once(fault: str) -> None:
    watch = Watch()
    with Twin("binance", seed=7, start=START, pace=0.0, messages=100) as twin:
        provider = binance(twin, "spot")
        feed = connect(provider, trades=SYMBOLS)
        frames = feed.pipe(retry_with_backoff(base=60, jitter=None))
        subscription = frames.pipe(normalize(provider)).subscribe(watch.on_next, watch.on_error)
        watch.subscribed(2)
        twin.advance(1.0)
        watch.until(lambda: watch.of(Trade))
        twin.provoke(fault)
        watch.subscribed(2, epoch=2)
        subscription.dispose()
        assert twin.accepted == 2
    assert [each.text for each in watch.statuses("venue")] == ["serverShutdown"] * (
        fault == "server_shutdown"
    )


def test_wants_may_change_while_live() -> None:
    watch = Watch()
    with Twin("binance", seed=7, start=START, pace=0.0, messages=100) as twin:
        provider = binance(twin, "spot", depth=5)
        feed = connect(provider, top_books="BTCUSDT")
        subscription = watched(feed, provider, watch)
        watch.subscribed(1)
        twin.advance(1.0)
        watch.until(lambda: watch.snapshots("BTCUSDT") > 5)
        feed.remove(top_books=["BTCUSDT"])
        feed.add(trades=["ETHUSDT"])
        watch.until(lambda: watch.statuses("unsubscribed"))
        watch.subscribed(2)
        seen = watch.snapshots("BTCUSDT")
        twin.advance(2.0)
        watch.until(lambda: watch.of(Trade))
        subscription.dispose()
    assert watch.snapshots("BTCUSDT") == seen
    assert all(len(each.bids) == len(each.asks) == 5 for each in watch.of(OrderBookUpdate))


def test_usdm_moves_to_its_other_address_when_what_is_wanted_is_there() -> None:
    watch = Watch()
    with Twin("binance", seed=7, start=START, pace=0.0, messages=100, kind="usdm") as twin:
        provider = binance(twin, "usdm")
        feed = connect(provider, quotes="BTCUSDT")
        subscription = watched(feed, provider, watch)
        watch.subscribed(1)
        feed.remove(quotes=["BTCUSDT"])
        feed.add(aggregate_trades=["BTCUSDT"])
        watch.subscribed(1, epoch=2)
        twin.advance(2.0)
        watch.until(lambda: watch.of(Trade))
        subscription.dispose()


def test_too_many_messages_are_the_end_of_a_connection() -> None:
    watch = Watch()
    with Twin("binance", start=START, pace=0.0, messages=1) as twin:
        provider = binance(twin, "spot")
        feed = connect(provider, trades=SYMBOLS)
        feed.pipe(normalize(provider)).subscribe(watch.on_next, watch.on_error)
        began = time.monotonic()
        watch.until(lambda: watch.error)
        assert time.monotonic() - began < PATIENCE
    assert str(watch.error) == "Too many requests"
