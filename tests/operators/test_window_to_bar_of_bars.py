"""window_to_bar of bars: large ones from small ones are what the trades would have made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from reactivex import Subject

from rtflow.columns import Columns
from rtflow.counters import Counters
from rtflow.events import Bar, Event, Gap, Lost, Quote, Status, Trade, TradeCancel
from rtflow.operators import window_to_bar
from rtflow.scheduler import NanoScheduler, running
from rtflow.sessions import Hours
from rtflow.time import SECOND
from tests.laws import event_streams, resumes_anywhere, run, same_live_and_virtual


def bar(start: float, end: float, price: float = 10.0, symbol: str = "A", **fields: Any) -> Bar:
    """Of one trade, in the middle of it, and there half a second after its end."""
    begin, over, middle = (round(each * SECOND) for each in (start, end, (start + end) / 2))
    known = {"ts_open": middle, "ts_close": middle, "ts_recv": over + SECOND // 2, "venue": "x", **fields}
    return Bar(symbol, begin, over, price, price, price, price, 1.0, 1, price, **known)


def push(kernel: Any, *events: Event) -> list[Any]:
    return [made for event in events for made in kernel.push(event)]


def told(made: Iterable[Any]) -> list[tuple[str, float, float, float, int, int]]:
    """Whose, from when to when, the close, how many trades, which revision."""
    return [
        (each.symbol, each.start / SECOND, each.end / SECOND, each.close, each.count, each.revision)
        for each in made
    ]


def through(events: Sequence[Event], *operators: Any) -> list[Any]:
    """What one operator after the other makes of them, in virtual time."""
    scheduler, source, made = NanoScheduler(), Subject[Any](), list[Any]()
    source.pipe(*operators).subscribe(made.append, scheduler=scheduler)
    for event in events:
        scheduler.advance_to(event.ts_recv, inclusive=False)
        with running(scheduler):
            source.on_next(event)
    source.on_completed()
    return made


# What a large bar is


def test_a_large_bar_is_all_of_its_small_ones() -> None:
    kernel = window_to_bar(60, of="bars").kernel()
    parts = bar(0, 5, 10.0), bar(5, 10, 12.0, gap=True), bar(20, 25, 9.0, interval="5s"), bar(55, 60, 11.0)
    (whole,) = push(kernel, *parts)
    merged = reduce(Bar.merge, parts)
    assert whole == replace(merged, start=0, end=60 * SECOND)
    assert (whole.open, whole.high, whole.low, whole.close, whole.volume, whole.count) == (
        10.0,
        12.0,
        9.0,
        11.0,
        4.0,
        4,
    )
    assert whole.gap


def test_of_a_single_small_bar_not_the_small_bars_interval() -> None:
    kernel = window_to_bar(60, of="bars").kernel()
    (whole,) = push(kernel, bar(0, 60, interval="1m"))
    assert whole == bar(0, 60)


def test_it_leaves_with_the_small_bar_that_ends_it() -> None:
    kernel = window_to_bar(60, of="bars").kernel()
    assert push(kernel, bar(50, 55), bar(50, 55, symbol="B")) == []
    assert told(push(kernel, bar(55, 60))) == [("A", 0, 60, 10.0, 2, 0)]
    assert told(push(kernel, bar(55, 60, symbol="B"))) == [("B", 0, 60, 10.0, 2, 0)]
    assert kernel.due() is None


def test_one_without_such_a_small_bar_waits_until_the_next_would_be_there() -> None:
    kernel = window_to_bar(60, of="bars").kernel()
    assert push(kernel, bar(5, 10, symbol="Quiet"), bar(50, 55)) == []
    assert kernel.due() == round(65.5 * SECOND)
    assert told(push(kernel, bar(55, 60))) == [("A", 0, 60, 10.0, 2, 0)]
    assert kernel.due() == round(65.5 * SECOND)
    assert told(push(kernel, bar(60, 65))) == [("Quiet", 0, 60, 10.0, 1, 0)]
    kernel = window_to_bar(60, of="bars").kernel()
    push(kernel, bar(5, 10, symbol="Quiet"), bar(55, 60))
    assert told(kernel.wake(round(65.5 * SECOND))) == [("Quiet", 0, 60, 10.0, 1, 0)]


def test_a_small_bar_is_there_no_sooner_than_its_end_though_its_last_trade_was() -> None:
    kernel = window_to_bar(60, of="bars").kernel()
    push(kernel, bar(5, 10, symbol="Quiet"), bar(50, 55, ts_recv=51 * SECOND))
    assert kernel.due() == 65 * SECOND


def test_grace_is_waited_for_all_the_same() -> None:
    kernel = window_to_bar(60, of="bars", grace=10).kernel()
    assert push(kernel, bar(55, 60), bar(50, 55, 7.0)) == []
    assert told(kernel.wake(round(75.5 * SECOND))) == [("A", 0, 60, 10.0, 2, 0)]


def test_the_bar_so_far_is_told_at_each_small_one() -> None:
    kernel = window_to_bar(60, of="bars", emit="update").kernel()
    made = push(kernel, bar(0, 5), bar(5, 10, 11.0), bar(55, 60, 12.0))
    assert [(each.close, each.final) for each in made] == [
        (10.0, False),
        (11.0, False),
        (12.0, False),
        (12.0, True),
    ]


def test_only_small_bars_tell_the_time() -> None:
    kernel = window_to_bar(60, of="bars").kernel()
    push(kernel, bar(5, 10, symbol="Quiet"))
    now = 65 * SECOND
    others: tuple[Event, ...] = (
        Trade("A", now, now, 1.0, 1.0, venue="x"),
        Quote("A", now, now, 1.0, 1.0, 2.0, 1.0, "x"),
        TradeCancel("A", now, now, "1", 1.0, 1.0, "x"),
        bar(0, 86_400, final=False, interval="1d", ts_recv=now),
    )
    assert push(kernel, *others) == []
    assert told(push(kernel, Quote("A", now, now + SECOND, 1.0, 1.0, 2.0, 1.0, "x"))) == [
        ("Quiet", 0, 60, 10.0, 1, 0)
    ]


def test_the_end_cuts_it_off_and_a_line_that_was_lost_marks_it() -> None:
    kernel = window_to_bar(60, of="bars").kernel()
    push(kernel, Status("subscribed", 0, "", "A", "trades", venue="x"), bar(0, 5))
    push(
        kernel,
        Gap(6 * SECOND, 7 * SECOND, 1, 7 * SECOND, venue="x"),
        Lost("B", "Bar", 1, 1, 2, "ring", 7 * SECOND),
    )
    (whole,) = kernel.flush()
    assert isinstance(whole, Bar)
    assert (whole.partial, whole.gap) == ("end", True)


@pytest.mark.parametrize(
    ("kind", "partial"), [("trades", "start"), ("bars", "start"), ("second_bars", "start"), ("books", None)]
)
def test_a_subscription_to_bars_says_where_we_began(kind: str, partial: str | None) -> None:
    kernel = window_to_bar(60, of="bars").kernel()
    joined = Status("heartbeat", 0, venue="x")
    acknowledged = Status("subscribed", 8 * SECOND, "", "A", kind, venue="x")
    (whole,) = push(kernel, joined, acknowledged, bar(5, 10), bar(55, 60))
    assert whole.partial == partial


@pytest.mark.parametrize(
    ("parts", "partial"),
    [
        ((None, None), None),
        (("start", None), "start"),
        ((None, "end"), "end"),
        (("start", "end"), "end"),
    ],
)
def test_it_is_as_partial_as_its_parts(parts: tuple[Any, Any], partial: str | None) -> None:
    kernel = window_to_bar(60, of="bars").kernel()
    (whole,) = push(kernel, bar(0, 5, partial=parts[0]), bar(55, 60, partial=parts[1]))
    assert whole.partial == partial


def test_small_bars_that_are_flat_make_a_flat_one() -> None:
    def flat(start: float, end: float) -> Bar:
        return replace(bar(start, end, synthetic=True), volume=0.0, count=0, value=0.0)

    kernel = window_to_bar(60, of="bars").kernel()
    made = push(kernel, flat(0, 30), bar(30, 60, 11.0), flat(60, 90), flat(90, 120))
    assert [(each.open, each.close, each.synthetic) for each in made] == [
        (11.0, 11.0, False),
        (10.0, 10.0, True),
    ]


# Revisions


def test_a_revised_small_bar_takes_the_place_of_what_it_was() -> None:
    kernel = window_to_bar(60, of="bars").kernel()
    made = push(
        kernel,
        bar(0, 5, 10.0),
        bar(5, 10, 11.0),
        bar(0, 5, 7.0, revision=1, ts_recv=12 * SECOND),
        bar(55, 60),
    )
    assert [(each.open, each.low, each.count, each.revision) for each in made] == [(7.0, 7.0, 3, 0)]


def test_a_revised_small_bar_revises_the_large_one() -> None:
    kernel = window_to_bar(60, of="bars", revise_for=60).kernel()
    made = push(kernel, bar(0, 5, 10.0), bar(55, 60, 11.0), bar(60, 65, 12.0))
    made += push(
        kernel, bar(0, 5, 7.0, revision=1, ts_recv=70 * SECOND), bar(30, 35, 20.0, ts_recv=71 * SECOND)
    )
    assert [(each.open, each.high, each.count, each.revision) for each in made] == [
        (10.0, 11.0, 2, 0),
        (7.0, 11.0, 2, 1),
        (7.0, 20.0, 3, 2),
    ]


def test_a_small_bar_that_comes_too_late_is_counted() -> None:
    counters = Counters()
    kernel = window_to_bar(60, of="bars", revise_for=10, counters=counters).kernel()
    made = push(kernel, bar(0, 5), bar(55, 60), bar(65, 70), bar(70, 75))
    assert len(made) == 1
    assert push(kernel, bar(0, 5, 7.0, revision=1, ts_recv=76 * SECOND)) == []
    assert counters == {"late": 1}


def test_a_stretch_that_had_no_bar_may_get_one_late() -> None:
    kernel = window_to_bar(60, of="bars", revise_for=60).kernel()
    made = push(kernel, bar(5, 10, symbol="B"), bar(65, 70, symbol="B"), bar(20, 25, ts_recv=71 * SECOND))
    assert told(made) == [("B", 0, 60, 10.0, 1, 0), ("A", 0, 60, 10.0, 1, 0)]


def test_large_bars_that_nothing_can_change_any_more_are_forgotten() -> None:
    kernel = window_to_bar(2, of="bars", revise_for=6).kernel()
    for second in range(100):
        push(kernel, bar(second, second + 1))
        assert len(kernel.state()["x"]["kept"].get("A", ())) <= 5


# What does not fit


@pytest.mark.parametrize("stranger", [(55, 65), (3, 8), (0, 4), (4, 5), (0, 10), (12, 16), (9, 12)])
def test_a_small_bar_that_overlaps_another_or_the_end_is_counted_and_left_out(
    stranger: tuple[float, float],
) -> None:
    counters = Counters()
    kernel = window_to_bar(60, of="bars", counters=counters).kernel()
    push(kernel, bar(0, 5), bar(5, 10), bar(15, 20))
    assert push(kernel, bar(*stranger, 99.0)) == []
    assert counters == {"unfit": 1}
    assert [each.high for each in push(kernel, bar(55, 60))] == [10.0]


def test_small_bars_may_come_in_any_order() -> None:
    kernel = window_to_bar(60, of="bars", grace=60).kernel()
    push(kernel, bar(15, 20, 3.0), bar(5, 10, 2.0), bar(0, 5, 1.0), bar(10, 15, 4.0))
    assert [(each.open, each.close, each.count) for each in kernel.flush()] == [(1.0, 3.0, 4)]


def test_sessions_cut_large_bars_and_leave_out_the_small_ones_between() -> None:
    counters = Counters()
    market = Hours("00:00:30-00:02:00 00:03:00-24:00", zone="UTC", weekdays=range(7))
    kernel = window_to_bar(60, of="bars", session=market, counters=counters).kernel()
    made = push(kernel, *(bar(start, start + 15, start) for start in range(0, 240, 15)))
    assert [(start, end) for _, start, end, *_ in told(made)] == [(30, 90), (90, 120), (180, 240)]
    assert counters == {"outside": 6}
    day = window_to_bar("1d", of="bars", session=market).kernel()
    push(day, *(bar(start, start + 15, start) for start in range(0, 240, 15)))
    assert [each.count for each in day.flush()] == [10]


# Laws

OPERATORS: tuple[Callable[[], Any], ...] = (
    lambda: window_to_bar(2, of="bars"),
    lambda: window_to_bar(4, of="bars", emit="update", grace=1),
    lambda: window_to_bar(2, of="bars", revise_for=4),
    lambda: window_to_bar(1.5, of="bars", revise_for=2, emit="update"),
)
ADDED_UP = tuple(each for each in Bar.__struct_fields__ if each not in ("partial", "gap", "revision"))


@st.composite
def bar_streams(draw: st.DrawFn) -> list[Event]:
    """Bars of a second, revised now and then, among all the rest, in the order in which they come."""
    events = draw(event_streams(venues=("x", "y")))
    made = run(window_to_bar(1, revise_for=draw(st.sampled_from((0, 3)))).kernel(), events)
    late = [draw(st.sampled_from((0, 0, 1, 9))) * SECOND // 4 for _ in made]
    stamped = [replace(each, ts_recv=each.end + delay) for each, delay in zip(made, late, strict=True)]
    return sorted([*events, *stamped], key=lambda each: each.ts_recv)


@settings(max_examples=100, deadline=None)
@given(bar_streams(), st.sampled_from(OPERATORS))
def test_it_is_held_to_the_laws(events: list[Event], operator: Callable[[], Any]) -> None:
    resumes_anywhere(operator(), events)


@settings(max_examples=50, deadline=None)
@given(bar_streams(), st.sampled_from(OPERATORS))
def test_live_and_virtual_runs_agree(events: list[Event], operator: Callable[[], Any]) -> None:
    same_live_and_virtual(operator(), events)


@settings(max_examples=120, deadline=None)
@given(event_streams(venues=("x", "y")), st.sampled_from((2, 3, 60)))
def test_bars_of_bars_are_bars_of_the_trades(events: list[Event], every: int) -> None:
    in_time = [each for each in events if not isinstance(each, Trade) or each.ts_event == each.ts_recv]
    direct = through(in_time, window_to_bar(every, tolerance=0))
    by_parts = through(in_time, window_to_bar(1, tolerance=0), window_to_bar(every, of="bars"))
    assert {fields(each) for each in by_parts} == {fields(each) for each in direct}
    assert len(by_parts) == len(direct)


@settings(max_examples=120, deadline=None)
@given(event_streams(venues=("x", "y")), st.sampled_from((2, 3, 60)))
def test_with_revisions_the_last_ones_are_what_late_trades_too_have_made(
    events: list[Event], every: int
) -> None:
    direct = last_of_each(through(events, window_to_bar(every, revise_for=10_000)))
    counters = Counters()
    small, large = (
        window_to_bar(1, revise_for=10_000),
        window_to_bar(every, of="bars", revise_for=20_000, counters=counters),
    )
    by_parts = last_of_each(through(events, small, large))
    assert {fields(each, but=("ts_recv",)) for each in by_parts} == {
        fields(each, but=("ts_recv",)) for each in direct
    }
    assert counters == {}


@settings(max_examples=100)
@given(bar_streams(), st.sampled_from((0, 4)))
def test_volume_and_count_are_conserved_and_prices_in_order(events: list[Event], revise_for: int) -> None:
    counters = Counters()
    made = last_of_each(
        run(window_to_bar(2, of="bars", revise_for=revise_for, grace=30, counters=counters).kernel(), events)
    )
    small = last_of_each(each for each in events if isinstance(each, Bar))
    assert counters == {}
    assert sum(each.volume for each in made) == sum(each.volume for each in small)
    assert sum(each.count for each in made) == sum(each.count for each in small)
    for each in made:
        assert each.low <= min(each.open, each.close) <= max(each.open, each.close) <= each.high


@settings(max_examples=100)
@given(bar_streams(), st.sampled_from(OPERATORS))
def test_nothing_leaves_twice_but_by_revision(events: list[Event], operator: Callable[[], Any]) -> None:
    seen: dict[tuple[str, str, int], int] = defaultdict(lambda: -1)
    for each in run(operator().kernel(), events):
        if each.final:
            assert each.revision == seen[each.venue, each.symbol, each.start] + 1
            seen[each.venue, each.symbol, each.start] += 1


def last_of_each(made: Iterable[Bar]) -> list[Bar]:
    return list({(each.venue, each.symbol, each.start): each for each in made if each.final}.values())


def fields(each: Bar, *, but: tuple[str, ...] = ()) -> tuple[Any, ...]:
    """All that is added up; what was missing, only the events can say."""
    return tuple(getattr(each, name) for name in ADDED_UP if name not in but)


@settings(max_examples=50)
@given(bar_streams(), st.sampled_from(OPERATORS))
def test_a_batch_of_small_bars_is_each_of_them(events: list[Event], operator: Callable[[], Any]) -> None:
    small = [each for each in events if isinstance(each, Bar)]
    one_by_one, at_once = operator().kernel(), operator().kernel()
    made = push(one_by_one, *small)
    assert list(at_once.push(Columns.of(small)) if small else ()) == made
    assert at_once.state() == one_by_one.state()
