"""What a book costs: one-level deltas near the touch, one BookState for each, held or not.

pytest tests/bench/test_book_bench.py --benchmark-only --benchmark-group-by=group

Three peers run beside it, in the same process, on the same deltas and after the same preparation (each gets
them as objects of its own kind): the C extension of ``order-book``, ``sortedcontainers``, and the book of
``nautilus_trader``. One that is not installed is skipped.
"""

from __future__ import annotations

import gc
import multiprocessing
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Protocol, TypeAlias

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from rtflow.book import BookState, OrderBook
from rtflow.events import Event, Level, OrderBookUpdate, Trade
from rtflow.kernel import Kernel
from rtflow.operators._book_apply import book_apply

DELTAS = 2_000


def whole(levels: int) -> OrderBookUpdate:
    bids = tuple((10_000 - tick / 10, 1.0) for tick in range(levels))
    asks = tuple((10_001 + tick / 10, 1.0) for tick in range(levels))
    return OrderBookUpdate("A", 1, 1, bids, asks, snapshot=True)


def deltas(levels: int) -> list[OrderBookUpdate]:
    """60 % new sizes, 20 % deletions, and the levels that come back; nearer the touch is likelier."""
    random = Random(1)
    made = []
    for at in range(DELTAS):
        ticks = min(int(random.expovariate(1 / 4)), levels - 1)
        size = 0.0 if random.random() < 0.2 else round(random.random() + 0.01, 4)
        bid = random.random() < 0.5
        level: tuple[Level, ...] = ((10_000 - ticks / 10 if bid else 10_001 + ticks / 10, size),)
        made.append(OrderBookUpdate("A", at, at, level if bid else (), () if bid else level))
    return made


def kernel(levels: int, **options: Any) -> Kernel[Event, BookState]:
    made = book_apply(**options).kernel()
    made.push(whole(levels))
    return made


@pytest.mark.benchmark(group="2,000 deltas")
@pytest.mark.parametrize("levels", [10, 100, 1000])
def test_a_delta_alone(benchmark: BenchmarkFixture, levels: int) -> None:
    book, stream = OrderBook(), deltas(levels)
    book.apply(whole(levels))

    def run() -> None:
        apply = book.apply
        for update in stream:
            apply(update)

    benchmark(run)
    assert book.best_bid is not None


@pytest.mark.benchmark(group="2,000 deltas")
@pytest.mark.parametrize("depth", [None, 10])
@pytest.mark.parametrize("held", [False, True], ids=["nobody holds it", "the last one is held"])
@pytest.mark.parametrize("levels", [10, 100, 1000])
def test_a_delta_and_its_state(
    benchmark: BenchmarkFixture, levels: int, held: bool, depth: int | None
) -> None:
    books, stream = kernel(levels, depth=depth), deltas(levels)
    last: list[Iterable[BookState]] = [()]

    def drop() -> None:
        push = books.push
        for update in stream:
            push(update)

    def hold() -> None:
        push = books.push
        for update in stream:
            last[0] = push(update)

    benchmark(hold if held else drop)
    assert held == bool(last[0])


@pytest.mark.benchmark(group="2,000 deltas")
@pytest.mark.parametrize("emit", ["update", "top", 1.0])
@pytest.mark.parametrize("numbered", [False, True], ids=["unnumbered", "numbered"])
def test_a_delta_by_what_is_emitted(benchmark: BenchmarkFixture, emit: Any, numbered: bool) -> None:
    replace = msgspec.structs.replace
    stream = deltas(100)
    if numbered:
        stream = [replace(update, sequence=at) for at, update in enumerate(stream, 1)]

    def ready() -> tuple[tuple[Kernel[Event, BookState]], dict[str, Any]]:
        books = book_apply(emit=emit).kernel()
        books.push(replace(whole(100), sequence=0))
        return (books,), {}

    def run(books: Kernel[Event, BookState]) -> None:
        push = books.push
        for update in stream:
            push(update)

    benchmark.pedantic(run, setup=ready, rounds=50)


