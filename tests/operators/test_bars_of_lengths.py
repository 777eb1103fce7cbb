"""Bars of several lengths: each as window_to_bar makes it, and a change cuts nothing off."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings

from rtflow.events import Bar, Event, Trade
from rtflow.operators._bars_of_lengths import Lengths, bars_of_lengths
from rtflow.operators._window_to_bar import window_to_bar
from rtflow.time import SECOND
from tests.laws import event_streams, resumes_anywhere, run, same_live_and_virtual

BOTH = Lengths(2 * SECOND, {"B": 1 * SECOND})
ONE = Lengths(2 * SECOND)


def trade(second: float, symbol: str = "A", *, recv: float | None = None) -> Trade:
    arrived = second if recv is None else recv
    return Trade(symbol, round(second * SECOND), round(arrived * SECOND), 1.0, 1.0)


def spans(bars: Any) -> list[tuple[str, int, int, int]]:
    return [(bar.symbol, bar.start // SECOND, bar.end // SECOND, bar.count) for bar in bars]


@settings(max_examples=50)
@given(event_streams())
def test_they_resume_anywhere_and_are_the_same_live(events: list[Event]) -> None:
    for lengths in (ONE, BOTH):
        resumes_anywhere(bars_of_lengths(lambda told=lengths: told), events)  # type: ignore[misc]
        same_live_and_virtual(bars_of_lengths(lambda told=lengths: told), events)  # type: ignore[misc]


@settings(max_examples=50)
@given(event_streams())
def test_each_symbols_bars_are_those_of_window_to_bar(events: list[Event]) -> None:
    long, short = (run(window_to_bar(every).kernel(), events) for every in (2, 1))
    expected = [each for each in long if each.symbol != "B"], [each for each in short if each.symbol == "B"]
    made = run(bars_of_lengths(lambda: BOTH).kernel(), events)
    assert [each for each in made if each.symbol != "B"] == expected[0]
    assert [each for each in made if each.symbol == "B"] == expected[1]
    assert run(bars_of_lengths(lambda: ONE).kernel(), events) == long


class Told:
    """Lengths that a test changes."""

    def __init__(self, **seconds: int) -> None:
        self.kernel = None
        self.say(**seconds)

    def say(self, every: int = 60, **own: int) -> None:
        self.now = Lengths(every * SECOND, {symbol: each * SECOND for symbol, each in own.items()})

    def __call__(self) -> Lengths:
        return self.now


def test_a_change_finishes_the_bar_that_is_forming_and_begins_with_the_next_stretch() -> None:
    told = Told(every=60)
    kernel = bars_of_lengths(told).kernel()
    made: list[Bar] = list(kernel.push(trade(5)))
    told.say(every=10)
    for second in (12, 25, 31, 62, 75, 140):
        made += kernel.push(trade(second))
    assert spans(made) == [
        ("A", 20, 30, 1),
        ("A", 30, 40, 1),
        ("A", 0, 60, 4),  # the rest of the minute that had begun
        ("A", 60, 70, 1),
        ("A", 70, 80, 1),
    ]
    assert len(kernel._kernels) == 1, "what no bar needs any more is gone"  # type: ignore[attr-defined]


def test_one_symbol_changes_and_its_neighbour_does_not() -> None:
    told = Told(every=60)
    kernel = bars_of_lengths(told).kernel()
    list(kernel.push(trade(1)))
    told.say(every=60, B=10)
    made: list[Bar] = []
    for second in (2, 11, 21, 31, 61):
        made += [*kernel.push(trade(second)), *kernel.push(trade(second, "B"))]
    assert sorted(spans(made)) == [
        ("A", 0, 60, 5),
        ("B", 0, 60, 4),
        ("B", 10, 20, 1),
        ("B", 20, 30, 1),
        ("B", 30, 40, 1),
    ]


def test_several_changes_at_once_leave_the_last_one_in_force() -> None:
    told = Told(every=60)
    kernel = bars_of_lengths(told).kernel()
    made = list(kernel.push(trade(1)))
    for every in (30, 5):
        told.say(every=every)
        made += kernel.push(trade(20))
    made += [*kernel.push(trade(26)), *kernel.push(trade(61))]
    assert spans(made) == [("A", 25, 30, 1), ("A", 0, 60, 4)]


def test_a_stamp_from_the_future_does_not_put_the_change_off() -> None:
    told = Told(every=60)
    kernel = bars_of_lengths(told).kernel()
    list(kernel.push(trade(1)))
    told.say(every=10)
    made = [*kernel.push(trade(5000, recv=3)), *kernel.push(trade(12)), *kernel.push(trade(21))]
    assert ("A", 10, 20, 1) in spans(made)


def test_time_closes_them_too_and_what_is_left_is_flushed() -> None:
    told = Told(every=60, B=10)
    kernel = bars_of_lengths(told).kernel()
    assert kernel.due() is None
    for symbol in "AB":
        list(kernel.push(trade(1, symbol)))
    assert kernel.due() == 10 * SECOND
    assert spans(kernel.wake(10 * SECOND)) == [("B", 0, 10, 1)]
    assert kernel.due() == 60 * SECOND
    assert spans(kernel.flush()) == [("A", 0, 60, 1)]


def test_a_kernel_that_was_restored_under_another_order_follows_it_with_the_next_trade() -> None:
    told = Told(every=60)
    before = bars_of_lengths(told).kernel()
    list(before.push(trade(1)))
    told.say(every=10)
    after = bars_of_lengths(told).kernel()
    after.restore(before.state())
    made = [each for second in (2, 11, 21, 61) for each in after.push(trade(second))]
    assert sorted(spans(made)) == [("A", 0, 60, 4), ("A", 10, 20, 1), ("A", 20, 30, 1)]
