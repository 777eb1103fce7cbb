"""together: one stream through several operators side by side, and all that they make in one stream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, overload

import msgspec

from rtflow.kernel import Kernel, Lifted, lift

_A = TypeVar("_A")
_B1 = TypeVar("_B1")
_B2 = TypeVar("_B2")
_B3 = TypeVar("_B3")
_B4 = TypeVar("_B4")


@overload
def together(first: Lifted[_A, _B1], second: Lifted[_A, _B2], /) -> Lifted[_A, _B1 | _B2]: ...
@overload
def together(
    first: Lifted[_A, _B1], second: Lifted[_A, _B2], third: Lifted[_A, _B3], /
) -> Lifted[_A, _B1 | _B2 | _B3]: ...
@overload
def together(
    first: Lifted[_A, _B1], second: Lifted[_A, _B2], third: Lifted[_A, _B3], fourth: Lifted[_A, _B4], /
) -> Lifted[_A, _B1 | _B2 | _B3 | _B4]: ...


def together(*operators: Lifted[Any, Any]) -> Lifted[Any, Any]:
    """Each item through every one of ``operators`` (two to four of them), and what they make, in their order.

    ::

        --t1--q1--t2-------t3--|
        [ together(only(Trade), window_to_bar(60)) ]
        --t1------t2----b1-t3--b2|

    What ``op.broadcast`` and a merge would give, as one subscription: nothing is missed while the others
    subscribe, and a step of Rx is paid once. ``op.only(object)`` among them is the item itself.

        >>> import reactivex
        >>> from rtflow.events import Quote, Trade
        >>> from rtflow.operators import only, window_to_bar
        >>> trade = Trade("BTC/USD", 1, 1, price=100.0, size=2.0)
        >>> reactivex.of(trade).pipe(together(only(Trade), window_to_bar(60))).subscribe(
        ...     lambda made: print(type(made).__name__)).dispose()
        Trade
        Bar

    Timers of one moment run in the order of the operators, and so does completion. Raises TypeError for what
    ``lift`` has not made.
    """
    for each in operators:
        if not isinstance(each, Lifted):
            raise TypeError(f"together() takes operators made by lift(), as only(Trade), not {each!r}")

    def kernel() -> Kernel[Any, Any]:
        kernels = [each.kernel() for each in operators]
        timed = [each for each in kernels if type(each).due is not Kernel[Any, Any].due]
        # A chain without timers pays for none: lift asks the class.
        return _TimedTogether(kernels, timed) if timed else _Together(kernels)

    return lift(kernel)


class _Together(Kernel[Any, Any]):
    """The kernels, side by side."""

    def __init__(self, kernels: Sequence[Kernel[Any, Any]]) -> None:
        self._kernels = kernels
        self._pushes = [each.push for each in kernels]

    def push(self, item: Any) -> tuple[Any, ...]:
        made: tuple[Any, ...] = ()
        for push in self._pushes:
            made += tuple(push(item))  # of a tuple, tuple() makes no copy
        return made

    def flush(self) -> Iterable[Any]:
        return [made for each in self._kernels for made in each.flush()]

    def state(self) -> list[Any]:
        return [each.state() for each in self._kernels]

    def restore(self, state: Any) -> None:
        for each, known in zip(self._kernels, msgspec.convert(state, list[Any]), strict=True):
            each.restore(known)


class _TimedTogether(_Together):
    """The same, some of them with timers."""

    def __init__(self, kernels: Sequence[Kernel[Any, Any]], timed: Sequence[Kernel[Any, Any]]) -> None:
        super().__init__(kernels)
        self._timed = timed
        self._dues = [each.due for each in timed]

    def due(self) -> int | None:
        first: int | None = None
        for due in self._dues:
            at = due()
            if at is not None and (first is None or at < first):
                first = at
        return first

    def wake(self, now: int) -> Iterable[Any]:
        waking = [each for each in self._timed if (due := each.due()) is not None and due <= now]
        return [made for each in waking for made in each.wake(now)]
