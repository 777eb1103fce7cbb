"""run_bars: a bar is full when one side alone has traded so much."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from rtflow.columns import Columns
from rtflow.counters import Counters
from rtflow.events import Bar, Event
from rtflow.kernel import Lifted, lift
from rtflow.operators._bars_by_trades import Measure
from rtflow.operators._forming import Judge, Table, judge_by
from rtflow.operators._information_bars import (
    InformationBars,
    InformationMemory,
    InformationRules,
    InformationRun,
    Signs,
    information_rules,
)


def run_bars(
    *,
    of: Measure = "ticks",
    threshold: float | None = None,
    trades: int | None = None,
    span: float = 20,
    bounds: tuple[float, float] = (0.25, 4.0),
    signs: Signs = "side_or_tick",
    emit: Literal["final", "update"] = "final",
    eligibility: Table | Judge | None = None,
    counters: Counters | None = None,
) -> Lifted[Event | Columns[Any], Bar]:
    """One bar for every symbol whenever its buyers, or its sellers, have traded so much.

    ::

        --b1--s1--b2--b3--s2------s3--b4----s4--s5--|     b: bought, s: sold, 1 each
        [            run_bars(threshold=3)          ]
        --------------b---------------------s-------p|    b: the third bought, s: the third sold; p: cut off

    As :func:`imbalance_bars`, which see for all that is not said here; but the two sides are not set off
    against each other: each is added up alone, and a bar leaves with the trade that brings the larger sum to
    the threshold. A run may be interrupted: it is the side's total in the bar, not its longest streak.

    **Threshold.** With ``threshold`` it is that number, always. With ``trades=N`` it is what was expected
    when the bar began, as in Marcos López de Prado, *Advances in Financial Machine Learning* (Wiley, 2018),
    sections 2.3.2.3 and 2.3.2.4: a bar of T trades is full at the first T where ::

        max(sum of v bought, sum of v sold)  >=  E[T] * max(P[b=1] * E[v | b=1], P[b=-1] * E[v | b=-1])

    ``E[T]`` is the exponentially weighted average of T over the bars before, ``P`` that of the share of their
    trades with that sign, ``E[v | b]`` that of what such a trade measured in the mean, 1 for ticks; a bar
    without one leaves it as it was. The newest value weighs ``2 / (span + 1)``. The book writes
    ``1 - P[b=1]`` for ``P[b=-1]``, which is the same where every trade has a sign.

    This threshold, too, drifts away if it is left alone: a bar is full at the first of two sides, always a
    little above what was expected. So the first bar of a symbol is one of N trades, and a threshold is kept
    within ``bounds``: what one side of balanced trading, half of it, measures in ``bounds[0] * N`` to
    ``bounds[1] * N`` trades, which is ``bound * N * E[v] / 2``.

        >>> from rtflow.events import Side, Trade
        >>> kernel = run_bars(of="volume", threshold=5).kernel()
        >>> for size, side in (3.0, Side.BUY), (4.0, Side.SELL), (2.5, Side.BUY):
        ...     for bar in kernel.push(Trade("A", 0, 0, price=10.0, size=size, side=side)):
        ...         print(bar.volume, bar.buy_volume, bar.sell_volume, bar.count)
        9.5 5.5 4.0 3

    Raises ValueError as :func:`imbalance_bars` does.
    """
    rules = information_rules(of, threshold, trades, span, bounds, signs, emit)
    judge, counted = judge_by(eligibility, daily=False), Counters() if counters is None else counters
    return lift(lambda: _RunBars(rules, judge, counted))


class _Side(msgspec.Struct, frozen=True):
    """Moving averages of one side: its share of the trades, and what one of them measures."""

    share: float = 0.0
    amount: float | None = None  # None: it never traded

    @property
    def expected(self) -> float:
        """What a trade of either side adds to this one."""
        return self.share * (self.amount or 0.0)

    def learned(self, weight: float, share: float, amount: float | None) -> _Side:
        """The averages after one more bar."""
        known = self.amount
        if amount is None or known is None:
            known = amount if known is None else known
        else:
            known += weight * (amount - known)
        return _Side(self.share + weight * (share - self.share), known)


class _Expected(msgspec.Struct, frozen=True):
    """Moving averages: trades in a bar, and either side."""

    trades: float = 0.0
    bought: _Side = _Side()
    sold: _Side = _Side()


class _Memory(InformationMemory, frozen=True, kw_only=True):
    expected: _Expected | None = None


class _RunBars(InformationBars[_Memory]):
    """One side has traded enough."""

    _operator = "run_bars"

    def __init__(self, rules: InformationRules, judge: Judge, counters: Counters) -> None:
        super().__init__(rules, _Memory(), judge, counters)

    def _full(self, run: InformationRun[_Memory]) -> bool:
        return run.up >= run.goal or run.down >= run.goal

    def _expected(self, memory: _Memory) -> float | None:
        expected, rules = memory.expected, self._rules
        if expected is None:
            return None
        bought, sold = expected.bought.expected, expected.sold.expected
        least, most = (bound * rules.trades * (bought + sold) / 2 for bound in rules.bounds)
        return min(max(expected.trades * max(bought, sold), least), most)

    def _learned(self, run: InformationRun[_Memory]) -> _Memory:
        expected = None
        if self._rules.threshold is None:
            known, weight = run.memory.expected, self._rules.per_bar
            if known is None:
                known, weight = _Expected(), 1.0
            expected = _Expected(
                known.trades + weight * (run.count - known.trades),
                known.bought.learned(weight, run.ups / run.count, _mean(run.up, run.ups, run.unit)),
                known.sold.learned(weight, run.downs / run.count, _mean(run.down, run.downs, run.unit)),
            )
        return replace(run.memory, price=run.price, sign=run.sign, expected=expected)


def _mean(amount: int, count: int, unit: int) -> float | None:
    return amount / (unit * count) if count else None
