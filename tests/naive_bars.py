"""Bars as a textbook would make them: lists, fractions, no state. Slow, and plain enough to be believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from math import sqrt
from random import Random

from rtflow.events import Bar, Side, Trade
from rtflow.time import SECOND


def exact(number: float) -> Fraction:
    """What the text of a float says."""
    return Fraction(str(number))


def market(
    seed: int, count: int, *, persistence: float = 0.5, sides: Sequence[Side] = tuple(Side)
) -> list[Trade]:
    """Trades of one symbol, whose direction is the same as before with the chance ``persistence``."""
    random = Random(seed)
    price, direction, trades = 10_000, 1, list[Trade]()
    for number in range(count):
        if random.random() > persistence:
            direction = -direction
        price = max(1, price + direction * random.choice((0, 0, 1, 2, 7)))
        side = random.choice(sides) if Side.UNKNOWN in sides else Side(direction)
        stamp = number * SECOND
        size = random.choice((1.0, 100.0, round(random.random() * 10, random.randint(1, 8))))
        trades.append(Trade("A", stamp, stamp + 5, price / 100, size, side, str(number), venue="x"))
    return trades


Part = tuple[Trade, Fraction]
"""A trade, and how much of it is in a bar."""


def bar(parts: Sequence[Part], *, whole: bool, counted: int | None = None) -> Bar:
    """What these parts of trades, in order of time, make together; ``whole`` where it is full."""
    trades = [trade for trade, _ in parts]
    prices = [trade.price for trade in trades]
    sizes = [exact(trade.size) * share for trade, share in parts]
    return Bar(
        "A",
        trades[0].ts_event,
        trades[-1].ts_event + 1,
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        volume=float(sum(sizes)),
        count=len(trades) if counted is None else counted,
        value=float(sum(exact(price) * size for price, size in zip(prices, sizes, strict=True))),
        buy_volume=float(sum(s for s, each in zip(sizes, trades, strict=True) if each.side is Side.BUY)),
        sell_volume=float(sum(s for s, each in zip(sizes, trades, strict=True) if each.side is Side.SELL)),
        ts_open=trades[0].ts_event,
        ts_close=trades[-1].ts_event,
        ts_recv=trades[-1].ts_recv,
        venue="x",
        partial=None if whole else "end",
    )


def measures(trades: Sequence[Trade], of: str) -> list[Fraction]:
    """1, the size, or the value without its sign."""
    if of == "ticks":
        return [Fraction(1)] * len(trades)
    return [exact(t.size) * (abs(exact(t.price)) if of == "value" else 1) for t in trades]


def split_bars(trades: Sequence[Trade], of: str, target: float) -> list[Bar]:
    """Trades laid end to end on a line that is cut every ``target``."""
    goal, begin = exact(target), Fraction(0)
    bins: dict[int, list[Part]] = {}
    counts: dict[int, int] = {}
    for trade, length in zip(trades, measures(trades, of), strict=True):
        end = begin + length
        first = begin // goal
        counts[first] = counts.get(first, 0) + 1
        for place in range(first, -(-end // goal)):
            overlap = min(end, (place + 1) * goal) - max(begin, place * goal)
            bins.setdefault(place, []).append((trade, overlap / length))
        begin = end
    last = begin // goal
    return [bar(parts, whole=place != last, counted=counts.get(place, 0)) for place, parts in bins.items()]


def bars_until(trades: Sequence[Trade], full: Callable[[int, int], bool]) -> list[Bar]:
    """Bars of whole trades; ``full(first, last)`` says whether these are one."""
    made, first = list[Bar](), 0
    for last in range(len(trades)):
        if full(first, last):
            made.append(bar([(trade, Fraction(1)) for trade in trades[first : last + 1]], whole=True))
            first = last + 1
    if first < len(trades):
        made.append(bar([(trade, Fraction(1)) for trade in trades[first:]], whole=False))
    return made


def signs(trades: Sequence[Trade], how: str) -> list[int]:
    """Who bought: by the side, by the tick rule, or by the second where the first is unknown."""
    made, before = list[int](), None
    for trade in trades:
        sign = 0 if how == "tick" else int(trade.side)
        if sign == 0 and how != "side" and before is not None:
            rise = trade.price - before.price
            sign = made[-1] if rise == 0 else 1 if rise > 0 else -1
        made.append(sign)
        before = trade
    return made


def average(values: Sequence[float], span: float) -> float:
    """Exponentially weighted, beginning with the first value; the newest weighs 2 / (span + 1)."""
    weight = 2 / (span + 1)
    mean = values[0]
    for value in values[1:]:
        mean = weight * value + (1 - weight) * mean
    return mean


def imbalance_bars(
    trades: Sequence[Trade],
    *,
    of: str,
    how: str,
    threshold: float | None = None,
    expected: int = 1,
    span: float = 20.0,
    bounds: tuple[float, float] = (0.5, 50.0),
) -> list[Bar]:
    """The book's 2.3.2.1 and 2.3.2.2: |theta_T| >= E[T] * |2 v+ - E[v]|."""
    b, v = signs(trades, how), measures(trades, of)
    flows = [sign * amount for sign, amount in zip(b, v, strict=True)]
    signed = [amount * (sign != 0) for sign, amount in zip(b, v, strict=True)]
    floats, so_far = [float(flow) for flow in flows], [Fraction(0), *accumulate(flows)]
    cuts = [0]
    known: dict[int, Fraction] = {}

    def goal(first: int) -> Fraction | None:
        if threshold is not None:
            return exact(threshold)
        if len(cuts) == 1:
            return None
        lengths = [float(end - begin) for begin, end in pairs(cuts)]
        seed = float(sum(flows[: cuts[1]]) / cuts[1])
        flow = average([seed, *floats[cuts[1] : first]], span * expected)
        amount = average([float(sum(signed[begin:end]) / (end - begin)) for begin, end in pairs(cuts)], span)
        low, high = (sqrt(bound * expected) * amount for bound in bounds)
        return Fraction(min(max(average(lengths, span) * abs(flow), low), high))

    def full(first: int, last: int) -> bool:
        if first not in known:
            cuts[1:] = [*cuts[1:], first] if first else []
            limit = goal(first)
            known[first] = Fraction(-1) if limit is None else limit
        if known[first] < 0:
            return last - first + 1 == expected
        theta = abs(so_far[last + 1] - so_far[first])
        return theta >= known[first] and theta > 0

    return bars_until(trades, full)


