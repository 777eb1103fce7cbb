"""Massive's provider and its twin, over real sockets: everything the market did arrives, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from reactivex import Subject
from reactivex.disposable import CompositeDisposable

from rtflow.book import BookState
from rtflow.errors import Disconnected, Rejected, Throttled, Unsupported
from rtflow.events import (
    Bar,
    Event,
    Gap,
    Imbalance,
    Malformed,
    OrderBookUpdate,
    PriceBands,
    Quote,
    ReferencePrice,
    Trade,
)
from rtflow.operators._book_apply import book_apply
from rtflow.operators._normalize import normalize
from rtflow.operators._retry_with_backoff import retry_with_backoff
from rtflow.providers.polygon import Polygon
from rtflow.transport import Feed, connect
from rtflow.twin import Twin
from rtflow.twin.market import Fill, decimal
from tests.watching import PATIENCE, Watch, left_over

START = 1_790_358_470_000_000_000  # ten seconds before a full minute
MINUTE = 60_000_000_000
CONTRACT = "O:AAPL261016C00230000"


def twin_of(*symbols: str, **options: Any) -> Twin:
    return Twin("polygon", seed=5, symbols=symbols, start=START, pace=0.0, **options)


def polygon(twin: Twin, cluster: str = "stocks") -> Polygon:
    return Polygon("key", cluster=cluster, url=twin.url_of(f"/{cluster}"))


def watched(feed: Feed, watch: Watch, retries: int | None = None) -> CompositeDisposable:
    """Events and books of a feed that comes back."""
    events: Subject[Event] = Subject()
    books = events.pipe(book_apply(resync=feed.resync))
    told = [each.subscribe(watch.on_next, watch.on_error) for each in (events, books)]
    frames = feed.pipe(retry_with_backoff(base=0.05, cap=0.1, jitter=None, retries=retries))
    return CompositeDisposable(*told, frames.pipe(normalize(feed.provider)).subscribe(events))


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert left_over() == []


def number(units: int, places: int) -> float:
    return float(decimal(units, places))


def truth(twin: Twin, fills: list[Fill]) -> list[tuple[str, str, float, float, int]]:
    """What was traded, as events say it; of stocks nobody says who was the taker."""
    listings = twin.market.listings
    return sorted(
        (
            fill.symbol if listings[fill.symbol].stock else fill.symbol.replace("/", "-"),
            str(fill.id),
            number(fill.price, listings[fill.symbol].price_precision),
            number(fill.size, listings[fill.symbol].size_precision),
            0 if listings[fill.symbol].stock else fill.side,
        )
        for fill in fills
    )


def told(watch: Watch) -> list[tuple[str, str, float, float, int]]:
    return sorted(
        (each.symbol, each.id.split(":")[1], each.price, each.size, int(each.side))
        for each in watch.of(Trade)
    )


def agrees(twin: Twin, watch: Watch, symbol: str) -> bool:
    """Whether the newest book of a coin is the twin's own, a hundred levels deep."""
    book = next(
        (each for each in reversed(watch.of(BookState)) if each.symbol == symbol.replace("/", "-")), None
    )
    if book is None or book.status != "live":
        return False
    listing, (bids, asks) = twin.market.listings[symbol], twin.market.book(symbol)
    expected = [
        [
            (number(price, listing.price_precision), number(size, listing.size_precision))
            for price, size in ladder.levels(100)
        ]
        for ladder in (bids, asks)
    ]
    return [list(book.levels("bid", 100)), list(book.levels("ask", 100))] == expected


# -- nothing but the truth -------------------------------------------------------------------------------


