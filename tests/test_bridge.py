"""A planned cut is bridged: nothing is lost, nothing comes twice, books stay live, and no Gap is said."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.disposable import CompositeDisposable
from reactivex.subject import Subject

from rtflow import transport
from rtflow.book import BookState
from rtflow.bridge import Bridge
from rtflow.errors import Rejected, Throttled
from rtflow.events import (
    Bar,
    Event,
    Frame,
    FrameKind,
    Gap,
    Lost,
    Opening,
    OrderBookUpdate,
    Quote,
    State,
    Status,
    Trade,
)
from rtflow.operators import book_apply, broadcast, normalize, retry_with_backoff
from rtflow.provider import Request, Session, Subscription
from rtflow.providers import Binance
from rtflow.testing import Proxy
from rtflow.time import SECOND
from rtflow.transport import Socket, connect
from rtflow.twin import Twin
from tests.watching import Watch, end_between_frames, left_over

START = 1_790_358_500_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")
TOPICS = 5


class Clock:
    """The time of this machine, and how far a test has turned it on."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return time.time_ns() + self.ahead


class Line:
    """A feed of a twin, everything that came of it, and how often the twin was not to be reached."""

    def __init__(self, twin: Twin, refusals: int = 0, url: str = "") -> None:
        self.twin = twin
        self.clock = Clock()
        self.watch = Watch()
        self.frames: list[Frame] = []
        self.provider = Binance(url=url or twin.url, rest_url=twin.rest_url)
        self.refusals: list[Exception] = [ConnectionRefusedError() for _ in range(refusals)]
        self.sockets: list[Socket] = []
        self.feed = connect(
            self.provider,
            trades=SYMBOLS,
            quotes="BTCUSDT",
            books=SYMBOLS,
            clock=self.clock,
            open_socket=self.open,
        )

    def open(self, request: Request, timeout: float) -> Socket:
        if self.feed.epoch and self.refusals:
            raise self.refusals.pop(0)
        self.sockets.append(transport._open(request, timeout, ssl_context=None, proxy={}))
        return self.sockets[-1]

    def cut(self, epoch: int) -> None:
        """The connection of this epoch breaks, without a word."""
        taken = self.sockets[epoch - 1]
        assert isinstance(taken, socket.socket)
        taken.shutdown(socket.SHUT_RDWR)

    def subscribe(self) -> CompositeDisposable:
        events: Subject[Event] = Subject()
        books = events.pipe(book_apply(resync=self.feed.resync))
        told = [each.subscribe(self.watch.on_next, self.watch.on_error) for each in (events, books)]
        frames = self.feed.pipe(ops.do_action(self.frames.append), retry_with_backoff(base=60, jitter=None))
        subscription = CompositeDisposable(*told, frames.pipe(normalize(self.provider)).subscribe(events))
        self.watch.subscribed(TOPICS)
        self.watch.until(lambda: all(self.watch.snapshots(symbol) for symbol in SYMBOLS))
        self.twin.advance(0.5)
        return subscription

    def until(self, happened: Callable[[], object]) -> None:
        self.watch.until_moving(self.twin, happened)

    def goes_on_until(self, happened: Callable[[], object]) -> None:
        """The same, and on to the end of its trades."""
        self.until(happened)
        for _ in range(5):
            self.twin.advance(0.2)
        trades = len(expected(self.twin))
        self.watch.until(lambda: len(self.watch.of(Trade)) >= trades)


def expected(twin: Twin) -> list[tuple[str, str, int]]:
    return sorted(
        (fill.symbol.replace("/", ""), str(fill.id), fill.side)
        for fill in twin.trades
        if fill.symbol in ("BTC/USDT", "ETH/USDT")
    )


