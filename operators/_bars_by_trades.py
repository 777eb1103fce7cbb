"""Bars that trades close: their sums are exact, and what is taken back is as if it had never come."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Context, Decimal
from fractions import Fraction
from math import ceil
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace

from rtflow.columns import Columns, is_batch, pass_over
from rtflow.counters import Counters
from rtflow.events import Bar, Event, Gap, Lost, Side, Status, Trade, TradeCancel, TradeCorrection
from rtflow.kernel import Kernel
from rtflow.operators._forming import EVERYTHING, Forming, Judge, Partial, Rule

Measure: TypeAlias = Literal["ticks", "volume", "value"]
"""What of a trade is added up: 1, its size, or its value without the sign."""

Sums: TypeAlias = tuple[int | Fraction, int | Fraction, int | Fraction, int | Fraction]
"""Volume, value, volume bought and sold, in units."""

_BUY, _SELL = Side.BUY, Side.SELL
_NEVER = (1 << 63) - 1
MOST_AT_ONCE = 100_000
"""So many bars one trade may fill: more are of a wrong price or size, and there might be no end of them."""
_SURE = 10**15  # of decimals with no more digits than this, no two are the same float
_DIGITS = Context(prec=20, traps=[])  # the shortest text of a float has 17
_WIDEST = 22  # the last power of ten that a float holds exactly
_TOO_LARGE = 1e100  # twice that many digits are a product that a float still holds


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What a symbol's bar knows of those before it: how many decimal places its prices and its sizes need."""

    price_places: int = 0
    size_places: int = 0


_M = TypeVar("_M", bound=Memory)
_R = TypeVar("_R", bound="Run[Any]")


@dataclass(slots=True)
class Run(Generic[_M]):
    """A symbol's bar, its trades, and their sums in whole units.

    A unit is a power of ten so small that every price, or every size, is a whole number of them: what the
    shortest text of a float says is exact in decimal, and so is every sum. They are rounded once, where a bar
    leaves.
    """

    forming: Forming
    memory: _M  # as it was when the bar began: with the trades, it makes the bar
    price_unit: int  # units in 1
    size_unit: int
    price_scale: float  # the same, to multiply by
    size_scale: float
    unit: int  # the same of what is measured
    goal: int  # so many of those fill the bar
    trades: list[Trade] = field(default_factory=list[Trade])
    volume: int = 0
    value: int = 0
    bought: int = 0
    sold: int = 0
    count: int = 0
    gap: bool = False  # something is missing since the bar before
    plain: bool = False  # it has all its prices, and the last trade could set each of them

    def add(self, trade: Trade, rule: Rule) -> tuple[int, int]:
        """Take a trade as far as its rule lets it; its size and its value, in units."""
        size = value = 0
        if rule.volume:
            price, size = self.read(trade)
            value = price * size
            self.volume += size
            self.value += value
            self.count += 1
            side = trade.side
            if side is _BUY:
                self.bought += size
            elif side is _SELL:
                self.sold += size
        self.see(trade, rule)
        return size, value

    def see(self, trade: Trade, rule: Rule) -> None:
        """Let a trade's price and stamp count."""
        forming, stamp = self.forming, trade.ts_event
        forming.ts_recv = trade.ts_recv
        if stamp >= forming.end:
            forming.end = stamp + 1
        if stamp < forming.start:
            forming.start = stamp
        if rule is not EVERYTHING or not self.plain:
            forming.price(trade.price, stamp, rule)
            self.plain = rule is EVERYTHING and forming.priced
            return
        price = trade.price  # from here on, what Forming.price does, without the questions
        if price > forming.high:
            forming.high = price
        elif price < forming.low:
            forming.low = price
        if stamp >= forming.ts_close:
            forming.close, forming.ts_close = price, stamp
        elif stamp < forming.ts_open:
            forming.open, forming.ts_open = price, stamp

    def read(self, trade: Trade) -> tuple[int, int]:
        """A trade's price and size in units; :class:`Finer` where these are too coarse for it."""
        price, size = trade.price, trade.size
        scaled_price, scaled_size = price * self.price_scale, size * self.size_scale
        if -_SURE < scaled_price < _SURE and -_SURE < scaled_size < _SURE:
            whole_price, whole_size = round(scaled_price), round(scaled_size)
            if whole_price / self.price_scale == price and whole_size / self.size_scale == size:
                return whole_price, whole_size
        return self._read_text(trade)

    def _read_text(self, trade: Trade) -> tuple[int, int]:
        if not (abs(trade.price) < _TOO_LARGE and abs(trade.size) < _TOO_LARGE):
            raise ValueError(f"no bar adds up with {trade}")
        price, size = decimal_of(trade.price), decimal_of(trade.size)
        memory = self.memory
        places = max(memory.price_places, places_of(price)), max(memory.size_places, places_of(size))
        if places != (memory.price_places, memory.size_places):
            raise Finer(*places)
        return int(Fraction(price) * self.price_unit), int(Fraction(size) * self.size_unit)

    def bar(self, venue: str, *, gap: bool, partial: Partial = None, final: bool = True) -> Bar:
        """What it is now."""
        forming, size_unit = self.forming, self.size_unit
        volume, value, bought, sold = self.sums()
        forming.volume = float(volume / size_unit)
        forming.value = float(value / (size_unit * self.price_unit))
        forming.buy_volume, forming.sell_volume = float(bought / size_unit), float(sold / size_unit)
        forming.count, forming.partial = self.count, partial
        return forming.bar(venue, gap=gap, final=final)

    def sums(self) -> Sums:
        """Volume, value, volume bought and sold, in units."""
        return self.volume, self.value, self.bought, self.sold


