"""Angel One and its twin, over real sockets: what the market did arrives, and what went wrong is said."""

from __future__ import annotations

import time
from typing import Any

import pytest
from reactivex import Observable, abc

from rtflow.book import BookState
from rtflow.errors import Rejected, Throttled
from rtflow.events import Gap, Malformed, OrderBookUpdate, PriceBands, Quote, Status, Ticker, Trade
from rtflow.instruments import Instruments
from rtflow.operators._book_apply import book_apply
from rtflow.operators._normalize import normalize
from rtflow.operators._retry_with_backoff import retry_with_backoff
from rtflow.providers import AngelOne
from rtflow.time import SECOND
from rtflow.transport import Feed, connect
from rtflow.twin import Twin
from rtflow.twin.angelone import INSTRUMENT_FILE
from rtflow.twin.market import Fill
from tests.watching import PATIENCE, Listener, within

SBIN, DOLLAR, FUTURE, INDEX = "nse_cm:3045", "cde_fo:1185", "nse_fo:53001", "nse_cm:99926000"
SCALES = {DOLLAR: 10_000}  # of the market's own prices; else paise


class Watch(Listener):
    """One that asks after topics, as nothing is acknowledged here."""

    def subscribed(self, kind: str, symbol: str, epoch: int = 1) -> None:
        """Wait until the venue has shown by a packet that it serves this."""
        self.until(
            lambda: any(
                (each.state, each.kind, each.symbol, each.epoch) == ("subscribed", kind, symbol, epoch)
                for each in self.of(Status)
            )
        )


def angel(twin: Twin, **options: Any) -> AngelOne:
    return AngelOne("Bearer jwt", "key", "A123456", "feed", url=twin.url, **options)


def watching(watch: Watch, events: Observable[Any]) -> abc.DisposableBase:
    return events.subscribe(watch.on_next, watch.on_error)


def last_of_each_move(twin: Twin, symbol: str) -> list[Fill]:
    """What a sample can know of the trades: the last of each move that had any."""
    return [move.trades[-1] for move in twin.moves if move.symbol == symbol and move.trades]


def levels(twin: Twin, symbol: str, count: int) -> list[tuple[tuple[float, float], ...]]:
    scale = SCALES.get(symbol, 100)
    return [
        tuple((price / scale, float(size)) for price, size in side.levels(count))
        for side in twin.market.book(symbol)
    ]


