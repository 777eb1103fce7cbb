"""Small tapes, and how to listen to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from reactivex import Observable, abc
from reactivex.testing import ReactiveTest

from rtflow.events import Frame, FrameKind, Lost
from rtflow.kernel import Kernel, Operator, lift
from rtflow.tape import TapeWriter

on_next, on_completed, on_error = ReactiveTest.on_next, ReactiveTest.on_completed, ReactiveTest.on_error


SECOND = 1_000_000_000
BLOCK = 256 * 1024
HEADER = 60


def text(stamp: int, payload: bytes = b"{}", epoch: int = 1) -> Frame:
    return Frame(FrameKind.TEXT, payload, stamp, epoch)


def connection(epoch: int, begin: int) -> list[Frame]:
    return [
        Frame(FrameKind.OPEN, b"wss://example.org/v2", begin, epoch),
        Frame(FrameKind.TEXT, b'{"a":1}', begin + 1, epoch),
        Frame(FrameKind.BINARY, b"\x00\xff", begin + 2, epoch),
        Frame(FrameKind.HTTP, b"{}", begin + 3, epoch),
        Frame(FrameKind.STATUS, b"{}", begin + 4, epoch),
        Frame(FrameKind.CLOSE, b'{"error":"Disconnected"}', begin + 5, epoch),
    ]


def write(path: Path, *groups: list[Frame], **options: Any) -> None:
    """Each group becomes a block."""
    with TapeWriter(path, **options) as writer:
        for group in groups:
            for frame in group:
                writer.write(frame)
            writer.flush()


def lost(frame: Frame) -> Lost:
    assert frame.kind is FrameKind.STATUS
    return msgspec.json.decode(frame.payload, type=Lost)


def recorded_by(source: Observable[Any], scheduler: abc.SchedulerBase | None = None) -> list[Any]:
    """What a subscriber saw: items, then the error or "completed"."""
    seen: list[Any] = []
    source.subscribe(seen.append, seen.append, lambda: seen.append("completed"), scheduler=scheduler)
    return seen


THREE = [connection(1, 100), connection(2, 200), connection(3, 300)]
ALL = [frame for group in THREE for frame in group]


class Alarm(Kernel[Frame, Any]):
    """Passes frames on, and says the time ``after`` ns after each, and how many there were when flushed."""

    def __init__(self, after: int) -> None:
        self._after = after
        self._due: list[int] = []
        self._count = 0

    def push(self, item: Frame) -> tuple[Any, ...]:
        self._count += 1
        self._due.append(item.ts_recv + self._after)
        return (item.ts_recv,)

    def due(self) -> int | None:
        return self._due[0] if self._due else None

    def wake(self, now: int) -> tuple[Any, ...]:
        return (f"alarm {self._due.pop(0)} at {now}",)

    def flush(self) -> tuple[Any, ...]:
        return (f"{self._count} frames, {len(self._due)} alarms left",)


def alarm(after: int) -> Operator[Frame, Any]:
    return lift(lambda: Alarm(after))


def flip(path: Path, offset: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(data)
