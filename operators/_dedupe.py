"""dedupe: what has come once does not come again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rtflow.columns import pass_over
from rtflow.counters import Counters
from rtflow.events import Event, Trade, TradeCancel, TradeCorrection
from rtflow.kernel import Kernel, Lifted, lift


def dedupe(
    *,
    key: Callable[[Event], str] | None = None,
    remember: int = 10_000,
    counters: Counters | None = None,
) -> Lifted[Event, Event]:
    """Every event but those whose like, by type, venue, exchange, symbol and id, has come before.

    ::

        --t1--t2--q--t1--G--t2--t3--|
        [          dedupe()         ]
        --t1--t2--q------G------t3--|     t1, t2, t3: trades by their ids

    For venues that repeat their last trades after a reconnect, for two connections that overlap, and for a
    live stream behind a backfill. Trades, corrections and cancels go by their ``id``; what has none, and all
    other events, pass. ``key`` says another text to go by, "" for what is to pass.

    Of each type, venue, exchange and symbol the last ``remember`` keys are known. What is held back is
    counted as ``duplicate`` in ``counters``. Raises ValueError for a ``remember`` below 1.

        >>> kernel = dedupe().kernel()
        >>> trade = Trade("BTC/USD", 1, 1, 100.0, 0.5, id="7")
        >>> [len(kernel.push(each)) for each in (trade, trade, msgspec.structs.replace(trade, id="8"))]
        [1, 0, 1]
    """
    if remember < 1:
        raise ValueError(f"remember must be 1 or more, not {remember}")
    counted = Counters() if counters is None else counters
    return lift(lambda: Dedupe("dedupe", key or _id, remember, counters=counted))


def _id(event: Event) -> str:
    return event.id if isinstance(event, Trade | TradeCorrection | TradeCancel) else ""


class Dedupe(Kernel[Event, Event]):
    """The last keys of each type, venue, exchange and symbol, oldest first."""

    def __init__(
        self,
        operator: str,  # whose part it is
        key: Callable[[Event], str] = _id,
        remember: int = 10_000,
        *,
        counters: Counters,
    ) -> None:
        self._operator = operator
        self._key = key
        self._remember = remember
        self._counters = counters
        self._known: dict[tuple[str, str, str, str], dict[str, None]] = {}

    def push(self, item: Event) -> tuple[Event, ...]:
        key = self._key(item)
        if not key:
            pass_over(item, self._operator)
            return (item,)
        place = (
            type(item).__name__,
            getattr(item, "venue", ""),
            getattr(item, "exchange", ""),
            getattr(item, "symbol", ""),
        )
        known = self._known.setdefault(place, {})
        if key in known:
            self._counters.add("duplicate")
            return ()
        known[key] = None
        if len(known) > self._remember:
            del known[next(iter(known))]
        return (item,)

    def state(self) -> Any:
        return [(place, list(known)) for place, known in self._known.items()]

    def restore(self, state: Any) -> None:
        saved = msgspec.convert(state, list[tuple[tuple[str, str, str, str], list[str]]])
        self._known = {place: dict.fromkeys(keys) for place, keys in saved}
