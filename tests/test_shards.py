"""Several connections behind one feed: each carries what fits, and one that dies takes only its own along."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.disposable import CompositeDisposable
from reactivex.subject import Subject

from rtflow import transport
from rtflow.book import BookState
from rtflow.errors import Rejected, Unsupported
from rtflow.events import Event, Frame, Gap, Trade
from rtflow.operators import book_apply, normalize, retry_with_backoff
from rtflow.provider import Answer, Request, Room, Subscription
from rtflow.providers import Binance
from rtflow.providers.binance import BinanceSession
from rtflow.shards import spread
from rtflow.time import SECOND
from rtflow.transport import Socket, connect
from rtflow.twin import Twin
from tests.watching import PATIENCE, SOON, Watch, end_between_frames, left_over

START = 1_790_358_500_000_000_000
COINS = ("BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT")


# ------------------------------------------------------------------------------------------ which goes where


def trades(*symbols: str) -> Subscription:
    return Subscription.of(trades=symbols)


def test_without_a_limit_there_is_one_connection() -> None:
    assert spread(trades("A", "B"), (), None) == (trades("A", "B"),)
    assert spread(trades(), (), Room(2)) == (trades(),)


def test_what_is_added_fills_the_first_that_has_room_and_then_opens_one_more() -> None:
    shards = spread(trades("A", "B", "C"), (), Room(2))
    assert shards == (trades("A", "B"), trades("C"))
    assert spread(trades("A", "B", "C", "D", "E"), shards, Room(2)) == (
        *shards[:1],
        trades("C", "D"),
        trades("E"),
    )


def test_what_leaves_makes_room_and_an_empty_connection_keeps_its_place() -> None:
    shards = (trades("A", "B"), trades("C"), trades("D"))
    left = spread(trades("B", "D"), shards, Room(2))
    assert left == (trades("B"), trades(), trades("D"))
    assert spread(trades("B", "D", "E", "F"), left, Room(2)) == (trades("B", "E"), trades("F"), trades("D"))


def test_a_symbol_goes_over_one_connection_with_all_its_kinds_while_it_fits() -> None:
    both = Subscription.of(trades=["A", "B"], quotes=["B"])
    first = spread(both, (), Room(2))
    assert first == (trades("A"), Subscription.of(trades="B", quotes="B"))
    assert spread(both | Subscription.of(quotes="A"), first, Room(2))[0].kinds == ("quotes", "trades")


def test_what_is_served_apart_goes_over_different_connections() -> None:
    room = Room(9, apart=lambda topic: topic[0])
    first = spread(Subscription.of(trades=["A", "B"], quotes=["A"]), (), room)
    assert first == (Subscription.of(quotes="A"), trades("A", "B"))
    emptied = spread(trades("A"), first, room)
    assert spread(Subscription.of(trades="A", books="A"), emptied, room) == (
        Subscription.of(books="A"),
        trades("A"),
    )


def test_more_connections_than_the_venue_allows_are_refused() -> None:
    with pytest.raises(
        Unsupported, match="5 topics take 3 connections, as 2 go over each; the venue allows 2"
    ):
        spread(trades(*"ABCDE"), (), Room(2, connections=2))


@settings(max_examples=50)
@given(
    st.lists(
        st.sets(st.tuples(st.sampled_from(["trades", "quotes"]), st.sampled_from("ABCDEF"))), max_size=8
    ),
    st.integers(2, 4),
)
def test_whatever_comes_and_goes_everything_is_served_once_within_the_limit_and_nothing_moves(
    wants: list[set[tuple[str, str]]], limit: int
) -> None:
    shards: tuple[Subscription, ...] = ()
    for topics in wants:
        before, shards = shards, spread(Subscription(frozenset(topics)), shards, Room(limit))
        assert sorted(topic for shard in shards for topic in shard.topics) == sorted(topics)
        assert all(len(shard.topics) <= limit for shard in shards)
        assert all(old.topics & topics <= new.topics for old, new in zip(before, shards, strict=False))


# ------------------------------------------------------------------------------------------ over real sockets


class Line:
    """A feed of a twin whose connections carry two streams each, and everything that came of it."""

    subscription: CompositeDisposable

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.watch = Watch()
        self.frames: list[Frame] = []
        self.provider = Binance(url=twin.url, rest_url=twin.rest_url)
        self.provider.room = Room(2)
        self.refusals: list[Exception] = []
        self.attempts = 0
        self.may_open = threading.Event()
        self.may_open.set()
        self.feed = connect(self.provider, trades=COINS, books=COINS[:2], open_socket=self.open)

    def open(self, request: Request, timeout: float) -> Socket:
        self.attempts += 1
        assert self.may_open.wait(PATIENCE)
        if self.feed.epoch and self.refusals:
            raise self.refusals.pop()
        return transport._open(request, timeout, ssl_context=None, proxy={})

    def subscribe(self, retries: int = 10) -> CompositeDisposable:
        events: Subject[Event] = Subject()
        books = events.pipe(book_apply(resync=self.feed.resync))
        told = [each.subscribe(self.watch.on_next, self.watch.on_error) for each in (events, books)]
        frames = self.feed.pipe(
            ops.do_action(self.frames.append), retry_with_backoff(base=0.05, jitter=None, retries=retries)
        )
        return CompositeDisposable(*told, frames.pipe(normalize(self.provider)).subscribe(events))

    def until(self, happened: Callable[[], object]) -> None:
        self.watch.until_moving(self.twin, happened)

    def serves(self, topics: int) -> None:
        """Wait, while the market stands still, until so many topics are served, and both books."""
        watch = self.watch
        watch.until(
            lambda: len({(each.kind, each.symbol) for each in watch.statuses("subscribed")}) == topics
        )
        watch.until(lambda: all(watch.snapshots(symbol) for symbol in COINS[:2]))

    def catches_up(self, *symbols: str) -> None:
        """Wait until all trades of these symbols have come."""
        self.twin.advance(0.5)
        for symbol in symbols:
            there = len(expected(self.twin, symbol))
            self.watch.until(lambda: len(self.watch.of(Trade, symbol)) >= there)  # noqa: B023


def expected(twin: Twin, symbol: str) -> list[str]:
    return [str(fill.id) for fill in twin.trades if fill.symbol.replace("/", "") == symbol]


def got(watch: Watch, symbol: str) -> list[str]:
    return [each.id for each in watch.of(Trade, symbol)]


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(transport, "_OVERLAP", SECOND // 4)
    monkeypatch.setattr(transport, "backoff", lambda *_: repeat(0.05))
    yield
    assert left_over() == []


@pytest.fixture
def line() -> Iterator[Line]:
    """Six topics over three connections: Bitcoin alone has two, the others share."""
    with Twin(
        "binance", seed=7, start=START, pace=0.0, messages=100, streams=2, rate=4.0, warmup=5.0
    ) as twin:
        line = Line(twin)
        line.subscription = line.subscribe()
        try:
            line.serves(6)
            assert twin.connections == 3
            line.catches_up(*COINS)
            yield line
        finally:
            began = time.monotonic()
            line.subscription.dispose()
            assert time.monotonic() - began < SOON


def test_one_connection_that_dies_leaves_a_gap_of_its_symbols_and_the_others_go_on(line: Line) -> None:
    watch, twin = line.watch, line.twin
    twin.provoke("cut", stream="ethusdt@trade")
    line.until(lambda: len(watch.of(Gap)) == 2)
    line.catches_up("BTCUSDT", "DOGEUSDT")
    assert {gap.symbols for gap in watch.of(Gap)} == {("ETHUSDT", "SOLUSDT")}
    assert [gap.ts_end is None for gap in watch.of(Gap)] == [True, False]
    for symbol in ("BTCUSDT", "DOGEUSDT"):
        assert got(watch, symbol) == expected(twin, symbol)
    assert {each.status for each in watch.of(BookState)} == {"live"}
    [retried] = watch.statuses("retrying")
    assert (retried.attempt, retried.wait) == (1, 0.05)
    assert "of 3: internal error" in retried.text
    assert len(watch.statuses("joined")) == 4
    assert [each.epoch for each in watch.statuses("parted")] != []
    assert watch.statuses("open") == watch.statuses("closed") == []
    assert twin.connections == 3


def test_books_of_the_connection_that_died_come_back_alone(line: Line) -> None:
    watch = line.watch
    line.twin.provoke("cut", stream="dogeusdt@trade")
    line.until(lambda: watch.snapshots("DOGEUSDT") >= 2)
    line.until(lambda: (book := watch.book("DOGEUSDT")) is not None and book.status == "live")
    assert {each.status for each in watch.of(BookState, "BTCUSDT")} == {"live"}
    assert {each.status for each in watch.of(BookState, "DOGEUSDT")} == {"live", "syncing"}


def test_what_is_added_beyond_the_limit_opens_one_more_connection_and_leaving_closes_it(line: Line) -> None:
    watch, twin = line.watch, line.twin
    line.feed.add(quotes=["SOLUSDT"])
    line.serves(7)
    assert twin.connections == 4
    line.feed.remove(quotes=["SOLUSDT"])
    line.until(lambda: twin.connections == 3)
    line.catches_up(*COINS)
    for symbol in COINS:
        assert got(watch, symbol) == expected(twin, symbol)
    assert watch.of(Gap) == []
    assert watch.statuses("retrying") == []


def test_what_a_connection_served_that_is_closed_as_nothing_is_wanted_of_it_is_told_as_unsubscribed(
    line: Line,
) -> None:
    watch = line.watch
    line.feed.remove(trades="DOGEUSDT", books="DOGEUSDT")
    line.until(lambda: watch.statuses("parted"))
    line.until(lambda: (book := watch.book("DOGEUSDT")) is not None and book.status == "empty")
    left = {("books", "DOGEUSDT"), ("trades", "DOGEUSDT")}
    assert {(each.kind, each.symbol) for each in watch.statuses("unsubscribed")} == left
    assert watch.statuses("closed") == []
    assert watch.of(Gap) == []
    line.feed.add(trades="DOGEUSDT", books="DOGEUSDT")
    line.until(lambda: (book := watch.book("DOGEUSDT")) is not None and book.status == "live")


def test_what_was_not_wanted_any_more_when_a_connection_died_is_told_as_unsubscribed(line: Line) -> None:
    watch, twin = line.watch, line.twin
    twin.silence(PATIENCE)  # so that it never says that SOL has left
    line.feed.remove(trades="SOLUSDT")
    twin.provoke("cut", stream="ethusdt@trade")
    line.until(lambda: watch.of(Gap))
    assert "ETHUSDT" in watch.of(Gap)[0].symbols
    assert [(each.kind, each.symbol) for each in watch.statuses("unsubscribed")] == [("trades", "SOLUSDT")]


def test_a_book_that_moves_to_an_older_connection_is_live_there(line: Line) -> None:
    watch = line.watch
    line.twin.provoke("cut", stream="btcusdt@trade")
    line.until(lambda: watch.snapshots("BTCUSDT") >= 2)
    assert (book := watch.book("BTCUSDT")) is not None
    assert book.epoch == 4
    line.feed.remove(trades=["BTCUSDT", "SOLUSDT"], books="BTCUSDT")
    line.until(lambda: {each.symbol for each in watch.statuses("unsubscribed")} == {"BTCUSDT", "SOLUSDT"})
    line.feed.add(trades="BNBUSDT", quotes="BNBUSDT")  # where Bitcoin was
    line.feed.add(books="BTCUSDT")  # where Solana was
    line.until(lambda: watch.snapshots("BTCUSDT") >= 3)
    line.until(lambda: (book := watch.book("BTCUSDT")) is not None and book.status == "live")
    assert (book := watch.book("BTCUSDT")) is not None
    assert book.epoch < 4


def test_a_resync_of_what_is_not_connected_is_not_asked_for(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its snapshots come with the connection; and a session that has not begun has nothing to say."""
    watch = line.watch
    asked: list[tuple[str, int]] = []
    resync = BinanceSession.resync

    def noted(session: BinanceSession, symbol: str) -> Iterable[Answer]:
        asked.append((symbol, session._now))
        return resync(session, symbol)

    monkeypatch.setattr(BinanceSession, "resync", noted)
    line.may_open.clear()
    line.twin.provoke("cut", stream="dogeusdt@trade")
    line.until(lambda: line.attempts == 4)
    line.feed.resync("DOGEUSDT")
    line.feed.resync("BTCUSDT")
    line.until(lambda: watch.snapshots("BTCUSDT") >= 2)  # so the reader has seen to both
    assert {symbol for symbol, _ in asked} == {"BTCUSDT"}
    assert all(now > 0 for _, now in asked)
    line.may_open.set()
    line.until(lambda: watch.snapshots("DOGEUSDT") >= 2)
    line.until(lambda: (book := watch.book("DOGEUSDT")) is not None and book.status == "live")


