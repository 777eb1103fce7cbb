"""What can go wrong, and whose fault it is.

::

    RtflowError
    ├── FeedError             the other side or the line; another connection may not fail
    │   ├── Disconnected      closed, refused, or silent too long
    │   ├── Throttled         rate or connection limits; carries retry_after
    │   └── SequenceBroken    a delta is missing; carries the symbol
    ├── Rejected              the venue refused what we are: bad key, no entitlement. Never retried
    ├── Unsupported           you asked a venue for what it does not have (also a NotImplementedError)
    ├── MalformedFrame        the venue broke its own format; in the stream it is the item Malformed
    ├── Overflow              a bounded buffer that was told to fail when full is full
    └── DamagedTape           a recording is not what was written

Anything else that leaves rtflow is a bug of ours or of the caller's, and goes through untouched.
"""

from __future__ import annotations


class RtflowError(Exception):
    """The root of everything rtflow raises on purpose."""


class FeedError(RtflowError):
    """The other side or the line failed; another connection may not.

    ``delivered_for`` is how many seconds of market data this connection had delivered when it failed,
    from the first data frame to the last. A retry reads it to tell a working line from one that accepts
    and drops.
    """

    def __init__(self, reason: str, *, delivered_for: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delivered_for = delivered_for


class Disconnected(FeedError):
    """Closed, refused, or silent too long.

    ``code`` is the close code of RFC 6455 (1006 when none came); ``announced`` says that the other side
    closed in an orderly way, so that an immediate new connection is polite.
    """

    def __init__(
        self, reason: str, *, code: int = 1006, announced: bool = False, delivered_for: float = 0.0
    ) -> None:
        super().__init__(reason, delivered_for=delivered_for)
        self.code = code
        self.announced = announced


class Throttled(FeedError):
    """Too many requests or connections; wait at least ``retry_after`` seconds."""

    def __init__(self, reason: str, *, retry_after: float = 0.0, delivered_for: float = 0.0) -> None:
        super().__init__(reason, delivered_for=delivered_for)
        self.retry_after = retry_after


class SequenceBroken(FeedError):
    """A delta of ``symbol`` is missing."""

    def __init__(self, reason: str, *, symbol: str, delivered_for: float = 0.0) -> None:
        super().__init__(reason, delivered_for=delivered_for)
        self.symbol = symbol


class Rejected(RtflowError):
    """The venue refused what we are; trying again would be rude. ``code`` is the venue's own."""

    def __init__(self, reason: str, *, code: int | str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class Unsupported(RtflowError, NotImplementedError):
    """A venue was asked for a kind of data, a depth or a mode that it does not have."""


class MalformedFrame(RtflowError):
    """A frame that breaks its venue's format; ``frame`` is the whole :class:`rtflow.events.Frame`."""

    def __init__(self, reason: str, frame: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.frame = frame


class Overflow(RtflowError):
    """A bounded buffer with ``overflow="error"`` is full."""


class DamagedTape(RtflowError):
    """A tape is cut, flipped or discontinuous; everything before ``offset`` (bytes) is whole."""

    def __init__(self, reason: str, *, offset: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset
