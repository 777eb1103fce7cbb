"""Coinbase's providers and their twin, over real sockets: what the market did arrives, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from reactivex import Subject
from reactivex.disposable import CompositeDisposable

from rtflow.book import BookState
from rtflow.errors import Disconnected, Rejected
from rtflow.events import (
    Bar,
    Event,
    Gap,
    Instrument,
    Malformed,
    OrderBookUpdate,
    Quote,
    Ticker,
    Trade,
)
from rtflow.operators._book_apply import book_apply
from rtflow.operators._normalize import normalize
from rtflow.operators._retry_with_backoff import retry_with_backoff
from rtflow.providers import Coinbase, CoinbaseExchange
from rtflow.transport import Feed, connect
from rtflow.twin import Twin
from rtflow.twin.market import Ladder, decimal
from tests.watching import PATIENCE, Watch, left_over

SYMBOLS = ("BTC-USD", "ETH-USD")
FEEDS = pytest.mark.parametrize("feed", ["advanced", "exchange"])


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert left_over() == []


def still(feed: str, **options: Any) -> Twin:
    """A twin whose time stands still but for ``advance``."""
    return Twin("coinbase", feed=feed, seed=5, pace=0.0, **options)


def coinbase(twin: Twin, feed: str, **options: Any) -> Coinbase | CoinbaseExchange:
    return (Coinbase if feed == "advanced" else CoinbaseExchange)(url=twin.url, **options)


def watched(
    feed: Feed, provider: Coinbase | CoinbaseExchange, watch: Watch, *, resync: bool = True
) -> CompositeDisposable:
    """Events and books of a feed that comes back."""
    events: Subject[Event] = Subject()
    books = events.pipe(book_apply(resync=feed.resync if resync else None))
    told = [each.subscribe(watch.on_next, watch.on_error) for each in (events, books)]
    retried = feed.pipe(retry_with_backoff(base=0.05, cap=0.2, jitter=None, retries=None))
    return CompositeDisposable(*told, retried.pipe(normalize(provider)).subscribe(events))


def levels(ladder: Ladder, price_places: int, size_places: int) -> list[tuple[float, float]]:
    """A side of the twin's book as its text would be read."""
    return [
        (float(decimal(price, price_places)), float(decimal(size, size_places)))
        for price, size in ladder.levels()
    ]


def agrees(twin: Twin, book: BookState | None) -> bool:
    """Whether a book is the twin's own, in every level of it."""
    if book is None or book.status != "live":
        return False
    listing, (bids, asks) = twin.market.listings[book.symbol], twin.market.book(book.symbol)
    places = listing.price_precision, listing.size_precision
    return list(book.levels("bid")) == levels(bids, *places) and list(book.levels("ask")) == levels(
        asks, *places
    )


def all_agree(twin: Twin, watch: Watch) -> Callable[[], bool]:
    return lambda: all(agrees(twin, watch.book(symbol)) for symbol in SYMBOLS)


def truth(twin: Twin) -> list[tuple[str, str, float, float, int]]:
    """The trades that were made of what we watch."""
    listings = twin.market.listings
    return sorted(
        (
            fill.symbol,
            str(fill.id),
            float(decimal(fill.price, listings[fill.symbol].price_precision)),
            float(decimal(fill.size, listings[fill.symbol].size_precision)),
            fill.side,
        )
        for fill in twin.trades
        if fill.symbol in SYMBOLS
    )


def told(watch: Watch) -> list[tuple[str, str, float, float, int]]:
    return sorted((each.symbol, each.id, each.price, each.size, each.side) for each in watch.of(Trade))


@FEEDS
def test_everything_the_market_did_arrives(feed: str) -> None:
    watch = Watch()
    with still(feed, steps=900) as twin:
        provider = coinbase(twin, feed)
        bars: dict[str, Any] = {"bars": SYMBOLS} if feed == "advanced" else {}
        live = connect(
            provider, trades=SYMBOLS, quotes=SYMBOLS, books=SYMBOLS, tickers=SYMBOLS, instruments="*", **bars
        )
        subscription = watched(live, provider, watch)
        watch.subscribed(11 if feed == "advanced" else 9)
        twin.advance(12.0)  # the market has come to rest, and everything gathered has been said
        watch.until(lambda: len(watch.of(Trade)) == len(truth(twin)))
        watch.until(all_agree(twin, watch))
        assert told(watch) == truth(twin)
        assert len(truth(twin)) > 50
        watch.until(lambda: len(watch.statuses("heartbeat")) >= 12)
        subscription.dispose()
    assert (
        {each.symbol for each in watch.of(Quote)} == {each.symbol for each in watch.of(Ticker)} == {*SYMBOLS}
    )
    assert len(watch.of(Quote)) >= len({(each.symbol, each.ts_event) for each in watch.of(Trade)})
    assert len({each.symbol for each in watch.of(Instrument)}) == len(twin.market.listings)
    assert {each.symbol for each in watch.of(Bar)} == ({*SYMBOLS} if bars else set())
    assert not watch.of(Malformed)
    assert not watch.of(Gap)
    assert not [each for each in watch.of(BookState) if each.status != "live" or each.crossed]
    assert {getattr(each, "venue", "") for each in watch.items} == {provider.name}


