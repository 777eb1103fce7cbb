"""by_symbol: one kernel per symbol, one timer for all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.events import Event, Frame, FrameKind, Gap, Malformed, Status, Trade
from rtflow.kernel import Kernel, lift
from rtflow.operators._by_symbol import by_symbol
from rtflow.scheduler import NanoScheduler


class Numbered(Kernel[Event, str]):
    """Says of each item its number among its kernel's, and at the end how many there were."""

    def __init__(self) -> None:
        self.symbol = ""
        self.count = 0

    def push(self, item: Event) -> Iterator[str]:
        self.symbol = self.symbol or getattr(item, "symbol", "")
        self.count += 1
        yield f"{self.symbol}{self.count}"

    def flush(self) -> Iterable[str]:
        return (f"{self.symbol}:{self.count}",)

    def state(self) -> object:
        return {"symbol": self.symbol, "count": self.count}

    def restore(self, state: Any) -> None:
        self.symbol, self.count = state["symbol"], state["count"]


class Echo(Kernel[Event, str]):
    """Says each trade's symbol again ``price`` ns after it came, the earliest first; a Gap forgets them."""

    def __init__(self) -> None:
        self.symbol = ""
        self.dues: list[int] = []

    def push(self, item: Event) -> Iterator[str]:
        if isinstance(item, Trade):
            self.symbol = item.symbol
            self.dues = sorted([*self.dues, item.ts_recv + int(item.price)])
        else:
            self.dues = []
        yield from ()

    def due(self) -> int | None:
        return self.dues[0] if self.dues else None

    def wake(self, now: int) -> Iterator[str]:
        due = self.dues.pop(0)
        yield f"{self.symbol}@{now}" + (f"({due})" if due != now else "")

    def state(self) -> object:
        return {"symbol": self.symbol, "dues": self.dues}

    def restore(self, state: Any) -> None:
        self.symbol, self.dues = state["symbol"], list(state["dues"])


def trade(symbol: str, ts: int = 0, price: float = 0.0) -> Trade:
    return Trade(symbol, ts, ts, price, 1.0)


GAP = Gap(0, None, 1, 0)


def numbered(*events: Event) -> list[str]:
    kernel = by_symbol(lift(Numbered)).kernel()
    return [made for event in events for made in kernel.push(event)] + list(kernel.flush())


def test_each_symbol_has_a_kernel_of_its_own() -> None:
    assert numbered(trade("B"), trade("A"), trade("B")) == ["B1", "A1", "B2", "B:2", "A:1"]


def test_what_concerns_no_one_symbol_goes_to_every_kernel_in_order_of_appearance() -> None:
    assert numbered(GAP, trade("B"), trade("A"), GAP, Status("venue", 0))[2:] == [
        "B2",
        "A2",
        "B3",
        "A3",
        "B:3",
        "A:3",
    ]


def test_an_item_that_has_no_symbol_at_all_goes_to_every_kernel() -> None:
    malformed = Malformed(Frame(FrameKind.TEXT, b"", 0), "", 0)
    assert numbered(trade("B"), trade("A"), malformed)[2:4] == ["B2", "A2"]


def test_every_kernel_is_given_the_very_item() -> None:
    class Same(Kernel[Event, Event]):
        def push(self, item: Event) -> Iterable[Event]:
            return (item,)

    kernel = by_symbol(lift(Same)).kernel()
    events = (trade("B"), trade("A"), GAP)
    assert [made for event in events for made in kernel.push(event)] == [*events, GAP]


def test_a_gap_that_names_its_symbols_goes_to_theirs_alone() -> None:
    named = Gap(0, None, 1, 0, symbols=("A", "C"))
    assert numbered(trade("B"), trade("A"), named) == ["B1", "A1", "A2", "B:1", "A:2"]


