"""dedupe: what has come once does not come again, and what has no name passes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.counters import Counters
from rtflow.events import Event, Gap, Quote, Trade, TradeCancel, TradeCorrection
from rtflow.kernel import Kernel
from rtflow.operators._dedupe import dedupe
from tests.laws import event_streams, resumes_anywhere, same_live_and_virtual

QUOTE = Quote("A", 1, 1, 1.0, 1.0, 2.0, 1.0)


def trade(number: str, symbol: str = "A", **other: Any) -> Trade:
    return Trade(symbol, 1, 1, 1.0, 1.0, id=number, **other)


def passed(kernel: Kernel[Event, Event], *events: Event) -> list[Event]:
    return [each for event in events for each in kernel.push(event)]


def test_a_trade_passes_once() -> None:
    counters = Counters()
    first, other = trade("1"), trade("2")
    assert passed(dedupe(counters=counters).kernel(), first, other, first, other, first) == [first, other]
    assert counters == {"duplicate": 3}


def test_an_id_is_of_its_venue_its_exchange_its_symbol_and_its_type() -> None:
    apart: list[Event] = [
        trade("1"),
        trade("1", venue="v"),
        trade("1", exchange="V"),
        trade("1", symbol="B"),
        TradeCancel("A", 1, 1, "1", 1.0, 1.0),
        TradeCorrection("A", 1, 1, "0", 1.0, 1.0, "1", 1.0, 1.0),
    ]
    kernel = dedupe().kernel()
    assert passed(kernel, *apart) == apart
    assert passed(kernel, *apart) == []


def test_what_has_no_id_passes_each_time() -> None:
    events: list[Event] = [trade(""), trade(""), QUOTE, QUOTE, Gap(1, 2, 1, 2)]
    assert passed(dedupe().kernel(), *events) == events


def test_any_text_can_be_the_key() -> None:
    by_stamp = dedupe(key=lambda event: str(event.ts_recv) if isinstance(event, Quote) else "").kernel()
    later = msgspec.structs.replace(QUOTE, ts_recv=2)
    assert passed(by_stamp, QUOTE, QUOTE, trade("1"), trade("1"), later) == [
        QUOTE,
        trade("1"),
        trade("1"),
        later,
    ]


def test_only_so_many_are_remembered() -> None:
    kernel = dedupe(remember=2).kernel()
    one, two, three = trade("1"), trade("2"), trade("3")
    assert passed(kernel, one, two, three, two, three) == [one, two, three]
    assert passed(kernel, one) == [one], "it was forgotten when the third came"


def test_memory_has_at_least_one_place() -> None:
    with pytest.raises(ValueError, match="remember must be 1 or more, not 0"):
        dedupe(remember=0)


@given(event_streams(), st.lists(st.integers(0, 5), max_size=40))
def test_it_is_held_to_the_laws(events: list[Event], numbers: list[int]) -> None:
    named = [
        msgspec.structs.replace(event, id=str(number)) if isinstance(event, Trade) else event
        for event, number in zip(events, numbers, strict=False)
    ]
    resumes_anywhere(dedupe(remember=3), named)
    same_live_and_virtual(dedupe(remember=3), named)
    passed_ = passed(dedupe().kernel(), *named)
    assert passed_ == [event for at, event in enumerate(named) if not _repeated(event, named[:at])]


def _repeated(event: Event, before: list[Event]) -> bool:
    return isinstance(event, Trade | TradeCancel) and any(
        type(each) is type(event)
        and (each.venue, each.symbol, each.id) == (event.venue, event.symbol, event.id)
        for each in before
    )


def test_marble_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, trade("1")),
        ReactiveTest.on_next(220, trade("1")),
        ReactiveTest.on_completed(230),
    )
    got = scheduler.start(lambda: source.pipe(dedupe()))
    assert got.messages == [ReactiveTest.on_next(210, trade("1")), ReactiveTest.on_completed(230)]