def test_everything_that_happened_to_stocks_arrives() -> None:
    watch = Watch()
    kinds = ("trades", "quotes", "bars", "second_bars", "lulds", "imbalances", "fair_values")
    wanted: dict[str, Any] = {kind: ["AAPL", "SPY"] for kind in kinds}
    with twin_of("AAPL", "SPY") as twin:
        feed = connect(polygon(twin), **wanted)
        subscription = watched(feed, watch)
        watch.subscribed(14)
        twin.advance(15.0)
        watch.until(lambda: len(watch.of(Trade)) == len(twin.trades))
        moves = [move for move in twin.moves if move.touched]
        watch.until(lambda: len(watch.of(Quote)) == len(moves))
        watch.until(lambda: {PriceBands, Imbalance, ReferencePrice} <= {type(item) for item in watch.items})
        watch.until(lambda: len([bar for bar in watch.of(Bar) if bar.interval == "1m"]) >= 2)
        subscription.dispose()
        assert told(watch) == truth(twin, twin.trades)
        assert {(each.symbol, each.ts_event) for each in watch.of(Trade)} == {
            (fill.symbol, fill.stamp // 1_000_000 * 1_000_000) for fill in twin.trades
        }
    assert [(each.symbol, each.bid, each.bid_size, each.ask) for each in watch.of(Quote)] == [
        (move.symbol, move.bid / 100, move.bid_size // 100 * 100.0, move.ask / 100) for move in moves
    ]
    minute = (START // MINUTE + 1) * MINUTE
    assert {(bar.symbol, bar.end) for bar in watch.of(Bar) if bar.interval == "1m"} == {
        ("AAPL", minute),
        ("SPY", minute),
    }
    for bar in watch.of(Bar):
        assert bar.low <= bar.vwap <= bar.high
    assert {each.ts_event for each in watch.of(PriceBands)} == {minute}
    assert {each.ts_event for each in watch.of(Imbalance)} == {minute}
    assert not watch.of(Malformed)


def test_everything_that_happened_to_coins_arrives_and_their_books_are_the_venues() -> None:
    watch = Watch()
    with twin_of("BTC/USD", "ETH/USD") as twin:
        pairs = ["BTC-USD", "ETH-USD"]
        feed = connect(polygon(twin, "crypto"), trades=pairs, quotes="BTC-USD", books=pairs)
        subscription = watched(feed, watch)
        watch.subscribed(5)
        twin.advance(3.0)
        watch.until(lambda: len(watch.of(Trade)) == len(twin.trades))
        watch.until(lambda: all(agrees(twin, watch, symbol) for symbol in ("BTC/USD", "ETH/USD")))
        subscription.dispose()
        assert told(watch) == truth(twin, twin.trades)
    assert all(each.snapshot and each.exchange == "1" for each in watch.of(OrderBookUpdate))
    assert {each.symbol for each in watch.of(Quote)} == {"BTC-USD"}


@pytest.mark.parametrize(
    ("cluster", "symbols", "wanted", "expected"),
    [
        (
            "options",
            ["AAPL"],
            {"trades": "*", "quotes": CONTRACT, "second_bars": "*", "fair_values": CONTRACT},
            {Trade, Quote, Bar, ReferencePrice},
        ),
        (
            "forex",
            ["EUR/USD"],
            {"quotes": "EUR/USD", "second_bars": "*", "bars": "*", "fair_values": "EUR/USD"},
            {Quote, Bar, ReferencePrice},
        ),
        ("indices", ["AAPL", "SPY"], {"values": "I:TWIN", "second_bars": "*"}, {ReferencePrice, Bar}),
    ],
)
def test_the_other_clusters_arrive_too(
    cluster: str, symbols: list[str], wanted: dict[str, Any], expected: set[type]
) -> None:
    watch = Watch()
    with twin_of(*symbols) as twin:
        subscription = watched(connect(polygon(twin, cluster), **wanted), watch)
        watch.subscribed(len(wanted))
        twin.advance(12.0)
        watch.until(lambda: expected <= {type(item) for item in watch.items})
        if cluster != "options":
            touched = [move for move in twin.moves if move.touched]
            watch.until(lambda: len(watch.of(Quote)) in (0, len(touched)))
        subscription.dispose()
    assert not watch.of(Malformed)
    spelled = {each.symbol for each in watch.of(Quote)} | {each.symbol for each in watch.of(ReferencePrice)}
    assert spelled == {{"options": CONTRACT, "forex": "EUR/USD", "indices": "I:TWIN"}[cluster]}


# -- lines that break ------------------------------------------------------------------------------------


def test_every_trade_comes_once_or_lies_in_a_gap() -> None:
    watch = Watch()
    with twin_of("BTC/USD") as twin:
        subscription = watched(connect(polygon(twin, "crypto"), trades="BTC-USD", books="BTC-USD"), watch)
        watch.subscribed(2)
        twin.advance(3.0)
        first = len(twin.trades)
        watch.until(lambda: len(watch.of(Trade)) == first)
        twin.refuse(PATIENCE)
        twin.disconnect()
        watch.until(lambda: watch.of(Gap))
        before = len(twin.trades)
        twin.advance(1.0)
        missed = twin.trades[before:]
        twin.refuse(0.0)
        watch.subscribed(2, epoch=2)
        twin.advance(3.0)
        made = twin.trades
        watch.until(lambda: len(watch.of(Trade)) == len(made) - len(missed))
        watch.until(lambda: agrees(twin, watch, "BTC/USD"))
        subscription.dispose()
        assert told(watch) == truth(twin, [fill for fill in made if fill not in missed])
    assert missed
    lost, found = watch.of(Gap)
    assert (lost.ts_end, found.ts_start) == (None, lost.ts_start)


def test_what_is_wanted_may_change_while_connected() -> None:
    watch = Watch()
    with twin_of("AAPL", "SPY") as twin:
        feed = connect(polygon(twin), trades="AAPL")
        subscription = watched(feed, watch)
        watch.subscribed(1)
        feed.add(trades="SPY")
        feed.remove(trades="AAPL")
        watch.until(lambda: watch.statuses("unsubscribed") and len(watch.statuses("subscribed")) == 2)
        twin.advance(5.0)
        expected = truth(twin, [fill for fill in twin.trades if fill.symbol == "SPY"])
        watch.until(lambda: len(watch.of(Trade)) == len(expected))
        subscription.dispose()
    assert told(watch) == expected


# -- the venue's own faults ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "state"),
    [
        ("max_connections", Throttled, "throttled"),
        ("slow_consumer", Disconnected, "venue"),
        ("force_disconnect", Disconnected, "venue"),
        ("auth_failed", Rejected, "rejected"),
    ],
)
def test_what_ends_the_connection_is_said_and_raised(status: str, error: type[Exception], state: str) -> None:
    watch = Watch()
    with twin_of("AAPL") as twin:
        watched(connect(polygon(twin), trades="AAPL"), watch, retries=0)
        watch.subscribed(1)
        twin.provoke("end", status=status)
        watch.until(lambda: watch.error)
    assert isinstance(watch.error, error)
    assert status in str(watch.error)
    assert f"{status}: {status}" in [each.text for each in watch.statuses(state)]
    assert str(watch.error) in watch.statuses("closed")[0].text


def test_a_bad_key_is_rejected_at_once_with_what_the_venue_said() -> None:
    watch = Watch()
    with twin_of("AAPL", keys=["right"]) as twin:
        feed = connect(Polygon("hidden", url=twin.url), trades="AAPL")
        watched(feed, watch)
        watch.until(lambda: watch.error)
        assert twin.accepted == 1
    assert isinstance(watch.error, Rejected)
    assert str(watch.error) == "auth_failed: authentication failed"
    assert "hidden" not in repr(watch.error) + repr(watch.items)


def test_a_second_connection_of_a_key_throws_the_first_out() -> None:
    first, second = Watch(), Watch()
    with twin_of("AAPL") as twin:
        watched(connect(polygon(twin), trades="AAPL"), first, retries=0)
        first.subscribed(1)
        subscription = watched(connect(polygon(twin), trades="AAPL"), second, retries=0)
        second.subscribed(1)
        twin.advance(0.01)
        first.until(lambda: first.error)
        subscription.dispose()
    assert isinstance(first.error, Throttled)
    assert first.error.retry_after == 30.0
    assert second.error is None


@pytest.mark.parametrize("mumbles", [False, True])
def test_one_topics_refusal_touches_no_other(mumbles: bool) -> None:
    watch = Watch()
    with twin_of("AAPL", topics=["T", "Q"]) as twin:
        if mumbles:
            twin.provoke("mumble")
        feed = connect(polygon(twin), trades="AAPL", quotes="AAPL", imbalances="AAPL")
        subscription = watched(feed, watch)
        watch.until(
            lambda: (
                [each for each in watch.statuses("rejected") if each.kind]
                and len(watch.statuses("subscribed")) == 2
            )
        )
        twin.advance(3.0)
        watch.until(lambda: len(watch.of(Trade)) == len(twin.trades))
        assert feed.wanted.kinds == ("quotes", "trades")
        subscription.dispose()
    [refused] = [each for each in watch.statuses("rejected") if each.kind]
    assert (refused.kind, refused.symbol) == ("imbalances", "AAPL")
    assert refused.text.startswith("not entitled")


def test_a_topic_that_is_revoked_is_said_and_no_longer_wanted() -> None:
    watch = Watch()
    with twin_of("AAPL") as twin:
        feed = connect(polygon(twin), trades="AAPL", quotes="AAPL")
        subscription = watched(feed, watch)
        watch.subscribed(2)
        twin.provoke("revoke", topic="T.AAPL")
        watch.until(lambda: feed.wanted.topics == {("quotes", "AAPL")})
        watch.until(lambda: watch.statuses("rejected"))
        subscription.dispose()
    assert [(each.kind, each.symbol) for each in watch.statuses("rejected")] == [("trades", "AAPL")]


def test_a_venue_that_forgot_us_is_told_again_on_the_same_line() -> None:
    watch = Watch()
    with twin_of("AAPL") as twin:
        subscription = watched(connect(polygon(twin), trades="AAPL"), watch)
        watch.subscribed(1)
        twin.provoke("forget")
        watch.subscribed(2)
        twin.advance(3.0)
        watch.until(lambda: len(watch.of(Trade)) == len(twin.trades) > 0)
        assert twin.accepted == 1
        subscription.dispose()
    assert not watch.of(Gap)


def test_what_is_slipped_among_the_data_harms_no_neighbour() -> None:
    watch = Watch()
    with twin_of("AAPL") as twin:
        feed = connect(polygon(twin), trades="AAPL")
        subscription = watched(feed, watch)
        watch.subscribed(1)
        for element in (
            {"ev": "NEW", "sym": "AAPL"},
            {"ev": "T", "sym": "AAPL", "p": -1},
            {"ev": "status", "status": "success", "message": "subscribed to: Q.SPY"},
        ):
            twin.provoke("slip", element=element)
        twin.advance(3.0)
        watch.until(lambda: len(watch.of(Trade)) == len(twin.trades) > 0)
        watch.until(lambda: watch.statuses("unsubscribed"))
        subscription.dispose()
        assert told(watch) == truth(twin, twin.trades)
    [malformed] = watch.of(Malformed)
    assert "element" in malformed.reason
    assert [(each.kind, each.symbol) for each in watch.statuses("subscribed")] == [
        ("trades", "AAPL"),
        ("quotes", "SPY"),
    ]
    assert [each.symbol for each in watch.statuses("unsubscribed")] == ["SPY"], "nobody had asked for it"


def test_half_a_frame_is_one_malformed() -> None:
    watch = Watch()
    with twin_of("AAPL") as twin:
        subscription = watched(connect(polygon(twin), quotes="AAPL"), watch)
        watch.subscribed(1)
        twin.corrupt()
        twin.advance(3.0)
        watch.until(lambda: len(watch.of(Quote)) > 5)
        subscription.dispose()
    [malformed] = watch.of(Malformed)
    assert malformed.frame.payload.startswith(b"[{")
    assert watch.error is None


def test_what_the_cluster_does_not_have_is_told_before_anything_is_opened() -> None:
    with twin_of("AAPL") as twin:
        with pytest.raises(Unsupported, match=r"polygon has no 'books'; it offers .* on its cluster stocks"):
            connect(polygon(twin), books="AAPL")
        feed = connect(polygon(twin, "options"), quotes=CONTRACT)
        with pytest.raises(Unsupported, match="no wildcard"):
            feed.add(quotes="*")
        assert twin.accepted == 0


def test_an_unknown_cluster_is_rejected_at_once() -> None:
    watch = Watch()
    with twin_of("AAPL") as twin:
        watched(connect(polygon(twin, "futures"), trades="ESZ5"), watch)
        watch.until(lambda: watch.error)
    assert isinstance(watch.error, Rejected)
    assert "404" in str(watch.error)
