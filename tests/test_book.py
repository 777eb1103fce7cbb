"""OrderBook and BookState: held against a book that sorts everything every time."""

from __future__ import annotations

import copy
import pickle
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtflow.book import CHECKSUMS, BookSide, BookState, OrderBook, _Questions, crc32_top10, joins_on
from rtflow.events import Level, OrderBookUpdate, Side

prices = st.integers(1, 12).map(lambda ticks: ticks / 10)
sizes = st.sampled_from([0.0, 0.0, 0.5, 1.0, 2.5])
some_levels = st.lists(st.tuples(prices, sizes), max_size=6).map(tuple)


@st.composite
def updates(draw: st.DrawFn) -> OrderBookUpdate:
    bids, asks = draw(some_levels), draw(some_levels)
    spelled = draw(st.booleans())
    return OrderBookUpdate(
        "A",
        0,
        0,
        bids,
        asks,
        snapshot=draw(st.sampled_from([False, False, False, True])),
        depth=draw(st.sampled_from([None, 1, 3])),
        bid_digits=tuple(map(digits_of, bids)) if spelled else (),
        ask_digits=tuple(map(digits_of, asks)) if spelled else (),
    )


def digits_of(level: Level) -> str:
    return f"{level[0]}/{level[1]}"


class Naive:
    """Dicts, and a sort for every question."""

    def __init__(self) -> None:
        self.sides: dict[BookSide, dict[float, tuple[float, str]]] = {"bid": {}, "ask": {}}

    def apply(self, update: OrderBookUpdate) -> None:
        if update.snapshot:
            self.sides = {"bid": {}, "ask": {}}
        sides: Any = (("bid", update.bids, update.bid_digits), ("ask", update.asks, update.ask_digits))
        for side, levels, digits in sides:
            held = self.sides[side]
            for index, (price, size) in enumerate(levels):
                held.pop(price, None)
                if size:
                    held[price] = size, digits[index] if digits else ""
            self.sides[side] = {price: held[price] for price in self.sorted(side)[: update.depth]}

    def sorted(self, side: BookSide) -> list[float]:
        return sorted(self.sides[side], reverse=side == "bid")

    def levels(self, side: BookSide) -> tuple[Level, ...]:
        return tuple((price, self.sides[side][price][0]) for price in self.sorted(side))

    def digits(self, side: BookSide) -> list[str]:
        return [self.sides[side][price][1] for price in self.sorted(side)]


@settings(max_examples=200)
@given(st.lists(updates(), max_size=12))
def test_a_book_is_what_a_naive_one_is_after_every_update(stream: list[OrderBookUpdate]) -> None:
    book, naive = OrderBook(), Naive()
    held: list[tuple[BookState, tuple[Level, ...], tuple[Level, ...]]] = []
    for update in stream:
        book.apply(update)
        naive.apply(update)
        bids, asks = naive.levels("bid"), naive.levels("ask")
        assert (book.levels("bid"), book.levels("ask")) == (bids, asks)
        assert (book.digits("bid", 12), book.digits("ask", 12)) == (naive.digits("bid"), naive.digits("ask"))
        assert book.levels("bid", 2) == bids[:2]
        assert book.levels("ask", 2) == asks[:2]
        assert book.best_bid == (bids[0] if bids else None)
        assert book.best_ask == (asks[0] if asks else None)
        held.append((book.view("A", 0, 0), bids, asks))
    for state, bids, asks in held:
        assert (state.bids, state.asks) == (bids, asks)


@given(st.lists(updates(), max_size=8), st.lists(updates(), max_size=4))
def test_a_book_goes_through_json_and_back(
    before: list[OrderBookUpdate], after: list[OrderBookUpdate]
) -> None:
    book, again = OrderBook(), OrderBook.of(bids=[(7.0, 7.0)])
    for update in before:
        book.apply(update)
    again.restore(msgspec.json.decode(msgspec.json.encode(book.state())))
    for update in after:
        book.apply(update)
        again.apply(update)
    assert again == book
    assert again.digits("bid", 12) == book.digits("bid", 12)
    assert again.digits("ask", 12) == book.digits("ask", 12)


