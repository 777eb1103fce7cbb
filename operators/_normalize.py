"""normalize: a connection's frames to the market's events, with every hole between them said aloud."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from typing import Any, Literal, get_args

import msgspec

from rtflow.bridge import Bridge
from rtflow.counters import Counters
from rtflow.errors import MalformedFrame
from rtflow.events import (
    Closing,
    Event,
    Frame,
    FrameKind,
    Gap,
    Lost,
    Malformed,
    Market,
    Opening,
    State,
    Status,
)
from rtflow.kernel import Kernel, Lifted, lift
from rtflow.provider import Decoder, Provider
from rtflow.time import SECOND


def normalize(
    provider: Provider,
    *,
    malformed: Literal["report", "raise"] = "report",
    counters: Counters | None = None,
) -> Lifted[Frame, Event]:
    """What ``provider`` says its frames mean, and what happened to the line between them.

    ::

        --OPEN1--f1--f2--CLOSE------OPEN2--f3---|
        [ normalize(venue)                      ]
        --S------ab--c---S-G--------S------Gd---|      S: Status, G: Gap, first opened, then closed

    Each connection is read by a fresh ``provider.decoder()``. Beside what that decodes come out:

    - ``Status("open")`` at an ``OPEN`` and ``Status("closed")`` at a ``CLOSE``;
    - a ``Gap`` with ``ts_end=None`` the moment the line is lost (at the ``CLOSE``; on a cut tape at the next
      connection's first frame), and the same ``Gap`` with both ends right before the next market event.
      It starts at the ``ts_recv`` of the last frame that held a market event, or of the first frame of all
      if none did; connections that come and go without data in between belong to the same hole;
    - where a planned cut is bridged, and frames of two connections are mixed, everything once: the old
      connection is believed until its ``CLOSE``, from then on the new one (:mod:`rtflow.bridge`). Nothing is
      lost, so no ``Gap`` is said, but ``Status("bridging")`` when the new one opens and ``Status("bridged")``
      when it has taken over, both with its epoch. ``Status("unbridged")`` says that it was lost before;
    - where several connections share what is wanted, the same of each, by itself: ``Status("joined")`` and
      ``Status("parted")`` instead of ``"open"`` and ``"closed"``, a ``Gap`` of its ``symbols`` alone; only
      the last one that is lost is ``"closed"``;
    - ``Status("unsubscribed")`` of what an ended connection still served though nobody wanted it any more;
    - the ``Status`` of a retry, and for frames lost before they reached us a ``Lost`` and a closed ``Gap``;
    - ``Malformed`` for what breaks the venue's format, its neighbours intact. ``malformed="raise"`` ends the
      stream with :class:`~rtflow.errors.MalformedFrame` instead.

    ``counters`` counts the ``malformed`` and the messages ``skipped`` because nobody knows their type.
    Raises TypeError for what is no provider, and for the stream where an item is no frame.

        >>> from rtflow.events import Trade
        >>> class Shout:                                  # a venue that says one price per frame
        ...     name, skipped = "shout", 0
        ...     def decoder(self): return self
        ...     def decode(self, frame): return (Trade("A", 0, frame.ts_recv, float(frame.payload), 1.0),)
        >>> kernel = normalize(Shout()).kernel()
        >>> for frame in (Frame(FrameKind.OPEN, b"wss://shout", 10), Frame(FrameKind.TEXT, b"1.5", 20),
        ...               Frame(FrameKind.CLOSE, b'{"error": "Disconnected"}', 30),
        ...               Frame(FrameKind.OPEN, b"wss://shout", 40, 2), Frame(FrameKind.TEXT, b"1.6", 50, 2)):
        ...     print(*(f"{type(event).__name__}@{event.ts_recv}" for event in kernel.push(frame)))
        Status@10
        Trade@20
        Status@30 Gap@30
        Status@40
        Gap@50 Trade@50
    """
    if isinstance(provider, type) or not isinstance(getattr(provider, "name", None), str):
        raise TypeError(f"normalize() takes a provider, as in normalize(kraken), not {provider!r}")
    if malformed not in ("report", "raise"):
        raise ValueError(f"malformed is 'report' or 'raise', not {malformed!r}")
    counted = Counters() if counters is None else counters
    return lift(lambda: _Normalize(provider, malformed == "raise", counted))


_TEXT, _BINARY = FrameKind.TEXT, FrameKind.BINARY
_MARKET: frozenset[type] = frozenset(get_args(Market))
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError)  # msgspec leaves bad UTF-8 to the latter
_closing = msgspec.json.Decoder(Closing)
_opening = msgspec.json.Decoder(Opening)
_NO_CLOSE = "the connection ended without a CLOSE"
_SETTLED = 10 * SECOND  # after a bridged cut: then nobody repeats any more what the old connection had said
_about_the_line: msgspec.json.Decoder[Status | Lost] = msgspec.json.Decoder(Status | Lost)


class _Known(msgspec.Struct):
    """What a normalize kernel knows; a decoder's and a bridge's is their own state."""

    epoch: int | None
    since: int | None
    gap: Gap | None
    decoder: Any
    bridge: Any = None
    settled: int = 0
    successor: tuple[int, str, Any] | None = None
    lanes: list[tuple[int, list[int], Any]] = []  # number, epochs, what its own kernel knows
    left: list[tuple[str, str]] = []


class _Successor:
    """The connection that is to take over, and its decoder."""

    def __init__(self, epoch: int, url: str, decoder: Decoder) -> None:
        self.epoch = epoch
        self.url = url
        self.decoder = decoder
        self.skipped = decoder.skipped  # how much of its count is in the counters


class _Normalize(Kernel[Frame, Event]):
    """The connection we are in, its decoder, and the hole behind it; perhaps the one that will take over."""

    _decoder: Decoder  # of the connection we are in
    _skipped: int  # how much of its count is in the counters

    def __init__(
        self,
        provider: Provider,
        strict: bool,
        counters: Counters,
        number: int = 0,
        first: _Normalize | None = None,
    ) -> None:
        self._number = number  # of the lane, where several connections share what is wanted
        self._first = self if first is None else first  # lane, which knows the others
        self._lanes: dict[int, _Normalize] = {}  # of the others, by number …
        self._by_epoch: dict[int, _Normalize] = {}  # … and by the epochs that are open
        self._provider = provider
        self._venue = provider.name
        self._strict = strict
        self._counters = counters
        self._epoch: int | None = None  # of the connection we are in; None between two
        self._since: int | None = None  # ts_recv of the last frame with market data, or else of the first one
        self._gap: Gap | None = None  # open: the next market event closes it
        self._flowing: int | None = None  # the epoch whose frames need nothing but decoding
        self._bridge: Bridge | None = None  # while two connections speak, and until the second has settled
        self._settled = 0  # when that will be
        self._successor: _Successor | None = None
        self._left: set[tuple[str, str]] = set()  # kind and symbol of what was unsubscribed, or refused

    def push(self, item: Frame) -> tuple[Event, ...]:
        try:
            kind, epoch = item.kind, item.epoch
        except (AttributeError, TypeError):  # the latter is a batch's word for it
            raise _no_frame(item) from None
        if epoch == self._flowing and (kind is _TEXT or kind is _BINARY):
            decoder = self._decoder
            events = tuple(decoder.decode(item))  # of a tuple, tuple() makes no copy
            if decoder.skipped != self._skipped:
                self._count_skipped()
            for event in events:
                if event.__class__ not in _MARKET:
                    return tuple(self._sorted(item, events))
            if events:
                self._since = item.ts_recv
            return events
        if item.__class__ is not Frame:
            raise _no_frame(item)
        lane = self._by_epoch.get(epoch)
        return tuple(self._considered(item)) if lane is None else self._of_a_lane(item, lane)

    def state(self) -> _Known:
        decoder = None if self._epoch is None else self._decoder.state()
        bridge = None if self._bridge is None else self._bridge.state()
        new = self._successor
        successor = None if new is None else (new.epoch, new.url, new.decoder.state())
        lanes = [
            (number, [epoch for epoch, each in self._by_epoch.items() if each is lane], lane.state())
            for number, lane in self._lanes.items()
        ]
        line = self._epoch, self._since, self._gap, decoder
        return _Known(*line, bridge, self._settled, successor, lanes, sorted(self._left))

    def restore(self, state: Any) -> None:
        known = msgspec.convert(state, _Known)
        self._since, self._gap, self._settled = known.since, known.gap, known.settled
        if known.bridge is not None:
            self._bridge = Bridge()
            self._bridge.restore(known.bridge)
        if known.epoch is not None:
            decoder = self._provider.decoder()
            decoder.restore(known.decoder)
            self._enter(known.epoch, decoder)
        if known.successor is not None:
            epoch, url, said = known.successor
            decoder = self._provider.decoder()
            decoder.restore(said)
            self._successor = _Successor(epoch, url, decoder)
        self._left = {*known.left}
        for number, epochs, said in known.lanes:
            lane = self._lane(number)
            lane.restore(said)
            self._by_epoch.update(dict.fromkeys(epochs, lane))

    def _lane(self, number: int) -> _Normalize:
        lane = self._lanes.get(number)
        if lane is None:
            lane = _Normalize(self._provider, self._strict, self._counters, number, self)
            self._lanes[number] = lane
        return lane

    def _of_a_lane(self, frame: Frame, lane: _Normalize) -> tuple[Event, ...]:
        if frame.kind is FrameKind.CLOSE:
            del self._by_epoch[frame.epoch]
        return lane.push(frame)

    def _considered(self, frame: Frame) -> Iterator[Event]:
        """What a frame means that begins or ends a connection, speaks of the line, or ends a hole."""
        kind = frame.kind
        if kind is FrameKind.STATUS:
            yield from self._about_the_line(frame)
            return
        successor = self._successor
        if successor is not None and frame.epoch == successor.epoch and kind is not FrameKind.OPEN:
            yield from self._of_the_successor(frame, successor)
            return
        opening = _opening_of(frame) if kind is FrameKind.OPEN else None
        if opening is not None and (opening.lane or 0) != self._number:
            lane = self._by_epoch[frame.epoch] = self._lane(opening.lane or 0)
            yield from lane.push(frame)
            return
        if opening is not None and opening.after is not None and opening.after == self._epoch:
            yield self._begin_bridge(frame, opening.url)
            return
        if self._epoch is not None and (kind is FrameKind.OPEN or frame.epoch != self._epoch):
            yield from self._leave(self._epoch, frame.ts_recv, _NO_CLOSE)
        if opening is not None and opening.lane is None and self._lanes:  # one for all, from here on
            open_ones, self._lanes, self._by_epoch = [*self._by_epoch], {}, {}
            for epoch in open_ones:
                yield from self._leave(epoch, frame.ts_recv, _NO_CLOSE)
        if kind is FrameKind.CLOSE:
            yield from self._closed(frame)
            return
        if self._epoch is None:
            self._enter(frame.epoch, self._provider.decoder())
            self._since = frame.ts_recv if self._since is None else self._since
        if opening is not None:
            state: State = "open" if opening.lane is None else "joined"
            yield Status(state, frame.ts_recv, opening.url, epoch=frame.epoch, venue=self._venue)
        else:
            events = tuple(self._decoder.decode(frame))
            self._count_skipped()
            yield from self._sorted(frame, self._told_once(frame, events))

    def _enter(self, epoch: int, decoder: Decoder) -> None:
        self._epoch = epoch
        self._flowing = epoch if self._gap is None and self._bridge is None else None
        self._decoder = decoder
        self._skipped = decoder.skipped

    # -- two connections at once

    def _begin_bridge(self, frame: Frame, url: str) -> Status:
        self._bridge, self._settled, self._flowing = Bridge(), 0, None
        self._successor = _Successor(frame.epoch, url, self._provider.decoder())
        return Status("bridging", frame.ts_recv, url, epoch=frame.epoch, venue=self._venue)

    def _of_the_successor(self, frame: Frame, successor: _Successor) -> Iterator[Event]:
        """A frame of the connection that is to take over: its acknowledgements count, its market waits."""
        if frame.kind is FrameKind.CLOSE:
            self._end_bridge()
            closing = yield from self._closing(frame)
            yield Status("unbridged", frame.ts_recv, closing.reason, epoch=frame.epoch, venue=self._venue)
            return
        assert self._bridge is not None, "it comes and goes with the successor"
        events = tuple(successor.decoder.decode(frame))
        self._counters.add("skipped", successor.decoder.skipped - successor.skipped)
        successor.skipped = successor.decoder.skipped
        yield from self._sorted(frame, self._bridge.hold(events))

    def _told_once(self, frame: Frame, events: tuple[Event, ...]) -> Iterable[Event]:
        """What a frame says of the connection that is believed, without what another one had told."""
        bridge = self._bridge
        if bridge is None:
            return events
        if self._successor is not None:
            bridge.said(events)
            return events
        if frame.ts_recv > self._settled:
            self._end_bridge()
        return bridge.settle(events)

    def _cross(self, frame: Frame, bridge: Bridge, successor: _Successor) -> Iterator[Event]:
        """The successor is believed from here on."""
        self._successor, self._settled = None, frame.ts_recv + _SETTLED
        self._enter(successor.epoch, successor.decoder)
        yield from self._sorted(frame, bridge.cross(frame.ts_recv))

    def _end_bridge(self) -> None:
        self._bridge = self._successor = None
        self._flowing = self._epoch if self._gap is None else None

    def _part(self) -> None:
        self._epoch = self._flowing = self._bridge = self._successor = None

    def _leave(self, epoch: int, now: int, reason: str, symbols: tuple[str, ...] = ()) -> Iterable[Event]:
        self._part()
        if self._gap is not None:
            return ()  # nothing came since: the same hole
        start = now if self._since is None else self._since
        self._gap = Gap(start, None, epoch, now, reason, self._venue, symbols)
        return (self._gap,)

    def _unwanted(self, frame: Frame, closing: Closing) -> Iterator[Status]:
        """What it served to its end though nobody wanted it any more, unless it has said otherwise."""
        text, venue = "it was not wanted any more", self._venue
        for kind, symbol in closing.left:
            if (kind, symbol) not in self._left:
                self._left.add((kind, symbol))
                yield Status("unsubscribed", frame.ts_recv, text, symbol, kind, frame.epoch, venue)

    def _closed(self, frame: Frame) -> Iterator[Event]:
        bridge, successor = self._bridge, self._successor
        closing = yield from self._closing(frame)
        reason = closing.reason or closing.error
        let_go = closing.error == "" and closing.code == 1000  # by ourselves, as another serves in its place
        if let_go and bridge is not None and successor is not None:
            yield Status("bridged", frame.ts_recv, reason, epoch=successor.epoch, venue=self._venue)
            yield from self._unwanted(frame, closing)
            yield from self._cross(frame, bridge, successor)
            return
        alone = not closing.symbols
        others = let_go or successor is not None or self._others_serve()
        state: State = "closed" if alone or not others else "parted"
        yield Status(state, frame.ts_recv, closing.reason, epoch=frame.epoch, venue=self._venue)
        yield from self._unwanted(frame, closing)
        if let_go:
            self._part()
            return
        yield from self._leave(frame.epoch, frame.ts_recv, reason, closing.symbols)
        if bridge is not None and successor is not None:
            self._bridge = bridge
            text, state = successor.url, "open" if alone else "joined"
            yield Status(state, frame.ts_recv, text, epoch=successor.epoch, venue=self._venue)
            yield from self._cross(frame, bridge, successor)

    def _others_serve(self) -> bool:
        """Whether a connection is open beside the one that has just been closed."""
        first = self._first
        return bool(first._by_epoch) or (first is not self and first._epoch is not None)

    def _closing(self, frame: Frame) -> Generator[Event, None, Closing]:
        try:
            return _closing.decode(frame.payload)
        except _UNREADABLE as error:
            yield self._malformed(Malformed(frame, f"not a Closing: {error}", frame.ts_recv))
            return Closing("")

    def _about_the_line(self, frame: Frame) -> Iterator[Event]:
        try:
            said = _about_the_line.decode(frame.payload)
        except _UNREADABLE as error:
            yield self._malformed(Malformed(frame, f"neither a Status nor a Lost: {error}", frame.ts_recv))
            return
        if isinstance(said, Lost):
            yield said
            reason = f"{said.count} frames lost in the {said.where}"
            yield Gap(said.ts_first, frame.ts_recv, frame.epoch, frame.ts_recv, reason, self._venue)
        else:
            self._note(said)
            yield msgspec.structs.replace(said, epoch=frame.epoch, venue=said.venue or self._venue)

    def _sorted(self, frame: Frame, events: Iterable[Event]) -> Iterator[Event]:
        """``events`` of one frame, with what the market's own and the malformed ones among them entail."""
        for event in events:
            if event.__class__ in _MARKET:
                if self._gap is not None:
                    yield msgspec.structs.replace(self._gap, ts_end=frame.ts_recv, ts_recv=frame.ts_recv)
                    self._gap = None
                    self._flowing = self._epoch if self._bridge is None else None
                self._since = frame.ts_recv
            elif isinstance(event, Malformed):
                self._malformed(event)
            elif isinstance(event, Status):
                self._note(event)
            yield event

    def _note(self, status: Status) -> None:
        if status.state == "subscribed":
            self._left.discard((status.kind, status.symbol))
        elif status.state in ("unsubscribed", "rejected"):
            self._left.add((status.kind, status.symbol))

    def _malformed(self, item: Malformed) -> Malformed:
        self._counters.add("malformed")
        if self._strict:
            raise MalformedFrame(item.reason, item.frame)
        return item

    def _count_skipped(self) -> None:
        self._counters.add("skipped", self._decoder.skipped - self._skipped)
        self._skipped = self._decoder.skipped


def _no_frame(item: object) -> TypeError:
    name = type(item).__name__
    return TypeError(f"normalize() takes frames, and this is a {name}: one op.normalize is enough")


def _opening_of(frame: Frame) -> Opening:
    """What an OPEN says; the only connection of a feed says nothing but its URL."""
    payload = frame.payload
    if payload.startswith(b"{"):
        with suppress(*_UNREADABLE):
            return _opening.decode(payload)
    return Opening(payload.decode(errors="replace"))