def got(watch: Watch) -> list[tuple[str, str, int]]:
    return sorted((each.symbol, each.id, int(each.side)) for each in watch.of(Trade))


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(transport, "_OVERLAP", SECOND // 4)
    monkeypatch.setattr(transport, "backoff", lambda *_: repeat(0.05))
    yield
    assert left_over() == []


def a_shutdown_is_announced(line: Line) -> None:
    line.twin.provoke("server_shutdown", seconds=60.0)


def its_day_is_almost_over(line: Line) -> None:
    line.clock.ahead = 23 * 3600 * SECOND


@pytest.mark.parametrize("refusals", [0, 2])
@pytest.mark.parametrize("cut", [a_shutdown_is_announced, its_day_is_almost_over])
def test_a_planned_cut_loses_and_doubles_no_trade_and_books_stay_live(
    cut: Callable[[Line], None], refusals: int
) -> None:
    with Twin("binance", seed=7, start=START, pace=0.0, messages=100) as twin:
        line = Line(twin, refusals)
        watch = line.watch
        subscription = line.subscribe()
        cut(line)
        line.goes_on_until(lambda: watch.statuses("bridged"))
        subscription.dispose()
        assert got(watch) == expected(twin)
        assert twin.accepted == 2
    assert watch.of(Gap) == []
    assert {each.status for each in watch.of(BookState)} == {"live"}
    assert [each.attempt for each in watch.statuses("retrying")] == [*range(1, refusals + 1)]
    assert [each.epoch for each in watch.statuses("bridging")] == [2]
    assert watch.statuses("closed") == []
    assert line.feed.epoch == 2


def bridged_once() -> Line:
    """A line that has been bridged, and has ended."""
    with Twin("binance", seed=7, start=START, pace=0.0, messages=100) as twin:
        line = Line(twin)
        subscription = line.subscribe()
        a_shutdown_is_announced(line)
        line.goes_on_until(lambda: line.watch.statuses("bridged"))
        end_between_frames(line.feed, subscription)
    return line


def test_the_frames_of_both_connections_replay_to_the_same_events() -> None:
    line = bridged_once()
    epochs = [frame.epoch for frame in line.frames]
    assert epochs != sorted(epochs), "the frames of both were mixed"
    live = [each for each in line.watch.items if not isinstance(each, BookState)]
    kernel = normalize(line.provider).kernel()
    assert [event for frame in line.frames for event in kernel.push(frame)] == live


def test_a_successor_that_dies_before_it_serves_costs_nothing() -> None:
    with Twin("binance", seed=7, start=START, pace=0.0, messages=100) as twin:
        line = Line(twin)
        watch = line.watch
        subscription = line.subscribe()
        twin.provoke("rest_failure", status=503, count=1)  # so that it is not served too soon
        a_shutdown_is_announced(line)
        line.goes_on_until(lambda: watch.statuses("bridging"))
        line.cut(2)
        line.goes_on_until(lambda: watch.statuses("bridged"))
        subscription.dispose()
        assert got(watch) == expected(twin)
    assert watch.of(Gap) == []
    assert [each.epoch for each in watch.statuses("unbridged")] == [2]
    assert [each.epoch for each in watch.statuses("bridged")] == [3]
    assert {each.status for each in watch.of(BookState)} == {"live"}


def test_an_old_connection_that_dies_too_early_is_a_gap_and_its_successor_goes_on() -> None:
    with Twin("binance", seed=7, start=START, pace=0.0, messages=100) as twin:
        line = Line(twin)
        watch = line.watch
        subscription = line.subscribe()
        twin.provoke("rest_failure", status=503, count=1)
        a_shutdown_is_announced(line)
        line.goes_on_until(lambda: watch.statuses("bridging"))
        line.cut(1)
        line.goes_on_until(lambda: min(map(watch.snapshots, ("ETHUSDT", "BTCUSDT"))) >= 2)
        subscription.dispose()
        assert twin.accepted == 2
    opened, closed = watch.of(Gap)
    assert (opened.ts_end, opened.epoch, closed.epoch) == (None, 1, 1)
    assert len(got(watch)) == len(set(got(watch)))
    assert {each.epoch for each in watch.of(BookState) if each.status == "live"} == {1, 2}
    assert watch.statuses("retrying") == []
    assert watch.error is None


def test_who_leaves_while_a_cut_is_bridged_is_told_as_unsubscribed_and_has_no_book() -> None:
    with Twin("binance", seed=7, start=START, pace=0.0, messages=100) as twin:
        line = Line(twin)
        watch = line.watch
        subscription = line.subscribe()
        twin.provoke("rest_failure", status=503, count=1)
        a_shutdown_is_announced(line)
        line.goes_on_until(lambda: watch.statuses("bridging"))
        line.feed.remove(trades="ETHUSDT", books="ETHUSDT")
        line.feed.add(books="SOLUSDT")
        line.until(lambda: watch.statuses("bridged"))
        line.until(lambda: (book := watch.book("SOLUSDT")) is not None and book.status == "live")
        subscription.dispose()
    assert watch.of(Gap) == []
    book = watch.book("ETHUSDT")
    assert book is not None
    assert book.status == "empty"
    assert {(each.kind, each.symbol) for each in watch.statuses("unsubscribed")} == {
        ("books", "ETHUSDT"),
        ("trades", "ETHUSDT"),
    }
    assert {each.status for each in watch.of(BookState, "BTCUSDT")} == {"live"}


def test_an_old_line_that_was_dead_before_its_successor_served_is_a_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport, "_SILENT", SECOND)
    with Twin("binance", seed=7, start=START, pace=0.0, messages=100) as twin, Proxy(twin) as proxy:
        line = Line(twin, url=proxy.url)
        watch = line.watch
        subscription = line.subscribe()
        proxy.half_open()
        twin.advance(0.5)  # what nobody hears
        its_day_is_almost_over(line)
        line.until(lambda: len(watch.of(Gap)) == 2)
        subscription.dispose()
        missing = set(expected(twin)) - set(got(watch))
        assert missing
        assert len(got(watch)) == len(set(got(watch)))
    assert watch.statuses("bridged") == []
    assert [each.text for each in watch.statuses("closed")] == ["it was silent when its successor took over"]
    assert {each.reason for each in watch.of(Gap)} == {"it was silent when its successor took over"}