def test_an_update_with_digits_for_some_levels_only_changes_nothing() -> None:
    book = OrderBook.of(bids=[(99.0, 1.0)], asks=[(101.0, 1.0)])
    for side in ("bid", "ask"):
        halves = {"bid_digits": ("1",)} if side == "bid" else {"ask_digits": ("1",)}
        two = ((50.0, 1.0), (51.0, 1.0))
        update = msgspec.structs.replace(OrderBookUpdate("A", 0, 0, two, two, snapshot=True), **halves)
        with pytest.raises(ValueError, match="digits for some"):
            book.apply(update)
    assert book == OrderBook.of(bids=[(99.0, 1.0)], asks=[(101.0, 1.0)])


@settings(max_examples=100)
@given(st.lists(updates(), min_size=1, max_size=12), st.integers(1, 4))
def test_after_a_limited_snapshot_a_book_is_right_as_far_as_it_reaches(
    stream: list[OrderBookUpdate], limit: int
) -> None:
    """The venue has more than it said. Of what lies beyond, a change tells one level, not its neighbours."""
    venue, book, again = OrderBook(), OrderBook(), OrderBook()
    venue.apply(OrderBookUpdate("A", 0, 0, stream[0].bids, stream[0].asks))
    bids, asks = venue.levels("bid", limit), venue.levels("ask", limit)
    book.apply(OrderBookUpdate("A", 0, 0, bids, asks, snapshot=True, limit=limit))
    for update in stream[1:]:
        changes = OrderBookUpdate("A", 0, 0, update.bids, update.asks)
        again.restore(msgspec.json.decode(msgspec.json.encode(book.state())))
        for each in venue, book, again:
            each.apply(changes)
        assert (again, again.reach, again.exhausted) == (book, book.reach, book.exhausted)
        known = []
        sides: tuple[tuple[BookSide, tuple[Level, ...]], ...] = (("bid", bids), ("ask", asks))
        for side, told in sides:
            levels = book.levels(side)
            if len(told) < limit:
                assert levels == venue.levels(side)
            else:
                assert levels == venue.levels(side)[: len(levels)]
                known.append(len(levels))
        assert book.reach == (min(known) if known else None)
        assert book.exhausted == (book.reach == 0)


def test_a_limited_book_is_exhausted_when_less_than_a_tenth_is_left() -> None:
    book = OrderBook()
    bids = tuple((float(price), 1.0) for price in range(100, 130))
    book.apply(OrderBookUpdate("A", 0, 0, bids, ((130.0, 1.0),), snapshot=True, limit=30))
    for price in range(129, 102, -1):
        assert not book.exhausted
        book.remove("bid", float(price))
    assert (book.reach, book.exhausted) == (3, False)
    copied = book.copy()
    book.remove("bid", 101.0)
    assert (book.reach, book.exhausted) == (2, True)
    assert (copied.reach, copied.exhausted) == (3, False)
    book.clear()
    assert (book.reach, book.exhausted, book.limited) == (None, False, False)


@pytest.mark.parametrize(
    "level",
    [(97.0, -1.0), (97.0, float("nan")), (float("nan"), 1.0), (float("nan"), 0.0), (-float("inf"), 1.0)],
)
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("side", ["bids", "asks"])
def test_half_an_update_makes_no_book(side: str, known: bool, level: Level) -> None:
    book = OrderBook.of(
        [(99.0, 1.0), (97.0, 1.0)] if known else [], [(101.0, 1.0), (97.0, 1.0)] if known else []
    )
    state = book.view("A", 0, 0)
    levels = ((50.0, 1.0), level)
    update = OrderBookUpdate("A", 0, 0, *((levels, ()) if side == "bids" else ((), levels)))
    with pytest.raises(
        ValueError, match=f"an update of A has a level with the price {level[0]}, size {level[1]}"
    ):
        book.apply(update)
    assert book == OrderBook()
    assert (book.best_bid, book.best_ask, book.crossed) == (None, None, False)
    assert len(state.bids) == len(state.asks) == 2 * known


def test_a_level_by_hand_has_a_finite_price() -> None:
    with pytest.raises(ValueError, match="price nan"):
        OrderBook().add("bid", float("nan"), 1.0)


