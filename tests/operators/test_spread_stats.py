"""spread_stats: each moment counts for as long as it lasts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.book import BookState, OrderBook, SpreadStats
from rtflow.events import Event, Frame, FrameKind, Level, Trade
from rtflow.kernel import Kernel
from rtflow.operators import book_apply, spread_stats
from rtflow.scheduler import NanoScheduler
from rtflow.time import SECOND
from tests.laws import event_streams, resumes_anywhere, run, same_live_and_virtual

BIDS: tuple[Level, ...] = ((99.0, 3.0), (98.0, 1.0), (97.0, 4.0))
ASKS: tuple[Level, ...] = ((101.0, 1.0), (102.0, 1.0), (103.0, 6.0))


def state(at: float, bids: Sequence[Level] = BIDS, asks: Sequence[Level] = ASKS, **other: Any) -> BookState:
    stamp = round(at * SECOND)
    fields: dict[str, Any] = {"symbol": "A", "venue": "v", **other}
    return OrderBook.of(bids, asks).view(ts_event=stamp, ts_recv=stamp, **fields)


def down(at: float, status: str = "syncing", **other: Any) -> BookState:
    return state(at, (), (), status=status, **other)


def said(
    kernel: Kernel[BookState | Event, SpreadStats], items: Iterable[BookState | Event], until: float = 0
) -> list[SpreadStats]:
    """What leaves, with every timer in its place, up to ``until`` seconds."""
    made: list[SpreadStats] = []
    for item in items:
        made += waited(kernel, item.ts_recv - 1)
        made += kernel.push(item)
    return made + waited(kernel, round(until * SECOND))


def waited(kernel: Kernel[BookState | Event, SpreadStats], until: int) -> list[SpreadStats]:
    made: list[SpreadStats] = []
    while (due := kernel.due()) is not None and due <= until:
        made += kernel.wake(due)
        after = kernel.due()
        assert after is None or after > due
    return made


def when(stats: Iterable[SpreadStats]) -> list[tuple[float, float, float, float]]:
    return [(each.start / SECOND, each.end / SECOND, each.ts_recv / SECOND, each.seen) for each in stats]


def test_every_average_of_a_book_that_stays_as_it_is() -> None:
    assert said(spread_stats(10, levels=2).kernel(), [state(0)], until=10) == [
        SpreadStats(
            "A",
            0,
            10 * SECOND,
            ts_recv=10 * SECOND,
            seen=10.0,
            live=1.0,
            crossed=0.0,
            spread=2.0,
            spread_bps=200.0,
            mid=100.0,
            bid_depth=4.0,
            ask_depth=2.0,
            imbalance=2.0 / 6.0,
            levels=2,
            venue="v",
        )
    ]


def test_each_moment_counts_for_as_long_as_it_lasts() -> None:
    wide = state(7.5, [(98.0, 1.0)], [(106.0, 3.0)])
    (stats,) = said(spread_stats(10).kernel(), [state(0, BIDS[:1], ASKS[:1]), wide], until=10)
    assert stats.spread == 0.75 * 2.0 + 0.25 * 8.0
    assert stats.mid == 0.75 * 100.0 + 0.25 * 102.0
    assert stats.spread_bps == pytest.approx(0.75 * 200.0 + 0.25 * 80_000 / 102)
    assert (stats.bid_depth, stats.ask_depth) == (0.75 * 3.0 + 0.25, 0.75 + 0.25 * 3.0)
    assert stats.imbalance == 0.75 * 0.5 - 0.25 * 0.5


def test_a_quiet_book_is_told_of_all_the_same() -> None:
    kernel = spread_stats(10).kernel()
    stats = said(kernel, [state(4)], until=35)
    assert when(stats) == [(0, 10, 10, 6.0), (10, 20, 20, 10.0), (20, 30, 30, 10.0)]
    assert {each.spread for each in stats} == {2.0}


def test_stretches_begin_where_they_are_told_to_and_a_state_of_the_end_belongs_to_the_next() -> None:
    kernel = spread_stats(timedelta(seconds=10), origin=3 * SECOND).kernel()
    states = [state(4), state(13, [(100.5, 1.0)], [(101.0, 1.0)])]
    stats = said(kernel, states, until=23)
    assert [(*entry[:2], each.spread) for entry, each in zip(when(stats), stats, strict=True)] == [
        (3, 13, 2.0),
        (13, 23, 0.5),
    ]


def test_what_is_not_live_crossed_or_one_sided_is_in_no_average() -> None:
    states = [
        state(0),
        down(2),
        state(5),
        state(6, [(103.0, 1.0)]),  # crossed
        state(8, BIDS, ()),
        down(9, "suspect"),
    ]
    stats, dead = said(spread_stats(10).kernel(), states, until=20)
    assert (stats.seen, stats.live, stats.crossed) == (10.0, 0.6, 0.2)
    assert (stats.spread, stats.mid, stats.bid_depth) == (2.0, 100.0, 8.0)
    assert (dead.seen, dead.live, dead.crossed) == (10.0, 0.0, 0.0)
    assert {dead.spread, dead.spread_bps, dead.mid, dead.bid_depth, dead.ask_depth, dead.imbalance} == {None}


def test_a_locked_book_has_a_spread_of_nothing() -> None:
    (stats,) = said(spread_stats(10).kernel(), [state(0, [(101.0, 1.0)], [(101.0, 1.0)])], until=10)
    assert (stats.spread, stats.spread_bps, stats.crossed) == (0.0, 0.0, 0.0)


def test_where_the_mid_is_nothing_there_are_no_basis_points_and_no_average() -> None:
    about_zero = state(0, [(-1.0, 1.0)], [(1.0, 1.0)])
    below = state(0, [(-3.0, 1.0)], [(-1.0, 1.0)], symbol="B")
    zero, negative = said(spread_stats(10).kernel(), [about_zero, below], until=10)
    assert (zero.live, zero.spread, zero.mid) == (1.0, None, None)
    assert (negative.mid, negative.spread_bps) == (-2.0, 10_000.0)


def test_each_book_has_its_own_and_they_leave_in_order() -> None:
    kernel = spread_stats(10).kernel()
    states = [
        state(1, venue="w"),
        state(2, symbol="B"),
        state(3, exchange="X"),
        state(4),
    ]
    stats = said(kernel, states, until=10)
    assert [(each.venue, each.symbol, each.exchange, each.seen) for each in stats] == [
        ("v", "A", "", 6.0),
        ("v", "A", "X", 7.0),
        ("v", "B", "", 8.0),
        ("w", "A", "", 9.0),
    ]


def test_a_book_that_is_unsubscribed_leaves_at_once_and_is_forgotten() -> None:
    kernel = spread_stats(10).kernel()
    stats = said(kernel, [state(0), state(0, symbol="B"), down(4, "empty"), down(5, "empty")], until=10)
    assert [(each.symbol, each.end / SECOND, each.ts_recv / SECOND, each.seen) for each in stats] == [
        ("A", 10, 4, 4.0),
        ("B", 10, 10, 10.0),
    ]
    assert said(kernel, [down(10, "empty", symbol="B")], until=60) == [], "no time has passed since"
    assert kernel.due() is None


def test_the_end_of_the_source_cuts_off() -> None:
    kernel = spread_stats(10).kernel()
    made = said(kernel, [state(1), state(2, symbol="B"), Trade("A", 1, 4 * SECOND, 1.0, 1.0)])
    assert made == []
    assert [(each.symbol, *entry[1:]) for each in kernel.flush() for entry in when([each])] == [
        ("A", 10, 4, 3.0),
        ("B", 10, 4, 2.0),
    ]
    assert kernel.flush() == ()


def test_where_nobody_wakes_it_any_item_tells_the_time() -> None:
    kernel = spread_stats(10).kernel()
    _ = kernel.push(state(1))
    assert when(kernel.push(Trade("A", 1, 25 * SECOND, 1.0, 1.0))) == [(0, 10, 10, 9.0), (10, 20, 20, 10.0)]


def test_time_does_not_run_back() -> None:
    kernel = spread_stats(10).kernel()
    (stats,) = said(kernel, [state(0), state(6, symbol="B"), state(4, [(100.0, 1.0)], [(101.0, 1.0)])], 10)[
        :1
    ]
    assert stats.spread == 0.6 * 2.0 + 0.4 * 1.0


@pytest.mark.parametrize(
    ("every", "levels", "error"),
    [
        (0, 1, "a stretch needs a positive length, not every=0"),
        (-1.0, 1, "a stretch needs a positive length"),
        (1, 0, "levels must be a whole number, 1 or more, not 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(every: Any, levels: Any, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        spread_stats(every, levels=levels)


def test_marble_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, state(210)),
        ReactiveTest.on_next(225, state(225)),
        ReactiveTest.on_completed(245),
    )
    got = scheduler.start(lambda: source.pipe(spread_stats(20), ops.map(_seen)))
    assert got.messages == [
        ReactiveTest.on_next(220, 10.0),
        ReactiveTest.on_next(240, 20.0),
        ReactiveTest.on_completed(245),
    ]


def _seen(stats: SpreadStats) -> float:
    return stats.seen


def test_stretches_close_by_time_in_virtual_nanoseconds() -> None:
    scheduler, source = NanoScheduler(), Subject[BookState | Event]()
    got: list[tuple[int, int]] = []
    source.pipe(spread_stats(1)).subscribe(
        lambda stats: got.append((scheduler.now_ns, stats.end)), scheduler=scheduler
    )
    scheduler.advance_to(7)
    source.on_next(state(7 / SECOND))
    scheduler.advance_to(3 * SECOND)
    assert got == [(SECOND, SECOND), (2 * SECOND, 2 * SECOND), (3 * SECOND, 3 * SECOND)]


@given(event_streams(venues=("x", "y"), max_size=60), st.sampled_from([0.25, 1.0, 7.0]))
def test_it_is_held_to_the_laws(events: list[Event], every: float) -> None:
    books = book_apply(resync=len).kernel()
    items = [item for event in events for item in (event, *run(books, [event]))]
    made = spread_stats(every, levels=2)
    resumes_anywhere(made, items)
    same_live_and_virtual(made, items)


@given(event_streams(max_size=60))
def test_short_stretches_sum_up_to_the_long_one(events: list[Event]) -> None:
    """The law of cutting: the averages of the parts, weighted, are that of the whole."""
    states = run(book_apply().kernel(), events)
    for symbol in "A", "B":
        mine = [each for each in states if each.symbol == symbol]
        parts = run(spread_stats(1).kernel(), mine)
        wholes = run(spread_stats(1_000_000).kernel(), mine)
        assert sum(each.seen for each in parts) == sum(each.seen for each in wholes)
        lived = sum(each.seen * each.live for each in parts)
        assert lived == pytest.approx(sum(each.seen * each.live for each in wholes))


@pytest.mark.parametrize("levels", [1.5, "10", True])
def test_levels_are_counted(levels: Any) -> None:
    with pytest.raises(TypeError, match=f"levels is a whole number, not {levels!r}"):
        spread_stats(1, levels=levels)


def test_frames_that_nobody_has_read_are_an_error() -> None:
    frame: Any = Frame(FrameKind.TEXT, b"{}", 3)
    with pytest.raises(TypeError, match=r"spread_stats\(\) takes events, and this is a frame"):
        spread_stats(1).kernel().push(frame)
