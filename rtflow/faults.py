"""faults: what lines do to frames, on request and repeatably.

As operators, each by chance, to be put where a line would be at fault::

    frames.pipe(faults.drop(0.01, seed=7), op.normalize(kraken), …)

as a scenario, which says what goes wrong when::

    frames.pipe(faults.scenario("--drop(3)----mute(BTC/USD, 2s)--cut--corrupt--"), …)

and the same words to a twin, over real sockets::

    with Twin("kraken") as twin, faults.play("--drop(3)----mute(BTC/USD, 2s)--cut--corrupt--", twin): …

A scenario is a line of text as :mod:`rtflow.marbles` reads it: a dash lets ``every`` pass, ``1.5s`` so much,
and a name is a fault that begins then. In its parentheses stand, in any order, a count (``3``), how long it
lasts (``2s``), and a text that a message must have in it to be meant (``BTC/USD``).

================================ ===========================================================================
``drop(n, text)``                the next ``n`` messages never come
``duplicate(n, text)``           the next ``n`` messages come twice
``reorder(n)``                   the next ``n`` messages, 2 unless said, come in the opposite order
``corrupt(n, text)``             in each of the next ``n`` messages one bit is wrong
``truncate(n, text)``            of each of the next ``n`` messages the end is missing
``delay(2s)``                    nothing comes for so long, and then all of it at once
``mute(2s, text)``               nothing is said for so long, and what would have been is lost
``cut(2s)``                      the connection ends without a word; no other one for so long, if that is said
``refuse(2s)``                   no new connection for so long
================================ ===========================================================================

A count is 1 unless said. ``delay``, ``mute`` and ``refuse`` want their time, and the text may stand wherever
there is one in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from rtflow.counters import Counters
from rtflow.errors import Unsupported
from rtflow.events import Closing, Frame, FrameKind
from rtflow.kernel import Kernel, Lifted, lift
from rtflow.marbles import END, ERROR, Mark, misread, read, span
from rtflow.scheduler import Line
from rtflow.time import SECOND, Duration, nanoseconds

if TYPE_CHECKING:
    from rtflow.twin import Twin
    from rtflow.twin.proxy import Proxy

Only: TypeAlias = str | bytes | Callable[[bytes], bool] | None
"""Which messages are meant: those with this in them, or for which this is true of the payload."""

Again: TypeAlias = Callable[[int], Iterable[str | bytes | Frame]]
"""What a venue says to a new connection at a stamp: text, binary, or frames, which are stamped anew."""


# -- by chance -------------------------------------------------------------------------------------------


def drop(
    chance: float = 0.01, *, only: Only = None, seed: int = 1, counters: Counters | None = None
) -> Lifted[Frame, Frame]:
    """The frames but for some that never come.

    ::

        --f1--f2--f3--f4--|
        [   drop(0.25)    ]
        --f1------f3--f4--|

    Each message is struck with this ``chance``, which for one ``seed`` hangs on its number alone; ``only``
    those that are meant. ``OPEN``, ``CLOSE`` and ``STATUS`` frames are never. ``counters`` counts what was
    done, here and in all that follow, by the names in the table above. ValueError for a chance that is none.

    >>> frames = [Frame(FrameKind.TEXT, b"%d" % number, number) for number in range(9)]
    >>> kernel = drop(0.5, seed=3).kernel()
    >>> [int(left.payload) for frame in frames for left in kernel.push(frame)]
    [0, 1, 5, 6]
    """
    return _by_chance(chance, Fault("drop"), only, seed, counters)


def duplicate(
    chance: float = 0.01, *, only: Only = None, seed: int = 1, counters: Counters | None = None
) -> Lifted[Frame, Frame]:
    """The frames, some of them twice; options as of :func:`drop`.

    ::

        --f1--f2-----f3--|
        [ duplicate(0.3) ]
        --f1--f2 f2--f3--|
    """
    return _by_chance(chance, Fault("duplicate"), only, seed, counters)


def reorder(
    chance: float = 0.01, *, only: Only = None, seed: int = 1, counters: Counters | None = None
) -> Lifted[Frame, Frame]:
    """The frames, some of them behind the one that came after; options as of :func:`drop`.

    ::

        --f1--f2--f3------f4--|
        [    reorder(0.25)    ]
        --f1------f3 f2---f4--|     f2 is stamped when it comes

    Nothing is held back beyond the end of its connection.
    """
    return _by_chance(chance, Fault("reorder", count=2), only, seed, counters)


def corrupt(
    chance: float = 0.01, *, only: Only = None, seed: int = 1, counters: Counters | None = None
) -> Lifted[Frame, Frame]:
    """The frames, in some of them one bit wrong; options as of :func:`drop`.

    ::

        --f1--f2--f3--f4--|
        [  corrupt(0.25)  ]
        --f1--f2--F3--f4--|

    What that makes of a message nobody can promise: nonsense, or another price.
    """
    return _by_chance(chance, Fault("corrupt"), only, seed, counters)


def truncate(
    chance: float = 0.01, *, only: Only = None, seed: int = 1, counters: Counters | None = None
) -> Lifted[Frame, Frame]:
    """The frames, of some of them only the beginning; options as of :func:`drop`.

    ::

        --f1--f2--f3--f4--|
        [ truncate(0.25)  ]
        --f1--f2--f---f4--|
    """
    return _by_chance(chance, Fault("truncate"), only, seed, counters)


def delay(
    by: Duration,
    *,
    chance: float = 0.01,
    only: Only = None,
    seed: int = 1,
    counters: Counters | None = None,
) -> Lifted[Frame, Frame]:
    """The frames, now and then held up for ``by``: the one that is struck and all behind it.

    ::

        --f1--f2--f3---------f4--|
        [       delay(0.5)       ]
        --f1------------f2 f3f4--|     stamped when they come

    Options as of :func:`drop`. A connection that ends or begins is held up with the rest.
    """
    return _by_chance(chance, Fault("delay", lasting=_lasting(by)), only, seed, counters)


def mute(
    lasting: Duration,
    *,
    chance: float = 0.01,
    only: Only = None,
    seed: int = 1,
    counters: Counters | None = None,
) -> Lifted[Frame, Frame]:
    """The frames, but now and then none of them, or ``only`` those of others, for so long.

    ::

        --b1--e1--b2--e2--b3--e3--|
        [  mute(2.0, only=b"b")   ]
        --b1--e1------e2------e3--|

    Options as of :func:`drop`.
    """
    return _by_chance(chance, Fault("mute", lasting=_lasting(lasting)), only, seed, counters)


def disconnect(
    lasting: Duration = 0.0,
    *,
    chance: float = 0.001,
    again: Again | None = None,
    reconnect: Callable[[], object] | None = None,
    only: Only = None,
    seed: int = 1,
    counters: Counters | None = None,
) -> Lifted[Frame, Frame]:
    """The frames of a line that is now and then cut: ``CLOSE``, and ``OPEN`` with the next epoch.

    ::

        O--f1--f2--f3-----f4--|
        [  disconnect(0.5)    ]
        O--f1--C-----O-s--f4--|     s: what again(now) says, the venue's own snapshot for one

    Without ``again`` nothing comes behind a ``CLOSE`` until the source itself brings an ``OPEN``. With
    ``reconnect``, which is for a live feed (``feed.reconnect``), that is called and nothing else is done: the
    ``CLOSE`` will come by itself. Options as of :func:`drop`.
    """
    fault = Fault("cut", lasting=_lasting(lasting))
    return _by_chance(chance, fault, only, seed, counters, again, reconnect)


def _by_chance(
    chance: float,
    fault: Fault,
    only: Only,
    seed: int,
    counters: Counters | None,
    again: Again | None = None,
    reconnect: Callable[[], object] | None = None,
) -> Lifted[Frame, Frame]:
    if not 0 <= chance <= 1:
        raise ValueError(f"a chance is a number from 0 to 1, not {chance!r}")
    rules = _Rules((), chance, fault, _meant(only), seed, again, reconnect)
    counted = Counters() if counters is None else counters
    return lift(lambda: Faults(rules, counted))


# -- by scenario -----------------------------------------------------------------------------------------


def scenario(
    text: str,
    *,
    every: Duration = 0.1,
    seed: int = 1,
    only: Only = None,
    again: Again | None = None,
    reconnect: Callable[[], object] | None = None,
    counters: Counters | None = None,
) -> Lifted[Frame, Frame]:
    """The frames, with the faults of ``text`` in them; its time begins with the first frame.

    ::

        O--f1--f2--f3--f4--f5--f6-----f7--|
        [   scenario("---drop------cut")  ]
        O--f1------f3--f4--C

    Where bits or ends go is drawn by ``seed``. ``again`` and ``reconnect`` say what becomes of a cut, see
    :func:`disconnect`. Times are those of the frames, exact to the nanosecond where the subscription's
    scheduler or the running line can wait, and else looked at when a frame comes.

    Raises ValueError, and shows the place, for a text that cannot be read, for a fault that is none, and for
    a fault whose parentheses say too much or too little.

    >>> frames = [Frame(FrameKind.TEXT, b"%d" % number, number * SECOND) for number in range(6)]
    >>> kernel = scenario("-- duplicate -- drop(2)", every=0.75).kernel()
    >>> [int(left.payload) for frame in frames for left in kernel.push(frame)]
    [0, 1, 2, 2, 3]
    """
    rules = _Rules(plan(text, every=every), 0.0, Fault(""), _meant(only), seed, again, reconnect)
    counted = Counters() if counters is None else counters
    return lift(lambda: Faults(rules, counted))


class Fault(msgspec.Struct, frozen=True):
    """What goes wrong ``at`` so many ns from the beginning, and how much of it."""

    name: str
    at: int = 0
    count: int = 1
    lasting: int = 0  # ns
    text: str = ""  # of the messages that are meant


def plan(text: str, *, every: Duration = 0.1) -> tuple[Fault, ...]:
    """The faults of a scenario, in order; errors are those of :func:`scenario`.

    >>> plan("--mute(BTC/USD, 2s)")
    (Fault(name='mute', at=200000000, count=1, lasting=2000000000, text='BTC/USD'),)
    """
    return tuple(_fault(text, mark, _TAKES) for mark in _marks(text, every))


def _marks(text: str, every: Duration) -> Iterable[Mark]:
    for mark in read(text, every=every).marks:
        if mark.name == ERROR:
            raise misread(text, mark.place, "a scenario ends with | or not at all")
        if mark.name != END:
            yield mark


def _fault(text: str, mark: Mark, table: Mapping[str, _Takes]) -> Fault:
    """What a mark asks for."""
    takes = table.get(mark.name)
    if takes is None:
        raise misread(text, mark.place, f"no fault is named {mark.name!r}; there are {', '.join(table)}")
    given: dict[str, Any] = {}
    for argument in mark.arguments:
        what, value = _read_argument(argument, takes)
        if not what:
            raise misread(text, mark.place, f"{mark.name} has no use for {argument!r}")
        if what in given:
            raise misread(text, mark.place, f"{mark.name} is told its {what} twice")
        given[what] = value
    if takes.lasting == "must" and not given.get("lasting"):
        raise misread(text, mark.place, f"{mark.name} wants to know how long, as in {mark.name}(2s)")
    if given.get("count") == 0:
        raise misread(text, mark.place, f"{mark.name} counts from 1")
    count, lasting = given.get("count", takes.count or 1), given.get("lasting", 0)
    return Fault(mark.name, mark.at, count, lasting, given.get("text", ""))


def _read_argument(argument: str, takes: _Takes) -> tuple[str, int | str]:
    """Which of a fault's fields this is, "" for none, and its value."""
    lasting = span(argument)
    if lasting is not None and takes.lasting:
        return "lasting", lasting
    if argument.isdecimal() and takes.count:
        return "count", int(argument)
    return ("text" if takes.text else ""), argument


