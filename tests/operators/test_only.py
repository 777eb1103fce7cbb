"""only: the items of some types, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import reactivex
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.events import Event, Gap, Quote, Status, Trade
from rtflow.operators._only import only
from rtflow.scheduler import NanoScheduler

TRADE = Trade("A", 1, 1, 1.0, 1.0)
QUOTE = Quote("A", 2, 2, 1.0, 1.0, 2.0, 1.0)
GAP = Gap(1, None, 1, 3)
STATUS = Status("open", 4)
ALL: list[Event] = [TRADE, QUOTE, GAP, STATUS]


def test_one_type_passes() -> None:
    kernel = only(Trade).kernel()
    assert [each for event in ALL for each in kernel.push(event)] == [TRADE]


def test_several_types_pass_in_order() -> None:
    kernel = only(Status, Quote, Gap).kernel()
    assert [each for event in ALL for each in kernel.push(event)] == [QUOTE, GAP, STATUS]


def test_a_subclass_is_an_instance_too() -> None:
    assert tuple(only(int).kernel().push(True)) == (True,)


def test_no_type_is_refused() -> None:
    nothing: Any = only
    with pytest.raises(TypeError, match="at least one"):
        nothing()


@pytest.mark.parametrize("wrong", ["Trade", TRADE, Trade | Quote])
def test_what_is_no_type_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"only\(\) wants types, as in only\(Trade\), not "):
        only(wrong)


def test_marble_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, QUOTE), ReactiveTest.on_next(220, TRADE), ReactiveTest.on_completed(230)
    )
    got = scheduler.start(lambda: source.pipe(only(Trade)))
    assert got.messages == [ReactiveTest.on_next(220, TRADE), ReactiveTest.on_completed(230)]


def test_marble_under_the_nano_scheduler() -> None:
    scheduler = NanoScheduler()
    source: reactivex.Subject[Event] = reactivex.Subject()
    got: list[tuple[int, Gap]] = []
    source.pipe(only(Gap)).subscribe(lambda gap: got.append((scheduler.now_ns, gap)), scheduler=scheduler)
    for at, event in enumerate(ALL):
        scheduler.at(at + 1_000_000_001, lambda event=event: source.on_next(event))  # type: ignore[misc]
    scheduler.run()
    assert got == [(1_000_000_003, GAP)]