def test_a_symbols_status_goes_to_its_kernel() -> None:
    assert numbered(trade("B"), trade("A"), Status("rejected", 0, symbol="A"))[2:] == ["A2", "B:1", "A:2"]


def test_an_operator_without_timers_has_none_by_symbol() -> None:
    assert type(by_symbol(lift(Numbered)).kernel()).due is Kernel[Any, Any].due


def test_due_is_the_earliest_of_all() -> None:
    kernel = by_symbol(lift(Echo)).kernel()
    assert kernel.due() is None
    for event, due in (
        (trade("A", 0, 50), 50),
        (trade("B", 1, 29), 30),
        (trade("C", 2, 38), 30),
        (Gap(0, None, 1, 3, symbols=("B",)), 40),
        (trade("B", 4, 6), 10),
    ):
        assert not tuple(kernel.push(event))
        assert kernel.due() == due
    tuple(kernel.push(GAP))
    assert kernel.due() is None


def test_those_due_are_woken_in_due_order_and_once_each() -> None:
    kernel = by_symbol(lift(Echo)).kernel()
    for event in (
        trade("A", 0, 30),
        trade("B", 0, 10),
        trade("B", 0, 20),
        trade("C", 0, 30),
        trade("D", 0, 31),
    ):
        tuple(kernel.push(event))
    assert list(kernel.wake(30)) == ["B@30(10)", "A@30", "C@30"]
    assert kernel.due() == 20
    assert list(kernel.wake(30)) == ["B@30(20)"]
    assert kernel.due() == 31


def test_at_one_time_the_symbols_wake_in_order_of_appearance() -> None:
    kernel = by_symbol(lift(Echo)).kernel()
    for event in (trade("B", 0, 99), trade("A", 0, 30), trade("B", 0, 30)):
        tuple(kernel.push(event))
    assert list(kernel.wake(30)) == ["B@30", "A@30"]


def test_a_due_time_that_moves_with_every_item_does_not_fill_memory() -> None:
    kernel = by_symbol(lift(Echo)).kernel()
    for at in range(2000):
        tuple(kernel.push(GAP))
        tuple(kernel.push(trade("AB"[at % 2], at, 1_000_000)))
    heap: list[Any] = vars(kernel)["_heap"]
    assert len(heap) < 100
    assert kernel.due() == 1_001_999


def test_a_due_time_that_stays_is_noted_once() -> None:
    kernel = by_symbol(lift(Echo)).kernel()
    for at in range(10):
        tuple(kernel.push(trade("A", at, 100)))  # the first stays the earliest
    assert len(vars(kernel)["_heap"]) == 1


def test_what_is_forgotten_of_due_times_that_moved_is_not_their_order() -> None:
    kernel = by_symbol(lift(Echo)).kernel()
    latest = {symbol: 900 - 31 * at for at, symbol in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ")}
    for after in (2000, 1000, 0):  # due times that only come nearer leave the old ones behind
        for symbol, when in latest.items():
            tuple(kernel.push(Gap(0, None, 1, 0, symbols=(symbol,))))
            tuple(kernel.push(trade(symbol, 0, when + after)))
    woken: list[str] = []
    while (due := kernel.due()) is not None:
        woken += kernel.wake(due)
    assert woken == [f"{symbol}@{when}" for symbol, when in sorted(latest.items(), key=lambda each: each[1])]


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("ABC"), st.integers(1, 9)).map(lambda each: trade(each[0], 0, each[1])),
        st.just(GAP),
        st.integers(1, 5),  # let so much time pass
    ),
    max_size=30,
)


def steps_of(kernel: Kernel[Event, str], some: list[Trade | Gap | int], now: int) -> tuple[list[str], int]:
    made: list[str] = []
    for step in some:
        if isinstance(step, int):
            while (due := kernel.due()) is not None and due <= now + step:
                made += kernel.wake(due)
            now += step
        else:
            made += kernel.push(msgspec.structs.replace(step, ts_recv=now))
    return made, now