class _Takes(msgspec.Struct, frozen=True):
    """What may stand in a fault's parentheses; ``count`` is the default of one, 0 where there is none."""

    count: int = 0
    lasting: str = ""
    text: bool = False


_TAKES = {
    "drop": _Takes(1, text=True),
    "duplicate": _Takes(1, text=True),
    "reorder": _Takes(2),
    "corrupt": _Takes(1, text=True),
    "truncate": _Takes(1, text=True),
    "delay": _Takes(lasting="must"),
    "mute": _Takes(lasting="must", text=True),
    "cut": _Takes(lasting="may"),
    "refuse": _Takes(lasting="must"),
}


def _lasting(duration: Duration) -> int:
    length = nanoseconds(duration)
    if length < 0:
        raise ValueError(f"a fault lasts some time, not {duration!r}")
    return length


def _meant(only: Only) -> Callable[[bytes], bool] | None:
    if only is None or callable(only):
        return only
    needle = only.encode() if isinstance(only, str) else only
    return lambda payload: needle in payload


# -- what is done to frames ------------------------------------------------------------------------------


class _Rules(msgspec.Struct, frozen=True):
    """The faults that are to come: those of a plan, and one by chance."""

    plan: tuple[Fault, ...]
    chance: float
    fault: Fault
    meant: Callable[[bytes], bool] | None
    seed: int
    again: Again | None
    reconnect: Callable[[], object] | None