def run_bars(
    trades: Sequence[Trade],
    *,
    of: str,
    how: str,
    threshold: float | None = None,
    expected: int = 1,
    span: float = 20.0,
    bounds: tuple[float, float] = (0.25, 4.0),
) -> list[Bar]:
    """The book's 2.3.2.3 and 2.3.2.4: theta_T >= E[T] * max(P[1] E[v|1], P[-1] E[v|-1])."""
    b, v = signs(trades, how), measures(trades, of)
    so_far = {
        side: [Fraction(0), *accumulate(each * (sign == side) for each, sign in zip(v, b, strict=True))]
        for side in (1, -1)
    }
    cuts = [0]
    known: dict[int, Fraction] = {}

    def side(sign: int) -> float:
        """P[b] * E[v | b]."""
        shares, means = list[float](), list[float]()
        for begin, end in pairs(cuts):
            count = b[begin:end].count(sign)
            shares.append(count / (end - begin))
            means += [float((so_far[sign][end] - so_far[sign][begin]) / count)] if count else []
        return average(shares, span) * (average(means, span) if means else 0.0)

    def goal() -> Fraction | None:
        if threshold is not None:
            return exact(threshold)
        if len(cuts) == 1:
            return None
        length = average([float(end - begin) for begin, end in pairs(cuts)], span)
        bought, sold = side(1), side(-1)
        low, high = (bound * expected * (bought + sold) / 2 for bound in bounds)
        return Fraction(min(max(length * max(bought, sold), low), high))

    def full(first: int, last: int) -> bool:
        if first not in known:
            cuts[1:] = [*cuts[1:], first] if first else []
            limit = goal()
            known[first] = Fraction(-1) if limit is None else limit
        if known[first] < 0:
            return last - first + 1 == expected
        theta = max(each[last + 1] - each[first] for each in so_far.values())
        return theta >= known[first] and theta > 0

    return bars_until(trades, full)


def pairs(cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Beginning and end of each bar before the one that forms."""
    return pairwise(cuts)


def bricks(trades: Sequence[Trade], height: float) -> list[tuple[float, float, float, int]]:
    """Open, close, volume and count of each brick, and what was traded since the last one."""
    step = exact(height)
    low = exact(trades[0].price) // step * step
    high = low if low == exact(trades[0].price) else low + step
    volume, count = Fraction(0), 0
    made = list[tuple[float, float, float, int]]()
    for trade in trades:
        volume, count = volume + exact(trade.size), count + 1
        price = exact(trade.price)
        while price >= high + step or price <= low - step:
            start, end = (high, high + step) if price > high else (low, low - step)
            made.append((float(start), float(end), float(volume), count))
            low, high = min(start, end), max(start, end)
            volume, count = Fraction(0), 0
    return made
