"""detect_gaps: holes that a venue's own numbers betray."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from rtflow.book import joins_on
from rtflow.columns import pass_over
from rtflow.counters import Counters
from rtflow.events import Event, Gap, OrderBookUpdate, Status, Trade
from rtflow.kernel import Kernel, Lifted, lift


def detect_gaps(
    *, trades: bool = True, books: bool = False, counters: Counters | None = None
) -> Lifted[Event, Event]:
    """Every event, and a ``Gap`` of one symbol before each that comes after a missing number.

    ::

        --5--6-----9--10--9--11--|
        [      detect_gaps()     ]
        --5--6----G9--10--9--11--|     G: "trades 7 to 8 missing", from the stamp of 6 to that of 9

    ``trades`` goes by trade ids, for venues that count them by symbol without a hole (Kraken, Binance,
    Coinbase); ids that are no numbers are passed over. ``books`` goes by the ``sequence`` of updates, as
    ``op.book_apply`` does itself: it is for those who read updates without it.

    Behind a lost line, whose own ``Gap`` covers what it lost, the numbers say which trades those were, from
    the end of that ``Gap`` to the next trade; books begin anew there. Numbers that run backwards, as those of
    repeated or late trades, say nothing. Gaps are counted as ``gaps``. Raises ValueError where nothing is to
    be looked at.

        >>> kernel = detect_gaps().kernel()
        >>> for number in (5, 6, 9):
        ...     for event in kernel.push(Trade("BTC/USD", 1, number * 10, 100.0, 0.5, id=str(number))):
        ...         print(type(event).__name__, event.reason if isinstance(event, Gap) else event.id)
        Trade 5
        Trade 6
        Gap trades 7 to 8 missing
        Trade 9
    """
    if not (trades or books):
        raise ValueError("detect_gaps() wants trades=True, books=True or both")
    counted = Counters() if counters is None else counters
    return lift(lambda: _DetectGaps(trades, books, counted))


class _Last(msgspec.Struct):
    """The last number of one symbol's trades, or of one book's updates, and when it came."""

    number: int
    ts_recv: int


_Place: TypeAlias = tuple[str, str, str, str]
"""Kind, venue, exchange and symbol: what is counted on its own."""


class _DetectGaps(Kernel[Event, Event]):
    """The last number of everything that is counted."""

    def __init__(self, trades: bool, books: bool, counters: Counters) -> None:
        self._trades = trades
        self._books = books
        self._counters = counters
        self._last: dict[_Place, _Last] = {}
        self._epochs: dict[str, int] = {}  # by venue

    def push(self, item: Event) -> tuple[Event, ...]:
        gap: Gap | None = None
        match item:
            case Trade() if self._trades and item.id.isascii() and item.id.isdecimal():
                gap = self._follow("trades", item, int(item.id))
            case OrderBookUpdate() if self._books and item.sequence is not None:
                gap = self._follow("books", item, item.sequence)
            case Status(state="open" | "joined" | "bridged"):
                self._epochs[item.venue] = item.epoch
            case Gap():
                self._heed(item)
            case _:
                pass_over(item, "detect_gaps")
        return (item,) if gap is None else (gap, item)

    def state(self) -> Any:
        return [list(self._last.items()), self._epochs]

    def restore(self, state: Any) -> None:
        last, self._epochs = msgspec.convert(state, tuple[list[tuple[_Place, _Last]], dict[str, int]])
        self._last = dict(last)

    def _follow(self, kind: str, item: Trade | OrderBookUpdate, number: int) -> Gap | None:
        """The hole between the last one counted and this one."""
        place = (kind, item.venue, item.exchange, item.symbol)
        last = self._last.get(place)
        whole = isinstance(item, OrderBookUpdate) and item.snapshot
        if last is None or whole:
            self._last[place] = _Last(number, item.ts_recv)
            return None
        if number <= last.number:
            return None
        before, since = last.number, last.ts_recv
        last.number, last.ts_recv = number, item.ts_recv
        missing = _missing(item, number, before)
        if not missing:
            return None
        self._counters.add("gaps")
        epoch = item.epoch if isinstance(item, OrderBookUpdate) else self._epochs.get(item.venue, 1)
        words = f"{kind} {missing} missing"
        return Gap(since, item.ts_recv, epoch, item.ts_recv, words, item.venue, (item.symbol,), kind)

    def _heed(self, gap: Gap) -> None:
        """What a hole lost is its own to tell; behind its end it is ours again, and only trades count on."""
        for place, last in list(self._last.items()):
            kind, venue, _, symbol = place
            if gap.venue not in ("", venue) or symbol not in (gap.symbols or (symbol,)):
                continue
            if kind == "books":
                del self._last[place]
            elif gap.ts_end is not None:
                last.ts_recv = max(last.ts_recv, gap.ts_end)


def _missing(item: Trade | OrderBookUpdate, number: int, before: int) -> str:
    """Which numbers are not there between ``before`` and this one."""
    first = number
    if isinstance(item, OrderBookUpdate):
        if joins_on(item, before):
            return ""
        if item.previous_sequence is not None:  # its numbers have holes, so nobody knows how many
            return f"up to {item.previous_sequence}"
        first = number if item.first_sequence is None else item.first_sequence
    if first == before + 2:
        return str(before + 1)
    return "" if first == before + 1 else f"{before + 1} to {first - 1}"
