"""A rehearsal is a feed in virtual time: the same talk, the same errors, no socket."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from reactivex import Observable
from reactivex import operators as ops

from rtflow import faults
from rtflow import operators as op
from rtflow.book import BookState
from rtflow.errors import Disconnected, Rejected, Throttled, Unsupported
from rtflow.events import Closing, Event, Frame, FrameKind, Gap, OrderBookUpdate, Status, Trade
from rtflow.provider import Answer, Fetch, Provider, Refused
from rtflow.providers import Alpaca, AngelOne, Binance, Coinbase, Kraken
from rtflow.providers.kraken import KrakenSession
from rtflow.rehearsal import Rehearsal, venue
from rtflow.time import SECOND
from rtflow.twin import BinanceVenue
from tests.chaos import agrees

BOTH = ("BTC/USD", "ETH/USD")


class Watch:
    """All that a rehearsal says."""

    def __init__(self, show: Rehearsal, frames: Observable[Frame] | None = None) -> None:
        self.frames: list[Frame] = []
        self.events: list[Event] = []
        self.books: dict[str, BookState] = {}
        self.error: Exception | None = None
        source: Observable[Frame] = show if frames is None else frames
        shared = source.pipe(op.broadcast())
        events = shared.pipe(op.normalize(show.provider), op.broadcast())
        books = events.pipe(op.book_apply(resync=show.resync))
        books.subscribe(self._book, self._failed, scheduler=show.scheduler)
        events.subscribe(self.events.append, self._failed, scheduler=show.scheduler)
        self.subscription = shared.subscribe(self.frames.append, self._failed, scheduler=show.scheduler)

    def _book(self, book: BookState) -> None:
        self.books[book.symbol] = book

    def _failed(self, error: Exception) -> None:
        self.error = error

    def statuses(self, state: str) -> list[Status]:
        return [each for each in self.events if isinstance(each, Status) and each.state == state]

    def of(self, kind: type[Any]) -> list[Any]:
        return [each for each in self.events if isinstance(each, kind)]


def rehearsal(**options: Any) -> Rehearsal:
    symbols = options.pop("symbols", (*BOTH, "SOL/USD"))
    settings: dict[str, Any] = {"trades": BOTH, "books": BOTH} | options
    return Rehearsal(Kraken(), venue("kraken", seed=5, symbols=symbols), **settings)


def test_all_that_the_market_does_arrives_at_its_moment() -> None:
    show = rehearsal()
    watch = Watch(show)
    show.advance(5)
    trades = watch.of(Trade)
    assert [(each.symbol, int(each.id)) for each in trades] == [
        (fill.symbol, fill.id) for fill in show.trades if fill.symbol in BOTH
    ]
    assert all(0 <= each.ts_recv - each.ts_event < SECOND // 50 for each in trades)
    assert all(agrees(show.venue.market, symbol, watch.books[symbol], 10) for symbol in BOTH)
    assert (show.epoch, watch.frames[0].payload) == (1, b"wss://ws.kraken.com/v2")
    assert watch.statuses("heartbeat") == [] == watch.of(Gap)


def test_the_same_show_twice_is_the_same_to_the_byte() -> None:
    first, second = rehearsal(), rehearsal()
    one, other = Watch(first), Watch(second)
    for show in first, second:
        show.advance(3)
    assert one.frames == other.frames


def test_wants_change_while_it_runs_and_before() -> None:
    show = rehearsal()
    show.add(trades="SOL/USD")
    watch = Watch(show)
    show.advance(1)
    show.add(books=["SOL/USD"])
    show.remove(trades=["BTC/USD"])
    show.remove(trades=["BTC/USD"])
    show.advance(1)
    assert {(each.kind, each.symbol) for each in watch.statuses("subscribed")} == {
        *(("trades", each) for each in (*BOTH, "SOL/USD")),
        *(("books", each) for each in (*BOTH, "SOL/USD")),
    }
    assert [(each.kind, each.symbol) for each in watch.statuses("unsubscribed")] == [("trades", "BTC/USD")]
    assert ("trades", "BTC/USD") not in show.wanted.topics
    with pytest.raises(Unsupported, match="kraken has no 'news'"):
        show.add(news=["*"])
    with pytest.raises(Unsupported, match="kraken has no 'news'"):
        rehearsal(news=["*"])


def test_a_symbol_that_is_refused_is_no_longer_wanted() -> None:
    show = rehearsal(trades=["BTC/USD", "NOPE/USD"], books=[])
    watch = Watch(show)
    show.advance(1)
    assert [each.symbol for each in watch.statuses("rejected")] == ["NOPE/USD"]
    assert show.wanted.topics == {("trades", "BTC/USD")}


def test_a_refusal_that_names_nobody_is_said_in_our_words() -> None:
    class Refuses(KrakenSession):
        def received(self, frame: Frame) -> Iterable[Any]:
            yield Refused((("trades", "BTC/USD"),), "no reason")
            yield from super().received(frame)

    class Strange(Kraken):
        def session(self, subscription: Any) -> KrakenSession:
            return Refuses(subscription, self.depth, self.interval)

    show = Rehearsal(Strange(), venue("kraken", symbols=BOTH), trades=BOTH)
    watch = Watch(show)
    show.advance(0.1)
    assert ("rejected", "BTC/USD", "trades", "no reason") in {
        (each.state, each.symbol, each.kind, each.text) for each in watch.of(Status)
    }


def test_a_resync_brings_a_fresh_book() -> None:
    show = rehearsal()
    show.resync("BTC/USD")  # there is no connection yet
    watch = Watch(show)
    show.advance(1)
    show.resync("BTC/USD")
    show.advance(1)
    snapshots = [each for each in watch.of(OrderBookUpdate) if each.snapshot]
    assert [each.symbol for each in snapshots].count("BTC/USD") == 2


def test_there_is_one_connection_and_it_can_be_left() -> None:
    show = rehearsal()
    watch = Watch(show)
    show.advance(1)
    with pytest.raises(RuntimeError, match="has its one connection already"):
        show.subscribe(print)
    count = len(watch.frames)
    show._call.leave() if show._call else None
    show.advance(1)
    assert (len(watch.frames), show.venue.conversations) == (count, [])
    with show.subscribe(watch.frames.append, scheduler=show.scheduler):
        show.advance(1)
        assert show.epoch == 2
    assert show.venue.conversations == []


def test_a_reconnect_is_an_error_behind_a_close_and_a_retry_makes_it_whole() -> None:
    show = rehearsal()
    watch = Watch(show, show.pipe(op.retry_with_backoff(jitter=None)))
    show.advance(1)
    show.reconnect()
    show.advance(5)
    (told,) = [frame for frame in watch.frames if frame.kind is FrameKind.CLOSE]
    assert msgspec.json.decode(told.payload, type=Closing) == Closing(
        "Disconnected", "reconnect asked for", 1000
    )
    (again,) = watch.statuses("retrying")
    second = next(each for each in watch.statuses("open") if each.epoch == 2)
    assert second.ts_recv - again.ts_recv == SECOND, "exactly the wait that was announced"
    assert len(watch.of(Gap)) == 2
    assert all(agrees(show.venue.market, symbol, watch.books[symbol], 10) for symbol in BOTH)


def test_what_is_removed_while_nothing_is_connected_is_unsubscribed_before_the_next_connection_opens() -> (
    None
):
    show = rehearsal()
    watch = Watch(show, show.pipe(op.retry_with_backoff(jitter=None)))
    show.advance(1)
    show.reconnect()
    show.advance(0.5)
    show.remove(trades="BTC/USD", books="BTC/USD")
    show.advance(5)
    gone = watch.statuses("unsubscribed")
    text = "it was removed while nothing was connected"
    assert [(each.kind, each.symbol, each.text, each.epoch) for each in gone] == [
        ("books", "BTC/USD", text, 1),
        ("trades", "BTC/USD", text, 1),
    ]
    assert watch.events.index(gone[-1]) < watch.events.index(watch.statuses("open")[1])
    assert watch.books["BTC/USD"].status == "empty"
    assert agrees(show.venue.market, "ETH/USD", watch.books["ETH/USD"], 10)
    show.reconnect()
    show.advance(5)
    assert watch.statuses("unsubscribed") == gone, "said once"


def test_what_was_to_be_left_when_a_connection_ended_is_unsubscribed_by_its_close() -> None:
    show = rehearsal(faults=faults.scenario("----------mute(2s)"))
    watch = Watch(show, show.pipe(op.retry_with_backoff(jitter=None)))
    show.advance(1.5)
    show.remove(trades="BTC/USD")
    show.reconnect()
    show.advance(5)
    (gone,) = watch.statuses("unsubscribed")
    assert (gone.kind, gone.symbol, gone.text) == ("trades", "BTC/USD", "it was not wanted any more")
    (told,) = [frame for frame in watch.frames if frame.kind is FrameKind.CLOSE]
    assert msgspec.json.decode(told.payload, type=Closing).left == (("trades", "BTC/USD"),)


def test_what_a_connection_delivered_is_on_its_error() -> None:
    show = rehearsal()
    watch = Watch(show)
    show.advance(10)
    show.reconnect()
    show.reconnect()  # it is over by then
    show.advance(1)
    assert isinstance(watch.error, Disconnected)
    assert 9 < watch.error.delivered_for < 10.1


def test_a_venue_that_hangs_up_is_understood_by_the_session() -> None:
    show = rehearsal()
    watch = Watch(show)
    show.advance(1)
    show.venue.conversations[0].hang_up(1001, "bye")
    show.advance(1)
    assert isinstance(watch.error, Disconnected)
    assert (watch.error.code, watch.error.reason, watch.error.announced) == (1001, "bye", True)


def test_an_end_that_is_announced_is_not_waited_for_as_there_is_one_connection_at_a_time() -> None:
    show = Rehearsal(Binance(), venue("binance", symbols=["BTC/USDT"]), trades=["BTCUSDT"])
    watch = Watch(show)
    show.advance(1)
    show.venue.provoke("server_shutdown", seconds=60.0)
    show.advance(1)
    assert isinstance(watch.error, Disconnected)
    assert watch.error.announced
    assert watch.error.reason == "the venue shuts this server down"


def test_a_venue_that_wants_no_such_path_is_asked_no_more() -> None:
    show = Rehearsal(Kraken(url="wss://ws.kraken.com/v9?x=1"), venue("kraken"), trades="BTC/USD")
    watch = Watch(show)
    show.advance(1)
    assert isinstance(watch.error, Rejected)
    assert watch.frames == []


def test_a_bad_key_is_rejected_with_a_close_before_it() -> None:
    provider = Alpaca("wrong", "hidden")
    show = Rehearsal(provider, venue("alpaca", keys={"right": "secret"}), trades="AAPL")
    watch = Watch(show)
    show.advance(1)
    assert isinstance(watch.error, Rejected)
    assert watch.frames[-1].kind is FrameKind.CLOSE


def test_binary_messages_come_as_such() -> None:
    show = Rehearsal(
        AngelOne("Bearer jwt", "key", "A123456", "feed"), venue("angelone", seed=5), trades=["nse_cm:3045"]
    )
    watch = Watch(show)
    show.advance(5)
    assert FrameKind.BINARY in {frame.kind for frame in watch.frames}
    assert watch.of(Trade)


def test_documents_come_in_order_with_the_rest() -> None:
    show = Rehearsal(Binance(), venue("binance", seed=7, messages=1000), books=["BTCUSDT"])
    watch = Watch(show)
    show.advance(5)
    assert FrameKind.HTTP in {frame.kind for frame in watch.frames}
    assert watch.books["BTCUSDT"].status == "live"


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ({"status": 503}, "HTTP 503"),
        ({"status": 429, "retry_after": 2}, "HTTP 429"),
        ({"status": 418}, "HTTP 418"),
        ({"status": 404}, "HTTP 404"),
    ],
)
def test_a_document_that_does_not_come_is_said_and_asked_for_again(
    failure: dict[str, int], said: str
) -> None:
    show = Rehearsal(Binance(), venue("binance", seed=7, messages=1000), books=["BTCUSDT"])
    show.venue.provoke("rest_failure", **failure)
    watch = Watch(show)
    show.advance(5)
    assert said in watch.statuses("unfetched")[0].text


class Fetches(KrakenSession):
    """Asks for a document without a query, and gives up on the first that does not come."""

    def opened(self) -> Iterable[Any]:
        yield Fetch("page", "https://example.org/page", {"X-Key": "1"})
        yield from super().opened()

    def unfetched(self, fetch: Fetch, error: Exception, now: int) -> Iterable[Answer]:
        yield Throttled("enough", retry_after=3.0)


def test_a_session_may_end_over_a_document() -> None:
    class Strange(Kraken):
        def session(self, subscription: Any) -> KrakenSession:
            return Fetches(subscription, self.depth, self.interval)

    show = Rehearsal(Strange(), venue("kraken", symbols=BOTH), trades=BOTH)
    watch = Watch(show)
    show.advance(1)
    assert isinstance(watch.error, Throttled)
    assert json.loads(watch.frames[-1].payload)["error"] == "Throttled"


# -- faults of the line ----------------------------------------------------------------------------------


def test_a_line_that_is_cut_comes_back_when_it_may() -> None:
    show = rehearsal(faults=faults.scenario("1s cut(2.5s)"))
    watch = Watch(show, show.pipe(op.retry_with_backoff(jitter=None)))
    show.advance(20)
    began = watch.frames[0].ts_recv
    closed = [(each.ts_recv - began, each.text) for each in watch.statuses("closed")]
    assert closed == [(SECOND, "cut by a fault")]
    waits = [(each.attempt, each.wait, each.text) for each in watch.statuses("retrying")]
    assert waits == [
        (1, 1.0, "cut by a fault"),
        (2, 2.0, "HTTP 503 refused"),
    ]
    assert [(each.ts_recv - began) // SECOND for each in watch.statuses("open")] == [0, 4]
    assert all(agrees(show.venue.market, symbol, watch.books[symbol], 10) for symbol in BOTH)


def test_a_line_that_is_held_up_is_held_up_for_the_session_too() -> None:
    show = rehearsal(faults=faults.scenario("1s delay(2s)"))
    watch = Watch(show)
    show.advance(5)
    stamps = [frame.ts_recv - watch.frames[0].ts_recv for frame in watch.frames]
    assert not [stamp for stamp in stamps if SECOND < stamp < 3 * SECOND]
    assert stamps.count(3 * SECOND) > 50


def test_a_fault_while_nobody_listens_hurts_nobody() -> None:
    show = rehearsal(faults=faults.scenario("1s cut 1s mute(1s)"))
    watch = Watch(show)
    show.advance(5)
    assert isinstance(watch.error, Disconnected)
    assert show.venue.conversations == []


def test_who_leaves_hears_nothing_more_of_what_has_come_already() -> None:
    show = rehearsal(faults=faults.scenario("1s delay(2s)"))
    seen: list[Frame] = []
    begin = show.scheduler.now_ns

    def is_late(frame: Frame) -> bool:
        return frame.ts_recv > begin + 2 * SECOND

    released = show.pipe(ops.filter(is_late), ops.take(30))
    with released.subscribe(seen.append, scheduler=show.scheduler):
        show.advance(5)
    assert len(seen) == 30
    assert show.venue.conversations == []


def test_who_has_left_is_told_no_error() -> None:
    class Refuses(KrakenSession):
        def received(self, frame: Frame) -> Iterable[Any]:
            yield Rejected("not you")

    class Strange(Kraken):
        def session(self, subscription: Any) -> KrakenSession:
            return Refuses(subscription, self.depth, self.interval)

    show = Rehearsal(Strange(), venue("kraken", symbols=BOTH), trades=BOTH)
    errors: list[Exception] = []
    seen: list[Frame] = []
    with show.pipe(ops.take(2)).subscribe(seen.append, errors.append, scheduler=show.scheduler):
        show.advance(1)
    assert [frame.kind for frame in seen] == [FrameKind.OPEN, FrameKind.TEXT]
    assert errors == []


def test_messages_behind_a_cut_are_not_heard() -> None:
    harm = faults.disconnect(chance=1.0, only=b'"channel":"trade"')
    show = rehearsal(faults=harm)
    watch = Watch(show)
    show.advance(5)
    assert isinstance(watch.error, Disconnected)
    assert not watch.of(Trade)


def test_there_is_a_twin_of_each_of_these_venues_only() -> None:
    with pytest.raises(Unsupported, match="there is no twin of 'nasdaq'; there are alpaca"):
        venue("nasdaq")


def test_a_provider_is_a_provider() -> None:
    provider: Provider = Kraken()
    assert Rehearsal(provider, venue("kraken"), trades="BTC/USD").provider is provider


def test_a_venue_whose_address_has_no_path_is_asked_for_its_root() -> None:
    coinbase = Coinbase()
    show = Rehearsal(coinbase, venue("coinbase", symbols="BTC-USD"), books="BTC-USD")
    watch = Watch(show)
    show.advance(1)
    assert watch.error is None
    assert watch.books["BTC-USD"].status == "live"


@pytest.mark.parametrize("symbols", ["BTC/USDT", ["BTC/USDT"], None])
def test_what_a_venue_lists_is_traded_at_its_own_prices(symbols: Any) -> None:
    market = venue("binance", symbols=symbols).market
    assert market.listings["BTC/USDT"] in [*BinanceVenue.listings]
