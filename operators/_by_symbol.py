"""by_symbol: any lifted operator, once per symbol."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from typing import Any, TypeVar

import msgspec

from rtflow.columns import pass_over
from rtflow.kernel import Kernel, Lifted, lift

_A = TypeVar("_A")
_B = TypeVar("_B")


def by_symbol(operator: Lifted[_A, _B]) -> Lifted[_A, _B]:
    """``operator`` with a kernel of its own for each symbol.

    ::

        --a1--b1--a2--G----b2--|
        [ by_symbol(pairs)     ]      pairs: an item with the one before it
        ----------a---ab---b---|      a: (a1, a2)   ab: (a2, G), (b1, G)   b: (G, b2)

    An item goes to the kernel of its ``symbol``, made when the symbol first comes. What concerns no one
    symbol (``symbol`` is ``""`` or absent, as for a ``Gap`` or a connection's ``Status``) goes to every
    kernel there is, in the order the symbols came; a ``Gap`` that names its ``symbols`` only to theirs.
    Completion flushes them in that order, and timers run in due order.

    Every symbol ever seen is remembered, and its kernel kept, until the subscription ends.

        >>> import reactivex
        >>> from rtflow.events import Trade
        >>> class Count(Kernel[Trade, tuple[str, int]]):
        ...     count = 0
        ...     def push(self, item):
        ...         self.count += 1
        ...         return ((item.symbol, self.count),)
        >>> trades = [Trade(symbol, 0, 0, 1.0, 1.0) for symbol in ("A", "B", "A")]
        >>> reactivex.of(*trades).pipe(by_symbol(lift(Count))).subscribe(print).dispose()
        ('A', 1)
        ('B', 1)
        ('A', 2)
    """
    if not isinstance(operator, Lifted):
        raise TypeError(f"by_symbol() takes an operator made by lift(), as only(Trade), not {operator!r}")
    make = operator.kernel

    def kernel() -> Kernel[_A, _B]:
        # A chain without timers pays for none: lift asks the class.
        return _BySymbol(make) if type(make()).due is Kernel[Any, Any].due else _TimedBySymbol(make)

    return lift(kernel)


class _BySymbol(Kernel[_A, _B]):
    """The kernels by symbol, in the order the symbols came."""

    def __init__(self, make: Callable[[], Kernel[_A, _B]]) -> None:
        self._make = make
        self._kernels: dict[str, Kernel[_A, _B]] = {}

    def push(self, item: _A) -> Iterable[_B]:
        symbol: str = getattr(item, "symbol", "")
        if symbol:
            kernel = self._kernels.get(symbol)
            if kernel is None:
                kernel = self._kernels[symbol] = self._make()
            return self._settled(symbol, kernel, kernel.push(item))
        pass_over(item, "by_symbol")
        named: tuple[str, ...] = getattr(item, "symbols", ())
        return tuple(
            made
            for symbol, kernel in self._kernels.items()
            if not named or symbol in named
            for made in self._settled(symbol, kernel, kernel.push(item))
        )

    def flush(self) -> Iterable[_B]:
        return tuple(made for kernel in self._kernels.values() for made in kernel.flush())

    def state(self) -> list[tuple[str, Any]]:
        return [(symbol, kernel.state()) for symbol, kernel in self._kernels.items()]

    def restore(self, state: Any) -> None:
        for symbol, known in msgspec.convert(state, list[tuple[str, Any]]):
            kernel = self._kernels[symbol] = self._make()
            kernel.restore(known)
            self._settled(symbol, kernel, ())

    def _settled(self, symbol: str, kernel: Kernel[_A, _B], made: Iterable[_B]) -> Iterable[_B]:
        return made


class _TimedBySymbol(_BySymbol[_A, _B]):
    """The same, with the earliest due time of all at hand."""

    def __init__(self, make: Callable[[], Kernel[_A, _B]]) -> None:
        super().__init__(make)
        self._places: dict[str, int] = {}  # of the symbols, as they came: what decides between equal times
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, int, str]] = []  # (due, place, symbol), some of them out of date

    def due(self) -> int | None:
        heap = self._heap
        while heap:
            when, _, symbol = heap[0]
            if self._due.get(symbol) == when:
                return when
            heappop(heap)
        return None

    def wake(self, now: int) -> Iterable[_B]:
        waking: list[str] = []
        while (when := self.due()) is not None and when <= now:
            _, _, symbol = heappop(self._heap)
            del self._due[symbol]
            waking.append(symbol)
        made: list[_B] = []
        for symbol in waking:  # once each: whoever is still due is woken by the next timer
            kernel = self._kernels[symbol]
            made.extend(self._settled(symbol, kernel, kernel.wake(now)))
        return made

    def _settled(self, symbol: str, kernel: Kernel[_A, _B], made: Iterable[_B]) -> Iterable[_B]:
        made = tuple(made)  # a generator has done nothing yet
        # Whether due or not: a restored kernel then gives the same places.
        place = self._places.setdefault(symbol, len(self._places))
        when = kernel.due()
        if when is None:
            self._due.pop(symbol, None)
        elif self._due.get(symbol) != when:
            self._due[symbol] = when
            heappush(self._heap, (when, place, symbol))
            if len(self._heap) > 64 and len(self._heap) > 2 * len(self._due):
                self._heap = [(due, self._places[name], name) for name, due in self._due.items()]
                heapify(self._heap)
        return made
