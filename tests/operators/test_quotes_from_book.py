"""quotes_from_book: the touch, when it changes, and nothing of a book that is not live."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.book import BookState, OrderBook
from rtflow.events import Event, Frame, FrameKind, Gap, Level, OrderBookUpdate, Quote, Trade
from rtflow.kernel import Kernel
from rtflow.operators import book_apply, quotes_from_book
from tests.laws import event_streams, resumes_anywhere, run, same_live_and_virtual


def state(at: int, *bids: Level, asks: tuple[Level, ...] = (), **other: Any) -> BookState:
    fields: dict[str, Any] = {"symbol": "A", "venue": "v", **other}
    return OrderBook.of(bids, asks).view(ts_event=at - 1, ts_recv=at, **fields)


def quote(
    at: int,
    bid: float | None,
    bid_size: float | None,
    ask: float | None,
    ask_size: float | None,
    exchange: str = "",
    symbol: str = "A",
    venue: str = "v",
) -> Quote:
    return Quote(symbol, at - 1, at, bid, bid_size, ask, ask_size, venue, exchange, exchange)


def said(kernel: Kernel[BookState | Event, Quote], items: Iterable[BookState | Event]) -> list[Quote]:
    return [each for item in items for each in kernel.push(item)]


def test_a_quote_says_what_moved_at_the_touch() -> None:
    states = [
        state(1, (99.0, 2.0), asks=((101.0, 1.0),)),
        state(2, (99.0, 2.0), (98.0, 1.0), asks=((101.0, 1.0), (102.0, 1.0))),  # below the touch
        state(3, (99.0, 3.0), asks=((101.0, 1.0),)),
        state(4, (99.0, 3.0)),
        state(5, (99.0, 3.0)),
        state(6),
    ]
    assert said(quotes_from_book().kernel(), states) == [
        quote(1, 99.0, 2.0, 101.0, 1.0),
        quote(3, 99.0, 3.0, 101.0, 1.0),
        quote(4, 99.0, 3.0, None, None),
        quote(6, None, None, None, None),
    ]


def test_a_book_that_is_not_live_has_no_quote() -> None:
    states = [
        state(1, status="syncing"),
        state(2, (99.0, 2.0)),
        state(3, (99.0, 2.0), status="suspect"),
        state(4, status="syncing"),
        state(5, (99.0, 2.0)),
    ]
    assert said(quotes_from_book().kernel(), states) == [
        quote(2, 99.0, 2.0, None, None),
        quote(3, None, None, None, None),
        quote(5, 99.0, 2.0, None, None),
    ]


def test_each_book_has_quotes_of_its_own() -> None:
    states = [
        state(1, (99.0, 2.0)),
        state(2, (99.0, 2.0), symbol="B"),
        state(3, (99.0, 2.0), venue="w"),
        state(4, (99.0, 2.0), exchange="X"),
        state(5, (99.0, 2.0)),
    ]
    assert said(quotes_from_book().kernel(), states) == [
        quote(1, 99.0, 2.0, None, None),
        quote(2, 99.0, 2.0, None, None, symbol="B"),
        quote(3, 99.0, 2.0, None, None, venue="w"),
        quote(4, 99.0, 2.0, None, None, exchange="X"),
    ]


def test_anything_else_is_passed_over() -> None:
    assert said(quotes_from_book().kernel(), [Trade("A", 1, 1, 1.0, 1.0), Gap(1, None, 1, 1)]) == []


def test_marble() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, OrderBookUpdate("A", 1, 2, ((99.0, 2.0),), (), snapshot=True, venue="v")),
        ReactiveTest.on_next(220, OrderBookUpdate("A", 2, 3, ((98.0, 2.0),), (), venue="v")),
        ReactiveTest.on_next(230, Gap(3, None, 1, 4, "lost", "v")),
        ReactiveTest.on_completed(240),
    )
    assert scheduler.start(lambda: source.pipe(book_apply(), quotes_from_book())).messages == [
        ReactiveTest.on_next(210, quote(2, 99.0, 2.0, None, None)),
        ReactiveTest.on_next(230, Quote("A", 2, 4, None, None, None, None, "v")),
        ReactiveTest.on_completed(240),
    ]


@given(event_streams(venues=("x", "y"), max_size=60))
def test_it_is_held_to_the_laws(events: list[Event]) -> None:
    states: list[BookState | Event] = [*run(book_apply().kernel(), events)]
    resumes_anywhere(quotes_from_book(), states)
    same_live_and_virtual(quotes_from_book(), states)


def test_frames_that_nobody_has_read_are_an_error() -> None:
    frame: Any = Frame(FrameKind.TEXT, b"{}", 3)
    with pytest.raises(TypeError, match=r"quotes_from_book\(\) takes events, and this is a frame"):
        quotes_from_book().kernel().push(frame)