@pytest.mark.benchmark(group="2,000 deltas")
def test_a_delta_and_its_checksum(benchmark: BenchmarkFixture) -> None:
    books, sides = kernel(10), whole(10)
    right = zlib.crc32(b"1" * 20)
    spelled = {"checksum_rule": "crc32-top10", "checksum": right}
    digits = {"bid_digits": ("1",) * 10, "ask_digits": ("1",) * 10}
    books.push(msgspec.structs.replace(sides, **spelled, **digits))
    update = OrderBookUpdate("A", 2, 2, sides.bids[:1], (), bid_digits=("1",))
    stream = [msgspec.structs.replace(update, **spelled)] * DELTAS

    def run() -> str:
        push = books.push
        for update in stream:
            push(update)
        (state,) = push(stream[0])
        return state.status

    assert benchmark(run) == "live"


@pytest.mark.benchmark(group="2,000 other events")
def test_an_event_that_is_none_of_its_business(benchmark: BenchmarkFixture) -> None:
    books, trade = kernel(10), Trade("A", 1, 1, 1.0, 1.0)

    def run() -> None:
        push = books.push
        for _ in range(DELTAS):
            push(trade)

    benchmark(run)


@pytest.mark.benchmark(group="a ten-level view")
@pytest.mark.parametrize("levels", [10, 1000])
def test_ten_levels_of_a_side(benchmark: BenchmarkFixture, levels: int) -> None:
    book = OrderBook()
    book.apply(whole(levels))
    assert len(benchmark(book.levels, "bid", 10)) == 10


# -- beside the peers


Delta: TypeAlias = tuple[bool, float, float]
"""Whether it is a bid, the price, and the size, 0 to delete."""


class Book(Protocol):
    """What a book can do, ours or a peer's."""

    def prepare(self, delta: Delta) -> Any:
        """The delta as this book wants it; not measured."""

    def touch(self, prepared: Any) -> Any:
        """Best bid and best ask with their sizes, after this delta."""

    def ten(self, prepared: Any) -> Any:
        """The best ten levels of both sides with their sizes, after this delta."""

    def gather(self, deltas: Sequence[Delta]) -> Any:
        """A message of several deltas as this book wants it; not measured."""

    def message(self, gathered: Any) -> Any:
        """Best bid and best ask with their sizes, after this message."""


class Ours:
    """OrderBook."""

    def __init__(self) -> None:
        self.book = OrderBook()

    def prepare(self, delta: Delta) -> OrderBookUpdate:
        bid, price, size = delta
        level = ((price, size),)
        return OrderBookUpdate("A", 1, 1, level if bid else (), () if bid else level)

    def touch(self, prepared: OrderBookUpdate) -> Any:
        book = self.book
        book.apply(prepared)
        return book.best_bid, book.best_ask

    def ten(self, prepared: OrderBookUpdate) -> Any:
        book = self.book
        book.apply(prepared)
        return book.levels("bid", 10), book.levels("ask", 10)

    def gather(self, deltas: Sequence[Delta]) -> OrderBookUpdate:
        bids, asks = (
            tuple((price, size) for bid, price, size in deltas if bid == side) for side in (True, False)
        )
        return OrderBookUpdate("A", 1, 1, bids, asks)

    def message(self, gathered: OrderBookUpdate) -> Any:
        return self.touch(gathered)


class OursSaid(Ours):
    """book_apply, with the BookState that it emits for each delta."""

    def __init__(self) -> None:
        self.push = book_apply().kernel().push
        self.push(OrderBookUpdate("A", 1, 1, (), (), snapshot=True))

    def touch(self, prepared: OrderBookUpdate) -> Any:
        (state,) = self.push(prepared)
        return (state.bid, state.bid_size), (state.ask, state.ask_size)

    def ten(self, prepared: OrderBookUpdate) -> Any:
        (state,) = self.push(prepared)
        return state.levels("bid", 10), state.levels("ask", 10)


class OrderBookInC:
    """order-book, with floats, which it is faster with than with the decimals it is usually given."""

    def __init__(self) -> None:
        book = pytest.importorskip("order_book", reason="order-book is not installed").OrderBook()
        self.bids, self.asks = book.bids, book.asks
        self.book = book

    def prepare(self, delta: Delta) -> Delta:
        return delta

    def apply(self, prepared: Delta) -> None:
        bid, price, size = prepared
        side = self.bids if bid else self.asks
        if size:
            side[price] = size
        elif price in side:
            del side[price]

    def touch(self, prepared: Delta) -> Any:
        self.apply(prepared)
        return (self.bids.index(0), self.asks.index(0)) if len(self.bids) and len(self.asks) else None

    def ten(self, prepared: Delta) -> Any:
        self.apply(prepared)
        bid, ask = self.bids.index, self.asks.index
        return [bid(place) for place in range(10)], [ask(place) for place in range(10)]

    def gather(self, deltas: Sequence[Delta]) -> Sequence[Delta]:
        return deltas

    def message(self, gathered: Sequence[Delta]) -> Any:
        bids, asks = self.bids, self.asks
        for bid, price, size in gathered:
            side = bids if bid else asks
            if size:
                side[price] = size
            elif price in side:
                del side[price]
        return (bids.index(0), asks.index(0)) if len(bids) and len(asks) else None


