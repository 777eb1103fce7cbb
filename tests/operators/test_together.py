"""together: what several operators make of one stream is what each alone would have made."""

from __future__ import annotations

from typing import Any

import pytest
import reactivex
from hypothesis import given, settings
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow import operators as op
from rtflow.events import Bar, Event, Gap, Quote, Trade
from rtflow.kernel import Kernel, Lifted, lift
from rtflow.operators._together import together
from tests.laws import event_streams, resumes_anywhere, run, same_live_and_virtual

THREE: Lifted[Any, Any] = together(op.only(Trade, Gap), op.window_to_bar(1), op.vwap(over=5))
UNTIMED: Lifted[Any, Any] = together(op.only(Trade), op.only(Quote))


@settings(max_examples=50)
@given(event_streams())
def test_it_resumes_anywhere_and_is_the_same_live(events: list[Event]) -> None:
    for made in (THREE, UNTIMED):
        resumes_anywhere(made, events)
        same_live_and_virtual(made, events)


@settings(max_examples=50)
@given(event_streams())
def test_each_operator_makes_what_it_makes_alone(events: list[Event]) -> None:
    made = run(together(op.only(Trade), op.window_to_bar(1)).kernel(), events)
    assert [each for each in made if isinstance(each, Bar)] == run(op.window_to_bar(1).kernel(), events)
    assert [each for each in made if not isinstance(each, Bar)] == run(op.only(Trade).kernel(), events)


class Named(Kernel[str, str]):
    """Says who it is, by push, by timer and at the end."""

    def __init__(self, name: str, due: int | None) -> None:
        self.name, self.at = name, due

    def push(self, item: str) -> tuple[str, ...]:
        return (self.name + item,)

    def flush(self) -> tuple[str, ...]:
        return (self.name + "|",)

    def due(self) -> int | None:
        return self.at

    def wake(self, now: int) -> tuple[str, ...]:
        self.at = None
        return (f"{self.name}@{now}",)


def test_what_is_made_at_one_moment_comes_in_the_order_of_the_operators() -> None:
    a, b, c = Named("a", 7), Named("b", 5), Named("c", 5)
    kernel = together(lift(lambda: a), lift(lambda: b), lift(lambda: c)).kernel()
    assert kernel.push("x") == ("ax", "bx", "cx")
    assert kernel.due() == 5
    assert list(kernel.wake(5)) == ["b@5", "c@5"]
    assert kernel.due() == 7
    assert list(kernel.wake(7)) == ["a@7"]
    assert kernel.due() is None
    assert list(kernel.flush()) == ["a|", "b|", "c|"]


def test_a_chain_without_timers_pays_for_none() -> None:
    assert type(UNTIMED.kernel()).due is Kernel[Any, Any].due


def test_marble_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    source: Any = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, 1), ReactiveTest.on_next(220, "two"), ReactiveTest.on_completed(230)
    )
    got = scheduler.start(lambda: source.pipe(together(op.only(str), op.only(object))))
    assert got.messages == [
        ReactiveTest.on_next(210, 1),
        ReactiveTest.on_next(220, "two"),
        ReactiveTest.on_next(220, "two"),
        ReactiveTest.on_completed(230),
    ]


@pytest.mark.parametrize("wrong", [lambda source: source, 5])
def test_what_was_not_lifted_is_refused_at_once(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"together\(\) takes operators made by lift\(\)"):
        together(op.only(Trade), wrong)


def test_a_kernel_that_raises_ends_the_stream() -> None:
    def broken() -> Kernel[Any, Any]:
        return Kernel()  # its push is not written

    errors: list[Exception] = []
    reactivex.of(1).pipe(together(op.only(int), lift(broken))).subscribe(print, errors.append)
    assert [type(each) for each in errors] == [NotImplementedError]