class Finer(Exception):
    """A trade has more decimal places than the units of its bar."""

    def __init__(self, price_places: int, size_places: int) -> None:
        super().__init__()
        self.places = {"price_places": price_places, "size_places": size_places}


class TradeBars(Kernel[Event | Columns[Any], Bar], Generic[_M, _R]):
    """Each venue's symbols, and the bar that each of them forms. A kind of bar says when one is full."""

    _operator = "window_to_bar"  # whose part it is

    def __init__(self, first: _M, judge: Judge, counters: Counters, *, updates: bool) -> None:
        self._first = first  # what a symbol's first bar knows
        self._judge = judge
        self._counters = counters
        self._updates = updates
        self._venues: dict[str, Venue[_R]] = {}

    @abstractmethod
    def _begin(self, symbol: str, memory: _M) -> _R:
        """A symbol's next bar."""

    @abstractmethod
    def _take(self, venue: Venue[_R], run: _R, trade: Trade, rule: Rule) -> tuple[Bar, ...]:
        """What one more trade makes; :class:`Finer` leaves the bar as it was."""

    def push(self, item: Event | Columns[Any]) -> tuple[Bar, ...]:
        if type(item) is not Trade:
            return self._hear(item)
        trade: Trade = item
        rule = self._judge(trade.conditions, trade.tape)
        if not (rule.volume or rule.high_low or rule.open or rule.close):
            return ()
        try:
            venue = self._venues[trade.venue]
            run = venue.runs[trade.symbol]
        except KeyError:
            venue = self._venue(trade.venue)
            run = venue.runs[trade.symbol] = self._begin(trade.symbol, self._first)
        run.trades.append(trade)
        try:
            return self._take(venue, run, trade, rule)
        except Finer as finer:
            return self._again(venue, run, replace(run.memory, **finer.places), run.trades)

    def flush(self) -> Iterator[Bar]:
        venues, self._venues = self._venues, {}
        for name in sorted(venues):
            for symbol in sorted(venues[name].runs):
                yield from self._cut_off(venues[name], symbol)

    def state(self) -> Any:
        return {
            name: [
                msgspec.to_builtins(venue.holes),
                [
                    (symbol, msgspec.to_builtins(_saved(run), enc_hook=_text))
                    for symbol, run in venue.runs.items()
                ],
            ]
            for name, venue in self._venues.items()
        }

    def restore(self, state: Any) -> None:
        self._venues = {}
        for name, (holes, runs) in state.items():
            venue = self._venue(name)
            venue.holes = msgspec.convert(holes, list[_Hole])
            for symbol, plain in runs:
                saved = msgspec.convert(plain, _Saved)
                memory: Any = msgspec.convert(saved.memory, type(self._first), dec_hook=_fraction)
                run = venue.runs[symbol] = self._begin(symbol, memory)
                self._again(venue, run, memory, saved.trades)
                run = venue.runs[symbol]
                run.forming.ts_recv, run.gap = saved.ts_recv, saved.gap

    def _told(self, venue: Venue[_R], run: _R) -> tuple[Bar, ...]:
        """The bar so far, to those who asked for it."""
        if self._updates and run.forming.priced:
            return (run.bar(venue.name, gap=venue.gap(run), final=False),)
        return ()

    def _venue(self, name: str) -> Venue[_R]:
        return self._venues.setdefault(name, Venue(name))

    def _again(self, venue: Venue[_R], run: _R, memory: _M, trades: Iterable[Trade]) -> tuple[Bar, ...]:
        """The bar from its beginning, of these trades; what the last one makes, and what is full before."""
        symbol = run.forming.symbol
        fresh = venue.runs[symbol] = self._begin(symbol, memory)
        fresh.gap = run.gap
        made: tuple[Bar, ...] = ()
        for trade in trades:
            made = (*(bar for bar in made if bar.final), *self.push(trade))
        return made

    def _hear(self, item: Event | Columns[Any]) -> tuple[Bar, ...]:
        """What is no trade."""
        if is_batch(item):
            return self._take_batch(item)
        if isinstance(item, TradeCorrection | TradeCancel):
            return self._put_right(item)
        if isinstance(item, Gap):
            if item.kind in ("", "trades"):
                self._venue(item.venue).remember(item)
        elif isinstance(item, Lost):
            for venue in self._venues.values():
                venue.mark((item.symbol,) if item.symbol else ())
        elif isinstance(item, Status) and item.state == "unsubscribed" and item.kind in ("", "trades"):
            return tuple(self._cut_off(self._venue(item.venue), item.symbol))
        else:
            pass_over(item, self._operator)
        return ()

    def _take_batch(self, batch: Columns[Any]) -> tuple[Bar, ...]:
        """What its events make."""
        return tuple(bar for event in batch for bar in self.push(event))

    def _put_right(self, event: TradeCorrection | TradeCancel) -> tuple[Bar, ...]:
        """The bar without the trade that was taken back, or with what takes its place."""
        id = event.id if isinstance(event, TradeCancel) else event.original_id  # noqa: A001
        venue = self._venue(event.venue)
        run = venue.runs.get(event.symbol)
        trades = [] if run is None or not id else run.trades
        place = next((place for place, trade in enumerate(trades) if trade.id == id), None)
        if run is None or place is None:
            self._counters.add("unapplied")
            return ()
        instead: list[Trade] = []
        if isinstance(event, TradeCorrection):
            changed = {name: getattr(event, name) for name in ("price", "size", "conditions", "tape")}
            instead = [replace(trades[place], id=event.id or id, **changed)]
        made = self._again(venue, run, run.memory, [*trades[:place], *instead, *trades[place + 1 :]])
        run = venue.runs[event.symbol]
        run.forming.ts_recv = event.ts_recv
        full = tuple(replace(bar, ts_recv=event.ts_recv) for bar in made if bar.final)
        return full + self._told(venue, run)

    def _cut_off(self, venue: Venue[_R], symbol: str) -> Iterator[Bar]:
        run = venue.runs.pop(symbol, None)
        if run is not None and run.forming.priced:
            yield run.bar(venue.name, gap=venue.gap(run), partial="end")
        elif run is not None and run.count:
            self._counters.add("unpriced", run.count)


