"""streams: from a venue to its events in one line."""

from __future__ import annotations

from collections.abc import Iterable

from reactivex import Observable, abc

from rtflow.events import Event
from rtflow.operators import normalize, retry_with_backoff
from rtflow.provider import Provider
from rtflow.transport import Feed, connect


class Stream(Observable[Event]):
    """A venue's events, cold: each subscription is one connection, made anew whenever it fails.

    Everything the stream says is in it: the market's events, and the ``Gap``, ``Status``, ``Lost`` and
    ``Malformed`` between them, so every operator works behind it; ``op.only(rtflow.Trade)`` leaves trades
    alone. It never completes; it ends with the error that a retry cannot cure.
    """

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self.feed = feed
        """What is behind it: ``stream.feed.add(…)``, ``resync=stream.feed.resync``, ``stream.feed.line``."""
        self._events = feed.pipe(
            retry_with_backoff(park=True), normalize(feed.provider, counters=feed.counters)
        )

    def _subscribe_core(
        self, observer: abc.ObserverBase[Event], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._events.subscribe(
            observer.on_next, observer.on_error, observer.on_completed, scheduler=scheduler
        )


class Streams:
    """What every venue here can do beside saying what it says: open itself.

    These are the only lines of a venue that reach a socket, and they are not the venue's own: they hand it to
    :func:`rtflow.connect`. A venue of yours has them by ``class Yours(Streams)``, and needs them not.

        >>> from rtflow.providers import Kraken
        >>> stream = Kraken().stream_trades(["BTC/USD", "ETH/USD"])
        >>> stream.feed.wanted.symbols("trades")
        ('BTC/USD', 'ETH/USD')
    """

    def stream_trades(self: Provider, symbols: str | Iterable[str]) -> Stream:
        """The trades of ``symbols``, and what befell the line (``Status``, ``Gap``, …) between them.

        ``op.only(Trade)`` behind it leaves trades alone. Raises Unsupported, which is a NotImplementedError,
        where the venue has none.
        """
        return Stream(connect(self, trades=symbols))

    def stream_quotes(self: Provider, symbols: str | Iterable[str]) -> Stream:
        """Best bid and offer of ``symbols``, and what befell the line (``Status``, ``Gap``, …) between them.

        ``op.only(Quote)`` behind it leaves quotes alone. Raises Unsupported, which is a NotImplementedError,
        where the venue has none.
        """
        return Stream(connect(self, quotes=symbols))

    def stream_orderbook(self: Provider, symbols: str | Iterable[str]) -> Stream:
        """The book updates of ``symbols``, and what befell the line (``Status``, ``Gap``, …) between them.

        ``op.book_apply`` makes books of all that; ``op.only(OrderBookUpdate)`` leaves the updates alone.
        Raises Unsupported, which is a NotImplementedError, where the venue has none.
        """
        return Stream(connect(self, books=symbols))
