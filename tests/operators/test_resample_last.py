"""resample_last: what was known at each moment, and how old it was."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.events import Event, Gap, Lost, Quote, Sample, Status, Trade
from rtflow.kernel import Kernel
from rtflow.operators import resample_last
from rtflow.time import SECOND
from tests.laws import event_streams, resumes_anywhere, run, same_live_and_virtual


def trade(at: float, price: float = 1.0, symbol: str = "A", *, venue: str = "v") -> Trade:
    return Trade(symbol, 0, round(at * SECOND), price, 1.0, venue=venue)


def said(
    kernel: Kernel[Any, Sample[Trade]], *items: Event, until: float = 0
) -> list[tuple[float, str, float, float, int, bool]]:
    """When, whose, the price, its age in seconds, how many are fresh, gap."""
    made: list[Sample[Trade]] = []
    for item in items:
        made += waited(kernel, item.ts_recv - 1)
        made += kernel.push(item)
    made += waited(kernel, round(until * SECOND))
    return [
        (each.ts_recv / SECOND, each.symbol, each.item.price, each.age / SECOND, each.fresh, each.gap)
        for each in made
    ]


def waited(kernel: Kernel[Any, Sample[Trade]], until: int) -> Iterable[Sample[Trade]]:
    while (due := kernel.due()) is not None and due <= until:
        yield from kernel.wake(due)


def test_all_that_is_said_of_a_sample() -> None:
    kernel = resample_last(10, of=Trade).kernel()
    last = trade(7, 2.0)
    assert (*kernel.push(trade(3)), *kernel.push(last)) == ()
    assert kernel.wake(10 * SECOND) == (
        Sample("A", 10 * SECOND, last, age=3 * SECOND, fresh=2, venue="v", gap=False),
    )


def test_the_same_one_again_is_older_and_not_fresh() -> None:
    kernel = resample_last(10, of=Trade).kernel()
    assert said(kernel, trade(4, 1.0), trade(25, 2.0), until=40) == [
        (10, "A", 1.0, 6, 1, False),
        (20, "A", 1.0, 16, 0, False),
        (30, "A", 2.0, 5, 1, False),
        (40, "A", 2.0, 15, 0, False),
    ]


def test_what_comes_at_the_very_moment_belongs_to_the_next() -> None:
    kernel = resample_last(timedelta(seconds=10), of=Trade, origin=3 * SECOND).kernel()
    assert said(kernel, trade(4, 1.0), trade(13, 2.0), until=23) == [
        (13, "A", 1.0, 9, 1, False),
        (23, "A", 2.0, 10, 1, False),
    ]


def test_each_venue_and_symbol_has_its_own_in_order() -> None:
    kernel = resample_last(10, of=Trade).kernel()
    for item in (trade(1, venue="w"), trade(2, symbol="B"), trade(3)):
        assert kernel.push(item) == ()
    made = kernel.wake(10 * SECOND)
    assert [(each.venue, each.symbol) for each in made] == [("v", "A"), ("v", "B"), ("w", "A")]


def test_other_items_only_tell_the_time() -> None:
    kernel = resample_last(10, of=Trade).kernel()
    quote = Quote("A", 0, 25 * SECOND, 1.0, 1.0, 2.0, 1.0, venue="v")
    assert kernel.push(quote) == ()
    assert kernel.due() is None
    assert [each.ts_recv // SECOND for item in (trade(26), trade(45)) for each in kernel.push(item)] == [
        30,
        40,
    ]


def gap(at: float, end: float | None, *symbols: str, kind: str = "", venue: str = "v") -> Gap:
    last = None if end is None else round(end * SECOND)
    return Gap(0, last, 1, round(at * SECOND), venue=venue, symbols=symbols, kind=kind)


@pytest.mark.parametrize(
    ("hole", "marked"),
    [
        (gap(5, None), ["A", "B"]),
        (gap(5, 5), ["A", "B"]),
        (gap(5, 5, "B"), ["B"]),
        (gap(5, 5, kind="trades"), ["A", "B"]),
        (gap(5, 5, kind="books"), []),
        (gap(5, 5, venue="w"), []),
        (Lost("", "Trade", 1, 1, 1, "ring", 5 * SECOND), ["A", "B"]),
        (Lost("A", "Trade", 1, 1, 1, "ring", 5 * SECOND), ["A"]),
    ],
)
def test_a_hole_marks_what_it_may_have_made_old_until_a_new_one_comes(hole: Event, marked: list[str]) -> None:
    kernel = resample_last(10, of=Trade).kernel()
    made = said(kernel, trade(1), trade(1, symbol="B"), hole, trade(15), trade(15, symbol="B"), until=20)
    assert [each[1] for each in made if each[5]] == marked
    assert {each[0] for each in made if each[5]} <= {10}


def test_of_a_type_whose_kind_nobody_knows_every_gap_is_one() -> None:
    kernel = resample_last(10, of=Lost).kernel()
    _ = kernel.push(Lost("A", "Trade", 1, 1, 1, "ring", SECOND))
    _ = kernel.push(gap(5, 5, kind="books", venue=""))
    _ = kernel.push(Status("subscribed", 6 * SECOND, symbol="A"))
    assert [each.gap for each in kernel.wake(10 * SECOND)] == [True]
    _ = kernel.push(Status("unsubscribed", 16 * SECOND, symbol="A", kind="anything"))
    assert kernel.due() is None


def test_an_unsubscribed_symbol_is_told_of_no_more() -> None:
    kernel = resample_last(10, of=Trade).kernel()
    quotes, trades = (Status("unsubscribed", 2 * SECOND, "", "A", each, venue="v") for each in ("quotes", ""))
    assert said(kernel, trade(1), trade(1, symbol="B"), quotes, until=10) == [
        (10, "A", 1.0, 9, 1, False),
        (10, "B", 1.0, 9, 1, False),
    ]
    assert said(kernel, trades, until=20) == [(20, "B", 1.0, 19, 0, False)]


def test_nothing_is_said_of_a_moment_that_did_not_come() -> None:
    assert run(resample_last(10, of=Trade).kernel(), [trade(1), trade(9)]) == []


@given(event_streams(venues=("x", "y")), st.sampled_from([0.25, 1.0, 7.0]))
def test_it_is_held_to_the_laws(events: list[Event], every: float) -> None:
    resumes_anywhere(resample_last(every, of=Trade), events)
    same_live_and_virtual(resample_last(every, of=Trade), events)


@given(event_streams(), st.sampled_from([0.5, 1.0, 7.0]))
def test_it_is_what_a_look_at_each_moment_would_find(events: list[Event], every: float) -> None:
    step = round(every * SECOND)
    expected: list[tuple[int, str, Trade, int]] = []
    trades = [each for each in events if isinstance(each, Trade)]
    if trades:
        first = trades[0].ts_recv // step * step + step
        for moment in range(first, events[-1].ts_recv + 1, step):
            for symbol in "A", "B":
                before = [each for each in trades if each.symbol == symbol and each.ts_recv < moment]
                if before:
                    fresh = [each for each in before if each.ts_recv >= moment - step]
                    expected.append((moment, symbol, before[-1], len(fresh)))
    made = run(resample_last(every, of=Trade).kernel(), events)
    assert [(each.ts_recv, each.symbol, each.item, each.fresh) for each in made] == expected
    assert all(each.age == each.ts_recv - each.item.ts_recv for each in made)


def test_marble_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, trade(210)), ReactiveTest.on_completed(245)
    )
    got = scheduler.start(lambda: source.pipe(resample_last(20, of=Trade), ops.map(_age)))
    assert got.messages == [
        ReactiveTest.on_next(220, 10),
        ReactiveTest.on_next(240, 30),
        ReactiveTest.on_completed(245),
    ]


def _age(sample: Sample[Trade]) -> int:
    return sample.age // SECOND


@pytest.mark.parametrize(
    ("every", "of", "error", "words"),
    [
        (0, Trade, ValueError, "a grid needs a positive length, not every=0"),
        (-1.0, Trade, ValueError, "a grid needs a positive length"),
        (1, "Trade", TypeError, "of= wants a type, as in of=Trade, not 'Trade'"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    every: float, of: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        resample_last(every, of=of)
