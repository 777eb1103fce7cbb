"""normalize: a connection's frames to the market's events, with every hole between them said aloud."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, get_args

import msgspec

from rtflow.counters import Counters
from rtflow.errors import MalformedFrame
from rtflow.events import Closing, Event, Frame, FrameKind, Gap, Lost, Malformed, Market, Status
from rtflow.kernel import Kernel, Lifted, lift
from rtflow.provider import Decoder, Provider


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
    - the ``Status`` of a retry, and for frames lost before they reached us a ``Lost`` and a closed ``Gap``;
    - ``Malformed`` for what breaks the venue's format, its neighbours intact. ``malformed="raise"`` ends the
      stream with :class:`~rtflow.errors.MalformedFrame` instead.

    ``counters`` counts the ``malformed`` and the messages ``skipped`` because nobody knows their type.

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
_about_the_line: msgspec.json.Decoder[Status | Lost] = msgspec.json.Decoder(Status | Lost)


class _Known(msgspec.Struct):
    """What a normalize kernel knows; ``decoder`` is the decoder's own state."""

    epoch: int | None
    since: int | None
    gap: Gap | None
    decoder: Any


class _Normalize(Kernel[Frame, Event]):
    """The connection we are in, its decoder, and the hole behind it."""

    _decoder: Decoder  # of the connection we are in
    _skipped: int  # how much of its count is in the counters

    def __init__(self, provider: Provider, strict: bool, counters: Counters) -> None:
        self._provider = provider
        self._venue = provider.name
        self._strict = strict
        self._counters = counters
        self._epoch: int | None = None  # of the connection we are in; None between two
        self._since: int | None = None  # ts_recv of the last frame with market data, or else of the first one
        self._gap: Gap | None = None  # open: the next market event closes it
        self._flowing: int | None = None  # the epoch whose frames need nothing but decoding

    def push(self, item: Frame) -> tuple[Event, ...]:
        kind = item.kind
        if item.epoch == self._flowing and (kind is _TEXT or kind is _BINARY):
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
        return tuple(self._considered(item))

    def state(self) -> _Known:
        decoder = None if self._epoch is None else self._decoder.state()
        return _Known(self._epoch, self._since, self._gap, decoder)

    def restore(self, state: Any) -> None:
        known = msgspec.convert(state, _Known)
        self._since, self._gap = known.since, known.gap
        if known.epoch is not None:
            self._enter(known.epoch)
            self._decoder.restore(known.decoder)
            self._skipped = self._decoder.skipped

    def _considered(self, frame: Frame) -> Iterator[Event]:
        """What a frame means that begins or ends a connection, speaks of the line, or ends a hole."""
        kind = frame.kind
        if kind is FrameKind.STATUS:
            yield from self._about_the_line(frame)
            return
        if self._epoch is not None and (kind is FrameKind.OPEN or frame.epoch != self._epoch):
            yield from self._leave(self._epoch, frame.ts_recv, "the connection ended without a CLOSE")
        if kind is FrameKind.CLOSE:
            yield from self._closed(frame)
            return
        if self._epoch is None:
            self._enter(frame.epoch)
            self._since = frame.ts_recv if self._since is None else self._since
        if kind is FrameKind.OPEN:
            text = frame.payload.decode(errors="replace")
            yield Status("open", frame.ts_recv, text, epoch=frame.epoch, venue=self._venue)
        else:
            events = tuple(self._decoder.decode(frame))
            self._count_skipped()
            yield from self._sorted(frame, events)

    def _enter(self, epoch: int) -> None:
        self._epoch = epoch
        self._flowing = epoch if self._gap is None else None
        self._decoder = self._provider.decoder()
        self._skipped = 0

    def _leave(self, epoch: int, now: int, reason: str) -> Iterable[Event]:
        self._epoch = self._flowing = None
        if self._gap is not None:
            return ()  # nothing came since: the same hole
        start = now if self._since is None else self._since
        self._gap = Gap(start, None, epoch, now, reason, self._venue)
        return (self._gap,)

    def _closed(self, frame: Frame) -> Iterator[Event]:
        try:
            closing = _closing.decode(frame.payload)
        except _UNREADABLE as error:
            yield self._malformed(Malformed(frame, f"not a Closing: {error}", frame.ts_recv))
            closing = Closing("")
        yield Status("closed", frame.ts_recv, closing.reason, epoch=frame.epoch, venue=self._venue)
        yield from self._leave(frame.epoch, frame.ts_recv, closing.reason or closing.error)

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
            yield msgspec.structs.replace(said, epoch=frame.epoch, venue=said.venue or self._venue)

    def _sorted(self, frame: Frame, events: Iterable[Event]) -> Iterator[Event]:
        """``events`` of one frame, with what the market's own and the malformed ones among them entail."""
        for event in events:
            if event.__class__ in _MARKET:
                if self._gap is not None:
                    yield msgspec.structs.replace(self._gap, ts_end=frame.ts_recv, ts_recv=frame.ts_recv)
                    self._gap = None
                    self._flowing = self._epoch
                self._since = frame.ts_recv
            elif isinstance(event, Malformed):
                self._malformed(event)
            yield event

    def _malformed(self, item: Malformed) -> Malformed:
        self._counters.add("malformed")
        if self._strict:
            raise MalformedFrame(item.reason, item.frame)
        return item

    def _count_skipped(self) -> None:
        self._counters.add("skipped", self._decoder.skipped - self._skipped)
        self._skipped = self._decoder.skipped
