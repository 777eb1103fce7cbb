"""batch: events to batches of one type each, in order."""

from __future__ import annotations

from typing import Any

import msgspec

from rtflow.columns import DTYPES, Columns, is_batch
from rtflow.events import Event, Vwap
from rtflow.kernel import Kernel, Lifted, lift
from rtflow.time import Duration, nanoseconds


def batch(*, count: int = 10_000, every: Duration | None = None) -> Lifted[Any, Any]:
    """Events of one type in a row as one :class:`~rtflow.columns.Columns`, at most ``count`` of them.

    ::

        --t1-t2-q1-t3-----t4-G--t5-|      t: trades, q: quotes, G: a Gap
        [ batch(count=2)           ]
        -----T------Q-------TG-----T|     T of t1, t2; Q of q1; T of t3, t4 (full); G itself; T of t5

    **Order.** Nothing overtakes: an event of another type sends off what was held, and then waits in a batch
    of its own. So trades and quotes by turns make small batches; for large ones take the type that you want
    first, by ``op.only(Trade)``. What has no columns (book updates, gaps, statuses, a batch that was one
    before) leaves as it came, after what was held: the stream is the same events in the same order, and
    :func:`rows` makes it single events again.

    **When.** A batch leaves when it has ``count`` events, when ``every`` seconds have passed since its first
    one was received, whether or not anything comes, and when the source completes. An error comes at once,
    and what was held is gone. An event received at the very nanosecond at which a batch is due is still in
    it.

    A batch tells no time before it leaves. To an operator that closes things by time its events may be late
    by as much as ``every``: before ``window_to_bar``, live, let ``grace`` be as long. Where the stream is
    replayed as fast as it goes, or ``window_to_bar`` has no scheduler, it makes no difference.

        >>> from rtflow.events import Trade
        >>> kernel = batch(count=2).kernel()
        >>> for second in (1, 2, 3):
        ...     for made in kernel.push(Trade("A", second, second, 10.0, 1.0)):
        ...         print(made)
        <Columns of 2 Trade: A; 1970-01-01T00:00:00.000000001Z to 1970-01-01T00:00:00.000000002Z>
        >>> [len(made) for made in kernel.flush()]
        [1]

    Raises ValueError for a ``count`` below 1, or an ``every`` that is not positive; TypeError for one that is
    no whole number.
    """
    if not isinstance(count, int):
        raise TypeError(f"count is a whole number, not {count!r}")
    if count < 1:
        raise ValueError(f"a batch holds at least one event, not count={count}")
    length = None if every is None else nanoseconds(every)
    if length is not None and length <= 0:
        raise ValueError(f"a batch waits for a positive time, not every={every!r}")
    return lift(lambda: _Batch(count, length))


def rows() -> Lifted[Any, Any]:
    """Each event of each batch by itself, in order; what is no batch passes.

    ::

        --T----G--q--|     T: a batch of t1, t2, t3
        [ rows()     ]
        --ttt--G--q--|

    >>> from rtflow.events import Trade
    >>> import reactivex
    >>> trades = [Trade("A", second, second, 10.0, 1.0) for second in (1, 2)]
    >>> reactivex.of(Columns.of(trades)).pipe(rows()).subscribe(lambda trade: print(trade.ts_event)).dispose()
    1
    2
    """
    return lift(_Rows)


class _Batch(Kernel[Any, Any]):
    """The events that wait, all of one type."""

    def __init__(self, count: int, length: int | None) -> None:
        self._count = count
        self._length = length
        self._held: list[Any] = []
        self._due: int | None = None

    def push(self, item: Any) -> tuple[Any, ...]:
        kind = item.__class__
        if kind not in DTYPES:
            return (*self._leave(), item)
        held, due = self._held, self._due
        over = held and (type(held[0]) is not kind or (due is not None and item.ts_recv > due))
        made = self._leave() if over else ()
        self._held.append(item)
        if len(self._held) == self._count:
            return made + self._leave()
        if self._length is not None and self._due is None:
            self._due = item.ts_recv + self._length
        return made

    def flush(self) -> tuple[Any, ...]:
        return self._leave()

    def due(self) -> int | None:
        return self._due

    def wake(self, now: int) -> tuple[Any, ...]:
        return self._leave()

    def state(self) -> Any:
        return msgspec.to_builtins([self._held, self._due])

    def restore(self, state: Any) -> None:
        self._held, self._due = msgspec.convert(state, tuple[list[Event | Vwap], int | None])

    def _leave(self) -> tuple[Columns[Any], ...]:
        held, self._held, self._due = self._held, [], None
        return (Columns[Any].of(held),) if held else ()


class _Rows(Kernel[Any, Any]):
    """Remembers nothing."""

    def push(self, item: Any) -> tuple[Any, ...]:
        return tuple(item) if is_batch(item) else (item,)
