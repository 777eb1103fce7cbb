"""testing: what you test your own pipelines with, in virtual time and against venues that know what is true.

- :func:`marble` writes a stream as a line of text, :meth:`Timed.through` puts an operator behind it, and
  :meth:`Timed.drawn` writes what came of it: times are virtual, and exact to the nanosecond.
- :class:`Rehearsal` is a feed without a socket: your provider against its venue's twin. :class:`Twin` is the
  same venue behind a real socket, and :class:`Proxy` a line to it that can break.
- :mod:`~rtflow.faults` breaks frames, rehearsals, twins and lines by one scenario.
- :func:`unexplained` says what of the truth neither came nor was reported missing.
- :func:`resumes_anywhere` and :func:`same_live_and_virtual` are the laws of a kernel of your own.

    >>> from rtflow import operators as op
    >>> from rtflow.providers import Kraken
    >>> kraken, harm = Kraken(), faults.scenario("---drop(5)---cut(1s)---mute(2s)|", every=1)
    >>> show = Rehearsal(kraken, venue("kraken", seed=1, symbols="BTC/USD"), faults=harm, trades="BTC/USD")
    >>> stream = show.pipe(op.retry_with_backoff(seed=1), op.normalize(kraken), op.detect_gaps())
    >>> events = []
    >>> with stream.subscribe(events.append, scheduler=show.scheduler):
    ...     show.advance(20)
    >>> sent = [(trade.symbol, trade.id) for trade in show.trades]
    >>> len(sent), len([event for event in events if isinstance(event, Trade)]), unexplained(sent, events)
    (257, 203, [])

Nothing in here needs pytest, or any other framework.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
from reactivex import Observable, Subject, abc

from rtflow import faults, marbles
from rtflow.events import Gap, Lost, Malformed, Trade
from rtflow.kernel import Kernel, Lifted, Operator, lift
from rtflow.rehearsal import Rehearsal, venue
from rtflow.scheduler import Inlet, Line, NanoScheduler, running
from rtflow.time import Duration
from rtflow.twin import Twin
from rtflow.twin.proxy import Proxy

__all__ = [
    "Made",
    "NanoScheduler",
    "Proxy",
    "Rehearsal",
    "Timed",
    "Twin",
    "arrived",
    "faults",
    "live",
    "marble",
    "resumes_anywhere",
    "run",
    "same_live_and_virtual",
    "unexplained",
    "venue",
    "virtually",
]

_A = TypeVar("_A")
_B = TypeVar("_B")

Made: TypeAlias = Lifted[_A, _B] | Callable[[], Kernel[_A, _B]]
"""An operator, or a function that makes a kernel."""


# -- streams as text -------------------------------------------------------------------------------------


class Timed(Generic[_A]):
    """What came when, in ns from the beginning, and how it ended.

    Two are equal when they say the same, errors by their type and text.
    """

    def __init__(
        self,
        items: Iterable[tuple[int, _A]],
        *,
        length: int,
        end: str = "",
        error: Exception | None = None,
    ) -> None:
        self.items = list(items)
        self.length = length
        """When it ended, or when we stopped to look."""
        self.end = end
        """``"|"`` when it completed, ``"#"`` when it failed, ``""`` when it did neither."""
        self.error = error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timed) and self._said() == other._said()

    __hash__ = None  # type: ignore[assignment]  # it can change

    def __repr__(self) -> str:
        return f"<Timed {self.drawn()}>"

    def through(self, operator: Operator[_A, _B], *, until: Duration = 0.0) -> Timed[_B]:
        """What ``operator`` makes of it, in virtual time, on a scheduler that stands at 0 when it begins.

        It is looked at until this ends, and where it has no end, until the end of its text and ``until``
        after that.
        """
        scheduler, source = NanoScheduler(), Subject[_A]()
        made = Timed[_B]((), length=0)

        def came(item: _B) -> None:
            made.items.append((scheduler.now_ns, item))

        def ended(end: str, error: Exception | None = None) -> None:
            made.length, made.end, made.error = scheduler.now_ns, end, error

        for at, item in self.items:
            scheduler.at(at, partial(source.on_next, item))
        if self.end == marbles.END:
            scheduler.at(self.length, source.on_completed)
        elif self.end == marbles.ERROR:
            scheduler.at(self.length, partial(source.on_error, self.error or Exception()))
        piped = source.pipe(operator)
        with piped.subscribe(came, partial(ended, "#"), partial(ended, "|"), scheduler=scheduler):
            scheduler.advance_to(self.length)
            if not self.end:
                scheduler.advance_by(until)
        made.length = made.length if made.end else scheduler.now_ns
        return made

    def drawn(
        self, names: Mapping[str, _A] | Callable[[_A], str] | None = None, *, every: Duration = 0.1
    ) -> str:
        """The line of text that says the same, with a dash for each whole step of ``every``.

        ``names`` says what an item is called: a mapping as in :func:`marble`, or a function. What has no
        name there goes by its own text if it is one, else by the name of its type. The time after the last
        item shows only where there is an end.
        """
        told = [(at, _name(item, names)) for at, item in self.items]
        if self.end:
            told.append((self.length, self.end))
        return marbles.write(told, every=every)

    def _said(self) -> tuple[object, ...]:
        return self.items, self.length, self.end, type(self.error), str(self.error)


def marble(
    text: str,
    items: Mapping[str, Any] | None = None,
    *,
    every: Duration = 0.1,
    error: Exception | None = None,
) -> Timed[Any]:
    """The stream that ``text`` draws, as :mod:`rtflow.marbles` reads it.

    ``items`` says what its names stand for: an item, or a function that makes one of the stamp (ns, from 0).
    An event is stamped (``ts_recv``) with the moment at which it stands. A name that is not in there is an
    item itself. ``error`` is what a ``#`` fails with.

    >>> from rtflow import operators as op
    >>> from rtflow.events import Trade
    >>> trade = Trade("A", ts_event=0, ts_recv=0, price=1.0, size=1.0)
    >>> bars = marble("t-t--", {"t": trade}, every=0.5).through(op.window_to_bar(every=1.0))
    >>> bars.drawn(every=0.5)
    '--Bar'

    Raises ValueError, and shows the place, for a text that cannot be read.
    """
    line = marbles.read(text, every=every)
    timed: list[tuple[int, Any]] = []
    end = ""
    for mark in line.marks:
        if mark.name in (marbles.END, marbles.ERROR):
            end = mark.name
            continue
        if mark.arguments:
            raise marbles.misread(text, mark.place, "an item has nothing in parentheses")
        item: Any = mark.name if items is None else items.get(mark.name, mark.name)
        if callable(item):
            item = item(mark.at)
        elif isinstance(item, msgspec.Struct) and "ts_recv" in item.__struct_fields__:
            item = msgspec.structs.replace(item, ts_recv=mark.at)
        timed.append((mark.at, item))
    failure = (error or Exception("the marble says so")) if end == marbles.ERROR else None
    return Timed(timed, length=line.length, end=end, error=failure)


def _name(item: Any, names: Mapping[str, Any] | Callable[[Any], str] | None) -> str:
    if callable(names):
        return names(item)
    for name, named in (names or {}).items():
        if named == item:
            return name
    return item if isinstance(item, str) else type(item).__name__


# -- nothing but the truth -------------------------------------------------------------------------------


def unexplained(
    sent: Iterable[tuple[str, int]],
    events: Iterable[object],
    *,
    number: Callable[[Trade], int] = lambda trade: int(trade.id),
) -> list[str]:
    """What of the trades that were ``sent`` did not come exactly once, and was not reported either.

    ``sent`` are the symbols and numbers of all trades that should have come, the numbers of a symbol
    ascending; ``number`` reads a trade's own. A missing one is explained by a ``Gap``, a ``Lost`` or a
    ``Malformed`` that stands between its neighbours in ``events``, or by a ``Gap`` that is still open at the
    end. An empty answer is what a pipeline that hides nothing gives.

    >>> came = [Trade("A", 1, 1, 9.5, 1.0, id="1"), Trade("A", 3, 3, 9.5, 1.0, id="3")]
    >>> unexplained([("A", 1), ("A", 2), ("A", 3)], came)
    ['A 2 never came, and nothing says so']
    >>> said = Gap(1, 3, epoch=1, ts_recv=3, reason="trades 2 to 2 missing", symbols=("A",))
    >>> unexplained([("A", 1), ("A", 2), ("A", 3)], [came[0], said, came[1]])
    []
    """
    places: dict[tuple[str, int], int] = {}
    counted = Counter[tuple[str, int]]()
    holes: list[tuple[int, tuple[str, ...]]] = []  # where, and of which symbols, () being all
    for place, event in enumerate(events):
        if isinstance(event, Trade):
            known = (event.symbol, number(event))
            places.setdefault(known, place)
            counted[known] += 1
        elif isinstance(event, Gap) and event.kind in ("", "trades"):
            holes.append((place, event.symbols))
        elif isinstance(event, Lost):
            holes.append((place, (event.symbol,) if event.symbol else ()))
        elif isinstance(event, Malformed):
            holes.append((place, ()))
    complaints: list[str] = []
    by_symbol: dict[str, list[int]] = {}
    for symbol, each in sent:
        by_symbol.setdefault(symbol, []).append(each)
    for symbol, numbers in by_symbol.items():
        there = [places.get((symbol, each)) for each in numbers]
        for index, each in enumerate(numbers):
            if there[index] is None:
                lower = [place for place in there[:index] if place is not None]
                after = min((place for place in there[index + 1 :] if place is not None), default=1 << 62)
                low = max((place for place in lower if place < after), default=-1)
                high = max([after, *lower])  # of lines that mix up their messages
                if not any(low < place < high and symbol in (of or (symbol,)) for place, of in holes):
                    complaints.append(f"{symbol} {each} never came, and nothing says so")
            elif counted[symbol, each] > 1:
                complaints.append(f"{symbol} {each} came {counted[symbol, each]} times")
    strange = counted.keys() - {(symbol, each) for symbol, numbers in by_symbol.items() for each in numbers}
    return complaints + [f"{symbol} {each} was never sent" for symbol, each in sorted(strange)]


# -- laws ------------------------------------------------------------------------------------------------


def arrived(item: Any) -> int:
    """The stamp at which an item came; 0 for one without."""
    return int(getattr(item, "ts_recv", 0))


def resumes_anywhere(made: Made[_A, _B], items: Sequence[_A], *, at: Callable[[_A], int] = arrived) -> None:
    """A kernel that is cut anywhere, encoded, decoded and restored goes on as if nothing had happened.

    It is cut before each item, each timer and the completion. ``made`` is an operator made by ``lift`` or a
    function that makes a kernel. Items come in the order of their ``ts_recv``; where they have none, ``at``
    tells an item's stamp. AssertionError where the law is broken.

    >>> from rtflow import operators as op
    >>> trades = [Trade("A", second, second, 1.0, 1.0) for second in range(5)]
    >>> resumes_anywhere(op.window_to_bar(every=2e-9), trades)
    """
    kernel = _fresh(made)
    whole: list[_B] = []
    cuts: list[tuple[bytes, int, int]] = []
    for consumed, step in _steps(kernel, items, at):
        cuts.append((msgspec.json.encode(kernel.state()), consumed, len(whole)))
        whole.extend(step())
    for state, consumed, before in cuts:
        resumed = _fresh(made)
        resumed.restore(msgspec.json.decode(state))
        rest = run(resumed, items[consumed:], at=at)
        assert rest == whole[before:], f"resumed after {consumed} items from {state!r}"


def same_live_and_virtual(
    made: Made[_A, _B], items: Sequence[_A], *, at: Callable[[_A], int] = arrived
) -> None:
    """What comes out is the same for a bare kernel, in virtual time, and on a line with its own thread.

    Arguments are those of :func:`resumes_anywhere`. AssertionError where the law is broken.

    >>> from rtflow import operators as op
    >>> trades = [Trade("A", second, second, 1.0, 1.0) for second in range(5)]
    >>> same_live_and_virtual(op.window_to_bar(every=2e-9), trades)
    """
    expected = run(_fresh(made), items, at=at)
    assert virtually(made, items, at=at) == expected, "in virtual time, by the scheduler of subscribe()"
    assert virtually(made, items, at=at, named=False) == expected, "in virtual time, by the running line"
    assert live(made, items, at=at) == expected, "on a line"


def run(kernel: Kernel[_A, _B], items: Sequence[_A], *, at: Callable[[_A], int] = arrived) -> list[_B]:
    """What a kernel makes of ``items`` and their end, woken when it is due before an item."""
    return [each for _, step in _steps(kernel, items, at) for each in step()]


def virtually(
    made: Made[_A, _B], items: Iterable[_A], *, at: Callable[[_A], int] = arrived, named: bool = True
) -> list[_B]:
    """The same under NanoScheduler, which ``subscribe`` is told of if ``named``."""
    scheduler, source = NanoScheduler(), Subject[_A]()
    caught = _Caught(source.pipe(_lifted(made)), scheduler if named else None)
    for item in items:
        scheduler.advance_to(at(item), inclusive=False)
        with running(scheduler):
            source.on_next(item)
    source.on_completed()
    return caught.everything()


def live(made: Made[_A, _B], items: Iterable[_A], *, at: Callable[[_A], int] = arrived) -> list[_B]:
    """The same on a line, fed by a reader whose clock shows the stamps of ``items``."""
    now, source = 0, Subject[_A]()
    caught = _Caught(source.pipe(_lifted(made)))
    line = Line(clock=lambda: now)
    inlet: Inlet[Callable[[], None]] = line.inlet(_call)
    for item in items:
        now = at(item)
        inlet.stamp()
        inlet.put([partial(source.on_next, item)])
    inlet.stamp()
    inlet.put([source.on_completed], then=inlet.close)
    assert line.join(5.0), "the line does not end"
    return caught.everything()


class _Caught(Generic[_B]):
    """All that an observable emits, and how it ends."""

    def __init__(self, source: Observable[_B], scheduler: abc.SchedulerBase | None = None) -> None:
        self._items: list[_B] = []
        self._ends: list[Exception | None] = []
        source.subscribe(
            self._items.append, self._ends.append, partial(self._ends.append, None), scheduler=scheduler
        )

    def everything(self) -> list[_B]:
        assert self._ends, "it does not end"
        if (error := self._ends[0]) is not None:
            raise error
        return self._items


def _steps(
    kernel: Kernel[_A, _B], items: Sequence[_A], at: Callable[[_A], int]
) -> Iterator[tuple[int, Callable[[], Iterable[_B]]]]:
    """Each next thing to do to a kernel, and how many items it has had before."""
    for consumed, item in enumerate(items):
        while (due := kernel.due()) is not None and due < at(item):
            yield consumed, partial(kernel.wake, due)
            after = kernel.due()
            assert after is None or after > due, f"wake({due}) must move due() on, not to {after}"
        yield consumed, partial(kernel.push, item)
    yield len(items), kernel.flush


def _fresh(made: Made[_A, _B]) -> Kernel[_A, _B]:
    return made.kernel() if isinstance(made, Lifted) else made()


def _lifted(made: Made[_A, _B]) -> Lifted[_A, _B]:
    return made if isinstance(made, Lifted) else lift(made)


def _call(action: Callable[[], None]) -> None:
    action()
