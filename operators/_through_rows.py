"""Two ways through a batch's rows, to the same bits: by numpy, and by a compiled loop (extra ``fast``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Whole: TypeAlias = NDArray[np.int64]
Numbers: TypeAlias = NDArray[np.float64]

_NEVER = (1 << 63) - 1


class Tools(NamedTuple):
    """The two passes that cost the most."""

    watermarks: Callable[[Whole, Whole, int, int, int, int], tuple[Whole, Whole, int]]
    """Of stamps and arrivals, given the tolerance and what ``newest``, ``lag`` and ``closed`` were before:
    the lag and the watermark after each row, and the newest stamp."""
    fold: Callable[..., None]
    """Of key, price, size, side and stamp, from left to right onto the arrays of :class:`Folds`."""


@dataclass(slots=True)
class Folds:
    """What the rows of each key make together; ``first`` and ``last`` are rows.

    ``came_first`` and ``came_last`` are those by arrival. Where a key has no row they mean nothing.
    """

    volume: Numbers
    value: Numbers
    flow: Numbers  # of key 0: sold, of neither side, bought; then of key 1
    high: Numbers
    low: Numbers
    first: Whole
    last: Whole
    came_first: Whole
    came_last: Whole

    @classmethod
    def of(cls, keys: int) -> Folds:
        """Nothing yet."""
        rows = (np.full(keys, -1) for _ in range(4))
        return cls(
            np.zeros(keys),
            np.zeros(keys),
            np.zeros(3 * keys),
            np.full(keys, -np.inf),
            np.full(keys, np.inf),
            *rows,
        )

    def take(
        self, tools: Tools, key: Whole, price: Numbers, size: Numbers, side: NDArray[np.int8], stamp: Whole
    ) -> None:
        """The rows, after what is here already."""
        tools.fold(
            key,
            price,
            size,
            side,
            stamp,
            self.volume,
            self.value,
            self.flow,
            self.high,
            self.low,
            self.first,
            self.last,
            self.came_first,
            self.came_last,
        )


@cache
def tools() -> Tools:
    """The compiled ones where numba is installed; the first call waits for its compiler."""
    try:
        from numba import njit
    except ImportError:
        return BY_NUMPY
    compiled: Callable[[Any], Any] = njit(cache=True, nogil=True)
    return Tools(*map(compiled, BY_LOOP))


# -- by numpy --------------------------------------------------------------------------------------------


def _watermarks(
    stamp: Whole, recv: Whole, tolerance: int, newest: int, lag: int, closed: int
) -> tuple[Whole, Whole, int]:
    mark = np.minimum(stamp, recv + tolerance)
    in_order = bool((mark[1:] >= mark[:-1]).all())
    highest = np.maximum(mark if in_order else np.maximum.accumulate(mark), newest)
    moved = np.flatnonzero(mark > _before(highest, newest))
    told = np.concatenate((np.array([lag]), (recv - mark)[moved]))
    lags = np.repeat(told, np.diff(moved, prepend=0, append=len(recv)))
    carried = recv - 1 - _before(lags, lag)
    return lags, np.maximum.accumulate(np.maximum(np.maximum(highest, carried), closed)), int(highest[-1])


def _before(after: Whole, first: int) -> Whole:
    """What was before each row."""
    before = np.empty_like(after)
    before[0], before[1:] = first, after[:-1]
    return before


def _fold(
    key: Whole,
    price: Numbers,
    size: Numbers,
    side: NDArray[np.int8],
    stamp: Whole,
    volume: Numbers,
    value: Numbers,
    flow: Numbers,
    high: Numbers,
    low: Numbers,
    first: Whole,
    last: Whole,
    came_first: Whole,
    came_last: Whole,
) -> None:
    np.add.at(volume, key, size)  # one by one: what add.reduceat does is another sum
    np.add.at(value, key, price * size)
    np.add.at(flow, key * 3 + 1 + side, size)
    np.maximum.at(high, key, price)
    np.minimum.at(low, key, price)
    rows = np.arange(len(key))
    _set_first(came_first, key, rows)
    came_last[key] = rows
    if (stamp[1:] >= stamp[:-1]).all():
        first[:], last[:] = came_first, came_last
        return
    earliest, latest = np.full(len(first), _NEVER), np.full(len(last), -_NEVER)
    np.minimum.at(earliest, key, stamp)
    np.maximum.at(latest, key, stamp)
    _set_first(first, key, np.flatnonzero(stamp == earliest[key]))
    rows = np.flatnonzero(stamp == latest[key])
    last[key[rows]] = rows


def _set_first(first: Whole, key: Whole, rows: Whole) -> None:
    backwards = rows[::-1]
    first[key[backwards]] = backwards  # of several assignments to one place, the last one stays


BY_NUMPY = Tools(_watermarks, _fold)


# -- by a loop, to be compiled ---------------------------------------------------------------------------


def _watermarks_by_loop(
    stamp: Whole, recv: Whole, tolerance: int, newest: int, lag: int, closed: int
) -> tuple[Whole, Whole, int]:
    lags, reached = np.empty_like(stamp), np.empty_like(stamp)
    for row in range(len(stamp)):
        now = recv[row]
        mark = min(stamp[row], now + tolerance)
        closed = max(closed, now - 1 - lag)
        if mark > newest:
            newest = mark
            lag = now - mark
        closed = max(closed, newest)
        lags[row] = lag
        reached[row] = closed
    return lags, reached, newest


def _fold_by_loop(
    key: Whole,
    price: Numbers,
    size: Numbers,
    side: NDArray[np.int8],
    stamp: Whole,
    volume: Numbers,
    value: Numbers,
    flow: Numbers,
    high: Numbers,
    low: Numbers,
    first: Whole,
    last: Whole,
    came_first: Whole,
    came_last: Whole,
) -> None:
    for row in range(len(key)):
        place, paid, many = key[row], price[row], size[row]
        volume[place] += many
        value[place] += paid * many
        flow[3 * place + 1 + side[row]] += many
        high[place] = max(high[place], paid)
        low[place] = min(low[place], paid)
        came_last[place] = row
        if came_first[place] < 0:
            came_first[place] = first[place] = last[place] = row
        else:
            if stamp[row] < stamp[first[place]]:
                first[place] = row
            if stamp[row] >= stamp[last[place]]:
                last[place] = row


BY_LOOP = Tools(_watermarks_by_loop, _fold_by_loop)
