"""watchdog: silence is said, acted upon step by step, and never turned into a loop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.events import Event, Gap, OrderBookUpdate, Stale, State, Status, Trade
from rtflow.kernel import Kernel
from rtflow.operators._watchdog import watchdog
from rtflow.scheduler import NanoScheduler
from rtflow.time import SECOND
from tests.laws import event_streams, resumes_anywhere, same_live_and_virtual


class Feed:
    """What a watchdog asks, in order."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def resync(self, symbol: str) -> None:
        self.asked.append(f"resync {symbol}")

    def reconnect(self) -> None:
        self.asked.append("reconnect")


def status(state: State, at: float, symbol: str = "", **other: Any) -> Status:
    return Status(state, round(at * SECOND), "", symbol, "trades", venue="v", **other)


def subscribed(at: float, *symbols: str) -> list[Event]:
    return [status("subscribed", at, symbol) for symbol in symbols]


def trade(at: float, symbol: str = "A") -> Trade:
    stamp = round(at * SECOND)
    return Trade(symbol, stamp, stamp, 1.0, 1.0, venue="v")


def stale(at: float, silent_for: float, symbol: str = "", action: Any = "") -> Stale:
    tier: Any = "symbol" if symbol else "stream"
    return Stale(round(at * SECOND), silent_for, symbol, tier, action, "v")


def said(kernel: Kernel[Event, Event], events: Iterable[Event], until: float = 0.0) -> list[Event]:
    """The Stale items, with every timer in its place, up to ``until`` seconds."""
    made: list[Event] = []
    for event in events:
        made += waited(kernel, event.ts_recv - 1)
        passed = kernel.push(event)
        assert tuple(passed) == (event,), "every event passes as it came"
    return made + waited(kernel, round(until * SECOND))


def waited(kernel: Kernel[Event, Event], until: int) -> list[Event]:
    made: list[Event] = []
    while (due := kernel.due()) is not None and due <= until:
        made += kernel.wake(due)
        after = kernel.due()
        assert after is None or after > due
    return made


def test_a_stream_that_falls_silent_is_said_resynced_and_connected_anew() -> None:
    feed = Feed()
    kernel = watchdog(silent_for=10, per_symbol=100, resync=feed.resync, reconnect=feed.reconnect).kernel()
    events = [*subscribed(0, "A", "B"), trade(1), trade(5.5)]
    assert said(kernel, events, until=99) == [
        stale(15.5, 10.0, action="resync"),
        stale(25.5, 20.0, action="reconnect"),
    ]
    assert feed.asked == ["resync A", "resync B", "reconnect"]


def test_it_is_armed_by_the_acknowledgement_and_by_nothing_before() -> None:
    kernel = watchdog(silent_for=10).kernel()
    before: list[Event] = [status("open", 0), status("authenticated", 1), trade(2)]
    assert said(kernel, before, until=1000) == []
    assert said(kernel, subscribed(1001, "A"), until=2000) == [stale(1011, 10.0)]


def test_heartbeats_keep_a_stream_alive_and_no_symbol() -> None:
    kernel = watchdog(silent_for=10, per_symbol=25).kernel()
    events = [*subscribed(0, "A"), *(status("heartbeat", at) for at in range(1, 60))]
    assert said(kernel, events) == [stale(25, 25.0, "A")]


def test_a_silent_symbol_is_resynced_alone_and_the_line_stays() -> None:
    feed = Feed()
    kernel = watchdog(silent_for=10, per_symbol=20, resync=feed.resync, reconnect=feed.reconnect).kernel()
    events = [*subscribed(0, "A", "B"), *(trade(at, "B") for at in range(1, 200))]
    assert said(kernel, events) == [stale(20, 20.0, "A", "resync")]
    assert feed.asked == ["resync A"]


def test_when_every_symbol_is_silent_though_the_venue_lives_the_connection_is_made_anew() -> None:
    feed = Feed()
    kernel = watchdog(silent_for=10, per_symbol=20, resync=feed.resync, reconnect=feed.reconnect).kernel()
    beats: list[Event] = [status("heartbeat", at) for at in range(1, 100)]
    events = sorted([*subscribed(0, "A", "B"), trade(5, "B"), *beats], key=lambda each: each.ts_recv)
    assert said(kernel, events) == [
        stale(20, 20.0, "A", "resync"),
        stale(25, 20.0, "B", "resync"),
        stale(45, 40.0, "B", "reconnect"),
    ]
    assert feed.asked == ["resync A", "resync B", "reconnect"]