def test_who_comes_late_to_a_broadcast_is_told_of_the_connection_that_is_there() -> None:
    def frame(kind: FrameKind, epoch: int) -> Frame:
        return Frame(kind, b"", epoch, epoch)

    for kind, late in (FrameKind.OPEN, 2), (FrameKind.TEXT, None):
        source: Subject[Frame] = Subject()
        shared = source.pipe(broadcast())
        shared.subscribe()
        for each in frame(FrameKind.OPEN, 1), frame(kind, 2), frame(FrameKind.CLOSE, 1):
            source.on_next(each)
        told: list[Frame] = []
        shared.subscribe(told.append)
        assert told == ([frame(FrameKind.OPEN, late)] if late else [])


def test_who_comes_late_is_told_of_all_connections_and_of_who_has_taken_over() -> None:
    def late(*before: Frame | Status) -> list[tuple[str, int]]:
        source: Subject[Frame | Status] = Subject()
        shared = source.pipe(broadcast())
        shared.subscribe()
        for each in before:
            source.on_next(each)
        told: list[Any] = []
        shared.subscribe(told.append)
        return [(each.state if isinstance(each, Status) else each.kind.value, each.epoch) for each in told]

    def opening(epoch: int, **fields: int) -> Frame:
        return Frame(FrameKind.OPEN, msgspec.json.encode(Opening("u", **fields)), epoch, epoch)

    plain = Frame(FrameKind.OPEN, b"u", 1, 1)
    assert late(plain, opening(2, after=1)) == [("open", 1), ("open", 2)]
    lanes = opening(1, lane=0), opening(2, lane=1), opening(3, lane=2)
    assert late(*lanes, Frame(FrameKind.CLOSE, b"", 4, 2)) == [("open", 1), ("open", 3)]
    assert late(*lanes, Frame(FrameKind.OPEN, b"u", 5, 5)) == [("open", 5)]
    alone = Status("open", 1, epoch=1), Status("bridging", 2, epoch=2), Status("bridged", 3, epoch=2)
    assert late(*alone) == [("open", 2)]
    assert late(*alone, Status("closed", 4, epoch=2)) == []
    joined = Status("joined", 1, epoch=1), Status("joined", 1, epoch=2)
    assert late(*joined, Status("parted", 2, epoch=2)) == [("joined", 1)]
    assert late(*joined, Status("bridged", 2, epoch=3))[-1] == ("joined", 3)
    assert late(Status("bridged", 2, epoch=3)) == []


