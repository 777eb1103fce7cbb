"""rolling: what is in the window, when it says so, and what it does not claim to know."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Sequence
from fractions import Fraction
from statistics import median
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.counters import Counters
from rtflow.events import (
    Bar,
    BestQuote,
    Event,
    Gap,
    Instrument,
    Lost,
    Quote,
    Rolled,
    Status,
    Trade,
    TradeCancel,
    TradeCorrection,
)
from rtflow.kernel import Kernel, Lifted
from rtflow.operators import rolling
from rtflow.operators._rolling import _Folded, _Merged
from rtflow.time import SECOND
from tests.laws import event_streams, resumes_anywhere, run, same_live_and_virtual

Windows = Kernel[Any, Rolled[tuple[float, ...]]]


def trade(at: float, price: float = 1.0, symbol: str = "A", *, delay: float = 0.0, venue: str = "v") -> Trade:
    """Stamped ``at`` seconds, received ``delay`` seconds later."""
    return Trade(symbol, round(at * SECOND), round((at + delay) * SECOND), price, 1.0, venue=venue)


def quote(at: float, symbol: str = "A") -> Quote:
    stamp = round(at * SECOND)
    return Quote(symbol, stamp, stamp, 1.0, 1.0, 2.0, 1.0, venue="v")


def prices(trades: Sequence[Trade]) -> tuple[float, ...]:
    return tuple(trade.price for trade in trades)


def windows(**options: Any) -> Windows:
    """What is in the window, as a tuple of prices."""
    made: Lifted[Any, Rolled[tuple[float, ...]]] = rolling(of=Trade, fold=prices, **options)
    return made.kernel()


def said(kernel: Windows, *items: Any, until: float | None = None) -> list[tuple[float, Any]]:
    """When, in seconds, and which prices."""
    made = [each for item in items for each in (*waited(kernel, item.ts_recv - 1), *kernel.push(item))]
    if until is not None:
        made += waited(kernel, round(until * SECOND))
    return [(each.ts_recv / SECOND, each.value) for each in made]


def waited(kernel: Windows, until: int) -> list[Rolled[tuple[float, ...]]]:
    made: list[Rolled[tuple[float, ...]]] = []
    while (due := kernel.due()) is not None and due <= until:
        made += kernel.wake(due)
    return made


# What is in the window


def test_an_item_is_in_the_window_from_when_it_comes_until_it_is_so_old() -> None:
    made = said(windows(over=10), trade(0, 1.0), trade(4, 2.0), until=60)
    assert made == [(0, (1.0,)), (4, (1.0, 2.0)), (10, (2.0,)), (14, None)]


def test_all_that_is_said_of_a_window() -> None:
    kernel = windows(over=10)
    _ = kernel.push(trade(100, 1.0, delay=0.5))
    assert kernel.push(trade(104, 2.0, delay=0.5)) == (
        Rolled("A", 104 * SECOND, 104_500_000_000, (1.0, 2.0), 2, "v", partial=True, gap=False),
    )
    assert kernel.due() == 110_500_000_000, "the line's own delay is allowed for"
    assert kernel.wake(110_500_000_000) == (
        Rolled("A", 110 * SECOND, 110_500_000_000, (2.0,), 1, "v", partial=False, gap=False),
    )


def test_the_last_items_by_number() -> None:
    kernel = windows(count=2)
    made = said(kernel, trade(0, 1.0), trade(1, 2.0), trade(1000, 3.0), until=1e6)
    assert made == [(0, (1.0,)), (1, (1.0, 2.0)), (1000, (2.0, 3.0))]
    assert kernel.due() is None, "time takes nothing away"


def test_the_last_items_by_number_that_are_young_enough() -> None:
    made = said(windows(count=2, over=10), trade(0, 1.0), trade(1, 2.0), trade(2, 3.0), until=60)
    assert made == [(0, (1.0,)), (1, (1.0, 2.0)), (2, (2.0, 3.0)), (11, (3.0,)), (12, None)]


def test_items_stand_in_the_order_of_their_stamps_and_then_as_they_came() -> None:
    late = trade(2, 3.0, delay=4)
    made = said(windows(over=10), trade(1, 1.0), trade(5, 5.0), late, trade(2, 4.0, delay=4))
    assert made[-2:] == [(6, (1.0, 3.0, 5.0)), (6, (1.0, 3.0, 4.0, 5.0))]


def test_what_is_too_late_is_counted() -> None:
    counters = Counters()
    too_old = trade(10, 1.0, delay=10)
    assert said(windows(over=10, counters=counters), trade(20, 2.0), too_old) == [(20, (2.0,))]
    one_place = windows(count=1, counters=counters)
    assert said(one_place, trade(20, 2.0), trade(19, 1.0, delay=1), trade(20, 3.0)) == [
        (20, (2.0,)),
        (20, (3.0,)),
    ]
    assert counters == {"late": 2}


def test_an_item_received_when_another_is_due_takes_it_out_itself() -> None:
    assert said(windows(over=10), trade(0, 1.0), trade(10, 2.0)) == [(0, (1.0,)), (10, (2.0,))]


def test_any_event_of_the_venue_tells_the_time_and_others_lose_their_items_by_it() -> None:
    kernel = windows(over=10)
    first = said(kernel, trade(0, 1.0, "C"), trade(0, 2.0, "B"), trade(5, 3.0))
    assert first == [(0, (1.0,)), (0, (2.0,)), (5, (3.0,))]
    ahead = Quote("Q", 11 * SECOND, 7 * SECOND, 1.0, 1.0, 2.0, 1.0, venue="v")
    assert [each.symbol for each in kernel.push(ahead)] == [], "no clock is trusted for more than a second"
    made = kernel.push(quote(10, "Q"))
    assert [(each.symbol, each.value) for each in made] == [("B", None), ("C", None)]


def test_a_late_item_may_come_while_its_neighbours_leave() -> None:
    kernel = windows(over=10, tolerance=0)
    made = said(kernel, trade(0, 1.0), trade(9, 2.0), trade(9.5, 3.0, "B", delay=0.5))
    assert made == [(0, (1.0,)), (9, (1.0, 2.0)), (10, (3.0,))]
    kernel = windows(over=10)
    _ = said(kernel, trade(0, 1.0))
    made = said(kernel, msgspec.structs.replace(trade(0, 5.0), ts_recv=10 * SECOND + 1))
    assert made == [(10, None)], "too late, and the one before is gone"


def test_a_stamp_from_the_future_counts_as_a_second_ahead() -> None:
    kernel = windows(over=10)
    made = said(kernel, trade(100, 1.0, delay=-90), until=60)
    assert made == [(10, (1.0,)), (20, None)]
    kernel = windows(over=10, tolerance=5)
    assert [each.ts_event for each in kernel.push(trade(100, delay=-90))] == [15 * SECOND]


def test_by_the_clock_of_arrival() -> None:
    made = said(windows(over=10, clock="recv"), trade(0, 1.0, delay=7), trade(3, 2.0, delay=5), until=60)
    assert made == [(7, (1.0,)), (8, (1.0, 2.0)), (17, (2.0,)), (18, None)]


def test_what_has_no_stamp_of_the_venue_goes_by_arrival() -> None:
    bars = rolling(of=Bar, each=lambda bar: bar, merge=Bar.merge, count=2).kernel()
    one = Bar("A", 0, 60, 1.0, 3.0, 1.0, 2.0, 4.0, 2, 10.0, ts_recv=60, ts_open=1, ts_close=59)
    two = msgspec.structs.replace(one, start=60, end=120, high=5.0, ts_recv=120, ts_open=61, ts_close=119)
    _ = bars.push(one)
    assert bars.push(two) == (Rolled("A", 120, 120, one.merge(two), 2),)
    assert said(windows(over=10), trade(0), Instrument("A", 60 * SECOND, "on", 1, 1, 1.0, 1.0, 1.0)) == [
        (0, (1.0,)),
        (10, None),
    ]
    best = rolling(of=BestQuote, fold=len, over=1).kernel()
    assert [each.value for each in best.push(BestQuote("A", 1, 2, 1.0, 1.0, 2.0, 1.0))] == [1]


def test_each_venue_and_symbol_by_itself() -> None:
    kernel = windows(over=10)
    items = trade(0, 1.0), trade(0, 2.0, "B"), trade(0, 3.0, venue="w"), trade(5, 4.0, delay=3)
    made = [each for item in items for each in kernel.push(item)]
    assert [(each.venue, each.symbol, each.value) for each in made] == [
        ("v", "A", (1.0,)),
        ("v", "B", (2.0,)),
        ("w", "A", (3.0,)),
        ("v", "A", (1.0, 4.0)),
    ]
    assert [(each.ts_recv / SECOND, each.venue, each.symbol) for each in waited(kernel, 60 * SECOND)] == [
        (10, "w", "A"),
        (13, "v", "A"),
        (13, "v", "B"),
        (18, "v", "A"),
    ], "each venue by its own delay"


def test_where_nobody_wakes_it_the_next_event_does() -> None:
    kernel = windows(over=10)
    made = [each for item in (trade(0, 1.0), trade(1, 2.0), quote(60)) for each in kernel.push(item)]
    assert [(each.ts_recv / SECOND, each.value) for each in made] == [
        (0, (1.0,)),
        (1, (1.0, 2.0)),
        (10, (2.0,)),
        (11, None),
    ]
    assert said(kernel, trade(61)) == [(61, (1.0,))]


def test_corrections_and_cancels_are_counted_and_not_applied() -> None:
    counters = Counters()
    cancel = TradeCancel("A", SECOND, SECOND, "1", 1.0, 1.0, "v")
    correction = TradeCorrection("A", SECOND, SECOND, "1", 1.0, 1.0, "2", 2.0, 1.0, "v")
    assert said(windows(over=10, counters=counters), trade(0), cancel, correction) == [(0, (1.0,))]
    assert counters == {"unapplied": 2}


# What it does not claim to know


def marks(kernel: Windows, *items: Any, until: float | None = None) -> list[tuple[float, bool, bool]]:
    """When, partial and gap."""
    made = [each for item in items for each in (*waited(kernel, item.ts_recv - 1), *kernel.push(item))]
    if until is not None:
        made += waited(kernel, round(until * SECOND))
    return [(each.ts_recv / SECOND, each.partial, each.gap) for each in made]


def status(at: float, state: Any, symbol: str = "", kind: str = "") -> Status:
    return Status(state, round(at * SECOND), symbol=symbol, kind=kind, venue="v")


def gap(start: float, end: float | None, at: float, *symbols: str, kind: str = "", **other: Any) -> Gap:
    last = None if end is None else round(end * SECOND)
    return Gap(
        round(start * SECOND), last, 1, round(at * SECOND), venue="v", symbols=symbols, kind=kind, **other
    )


def test_a_window_is_partial_until_we_have_watched_for_as_long() -> None:
    made = marks(windows(over=10), quote(3), trade(5), trade(12.5), trade(13), until=15)
    assert made == [(5, True, False), (12.5, True, False), (13, False, False), (15, False, False)]
    kernel = windows(over=10)
    nanoseconds = [3 * SECOND, 13 * SECOND - 2, 13 * SECOND - 1]
    items = [Trade("A", stamp, stamp, 1.0, 1.0) for stamp in nanoseconds]
    assert [each[1] for each in marks(kernel, *items)] == [True, True, False], "to the nanosecond"


def test_we_watch_a_symbol_from_its_acknowledgement() -> None:
    kernel = windows(over=10)
    acknowledged = status(8, "subscribed", "A", "trades"), status(2, "subscribed", "B", "quotes")
    again = status(19, "subscribed", "A", "trades")
    made = marks(kernel, quote(0), *acknowledged, trade(17), trade(17, symbol="B"), again, trade(20))
    assert made == [(17, True, False), (17, False, False), (20, False, False)]


def test_a_number_of_items_is_partial_until_there_are_so_many() -> None:
    assert [each[1] for each in marks(windows(count=2), trade(0), trade(1), trade(2))] == [True, False, False]
    both = windows(count=2, over=10)
    assert [each[1] for each in marks(both, trade(0), trade(1), until=20)] == [True, False, False, False]


def test_a_lost_line_empties_nothing_and_marks_the_window_until_it_has_passed() -> None:
    kernel = windows(over=10)
    down, up = gap(4, None, 5), gap(4, 8, 8)
    made = marks(kernel, quote(-20), trade(4), status(5, "closed"), down, status(7, "open"), up, trade(8))
    assert made == [(4, False, False), (8, False, True)]
    assert marks(kernel, trade(18 - 2e-9), trade(18 - 1e-9)) == [
        (14, False, True),
        (18 - 2e-9, False, True),
        (18 - 1e-9, False, False),
    ], "to the nanosecond: at 8 s all was seen again"


def test_while_the_line_is_down_every_window_is_marked() -> None:
    kernel = windows(over=10)
    assert marks(kernel, trade(0), gap(0, None, 60), trade(61), until=90)[1:] == [
        (10, False, False),
        (61, False, True),
        (71, False, True),
    ]


def test_a_gap_of_some_symbols_or_of_another_kind_concerns_no_others() -> None:
    kernel = windows(over=10)
    holes = gap(1, 3, 3, "B"), gap(1, None, 3, "C"), gap(1, 3, 3, kind="books")
    made = marks(kernel, trade(0), *holes, trade(4), trade(4, symbol="B"), trade(4, symbol="C"))
    assert [each[2] for each in made] == [False, False, True, True]


def test_a_gap_that_was_filled_is_none() -> None:
    kernel = windows(over=10)
    made = marks(kernel, trade(0), gap(1, None, 2), gap(1, 5, 5, filled=1), trade(3, delay=2), trade(5))
    assert [each[2] for each in made] == [False, False, False]


def test_a_counted_loss_marks_too() -> None:
    kernel = windows(count=2)
    lost = Lost("A", "Trade", 3, SECOND, 2 * SECOND, "ring", 3 * SECOND)
    symbols = "A", "B"
    made = marks(kernel, *(trade(0, symbol=each) for each in symbols), lost, trade(4), trade(4, symbol="B"))
    assert [each[2] for each in made] == [False, False, True, False]
    everything = msgspec.structs.replace(lost, symbol="", ts_recv=4 * SECOND)
    assert [each[2] for each in marks(kernel, everything, trade(5, symbol="B"), trade(6, symbol="B"))] == [
        False,
        False,
    ], "both are younger than what was lost"
    assert [each[2] for each in marks(kernel, trade(5), trade(6))] == [False, False]


def test_a_new_connection_has_a_clock_of_its_own() -> None:
    kernel = windows(over=10)
    slower = trade(19, 2.0, delay=7)
    made = said(kernel, status(0, "open"), trade(20, 1.0), gap(20, None, 21), status(22, "open"), slower)
    assert made == [(20, (1.0,)), (26, (2.0, 1.0))]
    assert kernel.due() == 36 * SECOND, "by the delay of the new one"


def test_an_unsubscribed_symbol_is_forgotten() -> None:
    kernel = windows(over=10)
    items = trade(0, 1.0), status(1, "unsubscribed", "A", "trades"), status(1, "unsubscribed", "X", "quotes")
    assert said(kernel, *items, until=60) == [(0, (1.0,))]
    assert kernel.due() is None
    assert said(kernel, trade(5, 2.0)) == [(5, (2.0,))]
    assert said(kernel, status(6, "rejected", "A"), status(6, "authenticated"), trade(7, 3.0)) == [
        (7, (2.0, 3.0))
    ]


# The fold


def test_a_merge_need_not_be_commutative() -> None:
    texts = rolling(of=Trade, each=lambda trade: f"{trade.price:.0f}", merge=str.__add__, count=3).kernel()
    late = trade(4.5, 9.0, delay=1)
    items = [*(trade(at, at) for at in range(1, 6)), late]
    assert [each.value for item in items for each in texts.push(item)] == [
        "1",
        "12",
        "123",
        "234",
        "345",
        "495",
    ]


def test_no_rounding_adds_up() -> None:
    total = rolling(of=Trade, each=lambda trade: trade.price, merge=float.__add__, count=2).kernel()
    items = [trade(0, 1e16), *(trade(at, 0.1) for at in range(1, 100))]
    assert [each.value for item in items for each in total.push(item)][-1] == 0.2


def test_an_item_costs_a_few_merges_however_long_the_window() -> None:
    merges = 0

    def merge(one: float, two: float) -> float:
        nonlocal merges
        merges += 1
        return max(one, two)

    kernel = rolling(of=Trade, each=lambda trade: trade.price, merge=merge, count=500).kernel()
    for at in range(10_000):
        _ = kernel.push(trade(at, float(at % 97)))
    assert merges < 3.1 * 10_000


@given(st.lists(st.tuples(st.sampled_from(("add", "drop")), st.integers(0, 12)), max_size=60))
def test_two_stacks_hold_what_one_list_holds(steps: list[tuple[str, int]]) -> None:
    merged = _Merged[str, str](lambda item: item, str.__add__)
    folded = _Folded[str, str]("".join)
    items: list[tuple[int, int, str]] = []
    for at, (what, number) in enumerate(steps):
        letter = chr(ord("a") + at % 26)
        if what == "add":
            insort(items, (number, at, letter))
            assert merged.add(number, letter) == folded.add(number, letter)
        elif len(items) >= number:
            merged.drop(number)
            folded.drop(number)
            del items[:number]
        if items:
            assert merged.value() == folded.value() == "".join(item for _, _, item in items)
        again = _Merged[str, str](lambda item: item, str.__add__)
        again.restore(list(merged.stamps), list(merged.items), merged.cut())
        assert (again._older, bool(items) and again.value()) == (
            merged._older,
            bool(items) and merged.value(),
        )


# Laws


def middle(trades: Sequence[Trade]) -> float:
    return median(trade.price for trade in trades)


def naive(
    events: Sequence[Event],
    over: int | None,
    count: int | None,
    by_arrival: bool,
    fold: Callable[[Sequence[Trade]], float],
) -> list[tuple[str, str, int, int, float | None, int]]:
    """A window is a question to the whole past; something is said when the answer has changed."""
    past: dict[str, list[tuple[int, int, Trade]]] = {}
    clocks: dict[str, tuple[int, int, int]] = {}  # newest stamp of this connection, its lag, the watermark
    known: dict[tuple[str, str], list[tuple[int, int, Trade]]] = {}
    said: list[tuple[str, str, int, int, float | None, int]] = []

    def window(venue: str, symbol: str) -> list[tuple[int, int, Trade]]:
        mark = clocks[venue][2]
        inside = [
            each
            for each in sorted(past[venue], key=lambda each: each[:2])
            if each[2].symbol == symbol and (over is None or each[0] > mark - over)
        ]
        return inside if count is None else inside[-count:]

    def say(venue: str, now: int, last: str = "") -> None:
        symbols = sorted(
            {each[2].symbol for each in past[venue]}, key=lambda symbol: (symbol == last, symbol)
        )
        for symbol in symbols:
            inside = window(venue, symbol)
            if inside != known.get((venue, symbol), []):
                known[venue, symbol] = inside
                value = fold([each[2] for each in inside]) if inside else None
                said.append((venue, symbol, clocks[venue][2], now, value, len(inside)))

    for number, event in enumerate(events):
        now = event.ts_recv
        while over is not None:
            dues = [
                (each[0] + over + clocks[venue][1], venue)
                for (venue, _), inside in known.items()
                for each in inside[:1]
            ]
            if not dues or min(dues)[0] >= now:
                break
            due, venue = min(dues)
            newest, lag, mark = clocks[venue]
            clocks[venue] = newest, lag, max(mark, due - lag)
            say(venue, due)
        if isinstance(event, Status | Gap):
            lost = isinstance(event, Gap) and event.ts_end is None
            if (lost or getattr(event, "state", "") == "open") and event.venue in clocks:
                clocks[event.venue] = (-1, *clocks[event.venue][1:])
        elif not isinstance(event, Lost | Instrument):
            stamp = now if by_arrival else min(event.ts_event, now + SECOND)  # type: ignore[union-attr]
            venue = event.venue  # type: ignore[union-attr]
            newest, lag, mark = clocks.get(venue, (-1, 1 << 62, -1))
            mark = max(mark, now - 1 - lag)
            if stamp > newest:
                newest, lag, mark = stamp, now - stamp, max(mark, stamp)
            clocks[venue] = newest, lag, mark
            past.setdefault(venue, [])
            if isinstance(event, Trade):
                past[venue].append((stamp, number, event))
            say(venue, now, event.symbol if isinstance(event, Trade) else "")
    return said


OPTIONS = st.one_of(
    st.tuples(st.sampled_from([0.25, 1.0, 3.0, 30.0]), st.sampled_from([None, 1, 2, 5])),
    st.tuples(st.none(), st.integers(1, 5)),
)


@given(
    event_streams(venues=("x", "y"), max_size=60), OPTIONS, st.sampled_from(["event", "recv"]), st.booleans()
)
def test_it_says_what_a_question_to_the_whole_past_would_answer(
    events: list[Event], window: tuple[float | None, int | None], clock: Any, merged: bool
) -> None:
    over, count = window
    made: Lifted[Any, Rolled[float]]
    if merged:
        made = rolling(of=Trade, each=_price, merge=max, over=over, count=count, clock=clock)
    else:
        made = rolling(of=Trade, fold=middle, over=over, count=count, clock=clock)
    got = [
        (each.venue, each.symbol, each.ts_event, each.ts_recv, each.value, each.count)
        for each in run(made.kernel(), events)
    ]
    length = None if over is None else round(over * SECOND)
    assert got == naive(events, length, count, clock == "recv", _highest if merged else middle)


def _price(trade: Trade) -> float:
    return trade.price


def _highest(trades: Sequence[Trade]) -> float:
    return max(trade.price for trade in trades)


@given(event_streams(venues=("x", "y")), OPTIONS, st.booleans())
def test_it_is_held_to_the_laws(
    events: list[Event], window: tuple[float | None, int | None], merged: bool
) -> None:
    over, count = window
    made: Lifted[Any, Rolled[float]]
    if merged:  # a merge that tells how it was grouped
        made = rolling(
            of=Trade, each=_price, merge=lambda one, two: one / 3 + two / 7, over=over, count=count
        )
    else:
        made = rolling(of=Trade, fold=middle, over=over, count=count)
    resumes_anywhere(made, events)
    same_live_and_virtual(made, events)


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=50), st.integers(1, 10))
def test_a_sum_is_as_good_as_one_taken_anew(values: list[float], count: int) -> None:
    kernel = rolling(of=Trade, each=_price, merge=float.__add__, count=count).kernel()
    for at, price in enumerate(values):
        (made,) = kernel.push(trade(at, price))
        exact = sum(map(Fraction, values[max(0, at + 1 - count) : at + 1]))
        assert made.value is not None
        assert abs(Fraction(made.value) - exact) <= exact * count / 2**52


def test_marble_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, trade(210, 1.0)),
        ReactiveTest.on_next(225, trade(225, 2.0)),
        ReactiveTest.on_completed(300),
    )
    got = scheduler.start(lambda: source.pipe(rolling(of=Trade, fold=prices, over=20), ops.map(_value)))
    assert got.messages == [
        ReactiveTest.on_next(210, (1.0,)),
        ReactiveTest.on_next(225, (1.0, 2.0)),
        ReactiveTest.on_next(230, (2.0,)),
        ReactiveTest.on_next(245, None),
        ReactiveTest.on_completed(300),
    ]


def _value(rolled: Rolled[tuple[float, ...]]) -> tuple[float, ...] | None:
    return rolled.value


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, ValueError, "a window needs a length: over= seconds, count= items, or both"),
        ({"over": 0}, ValueError, "a window needs a positive length, not over=0"),
        ({"over": -1.0}, ValueError, "a window needs a positive length"),
        ({"count": 0}, ValueError, "count must be a whole number, 1 or more, not 0"),
        ({"count": 1.5}, ValueError, "count must be a whole number, 1 or more, not 1.5"),
        ({"over": 1, "tolerance": -1}, ValueError, "tolerance cannot be negative: -1"),
        ({"over": 1, "clock": "wall"}, ValueError, "'wall' is none of 'event', 'recv'"),
        ({"over": 1, "of": "Trade"}, TypeError, "of= wants a type, as in of=Trade, not 'Trade'"),
        ({"over": 1, "fold": None}, TypeError, "either fold= or each= and merge="),
        ({"over": 1, "merge": max}, TypeError, "either fold= or each= and merge="),
        ({"over": 1, "fold": None, "each": len}, TypeError, "either fold= or each= and merge="),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    chosen: dict[str, Any] = {"of": Trade, "fold": prices, **options}
    with pytest.raises(error, match=words):
        rolling(**chosen)
