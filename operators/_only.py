"""only: the items of some types, and nothing else."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from rtflow.columns import Columns, pass_over
from rtflow.kernel import Kernel, Lifted, lift

_T1 = TypeVar("_T1")
_T2 = TypeVar("_T2")
_T3 = TypeVar("_T3")
_T4 = TypeVar("_T4")


@overload
def only(first: type[_T1], /) -> Lifted[Any, _T1]: ...
@overload
def only(first: type[_T1], second: type[_T2], /) -> Lifted[Any, _T1 | _T2]: ...
@overload
def only(first: type[_T1], second: type[_T2], third: type[_T3], /) -> Lifted[Any, _T1 | _T2 | _T3]: ...
@overload
def only(
    first: type[_T1], second: type[_T2], third: type[_T3], fourth: type[_T4], /
) -> Lifted[Any, _T1 | _T2 | _T3 | _T4]: ...


def only(*types: type[Any]) -> Lifted[Any, Any]:
    """The items that are instances of one of ``types`` (one to four of them), and typed so.

    ::

        --T1--Q1--T2--G--T3--|
        [ only(Trade)        ]
        --T1------T2-----T3--|

    A batch of :func:`batch` counts as what is in it.

    For the end of a chain: an operator that keeps time or marks holes wants the whole stream.

        >>> import reactivex
        >>> reactivex.of(1, "two", 3.0, "four").pipe(only(str)).subscribe(print).dispose()
        two
        four

    Raises TypeError where no type is named, or something that is no type.
    """
    if not types:
        raise TypeError("only() wants at least one type")
    for each in types:
        if not isinstance(each, type):
            raise TypeError(f"only() wants types, as in only(Trade), not {each!r}")
    return lift(lambda: _Only(types))


class _Only(Kernel[Any, Any]):
    """Remembers nothing."""

    def __init__(self, types: tuple[type[Any], ...]) -> None:
        self._types = types

    def push(self, item: Any) -> tuple[Any, ...]:
        if isinstance(item, self._types):
            return (item,)
        if item.__class__ is Columns:
            return (item,) if issubclass(item.kind, self._types) else ()
        pass_over(item, "only")
        return ()