def test_who_hears_the_frames_of_a_bridge_late_is_told_everything_once_from_there() -> None:
    line = bridged_once()
    begins = next(index for index, frame in enumerate(line.frames) if frame.epoch == 2) + 1
    source: Subject[Frame] = Subject()
    shared = source.pipe(broadcast())
    shared.subscribe()
    late: list[Event] = []
    for index, frame in enumerate(line.frames):
        if index == begins:
            shared.pipe(normalize(line.provider)).subscribe(late.append)
        source.on_next(frame)
    ids = [(each.symbol, each.id) for each in late if isinstance(each, Trade)]
    assert len(ids) == len(set(ids))
    assert [event for event in late if isinstance(event, Gap)] == []
    assert late[-20:] == [each for each in line.watch.items if not isinstance(each, BookState)][-20:]


def test_a_venue_that_refuses_what_we_are_is_not_asked_again_and_the_old_connection_goes_on() -> None:
    with Twin("binance", seed=7, start=START, pace=0.0, messages=100) as twin:
        line = Line(twin)
        line.refusals = [Throttled("too often", retry_after=0.1), Rejected("not you")]
        subscription = line.subscribe()
        a_shutdown_is_announced(line)
        line.goes_on_until(lambda: line.watch.statuses("rejected"))
        subscription.dispose()
        assert got(line.watch) == expected(twin)
        assert twin.accepted == 1
    [retried], [refused] = line.watch.statuses("retrying"), line.watch.statuses("rejected")
    assert (retried.attempt, retried.wait) == (1, 0.1)
    assert (refused.attempt, refused.text) == (2, "the planned cut is not bridged: not you")


def test_a_connection_does_not_take_over_before_it_says_that_it_serves() -> None:
    class Silent(Session): ...  # says nothing more than it must

    assert not Silent.serving(Binance().session(Subscription()))


# ------------------------------------------------------------------------------------------ what is told once


def trade(number: int, symbol: str = "A", at: int = 0, **fields: Any) -> Trade:
    return Trade(symbol, number, at, 10.0 + number, 1.0, id=str(number), **fields)


def quote(bid: float, at: int, ts_event: int = 0, symbol: str = "A") -> Quote:
    return Quote(symbol, ts_event, at, bid, 1.0, bid + 1, 1.0)


def snapshot(sequence: int | None, bid: float = 9.0, epoch: int = 2, **fields: Any) -> OrderBookUpdate:
    return OrderBookUpdate("A", 0, 0, ((bid, 1.0),), ((11.0, 1.0),), True, epoch, sequence=sequence, **fields)


def delta(sequence: int | None, bid: float, size: float = 2.0, epoch: int = 2) -> OrderBookUpdate:
    return OrderBookUpdate("A", 0, sequence or 0, ((bid, size),), (), False, epoch, sequence=sequence)


def resumed(bridge: Bridge) -> Bridge:
    """The same, after a journey as plain data."""
    again = Bridge()
    again.restore(msgspec.json.decode(msgspec.json.encode(bridge.state())))
    return again


@settings(max_examples=50)
@given(st.data())
def test_every_trade_is_told_once_and_each_symbol_in_order_wherever_the_lines_are_cut(
    data: st.DataObject,
) -> None:
    """The old line ends at a place of its own, the new one begins before that; either may lag."""
    trades = [trade(number, data.draw(st.sampled_from("AB"))) for number in range(1, 20)]
    begins = data.draw(st.integers(0, 10))
    ends = data.draw(st.integers(begins, len(trades)))
    old, new = deque[Event](trades[:ends]), deque[Event](trades[begins:])
    perhaps = st.booleans()
    bridge, told = Bridge(), list[Event]()
    while old or (len(new) > 0 and data.draw(perhaps)):
        if data.draw(perhaps):
            bridge = resumed(bridge)
        if old and (not new or data.draw(perhaps)):
            bridge.said([old[0]])
            told.append(old.popleft())
        elif new:
            assert bridge.hold([new.popleft()]) == []
    told += bridge.cross(0)
    told += [event for each in new for event in bridge.settle([each])]
    assert told == trades


def test_what_is_not_the_markets_is_not_held() -> None:
    status, bridge = Status("subscribed", 5), Bridge()
    assert bridge.hold([trade(1), status]) == [status]
    bridge.said([status])
    assert list(bridge.cross(9)) == [trade(1)]
    assert list(bridge.settle([status])) == [status]


