"""anomalies: trades and quotes that are off, each with its reason."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator
from math import inf
from typing import Any, Literal, TypeAlias

import msgspec

from rtflow.columns import pass_over
from rtflow.counters import Counters
from rtflow.events import Anomaly, Event, Gap, Quote, Trade
from rtflow.kernel import Kernel, Lifted, lift
from rtflow.time import SECOND, Duration, nanoseconds


def anomalies(
    *,
    threshold: float | None = 3.5,
    count: int = 100,
    warmup: int = 20,
    least: float = 0.0005,
    repeats: int | None = 5,
    behind: Duration = 0.0,
    negative_prices: bool = False,
    counters: Counters | None = None,
) -> Lifted[Event, Anomaly]:
    """What is wrong with the trades and quotes that come, each with its reason; they themselves do not pass.

    ::

        --t1--t2--t3--q1--t4--|
        [ anomalies()         ]
        ------a---b---c-------|     a: t2 is priced at 0; b: t3 is stamped before t2; c: q1 is crossed

    A tick is compared with those of its own kind, venue and symbol. One that is off in several ways says so
    several times, in this order:

    - ``"price"``: a price (bid, ask) that is zero, negative or no number. ``negative_prices=True`` allows
      the first two, for spreads, power, or oil in April 2020.
    - ``"size"``: a size that is zero, negative or no number.
    - ``"crossed"``: the bid is above the ask. Equal is locked, and legal.
    - ``"backwards"``: ``ts_event`` is more than ``behind`` seconds before the latest that came.
    - ``"stale"``: price, size and side, or all four numbers of a quote, are those of the tick before, for the
      ``repeats``-th time in a row or more. Not for sampled states, which repeat by nature.
    - ``"outlier"``: the price of a trade, or the mid of a quote, has a modified z-score beyond ``threshold``
      either way against the last ``count`` such prices, once there are ``warmup`` of them.

    The modified z-score is that of Iglewicz and Hoaglin (1993, "How to Detect and Handle Outliers"), who also
    recommend 3.5::

        0.6745 * (x - median) / MAD        MAD: the median of |each price - median|

    Ticks often repeat one price until MAD is 0, so that it is taken to be at least ``least * |median|`` (as
    the granularity of Brownlees and Gallo 2006): by default nothing within 0.26 % of the median is an
    outlier. Where that is 0 too, nothing is said. A price is judged before it joins the others, and joins
    them also when it is an outlier: a new level is accepted once half of them are of it. Prices that are no
    prices, and mids of crossed or one-sided quotes, are neither judged nor join.

    Median and MAD are exact. The prices are kept in order: a new one costs two bisections and the shift of up
    to ``count`` floats; the MAD is found by bisection in the two ordered runs of distances below and above
    the median, without another sort.

    After a ``Gap`` its symbols start anew, as neither the stamps nor the prices before a hole prove anything
    about those after it; so ``op.backfill`` brings no false alarms. Silence is for ``op.watchdog``, ids that
    come twice for ``op.dedupe``, missing numbers for ``op.detect_gaps``. What is found is counted in
    ``counters`` as ``anomalies``, and as ``anomalies.price`` and so on. For the ticks beside their
    anomalies, ``op.broadcast()`` first and read both.

        >>> kernel = anomalies(warmup=3).kernel()
        >>> ticks = [(1, 100.0), (2, 100.5), (3, 101.0), (4, 0.0), (3, 100.25), (5, 150.0)]
        >>> for stamp, price in ticks:
        ...     for anomaly in kernel.push(Trade("A", stamp * SECOND, stamp * SECOND, price, size=1.0)):
        ...         print(anomaly.reason, "-", anomaly.detail)
        price - price is 0.0
        backwards - stamped 1.0 s before the latest
        outlier - 150.0 is 133.9 robust deviations from the median 100.375 of 4

    Raises ValueError for a ``threshold`` or ``least`` that is not positive, for a ``warmup`` outside 1 to
    ``count``, for ``repeats`` below 1 and a negative ``behind``.
    """
    if threshold is not None and not threshold > 0:
        raise ValueError(f"threshold must be more than nothing, or None for no outliers, not {threshold!r}")
    if not least > 0:
        raise ValueError(f"least must be more than nothing, not {least!r}")
    if not 1 <= warmup <= count:
        raise ValueError(f"warmup must be from 1 to count, not {warmup!r} of {count!r}")
    if repeats is not None and repeats < 1:
        raise ValueError(f"repeats must be 1 or more, or None for any number, not {repeats!r}")
    late = nanoseconds(behind)
    if late < 0:
        raise ValueError(f"behind cannot be negative: {behind!r}")
    rules = _Rules(threshold or inf, count, warmup, least, repeats or inf, late, negative_prices)
    counted = Counters() if counters is None else counters
    return lift(lambda: _Anomalies(rules, counted))


class _Rules(msgspec.Struct, frozen=True):
    """What is off."""

    threshold: float
    count: int
    warmup: int
    least: float
    repeats: float
    behind: int  # ns
    negative_prices: bool


_Reason: TypeAlias = Literal["price", "size", "crossed", "backwards", "stale", "outlier"]
_Values: TypeAlias = tuple[float | None, ...]
_Place: TypeAlias = tuple[str, str, str]
"""Venue, symbol and kind."""

_LONG_AGO = -(1 << 63) + 1


class _Watched:
    """What is known of the ticks of one kind and symbol."""

    def __init__(self) -> None:
        self.newest = _LONG_AGO
        self.last: _Values | None = None
        self.run = 0  # ticks in a row that said what the one before did
        self.prices = _Prices()


class _Prices:
    """The last prices, and the same in order."""

    def __init__(self, recent: Iterable[float] = ()) -> None:
        self.recent = deque(recent)
        self.ordered = sorted(self.recent)

    def add(self, price: float, count: int) -> None:
        """Take one in, and the oldest out where there are ``count``."""
        if len(self.recent) == count:
            del self.ordered[bisect_left(self.ordered, self.recent.popleft())]
        self.recent.append(price)
        insort(self.ordered, price)

    def median(self) -> float:
        ordered, size = self.ordered, len(self.ordered)
        return (ordered[(size - 1) // 2] + ordered[size // 2]) / 2

    def deviation(self, median: float) -> float:
        """The median of their distances from ``median``."""
        size, below = len(self.ordered), bisect_left(self.ordered, median)
        return (self._distance(median, below, (size - 1) // 2) + self._distance(median, below, size // 2)) / 2

    def _distance(self, median: float, below: int, rank: int) -> float:
        """The distance with ``rank`` others before it.

        Downwards from ``below``, and upwards from there on, distances ascend. How many of those before it
        are of the lower run is bisected; it is the next of one run or of the other.
        """
        ordered, above = self.ordered, len(self.ordered) - below

        def enough(lower: int) -> bool:
            return median - ordered[below - 1 - lower] >= ordered[below + rank - lower - 1] - median

        fewest, most = max(0, rank - above), min(rank, below)
        lower = fewest + bisect_left(range(fewest, most), True, key=enough)
        down = median - ordered[below - 1 - lower] if lower < below else inf
        up = ordered[below + rank - lower] - median if rank - lower < above else inf
        return min(down, up)


class _Anomalies(Kernel[Event, Anomaly]):
    """The ticks of each kind, venue and symbol."""

    def __init__(self, rules: _Rules, counters: Counters) -> None:
        self._rules = rules
        self._counters = counters
        self._watched: dict[_Place, _Watched] = {}

    def push(self, item: Event) -> tuple[Anomaly, ...]:
        if isinstance(item, Trade | Quote):
            made = tuple(self._look(item))
            for anomaly in made:
                self._counters.add("anomalies")
                self._counters.add(f"anomalies.{anomaly.reason}")
            return made
        if isinstance(item, Gap):
            self._watched = {
                place: watched for place, watched in self._watched.items() if not _touches(item, place)
            }
        pass_over(item, "anomalies")
        return ()

    def state(self) -> Any:
        return [
            (place, each.newest, each.last, each.run, list(each.prices.recent))
            for place, each in self._watched.items()
        ]

    def restore(self, state: Any) -> None:
        self._watched = {}
        for place, newest, last, run, prices in msgspec.convert(
            state, list[tuple[_Place, int, _Values | None, int, list[float]]]
        ):
            watched = self._watched[place] = _Watched()
            watched.newest, watched.last, watched.run = newest, last, run
            watched.prices = _Prices(prices)

    def _look(self, tick: Trade | Quote) -> Iterator[Anomaly]:
        rules = self._rules
        price: float | None
        if isinstance(tick, Trade):
            place = (tick.venue, tick.symbol, "trades")
            prices: dict[str, float | None] = {"price": tick.price}
            sizes: dict[str, float | None] = {"size": tick.size}
            values: _Values = (tick.price, tick.size, tick.side)
            price, spread = tick.price, 0.0
        else:
            place = (tick.venue, tick.symbol, "quotes")
            prices = {"bid": tick.bid, "ask": tick.ask}
            sizes = {"bid_size": tick.bid_size, "ask_size": tick.ask_size}
            values = (tick.bid, tick.bid_size, tick.ask, tick.ask_size)
            if tick.bid is None or tick.ask is None:
                price, spread = None, 0.0
            else:
                price, spread = (tick.bid + tick.ask) / 2, tick.ask - tick.bid
        watched = self._watched.get(place)
        if watched is None:
            watched = self._watched[place] = _Watched()

        sound = True
        lowest = -inf if rules.negative_prices else 0.0
        for name, number in prices.items():
            if number is not None and not lowest < number < inf:
                sound, price = False, None
                yield _anomaly(tick, "price", f"{name} is {number}", number, 0.0)
        for name, number in sizes.items():
            if number is not None and not 0.0 < number < inf:
                sound = False
                yield _anomaly(tick, "size", f"{name} is {number}", number, 0.0)
        if spread < 0.0:
            price = None
            yield _anomaly(tick, "crossed", f"the bid is {-spread} above the ask", -spread, 0.0)
        yield from self._look_back(tick, watched, values if sound else None)
        if price is not None:
            yield from self._judge(tick, watched.prices, price)

    def _look_back(self, tick: Trade | Quote, watched: _Watched, values: _Values | None) -> Iterator[Anomaly]:
        """Against the ticks before."""
        rules = self._rules
        late = watched.newest - tick.ts_event
        if late <= 0:
            watched.newest = tick.ts_event
        elif late > rules.behind:
            seconds = late / SECOND
            detail = f"stamped {seconds} s before the latest"
            yield _anomaly(tick, "backwards", detail, seconds, rules.behind / SECOND)
        same = values is not None and values == watched.last and not tick.sampled
        watched.run = watched.run + 1 if same else 0
        watched.last = values
        if watched.run >= rules.repeats:
            detail = f"says the same as the one before, {watched.run} times in a row"
            yield _anomaly(tick, "stale", detail, float(watched.run), rules.repeats)

    def _judge(self, tick: Trade | Quote, prices: _Prices, price: float) -> Iterator[Anomaly]:
        """Against the prices before."""
        rules, size = self._rules, len(prices.recent)
        if size >= rules.warmup and rules.threshold < inf:
            median = prices.median()
            scale = max(prices.deviation(median), rules.least * abs(median))
            score = 0.6745 * (price - median) / scale if scale else 0.0
            if abs(score) > rules.threshold:
                detail = f"{price} is {score:.1f} robust deviations from the median {median} of {size}"
                yield _anomaly(tick, "outlier", detail, score, rules.threshold)
        prices.add(price, rules.count)


def _anomaly(tick: Trade | Quote, reason: _Reason, detail: str, value: float, limit: float) -> Anomaly:
    return Anomaly(tick.symbol, tick.ts_event, tick.ts_recv, reason, detail, value, limit, tick, tick.venue)


def _touches(gap: Gap, place: _Place) -> bool:
    venue, symbol, kind = place
    return gap.venue == venue and gap.kind in ("", kind) and (not gap.symbols or symbol in gap.symbols)
