"""player: a tape replayed as the stream it was: at once, in step with a clock, or in virtual time."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from reactivex import Observable, abc
from reactivex.disposable import SerialDisposable
from reactivex.scheduler import CurrentThreadScheduler

from rtflow.errors import DamagedTape
from rtflow.events import Frame
from rtflow.scheduler import Line, NanoScheduler, running, stamp_of, wait_until, waiting_scheduler
from rtflow.tape import Damaged, chunks_of


def replay(
    path: str | os.PathLike[str],
    *,
    speed: float | None = None,
    scheduler: abc.SchedulerBase | None = None,
    since: int | None = None,
    until: int | None = None,
    damaged: Damaged = "report",
) -> Observable[Frame]:
    """The frames of a tape, byte for byte, with the stamps they were recorded with; then completion.

    ::

        replay(path)                       (f1 f2 f3 |)
        replay(path, speed=2.0)            --f1-----f2--f3|      twice as fast as it was

    Kernels downstream live in the tape's time: before a frame stamped ``t``, every timer due before ``t``
    runs, in due order; data goes before timers at equal time; timers due at the last stamp or later never
    run, and kernels flush instead. A ``CLOSE`` is a frame like any other: a replay does not fail there.

    - By default frames are pushed as fast as they are taken, on the subscribing thread (or on ``scheduler``,
      in one action), with a clock of the tape's own as the running line.
    - With ``speed``, frames and timers come that many times faster than they were recorded, counted from the
      first frame, which comes at once. The waits are timers of ``scheduler``, or of a :class:`Line` made
      for it; a dispose takes effect at once. Only the waits are there: the running line is again the
      tape's own clock, and each wait ends by moving it to the next frame or timer.
    - On a :class:`NanoScheduler` without ``speed``, each frame comes when that clock reaches its ``ts_recv``,
      before any timer of that instant; its timers are that scheduler's.

    ``scheduler`` is the one to wait on; without it, the one given to ``subscribe`` is, but that is also
    where kernels then set their timers. So name any but a NanoScheduler here, not there.

    Only frames with ``since <= ts_recv < until`` come (ns); blocks without any are not even read.

    A damaged tail ends a replay, by default, with a ``STATUS`` frame that carries a ``Lost`` (``kind``
    "frames", ``where`` "tape"; ``count``, ``ts_first`` and ``ts_last`` are the damaged block's own, or 0 and
    twice the last stamp before it if its header is lost too) and completion; with ``damaged="raise"`` it
    ends with DamagedTape.
    Damage before the tail, a missing index, and a file that is no tape are always DamagedTape; a file
    that cannot be read is its OSError. Whatever is before it has been emitted by then.

    Raises ValueError for a ``speed`` that is not positive and finite.
    """
    if speed is not None and not 0 < speed < math.inf:
        raise ValueError(f"a replay's speed is positive and finite, not {speed}")

    def subscribe(
        observer: abc.ObserverBase[Frame], subscribed_on: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        waits_on = scheduler if scheduler is not None else subscribed_on
        chunks = chunks_of(Path(path), since, until, damaged)
        if speed is not None:
            return _Paced(observer, chunks, waits_on, speed)
        if isinstance(waits_on, NanoScheduler):
            return _Virtual(observer, chunks, waits_on)
        return _Unpaced(observer, chunks, waits_on)

    return Observable(subscribe)


class _Playing(abc.DisposableBase):
    """One subscription of a replay: the frames still to come, and whether anyone still wants them."""

    def __init__(self, observer: abc.ObserverBase[Frame], chunks: Iterator[list[Frame]]) -> None:
        self._observer = observer
        self._chunks = chunks
        self._over = False
        self._timer = SerialDisposable()

    def dispose(self) -> None:
        self._over = True
        self._timer.dispose()

    def _chunk(self) -> list[Frame]:
        """The next frames; none when it is over, and then the observer knows why."""
        if self._over:
            return _NONE
        try:
            chunk = next(self._chunks, _NONE)
        except (DamagedTape, OSError) as error:
            self._observer.on_error(error)
            return _NONE
        if not chunk:
            self._observer.on_completed()
        return chunk


class _Unpaced(_Playing):
    """As fast as the frames are taken, in one action."""

    def __init__(
        self,
        observer: abc.ObserverBase[Frame],
        chunks: Iterator[list[Frame]],
        runs_on: abc.SchedulerBase | None,
    ) -> None:
        super().__init__(observer, chunks)
        runs_on = CurrentThreadScheduler.singleton() if runs_on is None else runs_on
        self._timer.disposable = runs_on.schedule(self._run)

    def _run(self, *_: object) -> None:
        clock = _TapeClock()
        come_to, on_next = clock.come_to, self._observer.on_next
        with running(clock):
            while chunk := self._chunk():
                for frame in chunk:
                    come_to(frame.ts_recv)
                    if self._over:
                        return
                    on_next(frame)


class _Stepwise(_Playing):
    """A replay that waits between its frames."""

    def __init__(self, observer: abc.ObserverBase[Frame], chunks: Iterator[list[Frame]]) -> None:
        super().__init__(observer, chunks)
        self._chunk_left: list[Frame] = []  # the next frame is its last

    def _peek(self) -> Frame | None:
        if not self._chunk_left:
            self._chunk_left = self._chunk()[::-1]
        return self._chunk_left[-1] if self._chunk_left else None

    def _push(self) -> None:
        self._observer.on_next(self._chunk_left.pop())


class _Virtual(_Stepwise):
    """Each frame when the user's own virtual clock reaches its stamp."""

    def __init__(
        self, observer: abc.ObserverBase[Frame], chunks: Iterator[list[Frame]], clock: NanoScheduler
    ) -> None:
        super().__init__(observer, chunks)
        self._clock = clock
        self._wait(clock.now_ns)

    def _wait(self, stamp: int) -> None:
        self._timer.disposable = self._clock.at(stamp, self._step, first=True)

    def _step(self) -> None:
        while not self._over and (frame := self._peek()) is not None:
            if frame.ts_recv > self._clock.now_ns:
                self._wait(frame.ts_recv)
                return
            self._push()