def test_a_book_has_two_sides_and_no_other() -> None:
    book = both()[0]
    for question in (book.levels, book.view("A", 0, 0).levels):
        with pytest.raises(ValueError, match="a 'bid' and an 'ask' side, no 'buy'"):
            question("buy")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no 'asks'"):
        book.add("asks", 1.0, 1.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no 'BID'"):
        book.remove("BID", 1.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no 'bids'"):
        book.digits("bids", 1)  # type: ignore[arg-type]
    assert book == both()[0]


def test_the_best_of_a_side_is_the_best_whatever_an_update_does_to_it_on_the_way() -> None:
    book = OrderBook.of([(99.0, 1.0), (98.0, 1.0)], [(101.0, 1.0), (102.0, 1.0)])
    away = ((100.0, 5.0), (99.0, 0.0), (100.0, 0.0), (98.0, 3.0))
    back = ((101.0, 0.0), (100.5, 5.0), (100.5, 0.0), (102.0, 3.0))
    book.apply(OrderBookUpdate("A", 0, 0, away, back))
    assert (book.best_bid, book.best_ask) == ((98.0, 3.0), (102.0, 3.0))


# -- questions


def both() -> tuple[OrderBook, BookState]:
    bids, asks = [(99.0, 2.0), (98.5, 3.0), (90.0, 5.0)], [(101.0, 6.0), (101.5, 1.0), (110.0, 4.0)]
    book = OrderBook.of(bids, asks)
    return book, book.view("A", 0, 0)


@pytest.mark.parametrize("ask_whom", [0, 1], ids=["book", "state"])
def test_a_book_and_its_state_answer_alike(ask_whom: int) -> None:
    book = both()[ask_whom]
    assert book.best_bid == (99.0, 2.0)
    assert book.best_ask == (101.0, 6.0)
    assert book.spread == 2.0
    assert book.mid == 100.0
    assert book.microprice == (99.0 * 6.0 + 101.0 * 2.0) / 8.0
    assert book.levels("bid", 2) == ((99.0, 2.0), (98.5, 3.0))
    assert book.levels("ask", 9) == ((101.0, 6.0), (101.5, 1.0), (110.0, 4.0))
    assert book.imbalance() == (2.0 - 6.0) / 8.0
    assert book.imbalance(2) == (5.0 - 7.0) / 12.0
    assert book.depth_at(98.5) == 3.0
    assert book.depth_at(101.0) == 6.0
    assert book.depth_at(100.0) is None
    assert book.size_within(100) == (2.0, 6.0)
    assert book.size_within(150) == (5.0, 7.0)
    assert book.average_price(Side.BUY, 6.5) == (6.0 * 101.0 + 0.5 * 101.5) / 6.5
    assert book.average_price(Side.SELL, 2.0) == 99.0
    assert book.average_price(Side.SELL, 10.5) is None
    assert book.grouped(1.0) == (
        ((99.0, 2.0), (98.0, 3.0), (90.0, 5.0)),
        ((101.0, 6.0), (102.0, 1.0), (110.0, 4.0)),
    )


@pytest.mark.parametrize(
    "book",
    [OrderBook(), OrderBook.of(bids=[(99.0, 1.0)]), OrderBook.of(asks=[(99.0, 1.0)])],
    ids=["nothing", "bids", "asks"],
)
def test_what_an_empty_side_cannot_answer_is_none(book: OrderBook) -> None:
    for asked in (book, book.view("A", 0, 0)):
        answers = asked.spread, asked.mid, asked.microprice, asked.imbalance(), asked.size_within(10)
        assert answers == (None,) * 5
    state = book.view("A", 0, 0)
    assert (state.bid is None) == (state.bid_size is None) == (book.best_bid is None)
    assert (state.ask is None) == (state.ask_size is None) == (book.best_ask is None)
    assert (state.best_bid, state.best_ask) == (book.best_bid, book.best_ask)
    assert not state.crossed


def test_where_the_sides_meet_both_sizes_rest_at_the_price() -> None:
    locked = OrderBook.of(bids=[(99.0, 1.0)], asks=[(99.0, 2.0)])
    assert locked.depth_at(99.0) == 3.0
    assert locked.view("A", 0, 0).depth_at(99.0) == 3.0
    assert locked.spread == 0.0
    assert not locked.view("A", 0, 0).crossed


def test_a_bid_above_the_ask_is_crossed() -> None:
    book = OrderBook.of(bids=[(99.5, 1.0)], asks=[(99.0, 2.0)])
    assert book.view("A", 0, 0).crossed
    assert book.spread == -0.5


@pytest.mark.parametrize(
    ("side", "size"), [(Side.UNKNOWN, 1.0), (Side.BUY, 0.0), (Side.BUY, -1.0), (Side.SELL, float("nan"))]
)
def test_an_order_needs_a_side_and_a_size(side: Side, size: float) -> None:
    with pytest.raises(ValueError, match="buys or sells"):
        both()[0].average_price(side, size)


def test_an_order_may_be_smaller_than_one() -> None:
    assert both()[0].average_price(Side.BUY, 0.5) == 101.0


def test_grouping_is_exact_in_decimals() -> None:
    book = OrderBook.of(bids=[(0.3, 1.0), (0.35, 2.0), (-0.05, 4.0)], asks=[(0.7, 1.0), (0.71, 2.0)])
    assert book.grouped(0.1) == (((0.3, 3.0), (-0.1, 4.0)), ((0.7, 1.0), (0.8, 2.0)))
    with pytest.raises(ValueError, match="positive tick"):
        book.grouped(0.0)


def test_no_levels_cannot_be_asked_for() -> None:
    for asked in both():
        for call in (lambda n: asked.levels("bid", n), asked.imbalance):  # noqa: B023
            with pytest.raises(ValueError, match="one level or more"):
                call(0)


def test_who_only_asks_questions_must_bring_a_book() -> None:
    with pytest.raises(NotImplementedError):
        _ = _Questions().best_bid
    with pytest.raises(NotImplementedError):
        _ = _Questions().best_ask
    with pytest.raises(NotImplementedError):
        _Questions().levels("bid")


# -- by hand


def test_levels_are_added_and_removed_by_hand() -> None:
    book = OrderBook()
    book.add("bid", 99.0, 1.0)
    book.add("bid", 99.0, 2.0)
    book.add("ask", 101.0, 1.0)
    before = book.view("A", 0, 0)
    book.remove("ask", 101.0)
    book.remove("ask", 102.0)
    assert book.levels("bid") == ((99.0, 2.0),)
    assert book.best_ask is None
    assert before.asks == ((101.0, 1.0),)
    with pytest.raises(ValueError, match="positive size"):
        book.add("bid", 99.0, 0.0)
    book.clear()
    assert book == OrderBook()
    assert before.bids == ((99.0, 2.0),)


def test_a_bid_is_removed_by_hand_and_the_ask_at_its_price_stays() -> None:
    book = OrderBook.of(bids=[(99.0, 1.0), (98.0, 1.0)], asks=[(99.0, 1.0)])
    book.remove("bid", 99.0)
    assert (book.levels("bid"), book.levels("ask")) == (((98.0, 1.0),), ((99.0, 1.0),))


def test_books_are_equal_only_where_both_sides_are() -> None:
    book = OrderBook.of(bids=[(99.0, 1.0)], asks=[(101.0, 1.0)])
    assert book != OrderBook.of(bids=[(99.0, 1.0)])
    assert book != OrderBook.of(asks=[(101.0, 1.0)])


def test_a_copy_to_a_depth_knows_nothing_below_it() -> None:
    book = OrderBook.of(bids=[(99.0, 2.0), (98.0, 5.0)], asks=[(101.0, 6.0), (102.0, 1.0)])
    assert book.copy(1) == OrderBook.of(bids=[(99.0, 2.0)], asks=[(101.0, 6.0)])
    assert book.copy() == book


def test_digits_go_with_their_levels() -> None:
    book = OrderBook()
    bids, asks = ((2.0, 1.0), (1.0, 1.0)), ((3.0, 1.0), (4.0, 1.0))
    book.apply(OrderBookUpdate("A", 0, 0, bids, asks, bid_digits=("a", "b"), ask_digits=("c", "d")))
    book.apply(OrderBookUpdate("A", 0, 0, ((2.0, 0.0),), ((3.0, 0.0),), bid_digits=("e",), ask_digits=("f",)))
    assert (book._bid_digits, book._ask_digits) == ({1.0: "b"}, {4.0: "d"})
    book.apply(OrderBookUpdate("A", 0, 0, ((1.5, 1.0),), ((3.5, 1.0),), depth=1))
    assert (book._bid_digits, book._ask_digits) == ({}, {})


def test_a_book_without_digits_saves_none() -> None:
    state = OrderBook.of(bids=[(99.0, 1.0)], asks=[(101.0, 1.0)]).state()
    assert (state["bid_digits"], state["ask_digits"]) == ((), ())


def test_a_state_carries_what_it_was_said_with() -> None:
    state = OrderBook.of(bids=[(99.0, 1.0)]).view(
        "A", 1, 2, "live", "v", epoch=3, sequence=4, known_depth=5, reason="why", depth=6
    )
    assert (state.ts_event, state.ts_recv, state.epoch, state.sequence) == (1, 2, 3, 4)
    assert (state.known_depth, state.reason, state.depth, state.crossed) == (5, "why", 6, False)
    assert OrderBook().view("A", 1, 2).epoch == 1


def test_a_state_tells_its_age() -> None:
    state = OrderBook().view("A", ts_event=1, ts_recv=5)
    assert (state.age(5), state.age(1_000_000_005)) == (0, 1_000_000_000)


@pytest.mark.parametrize(
    ("bids", "asks", "crossed"),
    [([], [], False), ([9.0], [], False), ([], [9.0], False), ([9.0], [9.0], False), ([9.5], [9.0], True)],
)
def test_a_book_knows_whether_it_is_crossed_as_its_state_does(
    bids: list[float], asks: list[float], crossed: bool
) -> None:
    book = OrderBook.of([(price, 1.0) for price in bids], [(price, 1.0) for price in asks])
    assert (book.crossed, book.view("A", 0, 0).crossed) == (crossed, crossed)


def test_an_update_without_a_number_joins_on_anywhere() -> None:
    assert joins_on(OrderBookUpdate("A", 0, 0, (), ()), 5)


def test_a_level_set_by_hand_loses_its_digits() -> None:
    book = OrderBook()
    book.apply(
        OrderBookUpdate("A", 0, 0, ((1.0, 1.0),), ((2.0, 1.0),), bid_digits=("11",), ask_digits=("21",))
    )
    book.add("bid", 1.0, 3.0)
    book.add("ask", 2.0, 3.0)
    assert book.digits("bid", 1) == book.digits("ask", 1) == [""]


def test_a_book_says_what_it_is() -> None:
    book, state = both()
    assert repr(book) == "<OrderBook 99.0×2.0 | 101.0×6.0, 3 bids, 3 asks>"
    assert repr(OrderBook()) == "<OrderBook – | –, 0 bids, 0 asks>"
    assert repr(state) == "<BookState A live 99.0×2.0 | 101.0×6.0>"
    book.add("bid", 102.0, 1.0)
    assert repr(book.view("A", 0, 0, "suspect", "x", reason="why")) == (
        "<BookState x A suspect 102.0×1.0 | 101.0×6.0, crossed, why>"
    )
    assert book != 1
    assert state != 1


# -- what was said stays said


def test_states_are_equal_when_they_show_the_same() -> None:
    (book, state), (_, other) = both(), both()
    assert state == other
    assert not state != other  # noqa: SIM202 - the two are written apart in a Struct
    assert hash(state) == hash(other)
    assert state != book.view("A", 0, 1)
    assert hash(state) != hash(book.view("A", 0, 1))
    book.add("bid", 90.0, 5.5)  # under the touch
    assert state != book.view("A", 0, 0)
    book.add("bid", 90.0, 5.0)
    book.add("ask", 110.0, 5.5)
    assert state != book.view("A", 0, 0)


def test_a_state_shows_no_more_than_its_depth() -> None:
    book = both()[0]
    state = book.view("A", 0, 0, depth=2)
    for _ in range(2):
        assert state.bids == ((99.0, 2.0), (98.5, 3.0))
        assert state.asks == ((101.0, 6.0), (101.5, 1.0))
        assert state.levels("bid", 3) == state.bids
        assert state.levels("ask", 1) == ((101.0, 6.0),)
        book.clear()  # the second time round the levels are its own


def test_two_states_of_one_moment_both_last() -> None:
    book = both()[0]
    first, second = book.view("A", 0, 0), book.view("A", 0, 0, "suspect")
    bids = book.levels("bid")
    book.clear()
    assert first.bids == second.bids == bids


def test_a_state_survives_pickling_and_copying() -> None:
    book, state = both()
    for twin in (pickle.loads(pickle.dumps(state)), copy.copy(state), copy.deepcopy(state)):
        assert twin == state
    book.clear()
    assert pickle.loads(pickle.dumps(state)) == both()[1]


def test_nobody_pays_for_a_state_that_nobody_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[int | None] = []
    whole = OrderBook.copy

    def counted(book: OrderBook, depth: int | None = None) -> OrderBook:
        copies.append(depth)
        return whole(book, depth)

    monkeypatch.setattr(OrderBook, "copy", counted)
    book = both()[0]
    for _ in range(3):
        book.view("A", 0, 0)
        book.add("bid", 99.0, 1.0)
    assert copies == []
    held = book.view("A", 0, 0, depth=2)
    book.add("bid", 99.0, 7.0)
    book.add("bid", 99.0, 8.0)
    assert copies == [2]
    assert held.bid_size == 1.0


class Interrupted(dict[float, float]):
    """A dict during whose reading another thread changes the book."""

    def __init__(self, book: OrderBook, *, torn: bool) -> None:
        super().__init__(book._bids)
        self.book = book
        self.torn = torn

    def __getitem__(self, price: float) -> float:
        book, self.book = self.book, OrderBook()
        if book != OrderBook():
            book._bids = dict(self)
            book.clear()
            if self.torn:
                raise KeyError(price)
            return -1.0  # what it was changed to
        return super().__getitem__(price)


@pytest.mark.parametrize("torn", [False, True])
def test_a_reader_on_another_thread_never_sees_a_torn_book(torn: bool) -> None:
    book, state = both()
    book._bids = Interrupted(book, torn=torn)
    assert state.bids == ((99.0, 2.0), (98.5, 3.0), (90.0, 5.0))
    assert book == OrderBook()


def test_a_price_without_a_size_is_a_bug_and_is_not_hidden() -> None:
    book, state = both()
    book._bids.clear()
    with pytest.raises(KeyError):
        _ = state.bids


# -- checksums: the vectors of https://docs.kraken.com/exchange/guides/websockets/book-checksum-v2


def kraken_digits(text: str) -> str:
    return text.replace(".", "").lstrip("0")


def spelled(asks: list[tuple[str, str]], bids: list[tuple[str, str]]) -> OrderBook:
    book = OrderBook()
    book.apply(
        OrderBookUpdate(
            "A",
            0,
            0,
            tuple((float(price), float(size)) for price, size in bids),
            tuple((float(price), float(size)) for price, size in asks),
            snapshot=True,
            bid_digits=tuple(kraken_digits(price) + kraken_digits(size) for price, size in bids),
            ask_digits=tuple(kraken_digits(price) + kraken_digits(size) for price, size in asks),
        )
    )
    return book


def pairs(text: str) -> Iterator[tuple[str, str]]:
    for pair in text.split():
        price, _, size = pair.partition("@")
        yield price, size


def test_the_guide_s_example_has_the_guide_s_checksum() -> None:
    asks = list(
        pairs(
            "45285.2@0.00100000 45286.4@1.54571953 45286.6@1.54571109 45289.6@1.54560911 45290.2@0.15890660 "
            "45291.8@1.54553491 45294.7@0.04454749 45296.1@0.35380000 45297.5@0.09945542 45299.5@0.18772827"
        )
    )
    bids = list(
        pairs(
            "45283.5@0.10000000 45283.4@1.54582015 45282.1@0.10000000 45281.0@0.10000000 45280.3@1.54592586 "
            "45279.0@0.07990000 45277.6@0.03310103 45277.5@0.30000000 45277.3@1.54602737 45276.6@0.15445238"
        )
    )
    assert crc32_top10(spelled(asks, bids)) == 3310070434
    deeper = spelled([*asks, ("45300.0", "1.00000000")], [*bids, ("45000.0", "1.00000000")])
    assert crc32_top10(deeper) == 3310070434


def test_the_old_guide_s_example_has_its_checksum_too() -> None:
    asks = "0.05005 0.05010 0.05015 0.05020 0.05025 0.05030 0.05035 0.05040 0.05045 0.05050"
    bids = "0.05000 0.04995 0.04990 0.04980 0.04975 0.04970 0.04965 0.04960 0.04955 0.04950"
    book = spelled(*([(price, "0.00000500") for price in side.split()] for side in (asks, bids)))
    assert CHECKSUMS["crc32-top10"](book) == 974947235


def test_an_empty_book_sums_to_nothing() -> None:
    assert crc32_top10(OrderBook()) == zlib.crc32(b"") == 0