def test_what_has_no_id_is_the_same_if_all_that_the_venue_said_of_it_is() -> None:
    def nameless(at: int, ts_event: int, price: float) -> Trade:
        return Trade("A", ts_event, at, price, 1.0)

    bridge = Bridge()
    bridge.said([nameless(10, 1, 5.0), nameless(11, 2, 5.0)])
    bridge.hold([nameless(12, 1, 5.0), nameless(13, 2, 5.0), nameless(14, 3, 5.0)])
    assert list(bridge.cross(20)) == [nameless(14, 3, 5.0)]


def test_what_has_no_id_is_told_as_often_as_it_happened() -> None:
    def nameless(at: int, price: float = 5.0) -> Trade:
        return Trade("A", 7, at, price, 1.0)

    bridge = Bridge()
    bridge.said([nameless(1), nameless(2)])
    bridge.hold([nameless(11), nameless(12)])
    assert list(resumed(bridge).cross(20)) == []
    bridge.hold([nameless(13), nameless(14, 6.0), nameless(15), nameless(16)])
    bridge.said([nameless(3)])
    assert list(resumed(bridge).cross(20)) == [nameless(14, 6.0), nameless(15), nameless(16)]
    late = Bridge()
    late.said([nameless(1), nameless(2)])
    assert list(late.cross(20)) == []
    assert list(resumed(late).settle([nameless(11), nameless(12), nameless(13)])) == [nameless(13)]


def test_of_quotes_the_new_connection_tells_its_latest_if_it_is_news() -> None:
    bridge = Bridge()
    bridge.said([quote(1.0, at=10, ts_event=5)])
    bridge.hold([quote(2.0, at=9, ts_event=4), quote(1.0, at=11, ts_event=5), quote(7.0, at=1, symbol="B")])
    assert list(bridge.cross(20)) == [quote(7.0, at=1, symbol="B")]
    late, news = Bridge(), Bridge()
    for each, at in (late, 4), (news, 6):
        each.said([quote(1.0, at=10, ts_event=5)])
        each.hold([quote(2.0, at=11, ts_event=at)])
    assert list(late.cross(20)) == []
    assert list(news.cross(20)) == [quote(2.0, at=11, ts_event=6)]


def test_a_stamp_of_our_own_makes_no_news() -> None:
    bridge = Bridge()
    bridge.said([quote(1.0, at=10, ts_event=10)])
    bridge.hold([quote(1.0, at=11, ts_event=11)])
    assert list(bridge.cross(20)) == []


def test_a_bar_counts_when_it_is_final_and_while_it_forms_only_the_latest() -> None:
    forming = Bar("A", 0, 60, 1.0, 1.0, 1.0, 1.0, 1.0, 1, 1.0, final=False)
    final = msgspec.structs.replace(forming, final=True)
    bridge = Bridge()
    bridge.said([forming])
    bridge.hold([forming, final, msgspec.structs.replace(forming, start=60, end=120)])
    assert [(bar.start, bar.final) for bar in bridge.cross(0) if isinstance(bar, Bar)] == [
        (0, True),
        (60, False),
    ]


def test_a_numbered_book_passes_whole_with_what_changed_it_since() -> None:
    bridge = resumed(Bridge())
    bridge.said([delta(7, 8.0, epoch=1)])
    bridge.hold([delta(4, 7.0), delta(6, 8.5), snapshot(5), delta(6, 8.5), delta(7, 8.0), delta(8, 9.0, 0.0)])
    [whole] = resumed(bridge).cross(now=99)
    assert isinstance(whole, OrderBookUpdate)
    assert (whole.snapshot, whole.sequence, whole.epoch, whole.ts_recv) == (True, 8, 2, 99)
    assert whole.bids == ((8.5, 2.0), (8.0, 2.0))
    assert whole.asks == ((11.0, 1.0),)


def test_a_book_that_lags_behind_the_old_one_waits_until_it_has_caught_up() -> None:
    bridge = Bridge()
    bridge.said([delta(7, 8.0, epoch=1)])
    bridge.hold([snapshot(5)])
    assert list(bridge.cross(0)) == []
    assert list(bridge.settle([delta(6, 8.5)])) == []
    [whole] = resumed(bridge).settle([delta(7, 8.0)])
    assert isinstance(whole, OrderBookUpdate)
    assert (whole.snapshot, whole.sequence) == (True, 7)
    [_] = bridge.settle([delta(7, 8.0)])
    assert list(bridge.settle([delta(8, 8.0)])) == [delta(8, 8.0)]