class _Paced(_Stepwise):
    """Frames and timers in the tape's own time, which moves on ``speed`` times as fast as another clock."""

    def __init__(
        self,
        observer: abc.ObserverBase[Frame],
        chunks: Iterator[list[Frame]],
        waits_on: abc.SchedulerBase | None,
        speed: float,
    ) -> None:
        super().__init__(observer, chunks)
        waits_on = waiting_scheduler(waits_on) or Line(name="rtflow-replay")
        self._waits_on = waits_on
        self._tape_time, self._time = speed.as_integer_ratio()  # so many ns of tape in so many ns of waiting
        self._clock = _TapeClock()
        self._begun: int | None = None  # the stamp of the first frame
        self._start = stamp_of(waits_on)  # what the other clock showed for it
        self._timer.disposable = wait_until(waits_on, self._start, self._step)

    def _step(self, _: int) -> None:
        """All that is due by now; then wait for the next frame or timer."""
        clock = self._clock
        with running(clock):
            while not self._over and (frame := self._peek()) is not None:
                stamp = frame.ts_recv
                instant = clock.next_instant(stamp)
                if self._begun is None:
                    self._begun = stamp
                passed = -((self._begun - instant) * self._time // self._tape_time)  # rounded up: never early
                if (due := self._start + passed) > stamp_of(self._waits_on):
                    self._timer.disposable = wait_until(self._waits_on, due, self._step)
                    return
                if instant < stamp:
                    clock.advance_to(instant)
                else:
                    clock.come_to(stamp)
                    self._push()


class _TapeClock(NanoScheduler):
    """Virtual time that a tape moves."""

    def come_to(self, stamp: int) -> None:
        """What :meth:`advance_to` does with ``inclusive=False``, and at no cost when no timer is due."""
        if self._first_due < stamp:
            self.advance_to(stamp, inclusive=False)
        elif self._now < stamp:
            self._now = stamp

    def next_instant(self, stamp: int) -> int:
        """When something happens next: the first timer due before ``stamp``, or the frame stamped so."""
        return self._timers[0][0] if self._first_due < stamp else stamp


_NONE: list[Frame] = []
