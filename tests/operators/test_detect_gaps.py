"""detect_gaps: a missing number is a Gap of one symbol, in front of what came instead."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.book import BookState
from rtflow.counters import Counters
from rtflow.events import Bar, Event, Gap, OrderBookUpdate, Status, Trade
from rtflow.kernel import Kernel
from rtflow.operators._book_apply import book_apply
from rtflow.operators._detect_gaps import detect_gaps
from rtflow.operators._window_to_bar import window_to_bar
from rtflow.time import SECOND
from tests.laws import resumes_anywhere, same_live_and_virtual


def trade(number: int | str, at: int, symbol: str = "A", **other: Any) -> Trade:
    return Trade(symbol, at, at, 1.0, 1.0, id=str(number), **{"venue": "v", **other})


def update(
    sequence: int | None, at: int, first: int | None = None, previous: int | None = None
) -> OrderBookUpdate:
    return OrderBookUpdate(
        "A", at, at, (), (), venue="v", sequence=sequence, first_sequence=first, previous_sequence=previous
    )


def snapshot(sequence: int, at: int) -> OrderBookUpdate:
    return OrderBookUpdate("A", at, at, (), (), True, venue="v", sequence=sequence)


def gap(start: int, end: int, reason: str, symbol: str = "A", epoch: int = 1, kind: str = "trades") -> Gap:
    return Gap(start, end, epoch, end, reason, "v", (symbol,), kind)


def said(kernel: Kernel[Event, Event], *events: Event) -> list[Event]:
    return [each for event in events for each in kernel.push(event)]


def gaps(kernel: Kernel[Event, Event], *events: Event) -> list[Event]:
    return [each for each in said(kernel, *events) if isinstance(each, Gap) and each not in events]


def test_the_gap_comes_before_what_came_instead() -> None:
    counters = Counters()
    five, six, nine, ten = trade(5, 10), trade(6, 20), trade(9, 30), trade(10, 40)
    assert said(detect_gaps(counters=counters).kernel(), five, six, nine, ten) == [
        five,
        six,
        gap(20, 30, "trades 7 to 8 missing"),
        nine,
        ten,
    ]
    assert counters == {"gaps": 1}


def test_each_symbol_venue_and_exchange_counts_for_itself() -> None:
    kernel = detect_gaps().kernel()
    apart = [trade(1, 1), trade(7, 2, "B"), trade(30, 3, venue="w"), trade(40, 4, exchange="X"), trade(2, 5)]
    assert gaps(kernel, *apart) == []
    assert gaps(kernel, trade(9, 6, "B")) == [gap(2, 6, "trades 8 missing", "B")]


def test_numbers_that_run_backwards_say_nothing() -> None:
    assert gaps(detect_gaps().kernel(), *(trade(number, number) for number in (5, 6, 6, 3, 4, 7))) == []


@pytest.mark.parametrize("name", ["", "a1", "-3", "1.5", "٣"])
def test_an_id_that_is_no_number_is_passed_over(name: str) -> None:
    assert gaps(detect_gaps().kernel(), trade(1, 1), trade(name, 2), trade(2, 3)) == []


def test_behind_a_lost_line_the_numbers_say_which_trades_it_lost_and_which_came_to_nothing_after_it() -> None:
    kernel = detect_gaps().kernel()
    lost, mended = (Gap(1, end, 1, end or 2, "the line is lost", "v") for end in (None, 3))
    back = Status("open", 2, epoch=4, venue="v")
    assert gaps(kernel, trade(5, 1), lost, back, mended, trade(9, 6)) == [
        gap(3, 6, "trades 6 to 8 missing", epoch=4)
    ]
    assert gaps(kernel, trade(11, 7)) == [gap(6, 7, "trades 10 missing", epoch=4)]


@pytest.mark.parametrize("state", ["open", "joined", "bridged"])
def test_a_gap_is_of_the_newest_connection_and_of_a_book_that_of_the_update(state: Any) -> None:
    kernel = detect_gaps(books=True).kernel()
    said(kernel, trade(1, 1), update(1, 1), Status(state, 2, epoch=4, venue="v"))
    assert gaps(kernel, trade(3, 3)) == [gap(1, 3, "trades 2 missing", epoch=4)]
    assert gaps(kernel, update(3, 3)) == [gap(1, 3, "books 2 missing", epoch=1, kind="books")]


def test_behind_a_lost_line_books_begin_anew() -> None:
    kernel = detect_gaps(trades=False, books=True).kernel()
    mended = Gap(1, 3, 1, 3, "the line is lost", "v")
    assert gaps(kernel, snapshot(4, 1), mended, update(90, 4), update(91, 5)) == []


def test_anothers_lost_line_changes_nothing() -> None:
    kernel = detect_gaps().kernel()
    others = [Gap(1, None, 1, 2, venue="w"), Gap(1, 2, 1, 2, venue="v", symbols=("B",))]
    assert gaps(kernel, trade(5, 1), *others, trade(7, 3)) == [gap(1, 3, "trades 6 missing")]


def test_books_are_followed_by_number_by_span_and_by_name_of_the_one_before() -> None:
    def found(*updates: OrderBookUpdate) -> list[Event]:
        return gaps(detect_gaps(trades=False, books=True).kernel(), *updates)

    assert found(snapshot(4, 1), update(5, 2), update(6, 3)) == []
    assert found(snapshot(4, 1), update(7, 2)) == [gap(1, 2, "books 5 to 6 missing", kind="books")]
    assert found(snapshot(4, 1), update(9, 2, first=3), update(12, 3, first=10)) == []
    assert found(snapshot(4, 1), update(9, 2, first=6)) == [gap(1, 2, "books 5 missing", kind="books")]
    assert found(snapshot(4, 1), update(9, 2, first=4, previous=3), update(20, 3, first=15, previous=9)) == []
    assert found(update(9, 2, 4, 3), update(20, 3, 15, 12)) == [
        gap(2, 3, "books up to 12 missing", kind="books")
    ]
    assert found(snapshot(4, 1), snapshot(90, 2), update(91, 3), update(None, 4)) == []


def test_what_is_not_asked_for_is_not_looked_at() -> None:
    assert gaps(detect_gaps().kernel(), update(1, 1), update(5, 2)) == []
    assert gaps(detect_gaps(trades=False, books=True).kernel(), trade(1, 1), trade(5, 2)) == []
    with pytest.raises(ValueError, match="trades=True, books=True or both"):
        detect_gaps(trades=False)


def test_a_gap_in_the_trades_does_not_doubt_the_book_and_the_other_way_round() -> None:
    level = ((1.0, 1.0),)
    book: Kernel[Event, BookState] = book_apply().kernel()
    list(book.push(OrderBookUpdate("A", 1, 1, level, (), True, venue="v")))
    assert list(book.push(gap(1, 2, "trades 7 to 8 missing"))) == []
    (doubted,) = book.push(gap(1, 2, "books 7 to 8 missing", kind="books"))
    assert doubted.status == "syncing"

    def bar_after(hole: Gap) -> Bar:
        bars = window_to_bar(1).kernel()
        list(bars.push(trade(1, SECOND // 2)))
        list(bars.push(hole))
        (bar,) = bars.push(trade(2, SECOND))
        return bar

    assert bar_after(gap(SECOND // 2, SECOND // 2 + 1, "")).gap
    assert not bar_after(gap(SECOND // 2, SECOND // 2 + 1, "", kind="books")).gap


@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 3)), max_size=40))
def test_it_is_held_to_the_laws(steps: list[tuple[str, int]]) -> None:
    """Every number is seen or lies in a gap, and no gap holds a number that was seen."""
    numbers = {"A": 0, "B": 0}
    events: list[Event] = [Status("open", 0, epoch=1, venue="v")]
    for at, (symbol, step) in enumerate(steps):
        numbers[symbol] += step
        events.append(trade(numbers[symbol], at, symbol))
    resumes_anywhere(detect_gaps(), events)
    same_live_and_virtual(detect_gaps(), events)
    for symbol in "AB":
        seen = {int(each.id) for each in events if isinstance(each, Trade) and each.symbol == symbol}
        missing: set[int] = set()
        for each in gaps(detect_gaps().kernel(), *events):
            assert isinstance(each, Gap)
            if each.symbols == (symbol,):
                numbers_said = [int(word) for word in each.reason.split() if word.isdigit()]
                missing |= set(range(numbers_said[0], numbers_said[-1] + 1))
        assert missing == set(range(min(seen, default=0), max(seen, default=0))) - seen


def test_marble_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, trade(1, 1)),
        ReactiveTest.on_next(220, trade(3, 2)),
        ReactiveTest.on_completed(230),
    )
    got = scheduler.start(lambda: source.pipe(detect_gaps()))
    assert got.messages == [
        ReactiveTest.on_next(210, trade(1, 1)),
        ReactiveTest.on_next(220, gap(1, 2, "trades 2 missing")),
        ReactiveTest.on_next(220, trade(3, 2)),
        ReactiveTest.on_completed(230),
    ]