def test_a_book_without_a_snapshot_hands_on_what_waits_for_it() -> None:
    bridge = Bridge()
    bridge.hold([delta(6, 8.5), delta(None, 8.5)])
    assert list(bridge.cross(0)) == [delta(6, 8.5)]


def test_a_hole_makes_a_book_worthless_until_the_next_snapshot() -> None:
    bridge = Bridge()
    bridge.hold([snapshot(5), delta(7, 8.5)])
    assert list(resumed(bridge).cross(0)) == [delta(7, 8.5)]
    bridge.hold([snapshot(6), snapshot(2)])
    [whole] = bridge.cross(0)
    assert isinstance(whole, OrderBookUpdate)
    assert (whole.sequence, whole.bids) == (7, ((9.0, 1.0), (8.5, 2.0)))


def test_a_book_without_numbers_keeps_its_digits() -> None:
    digits: dict[str, Any] = {"bid_digits": ("9.00",), "ask_digits": ("11.00",), "checksum": 5}
    bridge = Bridge()
    bridge.said([delta(None, 8.0, epoch=1)])
    bridge.hold([delta(None, 1.0), snapshot(None, **digits)])
    [whole] = bridge.cross(0)
    assert whole == snapshot(None, **digits)


def test_a_book_of_which_only_a_part_is_known_stays_so() -> None:
    bridge = Bridge()
    bids = tuple((price, 1.0) for price in (9.0, 8.0, 7.0))
    bridge.hold([OrderBookUpdate("A", 0, 0, bids, ((11.0, 1.0),), True, 2, sequence=5, limit=3)])
    bridge.hold([delta(6, 8.0, 0.0)])
    [whole] = resumed(bridge).cross(0)
    assert isinstance(whole, OrderBookUpdate)
    assert (whole.bids, whole.limit) == (((9.0, 1.0), (7.0, 1.0)), 2)


def test_a_book_that_is_used_up_or_broken_is_not_handed_on() -> None:
    for worse in delta(6, 9.0, 0.0), delta(6, 9.0, -1.0):
        bridge = Bridge()
        bridge.hold([snapshot(5, limit=1), worse, delta(7, 8.0)])
        assert list(bridge.cross(0)) == [delta(7, 8.0)]


def test_a_snapshot_of_the_old_connection_that_is_late_takes_nothing_back() -> None:
    bridge = Bridge()
    bridge.said([delta(7, 8.0, epoch=1), snapshot(5, epoch=1)])
    bridge.hold([snapshot(6)])
    assert list(bridge.cross(0)) == []


def test_a_book_that_was_unsubscribed_meanwhile_is_not_handed_on() -> None:
    farewells: list[tuple[State, str, int]] = [
        ("unsubscribed", "books", 0),
        ("rejected", "deep_books", 0),
        ("subscribed", "books", 1),
        ("unsubscribed", "trades", 1),
    ]
    for state, kind, handed_on in farewells:
        bridge = Bridge()
        bridge.hold([snapshot(5), msgspec.structs.replace(snapshot(5), symbol="B")])
        bridge.hold([Status(state, 5, symbol="A", kind=kind)])
        assert [each.symbol for each in bridge.cross(0) if isinstance(each, OrderBookUpdate)] == [
            *(["A"] * handed_on),
            "B",
        ]


def test_an_empty_side_has_no_digits() -> None:
    bridge = Bridge()
    bridge.hold([OrderBookUpdate("A", 0, 0, (), (), True, 2)])
    [whole] = bridge.cross(0)
    assert isinstance(whole, OrderBookUpdate)
    assert (whole.bids, whole.bid_digits) == ((), ())


def test_memory_is_bounded_and_what_gave_way_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtflow.bridge.MOST", 3)
    bridge = Bridge()
    bridge.said([trade(number) for number in range(5)])
    bridge.hold([trade(number, at=number) for number in range(10, 15)])
    assert len(bridge.state()["told"]) == 3
    lost, *rest = resumed(bridge).cross(now=99)
    assert lost == Lost("", "Trade", 2, 10, 11, "bridge", 99)
    assert rest == [trade(number, at=number) for number in (12, 13, 14)]