@FEEDS
def test_after_a_disconnect_all_that_is_wanted_is_asked_for_again(feed: str) -> None:
    watch = Watch()
    with still(feed, steps=900) as twin:
        provider = coinbase(twin, feed)
        live = connect(provider, trades=SYMBOLS, books=SYMBOLS)
        subscription = watched(live, provider, watch)
        watch.subscribed(4)
        twin.advance(1.0)
        live.add(quotes="BTC-USD")
        watch.subscribed(5)
        twin.disconnect()
        watch.subscribed(5, epoch=2)
        twin.advance(12.0)
        watch.until(all_agree(twin, watch))
        watch.until(lambda: told(watch)[-1:] == truth(twin)[-1:])
        subscription.dispose()
    lost, found = watch.of(Gap)
    assert (lost.ts_end, found.ts_start) == (None, lost.ts_start)
    assert {*told(watch)} <= {*truth(twin)}
    assert watch.error is None


@pytest.mark.parametrize("resync", [True, False])
@pytest.mark.parametrize("fault", ["lost", "sequence_gap", "reorder"])
def test_a_hole_in_the_sequence_is_said_and_every_book_is_taken_again(fault: str, resync: bool) -> None:
    """The session does it by itself; who asks for it beside that does no harm."""
    watch = Watch()
    with still("advanced", steps=900) as twin:
        provider = coinbase(twin, "advanced")
        subscription = watched(
            connect(provider, trades=SYMBOLS, books=SYMBOLS), provider, watch, resync=resync
        )
        watch.subscribed(4)
        twin.advance(0.5)
        if fault == "lost":
            twin.gap(2)
        else:
            twin.provoke(fault)
        twin.advance(1.0)
        watch.until(lambda: min(map(watch.snapshots, SYMBOLS)) >= 2)
        twin.advance(12.0)
        watch.until(all_agree(twin, watch))
        if fault == "sequence_gap":  # no frame was really lost
            watch.until(lambda: told(watch) == truth(twin))
        subscription.dispose()
    gap = watch.of(Gap)[0]
    assert gap.reason.startswith("sequence ")
    assert (gap.epoch, gap.symbols, gap.ts_end) == (1, (), gap.ts_recv)
    assert twin.accepted == 1, "the line itself went on"
    assert "syncing" in {each.status for each in watch.of(BookState)}


@FEEDS
def test_what_comes_twice_counts_once(feed: str) -> None:
    watch = Watch()
    with still(feed, steps=900) as twin:
        provider = coinbase(twin, feed)
        subscription = watched(connect(provider, trades=SYMBOLS), provider, watch)
        watch.subscribed(2)
        for _ in range(5):
            twin.provoke("duplicate")
        twin.advance(12.0)
        watch.until(lambda: len(watch.of(Trade)) == len(truth(twin)))
        subscription.dispose()
    assert told(watch) == truth(twin)
    assert not watch.of(Gap)


@FEEDS
@pytest.mark.parametrize("fault", ["corrupt", "broken_level"])
def test_a_message_of_a_book_that_cannot_be_read_has_the_book_taken_again(feed: str, fault: str) -> None:
    watch = Watch()
    with still(feed, steps=900) as twin:
        provider = coinbase(twin, feed)
        subscription = watched(connect(provider, books=SYMBOLS), provider, watch)
        watch.subscribed(2)
        if fault == "corrupt":
            twin.corrupt()
        else:
            twin.provoke("broken_level", symbol="BTC-USD")
        twin.advance(1.0)
        watch.until(lambda: sum(map(watch.snapshots, SYMBOLS)) >= 3)
        twin.advance(12.0)
        watch.until(all_agree(twin, watch))
        subscription.dispose()
    assert len(watch.of(Malformed)) == 1
    assert len(watch.of(Gap)) == 1
    assert watch.error is None


