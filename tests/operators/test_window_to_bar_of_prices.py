"""window_to_bar of quotes and of books: bars of what was offered, whether anybody took it or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtflow.book import BookState, OrderBook
from rtflow.counters import Counters
from rtflow.events import Bar, Event, Gap, Quote, Trade
from rtflow.operators import window_to_bar
from rtflow.operators._bars_of_prices import PriceOf
from rtflow.time import SECOND
from tests.laws import event_streams, resumes_anywhere, run, same_live_and_virtual


def quote(
    second: float, bid: float | None, ask: float | None, sizes: tuple[float | None, float | None] = (3.0, 1.0)
) -> Quote:
    stamp = round(second * SECOND)
    return Quote("A", stamp, stamp, bid, sizes[0], ask, sizes[1], "x")


def book(second: float, bid: float, ask: float, status: Any = "live") -> BookState:
    stamp = round(second * SECOND)
    return OrderBook.of([(bid, 3.0)], [(ask, 1.0)]).view("A", stamp, stamp, status, venue="x")


def push(kernel: Any, *events: Any) -> list[Any]:
    return [made for event in events for made in kernel.push(event)]


def prices(bar: Bar) -> tuple[float, float, float, float]:
    return bar.open, bar.high, bar.low, bar.close


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ("bid", (99.0, 100.0, 97.0, 97.0)),
        ("ask", (101.0, 105.0, 101.0, 105.0)),
        ("mid", (100.0, 101.5, 100.0, 101.0)),
        ("microprice", (100.5, 103.0, 100.5, 103.0)),
    ],
)
def test_quotes_make_bars_of_any_of_their_prices(
    of: PriceOf, expected: tuple[float, float, float, float]
) -> None:
    events = quote(0, 99.0, 101.0), quote(20, 100.0, 103.0), quote(40, 97.0, 105.0), quote(60, 1.0, 2.0)
    (bar,) = push(window_to_bar(60, of=of).kernel(), *events)
    assert prices(bar) == expected
    assert bar == Bar(
        "A",
        0,
        60 * SECOND,
        *expected,
        volume=0.0,
        count=3,
        value=0.0,
        ts_close=40 * SECOND,
        ts_recv=40 * SECOND,
        venue="x",
    )
    assert bar.vwap == bar.close


@pytest.mark.parametrize("of", ["bid", "ask", "mid", "microprice"])
def test_books_make_the_same_bars_as_the_quotes_of_their_touch(of: PriceOf) -> None:
    touches = (0, 99.0, 101.0), (20, 100.0, 103.0), (40, 97.0, 105.0), (60, 1.0, 2.0)
    by_books, by_quotes = (
        push(window_to_bar(60, of=of).kernel(), *(make(*touch) for touch in touches))
        for make in (book, quote)
    )
    assert by_books == by_quotes
    if of != "bid" and of != "ask":
        assert by_books[0].open == getattr(book(0, 99.0, 101.0), of)


def test_what_has_no_such_price_sets_none_and_is_counted() -> None:
    missing: dict[PriceOf, int] = {"bid": 1, "ask": 1, "mid": 2, "microprice": 4}
    for of, unpriced in missing.items():
        counters = Counters()
        kernel = window_to_bar(60, of=of, counters=counters).kernel()
        push(
            kernel,
            quote(1, None, 101.0),
            quote(2, 99.0, None),
            quote(3, 99.0, 101.0, (0.0, 0.0)),
            quote(4, 99.0, 101.0, (None, 1.0)),
            quote(5, 99.0, 101.0),
        )
        (bar,) = kernel.wake(60 * SECOND)
        assert (bar.count, counters["unpriced"]) == (5 - unpriced, unpriced)


def test_a_book_that_cannot_be_trusted_sets_no_price() -> None:
    counters = Counters()
    kernel = window_to_bar(60, of="mid", counters=counters).kernel()
    push(kernel, book(1, 99.0, 101.0), book(2, 50.0, 60.0, "suspect"), book(3, 1.0, 2.0, "syncing"))
    assert [prices(bar) for bar in kernel.wake(60 * SECOND)] == [(100.0,) * 4]
    assert counters == {"unpriced": 2}


def test_trades_tell_the_time_and_set_no_price() -> None:
    kernel = window_to_bar(60, of="mid").kernel()
    made = push(
        kernel,
        quote(1, 99.0, 101.0),
        *(Trade("A", at * SECOND, at * SECOND, 7.0, 1.0, venue="x") for at in (2, 60)),
    )
    assert [(prices(bar), bar.count) for bar in made] == [((100.0,) * 4, 1)]


def test_books_tell_the_time_of_trades() -> None:
    kernel = window_to_bar(60).kernel()
    made = push(kernel, Trade("A", 0, 0, 7.0, 1.0, venue="x"), book(60, 99.0, 101.0))
    assert [prices(bar) for bar in made if isinstance(bar, Bar)] == [(7.0,) * 4]


def test_late_quotes_revise_and_empty_stretches_go_flat() -> None:
    late = msgspec.structs.replace(quote(30, 90.0, 92.0), ts_recv=61 * SECOND)
    made = push(
        window_to_bar(60, of="mid", revise_for=10).kernel(),
        quote(1, 99.0, 101.0),
        quote(60, 99.0, 101.0),
        late,
    )
    assert [(bar.low, bar.revision) for bar in made] == [(100.0, 0), (91.0, 1)]
    made = push(
        window_to_bar(60, of="mid", empty="flat").kernel(), quote(1, 99.0, 101.0), quote(120, None, None)
    )
    assert [(bar.close, bar.synthetic) for bar in made] == [(100.0, False), (100.0, True)]


@pytest.mark.parametrize(("kind", "gap"), [("", True), ("quotes", True), ("books", True), ("trades", False)])
def test_what_was_missed_of_quotes_and_books_marks_the_bar(kind: str, gap: bool) -> None:
    kernel = window_to_bar(60, of="mid").kernel()
    hole = Gap(2 * SECOND, 3 * SECOND, 1, 3 * SECOND, venue="x", kind=kind)
    (bar,) = push(kernel, quote(1, 99.0, 101.0), hole, quote(60, 99.0, 101.0))
    assert bar.gap == gap


OPERATORS: tuple[Callable[[], Any], ...] = (
    lambda: window_to_bar(1, of="bid"),
    lambda: window_to_bar(2, of="mid", empty="flat", emit="update"),
    lambda: window_to_bar(1, of="ask", revise_for=5, grace=0.5),
    lambda: window_to_bar(3, of="microprice", clock="recv"),
)


@settings(max_examples=60, deadline=None)
@given(event_streams(venues=("x", "y")), st.sampled_from(OPERATORS))
def test_it_is_held_to_the_laws(events: list[Event], operator: Callable[[], Any]) -> None:
    resumes_anywhere(operator(), events)
    same_live_and_virtual(operator(), events)


@settings(max_examples=100)
@given(event_streams(venues=("x", "y")))
def test_bars_of_bids_are_bars_of_trades_at_the_bid(events: list[Event]) -> None:
    as_trades = [
        Trade(each.symbol, each.ts_event, each.ts_recv, each.bid or 0.0, 0.0, venue=each.venue)
        if isinstance(each, Quote)
        else msgspec.structs.replace(each, symbol="Q")
        if isinstance(each, Trade)
        else each
        for each in events
    ]
    expected = [bar for bar in run(window_to_bar(1).kernel(), as_trades) if bar.symbol != "Q"]
    assert run(window_to_bar(1, of="bid").kernel(), events) == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"of": "last"}, "'last' is none of 'trades', 'bars', 'bid', 'ask', 'mid', 'microprice'"),
        ({"of": "mid", "late": "emit"}, "of no use to of='mid'"),
        ({"of": "bars", "eligibility": lambda said, tape: None}, "of no use to of='bars'"),
        ({"of": "bars", "empty": "flat"}, "what makes the small bars"),
        ({"of": "bars", "clock": "recv"}, "what makes the small bars"),
        ({"every": None, "ticks": 5, "of": "mid"}, "an option of every"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        window_to_bar(**{"every": 60, **options})