class _Order(msgspec.Struct):
    """A fault that waits for the messages it is for."""

    name: str
    count: int
    text: str


class _Known(msgspec.Struct):
    """All that a :class:`Faults` remembers."""

    began: int | None = None  # the stamp of the first frame
    done: int = 0  # how many faults of the plan have begun
    seen: int = 0  # how many messages have come
    orders: list[_Order] = []
    mutes: list[tuple[str, int]] = []  # of which text, and until when
    turning: int = 0  # how many messages are to change places
    turned: list[Frame] = []  # those of them that have come
    stalled_until: int | None = None
    stalled: list[Frame] = []
    down: bool = False  # the line is cut
    returns: int | None = None  # when it is back; None when the source has to see to that
    refused_until: int = -(2**63)
    opened: Frame | None = None  # the last OPEN
    epoch: int = 1  # of the last frame of the source
    ahead: int = 0  # how many connections more than the source we have had


class Faults(Kernel[Frame, Frame]):
    """A line at fault: what :func:`scenario` and all the others put frames through."""

    def __init__(self, rules: _Rules, counters: Counters) -> None:
        self._rules = rules
        self._counters = counters
        self._now = _Known()

    def push(self, item: Frame) -> tuple[Frame, ...]:
        made = self._pass(item.ts_recv - 1)  # on a line that was done, and where nothing can wait it is now
        now = self._now
        if now.began is None:
            now.began = item.ts_recv
        if item.kind is not FrameKind.STATUS:
            now.epoch = item.epoch
        return (*made, *self._leave(self._met(item), item.ts_recv))

    def flush(self) -> tuple[Frame, ...]:
        now = self._now
        left = (*now.stalled, *reversed(now.turned))
        now.stalled, now.turned, now.turning = [], [], 0
        return left

    def due(self) -> int | None:
        now, plan = self._now, self._rules.plan
        if now.began is None:
            return None
        dues = [each for each in (now.stalled_until, now.returns) if each is not None]
        if now.done < len(plan):
            dues.append(now.began + plan[now.done].at)
        return min(dues, default=None)

    def wake(self, now: int) -> tuple[Frame, ...]:
        return self._pass(now)

    def refuses(self, now: int) -> bool:
        """Whether a new connection is refused at ``now``, for a source that asks before it opens one."""
        return now < self._now.refused_until

    def state(self) -> Any:
        return msgspec.to_builtins(self._now)

    def restore(self, state: Any) -> None:
        self._now = msgspec.convert(state, _Known)

    # -- time ----------------------------------------------------------------------------------------------

    def _pass(self, until: int) -> tuple[Frame, ...]:
        """All that was to happen until then, each at its own moment."""
        made: tuple[Frame, ...] = ()
        while (due := self.due()) is not None and due <= until:
            made += tuple(self._happen(due))
        return made

    def _happen(self, moment: int) -> list[Frame]:
        """The first of what is due at ``moment``."""
        now = self._now
        if now.stalled_until is not None and now.stalled_until <= moment:
            now.stalled_until = None
            held, now.stalled = now.stalled, []
            return [_stamped(frame, moment) for frame in held]
        if now.returns is not None and now.returns <= moment:
            return self._leave(self._opened_again(moment), moment)
        now.done += 1
        return self._leave(self._begin(self._rules.plan[now.done - 1], moment), moment)

    def _leave(self, frames: list[Frame], moment: int) -> list[Frame]:
        """What leaves at once of ``frames``; all of it waits while something holds the line up."""
        now = self._now
        if now.stalled_until is None:
            return frames
        now.stalled += frames
        return []

    # -- faults --------------------------------------------------------------------------------------------

    def _begin(self, fault: Fault, moment: int) -> list[Frame]:
        """``fault`` begins; returns what comes of it at once."""
        now, until = self._now, moment + fault.lasting
        match fault.name:
            case "delay":
                self._counters.add("delay")
                now.stalled_until = max(until, now.stalled_until or until)
            case "mute":
                now.mutes.append((fault.text, until))
            case "reorder":
                now.turning = now.turning or fault.count
            case "refuse":
                self._refuse(until)
            case "cut":
                return self._cut(moment, until)
            case _:
                now.orders.append(_Order(fault.name, fault.count, fault.text))
        return []

    def _refuse(self, until: int) -> None:
        now = self._now
        now.refused_until = max(now.refused_until, until)
        if now.returns is not None:
            now.returns = max(now.returns, until)

    def _cut(self, moment: int, until: int) -> list[Frame]:
        now, rules = self._now, self._rules
        if now.down or now.opened is None:
            return []  # there is nothing to cut
        self._counters.add("cut")
        self._refuse(until)
        if rules.reconnect is not None:
            rules.reconnect()
            return []
        now.down = True
        now.turned, now.turning = [], 0  # on their way, and lost with the line
        now.stalled, now.stalled_until = [], None
        if rules.again is not None:
            now.returns = max(moment, now.refused_until)
        told = Closing("Disconnected", "cut by a fault")
        return [Frame(FrameKind.CLOSE, msgspec.json.encode(told), moment, now.epoch + now.ahead)]

    def _opened_again(self, moment: int) -> list[Frame]:
        """A new connection, and what the venue says on it."""
        now, again = self._now, self._rules.again
        assert now.opened is not None, "only what was open can be cut"
        assert again is not None, "without it, the source sees to the next connection"
        now.down, now.returns = False, None
        now.ahead += 1
        epoch = now.epoch + now.ahead
        frames = [Frame(FrameKind.OPEN, now.opened.payload, moment, epoch)]
        for said in again(moment):
            if isinstance(said, Frame):
                frames.append(msgspec.structs.replace(said, ts_recv=moment, epoch=epoch))
            elif isinstance(said, str):
                frames.append(Frame(FrameKind.TEXT, said.encode(), moment, epoch))
            else:
                frames.append(Frame(FrameKind.BINARY, said, moment, epoch))
        return frames

    # -- frames --------------------------------------------------------------------------------------------

    def _met(self, frame: Frame) -> list[Frame]:
        """What is left of ``frame``, and what comes before it."""
        now, kind = self._now, frame.kind
        numbered = msgspec.structs.replace(frame, epoch=frame.epoch + now.ahead) if now.ahead else frame
        if kind is FrameKind.STATUS:
            return [numbered]
        if kind is FrameKind.OPEN:
            now.opened = frame
            now.down, now.returns = False, None
        elif now.down:
            if kind is FrameKind.CLOSE:
                now.returns = None  # the source itself is down: there will be an OPEN of its own
            return []
        elif kind is FrameKind.TEXT or kind is FrameKind.BINARY:
            return self._message(numbered)
        return [*self._turn_back(frame.ts_recv), numbered]

    def _message(self, frame: Frame) -> list[Frame]:
        """What the faults of this moment leave of a venue's message."""
        now, rules = self._now, self._rules
        now.seen += 1
        payload, moment = frame.payload, frame.ts_recv
        if rules.meant is not None and not rules.meant(payload):
            return self._in_turn(frame)
        made: list[Frame] = []
        if rules.chance and self._draw("chance").random() < rules.chance:
            made = self._begin(rules.fault, moment)
        if now.down:
            return made
        now.mutes = [(text, until) for text, until in now.mutes if moment < until]
        if any(text.encode() in payload for text, _ in now.mutes):
            self._counters.add("mute")
            return []
        if self._ordered("drop", payload):
            return []
        if payload and self._ordered("truncate", payload):
            payload = payload[: self._draw("truncate").randrange(len(payload))]
        if payload and self._ordered("corrupt", payload):
            changed = bytearray(payload)
            bit = self._draw("corrupt").randrange(8 * len(changed))
            changed[bit // 8] ^= 1 << bit % 8
            payload = bytes(changed)
        if payload is not frame.payload:
            frame = msgspec.structs.replace(frame, payload=payload)
        twice = self._ordered("duplicate", payload)
        return [each for _ in range(1 + twice) for each in self._in_turn(frame)]

    def _ordered(self, name: str, payload: bytes) -> bool:
        """Whether a fault waits for this message."""
        now = self._now
        for order in now.orders:
            if order.name == name and order.text.encode() in payload:
                order.count -= 1
                if not order.count:
                    now.orders.remove(order)
                self._counters.add(name)
                return True
        return False

    def _in_turn(self, frame: Frame) -> list[Frame]:
        """``frame``, unless it waits for those behind it; with the last of these come all."""
        now = self._now
        if not now.turning:
            return [frame]
        now.turned.append(frame)
        if len(now.turned) < now.turning:
            return []
        self._counters.add("reorder")
        return self._turn_back(frame.ts_recv)

    def _turn_back(self, moment: int) -> list[Frame]:
        """What has changed places so far."""
        now = self._now
        if not now.turned:
            return []
        turned, now.turned, now.turning = now.turned, [], 0
        return [_stamped(frame, moment) for frame in reversed(turned)]

    def _draw(self, what: str) -> Random:
        """What chance says of this message; it hangs on the seed and on the message's number alone."""
        return Random(f"{self._rules.seed} {self._now.seen} {what}")


def _stamped(frame: Frame, moment: int) -> Frame:
    return frame if frame.ts_recv == moment else msgspec.structs.replace(frame, ts_recv=moment)


# -- what a twin does ------------------------------------------------------------------------------------


def play(
    text: str, twin: Twin, *, proxy: Proxy | None = None, every: Duration = 0.1, line: Line | None = None
) -> Play:
    """Have ``twin`` do what ``text`` says, in real time, from now on.

    ``drop``, ``corrupt`` and ``truncate`` are for the next messages of market data, to whomever; ``mute``,
    ``cut`` and ``refuse`` are as in the table above; and every fault that only this venue has goes by its
    own name, with details as in ``exceeded_rate(requests=3)``. Through a ``proxy`` come those of the line
    itself: ``stall(1s)``, ``half_open``, ``trickle(100, 1s)`` in bytes a second, ``flap(1s)`` and
    ``garble(1s)``, see :class:`rtflow.twin.proxy.Proxy`; ``cut`` and ``refuse`` are then the line's, too.

    Raises Unsupported, before anything is done, for what neither can do, naming what they can; ValueError as
    :func:`scenario`.

    >>> from rtflow.twin import Twin
    >>> with Twin("kraken") as twin, play("- drop(2) - corrupt - wrong_checksum |", twin, every=0.01) as fun:
    ...     fun.join(5)
    True
    """
    able = _able(twin, proxy)
    acts = [(mark.at, _act(text, mark, able, twin)) for mark in _marks(text, every)]
    return Play(acts, line or Line(name="rtflow-faults"))


class Play:
    """Faults that are being played; a context manager that stops them at its end."""

    def __init__(self, acts: Sequence[tuple[int, Callable[[], object]]], line: Line) -> None:
        self.done = 0
        """How many faults have begun."""
        self._acts = acts
        self._line = line
        self._error: Exception | None = None
        self._closed = False
        self._stops: list[Callable[[], None]] = []
        start = line.now_ns
        self._stops = [line.at(start + at, partial(self._do, act)).dispose for at, act in acts]
        if self._closed:
            self.close()  # one has failed before the others were there

    def join(self, timeout: float | None = None) -> bool:
        """Wait until all have begun, up to ``timeout`` seconds if given; whether they have.

        Raises what a fault raised, which was the last one then.
        """
        self._line.join(timeout)
        if self._error is not None:
            raise self._error
        return self.done == len(self._acts)

    def close(self) -> None:
        """No more of them."""
        self._closed = True
        for stop in self._stops:
            stop()

    def __enter__(self) -> Play:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _do(self, act: Callable[[], object]) -> None:
        if self._closed:
            return
        try:
            act()
        except Exception as error:  # noqa: BLE001 - join() raises it
            self._error = error
            self.close()
        else:
            self.done += 1


_Able: TypeAlias = dict[str, tuple[_Takes, Callable[[Fault], object]]]
"""What can be done, by name: what it takes, and how it is done."""


def _able(twin: Twin, proxy: Proxy | None) -> _Able:
    """What a twin, and a proxy before it, can do."""

    def spoil(fault: Fault) -> None:
        for _ in range(fault.count):
            twin.corrupt()

    def cut(fault: Fault) -> None:
        if fault.lasting:
            twin.refuse(fault.lasting / SECOND)
        twin.disconnect()

    able: _Able = {
        "drop": (_Takes(1), lambda fault: twin.gap(fault.count)),
        "corrupt": (_Takes(1), spoil),
        "truncate": (_Takes(1), spoil),
        "mute": (_TAKES["mute"], lambda fault: twin.silence(fault.lasting / SECOND, fault.text)),
        "cut": (_TAKES["cut"], cut),
        "refuse": (_TAKES["refuse"], lambda fault: twin.refuse(fault.lasting / SECOND)),
    }
    if proxy is not None:
        for_a_time = _Takes(lasting="must")

        def cut_line(fault: Fault) -> None:
            if fault.lasting:
                proxy.refuse(fault.lasting / SECOND)
            proxy.cut()

        able |= {
            "cut": (_TAKES["cut"], cut_line),
            "refuse": (for_a_time, lambda fault: proxy.refuse(fault.lasting / SECOND)),
            "stall": (for_a_time, lambda fault: proxy.stall(fault.lasting / SECOND)),
            "half_open": (_Takes(), lambda _: proxy.half_open()),
            "trickle": (
                _Takes(100, lasting="must"),
                lambda fault: proxy.trickle(fault.count, fault.lasting / SECOND),
            ),
            "flap": (for_a_time, lambda fault: proxy.flap(fault.lasting / SECOND)),
            "garble": (for_a_time, lambda fault: proxy.garble(fault.lasting / SECOND)),
        }
    return able


def _act(text: str, mark: Mark, able: _Able, twin: Twin) -> Callable[[], object]:
    """What a mark asks of a twin."""
    if mark.name in able:
        _, do = able[mark.name]
        return partial(do, _fault(text, mark, {name: takes for name, (takes, _) in able.items()}))
    own = twin.provocations
    if mark.name not in own:
        raise Unsupported(
            f"nobody here can {mark.name}; there are {', '.join(able)}, and of this venue's own "
            f"{', '.join(own) or 'none'}"
        )
    details: dict[str, int | str] = {}
    for argument in mark.arguments:
        name, given, value = (part.strip() for part in argument.partition("="))
        if not given:
            raise misread(text, mark.place, f"{mark.name} takes its details by name, as in requests=3")
        details[name] = int(value) if value.isdecimal() else value
    return partial(twin.provoke, mark.name, **details)
