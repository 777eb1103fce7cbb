"""resample_last: the last item of each symbol at each moment of a grid."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

import msgspec

from rtflow.columns import pass_over
from rtflow.events import Gap, Lost, Sample, Status
from rtflow.kernel import Kernel, Lifted, lift
from rtflow.operators._rolling import _KINDS
from rtflow.time import Duration, nanoseconds

_A = TypeVar("_A")


def resample_last(every: Duration, *, of: type[_A], origin: int = 0) -> Lifted[Any, Sample[_A]]:
    """The last item of each symbol, every ``every`` seconds, and how old it was by then.

    ::

        --q1-q2-----------q3-----|
        [ resample_last(every=5) ]
        -----q2---q2---q2---q3---|     at 5, 10, 15, 20 s: the second and third are the same one, and older

    Moments are aligned to the epoch, or to the stamp ``origin``, on the clock of arrival (``ts_recv``): what
    leaves at a moment is what was known then, and nothing that was only stamped before it. An item received
    at the very nanosecond belongs to the next moment, as in :func:`window_to_bar`. Time makes the moments,
    and nobody waits for a next item; they leave by venue, then symbol.

    **Staleness.** Each venue's each symbol is told of at every moment from its first item on, whether it
    spoke or not, until it is unsubscribed. :class:`~rtflow.events.Sample` says the ``age`` (ns since the
    item was received), how many ``fresh`` items came since the moment before (0: the same one again), and
    with ``gap=True`` that there was a ``Gap`` of the venue, open or closed, or a ``Lost`` since the item
    came: that a newer one may have been missed. For what is new only: ``ops.filter(lambda sample:
    sample.fresh)``.

    ``of`` is the type of the items, which are not changed; anything else only tells the time. For
    ``state()`` they must be what msgspec encodes: of books, take :func:`quotes_from_book` first.

        >>> from rtflow.events import Trade
        >>> from rtflow.time import SECOND
        >>> kernel = resample_last(5, of=Trade).kernel()
        >>> for second, price in (1, 10.0), (3, 11.0):
        ...     _ = kernel.push(Trade("A", second * SECOND, second * SECOND, price, size=1.0))
        >>> for _ in range(2):
        ...     for sample in kernel.wake(kernel.due()):
        ...         print(sample.ts_recv // SECOND, sample.item.price, sample.age // SECOND, sample.fresh)
        5 11.0 2 2
        10 11.0 7 0

    Raises ValueError for a grid that is not positive, TypeError where ``of`` is no type.
    """
    length = nanoseconds(every)
    if length <= 0:
        raise ValueError(f"a grid needs a positive length, not every={every!r}")
    if not isinstance(of, type):
        raise TypeError(f"of= wants a type, as in of=Trade, not {of!r}")
    return lift(lambda: _ResampleLast(length, of, origin))


class _Last(msgspec.Struct):
    """The last item of one symbol."""

    item: Any
    ts_recv: int
    fresh: int
    gap: bool = False


_Place: TypeAlias = tuple[str, str]
"""Venue and symbol."""


class _ResampleLast(Kernel[Any, Sample[_A]]):
    """The last items, and the next moment of the grid."""

    def __init__(self, length: int, of: type[_A], origin: int) -> None:
        self._length = length
        self._of = of
        self._kind = _KINDS.get(of, "")
        self._origin = origin
        self._last: dict[_Place, _Last] = {}
        self._next: int | None = None  # None while there is nothing to tell of

    def push(self, item: Any) -> tuple[Sample[_A], ...]:
        now: int = item.ts_recv
        made = self.wake(now)
        if isinstance(item, self._of):
            place = (getattr(item, "venue", ""), getattr(item, "symbol", ""))
            before = self._last.get(place)
            self._last[place] = _Last(item, now, 1 if before is None else before.fresh + 1)
            if self._next is None:
                self._next = now - (now - self._origin) % self._length + self._length
        elif isinstance(item, Gap):
            if not self._kind or item.kind in ("", self._kind):
                self._mark(item.venue, item.symbols)
        elif isinstance(item, Lost):
            self._mark(None, (item.symbol,) if item.symbol else ())
        elif (
            isinstance(item, Status)
            and item.state == "unsubscribed"
            and (not self._kind or item.kind in ("", self._kind))
        ):
            self._last.pop((item.venue, item.symbol), None)
            if not self._last:
                self._next = None
        else:
            pass_over(item, "resample_last")
        return made

    def due(self) -> int | None:
        return self._next

    def wake(self, now: int) -> tuple[Sample[_A], ...]:
        made: list[Sample[_A]] = []
        while self._next is not None and self._next <= now:
            for place in sorted(self._last):
                venue, symbol = place
                last = self._last[place]
                age = self._next - last.ts_recv
                made.append(Sample(symbol, self._next, last.item, age, last.fresh, venue, last.gap))
                last.fresh = 0
            self._next += self._length
        return tuple(made)

    def state(self) -> Any:
        return msgspec.to_builtins([list(self._last.items()), self._next])

    def restore(self, state: Any) -> None:
        saved, self._next = msgspec.convert(state, tuple[list[tuple[_Place, _Last]], int | None])
        self._last = {}
        for place, last in saved:
            last.item = msgspec.convert(last.item, self._of)
            self._last[place] = last

    def _mark(self, venue: str | None, symbols: tuple[str, ...]) -> None:
        """Of these, something may be missing; no venue is every venue, no symbol every symbol."""
        for (name, symbol), last in self._last.items():
            if venue in (None, name) and (not symbols or symbol in symbols):
                last.gap = True
