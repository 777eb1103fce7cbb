"""What every venue's dialect is: conversations over one market, and the order in which things reach them.

Sans-IO. A venue is told what was said and what time it is; it answers with messages. Nothing here knows a
socket or a clock, so a scripted conversation is a test and one script is one answer, byte for byte.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, NamedTuple

from rtflow.errors import Unsupported
from rtflow.twin.market import NEVER, Listing, Market, Move


class Message(NamedTuple):
    """Something the venue says: text or binary, market data or not."""

    payload: str | bytes
    data: bool = False


class Hangup(NamedTuple):
    """The venue closes the connection with this code of RFC 6455 section 7.4."""

    code: int = 1000
    reason: str = ""


class Denied(Exception):
    """The venue answers the upgrade with an HTTP status other than 101."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"HTTP {status} {text}")
        self.status = status
        self.text = text
        self.headers = dict(headers or {})


class Page(NamedTuple):
    """What a plain HTTP GET is answered with."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = {}
    content_type: str = "application/json"


class Conversation(ABC):
    """The venue's side of one connection. What it says collects until :meth:`take`."""

    def __init__(self) -> None:
        self._said: list[Message | Hangup] = []

    def say(self, payload: str | bytes, *, data: bool = False) -> None:
        """Add one message to what is said."""
        self._said.append(Message(payload, data))

    def hang_up(self, code: int = 1000, reason: str = "") -> None:
        """End the conversation after what has been said so far."""
        self._said.append(Hangup(code, reason))

    def take(self) -> list[Message | Hangup]:
        """Everything said since the last time."""
        said, self._said = self._said, []
        return said

    @property
    @abstractmethod
    def listening(self) -> bool:
        """Whether any market data is subscribed."""

    @abstractmethod
    def opened(self) -> None:
        """The upgrade succeeded."""

    @abstractmethod
    def received(self, payload: str | bytes) -> None:
        """The client said ``payload``, a whole text or binary message."""

    @abstractmethod
    def moved(self, move: Move) -> None:
        """The market moved, and stands exactly after this move."""

    @abstractmethod
    def due(self) -> int:
        """The stamp at which to :meth:`wake`; NEVER for never."""

    @abstractmethod
    def wake(self, now: int) -> None:
        """A heartbeat or a deadline; must move :meth:`due` on."""

    def flush(self) -> None:
        """A stretch of market time is over: say what has been gathered."""
        return

    def lagging(self) -> None:
        """The client reads too slowly and is about to be cut off; last words."""
        self.hang_up(1008, "slow client")

    def closed(self) -> None:
        """The connection is gone."""
        return


class Venue(ABC):
    """One venue over one market: whoever connects, in one virtual time.

    A dialect's options are the keyword arguments of its own ``__init__``; :class:`~rtflow.twin.server.Twin`
    hands them over. What it can be made to do wrong, beyond what every twin can, are its methods named
    ``provoke_…``.
    """

    path: str  # of the URL, where a client is expected
    listings: ClassVar[Iterable[str | Listing] | None] = None  # what is traded unless told otherwise

    def __init__(self, market: Market) -> None:
        self.market = market
        self.now = market.now
        self.conversations: list[Conversation] = []
        self.watch: Callable[[Move], object] | None = None  # told of every move, before the conversations are

    @classmethod
    def listed(
        cls, symbols: Iterable[str | Listing] | str | Listing | None
    ) -> Iterable[str | Listing] | None:
        """What is traded when these are asked for: symbols that the venue lists have its prices and sizes."""
        if symbols is None:
            return cls.listings
        own = {each.symbol: each for each in cls.listings or () if isinstance(each, Listing)}
        asked = [symbols] if isinstance(symbols, str | Listing) else symbols
        return [own.get(each, each) if isinstance(each, str) else each for each in asked]

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation:
        """A conversation for an upgrade request; raises Denied where the venue would."""
        conversation = self.converse(path, {name.lower(): value for name, value in headers.items()})
        self.conversations.append(conversation)
        conversation.opened()
        return conversation

    def page(self, path: str, headers: Mapping[str, str]) -> Page:
        """The answer to a plain GET of ``path``, query included; header names are in lower case."""
        return Page(b"not found", 404, content_type="text/plain")

    def provoke(self, fault: str, **details: object) -> None:
        """Do something wrong, or inconvenient: see the methods named ``provoke_…``.

        Raises Unsupported for what this venue cannot do wrong, naming what it can.
        """
        act = getattr(self, f"provoke_{fault}", None)
        if act is None:
            can = [name.removeprefix("provoke_") for name in dir(self) if name.startswith("provoke_")]
            raise Unsupported(f"this venue has no {fault!r}; it has {', '.join(can) or 'none of its own'}")
        act(**details)

    def leave(self, conversation: Conversation) -> None:
        """The connection of ``conversation`` is gone."""
        if conversation in self.conversations:
            self.conversations.remove(conversation)
            conversation.closed()

    def advance(self, now: int) -> None:
        """Let market time pass up to ``now``: moves and timers in order, moves first at one instant."""
        market = self.market
        while True:
            timer = min([self.due(), *[each.due() for each in self.conversations]])
            if min(market.due, timer) > now:
                break
            if market.due <= timer:
                move = market.step()
                self.now = move.stamp
                if self.watch:
                    self.watch(move)
                self.moved(move)
                for each in self.conversations:
                    each.moved(move)
            else:
                self.now = timer
                if self.due() <= timer:
                    self.wake(timer)
                for each in self.conversations:
                    if each.due() <= timer:
                        each.wake(timer)
        self.now = now
        for each in self.conversations:
            each.flush()

    @abstractmethod
    def converse(self, path: str, headers: Mapping[str, str]) -> Conversation:
        """A fresh conversation; header names are in lower case."""

    def moved(self, move: Move) -> None:
        """Remember of ``move`` what later subscribers will ask for."""
        return

    def due(self) -> int:
        """The stamp of the venue's own next timer; NEVER for none."""
        return NEVER

    def wake(self, now: int) -> None:
        """The venue's own timer; must move :meth:`due` on."""
        return
