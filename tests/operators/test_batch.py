"""batch and rows: many events as one item and back, in order, on time, and nothing lost."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Subject

from rtflow import operators as op
from rtflow.columns import DTYPES, Columns
from rtflow.events import Event, Gap, OrderBookUpdate, Quote, Trade, TradeCancel
from rtflow.kernel import Operator
from rtflow.scheduler import NanoScheduler
from rtflow.testing import marble
from rtflow.time import SECOND
from tests.laws import BEGIN, TICK, event_streams, resumes_anywhere, run, same_live_and_virtual

T1, T2, T3, T4 = (Trade("A", second, second * SECOND, 10.0, 1.0) for second in (1, 2, 3, 4))
QUOTE = Quote("A", 2, 2 * SECOND, 1.0, 1.0, 2.0, 1.0)
GAP = Gap(2, None, 1, 2 * SECOND)
BOOK = OrderBookUpdate("A", 2, 2 * SECOND, ((1.0, 1.0),), ())


def whole(made: list[Any]) -> list[Any]:
    """Batches as lists, to look into."""
    return [list(each) if isinstance(each, Columns) else each for each in made]


def test_a_batch_leaves_when_it_is_full_and_the_rest_when_the_source_completes() -> None:
    assert whole(run(op.batch(count=2).kernel(), [T1, T2, T3])) == [[T1, T2], [T3]]


@pytest.mark.parametrize("other", [GAP, BOOK, Columns.of([QUOTE, QUOTE])])
def test_what_has_no_columns_overtakes_nothing(other: Any) -> None:
    kernel = op.batch().kernel()
    made = [each for item in (T1, T2, other, T3) for each in kernel.push(item)]
    assert whole([*made, *kernel.flush()]) == whole([Columns.of([T1, T2]), other, Columns.of([T3])])


def test_an_event_of_another_type_begins_a_batch_of_its_own() -> None:
    assert whole(run(op.batch().kernel(), [T1, QUOTE, QUOTE, T2])) == [[T1], [QUOTE, QUOTE], [T2]]


def test_a_batch_leaves_on_time_though_nothing_comes() -> None:
    made = marble("t-t--------t--------|", {"t": T1}, every=1).through(op.batch(every=5))
    assert [(at // SECOND, len(batch)) for at, batch in made.items] == [(5, 2), (14, 1)]


def test_what_comes_at_the_very_moment_is_still_in_it() -> None:
    late = msgspec.structs.replace(T1, ts_recv=T1.ts_recv + 5 * SECOND)
    kernel = op.batch(every=5).kernel()
    assert kernel.push(T1) == ()
    assert kernel.due() == T1.ts_recv + 5 * SECOND
    assert kernel.push(late) == ()
    later = msgspec.structs.replace(late, ts_recv=late.ts_recv + 1)
    assert whole([*kernel.push(later)]) == [[T1, late]]
    assert kernel.due() == later.ts_recv + 5 * SECOND
    assert whole([*kernel.wake(later.ts_recv + 5 * SECOND)]) == [[later]]
    assert kernel.due() is None


def test_a_full_batch_waits_for_no_time() -> None:
    kernel = op.batch(count=1, every=5).kernel()
    assert whole([*kernel.push(T1)]) == [[T1]]
    assert kernel.due() is None


def test_rows_are_the_single_events_again() -> None:
    items = [Columns.of([T1, T2]), GAP, T3, Columns.of([QUOTE])]
    assert run(op.rows().kernel(), items) == [T1, T2, GAP, T3, QUOTE]


@pytest.mark.parametrize(
    ("options", "error", "complaint"),
    [
        ({"count": 0}, ValueError, "at least one event"),
        ({"count": 2.5}, TypeError, "whole number"),
        ({"every": 0}, ValueError, "positive time"),
        ({"every": "1s"}, TypeError, "seconds or a timedelta"),
    ],
)
def test_an_option_that_is_wrong_is_named(
    options: dict[str, Any], error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        op.batch(**options)


SIZES = st.sampled_from((1, 2, 3, 100))
WAITS = st.sampled_from((None, 0.25, 1.0, 3.0))


@given(event_streams(), SIZES, WAITS)
def test_nothing_is_lost_and_nothing_overtakes(events: list[Event], count: int, every: float | None) -> None:
    made = run(op.batch(count=count, every=every).kernel(), events)
    assert run(op.rows().kernel(), made) == events
    assert not any(type(each) in DTYPES for each in made)
    for batch in (each for each in made if isinstance(each, Columns)):
        assert 0 < len(batch) <= count
        assert every is None or batch["ts_recv"][-1] - batch["ts_recv"][0] <= every * SECOND


@settings(max_examples=60, deadline=None)
@given(event_streams(), SIZES, WAITS)
def test_it_resumes_anywhere_and_live_and_virtual_runs_agree(
    events: list[Event], count: int, every: float | None
) -> None:
    resumes_anywhere(op.batch(count=count, every=every), events)
    same_live_and_virtual(op.batch(count=count, every=every), events)


# -- operators that do not take batches ------------------------------------------------------------------

BATCH = Columns.of([T1, T2])


@pytest.mark.parametrize(
    "operator",
    [
        op.anomalies(),
        op.by_symbol(op.dedupe()),
        op.consolidate(),
        op.dedupe(),
        op.detect_gaps(),
        op.resample_last(1, of=Trade),
        op.spread_stats(every=1),
        op.vwap(over=60),
    ],
    ids=lambda operator: operator.kernel().__class__.__name__,
)
def test_who_takes_single_events_says_so(operator: Any) -> None:
    with pytest.raises(TypeError, match=r"put op.rows\(\) before it"):
        list(operator.kernel().push(BATCH))


def test_the_error_ends_the_stream_and_says_what_to_do() -> None:
    made = marble("b", {"b": lambda _: BATCH}).through(op.vwap(over=60))
    assert made.end == "#"
    assert "op.rows()" in str(made.error)


def test_only_looks_into_a_batch() -> None:
    for kind, passes in ((Trade, True), (Columns, True), (Quote, False), (TradeCancel, False)):
        assert [*op.only(kind).kernel().push(BATCH)] == ([BATCH] if passes else [])


def test_batches_and_rows_go_in_one_pipe() -> None:
    timed = marble("t-t-t|", {"t": T1}).through(lambda source: source.pipe(op.batch(count=2), op.rows()))
    assert [each.price for _, each in timed.items] == [10.0, 10.0, 10.0]


def on_time(operator: Operator[Event, Any], trades: Iterable[Trade]) -> list[Any]:
    """What comes of trades that arrive at their time, of this scheduler, whose timers run in between."""
    scheduler, source, made = NanoScheduler(), Subject[Event](), list[Any]()
    source.pipe(operator).subscribe(made.append, scheduler=scheduler)
    for trade in trades:
        scheduler.advance_to(trade.ts_recv, inclusive=False)
        source.on_next(trade)
    source.on_completed()
    return made


@given(
    st.lists(st.tuples(st.integers(0, 3 * TICK), st.sampled_from("AB")), min_size=20, max_size=40),
    st.sampled_from((0.3, 1.0, 2.0)),
    st.sampled_from((3, 1000)),
)
def test_bars_whose_grace_is_as_long_as_a_batch_waits_miss_nothing(
    steps: list[tuple[int, str]], every: float, count: int
) -> None:
    stamps = accumulate((step for step, _ in steps), initial=BEGIN)
    trades = [Trade(name, at, at + 7, 1.0, 1.0) for at, (_, name) in zip(stamps, steps, strict=False)]
    bars, batches = op.window_to_bar(1, grace=every), op.batch(count=count, every=every)
    assert on_time(lambda source: source.pipe(batches, bars), trades) == on_time(bars, trades)
