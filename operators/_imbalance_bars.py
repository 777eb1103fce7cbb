"""imbalance_bars: a bar is full when one side has traded so much more than the other."""

from __future__ import annotations

from math import sqrt
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


def imbalance_bars(
    *,
    of: Measure = "ticks",
    threshold: float | None = None,
    trades: int | None = None,
    span: float = 20,
    bounds: tuple[float, float] = (0.5, 50.0),
    signs: Signs = "side_or_tick",
    emit: Literal["final", "update"] = "final",
    eligibility: Table | Judge | None = None,
    counters: Counters | None = None,
) -> Lifted[Event | Columns[Any], Bar]:
    """One bar for every symbol whenever its buyers have traded so much more than its sellers, or less.

    ::

        --b1--s1--b2--b3--b4------s2--s3----s4--s5--|     b: bought, s: sold, 1 each
        [        imbalance_bars(threshold=3)        ]
        ------------------b-----------------s-------p|    b: 4 - 1, s: 3 sold more; p: cut off

    Give it the whole event stream: trades make the bars, gaps leave their mark. Each trade has a sign ``b``,
    1 where the buyer was the aggressor and -1 where the seller was; what is added up is ``b * v``, where
    ``v`` is 1 (``of="ticks"``), the size (``"volume"``) or the value without its sign (``"value"``). A bar
    leaves with the trade that brings the sum, or the sum below zero, to its threshold. It takes that trade
    whole, and the next bar begins at zero, so volume, value and count are conserved.

    **Threshold.** With ``threshold`` it is that number, always. With ``trades=N`` it is what was expected
    when the bar began, as in Marcos López de Prado, *Advances in Financial Machine Learning* (Wiley, 2018),
    sections 2.3.2.1 and 2.3.2.2: a bar of T trades is full at the first T where ::

        | b1*v1 + ... + bT*vT |  >=  E[T] * | 2*v_plus - E[v] |

    ``E[T]`` is the exponentially weighted average of T over the bars before. ``2*v_plus - E[v]`` is that of
    ``b * v`` over their trades, and so ``2*P[b=1] - 1`` for ticks. An average over a span of ``s`` gives its
    newest value the weight ``2 / (s + 1)``; ``span`` is counted in bars, and is ``span * N`` for trades.

    The book leaves open how to begin, and its threshold feeds on itself: it is known to shrink to single
    trades in balanced markets and to grow out of all reach after one-sided ones. So two things are added. The
    first bar of a symbol is one of N trades, and the averages begin with what it held. And a threshold is
    kept within ``bounds``, which say how long balanced trading, a coin tossed for each sign, may need to
    reach it on average: from ``bounds[0] * N`` to ``bounds[1] * N`` trades. As a coin needs ``h * h`` tosses
    to be ``h`` ahead, that is ``sqrt(bound * N) * E[v]``, ``E[v]`` being the average of ``v``, by bars.

    **Signs.** ``signs="side_or_tick"`` is ``Trade.side``, and where that is ``UNKNOWN`` the book's tick rule:
    1 above the price of the trade before, -1 below it, at the same price the sign of that trade, in the bar
    before if need be. ``"tick"`` is that rule alone, ``"side"`` the side alone. A trade without a sign
    (``"side"`` and unknown, or the very first ones by the tick rule) counts as 0. A price that may not be the
    last one (see ``eligibility``) is nothing to compare with. ``buy_volume`` and ``sell_volume`` are always
    by ``Trade.side``.

    **Marks**, ``emit``, ``eligibility`` (what adds volume is signed and measured), corrections and cancels,
    and sums that are exact in decimal: all as *By amount* in :func:`window_to_bar`. Trades are taken as they
    arrive.

        >>> from rtflow.events import Side, Trade
        >>> kernel = imbalance_bars(threshold=2).kernel()
        >>> for price, side in (10.0, Side.BUY), (9.5, Side.SELL), (10.5, Side.BUY), (11.0, Side.BUY):
        ...     for bar in kernel.push(Trade("A", 0, 0, price, size=1.0, side=side)):
        ...         print(bar.open, bar.high, bar.low, bar.close, bar.count, bar.buy_volume)
        10.0 11.0 9.5 11.0 4 3.0

    Raises ValueError for none or both of ``threshold`` and ``trades``, for one, a ``span`` or bounds that are
    not positive, bounds in the wrong order, and words that are none of the above.
    """
    rules = information_rules(of, threshold, trades, span, bounds, signs, emit)
    judge, counted = judge_by(eligibility, daily=False), Counters() if counters is None else counters
    return lift(lambda: _ImbalanceBars(rules, judge, counted))


class _Expected(msgspec.Struct, frozen=True):
    """Moving averages: trades in a bar, and of a trade what is measured, with its sign and without."""

    trades: float
    flow: float
    amount: float


class _Memory(InformationMemory, frozen=True, kw_only=True):
    expected: _Expected | None = None


class _ImbalanceBars(InformationBars[_Memory]):
    """One side has traded more than the other."""

    _operator = "imbalance_bars"

    def __init__(self, rules: InformationRules, judge: Judge, counters: Counters) -> None:
        super().__init__(rules, _Memory(), judge, counters)
        if rules.threshold is None:
            self._smooth = rules.per_trade

    def _begin(self, symbol: str, memory: _Memory) -> InformationRun[_Memory]:
        run = super()._begin(symbol, memory)
        if memory.expected is not None:
            run.flow = memory.expected.flow
        return run

    def _full(self, run: InformationRun[_Memory]) -> bool:
        return abs(run.up - run.down) >= run.goal

    def _expected(self, memory: _Memory) -> float | None:
        expected, rules = memory.expected, self._rules
        if expected is None:
            return None
        least, most = (sqrt(bound * rules.trades) * expected.amount for bound in rules.bounds)
        return min(max(expected.trades * abs(expected.flow), least), most)

    def _learned(self, run: InformationRun[_Memory]) -> _Memory:
        known, weight = run.memory.expected, self._rules.per_bar
        amount = (run.up + run.down) / (run.unit * run.count)
        if self._rules.threshold is not None:
            expected = None
        elif known is None:
            expected = _Expected(run.count, (run.up - run.down) / (run.unit * run.count), amount)
        else:
            expected = _Expected(
                known.trades + weight * (run.count - known.trades),
                run.flow,
                known.amount + weight * (amount - known.amount),
            )
        return replace(run.memory, price=run.price, sign=run.sign, expected=expected)