def test_a_connection_is_tried_again_until_it_is_there_while_others_serve(line: Line) -> None:
    line.refusals = [ConnectionRefusedError(), ConnectionRefusedError()]
    line.twin.provoke("cut", stream="ethusdt@trade")
    line.until(lambda: len(line.watch.of(Gap)) == 2)
    assert [each.attempt for each in line.watch.statuses("retrying")] == [1, 2, 3]
    assert line.watch.error is None


def test_an_end_that_was_announced_is_answered_at_once_the_first_time(line: Line) -> None:
    for times in 1, 2:
        line.twin.provoke("cut", stream="ethusdt@trade", code=1001)
        line.until(lambda: len(line.watch.of(Gap)) == 2 * times)  # noqa: B023
    assert [each.wait for each in line.watch.statuses("retrying")] == [0.0, 0.05]


def test_waits_start_over_after_a_connection_was_stable(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_STABLE_FOR", 0.0)
    for times in 1, 2:
        line.twin.provoke("cut", stream="ethusdt@trade")
        line.until(lambda: len(line.watch.of(Gap)) == 2 * times)  # noqa: B023
    assert [each.attempt for each in line.watch.statuses("retrying")] == [1, 1]


def test_when_all_are_lost_the_feed_fails_and_a_retry_behind_it_begins_anew(line: Line) -> None:
    watch = line.watch
    line.twin.refuse(0.3)
    line.twin.disconnect()
    line.until(lambda: len([gap for gap in watch.of(Gap) if gap.ts_end]) == 3)
    assert {gap.symbols for gap in watch.of(Gap)} == {("BTCUSDT",), ("DOGEUSDT",), ("ETHUSDT", "SOLUSDT")}
    assert [each for each in watch.statuses("retrying") if "of 3" not in each.text], "it was the whole feed's"
    assert line.watch.error is None


def test_a_refusal_of_what_we_are_ends_everything(line: Line) -> None:
    line.refusals = [Rejected("the key is bad")]
    line.twin.provoke("cut", stream="ethusdt@trade")
    line.until(lambda: line.watch.error)
    assert isinstance(line.watch.error, Rejected)
    line.until(lambda: line.twin.connections == 0)


def test_a_reconnect_is_of_all(line: Line) -> None:
    line.feed.reconnect()
    line.until(lambda: len([gap for gap in line.watch.of(Gap) if gap.ts_end]) == 3)
    assert line.feed.epoch == 6
    [retried] = line.watch.statuses("retrying")
    assert retried.text == "reconnect asked for"


def test_a_planned_cut_of_several_is_bridged_for_each(line: Line) -> None:
    watch, twin = line.watch, line.twin
    twin.provoke("server_shutdown", seconds=60.0)
    line.until(lambda: len(watch.statuses("bridged")) == 3)
    line.catches_up(*COINS)
    for symbol in COINS:
        assert got(watch, symbol) == expected(twin, symbol)
    assert watch.of(Gap) == []
    assert {each.status for each in watch.of(BookState)} == {"live"}


def test_a_replay_of_the_mixed_frames_says_the_same(line: Line) -> None:
    watch = line.watch
    line.twin.provoke("server_shutdown", seconds=60.0)
    line.until(lambda: len(watch.statuses("bridged")) == 3)
    line.twin.provoke("cut", stream="ethusdt@trade")
    line.until(lambda: len(watch.of(Gap)) == 2)
    end_between_frames(line.feed, line.subscription)
    kernel = normalize(line.provider).kernel()
    replayed = [event for frame in line.frames for event in kernel.push(frame)]
    assert replayed == [each for each in watch.items if not isinstance(each, BookState)]
