"""What a venue's file must say: where to connect, how to talk (Session), what it means (Decoder).

A provider is sans-IO. It opens no socket, reads no clock and knows no Rx; bytes come in, bytes and events go
out. The transport owns one :class:`Session` per connection and calls it on its reader thread;
``op.normalize`` owns one :class:`Decoder` per connection and calls it wherever the frames flow: live, from a
tape, in a test.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol, TypeAlias

import msgspec

from rtflow.errors import Disconnected, Rejected, RtflowError, Throttled, Unsupported
from rtflow.events import Event, Frame

Topic: TypeAlias = tuple[str, str]
"""``(kind, symbol)``: one thing that can be subscribed, as ``("trades", "BTC/USD")``."""

Send: TypeAlias = str | bytes
"""A message to the venue: ``str`` leaves as a text frame, ``bytes`` as a binary one."""


class Subscription(msgspec.Struct, frozen=True):
    """A set of topics: what somebody wants of a venue.

    >>> Subscription.of(trades=["BTC/USD"], books=["BTC/USD", "ETH/USD"]).symbols("books")
    ('BTC/USD', 'ETH/USD')
    """

    topics: frozenset[Topic] = frozenset()

    @classmethod
    def of(cls, **kinds: Iterable[str]) -> Subscription:
        """The subscription of these symbols by kind. A bare string is one symbol, not its letters.

        Raises TypeError, naming the keyword, for what is no collection of symbols (a misspelt option, say)
        and for a symbol that is no text.
        """
        topics: set[Topic] = set()
        for kind, symbols in kinds.items():
            if not isinstance(symbols, Iterable):
                raise TypeError(f"{kind}={symbols!r} is neither an option nor symbols of some kind of data")
            for symbol in [symbols] if isinstance(symbols, str) else symbols:
                if not (symbol and isinstance(symbol, str)):
                    raise TypeError(f"{kind}=: a symbol is text, as 'BTC/USD' or '265598', not {symbol!r}")
                topics.add((kind, symbol))
        return cls(frozenset(topics))

    def symbols(self, kind: str) -> tuple[str, ...]:
        """The symbols wanted of ``kind``, sorted."""
        return tuple(sorted(symbol for each, symbol in self.topics if each == kind))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds wanted, sorted."""
        return tuple(sorted({kind for kind, _ in self.topics}))

    def __or__(self, other: Subscription) -> Subscription:
        return Subscription(self.topics | other.topics)

    def __sub__(self, other: Subscription) -> Subscription:
        return Subscription(self.topics - other.topics)

    def __bool__(self) -> bool:
        return bool(self.topics)


class Rate(msgspec.Struct, frozen=True):
    """What a host allows: so much within so many seconds."""

    most: int
    within: float


class Request(msgspec.Struct, frozen=True):
    """Where to connect, and what to say in the upgrade. Headers hold secrets: never shown, never taped.

    ``certificate`` is the path of a PEM file: the one certificate to trust beside the well-known authorities,
    for a gateway that signs its own. ``verified=False`` trusts whoever answers; say so only of this machine.
    ``attempts`` is how often the host may be connected to, by all feeds of this process together.
    """

    url: str
    headers: Mapping[str, str] = {}
    cookie: str = ""
    certificate: str = ""
    verified: bool = True
    attempts: Rate | None = None

    def __repr__(self) -> str:
        return f"Request({self.url.partition('?')[0]!r})"


class Room(msgspec.Struct, frozen=True):
    """How much a venue serves over one connection, and how many connections it allows.

    ``weigh`` says how much the topics of one symbol count together, ``apart`` what goes over different
    connections however much there is of it.
    """

    topics: int
    connections: int | None = None
    weigh: Callable[[frozenset[Topic]], int] = len
    apart: Callable[[Topic], str] = lambda _: ""


