"""Bars by time of several lengths at once: one for most symbols, others for some, changed at any moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from rtflow.counters import Counters
from rtflow.events import Bar, Event, Trade
from rtflow.kernel import Kernel, Lifted, lift
from rtflow.operators._window_to_bar import window_to_bar
from rtflow.time import SECOND


class Lengths(msgspec.Struct, frozen=True):
    """How long bars are, in nanoseconds."""

    every: int
    own: dict[str, int] = {}
    """Of the symbols that do not go with the rest."""

    def of(self, symbol: str) -> int:
        """The length of this symbol's bars."""
        return self.own.get(symbol, self.every)

    @property
    def all(self) -> set[int]:
        """The lengths that any symbol may have."""
        return {self.every, *self.own.values()}


def bars_of_lengths(
    lengths: Callable[[], Lengths], *, counters: Counters | None = None
) -> Lifted[Event, Bar]:
    """Bars as ``op.window_to_bar`` makes them, each symbol's as long as ``lengths()`` says at that moment.

    A bar has the length that was in force when its stretch began, on the clock of the trades. So a change
    cuts nothing off: the bar that is forming is finished, and the first of the new length is the first
    stretch that lies behind the change.

        >>> told = Lengths(60 * SECOND)
        >>> kernel = bars_of_lengths(lambda: told).kernel()
        >>> for second in (1, 12, 31, 61):
        ...     if second == 12:
        ...         told = Lengths(10 * SECOND)
        ...     for bar in kernel.push(Trade("A", second * SECOND, second * SECOND, 1.0, 1.0)):
        ...         print(bar.start // SECOND, bar.end // SECOND, bar.count)
        30 40 1
        0 60 3
    """
    return lift(lambda: _BarsOfLengths(lengths, Counters() if counters is None else counters))


class _Known(msgspec.Struct):
    """The kernel's state."""

    in_force: list[tuple[int, Lengths]]
    kernels: list[tuple[int, Any]]


class _BarsOfLengths(Kernel[Event, Bar]):
    """A kernel for each length, all of which hear everything; a bar counts if its length was in force."""

    def __init__(self, lengths: Callable[[], Lengths], counters: Counters) -> None:
        self._told = lengths
        self._counters = counters
        self._latest = lengths()
        self._in_force: list[tuple[int, Lengths]] = [
            (_EVER, self._latest)
        ]  # since when, by the trades' clock
        self._kernels: dict[int, Kernel[Any, Bar]] = {}
        self._look_after()

    def push(self, item: Event) -> Iterable[Bar]:
        if item.__class__ is Trade and self._told() is not self._latest:
            self._change(_clock(item))
        if self._alone is not None:
            return self._alone.push(item)
        made = self._counting((length, kernel.push(item)) for length, kernel in self._kernels.items())
        if item.__class__ is Trade and len(self._in_force) > 1:
            self._forget(_clock(item))
        return made

    def flush(self) -> Iterable[Bar]:
        return self._counting((length, kernel.flush()) for length, kernel in self._kernels.items())

    def due(self) -> int | None:
        if self._alone is not None:
            return self._alone.due()
        return min((due for each in self._kernels.values() if (due := each.due()) is not None), default=None)

    def wake(self, now: int) -> Iterable[Bar]:
        waking = [
            (length, kernel)
            for length, kernel in self._kernels.items()
            if (due := kernel.due()) is not None and due <= now
        ]
        return self._counting((length, kernel.wake(now)) for length, kernel in waking)

    def state(self) -> Any:
        kernels = [(length, kernel.state()) for length, kernel in self._kernels.items()]
        return msgspec.to_builtins(_Known(self._in_force, kernels))

    def restore(self, state: Any) -> None:
        known = msgspec.convert(state, _Known)
        self._in_force = known.in_force
        if self._latest == self._in_force[-1][1]:  # told again, it is no change
            self._in_force[-1] = (self._in_force[-1][0], self._latest)
        else:
            self._latest = self._in_force[-1][1]
        self._look_after()
        for length, told in known.kernels:
            self._kernels[length].restore(told)

    def _change(self, now: int) -> None:
        self._latest = self._told()
        since, _ = self._in_force[-1]
        self._in_force.append((max(now + 1, since), self._latest))  # of this moment we have seen a part only
        self._look_after()

    def _forget(self, now: int) -> None:
        """What was in force once, and has no bar any more that is still to leave."""
        while len(self._in_force) > 1 and self._in_force[1][0] + max(self._in_force[0][1].all) <= now:
            _, (_, lengths), *later = self._in_force
            self._in_force = [(_EVER, lengths), *later]
            self._look_after()

    def _look_after(self) -> None:
        """The kernels of all lengths that matter, those that there were among them."""
        lengths = sorted(set[int]().union(*(each.all for _, each in self._in_force)))
        self._kernels = {
            length: self._kernels.get(length)
            or window_to_bar(length / SECOND, counters=self._counters).kernel()
            for length in lengths
        }
        self._alone = self._kernels[lengths[0]] if len(lengths) == 1 else None

    def _counting(self, made: Iterable[tuple[int, Iterable[Bar]]]) -> tuple[Bar, ...]:
        """The bars whose length was in force for their symbol when they began."""
        return tuple(
            bar for length, bars in made for bar in bars if self._length(bar.symbol, bar.start) == length
        )

    def _length(self, symbol: str, stamp: int) -> int:
        return next(lengths for since, lengths in reversed(self._in_force) if since <= stamp).of(symbol)


def _clock(trade: Any) -> int:
    """What the watermark has reached by this trade, even if its stamp is from the future."""
    return int(min(trade.ts_event, trade.ts_recv))


_EVER = -(1 << 63)
