"""RealtimeEngine: callbacks over a pipeline, its whole life, against twins and in virtual time."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

import pytest
from pytest_mock import MockerFixture
from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rtflow import CallbackFailed, RealtimeEngine, scheduler
from rtflow import operators as op
from rtflow.book import BookState
from rtflow.engine import Registration, _state_after
from rtflow.errors import Disconnected, MalformedFrame, Overflow, Rejected, Throttled, Unsupported
from rtflow.events import (
    Bar,
    Event,
    Frame,
    FrameKind,
    Gap,
    Malformed,
    OrderBookUpdate,
    Quote,
    Stale,
    Status,
    Ticker,
    Trade,
)
from rtflow.operators._reconnections import Reconnected
from rtflow.provider import Subscription
from rtflow.providers import AngelOne, Kraken
from rtflow.scheduler import NanoScheduler
from rtflow.time import SECOND
from rtflow.transport import connect
from rtflow.twin import Twin
from tests.watching import PATIENCE, Watch, left_over

BITCOIN, ETHER = "BTC/USD", "ETH/USD"


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert left_over() == []


@pytest.fixture
def twin() -> Iterator[Twin]:
    with Twin("kraken", seed=3, symbols=[BITCOIN, ETHER]) as twin:
        yield twin


@pytest.fixture
def engine(twin: Twin) -> Iterator[RealtimeEngine]:
    retry = op.retry_with_backoff(base=0.02, cap=0.05, jitter=None)
    engine = RealtimeEngine(Kraken(url=twin.url), retry=retry, bar_interval=0.1)
    yield engine
    engine.stop()


# -- a venue in virtual time -----------------------------------------------------------------------------


class Told:
    """A venue whose frames carry what they mean, by number."""

    name, skipped = "told", 0
    kinds: tuple[str, ...] = ("trades", "quotes", "books")

    def __init__(self) -> None:
        self.said: list[Event] = []

    def frame(self, event: Event, now: int, epoch: int) -> Frame:
        self.said.append(event)
        return Frame(FrameKind.TEXT, str(len(self.said) - 1).encode(), now, epoch)

    def decoder(self) -> Told:
        return self

    def decode(self, frame: Frame) -> Iterable[Event]:
        return (self.said[int(frame.payload)],)

    def request(self, subscription: Subscription) -> Any:
        raise AssertionError("no socket is opened here")

    session = request


Plan: TypeAlias = Mapping[float, Event | Exception]


class Line(Observable[Frame]):
    """A feed in virtual time: each connection is as it was planned, by seconds."""

    def __init__(self, scheduler: NanoScheduler, *plans: Plan) -> None:
        super().__init__()
        self.scheduler, self.venue = scheduler, Told()
        self.opened: list[float] = []
        self.wanted: list[tuple[str, dict[str, Any]]] = []
        self.asked: list[str] = []
        self._plans = [*plans]

    def __call__(self, provider: Any, *, counters: Any, **kinds: Any) -> Line:
        self.wanted.append(("start", kinds))
        return self

    def add(self, **kinds: Any) -> None:
        self.wanted.append(("add", kinds))

    def remove(self, **kinds: Any) -> None:
        self.wanted.append(("remove", kinds))

    def resync(self, symbol: str) -> None:
        self.asked.append(symbol)

    def reconnect(self) -> None:
        self.asked.append("reconnect")

    def _subscribe_core(
        self, observer: abc.ObserverBase[Frame], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        here = self.scheduler
        self.opened.append(here.now_ns / SECOND)
        epoch, plan = len(self.opened), self._plans.pop(0) if self._plans else {}
        refused = isinstance(plan.get(0.0), Exception)
        gone: list[bool] = []

        def say(what: Event | Exception | None) -> None:
            if gone:
                return
            now = here.now_ns
            if what is None:
                observer.on_next(Frame(FrameKind.OPEN, b"told", now, epoch))
            elif isinstance(what, Exception):
                if not refused:
                    observer.on_next(Frame(FrameKind.CLOSE, b'{"error":"Disconnected"}', now, epoch))
                observer.on_error(what)
            else:
                observer.on_next(self.venue.frame(what, now, epoch))

        if not refused:
            here.at(here.now_ns, partial(say, None))
        for second, what in plan.items():
            here.at(here.now_ns + round(second * SECOND), partial(say, what))
        return Disposable(lambda: gone.append(True))


def virtual(*plans: Plan, **options: Any) -> tuple[RealtimeEngine, Line]:
    """An engine all of whose time is virtual, its callbacks too."""
    scheduler = NanoScheduler()
    line = Line(scheduler, *plans)
    options = {"retry": op.retry_with_backoff(jitter=None), "silent_for": None} | options
    return RealtimeEngine(line.venue, connect=line, dispatch=scheduler, **options), line  # type: ignore[arg-type]


def trade(second: float, symbol: str = "A", price: float = 1.0) -> Trade:
    stamp = round(second * SECOND)
    return Trade(symbol, stamp, stamp, price, 1.0, venue="told")


def started(engine: RealtimeEngine, line: Line, *symbols: str) -> None:
    line.scheduler.at(line.scheduler.now_ns, lambda: engine.start(symbols or ("A",)))


def state(engine: RealtimeEngine) -> str:
    """As no type checker remembers it."""
    return engine.state


LOST = Disconnected("the line broke")
REFUSED: Plan = {0: LOST}


# -- life ------------------------------------------------------------------------------------------------


def test_engine_lifecycle(twin: Twin, engine: RealtimeEngine) -> None:
    watch = Watch()
    engine.on_trade(watch.on_next)
    assert (engine.state, engine.join()) == ("stopped", True)
    for _ in range(2):
        watch.items.clear()
        assert engine.start([BITCOIN]) is engine
        watch.until(lambda: watch.of(Trade))
        assert state(engine) == "live"
        assert engine.join(0.001) is False
        with pytest.raises(RuntimeError, match=r"runs already: add\(\) wants more"):
            engine.start([BITCOIN])
        engine.stop()
        engine.stop()
        assert (engine.state, engine.join()) == ("stopped", True)
        assert repr(engine) == "<RealtimeEngine kraken stopped>"
        came = len(watch.items)
    assert len(watch.items) == came
    assert twin.accepted == 2


def test_the_block_ends_it(engine: RealtimeEngine) -> None:
    watch = Watch()
    engine.on_trade(watch.on_next)
    with engine.start([BITCOIN]):
        watch.until(lambda: watch.of(Trade))
    assert state(engine) == "stopped"


def test_a_callback_may_stop_it_and_start_it_again(twin: Twin, engine: RealtimeEngine) -> None:
    watch = Watch()

    @engine.on_trade
    def once(item: Trade) -> None:
        once.unregister()
        engine.stop()
        engine.on_trade(watch.on_next)
        engine.start([BITCOIN])

    engine.start([BITCOIN])
    watch.until(lambda: watch.of(Trade))
    assert twin.accepted == 2


def test_callbacks_run_on_a_thread_of_their_own(engine: RealtimeEngine) -> None:
    watch, threads = Watch(), set[str]()
    for hook in (engine.on_trade, engine.on_quote, engine.on_book_update, engine.on_bar, engine.on_status):
        hook(lambda item: threads.add(threading.current_thread().name))
        hook(watch.on_next)
    with engine.start([BITCOIN]):
        kinds = (Trade, Quote, BookState, Bar, Status)
        watch.until(lambda: all(watch.of(kind) for kind in kinds))
    assert threads == {"rtflow-engine"}


def test_stop_is_bounded_though_a_callback_hangs_and_the_line_waits_for_it(twin: Twin) -> None:
    hangs, go_on = threading.Event(), threading.Event()
    engine = RealtimeEngine(Kraken(url=twin.url), capacity=1)

    @engine.on_status
    def hang(_: Status) -> None:
        hangs.set()
        go_on.wait(PATIENCE)

    engine.start([BITCOIN])
    assert hangs.wait(PATIENCE)
    stopping = threading.Thread(target=engine.stop)
    stopping.start()
    stopping.join(3.0)
    assert not stopping.is_alive()
    go_on.set()


@pytest.mark.parametrize("provider", [Kraken, "kraken", None])
def test_what_is_no_provider_is_refused_before_the_start(provider: Any) -> None:
    with pytest.raises(TypeError, match=r"takes a provider, as in RealtimeEngine\(Kraken\(\)\), not "):
        RealtimeEngine(provider)


@pytest.mark.parametrize(("arguments", "error"), [(((),), ValueError), ((), ValueError), (([5],), TypeError)])
def test_nothing_to_want_is_refused(engine: RealtimeEngine, arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        engine.start(*arguments)
    assert state(engine) == "stopped"


def test_what_does_not_run_has_no_items_and_wants_nothing(engine: RealtimeEngine) -> None:
    for attempt in (lambda: engine.items, lambda: engine.add("A"), lambda: engine.remove("A")):
        with pytest.raises(RuntimeError, match=r"start\(\) it first"):
            attempt()


# -- callbacks -------------------------------------------------------------------------------------------


def test_callback_dispatch() -> None:
    got: list[tuple[str, str, float]] = []
    engine, line = virtual({1: trade(1, "A", 5.0), 2: trade(2, "B", 6.0), 3: Quote("A", 3, 3, 1, 1, 2, 1)})
    handle = engine.on_trade(lambda item: got.append(("all", item.symbol, item.price)))

    @engine.on_trade
    def plain(item: Trade) -> None:
        got.append(("plain", item.symbol, item.price))

    @engine.on_trade()
    def called(item: Trade) -> None:
        got.append(("called", item.symbol, item.price))

    def both(item: Trade | Quote) -> None:
        got.append((type(item).__name__, item.symbol, 0.0))

    engine.on_trade(both, symbol="B")
    engine.on_quote(both)
    started(engine, line)
    line.scheduler.advance_by(1.5)
    assert got == [("all", "A", 5.0), ("plain", "A", 5.0), ("called", "A", 5.0)]
    handle.unregister()
    handle.unregister()
    called.unregister()
    line.scheduler.advance_by(2)
    assert got[3:] == [("plain", "B", 6.0), ("Trade", "B", 0.0), ("Quote", "A", 0.0)]
    plain(trade(9, "mine"))
    assert got[-1] == ("plain", "mine", 1.0)
    assert vars(plain)["__name__"] == "plain"
    assert repr(handle).startswith("<Trade to <function")
    engine.stop()


def test_any_type_of_item_has_a_hook() -> None:
    got: list[Stale] = []
    engine, line = virtual(
        {1: Status("subscribed", SECOND, symbol="A", kind="trades", venue="told")}, silent_for=5
    )
    engine.on(Stale)(got.append)
    started(engine, line)
    line.scheduler.advance_by(20)
    engine.stop()
    assert [each.tier for each in got] == ["stream", "stream"]
    assert line.asked == ["reconnect"]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda engine: engine.on("Trade"),
        lambda engine: engine.on(object),
        lambda engine: engine.on([Trade]),
        lambda engine: engine.on_trade(5),
    ],
)
def test_what_is_no_item_and_what_is_no_callback_is_refused(wrong: Callable[[Any], object]) -> None:
    engine, _ = virtual()
    with pytest.raises(TypeError):
        wrong(engine)


def test_a_callback_that_another_unregisters_is_not_called_with_the_same_item() -> None:
    got: list[object] = []
    later: list[Registration[Any]] = []
    engine, line = virtual({1: trade(1), 2: Rejected("no more")})
    for hook in (engine.on_trade, engine.on_error):
        hook(lambda _: later.pop(0).unregister())
        later.append(hook(got.append))
    started(engine, line)
    line.scheduler.advance_by(3)
    assert (got, later) == ([], [])
    assert state(engine) == "failed"


def test_a_callback_that_stops_it_is_the_last_that_is_called() -> None:
    got: list[object] = []
    engine, line = virtual({1: trade(1), 2: trade(2)})
    engine.on_trade(lambda _: engine.stop())
    engine.on_trade(got.append)
    started(engine, line)
    line.scheduler.advance_by(3)
    assert (got, state(engine)) == ([], "stopped")


def test_what_a_callback_knows_of_itself_is_not_mixed_up_with_its_registration() -> None:
    def callback(item: object) -> None: ...

    callback.unregister, callback.symbol = "mine", "mine too"  # type: ignore[attr-defined]
    engine, _ = virtual()
    handle = engine.on_trade(callback)
    assert handle.symbol is None
    handle.unregister()
    assert not handle.registered


def test_a_symbols_callback_hears_of_gaps_and_statuses_that_concern_it() -> None:
    got: list[Any] = []
    holes = [Gap(1, 2, 1, 3, venue="told", symbols=symbols) for symbols in (("A",), ("B",), ())]
    said = [Status("venue", 4, symbol=symbol, venue="told") for symbol in ("A", "B", "")]
    plan: Plan = dict(enumerate([*holes, *said], 1))
    engine, line = virtual(plan)
    engine.on_gap(got.append, symbol="A")
    engine.on_status(lambda item: got.append(item) if item.state == "venue" else None, symbol="A")
    started(engine, line)
    line.scheduler.advance_by(10)
    engine.stop()
    assert got == [holes[0], holes[2], said[0], said[2]]


# -- errors ----------------------------------------------------------------------------------------------


def test_a_callbacks_exception_comes_to_on_error_and_nowhere_else(mocker: MockerFixture) -> None:
    excepthook = mocker.patch("threading.excepthook")
    errors: list[Exception] = []
    others: list[Trade] = []
    engine, line = virtual({1: trade(1), 2: trade(2)})

    @engine.on_trade
    def broken(item: Trade) -> None:
        raise ZeroDivisionError("mine")

    engine.on_trade(others.append)
    engine.on_error(errors.append)
    started(engine, line)
    line.scheduler.advance_by(3)
    assert state(engine) == "live"
    engine.stop()
    assert others == [trade(1), trade(2)]
    assert [type(each) for each in errors] == [CallbackFailed] * 2
    failed = errors[0]
    assert isinstance(failed, CallbackFailed)
    assert (failed.callback, failed.item, str(failed.__cause__)) == (broken.callback, trade(1), "mine")
    assert "broken raised" in str(failed)
    assert not excepthook.called


def test_a_callback_that_exits_ends_nothing_but_itself(engine: RealtimeEngine) -> None:
    watch, errors = Watch(), list[Exception]()
    leave = partial(lambda key, item: sys.exit(key), "a secret")
    engine.on_trade(leave)
    engine.on_trade(watch.on_next)
    engine.on_error(errors.append)
    with engine.start([BITCOIN]):
        watch.until(lambda: len(watch.items) > 2)
    assert isinstance(errors[0], CallbackFailed)
    assert isinstance(errors[0].__cause__, SystemExit)
    assert str(errors[0]).startswith("partial raised, given Trade("), "what is bound to it is not told"


def test_without_on_error_and_where_that_raises_itself_the_excepthook_is_told(mocker: MockerFixture) -> None:
    excepthook = mocker.patch("threading.excepthook")
    engine, line = virtual({1: trade(1), 2: trade(2)})

    def broken(item: object) -> None:
        raise ZeroDivisionError(type(item).__name__)

    engine.on_trade(broken)
    started(engine, line)
    line.scheduler.advance_by(1.5)
    engine.on_error(broken)
    line.scheduler.advance_by(1)
    engine.stop()
    told = [call[0][0].exc_value for call in excepthook.call_args_list]
    assert [type(each) for each in told] == [CallbackFailed, ZeroDivisionError]
    assert str(told[1]) == "CallbackFailed"


def test_what_the_stream_says_of_trouble_comes_to_on_error() -> None:
    errors: list[Exception] = []
    frame = Frame(FrameKind.TEXT, b"?", 1)
    engine, line = virtual(
        {
            1: Malformed(frame, "what is that", SECOND),
            2: Status("rejected", 2 * SECOND, "no such symbol", "A", "trades", venue="told"),
            3: Status("heartbeat", 3 * SECOND, venue="told"),
        }
    )
    engine.on_error(errors.append)
    started(engine, line)
    line.scheduler.advance_by(4)
    engine.stop()
    malformed, rejected = errors
    assert isinstance(malformed, MalformedFrame)
    assert malformed.frame == frame
    assert isinstance(rejected, Rejected)
    assert str(rejected) == "told trades A: no such symbol"


def test_what_callbacks_had_no_time_for_is_told_as_an_overflow() -> None:
    got: list[Trade] = []
    errors: list[Exception] = []
    at_once: Plan = {1 + each / 1e12: trade(1, price=each) for each in range(5)}
    engine, line = virtual(at_once, capacity=2, overflow="drop_oldest")
    engine.on_trade(got.append)
    engine.on_error(errors.append)
    started(engine, line)
    line.scheduler.advance_by(3)
    engine.stop()
    assert [str(each) for each in errors] == ["3 Trade were lost in the engine"]
    assert isinstance(errors[0], Overflow)
    assert [each.price for each in got] == [3.0, 4.0]


def test_an_error_that_ends_the_stream_is_told_and_joined_and_it_can_start_again(
    mocker: MockerFixture,
) -> None:
    excepthook = mocker.patch("threading.excepthook")
    engine, line = virtual({0: Rejected("bad key")}, {0: Rejected("bad key")}, {1: trade(1)})
    started(engine, line)
    line.scheduler.advance_by(1)
    assert state(engine) == "failed"
    assert [str(call[0][0].exc_value) for call in excepthook.call_args_list] == ["bad key"]
    with pytest.raises(Rejected, match="bad key"):
        engine.join()
    assert engine.join() is True, "once"
    errors: list[Exception] = []
    engine.on_error(errors.append)
    started(engine, line)
    line.scheduler.advance_by(1)
    assert [str(each) for each in errors] == ["bad key"]
    assert engine.join() is True, "who registered for it was told"
    started(engine, line)
    line.scheduler.advance_by(2)
    assert state(engine) == "live"
    engine.stop()


def test_the_error_of_a_run_that_was_stopped_meanwhile_changes_nothing_of_the_next() -> None:
    errors: list[Exception] = []
    engine, line = virtual()
    engine.on_error(errors.append)
    started(engine, line)
    line.scheduler.advance_by(1)
    before = engine._run
    assert before is not None
    engine.stop()
    started(engine, line)
    line.scheduler.advance_by(1)
    engine._fail(before, LOST)
    assert state(engine) == "live"
    assert errors == [LOST]
    engine.stop()


def test_a_kind_that_the_venue_lacks_is_refused_at_once() -> None:
    engine = RealtimeEngine(AngelOne("jwt", "key", "client", "feed"))
    engine.on_trade(print)
    with pytest.raises(Unsupported):
        engine.start(["SBIN-EQ"])


# -- bars ------------------------------------------------------------------------------------------------


def spans(bars: list[Bar]) -> list[tuple[str, float, float, int, float, float]]:
    return [(b.symbol, b.start / SECOND, b.end / SECOND, b.count, b.open, b.close) for b in bars]


def test_aggregation_of_one_symbol() -> None:
    bars: list[Bar] = []
    engine, line = virtual(
        {0.5: trade(0.5, price=3.0), 0.9: trade(0.9, price=5.0), 1.5: trade(1.5, price=4.0)}
    )
    engine.on_bar(bars.append)
    started(engine, line)
    line.scheduler.advance_by(5)
    engine.stop()
    assert spans(bars) == [("A", 0, 1, 2, 3.0, 5.0), ("A", 1, 2, 1, 4.0, 4.0)]
    assert line.wanted == [("start", {"trades": ["A"], "quotes": [], "books": []})]


def test_aggregation_of_many_symbols() -> None:
    bars: list[Bar] = []
    symbols = [f"S{number}" for number in range(50)]
    plan: Plan = {
        0.1 + second + number / 1000: trade(0.1 + second + number / 1000, symbol, number)
        for number, symbol in enumerate(symbols, 1)
        for second in range(3)
    }
    engine, line = virtual(plan)
    engine.on_bar(bars.append)
    started(engine, line, *symbols)
    line.scheduler.advance_by(5)
    engine.stop()
    assert len(bars) == 150
    assert {each.symbol for each in bars} == {*symbols}
    assert all(each.count == 1 and each.open == int(each.symbol[1:]) + 1 for each in bars)


def test_aggregation_of_empty_intervals() -> None:
    bars: list[Bar] = []
    engine, line = virtual({0.5: trade(0.5), 7.5: trade(7.5)})
    engine.on_bar(bars.append)
    started(engine, line)
    line.scheduler.advance_by(3)
    assert spans(bars) == [("A", 0, 1, 1, 1.0, 1.0)], "closed by time, and nothing for what was empty"
    line.scheduler.advance_by(7)
    engine.stop()
    assert spans(bars)[1:] == [("A", 7, 8, 1, 1.0, 1.0)]


def test_the_interval_is_set_before_and_while_running_and_per_symbol() -> None:
    bars: list[Bar] = []
    plan: dict[float, Event] = {}
    for half in range(40):
        at = half / 2 + 0.25
        plan[at], plan[at + 0.001] = trade(at, "A"), trade(at + 0.001, "B")
    engine, line = virtual(plan, bar_interval="10s")
    engine.on_bar(bars.append)
    engine.set_bar_interval(5)
    started(engine, line, "A", "B")
    line.scheduler.advance_by(7)
    engine.set_bar_interval(1, "B")
    line.scheduler.advance_by(6)
    engine.set_bar_interval(4)
    line.scheduler.advance_by(12)
    engine.stop()
    of_a = [(bar.start // SECOND, bar.end // SECOND) for bar in bars if bar.symbol == "A"]
    assert of_a == [(0, 5), (5, 10), (10, 15), (16, 20)]
    of_b = [(bar.start // SECOND, bar.end // SECOND) for bar in bars if bar.symbol == "B"]
    assert of_b[:5] == [(0, 5), (8, 9), (9, 10), (5, 10), (10, 11)]
    with pytest.raises(ValueError, match="a bar is longer than 0"):
        engine.set_bar_interval(0)


# -- losing the line -------------------------------------------------------------------------------------


def test_backoff_timing() -> None:
    states: list[str] = []
    engine, line = virtual({0.5: trade(0.5), 1: LOST}, *[REFUSED] * 4, {1: trade(33)})
    engine.on_status(lambda item: states.append(engine.state))
    started(engine, line)
    line.scheduler.advance_by(40)
    engine.stop()
    assert line.opened == [0.0, 2.0, 4.0, 8.0, 16.0, 32.0], "1, 2, 4, 8 and 16 seconds after each failure"
    assert states[0] == "live"
    assert {*states[2:-1]} <= {"reconnecting", "live"}


def test_max_retries() -> None:
    errors: list[Exception] = []
    engine, line = virtual(*[REFUSED] * 9, retry=op.retry_with_backoff(retries=3, jitter=None))
    engine.on_error(errors.append)
    started(engine, line)
    line.scheduler.advance_by(0.5)
    assert state(engine) == "connecting", "there was no connection yet"
    line.scheduler.advance_by(100)
    assert line.opened == [0.0, 1.0, 3.0, 7.0]
    assert errors == [LOST]
    assert state(engine) == "failed"


def test_retries_that_are_spent_park_it_by_default() -> None:
    slower: Plan = {0: Throttled("slower", retry_after=1.0)}
    engine, line = virtual(*[slower] * 100, retry=None)
    started(engine, line)
    line.scheduler.advance_by(600)
    assert state(engine) == "parked"
    engine.stop()


def test_callback_invocation_on_reconnect() -> None:
    got: list[Reconnected] = []
    gaps: list[Gap] = []
    engine, line = virtual({0.5: trade(0.5), 1: LOST}, {0: LOST}, {2: trade(6)})
    engine.on_reconnect(got.append)
    engine.on_gap(gaps.append)
    engine.on_trade(print)
    started(engine, line)
    line.scheduler.advance_by(1.5)
    assert state(engine) == "reconnecting"
    assert not got
    line.scheduler.advance_by(10)
    engine.stop()
    lost, closed = gaps
    assert (lost.ts_start, lost.ts_end) == (SECOND // 2, None)
    assert (closed.ts_start, closed.ts_end) == (SECOND // 2, 6 * SECOND)
    assert got == [Reconnected(6 * SECOND, 2, 3.0, closed, "told")], "two attempts: 1 s and 2 s of waiting"


def test_a_hole_is_filled_from_history_before_what_follows() -> None:
    got: list[Trade] = []
    filled: list[Gap] = []
    engine, line = virtual(
        {0.5: trade(0.5), 1: LOST}, {2: trade(4)}, backfill=lambda gap: [trade(1.5), trade(2.5)]
    )
    engine.on_trade(got.append)
    engine.on_gap(filled.append)
    started(engine, line)
    line.scheduler.advance_by(5)
    engine.stop()
    assert got == [trade(0.5), trade(1.5), trade(2.5), trade(4)]
    assert filled[-1].filled == 2


def test_a_reconnection_over_a_real_socket(twin: Twin, engine: RealtimeEngine) -> None:
    watch = Watch()
    engine.on_trade(watch.on_next)
    engine.on_reconnect(watch.on_next)
    engine.on_error(watch.on_error)
    with engine.start([BITCOIN]):
        watch.until(lambda: watch.of(Trade))
        twin.disconnect()
        watch.until(lambda: watch.of(Reconnected))
    (made,) = watch.of(Reconnected)
    assert (made.attempt, made.venue, made.gap.epoch) == (1, "kraken", 1)
    assert 0.02 <= made.downtime < (made.gap.ts_end or 0) - made.gap.ts_start
    assert watch.error is None


# -- what is wanted --------------------------------------------------------------------------------------


def test_the_kinds_follow_the_callbacks_and_what_is_named() -> None:
    engine, line = virtual()
    engine.start(["A"], books="B")
    engine.stop()
    engine.on_quote(print)
    engine.start("A")
    engine.on_book_update(print)
    engine.on_status(print)
    engine.add("B", trades=["C"])
    engine.remove(["A"])
    engine.on_bar(print)
    engine.stop()
    assert line.wanted == [
        ("start", {"trades": ["A"], "quotes": ["A"], "books": ["B", "A"]}),
        ("start", {"trades": [], "quotes": ["A"], "books": []}),
        ("add", {"books": ["A"]}),
        ("add", {"trades": ["C"], "quotes": ["B"], "books": ["B"]}),
        ("remove", {"trades": ["A"], "quotes": ["A"], "books": ["A"]}),
        ("add", {"trades": ["B"]}),
    ]


def test_other_kinds_go_by_their_names_and_by_what_is_made_of_them() -> None:
    engine, line = virtual()
    engine.on(Ticker)(print)
    engine.start("A", news=["B"])
    engine.on(OrderBookUpdate)(print)
    engine.add(imbalances="C")
    engine.stop()
    assert [(when, {kind: each for kind, each in kinds.items() if each}) for when, kinds in line.wanted] == [
        ("start", {"tickers": ["A"], "news": ["B"]}),
        ("add", {"books": ["A"]}),
        ("add", {"imbalances": ["C"]}),
    ]


def test_a_venue_with_other_kinds_only_serves_all_that_it_has() -> None:
    engine, line = virtual()
    line.venue.kinds = ("news",)
    engine.start("A")
    engine.remove("A")
    engine.stop()
    assert line.wanted[0][1]["news"] == ["A"]
    assert line.wanted[1] == ("remove", {"news": ["A"]})


def test_tickers_of_angel_one_come_to_a_callback() -> None:
    watch = Watch()
    with Twin("angelone", seed=5) as twin:
        engine = RealtimeEngine(AngelOne("jwt", "key", "client", "feed", url=twin.url))
        engine.on(Ticker)(watch.on_next)
        with engine.start(["nse_cm:3045"]):
            watch.until(lambda: watch.of(Ticker, "nse_cm:3045"))


def test_symbols_come_and_go_while_it_runs(engine: RealtimeEngine) -> None:
    watch = Watch()
    engine.on_book_update(watch.on_next)
    with engine.start([BITCOIN]):
        watch.until(lambda: watch.book(BITCOIN))
        engine.add([ETHER])
        watch.until(lambda: watch.book(ETHER))
        book = engine.book(ETHER)
        assert book is not None
        assert (book.symbol, book.status) == (ETHER, "live")
        assert {*engine.books} == {BITCOIN, ETHER}
        engine.remove(ETHER)
        watch.until(lambda: (book := watch.book(ETHER)) is not None and book.status == "empty")
    assert engine.book(ETHER) is None
    assert engine.book(BITCOIN) is not None, "as it was"


def test_a_book_is_forgotten_with_its_symbol_though_the_venue_says_nothing() -> None:
    update = OrderBookUpdate("A", 1, 1, ((1.0, 1.0),), ((2.0, 1.0),), snapshot=True, venue="told")
    engine, line = virtual({1: update})
    started(engine, line)
    line.scheduler.advance_by(2)
    book = engine.book("A")
    assert book is not None
    assert (book.bid, book.ask) == (1.0, 2.0)
    engine.remove("A")
    assert engine.book("A") is None
    engine.stop()


def test_an_update_that_was_under_way_brings_no_book_back_but_to_add_it_does() -> None:
    update = OrderBookUpdate("A", 1, 1, ((1.0, 1.0),), ((2.0, 1.0),), snapshot=True, venue="told")
    engine, line = virtual({1: update, 3: update, 5: update})
    started(engine, line)
    line.scheduler.advance_by(2)
    engine.remove("A")
    line.scheduler.advance_by(2)
    assert engine.books == {}
    engine.add("A")
    line.scheduler.advance_by(2)
    assert [*engine.books] == ["A"]
    engine.stop()


def test_the_books_that_were_asked_for_do_not_change_in_ones_hands() -> None:
    update = OrderBookUpdate("A", 1, 1, ((1.0, 1.0),), ((2.0, 1.0),), snapshot=True, venue="told")
    engine, line = virtual({1: update})
    started(engine, line)
    books = engine.books
    line.scheduler.advance_by(2)
    assert (books, [*engine.books]) == ({}, ["A"])
    engine.stop()


def test_there_are_no_books_before_the_first_start(engine: RealtimeEngine) -> None:
    assert engine.books == {}
    assert engine.book(BITCOIN) is None


def test_counters_tell_of_every_stage(engine: RealtimeEngine) -> None:
    watch = Watch()
    engine.on_trade(watch.on_next)
    with engine.start([BITCOIN]):
        watch.until(lambda: watch.of(Trade))
    counts = dict(engine.counters)
    assert counts["received"] >= 1
    handed = {name: counts[f"engine.{name}"] for name in ("in", "out", "conflated", "dropped", "held")}
    assert handed["in"] == handed["out"] + handed["conflated"] + handed["dropped"] + handed["held"]


# -- asyncio ---------------------------------------------------------------------------------------------


def bounded(main: Any) -> Any:
    return asyncio.run(asyncio.wait_for(main, PATIENCE))


def test_items_in_an_async_loop(engine: RealtimeEngine) -> None:
    async def main() -> set[type]:
        kinds = set[type]()
        async with engine.start([BITCOIN]) as live:
            async for item in live:
                if not kinds:
                    live.add(ETHER)  # what was said of the first symbol may have been said before
                kinds.add(type(item))
                if {Trade, Quote, BookState, Bar, Status} <= kinds:
                    break
        return kinds

    assert bounded(main())
    assert state(engine) == "stopped"


def test_stop_ends_the_async_loop_though_that_is_slow(engine: RealtimeEngine) -> None:
    async def main() -> int:
        count = 0
        engine.start([BITCOIN])
        async for _ in engine:
            count += 1
            engine.stop()
        return count

    assert bounded(main()) >= 1


def test_an_error_that_ends_the_stream_is_raised_in_the_async_loop(twin: Twin) -> None:
    engine = RealtimeEngine(Kraken(url=twin.url_of("/nowhere")))
    engine.on_error(lambda error: None)

    async def main() -> None:
        async for _ in engine.start([BITCOIN]):
            raise AssertionError("nothing comes")

    with pytest.raises(Rejected, match="404"):
        bounded(main())
    assert engine.join(PATIENCE)
    assert state(engine) == "failed"


def test_who_raises_among_the_items_readers_hurts_nobody_else(engine: RealtimeEngine) -> None:
    watch, bad = Watch(), Watch()

    def broken(item: object) -> None:
        raise ValueError("mine")

    engine.on_trade(watch.on_next)
    with engine.start([BITCOIN]):
        engine.items.subscribe(broken, bad.on_error)
        bad.until(lambda: bad.error)
        came = len(watch.items)
        watch.until(lambda: len(watch.items) > came + 2)
    assert str(bad.error) == "mine"


def test_a_connection_of_ones_own_making_is_used(twin: Twin) -> None:
    watch, threads = Watch(), set[str]()
    own = partial(connect, line=scheduler.Line(name="rtflow-mine"))
    engine = RealtimeEngine(Kraken(url=twin.url), connect=own, silent_for=None)
    engine.on_trade(watch.on_next)
    with engine.start([BITCOIN]):
        engine.items.subscribe(lambda item: threads.add(threading.current_thread().name))
        watch.until(lambda: watch.of(Trade))
    assert threads == {"rtflow-mine"}


def test_of_several_connections_only_the_last_that_is_lost_takes_the_line_along() -> None:
    story: list[tuple[Status | Gap, str]] = [
        (Status("joined", 1), "live"),
        (Status("parted", 2), "live"),
        (Gap(1, None, 1, 2, symbols=("A",)), "live"),
        (Status("retrying", 3), "live"),
        (Status("closed", 4), "reconnecting"),
        (Status("retrying", 5), "reconnecting"),
        (Status("joined", 6), "live"),
        (Status("bridging", 7), "live"),
        (Status("retrying", 8), "live"),
    ]
    now: Any = "connecting"
    for item, then in story:
        now = _state_after(item, now)
        assert now == then