class Traffic(enum.Enum):
    """What a frame is to the line, told by a cheap look at its first bytes."""

    DATA = "data"  # market data: counts as delivered, only the decoder reads it
    CONTROL = "control"  # the session reads it too
    HEARTBEAT = "heartbeat"  # says only that the venue lives


class Refused(msgspec.Struct, frozen=True):
    """The venue will not serve these topics; they leave the desired set, the rest goes on.

    Each is said in the stream, as ``Status("rejected")`` of symbol and kind: by the decoder where its frame
    names the symbol (``told``), else by the transport, behind that frame.
    """

    topics: tuple[Topic, ...]
    reason: str
    told: bool = False


class Fetch(msgspec.Struct, frozen=True):
    """A document that the session needs by HTTP GET: the snapshot of a book, say.

    It comes back as an ``HTTP`` frame, in order with the rest: ``label``, a line feed, and the body untouched
    (:meth:`document` takes them apart). The label says what was asked, so it has no secret in it and no line
    feed. A session paces its own fetches; the transport has one under way at a time. What all feeds of this
    process may ask of the host together is ``allowance``, of which this one takes ``weight``.
    """

    label: str
    url: str
    headers: Mapping[str, str] = {}
    weight: int = 1
    allowance: Rate | None = None

    def __repr__(self) -> str:
        return f"Fetch({self.label!r})"

    @staticmethod
    def document(payload: bytes) -> tuple[str, bytes]:
        """The label and the body of an ``HTTP`` frame.

        >>> Fetch.document(b'depth BTCUSDT\\n{"lastUpdateId":1}')
        ('depth BTCUSDT', b'{"lastUpdateId":1}')
        """
        label, _, body = payload.partition(b"\n")
        return label.decode(errors="replace"), body


class Expiring(msgspec.Struct, frozen=True):
    """The venue will cut this connection, and we know it beforehand: a new one is made while it still serves.

    The old connection goes on meanwhile. It is let go when the new one is :meth:`Session.serving`.
    """

    reason: str


Answer: TypeAlias = Send | Fetch | Refused | Expiring | RtflowError
"""What a session may say: to the venue, to the transport, or that it is over."""


class Session(Protocol):
    """Talking: fresh state for one connection. An explicit subclass must write the first four."""

    def opened(self) -> Iterable[Answer]:
        """What to say first, right after the upgrade."""
        ...

    def classify(self, payload: bytes) -> Traffic:
        """What kind of traffic this is; called for each frame, so it looks at a prefix and parses nothing."""
        ...

    def received(self, frame: Frame) -> Iterable[Answer]:
        """What to answer to a ``CONTROL`` or ``HTTP`` frame; an error among them ends the connection."""
        ...

    def wanted(self, added: Subscription, removed: Subscription) -> Iterable[Answer]:
        """What to say when the desired set changed while connected, whether or not we may speak yet."""
        ...

    def resync(self, symbol: str) -> Iterable[Answer]:
        """How to ask for a fresh snapshot of one book; nothing where the venue has no way."""
        return ()

    def due(self) -> int | None:
        """The stamp (ns) at which to :meth:`wake`; None for never."""
        return None

    def wake(self, now: int) -> Iterable[Answer]:
        """Heartbeats, paced requests, deadlines; must move :meth:`due` on."""
        return ()

    def unfetched(self, fetch: Fetch, error: RtflowError, now: int) -> Iterable[Answer]:
        """What to do about a document that did not come; nothing, unless a venue says otherwise.

        ``Throttled`` and ``Disconnected`` may pass, and the session may ask again, later; ``Rejected`` is the
        server's no.
        """
        return ()

    def serving(self) -> bool:
        """Whether all that is wanted is served by now and said to be, books from their snapshots on.

        Asked of a connection that is to take over from an :class:`Expiring` one; a venue that never announces
        an end need not answer.
        """
        return False

    def started(self, now: int) -> None:
        """The stamp at which the connection opened, before :meth:`opened`: where deadlines count from."""
        return

    def denied(self, status: int, text: str) -> RtflowError:
        """What an HTTP answer other than 101 to the upgrade means; ``text`` is all that it says of why."""
        return denied(status, text)

    def closed(self, code: int, reason: str) -> RtflowError:
        """What the venue's close frame (or 1006 for none) means."""
        return Disconnected(reason or f"closed with code {code}", code=code, announced=code in (1000, 1001))


