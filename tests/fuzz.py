"""What a venue might send when it is broken: frames bitten, cut, and with something else in some place.

A decoder and a session survive all of it: what comes out is events or ``Malformed``, never an exception, and
never a number that is none.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st

from rtflow.errors import RtflowError
from rtflow.events import Event, Frame, FrameKind, Malformed
from rtflow.provider import Expiring, Fetch, Provider, Refused, Subscription, Traffic

NOW = 1_700_000_000_000_000_000

JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["", "0", "-1", "NaN", "Infinity", "1e999", 1e308, -1, 2**53, 2**64, 10**400, "\x00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
"""Anything JSON can say where something else was promised."""


def bitten(frames: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """A frame with a few bytes flipped, cut out, put in, or its end missing."""

    def bite(frame: bytes, bites: list[tuple[int, int, bytes]], end: int | None) -> bytes:
        changed = bytearray(frame)
        for where, length, instead in bites:
            start = where % (len(changed) + 1)
            changed[start : start + length] = instead
        return bytes(changed if end is None else changed[: end % (len(changed) + 1)])

    bites = st.lists(
        st.tuples(st.integers(0, 2000), st.integers(0, 4), st.binary(max_size=4)), min_size=1, max_size=4
    )
    return st.builds(bite, st.sampled_from(frames), bites, st.none() | st.integers(0, 2000))


def flipped(frames: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """A frame of the right length with one to three wrong bits."""

    @st.composite
    def build(draw: st.DrawFn) -> bytes:
        changed = bytearray(draw(st.sampled_from([frame for frame in frames if frame])))
        for bit in draw(st.lists(st.integers(0, 8 * len(changed) - 1), min_size=1, max_size=3)):
            changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    return build()


def spoiled(
    frames: Sequence[bytes],
    read: Callable[[bytes], Any] = json.loads,
    write: Callable[[Any], bytes] = lambda value: json.dumps(value).encode(),
) -> st.SearchStrategy[bytes]:
    """A frame that can be parsed, with something else in one place, one key gone, or one key too many."""
    whole = [read(frame) for frame in frames]

    @st.composite
    def build(draw: st.DrawFn) -> bytes:
        around = [copy.deepcopy(draw(st.sampled_from(whole)))]
        *way, last = draw(st.sampled_from([path for path in _paths(around) if path]))
        place: Any = around
        for key in way:
            place = place[key]
        match draw(st.sampled_from(["other", "other", "missing", "extra"])):
            case "missing" if isinstance(place, dict):
                del place[last]
            case "extra" if isinstance(place, dict):
                place[draw(st.text(max_size=5))] = draw(JUNK)
            case _:
                place[last] = draw(JUNK)
        return write(around[0])

    return build()


def broken(frames: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Everything above, noise, and depth without end, made of a JSON venue's own frames."""
    deep = [b"[" * 100_000, b'{"a":' * 50_000, b"[" * 500 + b"]" * 500]
    return st.one_of(
        bitten(frames), flipped(frames), spoiled(frames), st.binary(max_size=60), st.sampled_from(deep)
    )


def survives(
    provider: Provider, subscription: Subscription, payload: bytes, kind: FrameKind = FrameKind.TEXT
) -> list[Event]:
    """What a fresh decoder makes of ``payload``; asserts that it, and a session, are still sane."""
    frame = Frame(kind, payload, NOW)
    decoder = provider.decoder()
    events = list(decoder.decode(frame))
    for event in events:
        assert isinstance(event, Event)
        if isinstance(event, Malformed):
            assert event.frame is frame
            assert event.reason
        else:
            finite(event)
    restored = provider.decoder()
    restored.restore(msgspec.json.decode(msgspec.json.encode(decoder.state())))
    session = provider.session(subscription)
    session.started(NOW)
    list(session.opened())
    assert isinstance(session.classify(payload), Traffic)
    for answer in session.received(frame):
        assert isinstance(answer, str | bytes | Expiring | Fetch | Refused | RtflowError)
    return events


def finite(event: Event) -> None:
    """No number of an event is infinite or NaN, no price of a market is, no size is negative."""
    for name in event.__struct_fields__:
        for value in _numbers(getattr(event, name)):
            assert math.isfinite(value), (name, event)
            assert value >= 0 or ("size" not in name and name != "volume"), (name, event)


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, tuple):
        for inner in value:
            yield from _numbers(inner)


def _paths(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where one could put something else."""
    yield path
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield from _paths(inner, (*path, key))