def test_a_quiet_symbol_is_left_in_peace_and_symbols_have_times_of_their_own() -> None:
    kernel = watchdog(silent_for=1000, per_symbol={"A": 20, "B": 30, "C": 5}, quiet="C").kernel()
    assert said(kernel, subscribed(0, "A", "B", "C", "D"), until=500) == [
        stale(20, 20.0, "A"),
        stale(30, 30.0, "B"),
    ]
    kernel = watchdog(silent_for=1000, per_symbol=20, quiet=["A", "B"]).kernel()
    assert said(kernel, subscribed(0, "A", "B", "C"), until=500) == [stale(20, 20.0, "C")]


def test_a_quiet_night_makes_no_loop_of_connections() -> None:
    """Each time the line comes back with a snapshot, and then there is nothing to say."""
    feed = Feed()
    kernel = watchdog(silent_for=30, per_symbol=60, resync=feed.resync, reconnect=feed.reconnect).kernel()
    now, night = 0.0, 10 * 3600.0
    while now < night:
        said(kernel, _connection(now))
        asked = len(feed.asked)
        while feed.asked[asked:].count("reconnect") == 0 and now < night:
            now += 1
            waited(kernel, round(now * SECOND))
        asked = len(feed.asked)
    assert feed.asked.count("reconnect") == 9, "after 60 s, 120 s, 240 s, …: in all 60 * 511 s of ten hours"


def _connection(at: float) -> list[Event]:
    stamp = round((at + 1.5) * SECOND)
    book = OrderBookUpdate("A", stamp, stamp, ((1.0, 1.0),), (), snapshot=True, venue="v")
    burst = [trade(at + 2 + tenth / 10) for tenth in range(5)]
    return [status("closed", at), status("open", at + 1), *subscribed(at + 1, "A"), book, *burst]


def test_whoever_shows_its_pace_again_is_watched_as_at_first() -> None:
    feed = Feed()
    kernel = watchdog(silent_for=10, reconnect=feed.reconnect).kernel()
    assert said(kernel, subscribed(0, "A"), until=30)[-1] == stale(20, 20.0, action="reconnect")
    back = [status("open", 31), *subscribed(31, "A"), trade(32), trade(40), trade(42), trade(51)]
    assert said(kernel, back, until=99)[-1] == stale(71, 20.0, action="reconnect")


def test_what_speaks_only_now_and_then_has_not_shown_its_pace() -> None:
    feed = Feed()
    kernel = watchdog(silent_for=10, reconnect=feed.reconnect).kernel()
    said(kernel, subscribed(0, "A"), until=30)
    back = [status("open", 31), *subscribed(31, "A"), trade(32), trade(45), trade(58)]
    assert [each for each in said(kernel, back, until=200) if isinstance(each, Stale)][-1] == stale(
        98, 40.0, action="reconnect"
    )


def test_a_line_that_is_down_is_a_retrys_to_mend() -> None:
    kernel = watchdog(silent_for=10, per_symbol=5).kernel()
    for lost in (status("closed", 1), Gap(0, None, 1, SECOND, venue="v"), status("open", 1, epoch=2)):
        assert said(kernel, [*subscribed(0, "A"), lost], until=500) == []


def test_a_hole_in_one_symbol_or_one_that_is_over_does_not_disarm() -> None:
    for hole in (Gap(0, None, 1, SECOND, venue="v", symbols=("A",)), Gap(0, SECOND, 1, SECOND, venue="v")):
        kernel = watchdog(silent_for=10).kernel()
        assert said(kernel, [*subscribed(0, "A"), hole], until=50) == [stale(11, 10.0)]


@pytest.mark.parametrize("state", ["unsubscribed", "rejected"])
def test_a_symbol_nobody_serves_is_not_watched(state: State) -> None:
    kernel = watchdog(silent_for=1000, per_symbol=5).kernel()
    assert said(kernel, [*subscribed(0, "A", "B"), status(state, 1, "A")], until=50) == [stale(5, 5.0, "B")]