class Decoder(Protocol):
    """Meaning: fresh state for one connection, and nothing but the frames to go by."""

    def decode(self, frame: Frame) -> Iterable[Event]:
        """The events of one ``TEXT``, ``BINARY`` or ``HTTP`` frame.

        Acknowledgements and refusals are ``Status``; what breaks the venue's format is ``Malformed``, one
        per bad element, its neighbours intact. Never raises for what the venue sent.
        """
        ...

    @property
    def skipped(self) -> int:
        """How many messages of a type nobody here knows have been passed over."""
        ...

    def state(self) -> object:
        """Everything the decoder knows, as plain data."""
        ...

    def restore(self, state: object) -> None:
        """Become the decoder that said ``state``."""
        ...


class Profile(msgspec.Struct, frozen=True):
    """How a venue compares with others: one row of a table, each field a few words, "–" for none.

    Every provider in :mod:`rtflow.providers` has one as its class's ``profile``; your own need not.
    """

    title: str  # the venue's own name
    documents: str  # where its documents are
    markets: str
    encoding: str  # what its messages are made of
    auth: str
    kinds: tuple[str, ...]  # everything it can be asked for, on some feed of it
    depth: str  # levels a side of its books
    sequence: str  # what numbers its messages, so that a hole is noticed
    checksum: str
    heartbeat: str  # who says what, how often, to show that the line lives
    limits: str
    transport: str = "WebSocket"


class Provider(Protocol):
    """One venue.

    One that serves only so much over a connection says so in an attribute more, ``room`` (:class:`Room`):
    a feed then has as many connections as it takes, and each of these methods is asked for a part of what is
    wanted.
    """

    @property
    def name(self) -> str:
        """The venue, in lower case; every event carries it."""
        ...

    @property
    def kinds(self) -> Collection[str]:
        """The kinds of data that can be subscribed."""
        ...

    def request(self, subscription: Subscription) -> Request:
        """Where to connect, with which headers.

        Raises Unsupported for what the venue cannot serve: a kind it lacks (:func:`check_kinds`), or more
        than its limits allow, naming the limit. It is asked before anything is opened, and for each ``add``.
        """
        ...

    def session(self, subscription: Subscription) -> Session:
        """A fresh conversation that is to end with ``subscription`` being served."""
        ...

    def decoder(self) -> Decoder:
        """A fresh reader of one connection's frames."""
        ...


def check_kinds(provider: Provider, subscription: Subscription) -> None:
    """Raises Unsupported, naming venue, kind and offer, if ``subscription`` wants what the venue lacks."""
    for kind in subscription.kinds:
        if kind not in provider.kinds:
            raise Unsupported(
                f"{provider.name} has no {kind!r}; it offers {', '.join(sorted(provider.kinds))}"
            )


def either(choices: Iterable[object]) -> str:
    """Two choices or more, as an error names them.

    >>> either([10, 25, 100])
    '10, 25 or 100'
    """
    *most, last = map(str, choices)
    return f"{', '.join(most)} or {last}"


def denied(status: int, text: str) -> RtflowError:
    """What an HTTP answer to the upgrade means, unless a venue says otherwise.

    429 is a rate limit; every other 4xx refuses what we are; the rest may pass.
    """
    reason = f"HTTP {status} {text}".rstrip()
    if status == 429:
        return Throttled(reason, retry_after=1.0)
    if 400 <= status < 500:
        return Rejected(reason, code=status)
    return Disconnected(reason)