@dataclass(slots=True)
class _Hole:
    """A Gap that has not ended."""

    ts_start: int
    symbols: tuple[str, ...]  # empty: all of them


@dataclass(slots=True)
class Venue(Generic[_R]):
    """A venue's symbols, each with the bar that it forms, and the gaps that are open."""

    name: str
    runs: dict[str, _R] = field(default_factory=dict[str, _R])
    holes: list[_Hole] = field(default_factory=list[_Hole])

    def gap(self, run: _R) -> bool:
        """Whether something may be missing in a bar, or between it and the one before."""
        return run.gap or any(not hole.symbols or run.forming.symbol in hole.symbols for hole in self.holes)

    def mark(self, symbols: tuple[str, ...]) -> None:
        """Something is missing in the bars of these symbols; of all, if none is named."""
        for symbol in symbols or self.runs:
            if symbol in self.runs:
                self.runs[symbol].gap = True

    def remember(self, gap: Gap) -> None:
        """A gap, or what has become of it."""
        hole = _Hole(gap.ts_start, gap.symbols)
        self.holes = [each for each in self.holes if each != hole]
        if gap.ts_end is None:
            self.holes.append(hole)
        elif gap.filled is None:  # else what was missing follows
            self.mark(gap.symbols)


class _Saved(msgspec.Struct):
    """All that makes a bar what it is."""

    memory: Any
    trades: list[Trade]
    ts_recv: int
    gap: bool


def _saved(run: Run[Any]) -> _Saved:
    return _Saved(run.memory, run.trades, run.forming.ts_recv, run.gap)


def _text(fraction: Fraction) -> str:
    return str(fraction)


def _fraction(_: type, text: str) -> Fraction:
    return Fraction(text)


def blank(symbol: str) -> Forming:
    """A bar without a trade."""
    forming = Forming(symbol, _NEVER, -_NEVER, 0.0, 0.0, 0.0, 0.0, 0, 0, 0)
    forming.clear()
    return forming


def units(memory: Memory, measure: Measure, target: Fraction) -> tuple[int, int, float, float, int, int]:
    """The units of a bar, as the fields of :class:`Run` from ``price_unit`` to ``goal``."""
    price_unit, size_unit = 10**memory.price_places, 10**memory.size_places
    unit = {"ticks": 1, "volume": size_unit, "value": price_unit * size_unit}[measure]
    scales = _scale(memory.price_places), _scale(memory.size_places)
    return price_unit, size_unit, *scales, unit, max(1, ceil(target * unit))


def _scale(places: int) -> float:
    # Beyond that, a scale by which nothing comes out right but 0, which is 0 in any unit.
    return 10.0**places if places <= _WIDEST else 1e-300


def decimal_of(number: float) -> Decimal:
    """What the shortest text of a float says, without zeros at its end."""
    return _DIGITS.normalize(Decimal(str(float(number))))


def places_of(number: Decimal) -> int:
    """How many decimal places a number has."""
    return max(0, -int(number.as_tuple().exponent))