def test_a_lost_trade_of_the_exchange_is_a_gap_of_its_product() -> None:
    watch = Watch()
    with still("exchange", steps=900) as twin:
        provider = coinbase(twin, "exchange")
        subscription = watched(connect(provider, trades="BTC-USD", books="BTC-USD"), provider, watch)
        watch.subscribed(2)
        twin.provoke("sequence_gap")
        twin.advance(12.0)
        watch.until(
            lambda: watch.of(Gap) and agrees(twin, watch.book("BTC-USD")) and watch.snapshots("BTC-USD") == 2
        )
        subscription.dispose()
    [gap] = watch.of(Gap)
    assert gap.symbols == ("BTC-USD",)
    assert gap.reason.startswith("trade ")


@pytest.mark.parametrize(
    ("feed", "options", "reason"),
    [
        ("advanced", {}, "failure to subscribe"),
        ("advanced", {"silent_refusals": True}, "left out of the answer"),
        ("exchange", {}, "Failed to subscribe: NOPE-USD is not a valid product"),
    ],
)
def test_an_unknown_product_is_refused_alone_and_no_longer_wanted(
    feed: str, options: dict[str, Any], reason: str
) -> None:
    watch = Watch()
    with still(feed, steps=900, **options) as twin:
        provider = coinbase(twin, feed)
        live = connect(provider, trades=["BTC-USD", "NOPE-USD", "ETH-USD"])
        subscription = watched(live, provider, watch)
        watch.subscribed(2)
        watch.until(lambda: live.wanted.symbols("trades") == SYMBOLS)
        twin.advance(12.0)
        watch.until(lambda: told(watch) == truth(twin))
        subscription.dispose()
    refused = [each for each in watch.statuses("rejected") if each.symbol]
    assert [(each.symbol, each.kind, each.text) for each in refused] == [("NOPE-USD", "trades", reason)]
    assert twin.accepted == 1


def test_a_bad_key_is_rejected_and_a_good_one_gets_what_wants_a_key() -> None:
    watch = Watch()
    with still("advanced", keys=["good"]) as twin:
        provider = Coinbase(url=twin.url, jwt=lambda: "hidden")
        subscription = watched(connect(provider, trades="BTC-USD"), provider, watch)
        watch.until(lambda: watch.error)
        subscription.dispose()
        assert twin.accepted == 1
    assert type(watch.error) is Rejected
    assert "hidden" not in repr(watch.error) + repr(watch.items)
    signed = Watch()
    with still("exchange", keys=["good"], steps=900) as twin:
        exchange = CoinbaseExchange(url=twin.url, sign=lambda: {"key": "good", "signature": "x"})
        subscription = watched(connect(exchange, books=SYMBOLS), exchange, signed)
        signed.subscribed(2)
        twin.advance(12.0)
        signed.until(all_agree(twin, signed))
        subscription.dispose()
    changes = [each for each in signed.of(OrderBookUpdate) if not each.snapshot]
    assert {len(each.bids) + len(each.asks) for each in changes} == {1}, "unbundled"


@FEEDS
def test_a_venue_that_closes_on_the_slow_is_understood_and_come_back_to(feed: str) -> None:
    watch = Watch()
    with still(feed) as twin:
        provider = coinbase(twin, feed)
        subscription = watched(connect(provider, trades="BTC-USD"), provider, watch)
        watch.subscribed(1)
        twin.provoke("slow_consumer")
        watch.subscribed(1, epoch=2)
        subscription.dispose()
    [closed] = watch.statuses("closed", epoch=1)
    assert closed.text == "ErrSlowConsume: we read slower than it sends"


@FEEDS
def test_a_request_too_many_is_said_again_later_and_other_errors_are_told(feed: str) -> None:
    watch = Watch()
    with still(feed) as twin:
        provider = coinbase(twin, feed)
        live = connect(provider, trades="BTC-USD")
        subscription = watched(live, provider, watch)
        watch.subscribed(1)
        twin.provoke("error", message="internal error")
        watch.until(lambda: watch.statuses("rejected"))
        twin.provoke("rate_limit")
        live.add(quotes="BTC-USD")
        watch.until(lambda: watch.statuses("throttled"))
        twin.advance(3.0)
        watch.subscribed(2)
        subscription.dispose()
    assert [each.text for each in watch.statuses("throttled")] == ["rate limit exceeded"]
    assert watch.statuses("rejected")[0].text == "internal error"
    assert watch.error is None


def test_a_line_that_falls_silent_is_given_up() -> None:
    watch = Watch()
    with Twin("coinbase", seed=5) as twin:
        provider = coinbase(twin, "advanced")
        subscription = (
            connect(provider, trades="BTC-USD")
            .pipe(normalize(provider))
            .subscribe(watch.on_next, watch.on_error)
        )
        watch.subscribed(1)
        twin.silence(PATIENCE)
        watch.until(lambda: watch.error)
        subscription.dispose()
    assert type(watch.error) is Disconnected
    assert "although it sends heartbeats" in str(watch.error)