class Sorted:
    """sortedcontainers: a SortedDict a side, the bids by the negative price."""

    def __init__(self) -> None:
        make = pytest.importorskip("sortedcontainers", reason="sortedcontainers is not installed").SortedDict
        self.bids, self.asks = make(), make()

    def prepare(self, delta: Delta) -> Delta:
        bid, price, size = delta
        return bid, -price if bid else price, size

    def apply(self, prepared: Delta) -> None:
        bid, price, size = prepared
        side = self.bids if bid else self.asks
        if size:
            side[price] = size
        else:
            side.pop(price, None)

    def touch(self, prepared: Delta) -> Any:
        self.apply(prepared)
        if not (self.bids and self.asks):
            return None
        bid, bid_size = self.bids.peekitem(0)
        return (-bid, bid_size), self.asks.peekitem(0)

    def ten(self, prepared: Delta) -> Any:
        self.apply(prepared)
        bids, asks = self.bids, self.asks
        return [(-price, bids[price]) for price in bids.islice(0, 10)], [
            (price, asks[price]) for price in asks.islice(0, 10)
        ]

    def gather(self, deltas: Sequence[Delta]) -> Sequence[Delta]:
        return [self.prepare(delta) for delta in deltas]

    def message(self, gathered: Sequence[Delta]) -> Any:
        bids, asks = self.bids, self.asks
        for is_bid, price, size in gathered:
            side = bids if is_bid else asks
            if size:
                side[price] = size
            else:
                side.pop(price, None)
        if not (bids and asks):
            return None
        bid, bid_size = bids.peekitem(0)
        return (-bid, bid_size), asks.peekitem(0)


class Nautilus:
    """nautilus_trader: Rust behind Cython, L2, deltas as its own objects."""

    def __init__(self) -> None:
        room = partial(pytest.importorskip, reason="nautilus_trader is not installed")
        self.enums, self.data = room("nautilus_trader.model.enums"), room("nautilus_trader.model.data")
        self.objects = room("nautilus_trader.model.objects")
        self.id = room("nautilus_trader.model.identifiers").InstrumentId.from_str("A.V")
        self.book = room("nautilus_trader.model.book").OrderBook(self.id, self.enums.BookType.L2_MBP)

    def prepare(self, delta: Delta) -> Any:
        bid, price, size = delta
        side = self.enums.OrderSide.BUY if bid else self.enums.OrderSide.SELL
        action = self.enums.BookAction.UPDATE if size else self.enums.BookAction.DELETE
        level = self.objects.Price(price, 1), self.objects.Quantity(size, 4)
        order = self.data.BookOrder(side, *level, 0)
        return self.data.OrderBookDelta(self.id, action, order, 0, 0, 0, 0)

    def touch(self, prepared: Any) -> Any:
        book = self.book
        book.apply_delta(prepared)
        return (
            (book.best_bid_price(), book.best_bid_size()),
            (book.best_ask_price(), book.best_ask_size()),
        )

    def ten(self, prepared: Any) -> Any:
        book = self.book
        book.apply_delta(prepared)
        return [(level.price, level.size()) for level in book.bids()[:10]], [
            (level.price, level.size()) for level in book.asks()[:10]
        ]

    def gather(self, deltas: Sequence[Delta]) -> Any:
        return self.data.OrderBookDeltas(self.id, [self.prepare(delta) for delta in deltas])

    def message(self, gathered: Any) -> Any:
        book = self.book
        book.apply_deltas(gathered)
        return (
            (book.best_bid_price(), book.best_bid_size()),
            (book.best_ask_price(), book.best_ask_size()),
        )


BOOKS: tuple[Callable[[], Book], ...] = (Ours, OursSaid, OrderBookInC, Sorted, Nautilus)
NAMES = ("rtflow, the book", "rtflow, book_apply", "order-book", "sortedcontainers", "nautilus_trader")