def test_a_restored_kernel_wakes_symbols_in_the_order_they_first_came_though_none_was_due() -> None:
    whole, resumed = by_symbol(lift(Echo)).kernel(), by_symbol(lift(Echo)).kernel()
    tuple(whole.push(trade("B", 0, 1)))
    tuple(whole.wake(1))  # nothing is due any more
    resumed.restore(msgspec.json.decode(msgspec.json.encode(whole.state())))
    for kernel in (whole, resumed):
        for symbol in ("A", "B"):
            tuple(kernel.push(trade(symbol, 1, 1)))
    assert tuple(resumed.wake(2)) == tuple(whole.wake(2)) != ()


@settings(max_examples=150, deadline=None)
@given(steps, st.data())
def test_cut_anywhere_and_resumed_it_makes_the_same(
    some: list[Trade | Gap | int], data: st.DataObject
) -> None:
    whole = by_symbol(lift(Echo)).kernel()
    cut = data.draw(st.integers(0, len(some)))
    _, now = steps_of(whole, some[:cut], 0)
    resumed = by_symbol(lift(Echo)).kernel()
    resumed.restore(msgspec.json.decode(msgspec.json.encode(whole.state())))
    assert resumed.due() == whole.due()
    assert steps_of(resumed, some[cut:], now) == steps_of(whole, some[cut:], now)


@settings(max_examples=100, deadline=None)
@given(steps)
def test_it_makes_what_each_symbol_alone_would_have_made(some: list[Trade | Gap | int]) -> None:
    together, _ = steps_of(by_symbol(lift(Echo)).kernel(), some, 0)
    for symbol in "ABC":
        own = [step for step in some if not isinstance(step, Trade) or step.symbol == symbol]
        alone, _ = steps_of(Echo(), own, 0)
        assert [said for said in together if said.startswith(symbol)] == alone


def test_marble_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, trade("A")),
        ReactiveTest.on_next(220, trade("B")),
        ReactiveTest.on_next(230, trade("A")),
        ReactiveTest.on_completed(240),
    )
    got = scheduler.start(lambda: source.pipe(by_symbol(lift(Numbered))))
    assert got.messages == [
        ReactiveTest.on_next(210, "A1"),
        ReactiveTest.on_next(220, "B1"),
        ReactiveTest.on_next(230, "A2"),
        ReactiveTest.on_next(240, "A:2"),
        ReactiveTest.on_next(240, "B:1"),
        ReactiveTest.on_completed(240),
    ]


def test_marble_with_timers_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    second = 1_000_000_000
    source = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, trade("A", 210 * second, 30 * second)),
        ReactiveTest.on_next(220, trade("B", 220 * second, 10 * second)),
    )
    got = scheduler.start(lambda: source.pipe(by_symbol(lift(Echo))))
    assert [message.time for message in got.messages] == [230, 240]


def test_marble_with_timers_under_the_nano_scheduler() -> None:
    scheduler = NanoScheduler()
    source: reactivex.Subject[Event] = reactivex.Subject()
    got: list[tuple[int, str]] = []
    source.pipe(by_symbol(lift(Echo))).subscribe(
        lambda made: got.append((scheduler.now_ns, made)), scheduler=scheduler
    )
    for event in (trade("A", 10, 37), trade("B", 20, 13), trade("C", 21, 26)):
        scheduler.at(event.ts_recv, lambda event=event: source.on_next(event))  # type: ignore[misc]
    scheduler.run()
    assert got == [(33, "B@33"), (47, "A@47"), (47, "C@47")]


@pytest.mark.parametrize("operator", [lambda source: source, 5, Kernel])
def test_what_was_not_lifted_has_no_kernel_to_give(operator: Any) -> None:
    with pytest.raises(
        TypeError, match=r"by_symbol\(\) takes an operator made by lift\(\), as only\(Trade\)"
    ):
        by_symbol(operator)
