"""consolidate: the best of what can be trusted, whose it is, and who was left out and why."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.book import BookState, OrderBook
from rtflow.events import BestQuote, Event, Excluded, Frame, FrameKind, Gap, Lost, Quote, Status, Trade
from rtflow.kernel import Kernel
from rtflow.operators import book_apply, consolidate
from rtflow.scheduler import NanoScheduler
from rtflow.time import SECOND
from tests.laws import event_streams, resumes_anywhere, run, same_live_and_virtual


def quote(at: int, venue: str, bid: float | None, ask: float | None, **other: Any) -> Quote:
    """With a size of 1 on each side, unless ``bid_size`` or ``ask_size`` say otherwise."""
    sizes = {"bid_size": None if bid is None else 1.0, "ask_size": None if ask is None else 1.0}
    fields: dict[str, Any] = {"symbol": "A", **sizes, **other}
    return Quote(ts_event=at - 1, ts_recv=at, bid=bid, ask=ask, venue=venue, **fields)


def book(at: int, venue: str, bid: float | None, ask: float | None, **other: Any) -> BookState:
    bids = [] if bid is None else [(bid, 1.0)]
    asks = [] if ask is None else [(ask, 1.0)]
    fields: dict[str, Any] = {"symbol": "A", **other}
    return OrderBook.of(bids, asks).view(ts_event=at - 1, ts_recv=at, venue=venue, **fields)


def said(
    kernel: Kernel[BookState | Event, BestQuote], *items: BookState | Event, until: int = 0
) -> list[BestQuote]:
    """With every timer in its place, up to ``until``."""
    made: list[BestQuote] = []
    for item in items:
        made += waited(kernel, item.ts_recv - 1)
        made += kernel.push(item)
    return made + waited(kernel, until)


def waited(kernel: Kernel[BookState | Event, BestQuote], until: int) -> list[BestQuote]:
    made: list[BestQuote] = []
    while (due := kernel.due()) is not None and due <= until:
        made += kernel.wake(due)
        after = kernel.due()
        assert after is None or after > due
    return made


def brief(quotes: Iterable[BestQuote]) -> list[tuple[Any, ...]]:
    return [(each.ts_recv, each.bid, each.bid_venue, each.ask, each.ask_venue) for each in quotes]


def left_out(quotes: Iterable[BestQuote]) -> list[tuple[int, list[tuple[str, str]]]]:
    return [(each.ts_recv, [(one.venue, one.reason) for one in each.excluded]) for each in quotes]


def test_the_best_of_each_side_is_named_with_its_size_and_venue() -> None:
    states = book(1, "a", 99.0, 101.0), book(2, "b", 98.0, 100.0), book(3, "c", 98.5, None, exchange="X")
    quotes = said(consolidate().kernel(), *states, book(4, "a", 97.0, 101.0))
    assert quotes == [
        BestQuote("A", 0, 1, 99.0, 1.0, 101.0, 1.0, "a", "a"),
        BestQuote("A", 1, 2, 99.0, 1.0, 100.0, 1.0, "a", "b"),
        BestQuote("A", 3, 4, 98.5, 1.0, 100.0, 1.0, "c", "b", "X", ""),
    ]


def test_nothing_is_said_where_nothing_changes() -> None:
    kernel = consolidate().kernel()
    assert (
        len(said(kernel, book(1, "a", 99.0, 101.0), book(2, "b", 98.0, 102.0), book(3, "a", 99.0, 101.0)))
        == 1
    )
    assert said(consolidate().kernel(), book(1, "a", None, None)) == []


@pytest.mark.parametrize(("second", "named"), [(1.0, "a"), (1.5, "b"), (0.5, "a"), (None, "a")])
def test_of_equal_prices_the_larger_size_is_named_or_else_the_one_met_first(
    second: float | None, named: str
) -> None:
    first, other = quote(1, "a", 99.0, 101.0), quote(2, "b", 99.0, 101.0, bid_size=second, ask_size=second)
    best = said(consolidate().kernel(), first, other)[-1]
    assert (best.bid_venue, best.ask_venue) == (named, named)


def test_a_quote_without_sizes_gives_way_to_one_with_them() -> None:
    kernel = consolidate().kernel()
    (_, best) = said(
        kernel,
        quote(1, "a", 99.0, 101.0, bid_size=None, ask_size=None),
        quote(2, "b", 99.0, 101.0),
    )
    assert (best.bid_venue, best.bid_size, best.ask_venue, best.ask_size) == ("b", 1.0, "b", 1.0)


def test_venues_may_lock_and_cross_each_other() -> None:
    kernel = consolidate().kernel()
    quotes = said(kernel, book(1, "a", 99.0, 101.0), book(2, "b", 101.0, 103.0), book(3, "b", 101.5, 103.0))
    assert [(each.locked, each.crossed) for each in quotes] == [(False, False), (True, False), (False, True)]
    (empty,) = said(consolidate().kernel(), book(1, "a", None, None, status="syncing"))
    assert (empty.locked, empty.crossed) == (False, False)


def test_a_book_that_is_not_live_is_left_out_and_named() -> None:
    kernel = consolidate().kernel()
    quotes = said(
        kernel,
        book(1, "a", 99.0, 101.0),
        book(2, "b", None, None, status="syncing"),
        book(3, "a", None, None, status="suspect", reason="checksum 1, the venue says 2"),
        book(4, "b", 98.0, 102.0),
        book(5, "c", 103.0, 102.0),
    )
    assert left_out(quotes) == [
        (1, []),
        (2, [("b", "syncing")]),
        (3, [("a", "suspect: checksum 1, the venue says 2"), ("b", "syncing")]),
        (4, [("a", "suspect: checksum 1, the venue says 2")]),
        (5, [("a", "suspect: checksum 1, the venue says 2"), ("c", "crossed")]),
    ]
    assert brief(quotes)[2:4] == [(3, None, "", None, ""), (4, 98.0, "b", 102.0, "b")]


def test_who_says_nothing_for_too_long_is_left_out_until_he_speaks() -> None:
    kernel = consolidate(stale_after=timedelta(seconds=5)).kernel()
    quotes = said(
        kernel,
        book(1, "a", 99.0, 101.0),
        book(2, "b", 98.0, 102.0),
        book(3 * SECOND, "a", 99.0, 101.0),
        book(9 * SECOND, "b", 98.0, 102.0),
        until=60 * SECOND,
    )
    reason = "stale: nothing for 5 s"
    assert left_out(quotes) == [
        (1, []),
        (2 + 5 * SECOND, [("b", reason)]),
        (8 * SECOND, [("a", reason), ("b", reason)]),
        (9 * SECOND, [("a", reason)]),
        (14 * SECOND, [("a", reason), ("b", reason)]),
    ]
    both = Excluded("a", reason), Excluded("b", reason)
    assert quotes[-1] == BestQuote("A", 9 * SECOND - 1, 14 * SECOND, None, None, None, None, excluded=both)
    assert kernel.due() is None


def test_a_book_that_is_not_live_is_not_stale_too() -> None:
    kernel = consolidate(stale_after=5).kernel()
    quotes = said(kernel, book(1, "a", None, None, status="failed"), until=60 * SECOND)
    assert left_out(quotes) == [(1, [("a", "failed")])]


def test_where_nobody_wakes_it_the_items_tell_the_time() -> None:
    kernel = consolidate(stale_after=5).kernel()
    _ = kernel.push(book(1, "a", 99.0, 101.0))
    (stale,) = kernel.push(Trade("A", 9 * SECOND, 9 * SECOND, 1.0, 1.0))
    assert (stale.ts_recv, stale.excluded) == (1 + 5 * SECOND, (Excluded("a", "stale: nothing for 5 s"),))


def test_nothing_is_stale_where_nobody_minds() -> None:
    kernel = consolidate(stale_after=None).kernel()
    said(kernel, book(1, "a", 99.0, 101.0))
    assert kernel.due() is None


@pytest.mark.parametrize(
    "names",
    [
        {"XBT/USD": "BTC", "BTCUSDT": "BTC"},
        {("a", "XBT/USD"): "BTC", ("b", "BTCUSDT"): "BTC"},
        lambda venue, symbol: "BTC" if (venue, symbol) in (("a", "XBT/USD"), ("b", "BTCUSDT")) else symbol,
    ],
    ids=["symbols", "venues and symbols", "function"],
)
def test_symbols_that_venues_spell_differently_are_made_one(names: Any) -> None:
    kernel = consolidate(names=names).kernel()
    quotes = said(
        kernel,
        book(1, "a", 99.0, 101.0, symbol="XBT/USD"),
        book(2, "b", 98.0, 100.0, symbol="BTCUSDT"),
        book(3, "b", 1.0, 2.0, symbol="ETHUSDT"),
    )
    assert [(each.symbol, each.bid, each.ask) for each in quotes] == [
        ("BTC", 99.0, 101.0),
        ("BTC", 99.0, 100.0),
        ("ETHUSDT", 1.0, 2.0),
    ]


def test_two_symbols_of_one_venue_may_be_one_here() -> None:
    kernel = consolidate(names={"BTCUSDT": "BTC", "BTCUSDC": "BTC"}).kernel()
    states = book(1, "a", 99.0, 101.0, symbol="BTCUSDT"), book(2, "a", 98.0, 100.0, symbol="BTCUSDC")
    assert brief(said(kernel, *states))[-1] == (2, 99.0, "a", 100.0, "a")


def test_exchanges_of_one_venue_are_told_apart() -> None:
    kernel = consolidate().kernel()
    quotes = said(
        kernel,
        book(1, "a", 99.0, 101.0, exchange="X"),
        quote(2, "a", 98.0, 100.0, bid_exchange="Y", ask_exchange="Y"),
        book(3, "a", None, None, exchange="X", status="syncing"),
        quote(4, "a", 98.0, 100.5, bid_exchange="Y", ask_exchange="Z"),  # of the whole venue
    )
    assert [(each.bid_exchange, each.ask_exchange) for each in quotes] == [
        ("X", "X"),
        ("X", "Y"),
        ("Y", "Y"),
    ]
    assert quotes[-1].excluded == (Excluded("a", "syncing", "X"),)


def test_of_a_venue_that_says_books_and_quotes_the_last_word_counts() -> None:
    kernel = consolidate().kernel()
    quotes = said(kernel, book(1, "a", 99.0, 101.0), quote(2, "a", 98.0, 101.0), book(3, "a", 99.5, 101.0))
    assert [each.bid for each in quotes] == [99.0, 98.0, 99.5]


# -- quotes do not know when they are no longer true


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (Gap(2, None, 1, 5, "the line is lost", "a"), "gap: the line is lost"),
        (Gap(2, 5, 1, 5, "3 frames lost", "a", ("A",), "quotes"), "gap: 3 frames lost"),
        (Lost("", "", 3, 2, 5, "ring", 5), "gap: 3 quotes lost in the ring"),
        (Lost("A", "Quote", 3, 2, 5, "handoff"), "gap: 3 quotes lost in the handoff"),
        (Status("rejected", 5, "no such symbol", "A", "quotes", venue="a"), "rejected: no such symbol"),
        (Status("unsubscribed", 5, "", "A", "quotes", venue="a"), "unsubscribed"),
    ],
)
def test_a_quote_that_may_no_longer_be_true_does_not_count(event: Event, reason: str) -> None:
    kernel = consolidate().kernel()
    said(kernel, quote(1, "a", 99.0, 101.0), book(2, "b", 98.0, 102.0))
    (best,) = said(kernel, event)
    assert best == BestQuote("A", 1, 5, 98.0, 1.0, 102.0, 1.0, "b", "b", excluded=(Excluded("a", reason),))
    assert said(kernel, event) == [], "said once"
    assert brief(said(kernel, quote(6, "a", 99.0, 101.0))) == [(6, 99.0, "a", 101.0, "a")]


@pytest.mark.parametrize(
    "event",
    [
        Gap(2, None, 1, 5, "lost", "b"),
        Gap(2, None, 1, 5, "lost", "a", ("B",)),
        Gap(2, None, 1, 5, "lost", "a", (), "trades"),
        Lost("B", "Quote", 1, 2, 5, "handoff"),
        Lost("A", "Trade", 1, 2, 5, "handoff"),
        Status("unsubscribed", 5, "", "A", "trades", venue="a"),
        Status("unsubscribed", 5, "", "", "quotes", venue="a"),
        Status("subscribed", 5, "", "A", "quotes", venue="a"),
        Trade("A", 5, 5, 1.0, 1.0, venue="a"),
    ],
)
def test_what_concerns_others_leaves_a_quote_as_it_is(event: Event) -> None:
    kernel = consolidate().kernel()
    assert said(kernel, quote(1, "a", 99.0, 101.0), event, quote(6, "a", 99.0, 101.0))[1:] == []


def test_a_book_knows_for_itself_whether_a_gap_concerns_it() -> None:
    kernel = consolidate().kernel()
    assert said(kernel, book(1, "a", 99.0, 101.0), Gap(2, None, 1, 5, "lost", "a"))[1:] == []


# -- options, marbles, laws


@pytest.mark.parametrize("stale_after", [0, -1.0, timedelta(0)])
def test_patience_is_positive(stale_after: Any) -> None:
    with pytest.raises(ValueError, match="stale_after must be more than no time"):
        consolidate(stale_after=stale_after)


def test_marble_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, quote(210 * SECOND, "a", 99.0, 101.0)),
        ReactiveTest.on_next(220, quote(220 * SECOND, "b", 98.0, 100.0)),
        ReactiveTest.on_completed(245),
    )
    got = scheduler.start(lambda: source.pipe(consolidate(stale_after=20), ops.map(_ask)))
    assert got.messages == [
        ReactiveTest.on_next(210, 101.0),
        ReactiveTest.on_next(220, 100.0),
        ReactiveTest.on_next(230, 100.0),
        ReactiveTest.on_next(240, None),
        ReactiveTest.on_completed(245),
    ]


def _ask(best: BestQuote) -> float | None:
    return best.ask


def test_silence_is_told_to_the_nanosecond_in_virtual_time() -> None:
    scheduler, source = NanoScheduler(), Subject[BookState | Event]()
    got: list[tuple[int, BestQuote]] = []
    source.pipe(consolidate(stale_after=1)).subscribe(
        lambda best: got.append((scheduler.now_ns, best)), scheduler=scheduler
    )
    scheduler.advance_to(7)
    source.on_next(quote(7, "a", 99.0, 101.0))
    scheduler.advance_by(60)
    assert [(at, best.ts_recv, best.bid) for at, best in got] == [
        (7, 7, 99.0),
        (7 + SECOND, 7 + SECOND, None),
    ]


@given(event_streams(venues=("x", "y"), max_size=60), st.sampled_from([None, 0.5, 2.0]))
def test_it_is_held_to_the_laws(events: list[Event], stale_after: float | None) -> None:
    """Of quotes and books of two venues, with what the line says of both."""
    books = book_apply().kernel()
    items = [item for event in events for item in (event, *run(books, [event]))]
    made = consolidate(stale_after=stale_after)
    resumes_anywhere(made, items)
    same_live_and_virtual(made, items)


@given(event_streams(venues=("x", "y", "z"), max_size=60), st.sampled_from([None, 0.5, 2.0]))
def test_what_is_shown_is_what_a_naive_look_over_all_last_words_shows(
    events: list[Event], stale_after: float | None
) -> None:
    kernel = consolidate(stale_after=stale_after).kernel()
    last: dict[str, dict[str, Quote]] = {}
    shown: dict[str, BestQuote] = {}
    for event in events:
        shown |= {best.symbol: best for best in said(kernel, event)}
        if isinstance(event, Quote):
            last.setdefault(event.symbol, {})[event.venue] = event
        for symbol, quotes in last.items():
            for venue in list(quotes):
                gap = isinstance(event, Gap) and event.venue == venue
                old = stale_after is not None and event.ts_recv - quotes[venue].ts_recv > stale_after * SECOND
                if gap or old:
                    del quotes[venue]
            bids = [each.bid for each in quotes.values() if each.bid is not None]
            asks = [each.ask for each in quotes.values() if each.ask is not None]
            best = shown[symbol]
            assert (best.bid, best.ask) == (max(bids, default=None), min(asks, default=None))


@pytest.mark.parametrize("names", [1, ["A"]])
def test_names_are_a_function_or_a_table(names: Any) -> None:
    with pytest.raises(TypeError, match="names are a function of venue and symbol or a table"):
        consolidate(names=names)


def test_frames_that_nobody_has_read_are_an_error() -> None:
    frame: Any = Frame(FrameKind.TEXT, b"{}", 3)
    with pytest.raises(TypeError, match=r"consolidate\(\) takes events, and this is a frame"):
        consolidate().kernel().push(frame)