def test_each_venue_is_watched_on_its_own() -> None:
    kernel = watchdog(silent_for=10).kernel()
    other = [Status("subscribed", 0, "", "A", "trades", venue="w")]
    others = [Trade("A", 0, at * SECOND, 1.0, 1.0, venue="w") for at in range(1, 30)]
    assert said(kernel, [*subscribed(0, "A"), *other, *others]) == [stale(10, 10.0)]


def test_without_functions_it_says_so_once_and_asks_nothing() -> None:
    kernel = watchdog(silent_for=10).kernel()
    assert said(kernel, [*subscribed(0, "A"), trade(1)], until=500) == [stale(11, 10.0)]
    assert said(kernel, [trade(501)], until=999) == [stale(511, 10.0)], "and again, when it fell silent again"
    feed = Feed()
    kernel = watchdog(silent_for=10, reconnect=feed.reconnect).kernel()
    assert said(kernel, subscribed(0, ""), until=500) == [
        stale(10, 10.0),
        stale(20, 20.0, action="reconnect"),
    ]


def test_silence_is_told_to_the_nanosecond_in_virtual_time() -> None:
    scheduler, source = NanoScheduler(), Subject[Event]()
    got: list[tuple[int, Event]] = []
    source.pipe(watchdog(silent_for=10)).subscribe(
        lambda event: got.append((scheduler.now_ns, event)), scheduler=scheduler
    )
    source.on_next(status("subscribed", 0))
    scheduler.advance_to(3 * SECOND + 7)
    source.on_next(Trade("A", 1, 3 * SECOND + 7, 1.0, 1.0, venue="v"))
    scheduler.advance_to(13 * SECOND + 6)
    assert len(got) == 2
    scheduler.advance_by(1e-9)
    assert got[2:] == [(13 * SECOND + 7, Stale(13 * SECOND + 7, 10.0, venue="v"))]


def test_one_silence_of_stream_and_symbols_asks_for_one_connection() -> None:
    feed = Feed()
    kernel = watchdog(silent_for=10, per_symbol=10, resync=feed.resync, reconnect=feed.reconnect).kernel()
    said(kernel, subscribed(0, "A"), until=500)
    assert feed.asked == ["resync A", "resync A", "reconnect"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"silent_for": 0}, "silent_for must be more than nothing, not 0"),
        ({"per_symbol": -1}, "per_symbol must be more than nothing, not -1"),
        ({"per_symbol": {"A": 0}}, r"per_symbol\['A'\] must be more than nothing, not 0"),
    ],
)
def test_a_duration_is_more_than_nothing(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        watchdog(**options)


@given(event_streams(venues=("x", "y")), st.sampled_from([0.25, 1.0, 3.0]), st.sampled_from([None, 0.5, 2.0]))
def test_it_is_held_to_the_laws(events: list[Event], silent_for: float, per_symbol: float | None) -> None:
    feed = Feed()

    def made() -> Kernel[Event, Event]:
        return watchdog(
            silent_for=silent_for, per_symbol=per_symbol, resync=feed.resync, reconnect=feed.reconnect
        ).kernel()

    resumes_anywhere(made, events)
    same_live_and_virtual(made, events)


def test_marble_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    acknowledged, heard = status("subscribed", 210), trade(220)
    source = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, acknowledged),
        ReactiveTest.on_next(220, heard),
        ReactiveTest.on_completed(250),
    )
    got = scheduler.start(lambda: source.pipe(watchdog(silent_for=10)))
    assert got.messages == [
        ReactiveTest.on_next(210, acknowledged),
        ReactiveTest.on_next(220, heard),
        ReactiveTest.on_next(230, stale(230, 10.0)),
        ReactiveTest.on_completed(250),
    ]


def test_who_is_served_by_a_connection_that_was_lost_is_left_in_peace_until_it_is_back() -> None:
    feed = Feed()
    kernel = watchdog(silent_for=100, per_symbol=5, resync=feed.resync).kernel()
    lost = Gap(0, None, 1, SECOND, venue="v", symbols=("A", "C"))
    others: list[Event] = [trade(at, "B") for at in (4, 8, 12)]
    assert said(kernel, [*subscribed(0, "A", "B"), lost, *others], 13.0) == []
    back = subscribed(14, "A")
    assert said(kernel, [*back, trade(16, "B")], 19.0) == [stale(19, 5.0, "A", "resync")]
    assert feed.asked == ["resync A"]