def test_all_that_the_market_did_arrives_as_samples() -> None:
    watch = Watch()
    symbols = [SBIN, DOLLAR, FUTURE]
    with Twin("angelone", seed=5, pace=0.0) as twin:
        provider = angel(twin)
        feed = connect(provider, trades=symbols, tickers=symbols, quotes=symbols, books=symbols)
        subscription = watching(watch, feed.pipe(normalize(provider)))
        for symbol in symbols:
            watch.subscribed("books", symbol)
        watch.until(lambda: all(watch.of(kind, each) for kind in (Trade, Ticker) for each in symbols))
        before = {symbol: watch.of(Trade, symbol)[-1] for symbol in symbols}
        twin.advance(20.0)
        feed.add(trades=[INDEX])
        watch.subscribed("trades", INDEX)  # and so all that was said before has come
        for symbol in symbols:
            fills = last_of_each_move(twin, symbol)
            scale = SCALES.get(symbol, 100)
            told = [(each.price, each.size, each.ts_event) for each in watch.of(Trade, symbol)[1:]]
            stamps = [fill.stamp // SECOND * SECOND for fill in fills]
            assert told == [
                (fill.price / scale, float(fill.size), stamp)
                for fill, stamp in zip(fills, stamps, strict=True)
            ]
            assert before[symbol].sampled
            assert last_book(watch, symbol) == levels(twin, symbol, 5)
            first, last = watch.of(Ticker, symbol)[0], watch.of(Ticker, symbol)[-1]
            assert first.volume is not None
            assert last.volume is not None
            made = [fill for fill in twin.trades if fill.symbol == symbol]
            assert last.volume - first.volume == sum(fill.size for fill in made)
            assert last.last == made[-1].price / scale
            (bid, *_), (ask, *_) = levels(twin, symbol, 5)
            touch = watch.of(Quote, symbol)[-1]
            assert ((touch.bid, touch.bid_size), (touch.ask, touch.ask_size)) == (bid, ask)
            assert len(watch.of(PriceBands, symbol)) == 1
        subscription.dispose()
    assert not watch.of(Malformed)
    assert watch.error is None


def last_book(watch: Watch, symbol: str) -> list[Any]:
    return [side for book in watch.of(OrderBookUpdate, symbol)[-1:] for side in (book.bids, book.asks)]


def shows_the_last_trade(watch: Watch, twin: Twin, symbol: str) -> bool:
    last = last_of_each_move(twin, symbol)[-1]
    return [each.price for each in watch.of(Trade, symbol)[-1:]] == [last.price / 100]


def test_last_prices_and_twenty_levels_come_in_their_own_modes() -> None:
    watch = Watch()
    with Twin("angelone", seed=5, pace=0.0) as twin:
        provider = angel(twin)
        feed = connect(provider, trades=[SBIN, INDEX], deep_books=[SBIN])
        subscription = watching(watch, feed.pipe(normalize(provider)))
        watch.subscribed("deep_books", SBIN)
        watch.subscribed("trades", SBIN)
        watch.subscribed("trades", INDEX)
        twin.advance(10.0)
        watch.until(lambda: last_book(watch, SBIN) == levels(twin, SBIN, 20))
        watch.until(lambda: shows_the_last_trade(watch, twin, SBIN))
        watch.until(lambda: shows_the_last_trade(watch, twin, INDEX))
        subscription.dispose()
    assert {each.size for each in watch.of(Trade)} == {0.0}
    assert watch.of(Ticker) == []


def test_people_say_symbols_and_hear_them() -> None:
    watch = Watch()
    with Twin("angelone", pace=0.0) as twin:
        table = Instruments.read(twin.rest_url + INSTRUMENT_FILE)
        provider = angel(twin, instruments=table)
        feed = connect(provider, tickers=["SBIN-EQ", "Nifty 50"])
        subscription = watching(watch, feed.pipe(normalize(provider)))
        watch.subscribed("tickers", "SBIN-EQ")
        watch.subscribed("tickers", "Nifty 50")
        watch.until(lambda: {each.symbol for each in watch.of(Ticker)} == {"SBIN-EQ", "Nifty 50"})
        subscription.dispose()


def test_it_survives_a_lost_line_and_is_told_the_state_at_once() -> None:
    watch = Watch()
    with Twin("angelone", seed=5, pace=0.0) as twin:
        provider = angel(twin)
        feed = connect(provider, books=[SBIN], trades=[DOLLAR])
        retry = retry_with_backoff(base=0.05, jitter=None, retries=None)
        subscription = watching(watch, feed.pipe(retry, normalize(provider)))
        watch.subscribed("books", SBIN)
        twin.advance(2.0)
        watch.until(lambda: last_book(watch, SBIN) == levels(twin, SBIN, 5))
        twin.refuse(PATIENCE)
        twin.disconnect()
        watch.until(lambda: watch.of(Gap))
        twin.advance(2.0)
        twin.refuse(0.0)
        watch.subscribed("books", SBIN, epoch=2)
        watch.subscribed("trades", DOLLAR, epoch=2)
        watch.until(lambda: last_book(watch, SBIN) == levels(twin, SBIN, 5))  # though nothing moves any more
        subscription.dispose()
    assert [gap.ts_end is None for gap in watch.of(Gap)] == [True, False]


def test_wants_may_change_while_live() -> None:
    watch = Watch()
    with Twin("angelone", seed=5, pace=0.0) as twin:
        provider = angel(twin)
        feed = connect(provider, trades=[SBIN])
        subscription = watching(watch, feed.pipe(normalize(provider)))
        watch.subscribed("trades", SBIN)
        feed.add(books=[SBIN], tickers=[DOLLAR])
        watch.subscribed("books", SBIN)
        watch.subscribed("tickers", DOLLAR)
        watch.until(lambda: watch.of(OrderBookUpdate, SBIN))
        told = len(watch.of(Trade, SBIN))
        twin.advance(5.0)
        watch.until(lambda: len(watch.of(Trade, SBIN)) == told + len(last_of_each_move(twin, SBIN)))
        feed.remove(books=[SBIN], trades=[SBIN])
        feed.add(trades=[FUTURE])
        watch.subscribed("trades", FUTURE)
        gone = len(watch.of(Trade, SBIN))
        twin.advance(5.0)
        watch.until(lambda: shows_the_last_trade(watch, twin, FUTURE))
        assert len(watch.of(Trade, SBIN)) == gone
        subscription.dispose()


@pytest.mark.parametrize("harm", ["flags", "order", "negative"])
def test_a_packet_that_fails_its_checks_is_malformed_and_the_next_one_puts_the_book_right(harm: str) -> None:
    watch = Watch()
    with Twin("angelone", seed=5, pace=0.0) as twin:
        provider = angel(twin)
        feed = connect(provider, books=[SBIN])
        subscription = watching(watch, feed.pipe(normalize(provider), book_apply()))
        watch.until(lambda: watch.of(BookState))
        twin.provoke("harm", harm=harm)
        twin.advance(3.0)
        watch.until(
            lambda: (
                [[*watch.of(BookState)[-1].levels(side, 5)] for side in ("bid", "ask")]
                == [[*side] for side in levels(twin, SBIN, 5)]
            )
        )
        subscription.dispose()
    assert {book.status for book in watch.of(BookState)} == {"live"}
    assert watch.error is None


@pytest.mark.parametrize(
    ("harm", "malformed"),
    [
        *[("flags", 1), ("order", 1), ("negative", 1)],
        *[("sides", 0), ("stamp", 0), ("longer", 0), ("token", 0), ("mode", 0), ("exchange", 0)],
    ],
)
def test_what_is_wrong_with_a_packet_is_said_and_what_is_only_odd_is_understood(
    harm: str, malformed: int
) -> None:
    watch = Watch()
    with Twin("angelone", seed=5, pace=0.0) as twin:
        provider = angel(twin)
        feed = connect(provider, books=[SBIN])
        subscription = watching(watch, feed.pipe(normalize(provider)))
        watch.subscribed("books", SBIN)
        twin.provoke("harm", harm=harm)
        twin.advance(3.0)
        watch.until(lambda: last_book(watch, SBIN) == levels(twin, SBIN, 5))
        subscription.dispose()
    assert len(watch.of(Malformed)) == malformed
    assert {each.symbol for each in watch.of(Quote)} == {SBIN}
    assert watch.error is None


def test_half_a_packet_is_one_malformed_item() -> None:
    watch = Watch()
    with Twin("angelone", seed=5, pace=0.0) as twin:
        provider = angel(twin)
        feed = connect(provider, tickers=[SBIN])
        subscription = watching(watch, feed.pipe(normalize(provider)))
        watch.subscribed("tickers", SBIN)
        twin.corrupt()
        twin.advance(3.0)
        watch.until(lambda: shows_the_last_trade(watch, twin, SBIN))
        subscription.dispose()
    assert len(watch.of(Malformed)) == 1


def rejected(watch: Watch) -> list[Status]:
    return [each for each in watch.of(Status) if each.state == "rejected"]


def test_a_refused_kind_leaves_and_the_others_stay() -> None:
    watch = Watch()
    with Twin("angelone", seed=5, pace=0.0, withdrawn=True) as twin:
        provider = angel(twin)
        feed = connect(provider, deep_books=[SBIN], trades=[SBIN, DOLLAR])
        subscription = watching(watch, feed.pipe(normalize(provider)))
        watch.subscribed("trades", SBIN)
        watch.subscribed("trades", DOLLAR)
        watch.until(lambda: len(rejected(watch)) == 2)
        subscription.dispose()
    assert [(each.kind, each.symbol, each.text) for each in rejected(watch)] == [
        ("", "", "E1001 Invalid Request Payload."),
        ("deep_books", SBIN, "E1001 Invalid Request Payload."),
    ]
    assert feed.wanted.topics == {("trades", SBIN), ("trades", DOLLAR)}
    assert not watch.of(OrderBookUpdate)


def test_a_limit_of_the_venues_own_is_said_of_each_symbol() -> None:
    watch = Watch()
    with Twin("angelone", seed=5, pace=0.0, subscriptions=2) as twin:
        provider = angel(twin)
        feed = connect(provider, trades=[SBIN, DOLLAR])
        subscription = watching(watch, feed.pipe(normalize(provider)))
        watch.subscribed("trades", SBIN)
        watch.subscribed("trades", DOLLAR)
        feed.add(books=[FUTURE])
        watch.until(lambda: any(each.symbol == FUTURE for each in watch.of(Status)))
        twin.advance(3.0)
        watch.until(lambda: shows_the_last_trade(watch, twin, SBIN))
        subscription.dispose()
    assert [(each.state, each.kind, each.text) for each in watch.of(Status, FUTURE)] == [
        ("rejected", "books", "E1002 Invalid Request. Subscription Limit Exceeded")
    ]


def test_an_expired_token_is_rejected_at_the_next_upgrade_and_not_retried() -> None:
    watch = Watch()
    with Twin("angelone", pace=0.0) as twin:
        provider = angel(twin)
        feed = connect(provider, trades=[SBIN])
        retry = retry_with_backoff(base=0.01, jitter=None)
        watching(watch, feed.pipe(retry, normalize(provider)))
        watch.subscribed("trades", SBIN)
        twin.provoke("expire")
        watch.until(lambda: watch.error)
        assert twin.accepted == 1
    assert isinstance(watch.error, Rejected)
    assert "HTTP 401 Unauthorized: Invalid Header - " in str(watch.error), "the venue's words, of a header"
    assert "log in anew" in str(watch.error)


def test_a_wrong_credential_is_rejected_and_never_shown() -> None:
    watch = Watch()
    with Twin("angelone", pace=0.0, credentials={"x-feed-token": "right"}) as twin:
        provider = AngelOne("jwt-hidden", "key-hidden", "A1", "feed-hidden", url=twin.url)
        feed = connect(provider, trades=[SBIN])
        watching(watch, feed.pipe(retry_with_backoff(), normalize(provider)))
        watch.until(lambda: watch.error)
    assert isinstance(watch.error, Rejected)
    assert "hidden" not in repr(watch.error) + repr(watch.items)


def test_a_fourth_connection_is_throttled() -> None:
    watch = Watch()
    with Twin("angelone", pace=0.0, connections=0) as twin:
        provider = angel(twin)
        watching(watch, connect(provider, trades=[SBIN]).pipe(normalize(provider)))
        watch.until(lambda: watch.error)
    assert isinstance(watch.error, Throttled)
    assert watch.error.retry_after == 30.0


def test_the_line_lives_by_ping_and_pong_and_dies_without() -> None:
    watch, clock = Watch(), Clock()
    with Twin("angelone", pace=0.0) as twin:
        provider = angel(twin)
        feed = connect(provider, trades=[SBIN], clock=clock, keepalive=None)
        subscription = watching(watch, feed.pipe(normalize(provider)))
        watch.subscribed("trades", SBIN)
        for _ in range(6):  # a minute in which nothing moves
            heard = feed.counters["received"]
            clock.pass_ten_seconds(feed)
            assert within(PATIENCE, lambda heard=heard: feed.counters["received"] > heard)  # type: ignore[misc]
        assert watch.error is None
        twin.provoke("no_pong")
        for _ in range(4):
            clock.pass_ten_seconds(feed)
            within(0.1, lambda: watch.error is not None)
        watch.until(lambda: watch.error)
        subscription.dispose()
    assert "no answer to a ping" in str(watch.error)
    assert not watch.of(Malformed)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = time.time_ns()

    def __call__(self) -> int:
        return self.now

    def pass_ten_seconds(self, feed: Feed) -> None:
        self.now += 10 * SECOND
        feed.resync("")  # of no book: it only wakes the reader, which then looks at the clock