def filled(make: Callable[[], Book], levels: int) -> Book:
    book, both = make(), whole(levels)
    for bid, side in ((True, both.bids), (False, both.asks)):
        for price, size in side:
            book.touch(book.prepare((bid, price, size)))
    return book


def plain(levels: int) -> list[Delta]:
    return [(bool(each.bids), *(each.bids or each.asks)[0]) for each in deltas(levels)]  # each has one level


def prepared(book: Book, levels: int) -> list[Any]:
    return [book.prepare(delta) for delta in plain(levels)]


def gathered(book: Book, levels: int) -> list[Any]:
    """The same deltas, five in a message."""
    each = plain(levels)
    return [book.gather(each[at : at + 5]) for at in range(0, len(each), 5)]


@pytest.mark.benchmark(group="2,000 deltas, best bid and ask after each, beside the peers")
@pytest.mark.parametrize("make", BOOKS, ids=NAMES)
@pytest.mark.parametrize("levels", [10, 100, 1000])
def test_a_delta_and_the_touch(benchmark: BenchmarkFixture, make: Callable[[], Book], levels: int) -> None:
    book = filled(make, levels)
    stream = prepared(book, levels)

    def run() -> None:
        touch = book.touch
        for delta in stream:
            touch(delta)

    benchmark(run)


@pytest.mark.benchmark(group="400 messages of five deltas, best bid and ask after each, beside the peers")
@pytest.mark.parametrize("make", BOOKS, ids=NAMES)
@pytest.mark.parametrize("levels", [10, 100, 1000])
def test_a_message_and_the_touch(benchmark: BenchmarkFixture, make: Callable[[], Book], levels: int) -> None:
    book = filled(make, levels)
    stream = gathered(book, levels)

    def run() -> None:
        message = book.message
        for each in stream:
            message(each)

    benchmark(run)


@pytest.mark.benchmark(group="2,000 deltas, ten levels a side after each, beside the peers")
@pytest.mark.parametrize("make", BOOKS, ids=NAMES)
@pytest.mark.parametrize("levels", [100, 1000])
def test_a_delta_and_ten_levels(benchmark: BenchmarkFixture, make: Callable[[], Book], levels: int) -> None:
    book = filled(make, levels)
    stream = prepared(book, levels)

    def run() -> None:
        ten = book.ten
        for delta in stream:
            ten(delta)

    benchmark.pedantic(run, rounds=5)


@pytest.mark.parametrize("make", BOOKS, ids=NAMES)
def test_the_books_agree(make: Callable[[], Book]) -> None:
    """So that all of them are measured at the same work."""
    book, ours = filled(make, 100), filled(Ours, 100)
    for ask in ("touch", "ten"):
        for delta, own in zip(prepared(book, 100), prepared(ours, 100), strict=True):
            theirs, right = getattr(book, ask)(delta), getattr(ours, ask)(own)
            assert numbers(theirs) == numbers(right)
    for message, own in zip(gathered(book, 100), gathered(ours, 100), strict=True):
        assert numbers(book.message(message)) == numbers(ours.message(own))


def numbers(said: Any) -> list[float]:
    """All the prices and sizes there are, in order."""
    return (
        [number for each in said for number in numbers(each)]
        if isinstance(said, tuple | list)
        else [float(said)]
    )


COUNT = 100
"""Books of 1,000 levels a side that are weighed together."""


@pytest.mark.benchmark(group="memory: see what is printed")
@pytest.mark.parametrize("make", BOOKS, ids=NAMES)
def test_the_memory_of_a_book(benchmark: BenchmarkFixture, make: Callable[[], Book]) -> None:
    """What a process grows by, a book: each kind is weighed in a fresh one."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("nothing here tells how large a process is")
    make()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        size = pool.apply(weigh, (BOOKS.index(make),))
    benchmark.extra_info["bytes"] = size
    benchmark.pedantic(lambda: None, rounds=1)
    print(f"\n{NAMES[BOOKS.index(make)]}: {size / 1024:,.0f} KiB a book of 1,000 levels a side")


def weigh(index: int) -> int:
    """How many bytes a book of one kind takes."""
    make = BOOKS[index]
    kept = [filled(make, 1000)]
    gc.collect()
    before = resident()
    kept += [filled(make, 1000) for _ in range(COUNT)]
    gc.collect()
    return (resident() - before) // COUNT


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
