"""Farewells: what is said of topics that were removed while nothing was connected."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rtflow.events import Frame, FrameKind, Status
from rtflow.provider import Topic


class Farewells:
    """Tells a stream what no venue will, as none was asked to.

    What is removed while a connection lives, the venue acknowledges, or its ``CLOSE`` names. But what was
    still wanted at its end, and is not any more when the next one opens, that one is never asked for: without
    a word, a book would wait for it for ever.

    >>> farewells = Farewells()
    >>> farewells.ended({("books", "BTC/USD"), ("books", "ETH/USD")})
    >>> (frame,) = farewells.opening({("books", "ETH/USD")}, (), ts_recv=5, epoch=1, venue="kraken")
    >>> status = msgspec.json.decode(frame.payload, type=Status)
    >>> status.state, status.kind, status.symbol
    ('unsubscribed', 'books', 'BTC/USD')
    """

    def __init__(self) -> None:
        self._cut_off = frozenset[Topic]()

    def ended(self, wanted: Iterable[Topic]) -> None:
        """A connection has ended that these were wanted of."""
        self._cut_off |= frozenset(wanted)

    def opening(
        self, wanted: Iterable[Topic], asked: Iterable[Topic], ts_recv: int, epoch: int, venue: str
    ) -> list[Frame]:
        """The ``STATUS`` frames to come before an ``OPEN``.

        They are of the epoch before it, and say nothing of what connections have been ``asked`` for: that
        they tell themselves.
        """
        gone = sorted(self._cut_off.difference(wanted, asked))
        self._cut_off &= frozenset(wanted)
        text = "it was removed while nothing was connected"
        said = [Status("unsubscribed", ts_recv, text, symbol, kind, epoch, venue) for kind, symbol in gone]
        return [Frame(FrameKind.STATUS, msgspec.json.encode(each), ts_recv, epoch) for each in said]
